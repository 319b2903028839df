//! Examples: the life of an address, what a store may bring back, and a large ledger.

use super::super::*;
use super::*;

const MINUTE: u64 = 60_000;

fn create(number: u32, bandwidth_mbps: u32) -> Command {
    let private = Ipv4Addr::from_bits(address("10.0.0.0").to_bits() + number);
    let id = instance_id(&format!("ins-{number}"));
    Command::CreateInstance(NewInstance {
        name: Some(format!("name-{number}")),
        bandwidth_mbps,
        charge_type: ChargeType::TrafficPostpaidByHour,
        ..NewInstance::new(id, account("alice"), vpc("vpc-default"), private)
    })
}

fn allocate(id: &str) -> Command {
    Command::AllocateEip(NewEip::new(eip_id(id), account("alice")))
}

fn bind(eip: &str, instance: &str) -> Command {
    Command::BindEip { account: account("alice"), eip: eip_id(eip), instance: instance_id(instance) }
}

fn unbind(eip: &str) -> Command {
    Command::UnbindEip { account: account("alice"), eip: eip_id(eip), reallocate: Reallocate::default() }
}

fn perform(ledger: &mut Ledger, command: Command, now: u64) -> Change {
    let change = ledger.decide(command, Time(now), Capacity::UNLIMITED).unwrap();
    ledger.apply(&change);
    change
}

fn public_of(ledger: &Ledger, instance: &str) -> Option<String> {
    ledger.association_of(&instance_id(instance)).map(|association| association.public.to_string())
}

fn routed(prefix: &str, cool_down: Duration) -> Pool {
    let definition = PoolDefinition { prefix: prefix.parse().unwrap(), kind: PoolKind::Routed };
    Pool::new([definition], &[], ReservedRanges::Refuse, cool_down).unwrap()
}

#[test]
fn the_life_of_an_instance_and_an_eip() {
    let mut ledger = Ledger::new(small_pool(Duration::from_secs(600)));
    perform(&mut ledger, create(1, 5), 0);
    assert_eq!(public_of(&ledger, "ins-1").as_deref(), Some("8.8.8.0"));
    perform(&mut ledger, allocate("eip-1"), 0);

    let bound = perform(&mut ledger, bind("eip-1", "ins-1"), MINUTE);
    let (eip, instance) = (eip_id("eip-1"), instance_id("ins-1"));
    let released = Fact::OrdinaryReleased { instance: instance.clone(), address: address("8.8.8.0"), at: Time(MINUTE) };
    assert_eq!(bound.facts, [released, Fact::EipBound { eip, instance }]);
    assert_eq!(public_of(&ledger, "ins-1").as_deref(), Some("8.8.8.1"));
    assert_eq!(ledger.cooling(Time(MINUTE)).collect::<Vec<_>>(), [(address("8.8.8.0"), Time(11 * MINUTE))]);
    assert_eq!(ledger.cooling(Time(11 * MINUTE)).count(), 0);

    let unbound = perform(&mut ledger, unbind("eip-1"), 2 * MINUTE);
    assert_eq!(unbound.taken().collect::<Vec<_>>(), [address("8.8.8.2")]);
    assert_eq!(public_of(&ledger, "ins-1").as_deref(), Some("8.8.8.2"));

    perform(&mut ledger, bind("eip-1", "ins-1"), 3 * MINUTE);
    let terminate = Command::TerminateInstance { account: account("alice"), instance: instance_id("ins-1") };
    perform(&mut ledger, terminate, 4 * MINUTE);
    let eip = ledger.eip(&eip_id("eip-1")).unwrap();
    assert_eq!((eip.address, &eip.bound_to), (address("8.8.8.1"), &None));
    assert_eq!(ledger.associations().count(), 0);
}

#[test]
fn even_without_cool_down_the_ordinary_address_given_up_last_does_not_come_back() {
    let mut ledger = Ledger::new(routed("8.8.8.0/30", Duration::ZERO));
    perform(&mut ledger, create(1, 5), 0);
    perform(&mut ledger, allocate("eip-1"), 0);
    let mut earlier = public_of(&ledger, "ins-1");
    for now in 1..10 {
        perform(&mut ledger, bind("eip-1", "ins-1"), now);
        perform(&mut ledger, unbind("eip-1"), now);
        let given = public_of(&ledger, "ins-1");
        assert_ne!(given, earlier);
        earlier = given;
    }
}

