//! Starts that cannot succeed: one sentence with the cause and the mend, a non-zero exit status, nothing half-attached.

use std::time::Duration;

use lab::lab::daemon::{Settings, binary};
use lab::lab::{Lab, SOON, wait};
use nat_common::abi::ABI_VERSION;

/// The daemon refuses with a sentence that holds all `words`, and leaves nothing on the host.
#[track_caller]
fn refuses(lab: &Lab, settings: &Settings, words: &[&str]) {
    let before = host(lab);
    let finished = lab.daemon.refuse(settings).unwrap();
    assert_eq!(finished.code(), 1, "{finished}");
    let said = finished.stderr.lines().last().unwrap_or_default().to_owned();
    assert!(said.starts_with("eipgate: ") && words.iter().all(|word| said.contains(word)), "{finished}");
    assert_eq!(host(lab), before, "something was left behind");
}

/// What a start puts on the host.
fn host(lab: &Lab) -> (String, Vec<String>, bool) {
    let rules = lab.gateway.tell(&["nft", "list", "ruleset"]).unwrap();
    let links = lab.gateway.tell(&["ip", "-o", "link", "show"]).unwrap();
    let xdp = links.lines().filter(|line| line.contains("xdp")).map(str::to_owned).collect();
    (rules, xdp, lab.daemon.maps().join(format!("v{ABI_VERSION}")).exists())
}

#[test]
fn a_missing_interface_is_named() {
    let lab = Lab::new().unwrap();
    let settings =
        Settings { uplinks: vec!["nosuch0".into()], downlinks: vec!["nosuch1".into()], ..Settings::default() };
    refuses(&lab, &settings, &["nosuch0", "nosuch1", "ip link"]);
    lab.finish().unwrap();
}

#[test]
fn t72_another_program_on_the_interface_is_named() {
    let lab = Lab::serving().unwrap();
    // A gateway of other pins is a stranger too.
    let other = lab.directory.join("other");
    let (maps, state) = (other.join("bpf").display().to_string(), other.join("state").display().to_string());
    let socket = other.join("socket").display().to_string();
    let words = [
        binary().as_str(),
        "run",
        "--uplink",
        "up0",
        "--downlink",
        "down0",
        "--pool",
        "203.0.113.0/28",
        "--allow-reserved-pools",
        "--state-dir",
        &state,
        "--bpf-dir",
        &maps,
        "--socket",
        &socket,
    ]
    .map(str::to_owned);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let finished = lab.gateway.output(&words, Duration::from_secs(30)).unwrap();
    assert_eq!(finished.code(), 1, "{finished}");
    let said = finished.stderr.lines().last().unwrap_or_default();
    assert!(said.contains("already has another XDP program") && said.contains("named eipgate"), "{finished}");
    // The first one is unharmed, its guard included.
    let status = lab.daemon.json(&["status"]).unwrap();
    assert_eq!(status["data_plane"]["guard"], true, "{status}");
    assert_eq!(status["degraded"], false, "{status}");
    lab.gateway.output(&["umount", &maps], SOON).unwrap();
    lab.finish().unwrap();
}

#[test]
fn a_second_daemon_is_refused() {
    let lab = Lab::serving().unwrap();
    let finished = lab.daemon.refuse(&Settings::default());
    let finished = finished.unwrap();
    assert!(finished.code() == 1 && finished.stderr.contains("another"), "{finished}");
    assert_eq!(lab.daemon.json(&["status"]).unwrap()["degraded"], false);
    lab.finish().unwrap();
}

#[test]
fn a_pool_that_collides_with_the_gateways_own_addresses_is_refused() {
    let lab = Lab::new().unwrap();
    lab.gateway.ip("addr add 203.0.113.5/32 dev lo\n").unwrap();
    refuses(&lab, &Settings::default(), &["203.0.113.0/28", "203.0.113.5"]);
    lab.finish().unwrap();
}

#[test]
fn reserved_and_overlapping_pools_are_refused() {
    let lab = Lab::new().unwrap();
    let pools =
        |pools: &[&str]| Settings { pools: pools.iter().map(ToString::to_string).collect(), ..Settings::default() };
    refuses(&lab, &pools(&["127.0.0.0/24"]), &["127.0.0.0/24"]);
    refuses(&lab, &pools(&["203.0.113.0/28", "203.0.113.8/29"]), &["203.0.113.0/28", "203.0.113.8/29"]);
    lab.finish().unwrap();
}

