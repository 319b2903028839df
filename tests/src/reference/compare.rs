//! Comparing what left with what had to.

use crate::frames;

/// Compares byte for byte. Only where an IP, TCP, ICMP or DCCP checksum (quoted ones included) is 0x0000 in one and
/// 0xffff in the other, which mean the same, is the difference forgiven.
pub fn frames_equal(expected: &[u8], got: &[u8]) -> Result<(), String> {
    if expected == got {
        return Ok(());
    }
    let mut forgiven = got.to_vec();
    for field in frames::fields(expected).iter().filter(|field| field.is_plain_checksum()) {
        let range = field.at..field.at + 2;
        let both = (expected.get(range.clone()), got.get(range.clone()));
        if matches!(both, (Some([0, 0]), Some([0xff, 0xff])) | (Some([0xff, 0xff]), Some([0, 0]))) {
            forgiven[range.clone()].copy_from_slice(&expected[range]);
        }
    }
    if expected == forgiven { Ok(()) } else { Err(frames::diff(expected, &forgiven)) }
}
