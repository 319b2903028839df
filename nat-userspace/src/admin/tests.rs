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

use super::client::Client;
use super::wire::{LONGEST_REQUEST, PoolRow, Request};
use super::{Listener, Server};
use crate::address::Time;
use crate::config::Config;
use crate::dataplane::Environment;
use crate::gateway::{Detached, Handle, Opened, Outside};

/// A gateway over a packet path that only remembers, behind a socket. Ids count up, and every moment is the same.
struct Served {
    directory: tempfile::TempDir,
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
        let server = listener.serve(handle).unwrap();
        Served { directory, server, stop, gateway }
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
            r#"{"ok":{"id":"ins-11111111","account":"default","name":"web","vpc":"vpc-default","private_ip":"10.0.0.5","public_ip":"8.8.8.0","public_ip_kind":"ordinary","eip_id":null,"bandwidth_mbps":5,"bandwidth_enforced":false,"charge_type":"TRAFFIC_POSTPAID_BY_HOUR","created_at":"2026-11-20T11:43:00Z"}}"#,
        ),
        (
            r#"{"command":"eip_allocate","account":"default","address":null,"name":"mail"}"#,
            r#"{"ok":{"id":"eip-22222222","account":"default","name":"mail","address":"8.8.8.1","state":"unbound","instance_id":null,"vpc":null,"private_ip":null,"created_at":"2026-11-20T11:43:00Z"}}"#,
        ),
        (
            r#"{"command":"eip_bind","account":"default","eip":"8.8.8.1","instance":"web","vpc":null}"#,
            r#"{"ok":{"id":"eip-22222222","account":"default","name":"mail","address":"8.8.8.1","state":"bound","instance_id":"ins-11111111","vpc":"vpc-default","private_ip":"10.0.0.5","created_at":"2026-11-20T11:43:00Z","released_ip":"8.8.8.0"}}"#,
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
            r#"{"ok":[{"prefix":"8.8.8.0/30","kind":"routed","members":4,"held":1,"cooling_down":1,"free":2,"set_aside":0,"withheld":0}]}"#,
        ),
        (
            r#"{"command":"eip_unbind","account":"default","eip":"eip-22222222","reallocate":true}"#,
            r#"{"ok":{"id":"eip-22222222","account":"default","name":"mail","address":"8.8.8.1","state":"unbound","instance_id":null,"vpc":null,"private_ip":null,"created_at":"2026-11-20T11:43:00Z","unbound_from":"ins-11111111","assigned_ip":"8.8.8.2"}}"#,
        ),
        (
            r#"{"command":"eip_release","account":"default","eip":"eip-22222222"}"#,
            r#"{"ok":{"id":"eip-22222222","account":"default","name":"mail","address":"8.8.8.1","state":"unbound","instance_id":null,"vpc":null,"private_ip":null,"created_at":"2026-11-20T11:43:00Z","rests_until":"2026-11-20T11:53:00Z"}}"#,
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
                r#""instances":{"entries":1,"capacity":3},"pairs":{"entries":1,"capacity":2},"eips":0,"held_outside_pools":0,"#,
                r#""data_plane":{"guard":true,"links":[{"attached":true,"ifindex":2,"interface":"eth0","mode":"native","mtu":1500,"side":"uplink","tags":[],"up":true,"vpc":null},"#,
                r#"{"attached":false,"ifindex":null,"interface":"eth1","mode":null,"mtu":null,"side":"downlink","tags":[],"up":false,"vpc":"vpc-default"}],"#,
                r#""maps":[{"capacity":3,"entries":1,"name":"OUTBOUND"}],"problems":[],"program_id":42},"#,
                r#""notes":["nftables and conntrack do not see the traffic this gateway forwards, nor does tcpdump; `eipgate monitor` shows it"]}}"#
            ),
        ),
        (
            r#"{"command":"instance_terminate","account":"default","instance":"10.0.0.5","vpc":"vpc-default"}"#,
            r#"{"ok":{"id":"ins-11111111","account":"default","name":"web","vpc":"vpc-default","private_ip":"10.0.0.5","public_ip":"8.8.8.2","public_ip_kind":"ordinary","eip_id":null,"bandwidth_mbps":5,"bandwidth_enforced":false,"charge_type":"TRAFFIC_POSTPAID_BY_HOUR","created_at":"2026-11-20T11:43:00Z","released_ip":"8.8.8.2","unbound_eip":null}}"#,
        ),
    ] {
        let expected = reply.replace("PID", &std::process::id().to_string());
        assert_eq!(served.ask(request).await, expected, "{request}");
    }
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
    let Served { directory, server, stop, gateway } = served;
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
