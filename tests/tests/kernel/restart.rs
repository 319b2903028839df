//! What outlives the daemon, and what another one finds.

use std::net::Ipv4Addr;

use lab::lab::daemon::Settings;
use lab::lab::server::{Server, udp_exchange};
use lab::lab::{A, B, INTERNET, Lab, SOON, at};
use nat_common::abi::ABI_VERSION;

use crate::pingpong::PingPong;

#[test]
fn invariant_5_killing_and_restarting_the_daemon_stops_no_traffic() {
    let lab = Lab::serving().unwrap();
    let web = lab.instance("web", A).unwrap();
    let _echo = Server::udp_echo(&lab.a, 7).unwrap();
    udp_exchange(&lab.internet, at(web, 7), b"warm").unwrap();
    let (answered, lost, ()) = PingPong::during(&lab.internet, web, |traffic| {
        for end in 0..3 {
            traffic.wait_for(200);
            if end % 2 == 0 {
                lab.daemon.kill().unwrap()
            } else {
                lab.daemon.terminate().unwrap()
            }
            traffic.wait_for(200);
            lab.daemon.restart().unwrap();
            traffic.wait_for(200);
        }
    });
    assert!(answered > 1800, "{answered}");
    assert_eq!(lost, 0, "of {answered}");
    // The state is there too: the same instance with the same address, and new commands work.
    assert_eq!(lab.public_ip("web").unwrap(), Some(web));
    lab.instance("db", B).unwrap();
    lab.finish().unwrap();
}

#[test]
fn invariant_2_the_maps_are_rebuilt_from_the_store() {
    let lab = Lab::serving().unwrap();
    let web = lab.instance("web", A).unwrap();
    lab.private_instance("db", B).unwrap();
    let eip = lab.allocate().unwrap();
    lab.bind(&eip, "db").unwrap();
    let pairs = |lab: &Lab| {
        let maps = lab.daemon.map(&["show"]).unwrap();
        let pairs = maps["pairs"].as_array().unwrap().clone();
        pairs.into_iter().map(|pair| (pair["public"].to_string(), pair["private"].to_string())).collect::<Vec<_>>()
    };
    let before = pairs(&lab);
    assert_eq!(before.len(), 2);
    lab.daemon.terminate().unwrap();
    lab.daemon.detach().unwrap();
    lab.daemon.restart().unwrap();
    assert_eq!(pairs(&lab), before);
    let _echo = Server::udp_echo(&lab.a, 7).unwrap();
    udp_exchange(&lab.internet, at(web, 7), b"again").unwrap();
    lab.finish().unwrap();
}

#[test]
fn t73_a_restart_reconciles_what_was_changed_behind_its_back() {
    let lab = Lab::serving().unwrap();
    let web = lab.instance("web", A).unwrap();
    let _echo = Server::udp_echo(&lab.a, 7).unwrap();
    lab.daemon.kill().unwrap();
    // The way in is removed and a foreign way in added, by hand.
    let map = lab.daemon.maps().join(format!("v{ABI_VERSION}/INBOUND_SPARSE")).display().to_string();
    let key = |address: Ipv4Addr| address.octets().map(|byte| byte.to_string());
    let stranger = Ipv4Addr::new(203, 0, 113, 9);
    let change = |words: &[&str], address: Ipv4Addr, rest: &[&str]| {
        let key = key(address);
        let key: Vec<&str> = key.iter().map(String::as_str).collect();
        lab.gateway.tell(&[&["bpftool", "map"], words, &["pinned", &map, "key"], &key, rest].concat()).unwrap();
    };
    change(&["delete"], web, &[]);
    // Its tag, then the private address, counters 5 and the first VPC's next hop: 2, above the 17 bits of the counters.
    let tag = ["value", "203", "0", "113", "9", "0", "0", "0", "0"];
    change(&["update"], stranger, &[&tag[..], &["10", "0", "0", "12", "5", "0", "4", "0"]].concat());
    let dead = lab.daemon.cli(&["map", "verify", "--bpf-dir", &lab.daemon.maps().display().to_string()]).unwrap();
    assert_eq!(dead.code(), 1);
    assert!(dead.stdout.contains(&web.to_string()) && dead.stdout.contains("203.0.113.9"), "{dead}");
    lab.daemon.restart().unwrap();
    assert_eq!(lab.daemon.map(&["verify"]).unwrap()["differences"], serde_json::json!([]));
    udp_exchange(&lab.internet, at(web, 7), b"back").unwrap();
    lab.finish().unwrap();
}

