//! Several commands that are carried out together or not at all.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::{
    AccountId, Capacity, ClientToken, Command, Daily, EipId, Fact, InstanceId, Ledger, Made, Refusal, Time, UsedToken,
    VpcId,
};

/// What a [`Command::Together`] asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Together {
    /// Each about an object of its own, or about another side of one. One that is said twice is carried out once.
    pub commands: Vec<Command>,
    /// Makes it safe to ask again.
    pub token: Option<Retry>,
}

/// A client token, with the words that it stands for: asked again with the same words, nothing is made twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Whose it is.
    pub account: AccountId,
    /// The token.
    pub token: ClientToken,
    /// What was asked.
    pub request: String,
}

impl Together {
    /// Without a token.
    pub fn new(commands: Vec<Command>) -> Self {
        Together { commands, token: None }
    }

    /// What this will leave, if it has a token and makes anything.
    pub(super) fn leaves(&self, now: Time) -> Option<UsedToken> {
        let Retry { account, token, request } = self.token.clone()?;
        let instances: Vec<InstanceId> = self.commands.iter().filter_map(created).collect();
        let eips: Vec<EipId> = self.commands.iter().filter_map(allocated).collect();
        let made = if eips.is_empty() { Made::of_instances(instances) } else { Made::of_eips(eips) }?;
        Some(UsedToken { account, token, request, made, at: now })
    }
}

fn created(command: &Command) -> Option<InstanceId> {
    match command {
        Command::CreateInstance(new) => Some(new.id.clone()),
        _ => None,
    }
}

fn allocated(command: &Command) -> Option<EipId> {
    match command {
        Command::AllocateEip(new) => Some(new.id.clone()),
        _ => None,
    }
}

/// What commands decided before this one, and carried out together with it, will have used up.
#[derive(Clone, Copy, Default)]
pub(super) struct Before<'a>(&'a [Fact]);

impl Before<'_> {
    /// The addresses taken out of the pool.
    pub(super) fn taken(self) -> BTreeSet<Ipv4Addr> {
        let taken = |fact: &Fact| match fact {
            Fact::OrdinaryAssigned { address, .. } => Some(*address),
            Fact::EipAllocated(eip) => Some(eip.address),
            _ => None,
        };
        self.0.iter().filter_map(taken).collect()
    }

    pub(super) fn instances(self) -> usize {
        self.0.iter().filter(|fact| matches!(fact, Fact::InstanceCreated(_))).count()
    }

    /// Associations that there will be more. Those that end are not taken off: they may be other pairs' room only later.
    pub(super) fn pairs(self) -> usize {
        self.0.iter().filter(|fact| matches!(fact, Fact::OrdinaryAssigned { .. } | Fact::EipBound { .. })).count()
    }

    /// EIPs that the account will have more.
    pub(super) fn eips(self, account: &AccountId) -> usize {
        let is_new = |fact: &&Fact| matches!(fact, Fact::EipAllocated(eip) | Fact::OrdinaryConverted { eip, .. } if eip.account == *account);
        self.0.iter().filter(is_new).count()
    }

    /// What was counted for the day already.
    pub(super) fn counted(self, account: &AccountId, what: Daily) -> Option<u32> {
        self.0.iter().rev().find_map(|fact| match fact {
            Fact::DayCounted(counted) if counted.account == *account && counted.what == what => Some(counted.count),
            _ => None,
        })
    }

    pub(super) fn creates(self, id: &InstanceId) -> bool {
        self.0.iter().any(|fact| matches!(fact, Fact::InstanceCreated(new) if new.id == *id))
    }

    pub(super) fn allocates(self, id: &EipId) -> bool {
        self.0.iter().any(|fact| matches!(fact, Fact::EipAllocated(new) if new.id == *id))
    }

    pub(super) fn names(self, account: &AccountId, name: &str) -> bool {
        let names = |fact: &Fact| matches!(fact, Fact::InstanceCreated(new) if new.account == *account && new.name.as_deref() == Some(name));
        self.0.iter().any(names)
    }

    pub(super) fn carries(self, vpc: &VpcId, private: Ipv4Addr) -> bool {
        let carries =
            |fact: &Fact| matches!(fact, Fact::InstanceCreated(new) if new.private == private && new.vpc == *vpc);
        self.0.iter().any(carries)
    }
}

impl Ledger {
    pub(super) fn decide_together(
        &self,
        commands: Vec<Command>,
        now: Time,
        capacity: Capacity,
    ) -> Result<Vec<Fact>, Refusal> {
        let mut facts = Vec::with_capacity(2 * commands.len());
        let mut seen: Vec<Command> = Vec::with_capacity(commands.len());
        for command in commands {
            if seen.contains(&command) {
                continue;
            }
            seen.push(command.clone());
            let more = self.decide_after(command, now, capacity, Before(&facts))?;
            facts.extend(more);
        }
        Ok(facts)
    }
}
