//! Ranges that come, drain and go while the gateway runs, and what of that outlasts a restart.

use std::net::Ipv4Addr;

use super::{Fact, Holder, Ledger, Pool, PoolDefinition, PoolState, Prefix, Refusal, ReservedRanges, VpcId};

/// So many holders are named of those that keep a range from being removed.
const NAMED: usize = 5;

/// What was commanded last about a range, where that differs from what the configuration says by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Added: it is there, configured or not.
    Added,
    /// Added, and draining.
    AddedDraining,
    /// Configured, and draining.
    Draining,
    /// Configured, and removed.
    Removed,
}

impl Standing {
    /// Whether the range hands out addresses; `None` where there is to be no range.
    pub fn state(self) -> Option<PoolState> {
        match self {
            Standing::Added => Some(PoolState::Serving),
            Standing::AddedDraining | Standing::Draining => Some(PoolState::Draining),
            Standing::Removed => None,
        }
    }

    /// Whether there is such a range although the configuration has none.
    pub fn is_added(self) -> bool {
        matches!(self, Standing::Added | Standing::AddedDraining)
    }
}

impl Ledger {
    /// What was commanded about ranges, ascending.
    pub fn standings(&self) -> impl ExactSizeIterator<Item = (Prefix, Standing)> + '_ {
        self.standings.iter().map(|(prefix, standing)| (*prefix, *standing))
    }

    /// A range that drains serves again.
    pub(super) fn add_pool(&self, definition: PoolDefinition, reserved: ReservedRanges) -> Result<Vec<Fact>, Refusal> {
        let prefix = definition.prefix;
        match self.pool().find(prefix).map(|range| range.state()) {
            Some(PoolState::Serving) => return Err(Refusal::PoolExists { pool: prefix }),
            Some(PoolState::Draining) => {
                let added = self.standings.get(&prefix).is_some_and(|standing| standing.is_added());
                return Ok(vec![Fact::PoolResumed { prefix, standing: added.then_some(Standing::Added) }]);
            }
            None => {}
        }
        let range = self.pool().addition(definition, reserved).map_err(Refusal::PoolRefused)?;
        let first = (prefix.first(), VpcId::before_all());
        let inside = self.by_private.range(first..).next().filter(|((private, _), _)| prefix.contains(*private));
        if let Some(((private, _), instance)) = inside {
            return Err(Refusal::PoolHoldsInstance { pool: prefix, private: *private, instance: instance.clone() });
        }
        Ok(vec![Fact::PoolAdded { range }])
    }

    pub(super) fn drain_pool(&self, prefix: Prefix) -> Result<Vec<Fact>, Refusal> {
        let range = self.pool().find(prefix).ok_or(Refusal::UnknownPool { pool: prefix })?;
        if range.state() == PoolState::Draining {
            return Err(Refusal::PoolDraining { pool: prefix });
        }
        let standing = match self.standings.get(&prefix) {
            Some(standing) if standing.is_added() => Standing::AddedDraining,
            _ => Standing::Draining,
        };
        Ok(vec![Fact::PoolDrained { prefix, standing }])
    }

    pub(super) fn remove_pool(&self, prefix: Prefix) -> Result<Vec<Fact>, Refusal> {
        if self.pool().find(prefix).is_none() {
            return Err(Refusal::UnknownPool { pool: prefix });
        }
        let inside = || self.stock.held().range(prefix.first()..=prefix.last());
        let held = inside().count();
        if held > 0 {
            let holders: Vec<(Ipv4Addr, Holder)> =
                inside().take(NAMED).map(|(address, holder)| (*address, holder.clone())).collect();
            return Err(Refusal::PoolInUse { pool: prefix, held, holders });
        }
        // Nothing needs to be known of a range that is gone and that no configuration would bring back.
        let standing = self.pool().is_configured(prefix).then_some(Standing::Removed);
        Ok(vec![Fact::PoolRemoved { prefix, standing }])
    }

    pub(super) fn apply_standing(
        &mut self,
        prefix: Prefix,
        standing: Option<Standing>,
        change: impl FnOnce(&mut Pool),
    ) {
        match standing {
            Some(standing) => self.standings.insert(prefix, standing),
            None => self.standings.remove(&prefix),
        };
        self.stock.change_pool(change);
    }
}
