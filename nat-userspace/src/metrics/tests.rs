//! The page over a real socket, of a gateway without a kernel.

use std::net::SocketAddr;
use std::path::Path;

use std::sync::mpsc::channel;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::page::page;
use super::scrape::Sample;
use super::*;
use crate::address::{Command, NewInstance, Time};
use crate::config::Config;
use crate::dataplane::Environment;
use crate::gateway::{Detached, Handle, Opened, Outside, VerdictRow};

fn config(state_dir: &Path) -> Config {
    Config {
        uplinks: vec!["eth0".parse().unwrap()],
        downlinks: vec!["eth1".parse().unwrap()],
        pools: vec!["8.8.8.0/29".parse().unwrap()],
        state_dir: state_dir.to_owned(),
        metrics_listen: Some("127.0.0.1:0".parse().unwrap()),
        metrics_top: 1,
        ..Config::default()
    }
}

/// A gateway with two instances and its metrics, while `visit` runs.
async fn during<R>(path: Detached, visit: impl AsyncFnOnce(SocketAddr, Handle) -> R) -> R {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let outside = Outside::new(|| Time(1_795_174_980_000), || [7; 8]);
    let opened = Opened::new(&config, &Environment::default()).unwrap();
    let gateway = opened.take_over(path, outside).await.unwrap();
    let listener = Listener::bind(&config).await.unwrap().unwrap();
    let address = listener.address();
    let (handle, jobs) = Handle::new();
    let server = listener.serve(handle.clone(), gateway.configuration());
    let (stop, stopped) = oneshot::channel::<()>();
    let run = tokio::spawn(gateway.run(jobs, async { drop(stopped.await) }));
    let visiting = async {
        let create = |last: u8| {
            let (id, account) = (format!("ins-{last}").parse().unwrap(), "default".parse().unwrap());
            let new = NewInstance::new(id, account, "vpc-default".parse().unwrap(), [10, 0, 0, last].into());
            let new = NewInstance { bandwidth_mbps: 5, ..new };
            handle.ask(move |operations| operations.perform(Command::CreateInstance(new)))
        };
        create(1).await.unwrap().unwrap();
        create(2).await.unwrap().unwrap();
        let seen = visit(address, handle.clone()).await;
        stop.send(()).unwrap();
        seen
    };
    let seen = visiting.await;
    run.await.unwrap().unwrap();
    drop(server);
    seen
}

/// Head and body of the answer.
async fn ask(address: SocketAddr, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let text = format!("{request}\r\nHost: gateway\r\nConnection: close\r\n\r\n");
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn value<'a>(body: &'a str, series: &str) -> Option<&'a str> {
    body.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
}

#[tokio::test]
async fn the_page_says_how_the_gateway_is() {
    let openmetrics = "GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
    let (head, body) = during(Detached::default(), async |address, _| ask(address, openmetrics).await).await;
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"), "{head}");
    assert!(body.ends_with("# EOF\n"), "{body}");
    for (series, expected) in [
        ("eipgate_gateway_responding", "1.0"),
        ("eipgate_packet_counters_readable", "1.0"),
        ("eipgate_packets_total{verdict=\"inbound\",action=\"forward\"}", "7"),
        ("eipgate_packet_bytes_total{verdict=\"unknown-source\",action=\"drop\"}", "120"),
        ("eipgate_start_time_seconds", "1795174980.0"),
        ("eipgate_uptime_seconds", "0.0"),
        ("eipgate_guard_standing", "1.0"),
        ("eipgate_dirty", "0.0"),
        ("eipgate_read_only", "0.0"),
        ("eipgate_degraded", "0.0"),
        ("eipgate_pairs", "2.0"),
        ("eipgate_pairs_limit", "65536.0"),
        ("eipgate_pool_addresses{pool=\"8.8.8.0/29\",state=\"held\"}", "2"),
        ("eipgate_pool_addresses{pool=\"8.8.8.0/29\",state=\"free\"}", "6"),
        ("eipgate_next_hops{state=\"asked\"}", "0"),
        ("eipgate_link_attached{interface=\"eth0\",vlan=\"\",side=\"uplink\",vpc=\"\"}", "1"),
        ("eipgate_link_attached{interface=\"eth1\",vlan=\"\",side=\"downlink\",vpc=\"vpc-default\"}", "0"),
        ("eipgate_commit_duration_seconds_count", "2"),
        ("eipgate_commit_duration_seconds_bucket{le=\"+Inf\"}", "2"),
        ("eipgate_change_duration_seconds_count", "2"),
        ("eipgate_commits_refused_total", "0"),
        ("eipgate_reconciliations_total{result=\"done\"}", "1"),
        // Only the busiest of the two addresses.
        ("eipgate_address_packets_total{address=\"8.8.8.1\",direction=\"in\"}", "1"),
    ] {
        assert_eq!(value(&body, series), Some(expected), "{series}\n{body}");
    }
    assert_eq!(body.matches("eipgate_address_packets_total{").count(), 2, "{body}");
}

