//! Properties of the ledger over random histories of a few accounts that fight over a small pool.

mod examples;
mod model;
mod sentences;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;

use self::model::Model;
use super::*;

fn instance_id(text: &str) -> InstanceId {
    text.parse().unwrap()
}

fn eip_id(text: &str) -> EipId {
    text.parse().unwrap()
}

fn account(text: &str) -> AccountId {
    text.parse().unwrap()
}

fn vpc(text: &str) -> VpcId {
    text.parse().unwrap()
}

fn address(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

/// Eight members: 8.8.8.0 to .3, and 9.9.9.2, .3, .5 and .6 of an uplink's network.
fn small_pool(cool_down: Duration) -> Pool {
    let on_link = PoolKind::OnLink { connected: "9.9.9.0/29".parse().unwrap(), gateway: vec![address("9.9.9.1")] };
    let definitions = [
        PoolDefinition { prefix: "9.9.9.0/29".parse().unwrap(), kind: on_link },
        PoolDefinition { prefix: "8.8.8.0/30".parse().unwrap(), kind: PoolKind::Routed },
    ];
    Pool::new(definitions, &[address("9.9.9.4")], ReservedRanges::Refuse, cool_down).unwrap()
}

/// A command with the time it is given at and the capacity it meets.
#[derive(Clone, Debug)]
struct Request {
    command: Command,
    now: Time,
    capacity: Capacity,
}

#[derive(Clone, Debug)]
struct History {
    cool_down: Duration,
    requests: Vec<Request>,
}

/// One request with the ledger before and after it.
struct Step {
    request: Request,
    before: Ledger,
    outcome: Result<Change, Refusal>,
    after: Ledger,
}

fn play(history: &History) -> Vec<Step> {
    let mut ledger = Ledger::new(small_pool(history.cool_down));
    let step = |request: &Request| {
        let before = ledger.clone();
        let outcome = ledger.decide(request.command.clone(), request.now, request.capacity);
        if let Ok(change) = &outcome {
            ledger.apply(change);
        }
        Step { request: request.clone(), before, outcome, after: ledger.clone() }
    };
    history.requests.iter().map(step).collect()
}

fn accounts() -> impl Strategy<Value = AccountId> {
    // The first account asks most of the time, so that most requests are not refused as another's.
    prop_oneof![4 => Just(account("alice")), 1 => Just(account("bob"))]
}

fn instance_ids() -> impl Strategy<Value = InstanceId> {
    (0..7u8).prop_map(|number| instance_id(&format!("ins-{number}")))
}

fn eip_ids() -> impl Strategy<Value = EipId> {
    (0..4u8).prop_map(|number| eip_id(&format!("eip-{number}")))
}

fn public_addresses() -> impl Strategy<Value = Ipv4Addr> {
    prop_oneof![
        (0..5u8).prop_map(|last| Ipv4Addr::new(8, 8, 8, last)),
        (0..8u8).prop_map(|last| Ipv4Addr::new(9, 9, 9, last))
    ]
}

fn new_instances() -> impl Strategy<Value = NewInstance> {
    let private = prop_oneof![
        9 => (0..6u8).prop_map(|last| Ipv4Addr::new(10, 0, 0, last)),
        1 => select(vec![address("8.8.8.1"), address("127.0.0.1"), address("224.0.0.1")]),
    ];
    let name = prop::option::of(select(vec!["web", "db", "10.0.0.1", "ins-9", ""]));
    let vpcs = select(vec!["vpc-a", "vpc-b"]);
    let bandwidth = prop_oneof![1 => Just(0u32), 3 => 1..100u32];
    (instance_ids(), accounts(), vpcs, private, name, bandwidth).prop_map(
        |(id, account, vpc_name, private, name, mbps)| NewInstance {
            id,
            account,
            vpc: vpc(vpc_name),
            private,
            name: name.map(str::to_string),
            bandwidth_mbps: mbps,
            charge_type: ChargeType::default(),
        },
    )
}

fn commands() -> impl Strategy<Value = Command> {
    let reallocate = select(vec![Reallocate::ByBandwidth, Reallocate::Yes, Reallocate::No]);
    prop_oneof![
        5 => new_instances().prop_map(Command::CreateInstance),
        2 => (accounts(), instance_ids())
            .prop_map(|(account, instance)| Command::TerminateInstance { account, instance }),
        3 => (eip_ids(), accounts(), prop::option::of(public_addresses()))
            .prop_map(|(id, account, address)| Command::AllocateEip { id, account, address, name: None }),
        5 => (accounts(), eip_ids(), instance_ids())
            .prop_map(|(account, eip, instance)| Command::BindEip { account, eip, instance }),
        4 => (accounts(), eip_ids(), reallocate)
            .prop_map(|(account, eip, reallocate)| Command::UnbindEip { account, eip, reallocate }),
        2 => (accounts(), eip_ids()).prop_map(|(account, eip)| Command::ReleaseEip { account, eip }),
        1 => public_addresses().prop_map(|address| Command::MarkDuplicate { address }),
        1 => public_addresses().prop_map(|address| Command::ClearDuplicate { address }),
    ]
}

fn histories() -> impl Strategy<Value = History> {
    let cool_down = select(vec![0u64, 1, 20, 1000]);
    let capacities = prop_oneof![
        9 => Just(Capacity::UNLIMITED),
        1 => (0..5usize, 0..7usize).prop_map(|(pairs, instances)| Capacity { pairs, instances }),
    ];
    let pauses = prop_oneof![4 => 0..4u64, 2 => 0..40u64, 1 => Just(2000u64)];
    (cool_down, prop::collection::vec((pauses, commands(), capacities), 0..120)).prop_map(|(cool_down, requests)| {
        let mut clock = 1_000_000;
        let timed = requests.into_iter().map(|(pause, command, capacity)| {
            clock += pause;
            Request { command, now: Time(clock), capacity }
        });
        History { requests: timed.collect(), cool_down: Duration::from_millis(cool_down) }
    })
}

/// The first address in the order of never used, then least recently released, by walking all of them.
fn least_recently_released(ledger: &Ledger, now: Time, except: Option<Ipv4Addr>) -> Option<Ipv4Addr> {
    let snapshot = ledger.snapshot();
    let released: BTreeMap<Ipv4Addr, Time> = snapshot.released.into_iter().collect();
    let members = ledger.pool().ranges().iter().flat_map(|range| {
        let bits = range.prefix().first().to_bits()..=range.prefix().last().to_bits();
        bits.map(Ipv4Addr::from_bits).filter(|address| range.is_member(*address))
    });
    let may_be_handed_out = |address: &Ipv4Addr| {
        ledger.holder(*address).is_none()
            && !snapshot.duplicates.contains(address)
            && Some(*address) != except
            && released.get(address).is_none_or(|at| at.after(ledger.pool().cool_down()) <= now)
    };
    members.filter(may_be_handed_out).min_by_key(|address| (released.get(address).copied(), *address))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn invariant_1_same_commands_give_the_same_ledger(history in histories()) {
        for (one, other) in play(&history).into_iter().zip(play(&history)) {
            prop_assert_eq!(&one.outcome, &other.outcome);
            prop_assert_eq!(&one.after, &other.after);
        }
    }

    #[test]
    fn invariant_6_an_address_is_held_by_at_most_one_association(history in histories()) {
        for Step { after, .. } in play(&history) {
            let associations: Vec<Association> = after.associations().collect();
            let publics: BTreeSet<Ipv4Addr> = associations.iter().map(|association| association.public).collect();
            let privates: BTreeSet<_> = associations.iter().map(|one| (one.private, &one.vpc)).collect();
            prop_assert_eq!(publics.len(), associations.len());
            prop_assert_eq!(privates.len(), associations.len());
            prop_assert_eq!(after.association_count(), associations.len());
            let ordinaries = after.instances().filter_map(|instance| instance.ordinary);
            let held: Vec<Ipv4Addr> = ordinaries.chain(after.eips().map(|eip| eip.address)).collect();
            prop_assert_eq!(held.iter().collect::<BTreeSet<_>>().len(), held.len());
            prop_assert!(held.iter().all(|address| after.pool().is_member(*address)));
        }
    }

    #[test]
    fn the_ledger_agrees_with_a_naive_model(history in histories()) {
        let mut model = Model::new(history.cool_down);
        for Step { request, outcome, after, .. } in play(&history) {
            let accepted = model.run(request.clone());
            prop_assert_eq!(accepted, outcome.is_ok(), "{:?} gave {:?}", request, outcome);
            prop_assert_eq!(model.snapshot(), after.snapshot(), "after {:?}", request);
        }
    }

    #[test]
    fn every_ledger_is_consistent_and_counts_are_conserved(history in histories()) {
        for Step { request, after, .. } in play(&history) {
            prop_assert_eq!(after.check_invariants(), Ok(()));
            let totals = after.range_totals(request.now);
            for range in &totals {
                prop_assert_eq!(range.free + range.cooling + range.held + range.duplicates, range.members);
            }
            let held: u64 = totals.iter().map(|range| range.held).sum();
            let ordinary_count = after.instances().filter(|instance| instance.ordinary.is_some()).count();
            prop_assert_eq!(held, (ordinary_count + after.eips().len()) as u64);
            let cooling: u64 = totals.iter().map(|range| range.cooling).sum();
            prop_assert_eq!(cooling, after.cooling(request.now).count() as u64);
        }
    }

    #[test]
    fn a_refused_command_changes_nothing(history in histories()) {
        for Step { before, outcome, after, .. } in play(&history) {
            match outcome {
                Ok(change) => prop_assert_eq!(change.is_empty(), before == after),
                Err(_) => prop_assert_eq!(before, after),
            }
        }
    }

    #[test]
    fn replaying_the_changes_gives_the_ledger(history in histories()) {
        let mut replayed = Ledger::new(small_pool(history.cool_down));
        for Step { outcome, after, .. } in play(&history) {
            if let Ok(change) = outcome {
                replayed.apply(&change);
            }
            prop_assert_eq!(&replayed, &after);
        }
    }

    #[test]
    fn a_snapshot_in_any_order_restores_the_ledger(history in histories()) {
        for Step { after, .. } in play(&history) {
            let mut snapshot = after.snapshot();
            snapshot.instances.reverse();
            snapshot.eips.reverse();
            snapshot.released.reverse();
            snapshot.duplicates.reverse();
            let restored = Ledger::restore(after.pool().clone(), snapshot);
            prop_assert_eq!(restored, Ok(after));
        }
    }

    #[test]
    fn unbinding_never_gives_the_last_a_resting_or_the_elastic_address(history in histories()) {
        for Step { request, before, outcome, after } in play(&history) {
            let (Command::UnbindEip { eip, .. }, Ok(_)) = (&request.command, &outcome) else { continue };
            let eip = before.eip(eip).unwrap();
            let instance_before = before.instance(eip.bound_to.as_ref().unwrap()).unwrap();
            let instance_after = after.instance(&instance_before.id).unwrap();
            let Some(given) = instance_after.ordinary else { continue };
            prop_assert_ne!(given, eip.address);
            prop_assert_ne!(Some(given), instance_before.last_ordinary);
            prop_assert!(before.cooling(request.now).all(|(resting, _)| resting != given));
        }
    }

    #[test]
    fn the_least_recently_released_address_is_handed_out_first(history in histories()) {
        for Step { request, before, outcome, .. } in play(&history) {
            let Ok(change) = outcome else { continue };
            let former = |eip: &EipId| before.instance(before.eip(eip)?.bound_to.as_ref()?)?.last_ordinary;
            let except = match &request.command {
                Command::AllocateEip { address: Some(_), .. } => continue,
                Command::UnbindEip { eip, .. } => former(eip),
                _ => None,
            };
            for given in change.taken() {
                prop_assert_eq!(Some(given), least_recently_released(&before, request.now, except));
            }
        }
    }

    #[test]
    fn terminating_a_known_instance_always_succeeds(history in histories()) {
        for Step { request, after, .. } in play(&history) {
            for instance in after.instances() {
                let (account, id) = (instance.account.clone(), instance.id.clone());
                let mut after = after.clone();
                let eips = after.eips().len();
                let none = Capacity { pairs: 0, instances: 0 };
                let command = Command::TerminateInstance { account, instance: id.clone() };
                let change = after.decide(command, request.now, none).unwrap();
                after.apply(&change);
                prop_assert_eq!(after.instance(&id), None);
                prop_assert_eq!(after.eips().len(), eips, "an EIP outlives the instance it was bound to");
                prop_assert_eq!(after.check_invariants(), Ok(()));
            }
        }
    }

    #[test]
    fn without_bandwidth_there_is_no_ordinary_address(history in histories()) {
        for Step { after, .. } in play(&history) {
            for instance in after.instances().filter(|instance| instance.bandwidth_mbps == 0) {
                prop_assert_eq!((instance.ordinary, instance.last_ordinary), (None, None));
            }
        }
    }

    #[test]
    fn another_accounts_objects_are_answered_as_unknown_ones(history in histories()) {
        for Step { request, after, .. } in play(&history) {
            let stranger = account("carol");
            let refusal = |command| after.decide(command, request.now, Capacity::UNLIMITED).unwrap_err();
            for Instance { id, private, .. } in after.instances() {
                let command = Command::TerminateInstance { account: stranger.clone(), instance: id.clone() };
                let unknown = format!("there is no instance \"{id}\" in account carol");
                prop_assert_eq!(refusal(command).to_string(), unknown);
                for selector in [id.to_string(), private.to_string()] {
                    let found = after.find_instance(&stranger, &selector, None);
                    prop_assert_eq!(found.unwrap_err().code(), "unknown-instance");
                }
            }
            for Eip { id, address, .. } in after.eips() {
                let command = Command::ReleaseEip { account: stranger.clone(), eip: id.clone() };
                prop_assert_eq!(refusal(command).code(), "unknown-eip");
                prop_assert_eq!(after.find_eip(&stranger, &address.to_string()).unwrap_err().code(), "unknown-eip");
            }
        }
    }
}
