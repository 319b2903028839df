//! `eipgate doctor`: every check is driven to the bad state, and the command it prints mends it.

use lab::lab::daemon::{binary, text};
use lab::lab::{Lab, Namespace, SOON, Settings, wait};
use serde_json::Value;

use crate::scene::scene;

fn words(lab: &Lab, settings: &Settings) -> Vec<String> {
    let mut words = vec!["doctor".to_owned(), "--allow-reserved-pools".into()];
    for (option, values) in
        [("--uplink", &settings.uplinks), ("--downlink", &settings.downlinks), ("--pool", &settings.pools)]
    {
        words.extend(values.iter().flat_map(|value| [option.to_owned(), value.clone()]));
    }
    words.extend(["--state-dir".into(), lab.daemon.state().display().to_string()]);
    words.extend(["--bpf-dir".into(), lab.daemon.maps().display().to_string()]);
    words.extend(settings.more.iter().cloned());
    words
}

/// What the doctor finds, and its exit status.
fn examine(lab: &Lab, settings: &Settings) -> (Vec<Value>, i32) {
    let words = words(lab, settings);
    let words: Vec<&str> = words.iter().map(String::as_str).chain(["-o", "json"]).collect();
    let finished = lab.daemon.cli(&words).unwrap();
    let findings = serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished}"));
    (findings, finished.code())
}

fn finding(lab: &Lab, settings: &Settings, check: &str, subject: Option<&str>) -> Value {
    let (findings, _) = examine(lab, settings);
    let found =
        findings.iter().find(|it| it["check"] == check && (subject.is_none() || it["subject"].as_str() == subject));
    found.unwrap_or_else(|| panic!("no finding {check} of {subject:?} in {findings:#?}")).clone()
}

/// Waits until a check stands so, for what the kernel does in its own time; answers the command that mends it.
#[track_caller]
fn stands(lab: &Lab, check: &str, subject: Option<&str>, standing: &str) -> String {
    let settings = Settings::default();
    let mut last = Value::Null;
    let found = wait::until(&format!("{check} to stand {standing}"), SOON, || {
        last = finding(lab, &settings, check, subject);
        (last["standing"] == standing).then(|| last["mend"].as_str().unwrap_or_default().to_owned())
    });
    found.unwrap_or_else(|error| panic!("{error:#}; last {last:#}"))
}

/// Runs a printed command, less what the operator has to fill in.
fn run(host: &Namespace, command: &str) {
    host.tell(&["sh", "-ec", command]).unwrap();
}

#[test]
fn the_doctor_finds_a_healthy_gateway_healthy() {
    let lab = scene();
    let (findings, status) = examine(&lab, &Settings::default());
    // The machine the tests run on has a clock, a JIT setting and a temporary directory of its own.
    let of_the_machine = ["clock", "jit", "state", "space", "limits", "btf"];
    let worst = |it: &&Value| !of_the_machine.contains(&it["check"].as_str().unwrap());
    let bad: Vec<_> = findings.iter().filter(worst).filter(|it| it["standing"] != "ok").collect();
    assert!(bad.is_empty(), "{bad:#?}");
    let checks: Vec<String> = findings.iter().map(|it| text(it, "check").unwrap()).collect();
    for check in [
        "kernel",
        "btf",
        "capabilities",
        "jit",
        "bpffs",
        "pins",
        "memory",
        "limits",
        "guard",
        "clock",
        "checksum_offload",
        "forwarding",
        "interface",
        "xdp",
        "driver",
        "receive_offload",
        "vlan_offload",
        "settings",
        "mtu",
        "neighbour",
        "pools",
        "state",
        "space",
    ] {
        assert!(checks.iter().any(|it| it == check), "no check {check} in {checks:?}");
    }
    let failure = findings.iter().any(|it| it["standing"] == "failure");
    assert_eq!(status == 2, failure, "{findings:#?}");
}

