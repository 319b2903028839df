//! Commands that are carried out together or not at all, names that several share, and what is remembered beside.

use super::*;

fn new(number: u8, bandwidth_mbps: u32) -> NewInstance {
    let private = Ipv4Addr::new(10, 0, 0, number);
    let new = NewInstance::new(instance_id(&format!("ins-{number}")), account("alice"), vpc("vpc-a"), private);
    NewInstance { bandwidth_mbps, name: Some("web".into()), naming: Naming::Shared, ..new }
}

fn eip(number: u8) -> Command {
    Command::AllocateEip(NewEip::new(eip_id(&format!("eip-{number}")), account("alice")))
}

fn together(commands: Vec<Command>, token: Option<&str>) -> Command {
    let retry = |text: &str| Retry { account: account("alice"), token: text.parse().unwrap(), request: "three".into() };
    Command::Together(Together { commands, token: token.map(retry) })
}

fn decide(ledger: &Ledger, command: Command) -> Result<Change, Refusal> {
    ledger.decide(command, Time(1), Capacity::UNLIMITED)
}

fn ledger() -> Ledger {
    // Eight addresses.
    Ledger::new(small_pool(Duration::ZERO)).with_policy(Policy { eips_per_account: None, ..Policy::default() })
}

#[test]
fn each_gets_an_address_of_its_own_or_none_gets_any() {
    let mut ledger = ledger();
    let three = || (1..=3).map(|number| Command::CreateInstance(new(number, 1))).collect::<Vec<_>>();
    let nine = three().into_iter().chain((1..=6).map(eip)).collect();
    assert!(matches!(decide(&ledger, together(nine, None)), Err(Refusal::PoolExhausted { .. })));
    let change = decide(&ledger, together(three().into_iter().chain((1..=5).map(eip)).collect(), None)).unwrap();
    assert_eq!(change.taken().collect::<BTreeSet<_>>().len(), 8);
    ledger.apply(&change);
    ledger.check_invariants().unwrap();
}

#[test]
fn what_is_asked_for_together_is_counted_together() {
    let ledger = ledger().with_policy(Policy { eips_per_account: Some(1), ..Policy::default() });
    assert!(matches!(decide(&ledger, together(vec![eip(1), eip(2)], None)), Err(Refusal::QuotaReached { .. })));
    let instances = (1..=3).map(|number| Command::CreateInstance(new(number, 1))).collect();
    let room = Capacity { pairs: 2, instances: 9 };
    let refused = ledger.decide(together(instances, None), Time(1), room).unwrap_err();
    assert_eq!(refused, Refusal::CapacityReached { what: Limit::Pairs, limit: 2 });
    // So are those that have an address again by being started.
    let mut off = ledger.clone();
    let each = |of: fn(InstanceId) -> Command| together((1..=3).map(|number| of(new(number, 0).id)).collect(), None);
    off.apply(
        &decide(&off, together((1..=3).map(|number| Command::CreateInstance(new(number, 1))).collect(), None)).unwrap(),
    );
    let stop = |instance| Command::StopInstance { account: account("alice"), instance, mode: StopMode::StopCharging };
    off.apply(&decide(&off, each(stop)).unwrap());
    let start = each(|instance| Command::StartInstance { account: account("alice"), instance });
    let refused = off.decide(start, Time(1), room).unwrap_err();
    assert_eq!(refused, Refusal::CapacityReached { what: Limit::Pairs, limit: 2 });
    let twins = [new(1, 0), NewInstance { id: instance_id("ins-2"), ..new(1, 0) }];
    let refused = decide(&ledger, together(twins.map(Command::CreateInstance).to_vec(), None)).unwrap_err();
    assert_eq!(refused, Refusal::PrivateAddressTwice { private: address("10.0.0.1"), vpc: vpc("vpc-a") });
}

#[test]
fn a_day_s_count_goes_up_by_as_many_as_were_allocated() {
    let mut ledger = ledger();
    ledger.apply(&decide(&ledger, together(vec![eip(1), eip(2)], None)).unwrap());
    assert_eq!(ledger.used_today(&account("alice"), Daily::Applications, Time(1)), 2);
}

