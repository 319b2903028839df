//! The life of an instance: started, stopped, terminated at once or by way of the recycle bin, renewed, expired.

use std::time::Duration;

use super::decide::{check_growth, given_up};
use super::together::Before;
use super::token::TOKEN_LIFE;
use super::{
    AccountId, Billing, Capacity, Fact, Instance, InstanceId, InstanceState, Ledger, Limit, Refusal, StopMode, Time,
};

impl Ledger {
    pub(super) fn start_instance(
        &self,
        account: &AccountId,
        id: &InstanceId,
        now: Time,
        capacity: Capacity,
        before: Before<'_>,
    ) -> Result<Vec<Fact>, Refusal> {
        let instance = self.owned_instance(account, id)?;
        match instance.state {
            InstanceState::Running => return Err(wrong_state(instance, "be started", "there is nothing to do")),
            InstanceState::Shutdown => return Err(wrong_state(instance, "be started", "renew it first")),
            InstanceState::Pending | InstanceState::Stopped(_) => {}
        }
        let mut facts = vec![moved(instance, InstanceState::Running, false, now)];
        if instance.owed && instance.bandwidth_mbps > 0 && self.eip_of(id).is_none() {
            check_growth(Limit::Pairs, self.association_count() + before.pairs(), capacity.pairs)?;
            let former = instance.last_ordinary;
            let Some(address) = self.next_free(now, former, before) else {
                let next_free = self.stock.next_rested(now, former);
                return Err(Refusal::NoAddressToStart { instance: id.clone(), next_free });
            };
            facts.push(Fact::OrdinaryAssigned { instance: id.clone(), address });
        }
        Ok(facts)
    }

    pub(super) fn stop_instance(
        &self,
        account: &AccountId,
        id: &InstanceId,
        mode: StopMode,
        now: Time,
    ) -> Result<Vec<Fact>, Refusal> {
        let instance = self.owned_instance(account, id)?;
        match (instance.state, instance.billing, mode) {
            (InstanceState::Running, Billing::Prepaid { .. }, StopMode::StopCharging) => {
                Err(Refusal::PrepaidStop { instance: id.clone() })
            }
            (InstanceState::Running, _, StopMode::KeepCharging) => {
                Ok(vec![moved(instance, InstanceState::Stopped(mode), instance.owed, now)])
            }
            (InstanceState::Running, _, StopMode::StopCharging) => {
                let owed = instance.ordinary.is_some();
                let stopped = moved(instance, InstanceState::Stopped(mode), owed, now);
                Ok(given_up(instance, now).into_iter().chain([stopped]).collect())
            }
            (InstanceState::Stopped(present), ..) if present == mode => {
                Err(wrong_state(instance, "be stopped", "there is nothing to do"))
            }
            (InstanceState::Shutdown, ..) => Err(wrong_state(instance, "be stopped", "there is nothing to do")),
            (InstanceState::Stopped(_) | InstanceState::Pending, ..) => {
                Err(wrong_state(instance, "be stopped", "start it first"))
            }
        }
    }

    /// Never refused. What is prepaid goes to the recycle bin the first time.
    pub(super) fn terminate_instance(
        &self,
        account: &AccountId,
        id: &InstanceId,
        now: Time,
    ) -> Result<Vec<Fact>, Refusal> {
        let instance = self.owned_instance(account, id)?;
        Ok(match instance.billing {
            Billing::Prepaid { .. } if instance.state != InstanceState::Shutdown => self.shut_down(instance, now),
            _ => self.destroy(instance, now),
        })
    }

