//! The gateway over a packet path that only remembers: in what order things happen, and what happens when one fails.

mod clock;
mod defects;
mod flushes;
mod serving;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use super::detached::{Maps, Told};
use super::*;
use crate::address::{
    AccountId, Billing, Import, InstanceState, NewEip, NewInstance, NewPair, PublicAs, Reallocate, Refusal, StopMode,
};
use crate::config::Config;
use crate::dataplane::{Environment, Host, OwnAddress};

fn config(state_dir: &Path) -> Config {
    Config {
        uplinks: vec!["eth0".parse().unwrap()],
        downlinks: vec!["eth1".parse().unwrap()],
        pools: vec!["8.8.8.0/29".parse().unwrap()],
        cool_down: Duration::ZERO,
        state_dir: state_dir.to_owned(),
        max_pairs: 2,
        max_instances: 3,
        ..Config::default()
    }
}

fn outside() -> Outside {
    let drawn = AtomicU8::new(0);
    Outside::new(|| Time(1_795_174_980_000), move || [drawn.fetch_add(1, Ordering::Relaxed); 8])
}

async fn gateway(config: &Config, path: &Detached) -> Result<Gateway<Detached>> {
    Opened::new(config, &Environment::default())?.take_over(path.clone(), outside()).await
}

fn account() -> AccountId {
    "default".parse().unwrap()
}

fn create(gateway: &mut dyn Operations, last: u8, bandwidth_mbps: u32) -> Result<Change, GatewayError> {
    let private = [10, 0, 0, last].into();
    let new = NewInstance::new(gateway.new_instance_id(), account(), "vpc-default".parse().unwrap(), private);
    gateway.perform(Command::CreateInstance(NewInstance { bandwidth_mbps, ..new }))
}

fn allocate(gateway: &mut dyn Operations) -> EipId {
    let id = gateway.new_eip_id();
    gateway.perform(Command::AllocateEip(NewEip::new(id.clone(), account()))).unwrap();
    id
}

fn id_at(gateway: &dyn Operations, last: u8) -> InstanceId {
    let private = [10, 0, 0, last].into();
    gateway.ledger().instance_at(&"vpc-default".parse().unwrap(), private).unwrap().id.clone()
}

fn bind(gateway: &mut dyn Operations, eip: &EipId, last: u8) -> Result<Change, GatewayError> {
    let instance = id_at(gateway, last);
    gateway.perform(Command::BindEip { account: account(), eip: eip.clone(), instance })
}

fn host(last: u8, public: Option<u8>) -> Host {
    Host {
        vpc: "vpc-default".parse().unwrap(),
        private: [10, 0, 0, last].into(),
        public: public.map(|last| [8, 8, 8, last].into()),
    }
}

fn maps_of(ledger: &Ledger) -> Maps {
    hosts(ledger).into_iter().map(|host| ((host.vpc, host.private), host.public)).collect()
}

#[tokio::test]
async fn invariant_3_no_map_is_swept_before_the_store_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let (config, path) = (config(directory.path()), Detached::default());
    let mut first = gateway(&config, &path).await.unwrap();
    assert_eq!(path.told(), [Told::Reconcile(0), Told::Attach]);
    create(&mut first, 1, 5).unwrap();
    create(&mut first, 2, 0).unwrap();
    let ledger = first.ledger.clone();
    drop(first);
    path.told();

    // The stored state is unreadable in one way after the other: no map is touched.
    let state = directory.path().join("state.db");
    let good = fs::read(&state).unwrap();
    let corrupt: [fn(&mut Vec<u8>); 4] = [
        |bytes| bytes[63] += 1,
        |bytes| bytes[68..72].fill(0),
        |bytes| bytes[4096..].fill(0),
        |bytes| bytes.truncate(5000),
    ];
    for corrupt in corrupt {
        let mut bytes = good.clone();
        corrupt(&mut bytes);
        fs::write(&state, &bytes).unwrap();
        assert!(gateway(&config, &path).await.is_err());
        assert_eq!(fs::read(&state).unwrap(), bytes);
    }
    let lower = Config { max_instances: 1, ..config.clone() };
    fs::write(&state, &good).unwrap();
    let refusal = gateway(&lower, &path).await.err().unwrap().to_string();
    assert_eq!(refusal, "2 instances are stored; raise max_instances to that at least");
    let lower = Config { max_pairs: 0, ..config.clone() };
    let refusal = gateway(&lower, &path).await.err().unwrap().to_string();
    assert_eq!(refusal, "1 pairs are stored; raise max_pairs to that at least");
    assert_eq!(path.told(), []);

    // Read in full, it is the first thing the maps hear of, and only then are frames let in.
    let again = gateway(&config, &path).await.unwrap();
    assert_eq!(path.told(), [Told::Reconcile(2), Told::Attach]);
    assert_eq!(again.ledger, ledger);
}

