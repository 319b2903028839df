//! The same gateway in generic mode, with two VPCs, and watched by the monitor.

use std::sync::atomic::{AtomicBool, Ordering};

use lab::lab::daemon::{Settings, text};
use lab::lab::server::{Server, tcp_exchange, udp_exchange};
use lab::lab::wait::RaisedAtEnd;
use lab::lab::{A, D, INTERNET, Lab, at};

#[test]
fn t56_generic_mode_translates_and_says_so() {
    let lab = Lab::new().unwrap();
    let more = vec!["--xdp-mode".into(), "generic".into()];
    lab.daemon.start(Settings { more, ..Settings::default() }).unwrap();
    let status = lab.daemon.json(&["status"]).unwrap();
    assert_eq!(text(&status["data_plane"]["links"][0], "mode").unwrap(), "generic");
    let web = lab.instance("web", A).unwrap();
    let _web = Server::tcp_echo(&lab.a, 80).unwrap();
    let outside = Server::tcp_echo(&lab.internet, 80).unwrap();
    tcp_exchange(&lab.internet, at(web, 80), 300_000).unwrap();
    tcp_exchange(&lab.a, at(INTERNET, 80), 300_000).unwrap();
    assert_eq!(*outside.last_peer().unwrap().ip(), web);
    // GRO, which generic mode cannot have, comes back.
    let gro = || {
        let features = lab.gateway.tell(&["ethtool", "-k", "up0"]).unwrap();
        features.contains("generic-receive-offload: on")
    };
    assert!(!gro());
    lab.daemon.terminate().unwrap();
    assert!(lab.daemon.detach().unwrap().contains("switched on GRO on up0 again") && gro());
    lab.finish().unwrap();
}

#[test]
fn t56_native_mode_is_read_back_from_the_kernel() {
    let lab = Lab::serving().unwrap();
    let status = lab.daemon.json(&["status"]).unwrap();
    for link in status["data_plane"]["links"].as_array().unwrap() {
        assert_eq!(text(link, "mode").unwrap(), "native");
    }
    assert!(lab.daemon.log().contains("in native mode"), "{}", lab.daemon.log());
    let seen = "nftables and conntrack do not see";
    assert!(lab.daemon.log().contains(seen) && status.to_string().contains(seen));
    lab.finish().unwrap();
}

/// What is read back must have been read after attaching, not because something else changed meanwhile.
#[test]
fn t56_the_mode_said_at_the_start_is_right_while_the_network_changes() {
    let lab = Lab::new().unwrap();
    let started = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for last in (10..=99).cycle().take_while(|_| !started.load(Ordering::SeqCst)) {
                let mac = format!("02:00:00:00:00:{last}");
                lab.gateway.tell(&["ip", "neigh", "replace", "10.0.1.250", "lladdr", &mac, "dev", "down0"]).unwrap();
            }
        });
        let _over = RaisedAtEnd(&started);
        lab.daemon.start(Settings::default()).unwrap();
    });
    let log = lab.daemon.log();
    assert_eq!(log.matches("in native mode").count(), 2, "{log}");
    lab.finish().unwrap();
}

