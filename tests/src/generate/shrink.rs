//! Making a failing frame small.

use super::reseal;
use crate::frames::{self, IPV4, Ip, SERVICE_VLAN, VLAN, word};

/// How often [`shrink`] asks at most.
pub const SHRINK_ATTEMPTS: usize = 5000;

/// A frame as short and as full of zeros as can be found for which `still_fails` holds; the frame given must.
pub fn shrink(frame: &[u8], mut still_fails: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
    let mut best = frame.to_vec();
    let mut left = SHRINK_ATTEMPTS;
    while left > 0 {
        let before = best.clone();
        for step in STEPS {
            step(&best.clone(), &mut |candidate| {
                for (header, transport) in [(false, false), (true, false), (true, true)] {
                    let mut candidate = candidate.to_vec();
                    seal(&mut candidate, header, transport);
                    if left > 0 && weight(&candidate) < weight(&best) {
                        left -= 1;
                        if still_fails(&candidate) {
                            best = candidate;
                            return true;
                        }
                    }
                }
                false
            });
        }
        if best == before {
            break;
        }
    }
    best
}

/// Makes smaller frames of one, offering each; goes on from an accepted one where it can.
type ShrinkStep = fn(&[u8], &mut dyn FnMut(&[u8]) -> bool);

const STEPS: [ShrinkStep; 4] = [without_a_tag, without_options, shorter, emptier];

fn weight(frame: &[u8]) -> (usize, usize) {
    (frame.len(), frame.iter().filter(|byte| **byte != 0).count())
}

fn seal(frame: &mut [u8], header: bool, transport: bool) {
    if header {
        reseal(frame);
    }
    if transport && let Some((IPV4, start)) = frames::payload(frame) {
        frames::seal_transport(&mut frame[start..]);
    }
}

fn without_a_tag(frame: &[u8], offer: &mut dyn FnMut(&[u8]) -> bool) {
    if frame.len() >= 18 && matches!(word(frame, 12), VLAN | SERVICE_VLAN) {
        offer(&[&frame[..12], &frame[16..]].concat());
    }
}

fn without_options(frame: &[u8], offer: &mut dyn FnMut(&[u8]) -> bool) {
    let Some((IPV4, start)) = frames::payload(frame) else { return };
    let Some(ip) = Ip::parse(&frame[start..]).filter(|ip| ip.header_length() > 20) else { return };
    let (cut, total) = (ip.header_length() - 20, word(frame, start + 2));
    let mut plain = [&frame[..start + 20], &frame[start + 20 + cut..]].concat();
    plain[start] = 0x45;
    plain[start + 2..start + 4].copy_from_slice(&total.wrapping_sub(cut as u16).to_be_bytes());
    offer(&plain);
}

fn shorter(frame: &[u8], offer: &mut dyn FnMut(&[u8]) -> bool) {
    let (mut frame, mut cut) = (frame.to_vec(), frame.len() / 2);
    while cut > 0 {
        let plain = &frame[..frame.len().saturating_sub(cut)];
        if offer(plain) {
            frame = plain.to_vec();
            continue;
        }
        let mut fitted = plain.to_vec();
        if let Some((IPV4, start)) = frames::payload(plain)
            && plain.len() >= start + 4
        {
            let total = (plain.len() - start) as u16;
            fitted[start + 2..start + 4].copy_from_slice(&total.to_be_bytes());
            if offer(&fitted) {
                frame = fitted;
                continue;
            }
        }
        cut /= 2;
    }
}

fn emptier(frame: &[u8], offer: &mut dyn FnMut(&[u8]) -> bool) {
    let mut frame = frame.to_vec();
    let fields = frames::fields(&frame).into_iter().map(|field| field.at..field.at + field.length);
    let chunks = [256, 32, 4, 1].into_iter().flat_map(|size| {
        let length = frame.len();
        (0..length).step_by(size).map(move |at| at..(at + size).min(length))
    });
    for range in fields.chain(chunks).collect::<Vec<_>>() {
        let mut emptied = frame.clone();
        emptied[range].fill(0);
        if emptied != frame && offer(&emptied) {
            frame = emptied;
        }
    }
}