#[test]
fn the_doctor_names_settings_that_were_changed_and_the_command_mends_them() {
    let lab = scene();
    for (key, value, check, subject) in [
        ("net.ipv4.conf.all.rp_filter", "1", "forwarding", None),
        ("net.ipv4.conf.all.send_redirects", "1", "forwarding", None),
        ("net.ipv4.conf.down0.rp_filter", "1", "settings", Some("down0")),
        ("net.ipv4.conf.up0.send_redirects", "1", "settings", Some("up0")),
        ("net.ipv4.conf.up0.forwarding", "0", "settings", Some("up0")),
        ("net.ipv4.conf.up0.arp_ignore", "0", "settings", Some("up0")),
    ] {
        lab.gateway.sysctl(key, value).unwrap();
        let mend = stands(&lab, check, subject, "failure");
        assert!(mend.starts_with("sysctl -w ") && mend.contains(key), "{mend}");
        run(&lab.gateway, &mend);
        stands(&lab, check, subject, "ok");
    }
}

#[test]
fn the_doctor_sees_interfaces_that_are_down_narrow_or_without_neighbours() {
    let lab = scene();
    lab.gateway.ip("link set down0 mtu 1400\n").unwrap();
    let mend = stands(&lab, "mtu", None, "warning");
    assert_eq!(mend, "ip link set dev down0 mtu 1500");
    run(&lab.gateway, &mend);
    stands(&lab, "mtu", None, "ok");

    lab.gateway.ip("link set down0 down\n").unwrap();
    let mend = stands(&lab, "interface", Some("down0"), "failure");
    assert_eq!(mend, "ip link set dev down0 up");
    run(&lab.gateway, &mend);
    stands(&lab, "interface", Some("down0"), "ok");

    // The router no longer answers for its address.
    lab.router.ip("link set gate0 arp off\n").unwrap();
    lab.gateway.forget_neighbours("up0").unwrap();
    let mend = stands(&lab, "neighbour", Some("198.51.100.1 on up0"), "failure");
    assert!(mend.starts_with("arping -c 3 -I up0 198.51.100.1"), "{mend}");
    lab.router.ip("link set gate0 arp on\n").unwrap();
    stands(&lab, "neighbour", Some("198.51.100.1 on up0"), "ok");

    // Its end of the wire is down, and the gateway's is up.
    lab.router.ip("link set gate0 down\n").unwrap();
    let mend = stands(&lab, "interface", Some("up0"), "failure");
    assert!(mend.starts_with("ethtool up0"), "{mend}");
    lab.router.ip("link set gate0 up\n").unwrap();
    stands(&lab, "interface", Some("up0"), "ok");
}

#[test]
fn t04_t51_the_doctor_sees_a_way_out_that_takes_no_redirected_frames() {
    let lab = scene();
    stands(&lab, "driver", Some("up0"), "ok");
    // The other end polls only with GRO or a program of its own, and without it loses what is redirected to it.
    lab.router.features("gate0", &["gro", "off"]).unwrap();
    let mend = stands(&lab, "driver", Some("up0"), "failure");
    let lost = lab.a.output(&["ping", "-c", "1", "-W", "1", "192.0.2.10"], SOON).unwrap();
    assert!(!lost.success(), "{lost}");
    run(&lab.router, &mend.replace("PEER", "gate0"));
    stands(&lab, "driver", Some("up0"), "ok");
    lab.a.tell(&["ping", "-c", "1", "-W", "3", "192.0.2.10"]).unwrap();
}

#[test]
fn t72_the_doctor_names_programs_and_modes_that_are_not_ours() {
    let lab = scene();
    // The same interfaces, asked about by another gateway: to it, our program is a stranger's.
    let elsewhere = lab.directory.join("elsewhere").display().to_string();
    let mut settings = Settings { more: vec!["--bpf-dir".into(), elsewhere], ..Settings::default() };
    let mut all = words(&lab, &Settings::default());
    let at = all.iter().position(|word| word == "--bpf-dir").unwrap();
    all.splice(at..at + 2, settings.more.drain(..));
    let all: Vec<&str> = all.iter().map(String::as_str).chain(["-o", "json"]).collect();
    let finished = lab.daemon.cli(&all).unwrap();
    assert_eq!(finished.code(), 2, "{finished}");
    assert!(finished.stdout.contains("another XDP program is on it"), "{finished}");
    assert!(
        finished.stdout.contains("named eipgate") && finished.stdout.contains("ip link set dev up0 xdp off"),
        "{finished}"
    );
    let generic = Settings { more: vec!["--xdp-mode".into(), "generic".into()], ..Settings::default() };
    let found = finding(&lab, &generic, "xdp", Some("up0"));
    assert_eq!(found["standing"], "failure", "{found}");
    let found = finding(&lab, &generic, "receive_offload", Some("up0"));
    assert_eq!(found["standing"], "failure", "GRO is on in the lab: {found}");
    run(&lab.gateway, found["mend"].as_str().unwrap());
    assert_eq!(finding(&lab, &generic, "receive_offload", Some("up0"))["standing"], "ok");
}

