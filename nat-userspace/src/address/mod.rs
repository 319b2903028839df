//! The life of public addresses, as pure rules: who holds which address, what a command changes, why one is refused.
//!
//! Nothing here does I/O, reads a clock or draws a random number: the time and the ids of new objects are
//! arguments. The same commands therefore give the same ledger, on every node and in every test.
//!
//! A [`Command`] goes to [`Ledger::decide`], which answers with a [`Change`] or a [`Refusal`] and alters nothing. The
//! caller stores the change and then gives it to [`Ledger::apply`], which cannot refuse.

mod change;
mod command;
mod decide;
mod eip;
mod id;
mod instance;
mod intervals;
mod ledger;
mod pool;
mod prefix;
mod refusal;
mod reserved;
mod restore;
mod stock;
#[cfg(test)]
mod tests;
mod time;

pub use change::{Change, Fact};
pub use command::{Capacity, Command, NewInstance, Reallocate};
pub use eip::Eip;
pub use id::{AccountId, EipId, IdError, InstanceId, VpcId};
pub use instance::{Association, ChargeType, Instance, UnknownChargeType};
pub use ledger::Ledger;
pub use pool::{Pool, PoolDefinition, PoolError, PoolKind, PoolRange};
pub use prefix::{Prefix, PrefixError};
pub use refusal::{Exclusion, Limit, Refusal, RefusalKind};
pub use reserved::ReservedRanges;
pub use restore::{RestoreError, Snapshot};
pub use stock::{Holder, RangeTotals};
pub use time::Time;
