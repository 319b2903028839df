//! The public ranges the gateway hands addresses out of, and which addresses in them are members.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::Prefix;
use super::intervals::Intervals;
use super::reserved::{RESERVED_BLOCKS, ReservedRanges};

/// How the Internet reaches a range, which decides its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PoolKind {
    /// Routed to the gateway: every address is a member.
    Routed,
    /// Inside an uplink's own network: that network's first and last address and the gateway's own are not members.
    OnLink {
        /// The network of the uplink.
        connected: Prefix,
        /// What the gateway itself carries on the uplink.
        gateway: Vec<Ipv4Addr>,
    },
}

/// One range as the operator configures it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolDefinition {
    /// The addresses.
    pub prefix: Prefix,
    /// How they are reached.
    pub kind: PoolKind,
}

/// Whether a range hands out addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PoolState {
    /// It does.
    #[default]
    Serving,
    /// It does no more; what is held stays held.
    Draining,
}

/// One range of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolRange {
    prefix: Prefix,
    kind: PoolKind,
    withheld: BTreeSet<Ipv4Addr>,
    state: PoolState,
}

impl PoolRange {
    fn new(definition: PoolDefinition, excluded: &[Ipv4Addr]) -> Self {
        let PoolDefinition { prefix, kind } = definition;
        let mut withheld: BTreeSet<Ipv4Addr> = excluded.iter().copied().collect();
        if let PoolKind::OnLink { connected, gateway } = &kind {
            withheld.extend(gateway);
            // RFC 3021: a /31 has neither a network nor a broadcast address, and a /32 is its only host.
            if connected.length() < 31 {
                withheld.extend([connected.first(), connected.last()]);
            }
        }
        withheld.retain(|address| prefix.contains(*address));
        Self { prefix, kind, withheld, state: PoolState::Serving }
    }

    /// The range itself.
    pub fn prefix(&self) -> Prefix {
        self.prefix
    }

    /// How it is reached.
    pub fn kind(&self) -> &PoolKind {
        &self.kind
    }

    /// Whether it hands out addresses.
    pub fn state(&self) -> PoolState {
        self.state
    }

    /// The addresses in it that are never handed out, ascending.
    pub fn withheld(&self) -> impl Iterator<Item = Ipv4Addr> + '_ {
        self.withheld.iter().copied()
    }

    /// How many addresses can be handed out.
    pub fn members(&self) -> u64 {
        self.prefix.size() - self.withheld.len() as u64
    }

    /// Whether the address lies in the range and is not withheld.
    pub fn is_member(&self, address: Ipv4Addr) -> bool {
        self.prefix.contains(address) && !self.withheld.contains(&address)
    }
}

/// All ranges, disjoint, and how long a released address rests before it is handed out again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Ascending and disjoint.
    ranges: Vec<PoolRange>,
    /// Ranges the configuration has, in use or not.
    configured: BTreeSet<Prefix>,
    excluded: Vec<Ipv4Addr>,
    cool_down: Duration,
}

impl Pool {
    /// Builds a pool. `excluded` addresses are never handed out; one that lies in no range is of no effect. Refuses
    /// overlapping ranges, an on-link range outside its uplink's network, and reserved ranges as `reserved` says.
    pub fn new(
        definitions: impl IntoIterator<Item = PoolDefinition>,
        excluded: &[Ipv4Addr],
        reserved: ReservedRanges,
        cool_down: Duration,
    ) -> Result<Self, PoolError> {
        let mut ranges: Vec<PoolRange> = Vec::new();
        for definition in definitions {
            check_definition(&definition, reserved)?;
            ranges.push(PoolRange::new(definition, excluded));
        }
        ranges.sort_by_key(|range| range.prefix);
        for pair in ranges.windows(2) {
            let (first, second) = (pair[0].prefix, pair[1].prefix);
            if first.overlaps(second) {
                return Err(PoolError::Overlap { first, second });
            }
        }
        let configured = ranges.iter().map(|range| range.prefix).collect();
        Ok(Self { ranges, configured, excluded: excluded.to_vec(), cool_down })
    }

    /// The range that could be added, or why it cannot. [`Pool::insert`] adds it.
    pub fn addition(&self, definition: PoolDefinition, reserved: ReservedRanges) -> Result<PoolRange, PoolError> {
        check_definition(&definition, reserved)?;
        let range = PoolRange::new(definition, &self.excluded);
        let pool = range.prefix;
        let in_the_way = self.ranges.iter().map(|range| range.prefix).find(|other| other.overlaps(pool));
        if let Some(other) = in_the_way {
            let (first, second) = (other.min(pool), other.max(pool));
            return Err(PoolError::Overlap { first, second });
        }
        if range.members() == 0 {
            return Err(PoolError::NoMembers { pool });
        }
        Ok(range)
    }

