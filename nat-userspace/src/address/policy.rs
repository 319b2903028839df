//! What the operator decides where the requirements and the cloud's present-day API disagree, and how much an account
//! may have. The defaults are the requirements.

use std::time::Duration;

/// The rules of one gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What binding an EIP does to an instance's ordinary public IP.
    pub on_bind: OnBind,
    /// Whether unbinding an EIP assigns an ordinary public IP where the request does not say.
    pub on_unbind: OnUnbind,
    /// Whether a user may give up an instance's ordinary public IP.
    pub return_ordinary: Permission,
    /// Whether a user may have an instance's ordinary public IP changed for another.
    pub change_ordinary: Permission,
    /// EIPs an account may have; none is no limit. Of these, it may apply for twice as many a day.
    pub eips_per_account: Option<u32>,
    /// New ordinary public IPs an account may be assigned a day by unbinding and changing; none is no limit.
    pub reallocations_per_day: Option<u32>,
    /// How long a prepaid instance stays in the recycle bin.
    pub recycle_bin: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
        Policy {
            on_bind: OnBind::ReleaseOrdinary,
            on_unbind: OnUnbind::NewOrdinary,
            return_ordinary: Permission::Denied,
            change_ordinary: Permission::Denied,
            eips_per_account: Some(20),
            reallocations_per_day: None,
            recycle_bin: WEEK,
        }
    }
}

impl Policy {
    /// EIPs an account may apply for on one day.
    pub fn applications_per_day(&self) -> Option<u32> {
        self.eips_per_account.map(|quota| quota.saturating_mul(2))
    }
}

/// What binding an EIP does to an instance's ordinary public IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnBind {
    /// It goes back to the pool at once.
    ReleaseOrdinary,
    /// The binding is refused until it has been returned.
    Refuse,
}

/// Whether unbinding an EIP assigns an ordinary public IP where the request does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnUnbind {
    /// A new one, where the instance has bandwidth.
    NewOrdinary,
    /// None.
    Nothing,
}

/// Whether users may do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Permission {
    Denied,
    Granted,
}
