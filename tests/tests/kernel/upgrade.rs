//! The daemon is stopped, killed, restarted and replaced, by versions with another program and with another layout.
//!
//! `EIPGATE_LONG=1` does each a thousand times, and ends an upgrade at every tenth of its system calls.

use std::env;
use std::fs;
use std::path::Path;
use std::time::Duration;

use lab::lab::daemon::{Settings, next_binary};
use lab::lab::server::{Server, udp_exchange};
use lab::lab::{A, Lab, SOON, at, wait};
use nat_common::abi::ABI_VERSION;
use serde_json::{Value, json};

use crate::faults::views::agreed;
use crate::scene::{DATABASE, WEB, scene};
use crate::stream::{Outcomes, Stream, lossless_rate};

fn is_long() -> bool {
    env::var("EIPGATE_LONG").is_ok_and(|long| long == "1")
}

fn rounds() -> usize {
    if is_long() { 1000 } else { 20 }
}

fn next() -> Settings {
    Settings { binary: next_binary(), ..Settings::default() }
}

/// Packets in and out of an address, as the daemon's own version reads them.
fn counted(lab: &Lab, address: &str) -> [u64; 2] {
    let shown = lab.daemon.map(&["get", address]).unwrap();
    let traffic = &shown["pairs"][0]["traffic"];
    ["packets_in", "packets_out"].map(|field| traffic[field].as_u64().unwrap_or_else(|| panic!("{shown}")))
}

/// The program on an interface: its id and how many bytes the verifier made of it.
fn program(lab: &Lab, interface: &str) -> (u64, u64) {
    let shown = lab.gateway.tell(&["ip", "-j", "link", "show", interface]).unwrap();
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let id = shown[0]["xdp"]["prog"]["id"].as_u64().unwrap_or_else(|| panic!("no program: {shown}"));
    let program = lab.gateway.tell(&["bpftool", "-j", "prog", "show", "id", &id.to_string()]).unwrap();
    let program: Value = serde_json::from_str(&program).unwrap();
    (id, program["bytes_xlated"].as_u64().unwrap())
}

fn layouts(lab: &Lab) -> Vec<String> {
    let entries = fs::read_dir(lab.daemon.maps()).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| !name.ends_with(".debug"));
    names.sort();
    names
}

fn layout(version: u32) -> String {
    format!("v{version}")
}

fn tell(what: &str, rate: u64, [inbound, outbound]: &Outcomes) {
    println!("{what} at {rate} frames a second each way: inbound {inbound}; outbound {outbound}");
    inbound.check(what);
    outbound.check(what);
}

#[test]
fn invariant_5_no_packet_is_lost_while_the_daemon_is_stopped_killed_restarted_and_replaced() {
    let lab = scene();
    let rate = lossless_rate(&lab, Duration::from_secs(3));
    let plain = Settings::default();
    // The verifier takes out what a program that does not log needs not, so this is another program.
    let more = vec!["--config".into(), lab.directory.join("logs.toml").display().to_string()];
    fs::write(lab.directory.join("logs.toml"), "program_log = \"debug\"\n").unwrap();
    let other = Settings { more, ..Settings::default() };
    let a_while = rate / 20;
    let mut worst = [Duration::ZERO; 2];
    let mut sent = [0; 2];
    for round in 0..rounds() {
        let (outcomes, ()) = Stream::during(&lab, rate, |stream| {
            stream.flow(a_while);
            lab.daemon.terminate().unwrap();
            stream.flow(a_while);
            lab.daemon.start(plain.clone()).unwrap();
            let before = program(&lab, "up0");
            stream.flow(a_while);
            lab.daemon.kill().unwrap();
            stream.flow(a_while);
            lab.daemon.start(other.clone()).unwrap();
            let after = program(&lab, "up0");
            assert!(before.0 != after.0 && before.1 != after.1, "the program is the same: {before:?} {after:?}");
            stream.flow(a_while);
        });
        for (place, outcome) in outcomes.iter().enumerate() {
            outcome.check(&format!("round {round}"));
            worst[place] = worst[place].max(outcome.worst_gap);
            sent[place] += outcome.sent;
        }
    }
    println!(
        "stopped, restarted, killed, replaced by another program {} times each at {rate} frames a second each way: of \
         {sent:?} in and out none lost, none wrong; worst gaps {worst:?}",
        rounds()
    );
    agreed(&lab);
    lab.finish().unwrap();
}

