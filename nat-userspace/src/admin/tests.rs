//! The socket from outside: golden replies to every command, and clients that misbehave.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::client::{Client, ClientError};
use super::wire::{
    Complaint, ImportRequest, Imported, LONGEST_REQUEST, PairRow, PoolRow, ProgressRow, PublicIpKind, Request, StageRow,
};
use super::{Listener, Server, events};
use crate::address::Time;
use crate::config::Config;
use crate::dataplane::Environment;
use crate::gateway::{Detached, Handle, Opened, Outside};

/// A gateway over a packet path that only remembers, behind a socket. Ids count up, and every moment is the same.
struct Served {
    directory: tempfile::TempDir,
    handle: Handle,
    server: Server,
    stop: oneshot::Sender<()>,
    gateway: JoinHandle<Result<()>>,
}

fn config(directory: &Path) -> Config {
    Config {
        uplinks: vec!["eth0".parse().unwrap()],
        downlinks: vec!["eth1".parse().unwrap()],
        pools: vec!["8.8.8.0/30".parse().unwrap()],
        state_dir: directory.join("state"),
        socket: directory.join("run/eipgate.sock"),
        max_pairs: 2,
        max_instances: 3,
        ..Config::default()
    }
}

impl Served {
    async fn new() -> Served {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path());
        let listener = Listener::bind(&config).unwrap();
        let mut drawn = 0;
        let chance = move || {
            drawn += 1;
            [drawn; 8]
        };
        let outside = Outside::new(|| Time(1_795_174_980_000), chance);
        let opened = Opened::new(&config, &Environment::default()).unwrap();
        let gateway = opened.take_over(Detached::default(), outside).await.unwrap();
        let (handle, jobs) = Handle::new();
        let (stop, stopped) = oneshot::channel();
        let gateway = tokio::spawn(gateway.run(jobs, async {
            let _ = stopped.await;
        }));
        let server = listener.serve(handle.clone()).unwrap();
        Served { directory, handle, server, stop, gateway }
    }

    async fn connect(&self) -> BufReader<UnixStream> {
        let socket = config(self.directory.path()).socket;
        BufReader::new(UnixStream::connect(socket).await.unwrap())
    }

    /// One request on a connection of its own.
    async fn ask(&self, request: &str) -> String {
        converse(&mut self.connect().await, request).await
    }

    async fn end(self) {
        self.stop.send(()).unwrap();
        self.gateway.await.unwrap().unwrap();
        self.server.close().await;
    }
}

async fn converse(connection: &mut BufReader<UnixStream>, request: &str) -> String {
    connection.write_all(format!("{request}\n").as_bytes()).await.unwrap();
    reply(connection).await
}

