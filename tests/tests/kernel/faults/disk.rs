//! Disks that are full, and flushes that fail.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::iter::repeat_with;
use std::process::Command;

use lab::lab::daemon::Settings;
use lab::lab::{A, B, C, Lab, SOON};

use super::strace::meddle;
use super::views::{agreed, reaches, read};

const CREATE: [&str; 7] = ["instance", "create", "--bandwidth", "5", "--private-ip", "10.0.0.13", "--name"];

#[test]
fn a_full_disk_refuses_writes_and_nothing_else_and_heals() {
    let lab = Lab::new().unwrap();
    let state = lab.daemon.state();
    fs::create_dir(&state).unwrap();
    let mount = |words: &[&str]| assert!(Command::new("mount").args(words).arg(&state).status().unwrap().success());
    mount(&["-t", "tmpfs", "-o", "size=600k", "tmpfs"]);
    lab.daemon.start(Settings::default()).unwrap();
    let web = lab.instance("web", A).unwrap();
    let before = agreed(&lab);

    let filler = state.join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    let full = repeat_with(|| file.write_all(&[0; 4096])).find_map(Result::err).unwrap();
    assert_eq!(full.kind(), ErrorKind::StorageFull);
    // The log may have room for a few changes more.
    let refused = (0..200).find_map(|number| {
        let name = format!("n{number}");
        let finished = lab.daemon.cli(&[&CREATE[..], &[&name]].concat()).unwrap();
        if finished.success() {
            lab.daemon.tell(&["instance", "terminate", &name]).unwrap();
        }
        (!finished.success()).then_some(finished)
    });
    let refused = refused.expect("a write was refused");
    assert!(refused.code() == 1 && refused.stderr.contains("could not be stored and was not made"), "{refused}");
    assert!(refused.stderr.contains("disk is full"), "{refused}");
    assert_eq!(read(&lab), before);
    assert!(reaches(&lab.internet, web));
    let again = lab.daemon.cli(&[&CREATE[..], &["again"]].concat()).unwrap();
    assert_eq!(again.code(), 1, "{again}");

    // Its room is free when nobody has it open any more.
    drop(file);
    fs::remove_file(&filler).unwrap();
    lab.daemon.tell(&[&CREATE[..], &["healed"]].concat()).unwrap();
    let after = agreed(&lab);
    assert_eq!(after.instances.len(), before.instances.len() + 1);
    lab.daemon.kill().unwrap();
    lab.daemon.restart().unwrap();
    assert_eq!(agreed(&lab), after);
    lab.finish().unwrap();
}

#[test]
fn a_flush_that_fails_once_is_not_believed_and_the_store_is_checked_before_the_next() {
    let lab = Lab::serving().unwrap();
    let web = lab.instance("web", A).unwrap();
    lab.instance("db", B).unwrap();
    let before = agreed(&lab);
    let meddling = meddle(&lab, "fdatasync,fsync:error=EIO:when=1");
    let refused = lab.daemon.cli(&["instance", "create", "--bandwidth", "5", "--private-ip", &C.to_string()]).unwrap();
    let fired = meddling.end();
    assert!(fired.iter().any(|line| line.contains("EIO")), "{fired:?}");
    assert!(refused.code() == 1 && refused.stderr.contains("could not be stored and was not made"), "{refused}");
    assert!(reaches(&lab.internet, web));
    // Reads go on all the time; it is checked within a second, and what comes of it is whole or not there.
    lab::lab::wait::until("the store to be reopened", SOON, || {
        lab.daemon.log().contains("reopened and checked, and takes changes again").then_some(())
    })
    .unwrap();
    let after = agreed(&lab);
    assert!(after == before || after.instances.len() == before.instances.len() + 1, "{after:?}");
    lab.private_instance("later", "10.0.0.14".parse().unwrap()).unwrap();
    let later = agreed(&lab);
    lab.daemon.kill().unwrap();
    lab.daemon.restart().unwrap();
    assert_eq!(agreed(&lab), later);
    lab.finish().unwrap();
}

#[test]
fn a_disk_that_goes_on_failing_leaves_a_store_to_be_read() {
    let lab = Lab::serving().unwrap();
    let web = lab.instance("web", A).unwrap();
    let before = agreed(&lab);
    let meddling = meddle(&lab, "fdatasync,fsync:error=EIO");
    let create =
        || lab.daemon.cli(&["instance", "create", "--bandwidth", "5", "--private-ip", &C.to_string()]).unwrap();
    let first = create();
    assert_eq!(first.code(), 1, "{first}");
    let second = create();
    assert!(second.code() == 1 && second.stderr.contains("the store is read-only"), "{second}");
    assert_eq!(read(&lab).instances.get(&A), before.instances.get(&A));
    assert!(reaches(&lab.internet, web));
    let status = lab.daemon.cli(&["status"]).unwrap();
    assert!(status.code() == 6 && status.stdout.contains("the store is read-only"), "{status}");
    assert!(!meddling.end().is_empty());
    // The one that could not be flushed may turn out to be there.
    lab::lab::wait::until("changes to be taken again", SOON, || [0, 4].contains(&create().code()).then_some(()))
        .unwrap();
    assert_eq!(agreed(&lab).instances.len(), 2);
    lab.finish().unwrap();
}
