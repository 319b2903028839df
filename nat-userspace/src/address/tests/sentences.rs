//! Every refusal: when it is given, its kind, its code, and its sentence.

use super::super::*;
use super::*;

pub(super) const NOW: Time = Time(1_795_174_980_000);

/// A ledger with instance `ins-1` (web, 10.0.0.1 in vpc-a, 8.8.8.0), `ins-2` (10.0.0.1 in vpc-b, bandwidth 0), both of
/// alice, `ins-3` (10.0.0.3 in vpc-a, 8.8.8.1) of bob, and alice's unbound `eip-1` (8.8.8.2).
pub(super) fn populated() -> Ledger {
    let mut ledger = Ledger::new(small_pool(Duration::from_secs(600)));
    let web = NewInstance { name: Some("web".into()), ..new_instance("ins-1", "alice", "vpc-a", "10.0.0.1", 5) };
    perform(&mut ledger, Command::CreateInstance(web));
    perform(&mut ledger, create("ins-2", "alice", "vpc-b", "10.0.0.1", 0));
    perform(&mut ledger, create("ins-3", "bob", "vpc-a", "10.0.0.3", 5));
    perform(&mut ledger, allocate("eip-1", None));
    ledger
}

fn new_instance(id: &str, owner: &str, vpc_id: &str, private: &str, bandwidth_mbps: u32) -> NewInstance {
    let new = NewInstance::new(instance_id(id), account(owner), vpc(vpc_id), address(private));
    NewInstance { bandwidth_mbps, ..new }
}

fn create(id: &str, owner: &str, vpc_id: &str, private: &str, bandwidth_mbps: u32) -> Command {
    Command::CreateInstance(new_instance(id, owner, vpc_id, private, bandwidth_mbps))
}

fn named(name: &str) -> Command {
    let name = Some(name.to_string());
    Command::CreateInstance(NewInstance { name, ..new_instance("ins-9", "alice", "vpc-a", "10.0.0.9", 0) })
}

pub(super) fn allocate(id: &str, wanted: Option<&str>) -> Command {
    Command::AllocateEip(NewEip { address: wanted.map(address), ..NewEip::new(eip_id(id), account("alice")) })
}

pub(super) fn bind(eip: &str, instance: &str) -> Command {
    Command::BindEip { account: account("alice"), eip: eip_id(eip), instance: instance_id(instance) }
}

pub(super) fn unbind(eip: &str, reallocate: Reallocate) -> Command {
    Command::UnbindEip { account: account("alice"), eip: eip_id(eip), reallocate }
}

pub(super) fn release(eip: &str) -> Command {
    Command::ReleaseEip { account: account("alice"), eip: eip_id(eip) }
}

pub(super) fn perform(ledger: &mut Ledger, command: Command) {
    let change = ledger.decide(command, NOW, Capacity::UNLIMITED).unwrap();
    ledger.apply(&change);
}

fn refused_within(ledger: &Ledger, command: Command, capacity: Capacity) -> Refusal {
    ledger.decide(command, NOW, capacity).unwrap_err()
}

pub(super) fn check(refusal: &Refusal, kind: RefusalKind, code: &str, sentence: &str) {
    assert_eq!((refusal.kind(), refusal.code(), refusal.to_string().as_str()), (kind, code, sentence));
}

#[test]
fn unknown_objects() {
    let ledger = populated();
    let refused = |command| refused_within(&ledger, command, Capacity::UNLIMITED);
    let not_found = RefusalKind::NotFound;
    let bobs = Command::TerminateInstance { account: account("alice"), instance: instance_id("ins-3") };
    check(&refused(bobs), not_found, "unknown-instance", "there is no instance \"ins-3\" in account alice");
    check(&refused(release("eip-9")), not_found, "unknown-eip", "there is no EIP \"eip-9\" in account alice");
    let elsewhere = ledger.find_instance(&account("alice"), "web", Some(&vpc("vpc-b"))).unwrap_err();
    let sentence = "there is no instance \"web\" in VPC vpc-b of account alice";
    check(&elsewhere, not_found, "unknown-instance", sentence);
}