#[tokio::test]
async fn invariant_2_maps_can_be_rebuilt_from_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let (config, path) = (config(directory.path()), Detached::default());
    let mut first = gateway(&config, &path).await.unwrap();
    create(&mut first, 1, 5).unwrap();
    create(&mut first, 2, 5).unwrap();
    let eip = allocate(&mut first);
    bind(&mut first, &eip, 1).unwrap();
    let instance = id_at(&first, 2);
    first.perform(Command::TerminateInstance { account: account(), instance }).unwrap();
    create(&mut first, 3, 0).unwrap();
    drop(first);

    let lived = std::mem::take(&mut path.recording().maps);
    assert_eq!(lived.len(), 2);
    path.recording().maps.insert(("stray".parse().unwrap(), [10, 9, 9, 9].into()), None);
    let rebuilt = gateway(&config, &path).await.unwrap();
    assert_eq!(path.recording().maps, lived);
    assert_eq!(maps_of(&rebuilt.ledger), lived);
}

#[tokio::test]
async fn invariant_9_refused_commands_touch_no_map() {
    let directory = tempfile::tempdir().unwrap();
    let (config, path) = (config(directory.path()), Detached::default());
    let mut gateway = gateway(&config, &path).await.unwrap();
    create(&mut gateway, 1, 5).unwrap();
    create(&mut gateway, 2, 5).unwrap();
    let (eip, other) = (allocate(&mut gateway), allocate(&mut gateway));
    bind(&mut gateway, &eip, 1).unwrap();
    path.told();
    let stored = || ["state.db", "state.db-wal"].map(|file| fs::read(directory.path().join(file)).unwrap());
    let (ledger, before) = (gateway.ledger.clone(), stored());

    let (one, two) = (id_at(&gateway, 1), id_at(&gateway, 2));
    let account = account();
    let unknown: InstanceId = "ins-unknown".parse().unwrap();
    let new = |last: u8, vpc: &str, bandwidth_mbps| {
        let new = NewInstance::new(
            "ins-new".parse().unwrap(),
            "default".parse().unwrap(),
            vpc.parse().unwrap(),
            [10, 0, 0, last].into(),
        );
        Command::CreateInstance(NewInstance { bandwidth_mbps, ..new })
    };
    let refused = [
        (new(1, "vpc-default", 0), "private-address-taken"),
        (new(3, "vpc-default", 5), "capacity-reached"),
        (new(3, "vpc-other", 0), "unknown-vpc"),
        (Command::TerminateInstance { account: account.clone(), instance: unknown }, "unknown-instance"),
        (Command::BindEip { account: account.clone(), eip: other.clone(), instance: one }, "instance-has-eip"),
        (Command::BindEip { account: account.clone(), eip: eip.clone(), instance: two }, "eip-already-bound"),
        (
            Command::UnbindEip { account: account.clone(), eip: other, reallocate: Reallocate::ByPolicy },
            "eip-not-bound",
        ),
        (Command::ReleaseEip { account, eip }, "eip-bound"),
    ];
    for (command, code) in refused {
        assert_eq!(gateway.perform(command).unwrap_err().code(), code);
    }
    assert_eq!(path.told(), []);
    assert_eq!(gateway.ledger, ledger);
    assert_eq!(stored(), before);
}

