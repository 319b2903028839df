//! Why a command was refused: one sentence for people, a code for programs.

use std::error::Error;
use std::fmt;
use std::net::Ipv4Addr;

use super::{
    AccountId, ChargeType, ClientToken, Daily, EipId, Holder, InstanceId, InstanceState, Made, Member, PackageId,
    PoolError, Prefix, Time, VpcId,
};

/// What to make of a refusal without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusalKind {
    /// The object does not exist, or not for this account.
    NotFound,
    /// The present state does not permit it.
    Conflict,
    /// It could never be done as asked.
    Invalid,
    /// Something has run out.
    Exhausted,
}

/// Why a pool address is not handed out although nobody holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exclusion {
    /// It is excluded by the configuration, or the network's, the broadcast or the gateway's own address.
    Withheld,
    /// Another host on the link answers for it.
    Duplicate,
    /// An operator has taken it out of service.
    Fenced,
    /// Its range drains.
    Draining,
}

/// What the packet path's maps are full of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Instances, with a public address or without.
    Instances,
    /// Associations: instances with a public address.
    Pairs,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Limit::Instances => "instances",
            Limit::Pairs => "instances with a public address",
        })
    }
}

/// Why a command was refused. A refused command has changed nothing.
#[expect(missing_docs, reason = "the fields are the objects the sentence below names")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such instance in the account.
    UnknownInstance { selector: String, account: AccountId, vpc: Option<VpcId> },
    /// No such EIP in the account.
    UnknownEip { selector: String, account: AccountId },
    /// The private address is used in several VPCs.
    AmbiguousInstance { private: Ipv4Addr, vpcs: [VpcId; 2] },
    /// Several instances of the account have the name.
    AmbiguousName { name: String, instances: [InstanceId; 2] },
    /// An ordinary public IP was given where an EIP is needed.
    OrdinaryAddress { address: Ipv4Addr, instance: InstanceId },
    /// The id for a new instance is in use: make another.
    InstanceExists { id: InstanceId },
    /// The id for a new EIP is in use: make another.
    EipExists { id: EipId },
    /// The private address is in use in this VPC. The holder is told to its own account only.
    PrivateAddressTaken { private: Ipv4Addr, vpc: VpcId, holder: Option<InstanceId> },
    /// No instance can carry this address.
    PrivateAddressUnusable { private: Ipv4Addr, purpose: &'static str },
    /// The private address lies in a public range.
    PrivateAddressInPool { private: Ipv4Addr, pool: Prefix },
    /// The name is not one an object can have.
    NameInvalid { name: String, problem: &'static str },
    /// Another instance of the account has this name.
    NameTaken { name: String, holder: InstanceId },
    /// The address lies in no pool.
    NotInPool { address: Ipv4Addr },
    /// Somebody holds the address.
    AddressTaken { address: Ipv4Addr },
    /// The address is never handed out, or not now.
    Excluded { address: Ipv4Addr, reason: Exclusion },
    /// The address was released too short a time ago.
    CoolingDown { address: Ipv4Addr, until: Time },
    /// No address is free.
    PoolExhausted { next_free: Option<Time> },
    /// No address is free for the ordinary public IP due on unbinding.
    NoAddressToReallocate { eip: EipId, instance: InstanceId, next_free: Option<Time> },
    /// A new ordinary public IP was demanded for an instance without bandwidth.
    NoBandwidth { eip: EipId, instance: InstanceId },
    /// The EIP to bind is bound, to `instance`, which may be the very one asked for.
    EipAlreadyBound { eip: EipId, instance: InstanceId, asked: InstanceId },
    /// The instance has an EIP.
    InstanceHasEip { instance: InstanceId, eip: EipId },
    /// The EIP to unbind is not bound.
    EipNotBound { eip: EipId },
    /// The EIP to release is bound.
    EipBound { eip: EipId, instance: InstanceId },
    /// The packet path's maps are full.
    CapacityReached { what: Limit, limit: usize },
    /// One of the pairs of an import, counted from 0, is refused, and so are all.
    Pair { index: usize, refusal: Box<Refusal> },
    /// Two pairs of an import have one public address.
    PublicAddressTwice { address: Ipv4Addr },
    /// Two pairs of an import have one private address of one VPC.
    PrivateAddressTwice { private: Ipv4Addr, vpc: VpcId },
    /// Two pairs of an import have one name.
    NameTwice { name: String },
    /// An address was given as an ordinary public IP to an instance without bandwidth.
    OrdinaryNeedsBandwidth { address: Ipv4Addr },
    /// No such package in the account.
    UnknownPackage { selector: String, account: AccountId },
    /// Neither an EIP nor an instance of the account.
    UnknownMember { selector: String, account: AccountId },
    /// The id for a new package is in use: make another.
    PackageExists { id: PackageId },
    /// The package to delete has members.
    PackageInUse { package: PackageId, members: usize, one: Member },
    /// It shares this package already.
    IsMember { member: Member, package: PackageId },
    /// It shares another package.
    MemberElsewhere { member: Member, package: PackageId },
    /// It does not share this package.
    NoMember { member: Member, package: PackageId },
    /// Who shares a package is charged by it and by nothing else.
    PackageChargeType { package: PackageId, charge_type: ChargeType },
    /// What is charged by a package shares one.
    PackageNeeded,
    /// There is not so much bandwidth where it is charged so.
    BandwidthOutOfRange { mbps: u32, charge_type: ChargeType },
    /// How the EIP is charged was changed as often as it may be.
    ChargeChangesSpent { eip: EipId, limit: u32 },
    /// The instance's state does not permit it.
    WrongState { instance: InstanceId, state: InstanceState, deed: &'static str, remedy: &'static str },
    /// A prepaid instance is paid for while it is off.
    PrepaidStop { instance: InstanceId },
    /// Only what is prepaid is renewed.
    NotPrepaid { instance: InstanceId },
    /// Paying in advance for no time, or without end.
    PeriodUnusable,
    /// An EIP or a package without bandwidth.
    BandwidthNeeded,
    /// Without bandwidth the instance could not keep its ordinary public IP.
    BandwidthCarriesAddress { instance: InstanceId, address: Ipv4Addr },
    /// No address is free for the ordinary public IP due on starting.
    NoAddressToStart { instance: InstanceId, next_free: Option<Time> },
    /// No address is free to change the ordinary public IP for.
    NoAddressToChange { instance: InstanceId, address: Ipv4Addr, next_free: Option<Time> },
    /// The instance has no ordinary public IP.
    NoOrdinary { instance: InstanceId },
    /// The policy does not let users return ordinary public IPs.
    ReturnDenied { instance: InstanceId, address: Ipv4Addr },
    /// The policy does not let users change ordinary public IPs.
    ChangeDenied { instance: InstanceId, address: Ipv4Addr },
    /// The policy wants the ordinary public IP returned before an EIP is bound.
    InstanceHasOrdinary { instance: InstanceId, address: Ipv4Addr },
    /// The EIP to bind is blocked.
    EipBlocked { eip: EipId },
    /// The EIP to bind is not paid for.
    EipInArrears { eip: EipId },
    /// The account has all the EIPs it may have.
    QuotaReached { account: AccountId, limit: u32 },
    /// The account did today what it may do in a day.
    DayLimitReached { account: AccountId, what: Daily, limit: u32, until: Time },
    /// The client token stands for another request.
    TokenUsed { token: ClientToken, made: Made },
    /// What the client token stands for is no more.
    TokenSpent { token: ClientToken, made: Made },
    /// The reason given is not one that can be kept.
    ReasonInvalid { problem: &'static str },
    /// The address to fence is fenced.
    AlreadyFenced { address: Ipv4Addr, since: Time, reason: Option<String> },
    /// The address to unfence is not fenced.
    NotFenced { address: Ipv4Addr },
    /// No range has just this prefix.
    UnknownPool { pool: Prefix },
    /// The range to add is there and serves.
    PoolExists { pool: Prefix },
    /// The range cannot be a pool, or not beside those that are.
    PoolRefused(PoolError),
    /// An instance carries an address of the range as its private one.
    PoolHoldsInstance { pool: Prefix, private: Ipv4Addr, instance: InstanceId },
    /// The range to drain drains.
    PoolDraining { pool: Prefix },
    /// Addresses of the range to remove are held; the first holders are named.
    PoolInUse { pool: Prefix, held: usize, holders: Vec<(Ipv4Addr, Holder)> },
}

impl Refusal {
    /// The rough kind, as for an exit status.
    pub fn kind(&self) -> RefusalKind {
        self.classify().0
    }

    /// A name that stays the same from version to version.
    pub fn code(&self) -> &'static str {
        self.classify().1
    }

    fn classify(&self) -> (RefusalKind, &'static str) {
        use RefusalKind::{Conflict, Exhausted, Invalid, NotFound};
        match self {
            Refusal::UnknownInstance { .. } => (NotFound, "unknown-instance"),
            Refusal::UnknownEip { .. } => (NotFound, "unknown-eip"),
            Refusal::AmbiguousInstance { .. } => (Invalid, "ambiguous-instance"),
            Refusal::AmbiguousName { .. } => (Invalid, "ambiguous-name"),
            Refusal::OrdinaryAddress { .. } => (Conflict, "ordinary-address"),
            Refusal::InstanceExists { .. } => (Conflict, "instance-exists"),
            Refusal::EipExists { .. } => (Conflict, "eip-exists"),
            Refusal::PrivateAddressTaken { .. } => (Conflict, "private-address-taken"),
            Refusal::PrivateAddressUnusable { .. } => (Invalid, "private-address-unusable"),
            Refusal::PrivateAddressInPool { .. } => (Invalid, "private-address-in-pool"),
            Refusal::NameInvalid { .. } => (Invalid, "name-invalid"),
            Refusal::NameTaken { .. } => (Conflict, "name-taken"),
            Refusal::NotInPool { .. } => (Invalid, "not-in-pool"),
            Refusal::AddressTaken { .. } => (Conflict, "address-taken"),
            Refusal::Excluded { .. } => (Conflict, "address-excluded"),
            Refusal::CoolingDown { .. } => (Conflict, "address-cooling-down"),
            Refusal::PoolExhausted { .. } => (Exhausted, "pool-exhausted"),
            Refusal::NoAddressToReallocate { .. } => (Exhausted, "no-address-to-reallocate"),
            Refusal::NoBandwidth { .. } => (Conflict, "no-bandwidth"),
            Refusal::EipAlreadyBound { .. } => (Conflict, "eip-already-bound"),
            Refusal::InstanceHasEip { .. } => (Conflict, "instance-has-eip"),
            Refusal::EipNotBound { .. } => (Conflict, "eip-not-bound"),
            Refusal::EipBound { .. } => (Conflict, "eip-bound"),
            Refusal::CapacityReached { .. } => (Exhausted, "capacity-reached"),
            Refusal::Pair { refusal, .. } => refusal.classify(),
            Refusal::PublicAddressTwice { .. } => (Invalid, "public-address-twice"),
            Refusal::PrivateAddressTwice { .. } => (Invalid, "private-address-twice"),
            Refusal::NameTwice { .. } => (Invalid, "name-twice"),
            Refusal::OrdinaryNeedsBandwidth { .. } => (Invalid, "ordinary-needs-bandwidth"),
            Refusal::UnknownPackage { .. } => (NotFound, "unknown-package"),
            Refusal::UnknownMember { .. } => (NotFound, "unknown-member"),
            Refusal::PackageExists { .. } => (Conflict, "package-exists"),
            Refusal::PackageInUse { .. } => (Conflict, "package-in-use"),
            Refusal::IsMember { .. } => (Conflict, "is-member"),
            Refusal::MemberElsewhere { .. } => (Conflict, "member-elsewhere"),
            Refusal::NoMember { .. } => (Conflict, "no-member"),
            Refusal::PackageChargeType { .. } => (Conflict, "package-charge-type"),
            Refusal::PackageNeeded => (Invalid, "package-needed"),
            Refusal::BandwidthOutOfRange { .. } => (Invalid, "bandwidth-out-of-range"),
            Refusal::ChargeChangesSpent { .. } => (Exhausted, "charge-changes-spent"),
            Refusal::WrongState { .. } => (Conflict, "instance-state"),
            Refusal::PrepaidStop { .. } => (Conflict, "prepaid-stop"),
            Refusal::NotPrepaid { .. } => (Conflict, "not-prepaid"),
            Refusal::PeriodUnusable => (Invalid, "period-unusable"),
            Refusal::BandwidthNeeded => (Invalid, "bandwidth-needed"),
            Refusal::BandwidthCarriesAddress { .. } => (Conflict, "bandwidth-carries-address"),
            Refusal::NoAddressToStart { .. } => (Exhausted, "no-address-to-start"),
            Refusal::NoAddressToChange { .. } => (Exhausted, "no-address-to-change"),
            Refusal::NoOrdinary { .. } => (Conflict, "no-ordinary-address"),
            Refusal::ReturnDenied { .. } => (Conflict, "return-denied"),
            Refusal::ChangeDenied { .. } => (Conflict, "change-denied"),
            Refusal::InstanceHasOrdinary { .. } => (Conflict, "instance-has-ordinary-address"),
            Refusal::EipBlocked { .. } => (Conflict, "eip-blocked"),
            Refusal::EipInArrears { .. } => (Conflict, "eip-in-arrears"),
            Refusal::QuotaReached { .. } => (Exhausted, "eip-quota-reached"),
            Refusal::DayLimitReached { .. } => (Exhausted, "day-limit-reached"),
            Refusal::TokenUsed { .. } => (Conflict, "token-used"),
            Refusal::TokenSpent { .. } => (Conflict, "token-spent"),
            Refusal::ReasonInvalid { .. } => (Invalid, "reason-invalid"),
            Refusal::AlreadyFenced { .. } => (Conflict, "already-fenced"),
            Refusal::NotFenced { .. } => (Conflict, "not-fenced"),
            Refusal::UnknownPool { .. } => (NotFound, "unknown-pool"),
            Refusal::PoolExists { .. } => (Conflict, "pool-exists"),
            Refusal::PoolRefused(PoolError::Overlap { .. }) => (Conflict, "pool-overlaps"),
            Refusal::PoolRefused(PoolError::Reserved { .. }) => (Invalid, "pool-reserved"),
            Refusal::PoolRefused(PoolError::NotOnLink { .. }) => (Invalid, "pool-not-on-link"),
            Refusal::PoolRefused(PoolError::NoMembers { .. }) => (Invalid, "pool-without-members"),
            Refusal::PoolHoldsInstance { .. } => (Conflict, "pool-holds-instance"),
            Refusal::PoolDraining { .. } => (Conflict, "pool-draining"),
            Refusal::PoolInUse { .. } => (Conflict, "pool-in-use"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::UnknownInstance { selector, account, vpc: None } => {
                write!(f, "there is no instance {selector:?} in account {account}")
            }
            Refusal::UnknownInstance { selector, account, vpc: Some(vpc) } => {
                write!(f, "there is no instance {selector:?} in VPC {vpc} of account {account}")
            }
            Refusal::UnknownEip { selector, account } => {
                write!(f, "there is no EIP {selector:?} in account {account}")
            }
            Refusal::AmbiguousName { name, instances: [one, other] } => {
                write!(f, "several instances have the name {name:?}, among them {one} and {other}; give the id")
            }
            Refusal::AmbiguousInstance { private, vpcs: [one, other] } => {
                write!(f, "private address {private} is used in several VPCs, among them {one} and {other}; ")?;
                write!(f, "choose one with `--vpc`")
            }
            Refusal::OrdinaryAddress { address, instance } => {
                write!(f, "{address} is the ordinary public IP of instance {instance}; it lives and dies with the ")?;
                write!(f, "instance and cannot be bound, unbound or released")
            }
            Refusal::InstanceExists { id } => write!(f, "instance id {id} is in use; choose another"),
            Refusal::EipExists { id } => write!(f, "EIP id {id} is in use; choose another"),
            Refusal::PrivateAddressTaken { private, vpc, holder } => {
                write!(f, "private address {private} is in use in VPC {vpc}")?;
                if let Some(holder) = holder {
                    write!(f, " by instance {holder}")?;
                }
                write!(f, "; choose another")
            }
            Refusal::PrivateAddressUnusable { private, purpose } => {
                write!(f, "{private} cannot be an instance's private address: it is reserved ({purpose})")
            }
            Refusal::PrivateAddressInPool { private, pool } => {
                write!(f, "{private} cannot be an instance's private address: it lies in the public pool {pool}")
            }
            Refusal::NameInvalid { name, problem } => write!(f, "{name:?} cannot be a name: it {problem}"),
            Refusal::NameTaken { name, holder } => {
                write!(f, "the name {name:?} is in use by instance {holder}; choose another")
            }
            Refusal::NotInPool { address } => {
                write!(f, "address {address} lies in no pool; `eipgate pool list` shows the pools")
            }
            Refusal::AddressTaken { address } => {
                write!(f, "address {address} is in use; choose another or let the pool choose")
            }
            Refusal::Excluded { address, reason: Exclusion::Withheld } => {
                write!(f, "address {address} is excluded from its pool; choose another or let the pool choose")
            }
            Refusal::Excluded { address, reason: Exclusion::Duplicate } => {
                write!(f, "address {address} is set aside because another host on the link answers for it; ")?;
                write!(f, "choose another or let the pool choose")
            }
            Refusal::Excluded { address, reason: Exclusion::Fenced } => {
                write!(f, "address {address} is fenced; choose another, let the pool choose, or unfence it with ")?;
                write!(f, "`eipgate address unfence {address}`")
            }
            Refusal::Excluded { address, reason: Exclusion::Draining } => {
                write!(f, "address {address} lies in a pool that drains; choose another or let the pool choose")
            }
            Refusal::CoolingDown { address, until } => {
                write!(f, "address {address} was released a short time ago and is not free until {until}; ")?;
                write!(f, "wait, choose another or let the pool choose")
            }
            Refusal::PoolExhausted { next_free } => {
                write!(f, "the pool has no free public address; {}", Remedy(*next_free))
            }
            Refusal::NoAddressToReallocate { eip, instance, next_free } => {
                write!(
                    f,
                    "EIP {eip} stays bound because the pool has no free address for the new ordinary public IP "
                )?;
                write!(f, "of instance {instance}; {}, or unbind with `--reallocate no`", Remedy(*next_free))
            }
            Refusal::NoBandwidth { eip, instance } => {
                write!(f, "EIP {eip} stays bound because instance {instance} has bandwidth 0 and so never gets an ")?;
                write!(f, "ordinary public IP; unbind without `--reallocate yes`")
            }
            Refusal::EipAlreadyBound { eip, instance, asked } if instance == asked => {
                write!(f, "EIP {eip} is already bound to this same instance {instance}; there is nothing to do")
            }
            Refusal::EipAlreadyBound { eip, instance, .. } => {
                write!(f, "EIP {eip} is already bound to instance {instance}; unbind it first")
            }
            Refusal::InstanceHasEip { instance, eip } => {
                write!(f, "instance {instance} already has EIP {eip}; unbind that one first")
            }
            Refusal::EipNotBound { eip } => write!(f, "EIP {eip} is not bound to any instance; there is nothing to do"),
            Refusal::EipBound { eip, instance } => {
                write!(f, "EIP {eip} cannot be released while it is bound to instance {instance}; unbind it first")
            }
            Refusal::CapacityReached { what, limit } => {
                write!(f, "the gateway is full: its maps hold {limit} {what}; raise the limit or remove some")
            }
            Refusal::Pair { index, refusal } => write!(f, "pair {index}: {refusal}"),
            Refusal::PublicAddressTwice { address } => {
                write!(f, "public address {address} is given twice; it can serve one instance only, so remove one")
            }
            Refusal::PrivateAddressTwice { private, vpc } => {
                write!(
                    f,
                    "private address {private} of VPC {vpc} is given twice; an instance has one public address, "
                )?;
                write!(f, "so remove one")
            }
            Refusal::NameTwice { name } => write!(f, "the name {name:?} is given twice; choose another"),
            Refusal::OrdinaryNeedsBandwidth { address } => {
                write!(f, "{address} cannot be the ordinary public IP of an instance with bandwidth 0; ")?;
                write!(f, "give it a bandwidth, or import as EIPs")
            }
            Refusal::UnknownPackage { selector, account } => {
                write!(f, "there is no bandwidth package {selector:?} in account {account}")
            }
            Refusal::UnknownMember { selector, account } => {
                write!(f, "there is neither an EIP nor an instance {selector:?} in account {account}")
            }
            Refusal::PackageExists { id } => write!(f, "package id {id} is in use; choose another"),
            Refusal::PackageInUse { package, members, one } => {
                write!(f, "package {package} cannot be deleted while it is shared by {members}, among them {one}; ")?;
                write!(f, "remove them first")
            }
            Refusal::IsMember { member, package } => {
                write!(f, "{member} already shares package {package}; there is nothing to do")
            }
            Refusal::MemberElsewhere { member, package } => {
                write!(f, "{member} shares package {package}; remove it from that one first")
            }
            Refusal::NoMember { member, package } => write!(f, "{member} does not share package {package}"),
            Refusal::PackageChargeType { package, charge_type } => {
                write!(f, "what shares package {package} is charged as {}, ", ChargeType::BandwidthPackage)?;
                write!(f, "not {charge_type}; remove it from the package first, or leave the charge type")
            }
            Refusal::PackageNeeded => {
                write!(f, "what is charged as {} shares a package; name one, ", ChargeType::BandwidthPackage)?;
                write!(f, "or have it charged otherwise")
            }
            Refusal::BandwidthOutOfRange { mbps, charge_type } => {
                write!(
                    f,
                    "a bandwidth of {mbps} Mbit/s is more than the {} that there can be ",
                    charge_type.most_mbps()
                )?;
                write!(f, "where it is charged as {charge_type}; ask for less, or have it charged otherwise")
            }
            Refusal::ChargeChangesSpent { eip, limit } => {
                write!(f, "how EIP {eip} is charged was changed {limit} times, which is as often as it may be; ")?;
                write!(f, "leave it, or allocate another")
            }
            Refusal::WrongState { instance, state, deed, remedy } => {
                write!(f, "instance {instance} is {state} and cannot {deed}; {remedy}")
            }
            Refusal::PrepaidStop { instance } => {
                write!(f, "instance {instance} is prepaid and cannot stop without charge; stop it as it is, ")?;
                write!(f, "or terminate it")
            }
            Refusal::NotPrepaid { instance } => {
                write!(f, "instance {instance} is paid for by the hour; there is nothing to renew")
            }
            Refusal::PeriodUnusable => {
                write!(f, "what is prepaid is paid for some time; give a period above 0 and of a century at most")
            }
            Refusal::BandwidthNeeded => write!(f, "a bandwidth of 0 Mbit/s carries nothing; give 1 at least"),
            Refusal::BandwidthCarriesAddress { instance, address } => {
                write!(f, "instance {instance} has the ordinary public IP {address}, which needs a bandwidth; ")?;
                write!(f, "leave 1 Mbit/s at least, or convert the address into an EIP first")
            }
            Refusal::NoAddressToStart { instance, next_free } => {
                write!(f, "instance {instance} stays off because the pool has no free address for its new ordinary ")?;
                write!(f, "public IP; {}", Remedy(*next_free))
            }
            Refusal::NoAddressToChange { instance, address, next_free } => {
                write!(f, "instance {instance} keeps {address} because the pool has no other free address; ")?;
                write!(f, "{}", Remedy(*next_free))
            }
            Refusal::NoOrdinary { instance } => write!(f, "instance {instance} has no ordinary public IP"),
            Refusal::ReturnDenied { instance, address } => {
                write!(f, "{address} is the ordinary public IP of instance {instance}, and users may not return ")?;
                write!(
                    f,
                    "those here (`return_ordinary_ip` of the configuration); terminate the instance or bind an EIP"
                )
            }
            Refusal::ChangeDenied { instance, address } => {
                write!(f, "{address} is the ordinary public IP of instance {instance}, and users may not change ")?;
                write!(f, "those here (`change_ordinary_ip` of the configuration); bind an EIP instead")
            }
            Refusal::InstanceHasOrdinary { instance, address } => {
                write!(f, "instance {instance} has the ordinary public IP {address}, which must be returned before ")?;
                write!(f, "an EIP is bound; `eipgate instance return-ip {instance}` does that where it is permitted")
            }
            Refusal::EipBlocked { eip } => {
                write!(f, "EIP {eip} is blocked and cannot be bound; wait until it is unblocked, or take another")
            }
            Refusal::EipInArrears { eip } => {
                write!(f, "EIP {eip} is in arrears and cannot be bound; pay for it, or take another")
            }
            Refusal::QuotaReached { account, limit } => {
                write!(
                    f,
                    "account {account} has all the {limit} EIPs it may have; release one, or have the operator "
                )?;
                write!(f, "raise `eips_per_account`")
            }
            Refusal::DayLimitReached { account, what, limit, until } => {
                let (all, setting) = match what {
                    Daily::Applications => ("applied for all the EIPs", "eips_per_account"),
                    Daily::Reallocations => ("been given all the new ordinary public IPs", "reallocations_per_day"),
                };
                write!(f, "account {account} has {all} it may in a day, which is {limit}; wait until {until}, ")?;
                write!(f, "or have the operator raise `{setting}`")
            }
            Refusal::TokenUsed { token, made } => {
                write!(f, "client token \"{token}\" stands for another request, which made {made}; use a new token")
            }
            Refusal::TokenSpent { token, made } => {
                write!(f, "client token \"{token}\" made {made}, which is no more; use a new token")
            }
            Refusal::ReasonInvalid { problem } => write!(f, "the reason cannot be kept: it {problem}"),
            Refusal::AlreadyFenced { address, since, reason } => {
                let reason = reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
                write!(f, "address {address} is fenced since {since}{reason}; there is nothing to do")
            }
            Refusal::NotFenced { address } => write!(f, "address {address} is not fenced; there is nothing to do"),
            Refusal::UnknownPool { pool } => {
                write!(f, "there is no pool {pool}; `eipgate pool list` shows the pools")
            }
            Refusal::PoolExists { pool } => write!(f, "pool {pool} is there already; there is nothing to do"),
            Refusal::PoolRefused(error) => error.fmt(f),
            Refusal::PoolHoldsInstance { pool, private, instance } => {
                write!(f, "{pool} cannot be a pool: instance {instance} has the private address {private}; ")?;
                write!(f, "choose a range without instances")
            }
            Refusal::PoolDraining { pool } => write!(f, "pool {pool} drains already; there is nothing to do"),
            Refusal::PoolInUse { pool, held, holders } => {
                write!(f, "pool {pool} cannot be removed while addresses of it are held: ")?;
                for (position, (address, holder)) in holders.iter().enumerate() {
                    write!(f, "{}{address} by {holder}", if position == 0 { "" } else { ", " })?;
                }
                match held - holders.len() {
                    0 => {}
                    more => write!(f, " and {more} more")?,
                }
                write!(f, "; drain it, and release them first")
            }
        }
    }
}

impl Error for Refusal {}

/// What helps when no address is free.
struct Remedy(Option<Time>);

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(time) => write!(f, "wait until {time} when the next becomes free, or enlarge the pool"),
            None => write!(f, "release an address or enlarge the pool"),
        }
    }
}