    pub(super) fn renew_instance(
        &self,
        account: &AccountId,
        id: &InstanceId,
        period: Duration,
        now: Time,
    ) -> Result<Vec<Fact>, Refusal> {
        let instance = self.owned_instance(account, id)?;
        let Billing::Prepaid { until } = instance.billing else {
            return Err(Refusal::NotPrepaid { instance: id.clone() });
        };
        check_period(period)?;
        let renewed = Fact::InstanceRenewed { instance: id.clone(), until: until.max(now).after(period) };
        let stopped = InstanceState::Stopped(StopMode::KeepCharging);
        let back = (instance.state == InstanceState::Shutdown).then(|| moved(instance, stopped, instance.owed, now));
        Ok([renewed].into_iter().chain(back).collect())
    }

    /// Everything whose time has come: prepaid instances that were not renewed, instances that were in the recycle bin
    /// long enough, and client tokens that are forgotten.
    pub(super) fn expire(&self, now: Time) -> Vec<Fact> {
        let due = self.due.iter().take_while(|(at, _)| *at <= now);
        let instances = due.filter_map(|(_, id)| self.instances.get(id));
        let mut facts: Vec<Fact> = instances
            .flat_map(|instance| match instance.state {
                InstanceState::Shutdown => self.destroy(instance, now),
                _ => self.shut_down(instance, now),
            })
            .collect();
        let forgotten = self.tokens_by_age.iter().take_while(|(at, ..)| at.after(TOKEN_LIFE) <= now);
        facts.extend(
            forgotten
                .map(|(_, account, token)| Fact::TokenForgotten { account: account.clone(), token: token.clone() }),
        );
        facts
    }

    /// When [`Command::Expire`](super::Command::Expire) has something to do next.
    pub fn next_due(&self) -> Option<Time> {
        let instance = self.due.first().map(|(at, _)| *at);
        let token = self.tokens_by_age.first().map(|(at, ..)| at.after(TOKEN_LIFE));
        instance.into_iter().chain(token).min()
    }

    /// When an instance expires, or leaves the recycle bin for good.
    pub fn due_of(&self, instance: &Instance) -> Option<Time> {
        match (instance.state, instance.billing) {
            (InstanceState::Shutdown, _) => Some(instance.since.after(self.policy.recycle_bin)),
            (_, Billing::Prepaid { until }) => Some(until),
            (_, Billing::Postpaid) => None,
        }
    }

    /// Into the recycle bin: it gives up what a terminated one does, but can be brought back.
    fn shut_down(&self, instance: &Instance, now: Time) -> Vec<Fact> {
        let unbound = self.unbound_from(&instance.id);
        let owed = instance.owed || instance.ordinary.is_some() || unbound.is_some();
        let moved = moved(instance, InstanceState::Shutdown, owed, now);
        given_up(instance, now).into_iter().chain(unbound).chain([moved]).collect()
    }

    fn destroy(&self, instance: &Instance, now: Time) -> Vec<Fact> {
        let terminated = Fact::InstanceTerminated { instance: instance.id.clone() };
        given_up(instance, now).into_iter().chain(self.unbound_from(&instance.id)).chain([terminated]).collect()
    }

    fn unbound_from(&self, instance: &InstanceId) -> Option<Fact> {
        self.eip_of(instance).map(|eip| Fact::EipUnbound { eip: eip.id.clone(), instance: instance.clone() })
    }
}

/// The instance in another state. It is owed an ordinary public IP by the next start or not.
pub(super) fn moved(instance: &Instance, state: InstanceState, owed: bool, at: Time) -> Fact {
    Fact::InstanceMoved { instance: instance.id.clone(), state, owed, at }
}

pub(super) fn wrong_state(instance: &Instance, deed: &'static str, remedy: &'static str) -> Refusal {
    Refusal::WrongState { instance: instance.id.clone(), state: instance.state, deed, remedy }
}

/// A century is more than anybody pays for, and times stay far from the last there is.
pub(super) fn check_period(period: Duration) -> Result<(), Refusal> {
    const LONGEST: Duration = Duration::from_secs(100 * 366 * 24 * 3600);
    if period.is_zero() || period > LONGEST { Err(Refusal::PeriodUnusable) } else { Ok(()) }
}
