//! Properties of the ledger over random histories of a few accounts that fight over a small pool.

mod examples;
mod life;
mod model;
mod sentences;
mod together;

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
pub(crate) fn small_pool(cool_down: Duration) -> Pool {
    let on_link = PoolKind::OnLink { connected: "9.9.9.0/29".parse().unwrap(), gateway: vec![address("9.9.9.1")] };
    let definitions = [
        PoolDefinition { prefix: "9.9.9.0/29".parse().unwrap(), kind: on_link },
        PoolDefinition { prefix: "8.8.8.0/30".parse().unwrap(), kind: PoolKind::Routed },
    ];
    Pool::new(definitions, &[address("9.9.9.4")], ReservedRanges::Refuse, cool_down).unwrap()
}

/// A command with the time it is given at and the capacity it meets.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) command: Command,
    pub(crate) now: Time,
    pub(crate) capacity: Capacity,
}

#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) cool_down: Duration,
    pub(crate) policy: Policy,
    pub(crate) requests: Vec<Request>,
}

/// One request with the ledger before and after it.
struct Step {
    request: Request,
    before: Ledger,
    outcome: Result<Change, Refusal>,
    after: Ledger,
}

fn play(history: &History) -> Vec<Step> {
    let mut ledger = Ledger::new(small_pool(history.cool_down)).with_policy(history.policy.clone());
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
        (0..8u8).prop_map(|last| Ipv4Addr::new(9, 9, 9, last)),
        (0..2u8).prop_map(|last| Ipv4Addr::new(7, 7, 7, last))
    ]
}

/// What the pool begins with, what it does not, what overlaps, and what instances may be in.
fn prefixes() -> impl Strategy<Value = Prefix> {
    select(vec!["8.8.8.0/30", "9.9.9.0/29", "7.7.7.0/31", "8.8.8.0/31", "10.0.0.4/31"])
        .prop_map(|it| it.parse().unwrap())
}

/// Those that are routed, whenever they come.
fn additions() -> impl Strategy<Value = PoolDefinition> {
    let routed = prefixes().prop_filter("on-link", |prefix| *prefix != "9.9.9.0/29".parse().unwrap());
    routed.prop_map(|prefix| PoolDefinition { prefix, kind: PoolKind::Routed })
}

fn new_instances() -> impl Strategy<Value = NewInstance> {
    let private = prop_oneof![
        9 => (0..6u8).prop_map(|last| Ipv4Addr::new(10, 0, 0, last)),
        1 => select(vec![address("8.8.8.1"), address("127.0.0.1"), address("224.0.0.1")]),
    ];
    let name = prop::option::of(select(vec!["web", "db", "10.0.0.1", "ins-9", ""]));
    let vpcs = select(vec!["vpc-a", "vpc-b"]);
    let bandwidth = prop_oneof![4 => Just(0u32), 12 => 1..100u32, 1 => limits()];
    let prepaid = prop_oneof![3 => Just(None), 2 => (0..60u64).prop_map(|ms| Some(Duration::from_millis(ms)))];
    let begins = prop_oneof![4 => Just(Begins::Running), 1 => Just(Begins::Pending)];
    let naming = prop_oneof![2 => Just(Naming::Unique), 1 => Just(Naming::Shared)];
    let package = prop_oneof![4 => Just((ChargeType::default(), None)), 1 => charges()];
    (instance_ids(), accounts(), vpcs, private, name, bandwidth, (prepaid, begins, package, tokens(), naming)).prop_map(
        |(id, account, vpc_name, private, name, mbps, (prepaid, begins, (charge_type, package), token, naming))| {
            NewInstance {
                name: name.map(str::to_string),
                naming,
                bandwidth_mbps: mbps,
                charge_type,
                package,
                prepaid,
                begins,
                token,
                ..NewInstance::new(id, account, vpc(vpc_name), private)
            }
        },
    )
}

fn package_ids() -> impl Strategy<Value = PackageId> {
    (0..2u8).prop_map(|number| format!("bwp-{number}").parse().unwrap())
}

/// Bandwidths about which it depends on how they are charged whether they can be.
fn limits() -> impl Strategy<Value = u32> {
    select(vec![100, 101, 200, 201, 2000, 2001])
}

fn charges() -> impl Strategy<Value = (ChargeType, Option<PackageId>)> {
    (select(ChargeType::ALL.to_vec()), prop::option::of(package_ids()))
}

fn tokens() -> impl Strategy<Value = Option<ClientToken>> {
    prop_oneof![4 => Just(None), 1 => select(vec!["one", "two"]).prop_map(|text| Some(text.parse().unwrap()))]
}

