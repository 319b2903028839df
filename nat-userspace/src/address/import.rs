//! Many pairs at once, as they come from another gateway: all of them or none.

use std::net::Ipv4Addr;

use super::decide::check_growth;
use super::{
    AccountId, Billing, Capacity, ChargeType, Eip, EipId, EipTerms, Fact, Instance, InstanceId, InstanceState, Ledger,
    Limit, Naming, Refusal, Time, VpcId,
};

/// What a [`Command::ImportPairs`](super::Command::ImportPairs) asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// Who asks, and will own every instance and EIP.
    pub account: AccountId,
    /// In the caller's order, by which refusals name them.
    pub pairs: Vec<NewPair>,
    /// Public bandwidth of each instance in Mbit/s.
    pub bandwidth_mbps: u32,
}

/// A new instance and the public address that shall serve it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPair {
    /// The id the instance shall have.
    pub instance: InstanceId,
    /// The address space of `private`.
    pub vpc: VpcId,
    /// What the instance's network card carries.
    pub private: Ipv4Addr,
    /// A name for the instance, if any. Others may have it too: what another gateway has exported may hold instances that
    /// were made through the API, and those share names.
    pub name: Option<String>,
    /// This very address of a pool.
    pub public: Ipv4Addr,
    /// What the address is to the instance.
    pub public_as: PublicAs,
}

/// What the public address of a [`NewPair`] becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicAs {
    /// The instance's ordinary public IP, which lives and dies with it.
    Ordinary,
    /// The account's EIP of this id, bound to the instance.
    Eip(EipId),
}

impl Ledger {
    /// Refuses the first pair that cannot be, by its index. Quotas are no reason: moving a gateway is the operator's act.
    pub(super) fn import_pairs(&self, import: Import, now: Time, capacity: Capacity) -> Result<Vec<Fact>, Refusal> {
        let refuse = |index| move |refusal| Refusal::Pair { index, refusal: Box::new(refusal) };
        let repetition = first_repetition(&import.pairs);
        let unrepeated = repetition.as_ref().map_or(import.pairs.len(), |(index, _)| *index);
        for (index, pair) in import.pairs[..unrepeated].iter().enumerate() {
            self.check_pair(pair, &import, now).map_err(refuse(index))?;
            check_growth(Limit::Instances, self.instances.len() + index, capacity.instances).map_err(refuse(index))?;
            check_growth(Limit::Pairs, self.association_count() + index, capacity.pairs).map_err(refuse(index))?;
        }
        if let Some((index, refusal)) = repetition {
            return Err(refuse(index)(refusal));
        }
        let Import { account, pairs, bandwidth_mbps } = import;
        let mut facts = Vec::with_capacity(2 * pairs.len());
        for pair in pairs {
            facts.extend(pair.facts(&account, bandwidth_mbps, now));
        }
        Ok(facts)
    }

    fn check_pair(&self, pair: &NewPair, import: &Import, now: Time) -> Result<(), Refusal> {
        let NewPair { instance, vpc, private, name, public, public_as } = pair;
        self.stock.check_free(*public, now)?;
        self.check_new_instance(
            instance,
            &import.account,
            vpc,
            *private,
            name.as_deref().map(|name| (name, Naming::Shared)),
        )?;
        match public_as {
            PublicAs::Ordinary if import.bandwidth_mbps == 0 => {
                Err(Refusal::OrdinaryNeedsBandwidth { address: *public })
            }
            PublicAs::Ordinary => Ok(()),
            PublicAs::Eip(id) => self.check_new_eip(id, None),
        }
    }
}

impl NewPair {
    /// The instance with its public address, and the EIP where that is one.
    fn facts(self, account: &AccountId, bandwidth_mbps: u32, now: Time) -> impl Iterator<Item = Fact> {
        let (ordinary, eip) = match self.public_as {
            PublicAs::Ordinary => (Some(self.public), None),
            PublicAs::Eip(id) => (None, Some(id)),
        };
        let allocated = eip.map(|id| {
            let bound_to = Some(self.instance.clone());
            Fact::EipAllocated(Eip {
                id,
                account: account.clone(),
                address: self.public,
                terms: EipTerms { bandwidth_mbps: bandwidth_mbps.max(1), ..EipTerms::default() },
                bound_to,
                created: now,
            })
        });
        let created = Fact::InstanceCreated(Instance {
            id: self.instance,
            account: account.clone(),
            vpc: self.vpc,
            private: self.private,
            name: self.name,
            bandwidth_mbps,
            charge_type: ChargeType::default(),
            package: None,
            billing: Billing::default(),
            state: InstanceState::Running,
            since: now,
            ordinary,
            last_ordinary: None,
            owed: false,
            created: now,
            detail: None,
        });
        [created].into_iter().chain(allocated)
    }
}

/// The first pair that says again what one before it says and only one can.
fn first_repetition(pairs: &[NewPair]) -> Option<(usize, Refusal)> {
    let eip = |pair| match pair {
        &NewPair { public_as: PublicAs::Eip(ref id), .. } => Some(id),
        NewPair { public_as: PublicAs::Ordinary, .. } => None,
    };
    let public = first_repeated(pairs, |pair| Some(pair.public));
    let private = first_repeated(pairs, |pair| Some((pair.private, &pair.vpc)));
    let instance = first_repeated(pairs, |pair| Some(&pair.instance));
    let eip = first_repeated(pairs, eip);
    let found = [
        public.map(|(index, address)| (index, Refusal::PublicAddressTwice { address })),
        private.map(|(index, (private, vpc))| (index, Refusal::PrivateAddressTwice { private, vpc: vpc.clone() })),
        instance.map(|(index, id)| (index, Refusal::InstanceExists { id: id.clone() })),
        eip.map(|(index, id)| (index, Refusal::EipExists { id: id.clone() })),
    ];
    found.into_iter().flatten().min_by_key(|(index, _)| *index)
}

fn first_repeated<'a, K: Ord>(pairs: &'a [NewPair], key: impl Fn(&'a NewPair) -> Option<K>) -> Option<(usize, K)> {
    let mut keyed: Vec<(K, usize)> =
        pairs.iter().enumerate().filter_map(|(index, pair)| Some((key(pair)?, index))).collect();
    // An import is often in order already, and this sort notices.
    keyed.sort();
    let second = keyed.windows(2).filter(|two| two[0].0 == two[1].0).map(|two| two[1].1).min()?;
    key(&pairs[second]).map(|key| (second, key))
}
