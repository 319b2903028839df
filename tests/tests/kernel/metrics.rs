//! The metrics of a real daemon, judged by Prometheus' own tool, and what is made from them.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use aya::maps::{Array, PerCpuArray, PerCpuValues};
use lab::lab::daemon::Settings;
use lab::lab::server::{Server, udp_exchange};
use lab::lab::{A, Lab, at};
use nat_common::abi::{AddressCounters, VerdictCounter};
use nat_common::verdict::Verdict;
use serde_json::Value;

use crate::explain::pinned;

const PAGE: &str = "http://127.0.0.1:9464/metrics";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// On PATH, or where setup puts it.
fn promtool() -> Command {
    let brought = root().join("target/tools/prometheus/usr/bin/promtool");
    let program = if brought.exists() { brought } else { "promtool".into() };
    let mut command = Command::new(program);
    command.current_dir(root().join("packaging")).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[track_caller]
fn approves(arguments: &[&str], input: &str) {
    let mut child = promtool().args(arguments).spawn().expect("promtool is there: `cargo xtask setup` brings it");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "promtool {}:\n{said}", arguments.join(" "));
}

/// The metrics of the gateway that a text names.
fn named(text: &str) -> BTreeSet<&str> {
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    text.split(word).filter(|word| word.starts_with("eipgate_")).collect()
}

fn series<'a>(page: &'a str, name: &str) -> Option<&'a str> {
    page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
}

/// A lab whose gateway shows its metrics.
fn measured() -> Lab {
    let lab = Lab::new().unwrap();
    let config = lab.directory.join("eipgate.toml");
    fs::write(&config, "metrics_listen = \"127.0.0.1:9464\"\nmetrics_top = 5\n").unwrap();
    let more = vec!["--config".into(), config.display().to_string()];
    lab.daemon.start(Settings { more, ..Settings::default() }).unwrap();
    lab
}