#[tokio::test]
async fn a_change_reaches_the_maps_in_order_and_is_announced() {
    let directory = tempfile::tempdir().unwrap();
    let (config, path) = (config(directory.path()), Detached::default());
    let mut gateway = gateway(&config, &path).await.unwrap();
    path.told();
    let announce = |last: u8| Told::Announce([8, 8, 8, last].into());

    create(&mut gateway, 1, 5).unwrap();
    assert_eq!(path.told(), [Told::Set(host(1, Some(0))), announce(0)]);
    create(&mut gateway, 2, 0).unwrap();
    assert_eq!(path.told(), [Told::Set(host(2, None))]);
    let eip = allocate(&mut gateway);
    assert_eq!(path.told(), []);
    bind(&mut gateway, &eip, 1).unwrap();
    assert_eq!(path.told(), [Told::Set(host(1, Some(1))), announce(1)]);
    gateway.perform(Command::UnbindEip { account: account(), eip, reallocate: Reallocate::ByPolicy }).unwrap();
    assert_eq!(path.told(), [Told::Set(host(1, Some(2))), announce(2)]);
    let instance = id_at(&gateway, 1);
    gateway.perform(Command::TerminateInstance { account: account(), instance }).unwrap();
    assert_eq!(path.told(), [Told::Remove("vpc-default".parse().unwrap(), [10, 0, 0, 1].into())]);
    assert_eq!(gateway.ledger.check_invariants(), Ok(()));
}

#[tokio::test]
async fn a_map_that_cannot_be_written_is_reconciled_until_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let (config, path) = (config(directory.path()), Detached::default());
    let mut gateway = gateway(&config, &path).await.unwrap();
    create(&mut gateway, 1, 5).unwrap();
    let eip = allocate(&mut gateway);
    path.recording().fails = true;
    let failure = bind(&mut gateway, &eip, 1).unwrap_err();
    assert_eq!(
        failure.to_string(),
        "the change is stored but not in effect yet, and is tried again every second: the kernel said no"
    );
    assert_eq!(failure.kind(), Kind::Internal);
    assert_eq!(gateway.status().problems, ["the maps are behind the ledger: the kernel said no"]);
    // Decided and stored it stays, whatever the maps do (invariant 9).
    assert!(gateway.ledger.eip(&eip).unwrap().bound_to.is_some());

    // A command on top of maps that are behind brings them in step as a whole.
    path.told();
    assert_eq!(create(&mut gateway, 2, 0).unwrap_err().code(), "not-in-effect");
    gateway.reconcile();
    assert_eq!(path.told(), [Told::Reconcile(2), Told::Reconcile(2)]);
    assert!(gateway.status().dirty);
    path.recording().fails = false;
    create(&mut gateway, 3, 0).unwrap();
    assert_eq!(path.told(), [Told::Reconcile(3)]);
    assert!(!gateway.status().dirty);
    assert_eq!(path.recording().maps, maps_of(&gateway.ledger));
}

#[tokio::test]
async fn what_cannot_be_stored_does_not_happen() {
    let directory = tempfile::tempdir().unwrap();
    let state_dir = directory.path().join("state");
    let (config, path) = (config(&state_dir), Detached::default());
    let mut gateway = gateway(&config, &path).await.unwrap();
    path.told();
    fs::remove_dir_all(&state_dir).unwrap();
    let failure = create(&mut gateway, 1, 5).unwrap_err();
    assert_eq!((failure.kind(), failure.code()), (Kind::Internal, "not-stored"));
    assert_eq!(gateway.ledger.instances().len(), 0);
    assert_eq!(path.told(), []);
    // The metrics say so until a change is stored again.
    assert!(gateway.tally.refusing);
    fs::create_dir(&state_dir).unwrap();
    create(&mut gateway, 1, 5).unwrap();
    assert!(!gateway.tally.refusing);
}