fn new_eips() -> impl Strategy<Value = NewEip> {
    let package = prop_oneof![4 => Just((ChargeType::OF_EIPS, None)), 1 => charges()];
    let bandwidth = prop_oneof![1 => Just(0u32), 9 => 1..3u32, 1 => limits()];
    (eip_ids(), accounts(), prop::option::of(public_addresses()), package, bandwidth, tokens()).prop_map(
        |(id, account, address, (charge_type, package), bandwidth_mbps, token)| NewEip {
            address,
            bandwidth_mbps,
            charge_type,
            package,
            token,
            ..NewEip::new(id, account)
        },
    )
}

fn eip_changes() -> impl Strategy<Value = EipChanges> {
    let flags = || prop::option::of(any::<bool>());
    let charge_type = prop::option::of(select(ChargeType::ALL.to_vec()));
    let bandwidth = prop::option::of(prop_oneof![2 => 0..3u32, 1 => limits()]);
    let prepaid = prop::option::of(Just(Prepaid { until: Time(50), renewal: Renewal::Never }));
    (bandwidth, charge_type, prepaid, flags(), flags()).prop_map(
        |(bandwidth_mbps, charge_type, prepaid, blocked, arrears)| EipChanges {
            name: None,
            bandwidth_mbps,
            charge_type,
            prepaid,
            blocked,
            arrears,
            tags: None,
        },
    )
}

/// Defaults most of the time, each rule its other way sometimes, and limits that are reached.
fn policies() -> impl Strategy<Value = Policy> {
    let permission = || prop_oneof![1 => Just(Permission::Denied), 2 => Just(Permission::Granted)];
    let on_bind = prop_oneof![3 => Just(OnBind::ReleaseOrdinary), 1 => Just(OnBind::Refuse)];
    let on_unbind = prop_oneof![3 => Just(OnUnbind::NewOrdinary), 1 => Just(OnUnbind::Nothing)];
    let limits = (prop::option::of(0..4u32), prop::option::of(0..4u32));
    (on_bind, on_unbind, permission(), permission(), limits, 0..40u64).prop_map(
        |(on_bind, on_unbind, return_ordinary, change_ordinary, (eips, reallocations), bin)| Policy {
            on_bind,
            on_unbind,
            return_ordinary,
            change_ordinary,
            eips_per_account: eips,
            reallocations_per_day: reallocations,
            recycle_bin: Duration::from_millis(bin),
        },
    )
}

fn imports() -> impl Strategy<Value = Import> {
    let pair = (new_instances(), public_addresses(), prop::option::of(eip_ids())).prop_map(|(new, public, eip)| {
        let NewInstance { id: instance, vpc, private, name, .. } = new;
        let public_as = eip.map_or(PublicAs::Ordinary, PublicAs::Eip);
        NewPair { instance, vpc, private, name, public, public_as }
    });
    // Most longer ones contradict themselves.
    let pairs = prop::collection::vec(pair, 0..4);
    (accounts(), pairs, prop_oneof![1 => Just(0u32), 2 => 1..300u32])
        .prop_map(|(account, pairs, bandwidth_mbps)| Import { account, pairs, bandwidth_mbps })
}

fn commands() -> impl Strategy<Value = Command> {
    prop_oneof![3 => address_commands(), 2 => life_commands()]
}

fn together() -> impl Strategy<Value = Command> {
    let one = prop_oneof![new_instances().prop_map(Command::CreateInstance), new_eips().prop_map(Command::AllocateEip)];
    (prop::collection::vec(one, 1..4), accounts(), tokens()).prop_map(|(commands, account, token)| {
        let request = format!("{commands:?}");
        Command::Together(Together { commands, token: token.map(|token| Retry { account, token, request }) })
    })
}

fn address_commands() -> impl Strategy<Value = Command> {
    let reallocate = select(vec![Reallocate::ByPolicy, Reallocate::Yes, Reallocate::No]);
    prop_oneof![
        5 => new_instances().prop_map(Command::CreateInstance),
        2 => together(),
        1 => (accounts(), instance_ids(), select(vec!["web", "db", ""])).prop_map(|(account, instance, name)| {
            let changes = InstanceChanges { name: Some(name.to_string()), ..InstanceChanges::default() };
            Command::AlterInstance { account, instance, changes }
        }),
        2 => (accounts(), instance_ids())
            .prop_map(|(account, instance)| Command::TerminateInstance { account, instance }),
        3 => new_eips().prop_map(Command::AllocateEip),
        5 => (accounts(), eip_ids(), instance_ids())
            .prop_map(|(account, eip, instance)| Command::BindEip { account, eip, instance }),
        4 => (accounts(), eip_ids(), reallocate)
            .prop_map(|(account, eip, reallocate)| Command::UnbindEip { account, eip, reallocate }),
        2 => (accounts(), eip_ids()).prop_map(|(account, eip)| Command::ReleaseEip { account, eip }),
        3 => imports().prop_map(Command::ImportPairs),
        1 => public_addresses().prop_map(|address| Command::MarkDuplicate { address }),
        1 => public_addresses().prop_map(|address| Command::ClearDuplicate { address }),
        1 => public_addresses().prop_map(|address| Command::FenceAddress { address, reason: Some("abuse".into()) }),
        1 => public_addresses().prop_map(|address| Command::UnfenceAddress { address }),
        1 => additions()
            .prop_map(|definition| Command::AddPool { definition, reserved: ReservedRanges::Allow }),
        1 => prefixes().prop_map(|prefix| Command::DrainPool { prefix }),
        1 => prefixes().prop_map(|prefix| Command::RemovePool { prefix }),
    ]
}