    /// Adds a range that [`Pool::addition`] has made for this very pool.
    pub fn insert(&mut self, range: PoolRange) {
        let at = self.ranges.partition_point(|other| other.prefix < range.prefix);
        self.ranges.insert(at, range);
    }

    /// Takes a range out; no effect where it is not there.
    pub fn remove(&mut self, prefix: Prefix) {
        self.ranges.retain(|range| range.prefix != prefix);
    }

    /// Lets a range hand out addresses, or no more; no effect where it is not there.
    pub fn set_state(&mut self, prefix: Prefix, state: PoolState) {
        for range in self.ranges.iter_mut().filter(|range| range.prefix == prefix) {
            range.state = state;
        }
    }

    /// The range of just this prefix.
    pub fn find(&self, prefix: Prefix) -> Option<&PoolRange> {
        self.ranges.iter().find(|range| range.prefix == prefix)
    }

    /// Whether the configuration has this range, whatever was commanded since.
    pub fn is_configured(&self, prefix: Prefix) -> bool {
        self.configured.contains(&prefix)
    }

    /// The ranges, ascending.
    pub fn ranges(&self) -> &[PoolRange] {
        &self.ranges
    }

    /// The ranges' prefixes, ascending.
    pub fn prefixes(&self) -> Vec<Prefix> {
        self.ranges.iter().map(|range| range.prefix).collect()
    }

    /// How long a released address rests.
    pub fn cool_down(&self) -> Duration {
        self.cool_down
    }

    /// Makes released addresses rest for so long, those that rest already included.
    pub fn set_cool_down(&mut self, cool_down: Duration) {
        self.cool_down = cool_down;
    }

    /// The range the address lies in, member or not.
    pub fn range_of(&self, address: Ipv4Addr) -> Option<&PoolRange> {
        let after = self.ranges.partition_point(|range| range.prefix.first() <= address);
        let candidate = self.ranges.get(after.checked_sub(1)?)?;
        candidate.prefix.contains(address).then_some(candidate)
    }

    /// Whether the address is one that a range can hand out, now or when it drains no more.
    pub fn is_member(&self, address: Ipv4Addr) -> bool {
        self.range_of(address).is_some_and(|range| range.is_member(address))
    }

    /// Whether the address is a member of a range that hands out addresses.
    pub fn offers(&self, address: Ipv4Addr) -> bool {
        let offers = |range: &PoolRange| range.state == PoolState::Serving && range.is_member(address);
        self.range_of(address).is_some_and(offers)
    }

    /// How many addresses can be handed out.
    pub fn members(&self) -> u64 {
        self.ranges.iter().map(PoolRange::members).sum()
    }

    /// Every address that [`Pool::offers`], as intervals: a /8 is one of them.
    pub(super) fn offered_intervals(&self) -> Intervals {
        let mut members = Intervals::default();
        for range in self.ranges.iter().filter(|range| range.state == PoolState::Serving) {
            members.insert_range(range.prefix.first(), range.prefix.last());
            for address in range.withheld() {
                members.remove(address);
            }
        }
        members
    }
}

fn check_definition(definition: &PoolDefinition, reserved: ReservedRanges) -> Result<(), PoolError> {
    let pool = definition.prefix;
    if let PoolKind::OnLink { connected, .. } = definition.kind
        && !(connected.contains(pool.first()) && connected.contains(pool.last()))
    {
        return Err(PoolError::NotOnLink { pool, connected });
    }
    let in_the_way = RESERVED_BLOCKS.iter().filter(|block| block.prefix.overlaps(pool) && !block.allowed(reserved));
    // A block that is refused always is named before one that a lab may use: the advice for the latter would not help.
    match in_the_way.min_by_key(|block| block.usable_in_labs()) {
        Some(block) => Err(PoolError::Reserved {
            pool,
            block: block.prefix,
            purpose: block.purpose,
            usable_in_labs: block.usable_in_labs(),
        }),
        None => Ok(()),
    }
}

/// Why a pool was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PoolError {
    /// The range touches a block that is not routed on the Internet.
    Reserved {
        /// The range refused.
        pool: Prefix,
        /// The block it touches.
        block: Prefix,
        /// What the block is for.
        purpose: &'static str,
        /// Whether [`ReservedRanges::Allow`] would let it pass.
        usable_in_labs: bool,
    },
    /// Two ranges share addresses.
    Overlap {
        /// The one that begins first.
        first: Prefix,
        /// The other.
        second: Prefix,
    },
    /// A range said to be on the link is not inside the uplink's network.
    NotOnLink {
        /// The range refused.
        pool: Prefix,
        /// The uplink's network.
        connected: Prefix,
    },
    /// Nothing in the range could ever be handed out.
    NoMembers {
        /// The range refused.
        pool: Prefix,
    },
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PoolError::Reserved { pool, block, purpose, usable_in_labs } => {
                write!(f, "pool {pool} lies in {block}, which is reserved ({purpose}); ")?;
                f.write_str(if *usable_in_labs {
                    "use addresses routed to you, or allow reserved ranges if this is a lab"
                } else {
                    "it can never be a pool"
                })
            }
            PoolError::Overlap { first, second } if first == second => {
                write!(f, "pool {first} is given twice; remove one of the two")
            }
            PoolError::Overlap { first, second } => {
                write!(f, "pools {first} and {second} overlap; remove or shrink one of them")
            }
            PoolError::NotOnLink { pool, connected } => {
                write!(f, "on-link pool {pool} is not inside the uplink's network {connected}; split it or route it")
            }
            PoolError::NoMembers { pool } => {
                write!(f, "pool {pool} has no address to hand out: all are excluded or the gateway's own")
            }
        }
    }
}