#[test]
fn invariant_5_no_packet_is_lost_by_an_upgrade_to_another_layout() {
    let lab = scene();
    let rate = lossless_rate(&lab, Duration::from_secs(3));
    lab.daemon.terminate().unwrap();
    lab.daemon.detach().unwrap();
    let mut worst = [Duration::ZERO; 2];
    let mut sent = [0; 2];
    for round in 0..rounds() {
        lab.daemon.start(Settings::default()).unwrap();
        lab.settle().unwrap();
        let before = counted(&lab, &WEB.to_string());
        let verdicts = lab.verdicts("inbound").unwrap();
        let (outcomes, ()) = Stream::during(&lab, rate, |stream| {
            stream.flow(rate / 20);
            if round % 2 == 0 {
                lab.daemon.kill().unwrap()
            } else {
                lab.daemon.terminate().unwrap()
            }
            stream.flow(rate / 20);
            lab.daemon.start(next()).unwrap();
            assert_eq!(layouts(&lab), [layout(ABI_VERSION + 1)]);
            stream.flow(rate / 20);
        });
        tell(&format!("upgrade {round} to another layout"), rate, &outcomes);
        // Every packet is in the count, whichever program carried it.
        let after = counted(&lab, &WEB.to_string());
        for (place, outcome) in outcomes.iter().enumerate() {
            assert_eq!(after[place], before[place] + outcome.sent, "round {round}, direction {place}");
            worst[place] = worst[place].max(outcome.worst_gap);
            sent[place] += outcome.sent;
        }
        assert_eq!(lab.verdicts("inbound").unwrap(), verdicts + outcomes[0].sent, "round {round}");
        assert_eq!(lab.daemon.map(&["verify"]).unwrap()["differences"], json!([]));
        lab.daemon.terminate().unwrap();
        lab.daemon.detach().unwrap();
    }
    println!(
        "upgraded to another layout {} times at {rate} frames a second each way: of {sent:?} in and out none lost, none \
         wrong, none uncounted; worst gaps {worst:?}",
        rounds()
    );
    lab.finish().unwrap();
}

/// Ends of an upgrade: the system call it is killed at, and which of those.
fn ends() -> Vec<(&'static str, usize)> {
    // Moving the two links and removing the old layout's pins and directory are few calls; those about maps are many.
    let few = [("rename", 2), ("rename", 3), ("membarrier", 1), ("membarrier", 2), ("unlink", 1), ("unlink", 2)];
    let removal = [("unlink", 5), ("unlink", 20), ("rmdir", 1)];
    let step = if is_long() { 10 } else { 75 };
    let maps = (20..600).step_by(step).map(|number| ("bpf", number));
    few.into_iter().chain(removal).chain(maps).collect()
}

#[test]
fn an_upgrade_that_is_cut_short_anywhere_is_finished_by_the_next_start() {
    let lab = scene();
    let _echoes = [(&lab.a, 7), (&lab.b, 7)].map(|(host, port)| Server::udp_echo(host, port).unwrap());
    let both_work = || {
        for address in [WEB, DATABASE] {
            udp_exchange(&lab.internet, at(address, 7), b"still there").unwrap();
        }
    };
    both_work();
    let mut fired = 0;
    for (call, number) in ends() {
        if lab.daemon.is_running() {
            lab.daemon.terminate().unwrap();
        }
        lab.daemon.detach().unwrap();
        lab.daemon.start(Settings::default()).unwrap();
        both_work();
        both_work();
        lab.daemon.kill().unwrap();
        let inject = format!("inject={call}:signal=SIGKILL:when={number}");
        let words = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject];
        let under = words.map(str::to_owned).to_vec();
        let cut_short = lab.daemon.start(Settings { under, ..next() }).is_err();
        let _ = lab.daemon.kill();
        let found = layouts(&lab);
        println!("{call} {number}: {}, leaving {found:?}", if cut_short { "killed" } else { "ran through" });
        fired += usize::from(cut_short);
        // Either version or both, each whole: traffic never stops.
        both_work();
        lab.daemon.start(next()).unwrap();
        both_work();
        assert_eq!(layouts(&lab), [layout(ABI_VERSION + 1)], "{call} {number}");
        assert_eq!(lab.daemon.map(&["verify"]).unwrap()["differences"], json!([]), "{call} {number}");
        // Four exchanges, whoever counted them, and none twice.
        assert_eq!(counted(&lab, &WEB.to_string()), [4, 4], "{call} {number}");
    }
    println!("{fired} upgrades were cut short and finished by the next start");
    assert!(fired >= 10, "only {fired} upgrades were cut short");
    lab.finish().unwrap();
}