#[tokio::test]
async fn an_address_another_host_answers_for_is_set_aside() {
    let directory = tempfile::tempdir().unwrap();
    let (config, path) = (config(directory.path()), Detached::default());
    let mut gateway = gateway(&config, &path).await.unwrap();
    let address = [8, 8, 8, 0].into();
    gateway.take_notice(Notice::Duplicate { address, mac: [2, 0, 0, 0, 0, 1] });
    create(&mut gateway, 1, 5).unwrap();
    assert_eq!(
        path.recording().maps,
        Maps::from([(("vpc-default".parse().unwrap(), [10, 0, 0, 1].into()), Some([8, 8, 8, 1].into()))])
    );
    gateway.take_notice(Notice::DuplicateGone { address });
    assert_eq!(gateway.ledger.duplicates().count(), 0);

    gateway.take_notice(Notice::OwnAddressInPool { address });
    // An address that is withheld anyway is no surprise.
    gateway.take_notice(Notice::OwnAddressInPool { address: [10, 0, 0, 1].into() });
    gateway.take_notice(Notice::Degraded("eth0 is gone; eth1 is gone".into()));
    path.recording().problems = vec!["eth0 is gone".into(), "eth1 is gone".into()];
    assert_eq!(
        gateway.status().problems,
        [
            "the gateway itself was given 8.8.8.0, an address of a pool; take it away and restart the daemon",
            "eth0 is gone",
            "eth1 is gone"
        ]
    );
    gateway.take_notice(Notice::Recovered);
    gateway.take_notice(Notice::DuplicateGone { address });
    path.recording().problems.clear();
    assert_eq!(gateway.status().problems, Vec::<String>::new());
}

#[tokio::test]
async fn an_address_set_aside_by_an_earlier_daemon_is_free_again_when_nobody_is_seen_to_use_it() {
    let directory = tempfile::tempdir().unwrap();
    let (config, path) = (config(directory.path()), Detached::default());
    let mut first = gateway(&config, &path).await.unwrap();
    let (gone, there) = ([8, 8, 8, 0].into(), [8, 8, 8, 1].into());
    for address in [gone, there] {
        first.take_notice(Notice::Duplicate { address, mac: [2, 0, 0, 0, 0, 1] });
    }
    drop(first);
    let mut second = gateway(&config, &path).await.unwrap();
    second.take_notice(Notice::Duplicate { address: there, mac: [2, 0, 0, 0, 0, 1] });
    assert_eq!(second.ledger.duplicates().collect::<Vec<_>>(), [gone, there]);
    second.clear_unconfirmed();
    assert_eq!(second.ledger.duplicates().collect::<Vec<_>>(), [there]);
}

#[tokio::test]
async fn stopping_starting_and_converting_reach_the_maps_only_where_an_address_changes() {
    let directory = tempfile::tempdir().unwrap();
    let (config, path) = (config(directory.path()), Detached::default());
    let mut gateway = gateway(&config, &path).await.unwrap();
    create(&mut gateway, 1, 5).unwrap();
    path.told();
    let instance = id_at(&gateway, 1);
    let stop = |mode| Command::StopInstance { account: account(), instance: instance.clone(), mode };
    let start = || Command::StartInstance { account: account(), instance: instance.clone() };

    gateway.perform(stop(StopMode::KeepCharging)).unwrap();
    gateway.perform(start()).unwrap();
    assert_eq!(path.told(), []);
    gateway.perform(stop(StopMode::StopCharging)).unwrap();
    assert_eq!(path.told(), [Told::Set(host(1, None))]);
    gateway.perform(start()).unwrap();
    assert_eq!(path.told(), [Told::Set(host(1, Some(1))), Told::Announce([8, 8, 8, 1].into())]);
    let id = gateway.new_eip_id();
    let convert = Command::ConvertOrdinary { id: id.clone(), account: account(), instance, name: None };
    gateway.perform(convert).unwrap();
    // Not one write, so no packet can notice.
    assert_eq!(path.told(), []);
    assert_eq!(gateway.ledger.eip(&id).unwrap().address.octets(), [8, 8, 8, 1]);
    assert_eq!(path.recording().maps, maps_of(&gateway.ledger));
}