#[test]
fn t50_tags_are_left_on_frames_while_it_serves_and_the_doctor_sees_that_they_are_not() {
    let lab = Lab::new().unwrap();
    let strips = || {
        let features = lab.gateway.tell(&["ethtool", "-k", "down0"]).unwrap();
        features.lines().any(|line| line.trim() == "rx-vlan-offload: on")
    };
    lab.gateway.features("down0", &["rxvlan", "on"]).unwrap();
    let before = finding(&lab, &Settings::default(), "vlan_offload", Some("down0"));
    assert!(before["finding"].as_str().unwrap().contains("the daemon switches that off"), "{before}");
    lab.daemon.start(Settings::default()).unwrap();
    assert!(!strips());
    stands(&lab, "vlan_offload", Some("down0"), "ok");
    lab.gateway.features("down0", &["rxvlan", "on"]).unwrap();
    let mend = stands(&lab, "vlan_offload", Some("down0"), "failure");
    assert_eq!(mend, "ethtool -K down0 rxvlan off");
    run(&lab.gateway, &mend);
    stands(&lab, "vlan_offload", Some("down0"), "ok");
    lab.daemon.terminate().unwrap();
    let said = lab.daemon.detach().unwrap();
    assert!(said.contains("let down0 take VLAN tags off received frames again") && strips(), "{said}");
    lab.finish().unwrap();
}

#[test]
fn the_doctor_sees_missing_guards_pools_that_collide_and_pins_of_another_version() {
    let lab = scene();
    lab.daemon.kill().unwrap();
    run(&lab.gateway, "nft delete table inet eipgate");
    stands(&lab, "guard", None, "failure");
    lab.daemon.restart().unwrap();
    stands(&lab, "guard", None, "ok");

    lab.gateway.ip("addr add 203.0.113.5/32 dev lo\n").unwrap();
    let found = finding(&lab, &Settings::default(), "pools", None);
    assert!(found["standing"] == "failure" && found.to_string().contains("203.0.113.5"), "{found}");
    lab.gateway.ip("addr del 203.0.113.5/32 dev lo\n").unwrap();
    stands(&lab, "pools", None, "ok");

    let old = lab.daemon.maps().join("v1");
    std::fs::create_dir(&old).unwrap();
    let mend = stands(&lab, "pins", None, "failure");
    assert!(mend.starts_with("eipgate detach --bpf-dir "), "{mend}");
    std::fs::remove_dir(&old).unwrap();
    stands(&lab, "pins", None, "ok");
}

/// What it finds when it is run by another program, and its exit status.
#[track_caller]
fn examine_under(lab: &Lab, wrapper: &[&str], check: &str) -> (Value, i32) {
    let (program, words) = (binary(), words(lab, &Settings::default()));
    let words = wrapper.iter().copied().chain([program.as_str()]).chain(words.iter().map(String::as_str));
    let words: Vec<&str> = words.chain(["-o", "json"]).collect();
    let finished = lab.gateway.output(&words, SOON).unwrap();
    let findings: Vec<Value> =
        serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished}"));
    let found = findings.iter().find(|it| it["check"] == check);
    (found.unwrap_or_else(|| panic!("no finding {check} in {findings:#?}")).clone(), finished.code())
}

