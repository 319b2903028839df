//! One owner of a state, of the interfaces and of what is counted, whatever happens to it.

use std::fs;

use lab::lab::{A, Lab, SOON, Settings, wait};
use nat_common::abi::ABI_VERSION;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::views::{agreed, reaches};

#[test]
fn a_daemon_that_is_stopped_still_owns_what_it_has_and_goes_on() {
    let lab = Lab::serving().unwrap();
    let web = lab.instance("web", A).unwrap();
    let before = agreed(&lab);
    let pid = Pid::from_raw(lab.daemon.pid().unwrap());
    kill(pid, Signal::SIGSTOP).unwrap();
    let refused = lab.daemon.refuse(&Settings::default()).unwrap();
    assert!(refused.stderr.contains(&format!("(pid {pid})")), "{refused}");
    assert!(reaches(&lab.internet, web));
    kill(pid, Signal::SIGCONT).unwrap();
    assert_eq!(agreed(&lab), before);
    lab.allocate().unwrap();
    agreed(&lab);
    lab.finish().unwrap();
}

#[test]
fn nobody_takes_the_program_off_an_interface_by_the_usual_command() {
    let lab = Lab::serving().unwrap();
    let web = lab.instance("web", A).unwrap();
    for mode in ["xdp", "xdpdrv"] {
        let words = ["ip", "-force", "link", "set", "dev", "up0", mode, "off"];
        assert!(!lab.gateway.output(&words, SOON).unwrap().success());
    }
    assert!(reaches(&lab.internet, web));
    agreed(&lab);
    lab.finish().unwrap();
}

#[test]
fn a_program_that_was_taken_off_by_force_is_put_back_within_seconds() {
    let lab = Lab::serving().unwrap();
    let web = lab.instance("web", A).unwrap();
    assert!(reaches(&lab.internet, web));
    let layout = lab.daemon.maps().join(format!("v{ABI_VERSION}"));
    let pins = fs::read_dir(layout).unwrap().flatten().map(|entry| entry.path());
    let links: Vec<_> = pins.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("link-")).collect();
    assert_eq!(links.len(), 2);
    for link in links {
        lab.gateway.tell(&["bpftool", "link", "detach", "pinned", &link.display().to_string()]).unwrap();
    }
    // Until then what comes from inside finds the guard; the captures see whether any of it leaves.
    for interface in ["up0", "down0"] {
        let back = || {
            lab.a.output(&["ping", "-c", "1", "-W", "1", "192.0.2.10"], SOON).ok()?;
            let noticed = lab.daemon.log().contains(&format!("somebody has taken the program off {interface}"));
            (noticed && lab.gateway.tell(&["ip", "link", "show", interface]).ok()?.contains("xdp")).then_some(())
        };
        wait::until("the program to be back", SOON, back).unwrap();
    }
    wait::until("an answer", SOON, || reaches(&lab.internet, web).then_some(())).unwrap();
    agreed(&lab);
    assert_eq!(lab.daemon.json(&["status"]).unwrap()["degraded"], false);
    lab.finish().unwrap();
}

#[test]
fn what_was_counted_is_not_lost_with_the_daemon_and_never_counted_twice() {
    let lab = Lab::serving().unwrap();
    let web = lab.instance("web", A).unwrap();
    let counted = || {
        let counters = lab.daemon.map(&["counters", &web.to_string()]).unwrap();
        counters["addresses"][0]["traffic"]["packets_in"].as_u64().unwrap()
    };
    for (sent, end) in [(1, None), (2, Some(())), (3, Some(()))] {
        assert!(reaches(&lab.internet, web));
        if end.is_some() {
            lab.daemon.kill().unwrap();
            assert_eq!(counted(), sent, "while it is dead");
            lab.daemon.restart().unwrap();
        }
        assert_eq!(counted(), sent);
    }
    lab.finish().unwrap();
}