fn life_commands() -> impl Strategy<Value = Command> {
    let modes = select(vec![StopMode::KeepCharging, StopMode::StopCharging]);
    let ours = || (accounts(), instance_ids());
    let member = || prop_oneof![instance_ids().prop_map(Member::Instance), eip_ids().prop_map(Member::Eip)];
    let charge_type = prop::option::of(select(ChargeType::ALL.to_vec()));
    prop_oneof![
        4 => ours().prop_map(|(account, instance)| Command::StartInstance { account, instance }),
        4 => (ours(), modes)
            .prop_map(|((account, instance), mode)| Command::StopInstance { account, instance, mode }),
        2 => (ours(), 0..50u64).prop_map(|((account, instance), ms)| {
            Command::RenewInstance { account, instance, period: Duration::from_millis(ms) }
        }),
        2 => (ours(), prop::option::of(prop_oneof![2 => 0..3u32, 1 => limits()]), charge_type).prop_map(|((account, instance), mbps, charge_type)| {
            Command::ModifyInstance { account, instance, bandwidth_mbps: mbps, charge_type }
        }),
        1 => ours().prop_map(|(account, instance)| Command::ReturnOrdinary { account, instance }),
        2 => ours().prop_map(|(account, instance)| Command::ChangeOrdinary { account, instance }),
        3 => (eip_ids(), ours()).prop_map(|(id, (account, instance))| {
            Command::ConvertOrdinary { id, account, instance, name: None }
        }),
        2 => (accounts(), eip_ids(), eip_changes())
            .prop_map(|(account, eip, changes)| Command::ModifyEip { account, eip, changes }),
        2 => (package_ids(), accounts()).prop_map(|(id, account)| {
            Command::CreatePackage(Package { id, account, name: None, bandwidth_mbps: None, created: Time(0), detail: None })
        }),
        1 => (accounts(), package_ids()).prop_map(|(account, package)| Command::DeletePackage { account, package }),
        2 => (accounts(), package_ids(), member())
            .prop_map(|(account, package, member)| Command::AddMember { account, package, member }),
        1 => (accounts(), package_ids(), member())
            .prop_map(|(account, package, member)| Command::RemoveMember { account, package, member }),
        3 => Just(Command::Expire),
    ]
}

pub(crate) fn histories() -> impl Strategy<Value = History> {
    let cool_down = select(vec![0u64, 1, 20, 1000]);
    let capacities = prop_oneof![
        9 => Just(Capacity::UNLIMITED),
        1 => (0..5usize, 0..7usize).prop_map(|(pairs, instances)| Capacity { pairs, instances }),
    ];
    // A day now and then, after which tokens are forgotten and limits begin anew.
    let pauses = prop_oneof![80 => 0..4u64, 40 => 0..40u64, 20 => Just(2000u64), 1 => Just(86_400_000u64)];
    let requests = prop::collection::vec((pauses, commands(), capacities), 0..160);
    (cool_down, policies(), requests).prop_map(|(cool_down, policy, requests)| {
        let mut clock = 1_000_000;
        let timed = requests.into_iter().map(|(pause, command, capacity)| {
            clock += pause;
            Request { command, now: Time(clock), capacity }
        });
        History { requests: timed.collect(), policy, cool_down: Duration::from_millis(cool_down) }
    })
}