#[test]
fn a_token_stands_for_all_that_was_made() {
    let mut ledger = ledger();
    let commands = |first: u8| (first..first + 3).map(|number| Command::CreateInstance(new(number, 0))).collect();
    ledger.apply(&decide(&ledger, together(commands(1), Some("t"))).unwrap());
    assert!(decide(&ledger, together(commands(4), Some("t"))).unwrap().is_empty());
    let made = ledger.made_with(&account("alice"), &"t".parse().unwrap()).unwrap();
    assert_eq!(made.instances(), ["ins-1", "ins-2", "ins-3"].map(instance_id));
}

#[test]
fn a_command_said_twice_is_carried_out_once() {
    let mut ledger = ledger();
    ledger.apply(&decide(&ledger, Command::CreateInstance(new(1, 1))).unwrap());
    let end = Command::TerminateInstance { account: account("alice"), instance: instance_id("ins-1") };
    ledger.apply(&decide(&ledger, together(vec![end.clone(), end], None)).unwrap());
    assert_eq!(ledger.instances().len(), 0);
}

#[test]
fn a_shared_name_finds_nobody_and_says_so() {
    let mut ledger = ledger();
    let both = (1..=2).map(|number| Command::CreateInstance(new(number, 0))).collect();
    ledger.apply(&decide(&ledger, together(both, None)).unwrap());
    let refused = ledger.find_instance(&account("alice"), "web", None).unwrap_err();
    assert_eq!(refused.to_string(), "several instances have the name \"web\", among them ins-1 and ins-2; give the id");
    let unique = NewInstance { naming: Naming::Unique, ..new(3, 0) };
    assert!(matches!(decide(&ledger, Command::CreateInstance(unique)), Err(Refusal::NameTaken { .. })));
    let changes = InstanceChanges { name: Some("db".into()), ..InstanceChanges::default() };
    let rename = Command::AlterInstance { account: account("alice"), instance: instance_id("ins-2"), changes };
    ledger.apply(&decide(&ledger, rename).unwrap());
    assert_eq!(ledger.find_instance(&account("alice"), "web", None).unwrap().id, instance_id("ins-1"));
    assert_eq!(ledger.instances_named(&account("alice"), "db").count(), 1);
    ledger.check_invariants().unwrap();
}

#[test]
fn what_is_remembered_changes_piece_by_piece() {
    let mut ledger = ledger();
    ledger.apply(&decide(&ledger, Command::CreateInstance(new(1, 0))).unwrap());
    let alter = |changes| Command::AlterInstance { account: account("alice"), instance: instance_id("ins-1"), changes };
    let protect = InstanceChanges { protected: Some(true), ..InstanceChanges::default() };
    ledger.apply(&decide(&ledger, alter(protect.clone())).unwrap());
    assert!(decide(&ledger, alter(protect)).unwrap().is_empty());
    let tags = Tags::from([("team".to_string(), "net".to_string())]);
    let label = InstanceChanges { tags: Some(tags.clone()), ..InstanceChanges::default() };
    ledger.apply(&decide(&ledger, alter(label)).unwrap());
    let detail = ledger.instance(&instance_id("ins-1")).unwrap().detail();
    assert_eq!((detail.protected, detail.tags), (true, tags));
}

#[test]
fn pages_begin_anywhere_and_follow_bindings() {
    let mut ledger = ledger();
    let many = (1..=5).map(|number| Command::CreateInstance(new(number, 1)));
    let eips = (1..=3).map(eip);
    ledger.apply(&decide(&ledger, together(many.chain(eips).collect(), None)).unwrap());
    let alice = account("alice");
    let ids: Vec<&str> = ledger.instances_from(&alice, 2).map(|instance| instance.id.as_str()).collect();
    assert_eq!(ids, ["ins-3", "ins-4", "ins-5"]);
    assert_eq!((ledger.instance_count(&alice), ledger.ordinary_count(&alice)), (5, 5));
    let bind = Command::BindEip { account: alice.clone(), eip: eip_id("eip-2"), instance: instance_id("ins-4") };
    ledger.apply(&decide(&ledger, bind).unwrap());
    assert_eq!((ledger.bound_count(&alice, true), ledger.bound_count(&alice, false)), (1, 2));
    assert_eq!(ledger.ordinary_count(&alice), 4);
    assert_eq!(ledger.bound_from(&alice, false, 1).next().unwrap().id, eip_id("eip-3"));
    assert_eq!(ledger.instances_from(&account("bob"), 0).count(), 0);
    ledger.check_invariants().unwrap();
}