#[tokio::test]
async fn a_prepaid_instance_expires_while_the_gateway_serves() {
    const BEGIN: u64 = 1_795_174_980_000;
    let directory = tempfile::tempdir().unwrap();
    let path = Detached::default();
    let config = Config { recycle_bin: Duration::from_secs(20), ..config(directory.path()) };
    let seconds = Arc::new(AtomicU64::new(0));
    let clock = Arc::clone(&seconds);
    let outside = Outside::new(move || Time(BEGIN + 1000 * clock.load(Ordering::Relaxed)), || [7; 8]);
    let opened = Opened::new(&config, &Environment::default()).unwrap();
    let gateway = opened.take_over(path.clone(), outside).await.unwrap();
    let (handle, jobs) = Handle::new();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let seen = async |wanted: Option<(InstanceState, bool)>| {
        let mut look = interval(Duration::from_millis(10));
        let now = |operations: &mut dyn Operations| {
            operations.ledger().instances().next().map(|instance| (instance.state, instance.ordinary.is_some()))
        };
        while handle.ask(now).await.unwrap() != wanted {
            look.tick().await;
        }
    };
    let asking = async {
        let create = |operations: &mut dyn Operations| {
            let id = operations.new_instance_id();
            let new = NewInstance::new(id, account(), "vpc-default".parse().unwrap(), [10, 0, 0, 1].into());
            let prepaid = Some(Duration::from_secs(10));
            operations.perform(Command::CreateInstance(NewInstance { bandwidth_mbps: 5, prepaid, ..new })).unwrap();
        };
        handle.ask(create).await.unwrap();
        for (now, wanted) in [
            (9, Some((InstanceState::Running, true))),
            (10, Some((InstanceState::Shutdown, false))),
            (29, Some((InstanceState::Shutdown, false))),
            (30, None),
        ] {
            seconds.store(now, Ordering::Relaxed);
            tokio::time::timeout(Duration::from_secs(60), seen(wanted)).await.unwrap();
        }
        assert_eq!(path.recording().maps, Maps::new());
        stop.send(()).unwrap();
    };
    let stopped = async {
        let _ = stopped.await;
    };
    let (outcome, ()) = tokio::join!(gateway.run(jobs, stopped), asking);
    outcome.unwrap();
}

#[tokio::test]
async fn the_policy_is_the_configurations_and_what_was_agreed_outlives_the_daemon() {
    let directory = tempfile::tempdir().unwrap();
    let path = Detached::default();
    let config = Config { eips_per_account: 1, return_ordinary_ip: true, ..config(directory.path()) };
    let mut first = gateway(&config, &path).await.unwrap();
    create(&mut first, 1, 5).unwrap();
    allocate(&mut first);
    let id = first.new_eip_id();
    let refusal = first.perform(Command::AllocateEip(NewEip::new(id, account()))).unwrap_err();
    assert_eq!((refusal.code(), refusal.kind()), ("eip-quota-reached", Kind::Exhausted));
    let instance = id_at(&first, 1);
    let prepaid = NewInstance {
        prepaid: Some(Duration::from_secs(1)),
        token: Some("again".parse().unwrap()),
        ..NewInstance::new(
            "ins-prepaid".parse().unwrap(),
            account(),
            "vpc-default".parse().unwrap(),
            [10, 0, 0, 2].into(),
        )
    };
    first.perform(Command::CreateInstance(prepaid.clone())).unwrap();
    let stop = Command::StopInstance { account: account(), instance, mode: StopMode::StopCharging };
    first.perform(stop).unwrap();
    let ledger = first.ledger.clone();
    // Read back after a flush that failed, it obeys the same rules.
    assert_eq!(first.restored(first.store.load().unwrap()).unwrap(), ledger);
    drop(first);

    let mut second = gateway(&config, &path).await.unwrap();
    assert_eq!(second.ledger, ledger);
    assert_eq!(
        second.ledger.instance_at(&"vpc-default".parse().unwrap(), [10, 0, 0, 1].into()).unwrap().state,
        InstanceState::Stopped(StopMode::StopCharging)
    );
    assert!(matches!(
        second.ledger.instance(&"ins-prepaid".parse().unwrap()).unwrap().billing,
        Billing::Prepaid { .. }
    ));
    // The token stands for what the earlier daemon made.
    let again = NewInstance { id: "ins-another".parse().unwrap(), ..prepaid };
    assert!(second.perform(Command::CreateInstance(again)).unwrap().is_empty());
    assert_eq!(second.ledger.instances().len(), 2);
}