/// Starts what must refuse, with these words, while traffic goes on and every pin stays.
#[track_caller]
fn refuses(lab: &Lab, settings: &Settings, words: &[&str]) {
    let before = layouts(lab);
    let refused = lab.daemon.refuse(settings).unwrap();
    for word in words {
        assert!(refused.stderr.contains(word), "no `{word}` in {refused}");
    }
    let sentence = refused.stderr.lines().last().unwrap_or_default();
    assert!(sentence.starts_with("eipgate:") && !sentence.contains("panicked"), "{refused}");
    assert_eq!(layouts(lab), before);
    udp_exchange(&lab.internet, at(WEB, 7), b"still there").unwrap();
}

#[test]
fn pins_that_are_newer_foreign_or_damaged_are_refused_in_one_sentence_and_detach_removes_them() {
    let lab = scene();
    let _echo = Server::udp_echo(&lab.a, 7).unwrap();
    udp_exchange(&lab.internet, at(WEB, 7), b"warm").unwrap();
    lab.daemon.kill().unwrap();
    let (maps, usual) = (lab.daemon.maps(), Settings::default());
    let own = maps.join(layout(ABI_VERSION));
    let with = |path: &Path, words: &[&str]| {
        fs::create_dir(path).unwrap();
        refuses(&lab, &usual, words);
        fs::remove_dir(path).unwrap();
    };
    with(&maps.join("v1"), &["layout 1", "cannot take over", "eipgate detach"]);
    with(&maps.join("v9"), &["newer version", "layout 9", "eipgate detach"]);
    with(&maps.join("somebodys"), &["nothing of eipgate's", "bpf_dir"]);
    with(&own.join("STRANGE"), &["STRANGE is no pin of eipgate's"]);
    fs::remove_file(own.join("VERDICTS")).unwrap();
    refuses(&lab, &usual, &["VERDICTS is missing", "eipgate detach"]);
    // The next version does not trust it either.
    refuses(&lab, &next(), &["VERDICTS is missing", "eipgate detach"]);
    let said = lab.daemon.detach().unwrap();
    for removed in ["interface up0", "interface down0", "the maps in", "unmounted", "the neighbour 10.0.0.11 on down0"]
    {
        assert!(said.contains(removed), "no `{removed}` in {said}");
    }

    // A map where a link should be.
    lab.daemon.start(Settings::default()).unwrap();
    lab.daemon.kill().unwrap();
    let link = fs::read_dir(&own).unwrap().flatten().map(|entry| entry.path());
    let link = link.into_iter().find(|path| path.display().to_string().contains("link-")).unwrap();
    fs::remove_file(&link).unwrap();
    let create = ["bpftool", "map", "create", &link.display().to_string(), "type", "array", "key", "4"];
    let rest = ["value", "4", "entries", "1", "name", "other"];
    lab.gateway.tell(&[&create[..], &rest].concat()).unwrap();
    let refused = lab.daemon.refuse(&usual).unwrap();
    assert!(refused.stderr.contains("no link of an XDP program"), "{refused}");
    lab.daemon.detach().unwrap();

    // A version that is older than what it finds refuses and leaves it alone; its detach removes that too.
    lab.daemon.start(next()).unwrap();
    lab.daemon.kill().unwrap();
    refuses(&lab, &usual, &["newer version", "eipgate detach"]);
    let (bpf, state) = (maps.display().to_string(), lab.daemon.state().display().to_string());
    let words = ["detach", "-o", "json", "--bpf-dir", &bpf, "--state-dir", &state];
    let said: Value = serde_json::from_str(&lab.daemon.tell(&words).unwrap()).unwrap();
    let lines = said["removed"].as_array().unwrap();
    assert!(lines.iter().any(|line| line.as_str().is_some_and(|line| line.contains("/v3"))), "{said}");
    let again: Value = serde_json::from_str(&lab.daemon.tell(&words).unwrap()).unwrap();
    assert_eq!(again, json!({ "removed": [] }));
    lab.finish().unwrap();
}