/// Starts the daemon by another program, which changes what it may do, and expects a refusal.
#[track_caller]
fn refuses_under(wrapper: &[&str], cause: &str) {
    let lab = Lab::new().unwrap();
    let daemon = &lab.daemon;
    let places = [("--state-dir", daemon.state()), ("--bpf-dir", daemon.maps()), ("--socket", daemon.socket())];
    let places = places.map(|(option, path)| [option.to_owned(), path.display().to_string()]).concat();
    let links = ["--uplink", "up0", "--downlink", "down0", "--pool", "203.0.113.0/28", "--allow-reserved-pools"];
    let (binary, run) = (binary(), "run");
    let words = wrapper.iter().copied().chain([binary.as_str(), run]).chain(links);
    let words: Vec<&str> = words.chain(places.iter().map(String::as_str)).collect();
    let before = host(&lab);
    let finished = lab.gateway.output(&words, SOON).unwrap();
    assert!(finished.code() == 1 && finished.stderr.contains(cause), "{finished}");
    assert_eq!(host(&lab), before, "something was left behind");
    lab.finish().unwrap();
}

#[test]
fn without_privilege_it_says_what_is_missing() {
    refuses_under(&["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"], "CAP_NET_ADMIN");
}

#[test]
fn a_bpffs_that_cannot_be_mounted_is_named() {
    refuses_under(&["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"], "CAP_SYS_ADMIN");
}

#[test]
fn a_driver_without_native_xdp_is_refused_and_nothing_stays_attached() {
    let lab = Lab::new().unwrap();
    lab.gateway.ip("link add plain0 type bridge\nlink set plain0 up\n").unwrap();
    // The first interface takes the program, the second does not.
    let settings = Settings { downlinks: vec!["down0".into(), "plain0=vpc-b".into()], ..Settings::default() };
    refuses(&lab, &settings, &["plain0", "native", "--xdp-mode generic"]);
    lab.finish().unwrap();
}

#[test]
fn a_private_mount_namespace_is_refused_unless_told_otherwise() {
    refuses_under(&["unshare", "--mount"], "private mount namespace");
}

#[test]
fn unknown_keys_and_wrong_flags_are_refused() {
    let lab = Lab::new().unwrap();
    let config = lab.directory.join("eipgate.toml");
    std::fs::write(&config, "uplink = [\"up0\"]\n").unwrap();
    let more = vec!["--config".into(), config.display().to_string()];
    refuses(&lab, &Settings { more, ..Settings::default() }, &["uplink", "uplinks"]);
    let finished = lab.daemon.cli(&["eip", "bidn"]).unwrap();
    assert_eq!(finished.code(), 2, "{finished}");
    let finished = lab.daemon.cli(&["status"]).unwrap();
    assert_eq!(finished.code(), 5, "{finished}");
    // Mistyped directories look like a gateway without anything, of which nothing is wrong.
    let finished = lab.daemon.cli(&["check", "--state-dir", "/nowhere", "--bpf-dir", "/nowhere"]).unwrap();
    assert!(finished.code() == 1 && finished.stderr.contains("are --state-dir, --bpf-dir"), "{finished}");
    lab.finish().unwrap();
}

#[test]
fn an_interface_that_comes_late_is_attached_within_a_second() {
    let lab = Lab::new().unwrap();
    lab.remove_transit().unwrap();
    lab.daemon.start(Settings::default()).unwrap();
    let status = lab.daemon.cli(&["status"]).unwrap();
    assert!(status.code() == 6 && status.stdout.contains("up0"), "{status}");
    lab.replace_transit().unwrap();
    wait::until("the program on up0", Duration::from_secs(1), || {
        lab.gateway.tell(&["ip", "link", "show", "up0"]).unwrap().contains("xdp").then_some(())
    })
    .unwrap();
    wait::until("status to recover", SOON, || lab.daemon.cli(&["status"]).unwrap().success().then_some(())).unwrap();
    let web = lab.instance("web", lab::lab::A).unwrap();
    lab.internet.tell(&["ping", "-c", "1", "-W", "3", &web.to_string()]).unwrap();
    lab.finish().unwrap();
}
