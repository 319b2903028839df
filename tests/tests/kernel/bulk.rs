//! Many pairs at once, from a file and to one, by the command line of a gateway that serves.

use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::time::Duration;

use lab::lab::daemon::{self, Settings};
use lab::lab::server::{Server, udp_exchange};
use lab::lab::{A, B, C, INTERNET, Lab, at};
use serde_json::{Value, json};

use crate::faults::views::check;
use crate::pingpong::PingPong;

/// In the order of their public addresses, as an export has them.
const PAIRS: &str = "\
# public,private,vpc,name
198.51.100.70,10.0.0.13,vpc-default,worker
203.0.113.1,10.0.0.11,vpc-default,web, the old one
203.0.113.5,10.0.0.12,vpc-default,worker
";
const PUBLIC: [(Ipv4Addr, Ipv4Addr); 3] =
    [(C, Ipv4Addr::new(198, 51, 100, 70)), (A, Ipv4Addr::new(203, 0, 113, 1)), (B, Ipv4Addr::new(203, 0, 113, 5))];

fn file(lab: &Lab, name: &str, text: &str) -> String {
    let path = lab.directory.join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn lists(lab: &Lab) -> [Value; 4] {
    let maps = lab.daemon.map(&["verify"]).unwrap();
    let list = |words: &[&str]| lab.daemon.json(words).unwrap();
    [list(&["instance", "list"]), list(&["eip", "list"]), list(&["pool", "list"]), maps]
}

/// Both directions of real traffic use these addresses.
#[track_caller]
fn pairs_carry_traffic(lab: &Lab) {
    let outside = Server::udp_echo(&lab.internet, 53).unwrap();
    let hosts = [(&lab.c, PUBLIC[0]), (&lab.a, PUBLIC[1]), (&lab.b, PUBLIC[2])];
    for (host, (_, public)) in hosts {
        let _echo = Server::udp_echo(host, 7).unwrap();
        udp_exchange(&lab.internet, at(public, 7), b"from outside").unwrap();
        udp_exchange(host, at(INTERNET, 53), b"from inside").unwrap();
        assert_eq!(*outside.last_peer().unwrap().ip(), public);
    }
}

#[test]
fn pairs_of_a_file_carry_traffic_at_once_and_are_exported_as_they_came() {
    let lab = Lab::serving().unwrap();
    let pairs = file(&lab, "pairs.csv", PAIRS);
    let checked = lab.daemon.json(&["import", "--check", &pairs]).unwrap();
    assert_eq!((&checked["imported"], &checked["checked"]), (&json!(0), &json!(3)));
    assert_eq!(lab.daemon.tell(&["export"]).unwrap(), "# public,private,vpc,name\n");

    let imported = lab.daemon.json(&["import", &pairs]).unwrap();
    let told = json!({"imported": 3, "checked": 3, "account": "default", "public_ip_kind": "eip"});
    assert_eq!(imported, told);
    pairs_carry_traffic(&lab);
    assert_eq!(lab.public_ip("web, the old one").unwrap(), Some(PUBLIC[1].1));
    assert_eq!(lab.daemon.map(&["verify"]).unwrap()["differences"], json!([]));
    assert!(lab.daemon.log().contains("imported 3 pairs of account default"));

    let exported = lab.directory.join("exported.csv").display().to_string();
    lab.daemon.tell(&["export", &exported]).unwrap();
    assert_eq!(fs::read_to_string(&exported).unwrap(), PAIRS);

    // Another gateway begins with them, here as ordinary public IPs.
    lab.daemon.terminate().unwrap();
    lab.daemon.detach().unwrap();
    fs::remove_dir_all(lab.daemon.state()).unwrap();
    lab.daemon.restart().unwrap();
    lab.daemon.tell(&["import", "--as", "ordinary", "--bandwidth", "5", &exported]).unwrap();
    assert_eq!(lab.daemon.tell(&["export"]).unwrap(), PAIRS);
    assert_eq!(lab.daemon.json(&["eip", "list"]).unwrap(), json!([]));
    pairs_carry_traffic(&lab);
    // What was committed at once is there after a crash.
    lab.daemon.kill().unwrap();
    lab.daemon.restart().unwrap();
    assert_eq!(lab.daemon.tell(&["export"]).unwrap(), PAIRS);
    let (status, found) = check(&lab);
    assert_eq!(status, 0, "{found}");
    lab.finish().unwrap();
}

#[test]
fn a_bad_line_changes_nothing_and_is_named() {
    let lab = Lab::serving().unwrap();
    let web = lab.instance("web", A).unwrap();
    let before = lists(&lab);
    for (lines, status, sentence) in [
        ("203.0.113.300,10.0.0.12", 1, "line 4: the public address \"203.0.113.300\" is no IPv4 address"),
        ("203.0.113.3", 1, "line 4: there is no private address; write public,private[,vpc[,name]]"),
        ("203.0.113.3,10.0.0.14,blue", 3, "line 4: there is no VPC blue"),
        ("192.0.2.77,10.0.0.14", 1, "line 4: address 192.0.2.77 lies in no pool"),
        (&format!("{web},10.0.0.14"), 4, &format!("line 4: address {web} is in use")),
        ("203.0.113.3,10.0.0.11", 4, "line 4: private address 10.0.0.11 is in use in VPC vpc-default"),
        ("203.0.113.3,10.0.0.14,,ins-7", 1, "line 4: \"ins-7\" cannot be a name: it begins like an id"),
        ("203.0.113.2,10.0.0.14", 1, "line 4: public address 203.0.113.2 is given twice"),
        ("203.0.113.3,10.0.0.12", 1, "line 4: private address 10.0.0.12 of VPC vpc-default is given twice"),
    ] {
        let path = file(&lab, "bad.csv", &format!("# a comment\n\n203.0.113.2,10.0.0.12\n{lines}\n"));
        let finished = lab.daemon.cli(&["import", &path]).unwrap();
        assert_eq!(finished.code(), status, "{finished}");
        assert!(finished.stderr.starts_with(&format!("eipgate: {path} {sentence}")), "{finished}");
        assert!(finished.stderr.ends_with(". Nothing was changed.\n"), "{finished}");
        assert_eq!(lists(&lab), before, "{lines}");
    }
    // All lines that cannot be read are told at once.
    let path = file(&lab, "bad.csv", &"203.0.113.2\n".repeat(25));
    let finished = lab.daemon.cli(&["import", &path]).unwrap();
    assert!(finished.stderr.contains("25 lines that cannot be read") && finished.stderr.contains("and 5 more"));
    assert_eq!((finished.code(), finished.stderr.lines().count()), (1, 22), "{finished}");
    assert_eq!(lists(&lab), before);
    lab.finish().unwrap();
}

/// A file of so many pairs, with public addresses of [`MANY`].
fn many(count: u32) -> String {
    let mut text = String::new();
    for number in 0..count {
        let (high, low) = (number / 250, number % 250);
        writeln!(text, "198.18.{high}.{low},10.1.{high}.{low}").unwrap();
    }
    text
}

/// A pool for them.
const MANY: &str = "198.18.0.0/16";

#[test]
fn an_import_shows_whoever_looks_at_a_terminal_how_far_it_is() {
    let lab = Lab::new().unwrap();
    let mut settings = Settings::default();
    settings.pools.push(MANY.into());
    lab.daemon.start(settings).unwrap();
    let pairs = file(&lab, "pairs.csv", &many(10_000));
    let import = |more: &str| {
        let (binary, socket) = (daemon::binary(), lab.daemon.socket().display().to_string());
        format!("{binary} --socket {socket} import {more} {pairs}")
    };
    let on_terminal = |command: &str| {
        let words = ["env", "TERM=xterm", "script", "-qec", command, "/dev/null"];
        let finished = lab.gateway.output(&words, PATIENCE).unwrap();
        assert!(finished.success(), "{finished}");
        finished.stdout
    };
    // What is not looked at shows nothing, and what is read by a program nothing but the answer.
    let finished = lab.gateway.output(&import("--check").split(' ').collect::<Vec<_>>(), PATIENCE).unwrap();
    assert_eq!((finished.code(), finished.stderr.as_str()), (0, ""), "{finished}");
    let json: Value = serde_json::from_str(&on_terminal(&import("--check -o json"))).unwrap();
    assert_eq!(json["checked"], 10_000);

    let seen = on_terminal(&import(""));
    // Of what the daemon does it tells at once, and then now and then.
    for stage in ["sending", "deciding"] {
        assert!(seen.contains(stage), "no {stage} in {seen:?}");
    }
    let share = seen.split('%').filter_map(|before| before.rsplit(' ').next()?.parse::<u32>().ok());
    assert!(share.clone().any(|share| (1..100).contains(&share)), "{seen:?}");
    let (_, last) = seen.trim_end().rsplit_once(['\r', '\n']).unwrap();
    assert!(
        last.ends_with("imported 10000 pairs into account default, with their public addresses as EIPs"),
        "{last:?}"
    );
    lab.finish().unwrap();
}

/// For commands about many pairs.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn an_import_loses_no_packet_of_a_pair_that_is_there() {
    let lab = Lab::new().unwrap();
    let mut settings = Settings::default();
    settings.pools.push(MANY.into());
    lab.daemon.start(settings).unwrap();
    let web = lab.instance_with("web", A, "203.0.113.1").unwrap().address;
    let _echo = Server::udp_echo(&lab.a, 7).unwrap();
    udp_exchange(&lab.internet, at(web, 7), b"warm").unwrap();
    let pairs = file(&lab, "pairs.csv", &many(2000));
    let (answered, lost, ()) = PingPong::during(&lab.internet, web, |traffic| {
        traffic.wait_for(200);
        assert_eq!(lab.daemon.json(&["import", &pairs]).unwrap()["imported"], 2000);
        traffic.wait_for(200);
    });
    assert!(answered > 400, "{answered}");
    assert_eq!(lost, 0, "of {answered}");
    assert_eq!(lab.daemon.json(&["status"]).unwrap()["pairs"]["entries"], 2001);
    assert_eq!(lab.daemon.map(&["verify"]).unwrap()["differences"], json!([]));
    lab.finish().unwrap();
}
