//! Bandwidth packages: a total that many addresses share.

use std::fmt;

use super::decide::check_name;
use super::ranked::Ranked;
use super::{
    AccountId, ChargeType, EipId, EipTerms, Fact, InstanceId, Ledger, PackageDetail, PackageId, Refusal, Time,
};

/// A total of bandwidth that its members share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Unique over all accounts.
    pub id: PackageId,
    /// The owner, who also owns every member.
    pub account: AccountId,
    /// For people; neither unique nor a way to find the package.
    pub name: Option<String>,
    /// In Mbit/s; none is no limit.
    pub bandwidth_mbps: Option<u32>,
    /// When it was created.
    pub created: Time,
    /// What is remembered of it, where anything is.
    pub detail: Option<Box<PackageDetail>>,
}

/// Who shares a package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Member {
    /// An instance, for its ordinary public IP.
    Instance(InstanceId),
    /// An EIP.
    Eip(EipId),
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Member::Instance(instance) => write!(f, "instance {instance}"),
            Member::Eip(eip) => write!(f, "EIP {eip}"),
        }
    }
}

impl Ledger {
    /// Every package, by id.
    pub fn packages(&self) -> impl ExactSizeIterator<Item = &Package> {
        self.packages.values()
    }

    /// The package with this id, whoever owns it.
    pub fn package(&self, id: &PackageId) -> Option<&Package> {
        self.packages.get(id)
    }

    /// How many share a package.
    pub fn member_count(&self, package: &PackageId) -> usize {
        self.members.get(package).map_or(0, Ranked::len)
    }

    /// Who shares a package, in order, from the n-th on.
    pub fn members_from(&self, package: &PackageId, rank: usize) -> impl Iterator<Item = &Member> {
        self.members.get(package).into_iter().flat_map(move |members| members.from(rank))
    }

    /// The account's package with this id.
    pub fn find_package(&self, account: &AccountId, selector: &str) -> Result<&Package, Refusal> {
        let owned = self.packages.get(selector).filter(|package| package.account == *account);
        owned.ok_or_else(|| Refusal::UnknownPackage { selector: selector.to_string(), account: account.clone() })
    }

    /// The account's EIP or instance with this id, name or address, as a member to be.
    pub fn find_member(&self, account: &AccountId, selector: &str) -> Result<Member, Refusal> {
        match self.find_eip(account, selector) {
            Ok(eip) => return Ok(Member::Eip(eip.id.clone())),
            Err(Refusal::OrdinaryAddress { instance, .. }) => return Ok(Member::Instance(instance)),
            Err(_) => {}
        }
        match self.find_instance(account, selector, None) {
            Ok(instance) => Ok(Member::Instance(instance.id.clone())),
            Err(Refusal::UnknownInstance { .. }) => {
                Err(Refusal::UnknownMember { selector: selector.to_string(), account: account.clone() })
            }
            Err(refusal) => Err(refusal),
        }
    }

    pub(super) fn create_package(&self, package: Package) -> Result<Vec<Fact>, Refusal> {
        package.name.as_deref().map_or(Ok(()), check_name)?;
        if package.bandwidth_mbps == Some(0) {
            return Err(Refusal::BandwidthNeeded);
        }
        if self.packages.contains_key(&package.id) {
            return Err(Refusal::PackageExists { id: package.id });
        }
        Ok(vec![Fact::PackageCreated(package)])
    }

    pub(super) fn delete_package(&self, account: &AccountId, id: &PackageId) -> Result<Vec<Fact>, Refusal> {
        let package = self.find_package(account, id.as_str())?;
        let members = self.member_count(id);
        match self.members_from(id, 0).next() {
            Some(one) => Err(Refusal::PackageInUse { package: id.clone(), members, one: one.clone() }),
            None => Ok(vec![Fact::PackageDeleted { package: package.id.clone() }]),
        }
    }

    pub(super) fn add_member(
        &self,
        account: &AccountId,
        package: &PackageId,
        member: Member,
    ) -> Result<Vec<Fact>, Refusal> {
        let package = self.find_package(account, package.as_str())?.id.clone();
        let present = self.package_of(account, &member)?;
        match present {
            Some(present) if present == package => Err(Refusal::IsMember { member, package }),
            Some(present) => Err(Refusal::MemberElsewhere { member, package: present }),
            None => Ok(vec![self.joined(member, Some(package))]),
        }
    }

    pub(super) fn remove_member(
        &self,
        account: &AccountId,
        package: &PackageId,
        member: Member,
    ) -> Result<Vec<Fact>, Refusal> {
        let package = self.find_package(account, package.as_str())?.id.clone();
        match self.package_of(account, &member)? {
            Some(present) if present == package => Ok(vec![self.joined(member, None)]),
            _ => Err(Refusal::NoMember { member, package }),
        }
    }

    fn package_of(&self, account: &AccountId, member: &Member) -> Result<Option<PackageId>, Refusal> {
        Ok(match member {
            Member::Instance(id) => self.owned_instance(account, id)?.package.clone(),
            Member::Eip(id) => self.owned_eip(account, id)?.terms.package.clone(),
        })
    }

    /// A known member's terms in a package, or out of any: then it is charged by traffic, as the cloud's API does, and has no
    /// more bandwidth than goes with that.
    fn joined(&self, member: Member, package: Option<PackageId>) -> Fact {
        let charge_type = match package {
            Some(_) => ChargeType::BandwidthPackage,
            None => ChargeType::TrafficPostpaidByHour,
        };
        match member {
            Member::Instance(id) => {
                let bandwidth_mbps = self.instances[&id].bandwidth_mbps.min(charge_type.most_mbps());
                Fact::InstanceTerms { instance: id, bandwidth_mbps, charge_type, package }
            }
            Member::Eip(id) => {
                let mut terms = EipTerms { package, ..self.eips[&id].terms.clone() };
                terms.charge(charge_type, None);
                terms.bandwidth_mbps = terms.bandwidth_mbps.min(charge_type.most_mbps());
                Fact::EipChanged { eip: id, terms }
            }
        }
    }
}