#[tokio::test]
async fn a_scraper_gets_what_it_asks_for() {
    during(Detached::default(), async |address, _| {
        let (head, body) = ask(address, "GET /metrics HTTP/1.1").await;
        assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
        assert!(body.contains("# TYPE eipgate_packets_total counter\n") && !body.contains("# EOF"), "{body}");
        let (head, body) = ask(address, "HEAD /metrics HTTP/1.1").await;
        assert!(head.starts_with("HTTP/1.1 200 ") && body.is_empty(), "{head}\n{body}");
        let (head, _) = ask(address, "POST /metrics HTTP/1.1").await;
        assert!(head.starts_with("HTTP/1.1 405 ") && head.contains("allow: GET, HEAD"), "{head}");
        let (head, body) = ask(address, "GET / HTTP/1.1").await;
        assert!(head.starts_with("HTTP/1.1 404 ") && body == "there is only /metrics here\n", "{head}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_busy_gateway_does_not_look_dead() {
    during(Detached::default(), async |address, handle| {
        ask(address, "GET /metrics HTTP/1.1").await;
        let (release, held) = channel::<()>();
        let (begun, begins) = oneshot::channel();
        let busy = tokio::spawn(async move {
            let work = move |_: &mut dyn crate::gateway::Operations| {
                begun.send(()).unwrap();
                let _ = held.recv_timeout(Duration::from_secs(30));
            };
            handle.ask(work).await
        });
        begins.await.unwrap();
        let (head, body) = ask(address, "GET /metrics HTTP/1.1").await;
        drop(release);
        busy.await.unwrap().unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert_eq!(value(&body, "eipgate_gateway_responding"), Some("0.0"));
        assert_eq!(value(&body, "eipgate_packets_total{verdict=\"inbound\",action=\"forward\"}"), Some("7"));
        assert_eq!(value(&body, "eipgate_pairs"), None);
    })
    .await;
}

#[test]
fn what_cannot_be_read_is_not_shown() {
    let nothing = Sample { vitals: None, verdicts: None, busiest: vec![], took: Duration::ZERO };
    let text = page(nothing);
    assert_eq!(value(&text, "eipgate_packet_counters_readable"), Some("0.0"));
    assert!(!text.contains("eipgate_packets"), "{text}");
    let row = VerdictRow { verdict: "inbound", action: "forward", packets: u64::MAX, bytes: 0, explanation: "" };
    let text = page(Sample { vitals: None, verdicts: Some(vec![row]), busiest: vec![], took: Duration::ZERO });
    let packets = "eipgate_packets_total{verdict=\"inbound\",action=\"forward\"}";
    assert_eq!(value(&text, packets), Some("18446744073709551615"));
}

#[tokio::test]
async fn an_address_in_use_is_refused_in_a_sentence() {
    let directory = tempfile::tempdir().unwrap();
    let first = Listener::bind(&config(directory.path())).await.unwrap().unwrap();
    let second = Config { metrics_listen: Some(first.address()), ..config(directory.path()) };
    let sentence = format!("{:#}", Listener::bind(&second).await.unwrap_err());
    assert!(sentence.starts_with(&format!("cannot serve metrics at {}; free it or", first.address())), "{sentence}");
    let none = Config { metrics_listen: None, ..second };
    assert!(Listener::bind(&none).await.unwrap().is_none());
}
