//! What is sent: direction, pairs, order, flows and length of the frames.

use super::addresses::{PRIVATE, Pairs, REMOTE};
use super::wires::{self, Stream};

/// A kind of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// `INBOUND`, `OUTBOUND` or `HAIRPIN`.
    pub direction: u32,
    /// Chosen from at random.
    pub pairs: Pairs,
    /// `ONE_FLOW` or `NEW_FLOWS`.
    pub flows: u32,
    /// `RANDOM` or `IN_ORDER`.
    pub order: u32,
    /// Bytes of a frame without its check sequence.
    pub length: u32,
}

impl Traffic {
    /// Small frames at random.
    pub fn new(direction: u32, pairs: Pairs) -> Self {
        Self { direction, pairs, flows: wires::ONE_FLOW, order: wires::RANDOM, length: 60 }
    }

    /// The same in order of the pairs.
    pub fn in_order(self) -> Self {
        Self { order: wires::IN_ORDER, ..self }
    }

    /// The same for only one of its pairs.
    pub fn of_pair(self, index: u32) -> impl Fn(Stream) -> Stream {
        move |stream| Stream {
            pairs: 1,
            public: self.pairs.public(index).to_bits(),
            private: self.pairs.private(index).to_bits(),
            ..stream
        }
    }

    /// As the generator is told, for frames redirected into this interface with these Ethernet addresses.
    pub fn stream(&self, ifindex: u32, ethernet: [u8; 12]) -> Stream {
        Stream {
            pairs: self.pairs.count,
            public: self.pairs.base().to_bits(),
            public_step: self.pairs.step(),
            private: PRIVATE.to_bits(),
            remote: REMOTE.to_bits(),
            direction: self.direction,
            order: self.order,
            flows: self.flows,
            length: self.length,
            ifindex,
            ethernet,
        }
    }
}

/// The name of a direction.
pub fn direction_name(direction: u32) -> &'static str {
    match direction {
        wires::INBOUND => "in",
        wires::OUTBOUND => "out",
        _ => "hairpin",
    }
}