#[test]
fn a_selector_is_an_id_a_name_or_a_private_address() {
    let ledger = populated();
    let alice = account("alice");
    let find =
        |selector, vpc: Option<&VpcId>| ledger.find_instance(&alice, selector, vpc).map(|found| found.id.to_string());
    assert_eq!(find("ins-1", None), Ok("ins-1".into()));
    assert_eq!(find("web", None), Ok("ins-1".into()));
    assert_eq!(find("10.0.0.1", Some(&vpc("vpc-b"))), Ok("ins-2".into()));
    let sentence =
        "private address 10.0.0.1 is used in several VPCs, among them vpc-a and vpc-b; choose one with `--vpc`";
    check(&find("10.0.0.1", None).unwrap_err(), RefusalKind::Invalid, "ambiguous-instance", sentence);
    for absent in ["8.8.8.0", "10.0.0.3", "", "WEB"] {
        assert_eq!(find(absent, None).unwrap_err().code(), "unknown-instance");
    }
}

#[test]
fn an_eip_is_found_by_id_or_address_and_an_ordinary_address_is_called_so() {
    let ledger = populated();
    let find = |selector| ledger.find_eip(&account("alice"), selector).map(|found| found.id.to_string());
    assert_eq!(find("eip-1"), Ok("eip-1".into()));
    assert_eq!(find("8.8.8.2"), Ok("eip-1".into()));
    let sentence = "8.8.8.0 is the ordinary public IP of instance ins-1; it lives and dies with the instance \
                    and cannot be bound, unbound or released";
    check(&find("8.8.8.0").unwrap_err(), RefusalKind::Conflict, "ordinary-address", sentence);
    // Bob's ordinary address, a free one, and one outside the pool all read the same to alice.
    for absent in ["8.8.8.1", "8.8.8.3", "1.1.1.1"] {
        let sentence = format!("there is no EIP {absent:?} in account alice");
        check(&find(absent).unwrap_err(), RefusalKind::NotFound, "unknown-eip", &sentence);
    }
}

#[test]
fn ids_in_use() {
    let ledger = populated();
    let refused = |command| refused_within(&ledger, command, Capacity::UNLIMITED);
    let repeated = create("ins-3", "alice", "vpc-a", "10.0.0.9", 0);
    check(&refused(repeated), RefusalKind::Conflict, "instance-exists", "instance id ins-3 is in use; choose another");
    check(
        &refused(allocate("eip-1", None)),
        RefusalKind::Conflict,
        "eip-exists",
        "EIP id eip-1 is in use; choose another",
    );
}

#[test]
fn private_addresses() {
    let ledger = populated();
    let refused = |private| refused_within(&ledger, create("ins-9", "alice", "vpc-a", private, 0), Capacity::UNLIMITED);
    let taken = |private, sentence| check(&refused(private), RefusalKind::Conflict, "private-address-taken", sentence);
    taken("10.0.0.1", "private address 10.0.0.1 is in use in VPC vpc-a by instance ins-1; choose another");
    // Bob's instance has it, which is not alice's to know.
    taken("10.0.0.3", "private address 10.0.0.3 is in use in VPC vpc-a; choose another");

    let unusable =
        |private, sentence| check(&refused(private), RefusalKind::Invalid, "private-address-unusable", sentence);
    unusable("127.0.0.1", "127.0.0.1 cannot be an instance's private address: it is reserved (loopback)");
    unusable("224.0.0.1", "224.0.0.1 cannot be an instance's private address: it is reserved (multicast)");
    for reserved in ["0.0.0.0", "0.1.2.3", "169.254.0.23", "240.0.0.1", "255.255.255.255"] {
        assert_eq!(refused(reserved).code(), "private-address-unusable");
    }

    let sentence = "8.8.8.3 cannot be an instance's private address: it lies in the public pool 8.8.8.0/30";
    check(&refused("8.8.8.3"), RefusalKind::Invalid, "private-address-in-pool", sentence);
}