#[test]
fn t48_overlapping_private_addresses_stay_apart() {
    let lab = Lab::builder().second_vpc().build().unwrap();
    let downlinks = vec!["down0=vpc-a".into(), "down1=vpc-b".into()];
    lab.daemon.start(Settings { downlinks, ..Settings::default() }).unwrap();
    let create = |vpc: &str, name: &str| {
        let words =
            ["instance", "create", "--private-ip", &A.to_string(), "--vpc", vpc, "--name", name, "--bandwidth", "1"];
        text(&lab.daemon.json(&words).unwrap(), "public_ip").unwrap().parse().unwrap()
    };
    assert_eq!(A, D);
    let (a, d) = (create("vpc-a", "a"), create("vpc-b", "d"));
    let _a = Server::udp_echo(&lab.a, 7).unwrap();
    let _d = Server::udp_echo(&lab.d, 8).unwrap();
    // Each answers on its own port only.
    udp_exchange(&lab.internet, at(a, 7), b"to a").unwrap();
    udp_exchange(&lab.internet, at(d, 8), b"to d").unwrap();
    assert!(udp_exchange(&lab.internet, at(d, 7), b"not here").is_err());
    // From one to the other by public address, and each is known outside by its own.
    udp_exchange(&lab.a, at(d, 8), b"across").unwrap();
    let outside = Server::udp_echo(&lab.internet, 53).unwrap();
    udp_exchange(&lab.a, at(INTERNET, 53), b"a").unwrap();
    assert_eq!(*outside.last_peer().unwrap().ip(), a);
    udp_exchange(&lab.d, at(INTERNET, 53), b"d").unwrap();
    assert_eq!(*outside.last_peer().unwrap().ip(), d);
    // An address in two VPCs has to be asked for by VPC.
    let ambiguous = lab.daemon.cli(&["instance", "show", &A.to_string()]).unwrap();
    assert!(!ambiguous.success() && ambiguous.stderr.contains("--vpc"), "{ambiguous}");
    lab.finish().unwrap();
}

#[test]
fn the_monitor_shows_packets_before_and_after_and_names_drops() {
    let lab = Lab::serving().unwrap();
    let web = lab.instance("web", A).unwrap();
    let maps = lab.daemon.maps().display().to_string();
    let monitor = |more: &[&str]| {
        let binary = lab::lab::daemon::binary();
        let words = [&[binary.as_str(), "monitor", "--bpf-dir", &maps], more].concat();
        lab.gateway.spawn(&words).unwrap()
    };
    let watching = monitor(&[&web.to_string(), "-o", "json"]);
    lab::lab::wait::until("the monitor to tell of a ping", lab::lab::SOON, || {
        lab.internet.output(&["ping", "-c", "1", "-W", "1", &web.to_string()], lab::lab::SOON).unwrap();
        watching.said().contains("outbound").then_some(())
    })
    .unwrap();
    // The ring has one reader, so a second monitor says so.
    let second = monitor(&[]).finish(lab::lab::SOON).unwrap();
    assert!(second.code() == 1 && second.stderr.contains("another eipgate monitor"), "{second}");
    let finished = watching.stop(nix::sys::signal::Signal::SIGINT).unwrap();
    assert!(finished.success(), "{finished}");
    let inbound = finished.stdout.lines().find(|line| line.contains("\"inbound\"")).unwrap();
    let inbound: serde_json::Value = serde_json::from_str(inbound).unwrap();
    assert_eq!(inbound["before"]["destination"], web.to_string());
    assert_eq!(inbound["after"]["destination"], A.to_string());
    assert_eq!(inbound["after"]["source"], INTERNET.to_string());

    let drops = monitor(&["--drops"]);
    lab::lab::wait::until("the monitor to tell of a drop", lab::lab::SOON, || {
        lab.internet.output(&["ping", "-c", "1", "-W", "1", "203.0.113.9"], lab::lab::SOON).unwrap();
        drops.said().contains("unbound-address").then_some(())
    })
    .unwrap();
    let finished = drops.stop(nix::sys::signal::Signal::SIGINT).unwrap();
    assert!(!finished.stdout.contains(" inbound "), "{finished}");
    lab.finish().unwrap();
}

#[test]
fn the_program_logs_its_drops_when_asked_to() {
    let lab = Lab::new().unwrap();
    let config = lab.directory.join("eipgate.toml");
    std::fs::write(&config, "program_log = \"debug\"\n").unwrap();
    let more = vec!["--config".into(), config.display().to_string()];
    lab.daemon.start(Settings { more, ..Settings::default() }).unwrap();
    let verdict = nat_common::verdict::Verdict::UnboundAddress as u32;
    lab::lab::wait::until("the program to log a drop", lab::lab::SOON, || {
        lab.internet.output(&["ping", "-c", "1", "-W", "1", "203.0.113.9"], lab::lab::SOON).unwrap();
        lab.daemon.log().contains(&format!("dropped, verdict {verdict}")).then_some(())
    })
    .unwrap();
    lab.finish().unwrap();
}