#[test]
fn invariant_3_an_upgrade_touches_nothing_before_it_has_read_the_store() {
    let lab = scene();
    let _echo = Server::udp_echo(&lab.a, 7).unwrap();
    udp_exchange(&lab.internet, at(WEB, 7), b"warm").unwrap();
    // The mark of what the program hands to the kernel, which the guard lets through and the old program goes on using.
    let mark = || {
        let rules = lab.gateway.tell(&["nft", "list", "table", "inet", "eipgate"]).unwrap();
        rules.split("ether saddr ").nth(1).and_then(|rest| rest.split(' ').next()).map(str::to_owned)
    };
    let before = mark();
    lab.daemon.kill().unwrap();
    let files = ["state.db", "state.db-wal"].map(|name| (lab.daemon.state().join(name), lab.directory.join(name)));
    let move_away = || files.iter().for_each(|(file, elsewhere)| fs::rename(file, elsewhere).unwrap());
    move_away();
    let refused = lab.daemon.refuse(&next()).unwrap();
    assert!(refused.stderr.contains("is the state directory right?"), "{refused}");
    udp_exchange(&lab.internet, at(WEB, 7), b"still there").unwrap();
    assert!(layouts(&lab).contains(&layout(ABI_VERSION)));
    files.iter().for_each(|(file, elsewhere)| fs::rename(elsewhere, file).unwrap());
    lab.daemon.start(next()).unwrap();
    udp_exchange(&lab.internet, at(WEB, 7), b"taken over").unwrap();
    assert_eq!(counted(&lab, &WEB.to_string()), [3, 3]);
    assert!(before.is_some() && mark() == before, "{before:?}");
    lab.finish().unwrap();
}

#[test]
fn a_killed_daemons_next_hops_can_be_left_to_the_kernel() {
    let lab = scene();
    let _echo = Server::udp_echo(&lab.a, 7).unwrap();
    udp_exchange(&lab.internet, at(WEB, 7), b"warm").unwrap();
    let maps = lab.daemon.maps().display().to_string();
    let doubt = ["map", "doubt", "-o", "json", "--bpf-dir", &maps];
    let refused = lab.daemon.cli(&doubt).unwrap();
    assert!(refused.code() == 1 && refused.stderr.contains("is serving"), "{refused}");
    wait::until("next hops", SOON, || {
        let ready = lab.daemon.json(&["status"]).ok()?["data_plane"]["next_hops"]["ready"].as_u64()?;
        (ready >= 2).then_some(())
    })
    .unwrap();
    lab.daemon.kill().unwrap();
    let left =
        |lab: &Lab| serde_json::from_str::<Value>(&lab.daemon.tell(&doubt).unwrap()).unwrap()["next_hops"].as_u64();
    assert!(left(&lab) >= Some(2));
    assert_eq!(left(&lab), Some(0));
    // The instance moves to another MAC, which it tells everybody, and nobody but the kernel is there to hear it.
    lab.a.ip("link set eth0 address 02:00:00:00:0a:0b\n").unwrap();
    lab.a.tell(&["arping", "-c", "3", "-U", "-I", "eth0", &A.to_string()]).unwrap();
    udp_exchange(&lab.internet, at(WEB, 7), b"found").unwrap();
    lab.finish().unwrap();
}