#[test]
fn a_real_page_is_what_promtool_dashboard_and_alerts_expect() {
    let lab = measured();
    let web = lab.instance("web", A).unwrap();
    let _echo = Server::udp_echo(&lab.a, 7).unwrap();
    udp_exchange(&lab.internet, at(web, 7), b"counted").unwrap();
    let page = lab.gateway.tell(&["curl", "-sS", "--fail", PAGE]).unwrap();

    let counted = lab.daemon.map(&["counters"]).unwrap();
    let inbound = counted["verdicts"].as_array().unwrap().iter().find(|row| row["verdict"] == "inbound").unwrap();
    let name = "eipgate_packets_total{verdict=\"inbound\",action=\"forward\"}";
    assert_eq!(series(&page, name), Some(inbound["packets"].to_string().as_str()));
    let name = format!("eipgate_address_packets_total{{address=\"{web}\",direction=\"in\"}}");
    assert_eq!(series(&page, &name), Some("1"));
    assert_eq!(series(&page, "eipgate_guard_standing"), Some("1.0"));
    assert_eq!(series(&page, "eipgate_pairs"), Some("1.0"));
    approves(&["check", "metrics"], &page);

    let there = named(&page);
    let dashboard = fs::read_to_string(root().join("packaging/grafana-dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let alerts = fs::read_to_string(root().join("packaging/prometheus-alerts.yml")).unwrap();
    let mut used = named(&alerts);
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let expressions: Vec<&str> = targets.map(|target| target["expr"].as_str().unwrap()).collect();
    assert!(expressions.len() > 20, "{expressions:?}");
    used.extend(expressions.iter().flat_map(|expression| named(expression)));
    let missing: Vec<_> = used.difference(&there).collect();
    assert!(missing.is_empty(), "not on the page: {missing:?}\n{page}");
    // A dashboard's variables are not Prometheus' language; in their place anything does.
    let rules: Vec<String> = expressions
        .iter()
        .enumerate()
        .map(|(index, expression)| {
            let expression = expression.replace("$__rate_interval", "5m").replace("$instance", "gw");
            format!("      - record: eipgate:panel_{index}\n        expr: '{expression}'\n")
        })
        .collect();
    let file = lab.directory.join("panels.yml");
    fs::write(&file, format!("groups:\n  - name: panels\n    rules:\n{}", rules.concat())).unwrap();
    approves(&["check", "rules", &file.display().to_string()], "");

    // Nothing else is there, and nobody outside reaches it.
    let refused = lab.gateway.output(&["curl", "-sS", "--fail", "http://127.0.0.1:9464/"], lab::lab::SOON).unwrap();
    assert_eq!(refused.code(), 22, "{refused}");
    lab.finish().unwrap();
}

/// Packets and bytes of the only pair, inwards and outwards, and of the two verdicts.
fn counted(lab: &Lab) -> [u64; 8] {
    let pair = lab.daemon.map(&["show"]).unwrap()["pairs"][0]["traffic"].clone();
    let rows = lab.daemon.map(&["counters"]).unwrap()["verdicts"].clone();
    let row = |verdict: &str| rows.as_array().unwrap().iter().find(|row| row["verdict"] == verdict).unwrap().clone();
    let (inbound, outbound) = (row("inbound"), row("outbound"));
    let number = |value: &Value| value.as_u64().unwrap();
    [
        number(&pair["packets_in"]),
        number(&pair["bytes_in"]),
        number(&pair["packets_out"]),
        number(&pair["bytes_out"]),
        number(&inbound["packets"]),
        number(&inbound["bytes"]),
        number(&outbound["packets"]),
        number(&outbound["bytes"]),
    ]
}

/// Sets every counter that has counted anything for the only pair to the last number there is, on every CPU.
fn fill_counters(lab: &Lab) {
    let cpus = aya::util::nr_cpus().unwrap();
    let mut counters: Array<_, AddressCounters> = pinned(lab, "COUNTERS");
    let used = counters.iter().position(|found| found.unwrap().packets_in != 0).unwrap() as u32;
    let of_a_cpu = counters.len() / cpus as u32;
    let full = AddressCounters { packets_in: u64::MAX, bytes_in: u64::MAX, packets_out: u64::MAX, bytes_out: u64::MAX };
    for cpu in 0..cpus as u32 {
        counters.set(cpu * of_a_cpu + used % of_a_cpu, full, 0).unwrap();
    }
    let mut verdicts: PerCpuArray<_, VerdictCounter> = pinned(lab, "VERDICTS");
    for verdict in [Verdict::Inbound, Verdict::Outbound] {
        let full = VerdictCounter { packets: u64::MAX, bytes: u64::MAX };
        verdicts.set(verdict as u32, PerCpuValues::try_from(vec![full; cpus]).unwrap(), 0).unwrap();
    }
}

#[test]
fn counters_go_round_after_the_last_number_and_no_packet_is_lost_from_a_difference() {
    let lab = measured();
    let web = lab.instance("web", A).unwrap();
    let _echo = Server::udp_echo(&lab.a, 7).unwrap();
    let exchange = || udp_exchange(&lab.internet, at(web, 7), b"counted").unwrap();
    exchange();
    lab.settle().unwrap();
    fill_counters(&lab);
    let before = counted(&lab);
    // The readings go round too, because several CPUs have counted to the end.
    assert_eq!(before, [(aya::util::nr_cpus().unwrap() as u64).wrapping_neg(); 8]);
    let since = || {
        let now = counted(&lab);
        std::array::from_fn::<u64, 4, _>(|place| now[place].wrapping_sub(before[place]))
    };
    exchange();
    assert_eq!(since(), [1, 35, 1, 35]);
    let page = lab.gateway.tell(&["curl", "-sS", "--fail", PAGE]).unwrap();
    approves(&["check", "metrics"], &page);
    let name = format!("eipgate_address_packets_total{{address=\"{web}\",direction=\"in\"}}");
    assert_eq!(series(&page, &name), Some(counted(&lab)[0].to_string().as_str()));

    // What is carried while no daemon lives is counted once, whoever reads it and how often.
    lab.daemon.kill().unwrap();
    exchange();
    assert_eq!([since(), since()], [[2, 70, 2, 70]; 2]);
    lab.daemon.restart().unwrap();
    assert_eq!(since(), [2, 70, 2, 70]);
    lab.finish().unwrap();
}

#[test]
fn promtool_approves_of_the_alert_rules() {
    approves(&["check", "rules", "prometheus-alerts.yml"], "");
    approves(&["test", "rules", "prometheus-alerts.test.yml"], "");
    // Each rule is in the test that expects nobody to be alerted, and in the one where it fires.
    let rules = fs::read_to_string(root().join("packaging/prometheus-alerts.yml")).unwrap();
    let tests = fs::read_to_string(root().join("packaging/prometheus-alerts.test.yml")).unwrap();
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert_eq!(alerts.len(), 12);
    for alert in alerts {
        let mentions = tests.lines().filter(|line| line.contains(&format!("alertname: {alert}"))).count();
        assert_eq!(mentions, 2, "{alert}");
    }
}