impl Error for PoolError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    fn routed(text: &str) -> PoolDefinition {
        PoolDefinition { prefix: prefix(text), kind: PoolKind::Routed }
    }

    fn pool(definitions: &[PoolDefinition], reserved: ReservedRanges) -> Result<Pool, PoolError> {
        Pool::new(definitions.iter().cloned(), &[], reserved, Duration::ZERO)
    }

    #[test]
    fn a_routed_range_gives_every_address() {
        let pool = pool(&[routed("8.8.8.0/24"), routed("9.0.0.0/8")], ReservedRanges::Refuse).unwrap();
        assert_eq!(pool.members(), 256 + (1 << 24));
        for (address, member) in [([8, 8, 8, 0], true), ([8, 8, 8, 255], true), ([8, 8, 9, 0], false)] {
            assert_eq!(pool.is_member(address.into()), member);
        }
        assert_eq!(pool.range_of([9, 255, 0, 1].into()).map(PoolRange::prefix), Some(prefix("9.0.0.0/8")));
        assert_eq!(pool.range_of([1, 1, 1, 1].into()), None);
    }

    #[test]
    fn an_on_link_range_leaves_out_the_network_the_broadcast_the_gateway_and_what_is_excluded() {
        let on_link = |text: &str| {
            let gateway = vec![[8, 8, 8, 1].into()];
            PoolDefinition { prefix: prefix(text), kind: PoolKind::OnLink { connected: prefix("8.8.8.0/24"), gateway } }
        };
        let build = |text| {
            let excluded = [[8, 8, 8, 100].into(), [1, 1, 1, 1].into()];
            Pool::new([on_link(text)], &excluded, ReservedRanges::Refuse, Duration::ZERO)
        };
        let whole = build("8.8.8.0/24").unwrap();
        assert_eq!(whole.members(), 252);
        for last in [0, 1, 100, 255] {
            assert!(!whole.is_member([8, 8, 8, last].into()));
        }
        // What counts is the uplink's network: the first and last address of a part of it are ordinary ones.
        assert_eq!(build("8.8.8.64/28").unwrap().members(), 16);
        assert_eq!(
            build("8.8.8.0/23").unwrap_err().to_string(),
            "on-link pool 8.8.8.0/23 is not inside the uplink's network 8.8.8.0/24; split it or route it"
        );
    }

    #[test]
    fn overlapping_ranges_are_refused_by_name() {
        let refusal =
            |definitions: &[PoolDefinition]| pool(definitions, ReservedRanges::Refuse).unwrap_err().to_string();
        assert_eq!(
            refusal(&[routed("8.8.8.128/25"), routed("9.9.9.0/24"), routed("8.8.0.0/16")]),
            "pools 8.8.0.0/16 and 8.8.8.128/25 overlap; remove or shrink one of them"
        );
        assert_eq!(
            refusal(&[routed("8.8.8.0/24"), routed("8.8.8.0/24")]),
            "pool 8.8.8.0/24 is given twice; remove one of the two"
        );
    }

    #[test]
    fn reserved_ranges_are_for_labs_or_for_nobody() {
        let refusal = |text: &str, reserved| pool(&[routed(text)], reserved).unwrap_err().to_string();
        for block in &RESERVED_BLOCKS {
            let text = block.prefix.to_string();
            let sentence = refusal(&text, ReservedRanges::Refuse);
            assert!(sentence.starts_with(&format!("pool {text} lies in {text}, which is reserved")), "{sentence}");
            let in_lab = pool(&[routed(&text)], ReservedRanges::Allow);
            assert_eq!(in_lab.is_ok(), block.usable_in_labs(), "{text}");
        }
        assert_eq!(
            refusal("203.0.113.64/26", ReservedRanges::Refuse),
            "pool 203.0.113.64/26 lies in 203.0.113.0/24, which is reserved (documentation); \
             use addresses routed to you, or allow reserved ranges if this is a lab"
        );
        assert_eq!(
            refusal("0.0.0.0/0", ReservedRanges::Refuse),
            "pool 0.0.0.0/0 lies in 0.0.0.0/8, which is reserved (this network); it can never be a pool"
        );
    }
}