#[test]
fn a_duplicate_is_passed_over_until_it_is_cleared_and_a_holder_keeps_it() {
    let mut ledger = Ledger::new(small_pool(Duration::ZERO));
    let (mark, clear) = (|address| Command::MarkDuplicate { address }, |address| Command::ClearDuplicate { address });
    let first = address("8.8.8.0");
    perform(&mut ledger, mark(first), 0);
    assert!(perform(&mut ledger, mark(first), 0).is_empty());
    perform(&mut ledger, create(1, 5), 0);
    assert_eq!(public_of(&ledger, "ins-1").as_deref(), Some("8.8.8.1"));
    perform(&mut ledger, mark(address("8.8.8.1")), 0);
    assert_eq!(public_of(&ledger, "ins-1").as_deref(), Some("8.8.8.1"));
    perform(&mut ledger, clear(first), 0);
    assert!(perform(&mut ledger, clear(first), 0).is_empty());
    perform(&mut ledger, create(2, 5), 0);
    assert_eq!(public_of(&ledger, "ins-2").as_deref(), Some("8.8.8.0"));
    assert_eq!(ledger.duplicates().collect::<Vec<_>>(), [address("8.8.8.1")]);
    assert_eq!(ledger.check_invariants(), Ok(()));
}

#[test]
fn totals_of_each_range() {
    let mut ledger = Ledger::new(small_pool(Duration::from_secs(600)));
    for number in 1..=5 {
        perform(&mut ledger, create(number, 5), 0);
    }
    let terminate = Command::TerminateInstance { account: account("alice"), instance: instance_id("ins-2") };
    perform(&mut ledger, terminate, MINUTE);
    perform(&mut ledger, Command::MarkDuplicate { address: address("9.9.9.6") }, 0);
    let shown = |now| {
        let totals = ledger.range_totals(Time(now));
        let [routed, on_link] = totals.as_slice() else { panic!("two ranges") };
        [routed, on_link].map(|range| {
            let prefix = range.prefix.to_string();
            (prefix, [range.members, range.held, range.cooling, range.free, range.set_aside])
        })
    };
    let on_link = ("9.9.9.0/29".to_string(), [4, 1, 0, 2, 1]);
    assert_eq!(shown(MINUTE), [("8.8.8.0/30".into(), [4, 3, 1, 0, 0]), on_link.clone()]);
    assert_eq!(shown(11 * MINUTE), [("8.8.8.0/30".into(), [4, 3, 0, 1, 0]), on_link]);
}

#[test]
fn addresses_held_outside_a_shrunk_pool_stay_and_do_not_come_back() {
    let mut ledger = Ledger::new(routed("8.8.8.0/24", Duration::ZERO));
    perform(&mut ledger, create(1, 5), 0);
    let mut shrunk = Ledger::restore(routed("8.8.8.128/25", Duration::ZERO), ledger.snapshot()).unwrap();
    assert_eq!(public_of(&shrunk, "ins-1").as_deref(), Some("8.8.8.0"));
    let holder = Holder::Ordinary(instance_id("ins-1"));
    assert_eq!(shrunk.held_outside_pool().collect::<Vec<_>>(), [(address("8.8.8.0"), &holder)]);
    assert_eq!(shrunk.check_invariants(), Ok(()));
    // It can be taken out of service as one of a pool can.
    let fence = Command::FenceAddress { address: address("8.8.8.0"), reason: None };
    assert!(shrunk.decide(fence, Time(0), Capacity::UNLIMITED).is_ok());

    let terminate = Command::TerminateInstance { account: account("alice"), instance: instance_id("ins-1") };
    perform(&mut shrunk, terminate, 1);
    assert_eq!(shrunk.held_outside_pool().count(), 0);
    perform(&mut shrunk, allocate("eip-1"), 2);
    assert_eq!(shrunk.eips().next().unwrap().address, address("8.8.8.128"));
    assert_eq!(shrunk.check_invariants(), Ok(()));

    // When the pool grows again, the time of release is still known.
    let grown = Ledger::restore(routed("8.8.8.0/24", Duration::from_secs(1)), shrunk.snapshot()).unwrap();
    assert_eq!(grown.cooling(Time(2)).collect::<Vec<_>>(), [(address("8.8.8.0"), Time(1001))]);
}

#[test]
fn what_was_commanded_last_about_a_range_is_remembered_where_the_configuration_says_otherwise() {
    use Standing::{Added, AddedDraining, Draining, Removed};
    let mut ledger = Ledger::new(routed("8.8.8.0/30", Duration::ZERO));
    let (configured, more): (Prefix, Prefix) = ("8.8.8.0/30".parse().unwrap(), "9.9.9.0/30".parse().unwrap());
    let add = |prefix| {
        let definition = PoolDefinition { prefix, kind: PoolKind::Routed };
        Command::AddPool { definition, reserved: ReservedRanges::Refuse }
    };
    let drain = |prefix| Command::DrainPool { prefix };
    let remove = |prefix| Command::RemovePool { prefix };
    let mut after = |command| {
        perform(&mut ledger, command, 0);
        ledger.standings().collect::<Vec<_>>()
    };
    assert_eq!(after(add(more)), [(more, Added)]);
    assert_eq!(after(drain(more)), [(more, AddedDraining)]);
    assert_eq!(after(add(more)), [(more, Added)]);
    assert_eq!(after(drain(configured)), [(configured, Draining), (more, Added)]);
    assert_eq!(after(add(configured)), [(more, Added)]);
    assert_eq!(after(remove(configured)), [(configured, Removed), (more, Added)]);
    assert_eq!(after(add(configured)), [(configured, Added), (more, Added)]);
    assert_eq!(after(remove(more)), [(configured, Added)]);
}