#[test]
fn names() {
    let ledger = populated();
    let refused = |command| refused_within(&ledger, command, Capacity::UNLIMITED);
    let taken = refused(named("web"));
    check(&taken, RefusalKind::Conflict, "name-taken", "the name \"web\" is in use by instance ins-1; choose another");
    let long = "x".repeat(129);
    for (name, problem) in [
        ("", "is empty"),
        (" web", "begins or ends with a blank"),
        ("we\u{1b}[2Jb", "contains control characters"),
        (long.as_str(), "is longer than 128 characters"),
        ("10.0.0.1", "reads as an IPv4 address"),
        ("ins-web", "begins like an id"),
        ("eip-web", "begins like an id"),
    ] {
        let sentence = format!("{name:?} cannot be a name: it {problem}");
        check(&refused(named(name)), RefusalKind::Invalid, "name-invalid", &sentence);
    }
    let name = Some("\n".to_string());
    let eip = Command::AllocateEip(NewEip { name, ..NewEip::new(eip_id("eip-9"), account("alice")) });
    assert_eq!(refused(eip).code(), "name-invalid");
}

#[test]
fn addresses_asked_for_by_number() {
    let mut ledger = populated();
    perform(&mut ledger, Command::MarkDuplicate { address: address("9.9.9.2") });
    perform(&mut ledger, bind("eip-1", "ins-1"));
    let refused = |wanted| refused_within(&ledger, allocate("eip-9", Some(wanted)), Capacity::UNLIMITED);
    let (invalid, conflict) = (RefusalKind::Invalid, RefusalKind::Conflict);
    let sentence = "address 1.1.1.1 lies in no pool; `eipgate pool list` shows the pools";
    check(&refused("1.1.1.1"), invalid, "not-in-pool", sentence);
    let sentence = "address 8.8.8.1 is in use; choose another or let the pool choose";
    check(&refused("8.8.8.1"), conflict, "address-taken", sentence);
    let sentence = "address 9.9.9.4 is excluded from its pool; choose another or let the pool choose";
    check(&refused("9.9.9.4"), conflict, "address-excluded", sentence);
    let sentence = "address 9.9.9.2 is set aside because another host on the link answers for it; choose \
                    another or let the pool choose";
    check(&refused("9.9.9.2"), conflict, "address-excluded", sentence);
    let sentence = "address 8.8.8.0 was released a short time ago and is not free until 2026-11-20T11:53:00Z; \
                    wait, choose another or let the pool choose";
    check(&refused("8.8.8.0"), conflict, "address-cooling-down", sentence);
    assert_eq!(
        refused_within(&ledger, Command::MarkDuplicate { address: address("1.1.1.1") }, Capacity::UNLIMITED).code(),
        "not-in-pool"
    );

    let later = NOW.after(Duration::from_secs(600));
    assert!(ledger.decide(allocate("eip-9", Some("8.8.8.0")), later, Capacity::UNLIMITED).is_ok());
}

#[test]
fn an_exhausted_pool() {
    let mut ledger = populated();
    for number in 2..7 {
        perform(&mut ledger, allocate(&format!("eip-{number}"), None));
    }
    let refused = |ledger: &Ledger, command| refused_within(ledger, command, Capacity::UNLIMITED);
    let exhausted = RefusalKind::Exhausted;
    let sentence = "the pool has no free public address; release an address or enlarge the pool";
    check(&refused(&ledger, allocate("eip-9", None)), exhausted, "pool-exhausted", sentence);
    check(&refused(&ledger, create("ins-9", "bob", "vpc-c", "10.0.0.9", 1)), exhausted, "pool-exhausted", sentence);
    assert!(ledger.decide(create("ins-9", "bob", "vpc-c", "10.0.0.9", 0), NOW, Capacity::UNLIMITED).is_ok());

    perform(&mut ledger, bind("eip-1", "ins-1"));
    let sentence = "the pool has no free public address; wait until 2026-11-20T11:53:00Z when the next \
                    becomes free, or enlarge the pool";
    check(&refused(&ledger, allocate("eip-9", None)), exhausted, "pool-exhausted", sentence);
    // The one address resting is the one ins-1 gave up last, so waiting for it would not help.
    let sentence = "EIP eip-1 stays bound because the pool has no free address for the new ordinary public IP \
                    of instance ins-1; release an address or enlarge the pool, or unbind with `--reallocate no`";
    check(&refused(&ledger, unbind("eip-1", Reallocate::Yes)), exhausted, "no-address-to-reallocate", sentence);
    perform(&mut ledger, unbind("eip-1", Reallocate::No));
    assert_eq!(ledger.association_of(&instance_id("ins-1")), None);
}

