//! Temporary.
use lab::lab::*;
use std::sync::atomic::{AtomicBool, Ordering};
static FOUND: AtomicBool = AtomicBool::new(false);
fn hunt() {
    for _ in 0..30 {
        if FOUND.load(Ordering::SeqCst) { return; }
        let lab = Lab::serving().unwrap();
        lab.instance_with("web", A, "203.0.113.1").unwrap();
        for (from, to) in [(&lab.internet, "203.0.113.1"), (&lab.a, "192.0.2.10")] {
        let words = ["ping", "-n", "-c", "3", "-i", "0.2", "-W", "1", to];
        let said = from.output(&words, SOON).unwrap();
        if !said.stdout.contains(" 0% packet loss") {
            if FOUND.swap(true, Ordering::SeqCst) { return; }
            eprintln!("{said}");
            eprintln!("{}", lab.daemon.tell(&["map", "counters", "--bpf-dir", &lab.daemon.maps().display().to_string()]).unwrap());
            for (ns, i) in [(&lab.gateway, "up0"), (&lab.gateway, "down0"), (&lab.router, "gate0"), (&lab.router, "inet0"), (&lab.switch, "gate0"), (&lab.switch, "port-a"), (&lab.a, "eth0"), (&lab.internet, "eth0")] {
                eprintln!("{} {}", ns.name, ns.tell(&["ip", "-s", "link", "show", i]).unwrap());
                eprintln!("{}", ns.tell(&["sh", "-c", &format!("ethtool -S {i} | grep -v ': 0'; ethtool -k {i} | grep -E 'generic|tx-checksumming'")]).unwrap());
                eprintln!("{}", ns.tell(&["ip", "neigh"]).unwrap());
            }
            eprintln!("log {}", lab.daemon.log());
            for (n, c) in [("router", &lab.at_router), ("a", &lab.at_a), ("internet", &lab.at_internet)] {
            for f in c.from_start().all() { eprintln!("{n} {:?} {}", f.direction, lab::frames::explain(&f.frame)); } }
            eprintln!("found"); return;
        }
        }
    }
}
fn main() { std::thread::scope(|s| { for _ in 0..3 { s.spawn(hunt); } }) }