#[test]
fn contradictions_in_the_store_are_refused_by_name() {
    let mut ledger = Ledger::new(small_pool(Duration::ZERO));
    perform(&mut ledger, create(1, 5), 0);
    perform(&mut ledger, create(2, 5), 0);
    perform(&mut ledger, allocate("eip-1"), 0);
    perform(&mut ledger, allocate("eip-2"), 0);
    perform(&mut ledger, bind("eip-1", "ins-2"), 0);
    let check = |sentence: &str, corrupt: fn(&mut Snapshot)| {
        let mut snapshot = ledger.snapshot();
        corrupt(&mut snapshot);
        let error = Ledger::restore(ledger.pool().clone(), snapshot).unwrap_err();
        assert_eq!(error.to_string(), sentence);
    };
    check("instance ins-1 is stored twice", |snapshot| snapshot.instances.push(snapshot.instances[0].clone()));
    check("EIP eip-2 is stored twice", |snapshot| snapshot.eips.push(snapshot.eips[1].clone()));
    check("private address 10.0.0.1 of VPC vpc-default is stored for both instance ins-1 and ins-2", |snapshot| {
        snapshot.instances[1].private = address("10.0.0.1")
    });
    check(
        "instance ins-1 has the private address 8.8.8.3, which lies in pool 8.8.8.0/30; change the pool",
        |snapshot| {
            snapshot.instances[0].private = address("8.8.8.3");
        },
    );
    check("public address 8.8.8.0 is stored for both instance ins-1 and EIP eip-2", |snapshot| {
        snapshot.eips[1].address = address("8.8.8.0");
    });
    check("EIP eip-2 is stored as bound to instance ins-9, which its account does not have", |snapshot| {
        snapshot.eips[1].bound_to = Some(instance_id("ins-9"));
    });
    check("EIP eip-1 is stored as bound to instance ins-2, which its account does not have", |snapshot| {
        snapshot.eips[0].account = account("bob");
    });
    check("instance ins-2 is stored with two public addresses, 8.8.8.2 and 8.8.8.3", |snapshot| {
        snapshot.eips[1].bound_to = Some(instance_id("ins-2"));
    });
    check("instance ins-1 is stored with two public addresses, 8.8.8.0 and 8.8.8.3", |snapshot| {
        snapshot.eips[1].bound_to = Some(instance_id("ins-1"));
    });
    check("instance ins-1 is stored with the ordinary public IP 8.8.8.0 but bandwidth 0", |snapshot| {
        snapshot.instances[0].bandwidth_mbps = 0;
    });
    check("public address 8.8.8.2 is stored as released but EIP eip-1 holds it", |snapshot| {
        snapshot.released.push((address("8.8.8.2"), Time(0)));
    });
    check("public address 8.8.8.1 is stored as released twice", |snapshot| {
        snapshot.released.push((address("8.8.8.1"), Time(7)));
    });
}

#[test]
fn a_large_ledger_in_a_large_pool_decides_quickly() {
    const INSTANCES: u32 = 200_000;
    let no_quota = Policy { eips_per_account: None, ..Policy::default() };
    let mut ledger = Ledger::new(routed("9.0.0.0/8", Duration::from_secs(600))).with_policy(no_quota);
    for number in 0..INSTANCES {
        perform(&mut ledger, create(number, 1), u64::from(number));
    }
    assert_eq!(ledger.association_count(), INSTANCES as usize);
    for number in (0..INSTANCES).step_by(2) {
        let instance = instance_id(&format!("ins-{number}"));
        perform(&mut ledger, Command::TerminateInstance { account: account("alice"), instance }, u64::from(number));
    }
    for number in 0..20_000 {
        let eip = format!("eip-{number}");
        perform(&mut ledger, allocate(&eip), 1_000_000);
        perform(&mut ledger, bind(&eip, &format!("ins-{}", 2 * number + 1)), 1_000_000);
        perform(&mut ledger, unbind(&eip), 1_000_000);
    }
    let found = ledger.find_instance(&account("alice"), "name-77", None).unwrap();
    assert_eq!(found.private, address("10.0.0.77"));
    assert_eq!(ledger.check_invariants(), Ok(()));
}
