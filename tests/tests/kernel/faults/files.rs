//! Stored files that are torn, cut short or altered, and a copy that is none of it.

use std::fs;

use fastrand::Rng;
use lab::lab::daemon::Settings;
use lab::lab::{A, B, C, Lab};

use super::views::{State, agreed, check, in_maps, reaches, read};
use super::{long, seed};

#[test]
fn a_torn_store_starts_with_what_was_committed_or_refuses_and_traffic_flows() {
    let lab = Lab::serving().unwrap();
    let web = lab.instance("web", A).unwrap();
    // Every state there ever was: all of them are in the log, and it may end anywhere.
    let mut committed = vec![State::default(), agreed(&lab)];
    let eip = lab.allocate().unwrap();
    committed.push(read(&lab));
    lab.private_instance("db", B).unwrap();
    committed.push(read(&lab));
    lab.bind(&eip, "db").unwrap();
    committed.push(read(&lab));
    lab.instance("third", C).unwrap();
    committed.push(agreed(&lab));
    lab.daemon.kill().unwrap();
    let maps = in_maps(&lab);

    let files = ["state.db", "state.db-wal"].map(|name| lab.daemon.state().join(name));
    let whole = files.each_ref().map(|file| fs::read(file).unwrap());
    assert!(whole[1].len() > 4096, "the log holds the changes");
    let mut random = Rng::with_seed(seed());
    let (mut started, mut refused) = (0, 0);
    // What the latest start has found is what the maps go on with when the next is refused.
    let mut serves = true;
    let rounds: u32 = if long() { 200 } else { 24 };
    for round in 0..rounds {
        let mut bytes = whole.clone();
        let at = usize::from(!round.is_multiple_of(4));
        let sector = random.usize(..bytes[at].len() / 512) * 512;
        let damage = match round % 3 {
            0 => {
                bytes[at].truncate(sector);
                "cut"
            }
            1 => {
                bytes[at][sector..sector + 512].fill(0);
                "zeroed"
            }
            _ => {
                bytes[at][sector + random.usize(..512)] ^= 1 << random.u8(..8);
                "flipped"
            }
        };
        let place = format!("{damage} at {sector} of {} (EIPGATE_SEED={})", files[at].display(), seed());
        for file in fs::read_dir(lab.daemon.state()).unwrap().flatten() {
            if file.file_name().to_string_lossy().starts_with("state.db") {
                fs::remove_file(file.path()).unwrap();
            }
        }
        for (file, bytes) in files.iter().zip(&bytes) {
            fs::write(file, bytes).unwrap();
        }
        let (status, report) = check(&lab);
        lab.daemon.launch(Settings::default()).unwrap();
        if lab.daemon.wait_to_serve().is_ok() {
            let found = read(&lab);
            assert!(committed.contains(&found), "{place}: {found:?}");
            assert_eq!(agreed(&lab), found, "{place}");
            lab.daemon.kill().unwrap();
            started += 1;
            serves = found.instances.get(&A) == Some(&Some(web));
        } else {
            let log = lab.daemon.log();
            lab.daemon.kill().unwrap();
            assert!(
                log.contains("is damaged")
                    || log.contains("contradicts itself")
                    || log.contains("database (application"),
                "{place}: {log}"
            );
            assert_eq!(status, 1, "{place}: {report}");
            if started == 0 {
                assert_eq!(in_maps(&lab), maps, "{place}");
            }
            assert_eq!(reaches(&lab.internet, web), serves, "{place}");
            refused += 1;
        }
    }
    println!("{rounds} rounds, EIPGATE_SEED={}: {started} started, {refused} refused", seed());
    assert!(started > 0 && refused > 0);
    lab.finish().unwrap();
}

#[test]
fn a_backup_of_a_live_daemon_is_what_a_second_one_starts_on() {
    let lab = Lab::serving().unwrap();
    let web = lab.instance("web", A).unwrap();
    let eip = lab.allocate().unwrap();
    lab.private_instance("db", B).unwrap();
    lab.bind(&eip, "db").unwrap();
    let before = agreed(&lab);
    let (state, copy) = (lab.daemon.state(), lab.directory.join("copy.db"));
    let words = ["backup", &copy.display().to_string(), "--state-dir", &state.display().to_string()].map(str::to_owned);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let said = lab.daemon.tell(&words).unwrap();
    assert!(said.contains("copied 2 instances and 1 EIPs"), "{said}");
    let again = lab.daemon.cli(&words).unwrap();
    assert!(again.code() == 1 && again.stderr.contains("a backup replaces nothing"), "{again}");

    lab.instance("after", C).unwrap();
    lab.daemon.terminate().unwrap();
    fs::rename(&state, lab.directory.join("former")).unwrap();
    fs::create_dir(&state).unwrap();
    fs::rename(&copy, state.join("state.db")).unwrap();
    lab.daemon.restart().unwrap();
    assert_eq!(agreed(&lab), before);
    assert!(reaches(&lab.internet, web));
    lab.instance("new", C).unwrap();
    agreed(&lab);
    lab.finish().unwrap();
}