#[test]
fn binding_twice() {
    let mut ledger = populated();
    perform(&mut ledger, allocate("eip-2", None));
    perform(&mut ledger, bind("eip-1", "ins-1"));
    let refused = |command| refused_within(&ledger, command, Capacity::UNLIMITED);
    let conflict = RefusalKind::Conflict;
    let sentence = "EIP eip-1 is already bound to instance ins-1; unbind it first";
    check(&refused(bind("eip-1", "ins-2")), conflict, "eip-already-bound", sentence);
    let sentence = "EIP eip-1 is already bound to this same instance ins-1; there is nothing to do";
    check(&refused(bind("eip-1", "ins-1")), conflict, "eip-already-bound", sentence);
    let sentence = "instance ins-1 already has EIP eip-1; unbind that one first";
    check(&refused(bind("eip-2", "ins-1")), conflict, "instance-has-eip", sentence);
    let sentence = "EIP eip-1 cannot be released while it is bound to instance ins-1; unbind it first";
    check(&refused(release("eip-1")), conflict, "eip-bound", sentence);
    let sentence = "EIP eip-2 is not bound to any instance; there is nothing to do";
    check(&refused(unbind("eip-2", Reallocate::No)), conflict, "eip-not-bound", sentence);
}

#[test]
fn no_bandwidth_no_ordinary_address() {
    let mut ledger = populated();
    perform(&mut ledger, bind("eip-1", "ins-2"));
    let refusal = refused_within(&ledger, unbind("eip-1", Reallocate::Yes), Capacity::UNLIMITED);
    let sentence = "EIP eip-1 stays bound because instance ins-2 has bandwidth 0 and so never gets an \
                    ordinary public IP; unbind without `--reallocate yes`";
    check(&refusal, RefusalKind::Conflict, "no-bandwidth", sentence);
    perform(&mut ledger, unbind("eip-1", Reallocate::ByPolicy));
    assert_eq!(ledger.instance(&instance_id("ins-2")).unwrap().ordinary, None);
}

#[test]
fn full_maps() {
    let ledger = populated();
    let full = Capacity { pairs: 2, instances: 3 };
    let exhausted = RefusalKind::Exhausted;
    let refusal = refused_within(&ledger, create("ins-9", "bob", "vpc-c", "10.0.0.9", 0), full);
    let sentence = "the gateway is full: its maps hold 3 instances; raise the limit or remove some";
    check(&refusal, exhausted, "capacity-reached", sentence);
    let roomier = Capacity { instances: 4, ..full };
    let sentence =
        "the gateway is full: its maps hold 2 instances with a public address; raise the limit or remove some";
    for command in [create("ins-9", "bob", "vpc-c", "10.0.0.9", 1), bind("eip-1", "ins-2")] {
        check(&refused_within(&ledger, command, roomier), exhausted, "capacity-reached", sentence);
    }
    // An EIP in the place of an ordinary address is no further association, and an unbound one is none at all.
    for command in [bind("eip-1", "ins-1"), allocate("eip-9", None)] {
        assert!(ledger.decide(command, NOW, full).is_ok());
    }
}

fn pair(number: u8, private: &str, public: &str) -> NewPair {
    NewPair {
        instance: instance_id(&format!("ins-new-{number}")),
        vpc: vpc("vpc-a"),
        private: address(private),
        name: None,
        public: address(public),
        public_as: PublicAs::Eip(eip_id(&format!("eip-new-{number}"))),
    }
}

fn import(pairs: &[NewPair], bandwidth_mbps: u32) -> Command {
    Command::ImportPairs(Import { account: account("alice"), pairs: pairs.to_vec(), bandwidth_mbps })
}

