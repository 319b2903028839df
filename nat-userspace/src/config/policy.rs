//! The settings that are rules of the ledger.

use serde::Deserialize;

use super::Config;
use crate::address::{OnBind, OnUnbind, Permission, Policy};

/// What binding an EIP does to an instance's ordinary public IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnBindChoice {
    /// It goes back to the pool in the same moment.
    Release,
    /// The binding is refused until it has been returned.
    Refuse,
}

/// What an instance gets when its EIP is unbound and the request does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnbindChoice {
    /// A new ordinary public IP.
    New,
    /// No public address.
    None,
}

impl Config {
    /// The ledger's rules. A limit of 0 is none.
    pub fn policy(&self) -> Policy {
        let permission = |granted| if granted { Permission::Granted } else { Permission::Denied };
        let limit = |most| (most > 0).then_some(most);
        Policy {
            on_bind: match self.ordinary_ip_on_bind {
                OnBindChoice::Release => OnBind::ReleaseOrdinary,
                OnBindChoice::Refuse => OnBind::Refuse,
            },
            on_unbind: match self.ordinary_ip_on_unbind {
                OnUnbindChoice::New => OnUnbind::NewOrdinary,
                OnUnbindChoice::None => OnUnbind::Nothing,
            },
            return_ordinary: permission(self.return_ordinary_ip),
            change_ordinary: permission(self.change_ordinary_ip),
            eips_per_account: limit(self.eips_per_account),
            reallocations_per_day: limit(self.reallocations_per_day),
            recycle_bin: self.recycle_bin,
        }
    }
}