fn import(gateway: &mut dyn Operations, pairs: &[(u8, u8, &str)]) -> Import {
    let instances = gateway.new_instance_ids(pairs.len());
    let eips = gateway.new_eip_ids(pairs.len());
    let pair = |((instance, eip), (private, public, vpc)): ((InstanceId, EipId), &(u8, u8, &str))| NewPair {
        instance,
        vpc: vpc.parse().unwrap(),
        private: [10, 0, 0, *private].into(),
        name: None,
        public: [8, 8, 8, *public].into(),
        public_as: PublicAs::Eip(eip),
    };
    let pairs = instances.into_iter().zip(eips).zip(pairs).map(pair).collect();
    Import { account: account(), pairs, bandwidth_mbps: 0 }
}

#[tokio::test]
async fn an_import_is_one_change_that_tells_how_far_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let (config, path) = (config(directory.path()), Detached::default());
    let mut gateway = gateway(&config, &path).await.unwrap();
    path.told();
    let strange = import(&mut gateway, &[(1, 5, "vpc-default"), (2, 6, "vpc-other")]);
    let refusal = gateway.perform(Command::ImportPairs(strange)).unwrap_err();
    let sentence = "there is no VPC vpc-other, for no downlink belongs to it; there is vpc-default";
    assert_eq!(refusal.to_string(), format!("pair 1: {sentence}"));
    assert_eq!(refusal.pair().map(|(index, why)| (index, why.to_string())), Some((1, sentence.into())));

    let good = import(&mut gateway, &[(1, 5, "vpc-default"), (2, 6, "vpc-default")]);
    gateway.check(Command::ImportPairs(good.clone())).unwrap();
    assert_eq!(gateway.ledger.instances().len(), 0);
    let mut told = Vec::new();
    gateway.perform_telling(Command::ImportPairs(good), &mut |progress| told.push(progress)).unwrap();
    let writing = |done| Progress { stage: Stage::Writing, done, total: 2 };
    assert_eq!(told, [Stage::Deciding.begun(), Stage::Committing.begun(), writing(0), writing(0), writing(1)]);
    let announce = |last: u8| Told::Announce([8, 8, 8, last].into());
    let set = |last, public| Told::Set(host(last, Some(public)));
    assert_eq!(path.told(), [set(1, 5), set(2, 6), announce(5), announce(6)]);
    let again = import(&mut gateway, &[(3, 7, "vpc-default")]);
    let refusal = gateway.check(Command::ImportPairs(again)).unwrap_err();
    assert_eq!(refusal.code(), "capacity-reached");

    let ledger = gateway.ledger.clone();
    assert_eq!(ledger.check_invariants(), Ok(()));
    drop(gateway);
    let opened = Opened::new(&config, &Environment::default()).unwrap();
    assert_eq!(opened.take_over(path, outside()).await.unwrap().ledger, ledger);
}

#[tokio::test]
async fn a_fence_takes_the_binding_and_leaves_the_association() {
    let directory = tempfile::tempdir().unwrap();
    let (config, path) = (config(directory.path()), Detached::default());
    let mut gateway = gateway(&config, &path).await.unwrap();
    create(&mut gateway, 1, 5).unwrap();
    path.told();
    let address: Ipv4Addr = [8, 8, 8, 0].into();
    gateway.perform(Command::FenceAddress { address, reason: None }).unwrap();
    assert_eq!(path.told(), [Told::Set(host(1, None))]);
    assert_eq!(gateway.ledger.association_count(), 1);
    // What changes meanwhile does not let it through.
    create(&mut gateway, 2, 0).unwrap();
    gateway.reconcile();
    assert_eq!(path.recording().maps, Maps::from([(place(1), None), (place(2), None)]));
    path.told();
    gateway.perform(Command::UnfenceAddress { address }).unwrap();
    assert_eq!(path.told(), [Told::Set(host(1, Some(0))), Told::Announce(address)]);
}