#[test]
fn an_import_is_refused_by_its_first_pair_that_cannot_be() {
    let mut ledger = populated();
    perform(&mut ledger, release("eip-1"));
    perform(&mut ledger, Command::MarkDuplicate { address: address("9.9.9.2") });
    let good = [pair(0, "10.0.0.10", "8.8.8.3"), pair(1, "10.0.0.11", "9.9.9.3")];
    assert!(ledger.decide(import(&good, 0), NOW, Capacity::UNLIMITED).is_ok());
    let named = |name: &str| NewPair { name: Some(name.into()), ..pair(2, "10.0.0.12", "9.9.9.5") };
    let first = good[0].clone();
    let (conflict, invalid) = (RefusalKind::Conflict, RefusalKind::Invalid);
    for (bad, kind, code, sentence) in [
        (
            pair(2, "10.0.0.12", "198.18.0.1"),
            invalid,
            "not-in-pool",
            "address 198.18.0.1 lies in no pool; `eipgate pool list` shows the pools",
        ),
        (
            pair(2, "10.0.0.12", "8.8.8.0"),
            conflict,
            "address-taken",
            "address 8.8.8.0 is in use; choose another or let the pool choose",
        ),
        (
            pair(2, "10.0.0.12", "8.8.8.2"),
            conflict,
            "address-cooling-down",
            "address 8.8.8.2 was released a short time ago and is not free until 2026-11-20T11:53:00Z; \
             wait, choose another or let the pool choose",
        ),
        (
            pair(2, "10.0.0.12", "9.9.9.2"),
            conflict,
            "address-excluded",
            "address 9.9.9.2 is set aside because another host on the link answers for it; \
             choose another or let the pool choose",
        ),
        (
            pair(2, "10.0.0.12", "9.9.9.4"),
            conflict,
            "address-excluded",
            "address 9.9.9.4 is excluded from its pool; choose another or let the pool choose",
        ),
        (
            pair(2, "10.0.0.3", "9.9.9.5"),
            conflict,
            "private-address-taken",
            "private address 10.0.0.3 is in use in VPC vpc-a; choose another",
        ),
        (named("ins-7"), invalid, "name-invalid", "\"ins-7\" cannot be a name: it begins like an id"),
        (
            NewPair { instance: instance_id("ins-1"), ..pair(2, "10.0.0.12", "9.9.9.5") },
            conflict,
            "instance-exists",
            "instance id ins-1 is in use; choose another",
        ),
        (
            pair(2, "10.0.0.12", "8.8.8.3"),
            invalid,
            "public-address-twice",
            "public address 8.8.8.3 is given twice; it can serve one instance only, so remove one",
        ),
        (
            pair(2, "10.0.0.10", "9.9.9.5"),
            invalid,
            "private-address-twice",
            "private address 10.0.0.10 of VPC vpc-a is given twice; an instance has one public address, so remove one",
        ),
        (
            NewPair { instance: first.instance.clone(), ..pair(2, "10.0.0.12", "9.9.9.5") },
            conflict,
            "instance-exists",
            "instance id ins-new-0 is in use; choose another",
        ),
        (
            NewPair { public_as: first.public_as.clone(), ..pair(2, "10.0.0.12", "9.9.9.5") },
            conflict,
            "eip-exists",
            "EIP id eip-new-0 is in use; choose another",
        ),
        (
            NewPair { public_as: PublicAs::Ordinary, ..pair(2, "10.0.0.12", "9.9.9.5") },
            invalid,
            "ordinary-needs-bandwidth",
            "9.9.9.5 cannot be the ordinary public IP of an instance with bandwidth 0; \
             give it a bandwidth, or import as EIPs",
        ),
    ] {
        // What is wrong further on is not looked at.
        let pairs = [&good[..], &[bad, pair(3, "10.0.0.10", "198.18.0.1")]].concat();
        let refusal = refused_within(&ledger, import(&pairs, 0), Capacity::UNLIMITED);
        check(&refusal, kind, code, &format!("pair 2: {sentence}"));
    }
    // Names may be shared, with one another and with who is there: those made through the API are.
    let shared = [named("web"), NewPair { name: Some("web".into()), ..good[0].clone() }];
    assert!(ledger.decide(import(&shared, 0), NOW, Capacity::UNLIMITED).is_ok());
    // Two pairs and three instances are there.
    for (capacity, limit) in [
        (Capacity { pairs: 3, instances: 9 }, "3 instances with a public address"),
        (Capacity { pairs: 9, instances: 4 }, "4 instances"),
    ] {
        let refusal = refused_within(&ledger, import(&good, 0), capacity);
        let sentence = format!("pair 1: the gateway is full: its maps hold {limit}; raise the limit or remove some");
        check(&refusal, RefusalKind::Exhausted, "capacity-reached", &sentence);
    }
}