async fn reply(connection: &mut BufReader<UnixStream>) -> String {
    let mut reply = String::new();
    timeout(Duration::from_secs(10), connection.read_line(&mut reply)).await.unwrap().unwrap();
    reply.trim_end().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_has_its_reply() {
    let served = Served::new().await;
    for (request, reply) in [
        (
            r#"{"command":"instance_create","account":"default","vpc":"vpc-default","private_ip":"10.0.0.5","name":"web","bandwidth_mbps":5,"charge_type":"TRAFFIC_POSTPAID_BY_HOUR"}"#,
            r#"{"ok":{"id":"ins-11111111","account":"default","name":"web","vpc":"vpc-default","private_ip":"10.0.0.5","public_ip":"8.8.8.0","public_ip_kind":"ordinary","eip_id":null,"bandwidth_mbps":5,"bandwidth_enforced":false,"charge_type":"TRAFFIC_POSTPAID_BY_HOUR","package_id":null,"state":"running","stop_mode":null,"state_since":"2026-11-20T11:43:00Z","billing":"postpaid","due_at":null,"created_at":"2026-11-20T11:43:00Z"}}"#,
        ),
        (
            r#"{"command":"eip_allocate","account":"default","address":null,"name":"mail"}"#,
            r#"{"ok":{"id":"eip-22222222","account":"default","name":"mail","address":"8.8.8.1","state":"unbound","instance_id":null,"vpc":null,"private_ip":null,"bandwidth_mbps":1,"bandwidth_enforced":false,"charge_type":"TRAFFIC_POSTPAID_BY_HOUR","package_id":null,"blocked":false,"arrears":false,"created_at":"2026-11-20T11:43:00Z"}}"#,
        ),
        (
            r#"{"command":"eip_bind","account":"default","eip":"8.8.8.1","instance":"web","vpc":null}"#,
            r#"{"ok":{"id":"eip-22222222","account":"default","name":"mail","address":"8.8.8.1","state":"bound","instance_id":"ins-11111111","vpc":"vpc-default","private_ip":"10.0.0.5","bandwidth_mbps":1,"bandwidth_enforced":false,"charge_type":"TRAFFIC_POSTPAID_BY_HOUR","package_id":null,"blocked":false,"arrears":false,"created_at":"2026-11-20T11:43:00Z","released_ip":"8.8.8.0"}}"#,
        ),
        (
            r#"{"command":"eip_release","account":"default","eip":"8.8.8.1"}"#,
            r#"{"error":{"kind":"conflict","code":"eip-bound","message":"EIP eip-22222222 cannot be released while it is bound to instance ins-11111111; unbind it first"}}"#,
        ),
        (
            r#"{"command":"host_list"}"#,
            r#"{"ok":[{"vpc":"vpc-default","private_ip":"10.0.0.5","public_ip":"8.8.8.1","instance_id":"ins-11111111"}]}"#,
        ),
        (
            r#"{"command":"pool_list"}"#,
            r#"{"ok":[{"prefix":"8.8.8.0/30","kind":"routed","state":"serving","origin":"configured","members":4,"held":1,"cooling_down":1,"free":2,"set_aside":0,"withheld":0}]}"#,
        ),
        (
            r#"{"command":"eip_unbind","account":"default","eip":"eip-22222222","reallocate":true}"#,
            r#"{"ok":{"id":"eip-22222222","account":"default","name":"mail","address":"8.8.8.1","state":"unbound","instance_id":null,"vpc":null,"private_ip":null,"bandwidth_mbps":1,"bandwidth_enforced":false,"charge_type":"TRAFFIC_POSTPAID_BY_HOUR","package_id":null,"blocked":false,"arrears":false,"created_at":"2026-11-20T11:43:00Z","unbound_from":"ins-11111111","assigned_ip":"8.8.8.2"}}"#,
        ),
        (
            r#"{"command":"eip_release","account":"default","eip":"eip-22222222"}"#,
            r#"{"ok":{"id":"eip-22222222","account":"default","name":"mail","address":"8.8.8.1","state":"unbound","instance_id":null,"vpc":null,"private_ip":null,"bandwidth_mbps":1,"bandwidth_enforced":false,"charge_type":"TRAFFIC_POSTPAID_BY_HOUR","package_id":null,"blocked":false,"arrears":false,"created_at":"2026-11-20T11:43:00Z","rests_until":"2026-11-20T11:53:00Z"}}"#,
        ),
        (r#"{"command":"eip_list","account":"default"}"#, r#"{"ok":[]}"#),
        (r#"{"command":"instance_list","account":"other"}"#, r#"{"ok":[]}"#),
        (
            r#"{"command":"instance_show","account":"other","instance":"web","vpc":null}"#,
            r#"{"error":{"kind":"not_found","code":"unknown-instance","message":"there is no instance \"web\" in account other"}}"#,
        ),
        (
            r#"{"command":"status"}"#,
            concat!(
                r#"{"ok":{"version":"0.1.0","pid":PID,"serving_since":"2026-11-20T11:43:00Z","degraded":false,"problems":[],"dirty":false,"#,
                r#""instances":{"entries":1,"capacity":3},"pairs":{"entries":1,"capacity":2},"eips":0,"held_outside_pools":0,"fences":[],"#,
                r#""data_plane":{"guard":true,"links":[{"attached":true,"ifindex":2,"interface":"eth0","mode":"native","mtu":1500,"side":"uplink","tags":[],"up":true,"vpc":null},"#,
                r#"{"attached":false,"ifindex":null,"interface":"eth1","mode":null,"mtu":null,"side":"downlink","tags":[],"up":false,"vpc":"vpc-default"}],"#,
                r#""maps":[{"capacity":3,"entries":1,"name":"OUTBOUND"}],"next_hops":{"asked":0,"instances_reason":null,"instances_without":0,"not_ready":[],"ready":0},"problems":[],"program_id":42},"#,
                r#""notes":["nftables and conntrack do not see the traffic this gateway forwards, nor does tcpdump; `eipgate monitor` shows it"]}}"#
            ),
        ),
        (
            r#"{"command":"instance_terminate","account":"default","instance":"10.0.0.5","vpc":"vpc-default"}"#,
            r#"{"ok":{"id":"ins-11111111","account":"default","name":"web","vpc":"vpc-default","private_ip":"10.0.0.5","public_ip":"8.8.8.2","public_ip_kind":"ordinary","eip_id":null,"bandwidth_mbps":5,"bandwidth_enforced":false,"charge_type":"TRAFFIC_POSTPAID_BY_HOUR","package_id":null,"state":"running","stop_mode":null,"state_since":"2026-11-20T11:43:00Z","billing":"postpaid","due_at":null,"created_at":"2026-11-20T11:43:00Z","released_ip":"8.8.8.2","unbound_eip":null,"state_now":"terminated"}}"#,
        ),
    ] {
        let expected = reply.replace("PID", &std::process::id().to_string());
        assert_eq!(served.ask(request).await, expected, "{request}");
    }
    served.end().await;
}

/// Each request with some fields of its reply.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_life_of_an_instance_has_its_replies() {
    use serde_json::{Value, json};
    let served = Served::new().await;
    let on_web = |command: &str, more: Value| {
        let mut request = json!({"command": command, "account": "default", "instance": "web", "vpc": null});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        request
    };
    let create = json!({"command": "instance_create", "account": "default", "vpc": "vpc-default", "private_ip": "10.0.0.5",
        "name": "web", "bandwidth_mbps": 5, "charge_type": null, "prepaid_seconds": 3600, "pending": true,
        "client_token": "one"});
    let allocate = json!({"command": "eip_allocate", "account": "default", "address": null, "name": null,
        "package": "bwp-33333333", "bandwidth_mbps": 9, "client_token": "two"});
    let mut other = allocate.clone();
    other["bandwidth_mbps"] = json!(10);
    let package = |command: &str, member: Option<&str>| {
        let mut request = json!({"command": command, "account": "default", "package": "bwp-33333333"});
        if let Some(member) = member {
            request["member"] = json!(member);
        }
        request
    };
    for (request, expected) in [
        (
            create.clone(),
            json!({"id": "ins-11111111", "state": "pending", "billing": "prepaid", "due_at": "2026-11-20T12:43:00Z",
                "public_ip": "8.8.8.0", "charge_type": "BANDWIDTH_POSTPAID_BY_HOUR"}),
        ),
        (create, json!({"id": "ins-11111111", "public_ip": "8.8.8.0"})),
        (on_web("instance_stop", json!({"stop_mode": "keep_charging"})), json!({"code": "instance-state"})),
        (on_web("instance_start", json!({})), json!({"state": "running", "assigned_ip": null})),
        (on_web("instance_stop", json!({"stop_mode": "stop_charging"})), json!({"code": "prepaid-stop"})),
        (
            on_web("instance_stop", json!({"stop_mode": "keep_charging"})),
            json!({"state": "stopped", "stop_mode": "keep_charging", "public_ip": "8.8.8.0", "released_ip": null}),
        ),
        (on_web("instance_renew", json!({"period_seconds": 60})), json!({"due_at": "2026-11-20T12:44:00Z"})),
        (
            on_web("instance_modify", json!({"bandwidth_mbps": 50, "charge_type": "TRAFFIC_POSTPAID_BY_HOUR"})),
            json!({"bandwidth_mbps": 50, "charge_type": "TRAFFIC_POSTPAID_BY_HOUR"}),
        ),
        (on_web("instance_return_ip", json!({})), json!({"code": "return-denied"})),
        (on_web("instance_change_ip", json!({})), json!({"code": "change-denied"})),
        (
            json!({"command": "package_create", "account": "default", "name": "office", "bandwidth_mbps": 200}),
            json!({"id": "bwp-33333333", "name": "office", "bandwidth_mbps": 200, "members": []}),
        ),
        (
            allocate.clone(),
            json!({"id": "eip-44444444", "address": "8.8.8.1", "package_id": "bwp-33333333", "bandwidth_mbps": 9,
                "charge_type": "BANDWIDTH_PACKAGE"}),
        ),
        (allocate, json!({"id": "eip-44444444", "address": "8.8.8.1"})),
        (other, json!({"code": "token-used"})),
        (package("package_delete", None), json!({"code": "package-in-use"})),
        (package("package_add", Some("web")), json!({"members": ["ins-11111111", "eip-44444444"]})),
        (package("package_remove", Some("8.8.8.1")), json!({"members": ["ins-11111111"]})),
        (package("package_remove", Some("10.0.0.5")), json!({"members": []})),
        (package("package_add", Some("nobody")), json!({"code": "unknown-member"})),
        (package("package_show", None), json!({"members": [], "created_at": "2026-11-20T11:43:00Z"})),
        (package("package_delete", None), json!({"id": "bwp-33333333"})),
        (package("package_show", None), json!({"code": "unknown-package"})),
        (
            json!({"command": "eip_modify", "account": "default", "eip": "8.8.8.1", "name": "mail", "bandwidth_mbps": null,
                "charge_type": null, "blocked": true, "arrears": null}),
            json!({"name": "mail", "blocked": true, "arrears": false, "bandwidth_mbps": 9}),
        ),
        (
            json!({"command": "eip_bind", "account": "default", "eip": "8.8.8.1", "instance": "web", "vpc": null}),
            json!({"code": "eip-blocked"}),
        ),
        (
            on_web("instance_convert_ip", json!({"name": "kept"})),
            json!({"id": "eip-77777777", "address": "8.8.8.0", "state": "bound", "instance_id": "ins-11111111",
                "bandwidth_mbps": 50}),
        ),
        (
            on_web("instance_terminate", json!({})),
            json!({"state_now": "shutdown", "unbound_eip": "eip-77777777", "released_ip": null}),
        ),
        (on_web("instance_show", json!({})), json!({"state": "shutdown", "due_at": "2026-11-27T11:43:00Z"})),
        (on_web("instance_terminate", json!({})), json!({"state_now": "terminated"})),
    ] {
        let reply: Value = serde_json::from_str(&served.ask(&request.to_string()).await).unwrap();
        let body = reply.get("ok").or(reply.get("error")).unwrap();
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(&body[field], value, "{field} of the reply to {request}: {reply}");
        }
    }
    assert_eq!(
        served.ask(r#"{"command":"quota_list","account":"default"}"#).await,
        concat!(
            r#"{"ok":[{"quota":"TOTAL_EIP_QUOTA","used":2,"limit":20},{"quota":"DAILY_EIP_APPLY","used":1,"limit":40},"#,
            r#"{"quota":"DAILY_PUBLIC_IP_ASSIGN","used":0,"limit":null}]}"#
        )
    );
    assert_eq!(served.ask(r#"{"command":"package_list","account":"default"}"#).await, r#"{"ok":[]}"#);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_request_is_answered_with_what_is_wrong() {
    let served = Served::new().await;
    let mut connection = served.connect().await;
    for (request, problem) in [
        ("", "not a request: EOF while parsing a value at line 2 column 0"),
        ("{}", "not a request: missing field `command` at line 1 column 2"),
        (r#"{"command":"eip_list"}"#, "not a request: missing field `account`"),
        (r#"{"command":"status","now":1}"#, "not a request: unknown field `now`, there are no fields"),
        ("[1]", "not a request: invalid type: integer `1`, expected variant identifier at line 1 column 2"),
        (
            r#"{"command":"eip_list","account":"a b"}"#,
            "\"a b\" is not a valid account id: write 1 to 64 of the characters A-Z a-z 0-9 . _ -",
        ),
    ] {
        let reply = converse(&mut connection, request).await;
        let expected = serde_json::json!({"error": {"kind": "invalid", "code": "invalid-request", "message": problem}});
        assert_eq!(serde_json::from_str::<serde_json::Value>(&reply).unwrap(), expected, "{reply}");
    }
    let deep = format!("{{\"command\":\"status\",\"x\":{}", "[".repeat(10_000));
    assert!(converse(&mut connection, &deep).await.contains("recursion limit exceeded"));
    // The connection is as good as before.
    assert!(converse(&mut connection, r#"{"command":"host_list"}"#).await.starts_with(r#"{"ok":["#));
    served.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_without_end_is_cut_off_and_half_a_request_is_none() {
    let served = Served::new().await;
    let mut endless = served.connect().await;
    endless.write_all(&vec![b'a'; LONGEST_REQUEST + 1]).await.unwrap();
    let complaint = reply(&mut endless).await;
    assert!(complaint.contains("a request must not be longer than 65536 bytes"), "{complaint}");
    assert_eq!(reply(&mut endless).await, "");

    let mut half = served.connect().await;
    half.write_all(br#"{"command":"eip_allocate","account":"default"}"#).await.unwrap();
    half.get_mut().shutdown().await.unwrap();
    assert_eq!(reply(&mut half).await, "");
    assert_eq!(served.ask(r#"{"command":"eip_list","account":"default"}"#).await, r#"{"ok":[]}"#);
    served.end().await;
}

const IMPORT: &str =
    r#"{"command":"import","account":"default","public_ip_kind":"eip","bandwidth_mbps":0,"check":false,"pairs":2}"#;

fn pair(public: u8, private: u8, name: Option<&str>) -> PairRow {
    let (public_ip, private_ip) = ([8, 8, 8, public].into(), [10, 0, 0, private].into());
    PairRow { public_ip, private_ip, vpc: "vpc-default".into(), name: name.map(Into::into) }
}

/// An import by the client; how it ended, and the stages it told of.
async fn import(served: &Served, check: bool, pairs: Vec<PairRow>) -> (Result<Imported, Complaint>, Vec<StageRow>) {
    let socket = config(served.directory.path()).socket;
    let request = ImportRequest {
        account: "default".into(),
        public_ip_kind: PublicIpKind::Eip,
        bandwidth_mbps: 0,
        check,
        pairs: pairs.len(),
    };
    let asked = tokio::task::spawn_blocking(move || {
        let mut stages = Vec::new();
        let told = &mut |progress: ProgressRow| stages.push(progress.stage);
        match Client::new(socket).import(request, pairs.iter(), &mut |_| {}, told) {
            Ok(imported) => (Ok(imported), stages),
            Err(ClientError::Refused(complaint)) => (Err(complaint), stages),
            Err(error) => panic!("{error}"),
        }
    });
    asked.await.unwrap()
}

async fn exported(served: &Served) -> Vec<PairRow> {
    let socket = config(served.directory.path()).socket;
    let ask = move || Client::new(socket).ask(&Request::Export { account: "default".into() }).unwrap();
    tokio::task::spawn_blocking(ask).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_exported_can_be_imported_into_an_empty_gateway() {
    let (first, second) = (Served::new().await, Served::new().await);
    // As instances made through the API may have one name.
    let pairs = vec![pair(3, 1, Some("web, old")), pair(0, 2, Some("web, old"))];
    let (checked, _) = import(&first, true, pairs.clone()).await;
    let done =
        |imported| Imported { imported, checked: 2, account: "default".into(), public_ip_kind: PublicIpKind::Eip };
    assert_eq!((checked, exported(&first).await), (Ok(done(0)), vec![]));
    let (imported, stages) = import(&first, false, pairs.clone()).await;
    assert_eq!(imported, Ok(done(2)));
    assert!(stages.is_sorted_by_key(|stage| *stage as u8), "{stages:?}");
    let moved = exported(&first).await;
    assert_eq!(moved, [pairs[1].clone(), pairs[0].clone()]);
    import(&second, false, moved.clone()).await.0.unwrap();
    assert_eq!(exported(&second).await, moved);
    first.end().await;
    second.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_that_cannot_be_changes_nothing_and_names_the_pair() {
    let served = Served::new().await;
    let long = "x".repeat(2000);
    for (bad, code, message) in [
        (pair(0, 2, None), "public-address-twice", "public address 8.8.8.0 is given twice"),
        (PairRow { vpc: "blue".into(), ..pair(1, 2, None) }, "unknown-vpc", "there is no VPC blue, for no downlink"),
        (PairRow { vpc: "a b".into(), ..pair(1, 2, None) }, "invalid-request", "\"a b\" is not a valid VPC id: "),
        (pair(1, 2, Some(&long)), "invalid-request", "a pair must not be longer than 1024 bytes"),
    ] {
        let complaint = import(&served, false, vec![pair(0, 1, None), bad]).await.0.unwrap_err();
        assert_eq!((complaint.pair, complaint.code.as_str()), (Some(1), code));
        assert!(complaint.message.starts_with(message), "{complaint:?}");
    }
    let many: Vec<PairRow> = (0..3).map(|number| pair(number, number, None)).collect();
    let complaint = import(&served, false, many).await.0.unwrap_err();
    assert_eq!(complaint.message, "3 pairs are more than the 2 that the maps hold; raise max_pairs");
    assert_eq!(exported(&served).await, []);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_under_way_keeps_others_waiting_for_their_turn_but_nobody_else() {
    let served = Served::new().await;
    let mut slow = served.connect().await;
    let first = serde_json::to_string(&pair(0, 1, None)).unwrap();
    slow.write_all(format!("{IMPORT}\n{first}\n").as_bytes()).await.unwrap();
    // The request has been taken when a second one is told of it.
    let under_way = r#"{"error":{"kind":"conflict","code":"import-under-way","message":"another import is under way; wait until it has ended"}}"#;
    let nothing = IMPORT.replace("\"pairs\":2", "\"pairs\":0");
    while served.ask(&nothing).await != under_way {}
    assert_eq!(served.ask(r#"{"command":"eip_list","account":"default"}"#).await, r#"{"ok":[]}"#);
    // Half an import is none, and its turn ends with it.
    drop(slow);
    let mut next = import(&served, false, vec![pair(0, 1, None)]).await.0;
    while next.as_ref().is_err_and(|complaint| complaint.code == "import-under-way") {
        next = import(&served, false, vec![pair(0, 1, None)]).await.0;
    }
    assert_eq!(next.map(|done| done.imported), Ok(1));
    served.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_dawdles_keeps_nobody_waiting() {
    let served = Served::new().await;
    // It asks without ever taking an answer, until its socket is full, and another stops in the middle of a word.
    let mut deaf = served.connect().await;
    let request = b"{\"command\":\"status\"}\n".repeat(512);
    while timeout(Duration::from_millis(200), deaf.write_all(&request)).await.is_ok() {}
    let mut mumbling = served.connect().await;
    mumbling.write_all(b"{\"comm").await.unwrap();

    let socket = config(served.directory.path()).socket;
    let asked = tokio::task::spawn_blocking(move || Client::new(socket).ask::<Vec<PoolRow>>(&Request::PoolList {}));
    assert_eq!(asked.await.unwrap().unwrap().len(), 1);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_takes_the_socket_away() {
    let served = Served::new().await;
    let mut idle = served.connect().await;
    assert!(converse(&mut idle, r#"{"command":"pool_list"}"#).await.starts_with(r#"{"ok""#));
    let Served { directory, server, stop, gateway, .. } = served;
    stop.send(()).unwrap();
    gateway.await.unwrap().unwrap();
    let stopping = r#"{"error":{"kind":"internal","code":"stopping","message":"the gateway is stopping"}}"#;
    assert_eq!(converse(&mut idle, r#"{"command":"pool_list"}"#).await, stopping);
    server.close().await;
    assert!(!config(directory.path()).socket.exists());
    let mut rest = Vec::new();
    assert_eq!(timeout(Duration::from_secs(10), idle.read_to_end(&mut rest)).await.unwrap().unwrap(), 0);
}

#[test]
fn the_socket_has_its_mode_and_replaces_only_what_is_dead() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = Config { socket_mode: 0o600, ..config(directory.path()) };
    let path = config.socket.clone();
    let shown = path.display();
    let first = Listener::bind(&config).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let pid = std::process::id();
    assert_eq!(
        Listener::bind(&config).unwrap_err().to_string(),
        format!("another eipgate (pid {pid}) already answers on {shown}; stop it, or give this one its own socket")
    );
    // One that died left its file behind.
    let left_behind = directory.path().join("kept");
    fs::rename(&path, &left_behind).unwrap();
    drop(first);
    fs::rename(&left_behind, &path).unwrap();
    let second = Listener::bind(&config).unwrap();
    let inode = fs::metadata(&path).unwrap().ino();
    // A file that is not its own any more is not its to remove.
    fs::rename(&path, &left_behind).unwrap();
    fs::write(&path, "precious").unwrap();
    drop(second);
    assert_eq!(fs::metadata(&left_behind).unwrap().ino(), inode);
    let refusal = Listener::bind(&config).unwrap_err().to_string();
    assert_eq!(refusal, format!("{shown} is not a socket and is left alone; move it away"));
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");

    config.socket_group = Some("no-such-group".into());
    assert_eq!(
        Listener::bind(&config).unwrap_err().to_string(),
        "there is no group \"no-such-group\" to give the socket to; create it or change socket_group"
    );
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}

/// Runs `work` with a client of a gateway that has made an instance.
async fn with_client<T: Send + 'static>(served: &Served, work: impl FnOnce(Client) -> T + Send + 'static) -> T {
    let client = Client::new(config(served.directory.path()).socket);
    tokio::task::spawn_blocking(move || work(client)).await.unwrap()
}

const FENCE: &str = r#"{"command":"address_fence","address":"8.8.8.3","reason":"abuse"}"#;
const UNFENCE: &str = r#"{"command":"address_unfence","address":"8.8.8.3"}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_hears_of_what_was_and_then_of_what_happens_without_a_gap() {
    let served = Served::new().await;
    served.ask(FENCE).await;
    let mut follower = served.connect().await;
    let first = converse(&mut follower, r#"{"command":"events","since":0,"follow":true}"#).await;
    assert_eq!(
        first,
        r#"{"event":{"revision":1,"at":"2026-11-20T11:43:00Z","event":"address_fenced","address":"8.8.8.3","reason":"abuse"}}"#
    );
    for revision in 2..40 {
        served.ask(if revision % 2 == 0 { UNFENCE } else { FENCE }).await;
        assert!(reply(&mut follower).await.starts_with(&format!(r#"{{"event":{{"revision":{revision},"#)));
    }
    // One that begins later goes on where it is told to, and without following there is an end.
    let listed = with_client(&served, |client| {
        let mut seen = Vec::new();
        client
            .events(Some(36), false, &mut |event| {
                seen.push(event.revision);
                std::ops::ControlFlow::Continue(())
            })
            .map(|()| seen)
    });
    assert_eq!(listed.await.unwrap(), [37, 38, 39]);
    for (since, code) in [(40, "revision-ahead"), (u64::MAX, "revision-ahead")] {
        let refused = served.ask(&format!(r#"{{"command":"events","since":{since},"follow":false}}"#)).await;
        assert!(refused.contains(code), "{refused}");
    }
    let pruned = served.ask(r#"{"command":"history_prune","before":"2026-11-20T11:43:00Z"}"#).await;
    assert_eq!(pruned, r#"{"ok":{"events":0,"before":"2026-11-20T11:43:00Z"}}"#);
    served.end().await;
    // The end is told, too.
    assert!(reply(&mut follower).await.contains(r#""code":"stopping""#));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_takes_nothing_is_cut_off_with_a_word_and_keeps_nobody_waiting() {
    let served = Served::new().await;
    for request in [FENCE, UNFENCE].repeat(10) {
        served.ask(request).await;
    }
    // Room for a few events.
    let (near, far) = tokio::io::duplex(512);
    let (read, mut write) = tokio::io::split(far);
    let handle = served.handle.clone();
    let following = tokio::spawn(async move {
        let mut read = BufReader::new(read);
        events::serve(Some(0), true, &mut read, &mut write, &handle, Duration::from_millis(1)).await
    });
    let mut lines = BufReader::with_capacity(16, near).lines();
    let mut last = 1;
    timeout(Duration::from_secs(10), lines.next_line()).await.unwrap().unwrap().unwrap();
    // While it takes nothing more, changes are made as ever.
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_millis(300) {
        served.ask(FENCE).await;
        served.ask(UNFENCE).await;
    }
    // What was under way comes whole.
    while let Some(line) = timeout(Duration::from_secs(10), lines.next_line()).await.unwrap().unwrap() {
        last += 1;
        assert!(line.starts_with(&format!(r#"{{"event":{{"revision":{last},"#)) && line.ends_with("}}"), "{line}");
    }
    let word = following.await.unwrap().unwrap().unwrap_err();
    assert_eq!(word.code, "too-slow");
    assert!(word.message.contains(&format!("go on with `--since {last}`")), "{} {last}", word.message);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_history_is_asked_by_address_instance_eip_and_name() {
    let served = Served::new().await;
    let create = r#"{"command":"instance_create","account":"default","vpc":"vpc-default","private_ip":"10.0.0.5","name":"web","bandwidth_mbps":5,"charge_type":"TRAFFIC_POSTPAID_BY_HOUR"}"#;
    served.ask(create).await;
    served.ask(r#"{"command":"instance_terminate","account":"default","instance":"web","vpc":null}"#).await;
    let of =
        |of: &str, account: &str| format!(r#"{{"command":"history","account":"{account}","of":"{of}","at":null}}"#);
    let had = concat!(
        r#"{"ok":{"tenures":[{"address":"8.8.8.0","public_ip_kind":"ordinary","fenced":false,"account":"default","#,
        r#""instance_id":"ins-11111111","instance_name":"web","vpc":"vpc-default","private_ip":"10.0.0.5","eip_id":null,"#,
        r#""from":"2026-11-20T11:43:00Z","came":"ordinary_assigned","from_revision":2,"until":"2026-11-20T11:43:00Z","#,
        r#""went":"ordinary_released","until_revision":3,"reason":null}],"pruned_before":null}}"#
    );
    for selector in ["8.8.8.0", "ins-11111111", "web"] {
        assert_eq!(served.ask(&of(selector, "default")).await, had, "{selector}");
    }
    // Of an address everybody is told, of an instance its account.
    assert_eq!(served.ask(&of("8.8.8.0", "other")).await, had);
    for (selector, account) in
        [("web", "other"), ("ins-11111111", "other"), ("8.8.8.1", "default"), ("nobody", "default")]
    {
        let refused = served.ask(&of(selector, account)).await;
        assert!(refused.contains(r#""code":"unknown-to-history""#), "{refused}");
    }
    let at = r#"{"command":"history","account":"default","of":"8.8.8.0","at":"TIME"}"#;
    let then = served.ask(&at.replace("TIME", "2026-11-20T11:43:00Z")).await;
    assert_eq!(then, r#"{"ok":{"tenures":[],"pruned_before":null}}"#);
    assert!(served.ask(&at.replace("TIME", "Tuesday")).await.contains("is no RFC 3339 time"));
    served.end().await;
}