#[test]
fn the_doctor_sees_rights_limits_and_mounts_that_are_missing() {
    let lab = scene();
    for (wrapper, check, standing, mend) in [
        ("setpriv --bounding-set -all --inh-caps -all", "capabilities", "failure", "sudo eipgate doctor"),
        ("unshare --mount", "bpffs", "failure", "nsenter --net="),
        ("prlimit --nofile=512", "limits", "warning", "ulimit -n 1024"),
    ] {
        let wrapper: Vec<&str> = wrapper.split(' ').collect();
        let (found, status) = examine_under(&lab, &wrapper, check);
        assert_eq!(found["standing"], standing, "{found}");
        assert!(found["mend"].as_str().unwrap().starts_with(mend), "{found}");
        assert!(status >= if standing == "failure" { 2 } else { 1 }, "{status}: {found}");
    }
    let (found, _) = examine_under(&lab, &["prlimit", "--nofile=4096"], "limits");
    assert_eq!(found["standing"], "ok", "{found}");
    lab.finish().unwrap();
}

#[test]
fn the_doctor_sees_a_state_in_memory_a_disk_nearly_full_and_maps_of_other_limits() {
    let lab = scene();
    let config = lab.directory.join("other.toml");
    std::fs::write(&config, "max_pairs = 1234\n").unwrap();
    let other = Settings { more: vec!["--config".into(), config.display().to_string()], ..Settings::default() };
    let found = finding(&lab, &other, "memory", None);
    assert_eq!((&found["standing"], &found["mend"]), (&"failure".into(), &"eipgate detach".into()), "{found}");

    let state = lab.directory.join("small");
    std::fs::create_dir(&state).unwrap();
    let state = state.display().to_string();
    let mut settings = Settings::default();
    settings.more.extend(["--state-dir".into(), state.clone()]);
    // The last of two counts nothing, so the lab's own goes.
    let mut words = words(&lab, &settings);
    let at = words.iter().position(|word| word == "--state-dir").unwrap();
    words.drain(at..at + 2);
    let words: Vec<&str> = words.iter().map(String::as_str).chain(["-o", "json"]).collect();
    let binary = binary();
    let mounted = format!("mount -t tmpfs -o size=1m tmpfs {state} && exec \"$@\"");
    // In a mount namespace of its own, so that nothing stays mounted.
    let under = ["unshare", "--mount", "sh", "-c", &mounted, "sh", &binary];
    let finished = lab.gateway.output(&[&under[..], &words].concat(), SOON).unwrap();
    let findings: Vec<Value> =
        serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished}"));
    let found =
        |check: &str| findings.iter().find(|it| it["check"] == check).unwrap_or_else(|| panic!("{findings:#?}"));
    assert_eq!(found("state")["standing"], "failure", "{}", found("state"));
    assert!(found("state")["finding"].as_str().unwrap().contains("in memory"), "{}", found("state"));
    assert_eq!(found("space")["standing"], "warning", "{}", found("space"));
    for check in ["state", "space"] {
        assert!(found(check)["mend"].is_string(), "{}", found(check));
    }
    lab.finish().unwrap();
}

#[test]
fn t01_the_doctor_reports_checksums_that_were_left_to_hardware() {
    let lab = scene();
    stands(&lab, "checksum_offload", None, "ok");
    lab.allow_wrong_checksums();
    // The bridge would finish the checksum itself if its port did not promise to.
    let sending = [(&lab.a, "eth0"), (&lab.switch, "gate0")];
    for (host, interface) in sending {
        host.features(interface, &["tx", "on"]).unwrap();
    }
    lab.a.output(&["bash", "-c", "timeout 1 bash -c ': > /dev/tcp/192.0.2.10/80'"], SOON).unwrap();
    let mend = stands(&lab, "checksum_offload", None, "warning");
    for (host, interface) in sending {
        run(host, &mend.replace("IF", interface));
    }
    let server = lab::lab::server::Server::tcp_echo(&lab.internet, 80).unwrap();
    lab::lab::server::tcp_exchange(&lab.a, lab::lab::at(lab::lab::INTERNET, 80), 1000).unwrap();
    drop(server);
}