#[test]
fn ranges_and_fences() {
    use RefusalKind::{Conflict, Invalid, NotFound};
    let mut ledger = populated();
    let routed = |text: &str| PoolDefinition { prefix: text.parse().unwrap(), kind: PoolKind::Routed };
    let add = |text: &str| Command::AddPool { definition: routed(text), reserved: ReservedRanges::Allow };
    let fence = |text: &str, reason: Option<&str>| Command::FenceAddress {
        address: address(text),
        reason: reason.map(str::to_owned),
    };
    let drain = |text: &str| Command::DrainPool { prefix: text.parse().unwrap() };
    let remove = |text: &str| Command::RemovePool { prefix: text.parse().unwrap() };
    perform(&mut ledger, fence("8.8.8.3", Some("abuse")));
    for (command, kind, code, sentence) in [
        (add("8.8.8.0/30"), Conflict, "pool-exists", "pool 8.8.8.0/30 is there already; there is nothing to do"),
        (
            add("8.8.8.0/24"),
            Conflict,
            "pool-overlaps",
            "pools 8.8.8.0/24 and 8.8.8.0/30 overlap; remove or shrink one of them",
        ),
        (
            add("10.0.0.0/30"),
            Conflict,
            "pool-holds-instance",
            "10.0.0.0/30 cannot be a pool: instance ins-1 has the private address 10.0.0.1; \
             choose a range without instances",
        ),
        (
            add("224.0.0.0/24"),
            Invalid,
            "pool-reserved",
            "pool 224.0.0.0/24 lies in 224.0.0.0/4, which is reserved (multicast); it can never be a pool",
        ),
        (
            drain("7.7.7.0/24"),
            NotFound,
            "unknown-pool",
            "there is no pool 7.7.7.0/24; `eipgate pool list` shows the pools",
        ),
        (
            remove("8.8.8.0/30"),
            Conflict,
            "pool-in-use",
            "pool 8.8.8.0/30 cannot be removed while addresses of it are held: 8.8.8.0 by instance ins-1, \
             8.8.8.1 by instance ins-3, 8.8.8.2 by EIP eip-1; drain it, and release them first",
        ),
        (
            fence("8.8.8.3", None),
            Conflict,
            "already-fenced",
            "address 8.8.8.3 is fenced since 2026-11-20T11:43:00Z (abuse); there is nothing to do",
        ),
        (
            fence("7.7.7.7", None),
            Invalid,
            "not-in-pool",
            "address 7.7.7.7 lies in no pool; `eipgate pool list` shows the pools",
        ),
        (
            fence("8.8.8.2", Some(" ")),
            Invalid,
            "reason-invalid",
            "the reason cannot be kept: it is empty; leave it out instead",
        ),
        (
            Command::UnfenceAddress { address: address("8.8.8.2") },
            Conflict,
            "not-fenced",
            "address 8.8.8.2 is not fenced; there is nothing to do",
        ),
        (
            allocate("eip-2", Some("8.8.8.3")),
            Conflict,
            "address-excluded",
            "address 8.8.8.3 is fenced; choose another, let the pool choose, or unfence it with \
             `eipgate address unfence 8.8.8.3`",
        ),
    ] {
        check(&refused_within(&ledger, command, Capacity::UNLIMITED), kind, code, sentence);
    }
    perform(&mut ledger, drain("9.9.9.0/29"));
    let refused = |command| refused_within(&ledger, command, Capacity::UNLIMITED);
    check(
        &refused(drain("9.9.9.0/29")),
        Conflict,
        "pool-draining",
        "pool 9.9.9.0/29 drains already; there is nothing to do",
    );
    check(
        &refused(allocate("eip-2", Some("9.9.9.2"))),
        Conflict,
        "address-excluded",
        "address 9.9.9.2 lies in a pool that drains; choose another or let the pool choose",
    );
    assert_eq!(refused(allocate("eip-2", None)).code(), "pool-exhausted");
}