#[tokio::test]
async fn a_fence_holds_from_the_first_packet_after_a_boot() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let mut first = gateway(&config, &Detached::default()).await.unwrap();
    create(&mut first, 1, 5).unwrap();
    first.perform(Command::FenceAddress { address: [8, 8, 8, 0].into(), reason: None }).unwrap();
    drop(first);
    let empty = Detached::default();
    let again = gateway(&config, &empty).await.unwrap();
    assert_eq!(again.ledger.association_count(), 1);
    assert_eq!(empty.recording().maps, Maps::from([(place(1), None)]));
}

fn place(last: u8) -> (VpcId, Ipv4Addr) {
    ("vpc-default".parse().unwrap(), [10, 0, 0, last].into())
}

#[tokio::test]
async fn a_pool_reaches_the_packet_path_before_its_addresses_and_outlasts_the_daemon() {
    let directory = tempfile::tempdir().unwrap();
    let (config, path) = (config(directory.path()), Detached::default());
    let mut first = gateway(&config, &path).await.unwrap();
    path.told();
    let (configured, added): (Prefix, Prefix) = ("8.8.8.0/29".parse().unwrap(), "9.9.9.0/30".parse().unwrap());
    let command = first.pool_addition(added, false).unwrap();
    first.perform(command).unwrap();
    assert_eq!(path.told(), [Told::Pools(vec![configured, added])]);
    for last in 1..=2 {
        create(&mut first, last, 5).unwrap();
    }
    first.perform(Command::DrainPool { prefix: configured }).unwrap();
    path.told();
    first.perform(Command::DrainPool { prefix: added }).unwrap();
    first.perform(Command::RemovePool { prefix: added }).unwrap();
    assert_eq!(path.told(), [Told::Pools(vec![configured])]);
    let command = first.pool_addition(added, false).unwrap();
    first.perform(command).unwrap();
    let ledger = first.ledger.clone();
    // Where a flush fails, the pool becomes what is stored as everything else does.
    assert_eq!(first.restored(first.store.load().unwrap()).unwrap(), ledger);
    drop(first);
    let again = gateway(&config, &path).await.unwrap();
    assert_eq!(again.ledger, ledger);
    drop(again);

    let elsewhere = Config { pools: vec!["9.9.0.0/16".parse().unwrap()], ..config.clone() };
    let refusal = format!("{:#}", gateway(&elsewhere, &path).await.err().unwrap());
    assert_eq!(
        refusal,
        "pool 9.9.9.0/30, which was added by command, does not go with the configuration or the host: \
         pools 9.9.0.0/16 and 9.9.9.0/30 overlap; remove or shrink one of them"
    );
}

#[tokio::test]
async fn a_pool_with_an_address_of_the_host_or_of_a_lab_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (config, path) = (config(directory.path()), Detached::default());
    let mut gateway = gateway(&config, &path).await.unwrap();
    path.recording().environment.own =
        vec![OwnAddress { interface: "eth1".into(), address: [9, 9, 9, 1].into(), length: 24, uplink: false }];
    let refusal = gateway.pool_addition("9.9.9.0/30".parse().unwrap(), true).unwrap_err();
    assert_eq!((refusal.kind(), refusal.code()), (Kind::Conflict, "own-address-in-pool"));
    let lab: Prefix = "203.0.113.0/24".parse().unwrap();
    let command = gateway.pool_addition(lab, false).unwrap();
    assert_eq!(gateway.perform(command).unwrap_err().code(), "pool-reserved");
    let command = gateway.pool_addition(lab, true).unwrap();
    gateway.perform(command).unwrap();
    // Allowed once, it is not refused at the next start.
    drop(gateway);
    Opened::new(&config, &Environment::default()).unwrap();
}

#[tokio::test]
async fn history_that_is_still_to_come_cannot_be_pruned() {
    let directory = tempfile::tempdir().unwrap();
    let mut gateway = gateway(&config(directory.path()), &Detached::default()).await.unwrap();
    create(&mut gateway, 1, 5).unwrap();
    let refusal = gateway.prune_history(0, Time(1_795_174_980_001)).unwrap_err();
    assert_eq!((refusal.kind(), refusal.code()), (Kind::Invalid, "pruning-ahead"));
    assert_eq!(gateway.prune_history(0, Time(1_795_174_980_000)), Ok((0, Some(2))));
}