#[test]
fn detach_removes_everything_and_says_what() {
    let lab = Lab::new().unwrap();
    let settings = |lab: &Lab| {
        ["net.ipv4.ip_forward", "net.ipv4.conf.up0.rp_filter", "net.ipv4.conf.all.send_redirects"]
            .map(|key| lab.gateway.sysctl_of(key).unwrap())
    };
    let before = settings(&lab);
    lab.daemon.start(Settings::default()).unwrap();
    lab.instance("web", A).unwrap();
    // A daemon that serves is not pulled out from under its feet.
    let binary = lab::lab::daemon::binary();
    let (maps, state) = (lab.daemon.maps().display().to_string(), lab.daemon.state().display().to_string());
    let words = [binary.as_str(), "detach", "--bpf-dir", &maps, "--state-dir", &state];
    let early = lab.gateway.output(&words, SOON).unwrap();
    assert!(early.code() == 1 && early.stderr.contains("stop it first"), "{early}");

    lab.daemon.terminate().unwrap();
    assert!(lab.gateway.tell(&["ip", "link", "show", "up0"]).unwrap().contains("xdp"));
    let said = lab.daemon.detach().unwrap();
    for removed in ["XDP program", "maps", "nftables table inet eipgate", "nftables table arp eipgate", "restored"] {
        assert!(said.contains(removed), "{said}");
    }
    assert!(!lab.gateway.tell(&["ip", "link", "show", "up0"]).unwrap().contains("xdp"));
    assert_eq!(lab.gateway.tell(&["nft", "list", "ruleset"]).unwrap().trim(), "");
    assert_eq!(settings(&lab), before);
    assert_eq!(lab.daemon.detach().unwrap().trim(), "there was nothing to remove");
    lab.finish().unwrap();
}

/// Whoever takes the gateway off need not remember where it was told to keep its things.
#[test]
fn commands_look_where_the_configuration_says() {
    let lab = Lab::serving().unwrap();
    let web = lab.instance("web", A).unwrap().to_string();
    let places = [("state_dir", lab.daemon.state()), ("bpf_dir", lab.daemon.maps()), ("socket", lab.daemon.socket())];
    let mut text: String = places.iter().map(|(key, path)| format!("{key} = {path:?}\n")).collect();
    // Nor is a mistake elsewhere in the way.
    text += "no_such_setting = true\n";
    let (file, copy) = (lab.directory.join("eipgate.toml"), lab.directory.join("copy.db"));
    std::fs::write(&file, text).unwrap();
    let (binary, file, copy) = (lab::lab::daemon::binary(), file.display().to_string(), copy.display().to_string());
    let eipgate =
        |words: &[&str]| lab.gateway.output(&[&[binary.as_str(), "--config", &file], words].concat(), SOON).unwrap();
    let remote = INTERNET.to_string();
    for words in [&["status"][..], &["map", "get", &web], &["check"], &["backup", &copy], &["explain", &remote, &web]] {
        let told = eipgate(words);
        assert!(told.success(), "{words:?}: {told}");
    }
    let early = eipgate(&["detach"]);
    assert!(early.code() == 4 && early.stderr.contains("stop it first"), "{early}");
    lab.daemon.terminate().unwrap();
    let said = eipgate(&["detach"]);
    assert!(said.success() && said.stdout.contains("XDP program"), "{said}");
    assert!(!lab.gateway.tell(&["ip", "link", "show", "up0"]).unwrap().contains("xdp"));
    // Where the places are not to be known, nothing is guessed.
    std::fs::write(&file, "bpf_dir = 7\n").unwrap();
    let refused = eipgate(&["map", "show"]);
    assert!(refused.code() == 1 && refused.stderr.contains("eipgate.toml:1: ") && refused.stderr.contains("--bpf-dir"));
    lab.finish().unwrap();
}

#[test]
fn invariant_3_no_map_is_swept_for_a_store_that_is_not_there() {
    let lab = Lab::serving().unwrap();
    let web = lab.instance("web", A).unwrap();
    let _echo = Server::udp_echo(&lab.a, 7).unwrap();
    lab.daemon.kill().unwrap();
    // Killed, it leaves the latest changes in the log beside the database.
    let files = ["state.db", "state.db-wal"].map(|name| (lab.daemon.state().join(name), lab.directory.join(name)));
    for (file, elsewhere) in &files {
        std::fs::rename(file, elsewhere).unwrap();
    }
    let refused = lab.daemon.refuse(&Settings::default()).unwrap();
    assert!(refused.stderr.contains("is the state directory right?"), "{refused}");
    udp_exchange(&lab.internet, at(web, 7), b"still there").unwrap();
    // A damaged store is no reason to sweep either.
    std::fs::write(&files[0].0, b"SQLite format 3\0 and no more").unwrap();
    let refused = lab.daemon.refuse(&Settings::default()).unwrap();
    assert!(refused.stderr.contains("state.db is damaged"), "{refused}");
    udp_exchange(&lab.internet, at(web, 7), b"still there").unwrap();
    for (file, elsewhere) in &files {
        std::fs::rename(elsewhere, file).unwrap();
    }
    lab.daemon.restart().unwrap();
    assert_eq!(lab.public_ip("web").unwrap(), Some(web));
    lab.finish().unwrap();
}
