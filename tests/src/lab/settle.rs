//! Proof that whatever has been sent has arrived or never will: later frames have come all the way.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::topology::{A, B, C, GATEWAY, INSIDE, INTERNET, ROUTER, UPSTREAM};
use super::wait::locked;
use super::wire::{Direction, Wire};
use super::{Capture, Lab, Namespace};
use crate::frames::{ARP, Arp, Frame, Mac, address, payload, word};

const WITHIN: Duration = Duration::from_secs(2);
const EVERYONE: Mac = [0xff; 6];

/// Asked for by frames that need no answer.
const NOBODY: std::net::Ipv4Addr = std::net::Ipv4Addr::UNSPECIFIED;

impl Lab {
    /// Waits until every frame sent so far has gone as far as it goes, in both directions.
    ///
    /// Each link has one queue, so a frame that arrives has let those before it go first. ARP passes every link in
    /// every state of the gateway. Twice, because a program may hold back what it redirects until the end of a batch.
    pub fn settle(&self) -> Result<()> {
        for _ in 0..2 {
            self.settle_outwards()?;
            self.settle_inwards()?;
        }
        Ok(())
    }

    fn settle_outwards(&self) -> Result<()> {
        for (namespace, capture, own) in self.instances() {
            ask(namespace, "eth0", capture, own, INSIDE)?;
        }
        self.with_router(|capture| announce(&self.gateway, "up0", GATEWAY, capture))?;
        ask(&self.router, "inet0", &self.at_internet, ROUTER, INTERNET)
    }

    fn settle_inwards(&self) -> Result<()> {
        ask(&self.internet, "eth0", &self.at_internet, INTERNET, ROUTER)?;
        self.with_router(|capture| ask(&self.router, "gate0", capture, UPSTREAM, GATEWAY))?;
        for (_, capture, _) in self.instances() {
            announce(&self.gateway, "down0", INSIDE, capture)?;
        }
        Ok(())
    }

    /// The router's interface towards the gateway may have been made anew.
    fn with_router<R>(&self, work: impl FnOnce(&Capture) -> R) -> R {
        work(locked(&self.later).last().unwrap_or(&self.at_router))
    }

    fn instances(&self) -> [(&Namespace, &Capture, std::net::Ipv4Addr); 3] {
        [(&self.a, &self.at_a, A), (&self.b, &self.at_b, B), (&self.c, &self.at_c, C)]
    }
}

/// Asks a neighbour for its address and waits until the capture, at either end of the link, sees the answer.
fn ask(
    from: &Namespace,
    interface: &str,
    seen_at: &Capture,
    own: std::net::Ipv4Addr,
    neighbour: std::net::Ipv4Addr,
) -> Result<()> {
    let wire = Wire::sender(from, interface)?;
    let watch = seen_at.watch();
    let question = Arp::request(wire.mac, own, neighbour);
    wire.send(&Frame::new(wire.mac, EVERYONE).arp(&question).padded().build())?;
    let is_answer = |frame: &[u8]| {
        arp(frame).is_some_and(|arp| word(arp, 6) == 2 && address(arp, 14) == neighbour && arp[18..24] == wire.mac)
    };
    let answer = watch.wait_within(WITHIN, "an answer to ARP", |seen| is_answer(&seen.frame));
    answer.with_context(|| format!("{} did not settle: {neighbour} is silent", from.name)).map(drop)
}

/// Sends a frame that nobody answers and waits until it arrives.
fn announce(from: &Namespace, interface: &str, own: std::net::Ipv4Addr, seen_at: &Capture) -> Result<()> {
    let wire = Wire::sender(from, interface)?;
    let watch = seen_at.watch();
    // A request for nobody: it changes no neighbour's mind about who asks, and shows nothing but an address of ours.
    let frame = Frame::new(wire.mac, EVERYONE).arp(&Arp::request(wire.mac, own, NOBODY)).padded().build();
    wire.send(&frame)?;
    let arrived = watch.wait_within(WITHIN, "a frame", |seen| seen.direction == Direction::In && seen.frame == frame);
    arrived.with_context(|| format!("{} did not settle: its frame did not arrive", from.name)).map(drop)
}

fn arp(frame: &[u8]) -> Option<&[u8]> {
    let (ethertype, start) = payload(frame)?;
    (ethertype == ARP && frame.len() >= start + 28).then(|| &frame[start..])
}
