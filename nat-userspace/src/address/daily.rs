//! What an account has used up of what it may have, in all and on one day.

use super::together::Before;
use super::{AccountId, Fact, Ledger, Refusal, Time};

const MILLIS_PER_DAY: u64 = 24 * 3600 * 1000;

/// What is counted by the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Daily {
    /// EIPs applied for.
    Applications,
    /// Ordinary public IPs assigned anew by unbinding and changing.
    Reallocations,
}

/// How often an account did something on the last day it did.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DayCount {
    /// Who.
    pub account: AccountId,
    /// What.
    pub what: Daily,
    /// The day in UTC, counted from 1970-01-01.
    pub day: u64,
    /// How often.
    pub count: u32,
}

/// The day in UTC that a moment belongs to, counted from 1970-01-01.
pub(super) fn day_of(now: Time) -> u64 {
    now.0 / MILLIS_PER_DAY
}

impl Ledger {
    /// EIPs the account has.
    pub fn eips_of_account(&self, account: &AccountId) -> u32 {
        u32::try_from(self.owned(account).map_or(0, |owned| owned.eips.len())).unwrap_or(u32::MAX)
    }

    /// How often the account did this on the present day.
    pub fn used_today(&self, account: &AccountId, what: Daily, now: Time) -> u32 {
        let found = self.days.get(&(account.clone(), what));
        found.filter(|(day, _)| *day == day_of(now)).map_or(0, |(_, count)| *count)
    }

    /// Room for one more EIP.
    pub(super) fn check_eip_quota(&self, account: &AccountId, before: Before<'_>) -> Result<(), Refusal> {
        match self.policy.eips_per_account {
            Some(limit) if self.eips_of_account(account) as usize + before.eips(account) >= limit as usize => {
                Err(Refusal::QuotaReached { account: account.clone(), limit })
            }
            _ => Ok(()),
        }
    }

    /// One more today, as a fact; refused where that is over the limit.
    pub(super) fn count_today(
        &self,
        account: &AccountId,
        what: Daily,
        now: Time,
        before: Before<'_>,
    ) -> Result<Fact, Refusal> {
        let limit = match what {
            Daily::Applications => self.policy.applications_per_day(),
            Daily::Reallocations => self.policy.reallocations_per_day,
        };
        let used = before.counted(account, what).unwrap_or_else(|| self.used_today(account, what, now));
        let day = day_of(now);
        match limit.filter(|limit| used >= *limit) {
            Some(limit) => {
                let until = Time((day + 1).saturating_mul(MILLIS_PER_DAY));
                Err(Refusal::DayLimitReached { account: account.clone(), what, limit, until })
            }
            None => {
                Ok(Fact::DayCounted(DayCount { account: account.clone(), what, day, count: used.saturating_add(1) }))
            }
        }
    }
}