/// The first address in the order of never used, then least recently released, by walking all of them.
fn least_recently_released(ledger: &Ledger, now: Time, except: Option<Ipv4Addr>) -> Option<Ipv4Addr> {
    let snapshot = ledger.snapshot();
    let released: BTreeMap<Ipv4Addr, Time> = snapshot.released.into_iter().collect();
    let serving = ledger.pool().ranges().iter().filter(|range| range.state() == PoolState::Serving);
    let members = serving.flat_map(|range| {
        let bits = range.prefix().first().to_bits()..=range.prefix().last().to_bits();
        bits.map(Ipv4Addr::from_bits).filter(|address| range.is_member(*address))
    });
    let may_be_handed_out = |address: &Ipv4Addr| {
        ledger.holder(*address).is_none()
            && !snapshot.duplicates.contains(address)
            && ledger.fence(*address).is_none()
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
            for (instance, public) in after.instances_with_public() {
                let association = after.association_of(&instance.id);
                prop_assert_eq!(public, association.map(|association| association.public));
            }
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
        let mut model = Model::new(history.cool_down, history.policy.clone());
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
                prop_assert_eq!(range.free + range.cooling + range.held + range.set_aside, range.members);
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
        let mut replayed = Ledger::new(small_pool(history.cool_down)).with_policy(history.policy.clone());
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
            snapshot.packages.reverse();
            snapshot.days.reverse();
            snapshot.tokens.reverse();
            let restored = Ledger::restore(after.pool().clone(), snapshot);
            prop_assert_eq!(restored.map(|ledger| ledger.with_policy(history.policy.clone())), Ok(after));
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
                Command::AllocateEip(NewEip { address: Some(_), .. }) | Command::ImportPairs(_) | Command::Together(_) => {
                    continue;
                }
                Command::UnbindEip { eip, .. } => former(eip),
                Command::StartInstance { instance, .. } => before.instance(instance).unwrap().last_ordinary,
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
                if instance.billing != Billing::Postpaid && instance.state != InstanceState::Shutdown {
                    let change = after.decide(command.clone(), request.now, none).unwrap();
                    after.apply(&change);
                    prop_assert_eq!(after.instance(&id).unwrap().state, InstanceState::Shutdown);
                    prop_assert_eq!(after.association_of(&id), None);
                }
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
                prop_assert_eq!(instance.ordinary, None);
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

    #[test]
    fn an_instance_that_is_off_without_charge_or_in_the_bin_has_no_ordinary_address(history in histories()) {
        for Step { after, .. } in play(&history) {
            for instance in after.instances().filter(|instance| !instance.state.keeps_ordinary()) {
                prop_assert_eq!(instance.ordinary, None);
                let bound = after.eip_of(&instance.id).is_some();
                prop_assert!(!bound || instance.state != InstanceState::Shutdown);
            }
        }
    }

    #[test]
    fn converting_an_address_changes_no_association(history in histories()) {
        for Step { request, before, outcome, after } in play(&history) {
            let (Command::ConvertOrdinary { id, .. }, Ok(_)) = (&request.command, outcome) else { continue };
            prop_assert_eq!(before.associations().collect::<Vec<_>>(), after.associations().collect::<Vec<_>>());
            let eip = after.eip(id).unwrap();
            let instance = before.instance(eip.bound_to.as_ref().unwrap()).unwrap();
            prop_assert_eq!(instance.ordinary, Some(eip.address));
            prop_assert_eq!(before.snapshot().released, after.snapshot().released);
        }
    }

    #[test]
    fn a_request_repeated_with_its_token_changes_nothing_and_names_the_same_object(history in histories()) {
        for Step { request, outcome, after, .. } in play(&history) {
            let (account, token, other) = match request.command.clone() {
                Command::CreateInstance(NewInstance { account, token: Some(token), .. }) => {
                    let other = NewEip { token: Some(token.clone()), ..NewEip::new(eip_id("eip-9"), account.clone()) };
                    (account, token, Command::AllocateEip(other))
                }
                Command::AllocateEip(NewEip { account, token: Some(token), name, .. }) if name.is_none() => {
                    let name = Some("other".to_string());
                    let other = NewEip::new(eip_id("eip-9"), account.clone());
                    (account, token.clone(), Command::AllocateEip(NewEip { token: Some(token), name, ..other }))
                }
                _ => continue,
            };
            if outcome.is_err() {
                continue;
            }
            let made = after.made_with(&account, &token).cloned().unwrap();
            // Even where nothing could be made any more, for what was asked is there.
            let none = Capacity { pairs: 0, instances: 0 };
            let again = after.decide(request.command.clone(), Time(request.now.0 + 1), none);
            prop_assert_eq!(again, Ok(Change::default()));
            prop_assert_eq!(after.decide(other, request.now, none).unwrap_err().code(), "token-used");
            prop_assert_eq!(after.made_with(&account, &token), Some(&made));
        }
    }

    #[test]
    fn nothing_that_is_due_is_left_after_the_ledger_was_told_the_time(history in histories()) {
        for Step { request, outcome, after, .. } in play(&history) {
            let (Command::Expire, Ok(_)) = (&request.command, outcome) else { continue };
            for instance in after.instances() {
                if let Billing::Prepaid { until } = instance.billing {
                    prop_assert!(until > request.now || instance.state == InstanceState::Shutdown);
                }
            }
            prop_assert!(after.tokens().all(|token| token.expires() > request.now));
        }
    }
}
