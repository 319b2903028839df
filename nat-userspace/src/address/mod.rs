//! The life of public addresses, as pure rules: who holds which address, what a command changes, why one is refused.
//!
//! Nothing here does I/O, reads a clock or draws a random number: the time and the ids of new objects are
//! arguments. The same commands therefore give the same ledger, on every node and in every test.
//!
//! A [`Command`] goes to [`Ledger::decide`], which answers with a [`Change`] or a [`Refusal`] and alters nothing. The
//! caller stores the change and then gives it to [`Ledger::apply`], which cannot refuse.

mod agreement;
mod change;
mod charge;
mod command;
mod daily;
mod decide;
mod detail;
mod eip;
mod event;
mod fence;
mod id;
mod import;
mod instance;
mod intervals;
mod ledger;
mod life;
mod ordinary;
mod owned;
mod package;
mod policy;
mod pool;
mod prefix;
mod ranked;
mod refusal;
mod reserved;
mod restore;
mod search;
mod sound;
mod standing;
mod stock;
mod tenure;
#[cfg(test)]
pub(crate) mod tests;
mod time;
mod together;
mod token;

pub use change::{Change, Fact};
pub use charge::{ChargeType, UnknownChargeType};
pub use command::{Begins, Capacity, Command, Naming, NewEip, NewInstance, Reallocate};
pub use daily::{Daily, DayCount};
pub use detail::{
    DEFAULT_IMAGE, EipDetail, InstanceChanges, InstanceDetail, Operation, PackageChanges, PackageDetail, Prepaid,
    Renewal, Tags,
};
pub use eip::{Eip, EipChanges, EipTerms};
pub use event::{Event, EventKind};
pub use fence::Fence;
pub use id::{AccountId, EipId, IdError, InstanceId, PackageId, VpcId};
pub use import::{Import, NewPair, PublicAs};
pub use instance::{Association, Billing, Instance, InstanceState, StopMode};
pub use ledger::Ledger;
pub use package::{Member, Package};
pub use policy::{OnBind, OnUnbind, Permission, Policy};
pub use pool::{Pool, PoolDefinition, PoolError, PoolKind, PoolRange, PoolState};
pub use prefix::{Prefix, PrefixError};
pub use refusal::{Exclusion, Limit, Refusal, RefusalKind};
pub use reserved::ReservedRanges;
pub use restore::{RestoreError, Snapshot};
pub use search::Found;
pub use sound::SoundSnapshot;
pub use standing::Standing;
pub use stock::{Holder, RangeTotals};
pub use tenure::{Tenure, tenures};
pub use time::Time;
pub use together::{Retry, Together};
pub use token::{ClientToken, Made, TOKEN_LIFE, TokenError, UsedToken};
