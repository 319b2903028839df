//! The gateway over a packet path that only remembers: in what order things happen, and what happens when one fails.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};

use super::detached::{Maps, Told};
use super::*;
use crate::address::{AccountId, ChargeType, NewInstance, Reallocate, Refusal};
use crate::config::Config;
use crate::dataplane::{Environment, Host};

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
    let new = NewInstance {
        id: gateway.new_instance_id(),
        account: account(),
        vpc: "vpc-default".parse().unwrap(),
        private: [10, 0, 0, last].into(),
        name: None,
        bandwidth_mbps,
        charge_type: ChargeType::default(),
    };
    gateway.perform(Command::CreateInstance(new))
}

fn allocate(gateway: &mut dyn Operations) -> EipId {
    let id = gateway.new_eip_id();
    let command = Command::AllocateEip { id: id.clone(), account: account(), address: None, name: None };
    gateway.perform(command).unwrap();
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
    let state = directory.path().join("state.json");
    let good = fs::read_to_string(&state).unwrap();
    for (from, to) in
        [("\"version\":1", "\"version\":2"), ("8.8.8.0", "8.8.8"), ("\"instances\":[", "\"instances\":[{")]
    {
        fs::write(&state, good.replace(from, to)).unwrap();
        assert!(gateway(&config, &path).await.is_err());
    }
    let lower = Config { max_instances: 1, ..config.clone() };
    fs::write(&state, &good).unwrap();
    let refusal = gateway(&lower, &path).await.err().unwrap().to_string();
    assert_eq!(refusal, "2 instances are stored; raise max_instances to that at least");
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
    let (ledger, stored) = (gateway.ledger.clone(), fs::read(gateway.store.path()).unwrap());

    let (one, two) = (id_at(&gateway, 1), id_at(&gateway, 2));
    let account = account();
    let unknown: InstanceId = "ins-unknown".parse().unwrap();
    let new = |last: u8, vpc: &str, bandwidth_mbps| {
        Command::CreateInstance(NewInstance {
            id: "ins-new".parse().unwrap(),
            account: "default".parse().unwrap(),
            vpc: vpc.parse().unwrap(),
            private: [10, 0, 0, last].into(),
            name: None,
            bandwidth_mbps,
            charge_type: ChargeType::default(),
        })
    };
    let refused = [
        (new(1, "vpc-default", 0), "private-address-taken"),
        (new(3, "vpc-default", 5), "capacity-reached"),
        (new(3, "vpc-other", 0), "unknown-vpc"),
        (Command::TerminateInstance { account: account.clone(), instance: unknown }, "unknown-instance"),
        (Command::BindEip { account: account.clone(), eip: other.clone(), instance: one }, "instance-has-eip"),
        (Command::BindEip { account: account.clone(), eip: eip.clone(), instance: two }, "eip-already-bound"),
        (
            Command::UnbindEip { account: account.clone(), eip: other, reallocate: Reallocate::ByBandwidth },
            "eip-not-bound",
        ),
        (Command::ReleaseEip { account, eip }, "eip-bound"),
    ];
    for (command, code) in refused {
        assert_eq!(gateway.perform(command).unwrap_err().code(), code);
    }
    assert_eq!(path.told(), []);
    assert_eq!(gateway.ledger, ledger);
    assert_eq!(fs::read(gateway.store.path()).unwrap(), stored);
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
    gateway.perform(Command::UnbindEip { account: account(), eip, reallocate: Reallocate::ByBandwidth }).unwrap();
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
async fn jobs_are_done_one_after_the_other_until_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let gateway = gateway(&config(directory.path()), &Detached::default()).await.unwrap();
    let (handle, jobs) = Handle::new();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = async {
        let _ = stopped.await;
    };
    let asking = async {
        let created = handle.ask(|operations| create(operations, 1, 5).map(|change| change.taken().count())).await;
        assert_eq!(created, Ok(Ok(1)));
        let refused = handle.ask(|operations| create(operations, 1, 5).unwrap_err()).await.unwrap();
        assert!(matches!(refused, GatewayError::Refused(Refusal::PrivateAddressTaken { .. })));
        stop.send(()).unwrap();
    };
    let (outcome, ()) = tokio::join!(gateway.run(jobs, stopped), asking);
    outcome.unwrap();
    assert_eq!(handle.ask(|operations| operations.now()).await, Err(Stopped));
}

#[test]
fn an_id_in_use_is_drawn_again_and_time_never_goes_back() {
    let mut draws = [[0; 8], [0; 8], [1, 2, 3, 31, 32, 33, 254, 255]].into_iter();
    let mut ticks = [5, 3, 7].into_iter();
    let mut outside = Outside::new(move || Time(ticks.next().unwrap()), move || draws.next().unwrap());
    let taken: EipId = outside.draw_id("eip-", |_| true);
    assert_eq!(taken.as_str(), "eip-00000000");
    let free: EipId = outside.draw_id("eip-", |id| *id != taken);
    assert_eq!(free.as_str(), "eip-123z01yz");
    assert_eq!([outside.now(), outside.now(), outside.now()], [Time(5), Time(5), Time(7)]);
}
