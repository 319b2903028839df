//! The daemon as systemd runs it: with the unit's rights, told to read its configuration again, watched, logging to the
//! journal.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lab::frames::Packet;
use lab::lab::daemon::{Settings, binary};
use lab::lab::server::{Server, udp_exchange};
use lab::lab::{A, Lab, at, wait};
use nix::mount::{MsFlags, mount};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::scene::{Sender, WEB, scene};

const SOON: Duration = Duration::from_secs(30);

fn packaging(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging").join(name)
}

/// The capabilities a unit leaves its service, as `setpriv` calls them.
fn bounding_set(unit: &str) -> String {
    let text = fs::read_to_string(packaging(unit)).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet=")).unwrap();
    let kept = line.split_whitespace().map(|name| format!("+{}", name.strip_prefix("CAP_").unwrap().to_lowercase()));
    std::iter::once("-all".to_owned()).chain(kept).collect::<Vec<_>>().join(",")
}

/// What puts a program where the unit puts it: without other rights, and seeing the host's mounts through a mount
/// namespace of its own.
fn confined(unit: &str) -> Vec<String> {
    let bounding = format!("--bounding-set={}", bounding_set(unit));
    ["unshare", "--mount", "--propagation=slave", "setpriv", &bounding, "--inh-caps=-all", "--no-new-privs"]
        .map(str::to_owned)
        .to_vec()
}

#[test]
fn the_units_rights_suffice_and_traffic_outlives_its_mount_namespace() {
    let lab = Lab::new().unwrap();
    // As the mount unit does it, in the namespace of the tests.
    let pins = lab.daemon.maps();
    fs::create_dir_all(&pins).unwrap();
    mount(Some("bpffs"), &pins, Some("bpf"), MsFlags::empty(), Some("mode=0700")).unwrap();
    mount(None::<&str>, &pins, None::<&str>, MsFlags::MS_SHARED, None::<&str>).unwrap();
    let by = confined("eipgate.service");
    lab.daemon.start(Settings { under: by.clone(), ..Settings::default() }).unwrap();
    let web = lab.instance("web", A).unwrap();
    let _echo = Server::udp_echo(&lab.a, 7).unwrap();
    udp_exchange(&lab.internet, at(web, 7), b"confined").unwrap();
    assert_eq!(lab.daemon.json(&["status"]).unwrap()["degraded"], false, "{}", lab.daemon.log());
    lab.daemon.kill().unwrap();
    udp_exchange(&lab.internet, at(web, 7), b"dead").unwrap();
    lab.daemon.restart().unwrap();
    udp_exchange(&lab.internet, at(web, 7), b"again").unwrap();
    lab.daemon.terminate().unwrap();
    lab.daemon.detach().unwrap();

    // Where nobody mounted it before, it would die with the daemon, and that is refused.
    let refused = lab.daemon.refuse(&Settings { under: by, ..Settings::default() }).unwrap();
    assert!(refused.stderr.contains("private mount namespace"), "{refused}");
    lab.finish().unwrap();
}

#[test]
fn the_guard_unit_has_the_rights_it_needs() {
    let lab = Lab::new().unwrap();
    let program = binary();
    let words = [program.as_str(), "guard", "--uplink", "up0", "--downlink", "down0", "--pool", "203.0.113.0/28"];
    let by = confined("eipgate-guard.service");
    let by: Vec<&str> = by.iter().map(String::as_str).collect();
    lab.gateway.tell(&[&by[..], &words].concat()).unwrap();
    assert!(lab.gateway.tell(&["nft", "list", "ruleset"]).unwrap().contains("table inet eipgate"));
    lab.finish().unwrap();
}

/// What a daemon tells systemd, message by message.
struct Told(UnixDatagram);

impl Told {
    fn bytes(&self) -> Vec<u8> {
        let mut message = [0; 4096];
        let length = self.0.recv(&mut message).expect("systemd is told something");
        message[..length].to_vec()
    }

    fn next(&self) -> String {
        String::from_utf8(self.bytes()).unwrap()
    }

    /// The next message that is no heartbeat.
    fn news(&self) -> String {
        std::iter::repeat_with(|| self.next()).find(|message| !message.contains("WATCHDOG=1")).unwrap()
    }
}

#[test]
fn systemd_is_told_of_start_reload_and_pulse() {
    let lab = Lab::new().unwrap();
    let socket = lab.directory.join("notify");
    let told = Told(UnixDatagram::bind(&socket).unwrap());
    told.0.set_read_timeout(Some(SOON)).unwrap();
    let config = lab.directory.join("eipgate.toml");
    fs::write(&config, "icmp_error_burst = 7\n").unwrap();
    let notify = format!("NOTIFY_SOCKET={}", socket.display());
    let by = ["env", &notify, "WATCHDOG_USEC=200000"].map(str::to_owned).to_vec();
    let more = vec!["--config".into(), config.display().to_string()];
    lab.daemon.start(Settings { under: by, more, ..Settings::default() }).unwrap();
    assert_eq!(told.news(), "READY=1\nSTATUS=serving\n");
    assert_eq!(told.next(), "WATCHDOG=1\n");

    let hang_up = || kill(Pid::from_raw(lab.daemon.pid().unwrap()), Signal::SIGHUP).unwrap();
    fs::write(&config, "icmp_error_burst = 8\nmax_pairs = 100\n").unwrap();
    hang_up();
    let reloading = told.news();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    let sentence = "in effect: icmp_error_burst; waiting for a restart, which stops no traffic: max_pairs";
    assert_eq!(told.news(), format!("READY=1\nSTATUS=serving; configuration read again: {sentence}\n"));
    let status = lab.daemon.json(&["status"]).unwrap();
    assert_eq!(status["notes"][0], "waiting for a restart, which stops no traffic: max_pairs");

    fs::write(&config, "icmp_error_burst = 9\nicmp_eror_burst = 9\n").unwrap();
    hang_up();
    assert!(told.news().starts_with("RELOADING=1\n"));
    let kept = told.news();
    let why = "eipgate.toml:2: there is no setting \"icmp_eror_burst\"; did you mean \"icmp_error_burst\"?";
    assert!(kept.starts_with("READY=1\nSTATUS=serving; the configuration in effect is kept: "), "{kept}");
    assert!(kept.contains(why), "{kept}");
    // Asked by the command line, the one who asks is told.
    let refused = lab.daemon.cli(&["config", "reload"]).unwrap();
    assert!(refused.code() == 1 && refused.stderr.contains(why), "{refused}");
    fs::write(&config, "icmp_error_burst = 8\n").unwrap();
    let reloaded = lab.daemon.json(&["config", "reload"]).unwrap();
    let nothing = json!({"in_effect": [], "waiting_for_restart": [], "message": "nothing is different"});
    assert_eq!(reloaded, nothing);
    lab.daemon.terminate().unwrap();
    assert_eq!(told.news(), "STOPPING=1\n");
    lab.finish().unwrap();
}

#[test]
fn a_reload_is_in_effect_on_the_next_packet() {
    let lab = Lab::new().unwrap();
    let config = lab.directory.join("eipgate.toml");
    fs::write(&config, "").unwrap();
    let more = vec!["--config".into(), config.display().to_string()];
    lab.daemon.start(Settings { more, ..Settings::default() }).unwrap();
    crate::scene::populate(&lab);
    let router = Sender::router(&lab);
    let probe = Packet::new([10, 250, 0, 9].into(), WEB).udp(9, 9, b"path MTU");
    let count = |verdict: &str| lab.verdicts(verdict).unwrap();
    let sends = |verdict: &str| {
        let before = count(verdict);
        router.send(&probe);
        wait::until(verdict, SOON, || (count(verdict) > before).then_some(())).unwrap();
    };
    sends("martian-source");
    fs::write(&config, "martian_exceptions = [\"10.250.0.0/16\"]\n").unwrap();
    let reloaded = lab.daemon.tell(&["config", "reload"]).unwrap();
    assert_eq!(reloaded.trim(), "in effect: martian_exceptions");
    sends("inbound");
    fs::write(&config, "").unwrap();
    lab.daemon.tell(&["config", "reload"]).unwrap();
    sends("martian-source");
    lab.finish().unwrap();
}

#[test]
fn the_journal_gets_fields_where_systemd_connected_it() {
    let directory = tempfile::tempdir().unwrap();
    let journal = directory.path().join("socket");
    let told = Told(UnixDatagram::bind(&journal).unwrap());
    told.0.set_read_timeout(Some(SOON)).unwrap();
    // The journal's socket is at a fixed place, so the daemon gets a /run of its own; it never comes to serve.
    let script = format!(
        "mount -t tmpfs run /run && mkdir -p /run/systemd/journal && mount --bind {0} /run/systemd/journal &&
         JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec {1} run --uplink no0 --downlink no1 \
         --state-dir {0}/state --bpf-dir {0}/bpf --socket {0}/admin",
        directory.path().display(),
        binary()
    );
    let mut command = std::process::Command::new("unshare");
    command.args(["--mount", "--net", "sh", "-c", &script]);
    let ended = lab::lab::Process::start("eipgate run", command).unwrap().finish(SOON).unwrap();
    assert!(ended.stderr.contains("none of the interfaces no0, no1 exists"), "{ended}");
    assert!(!ended.stderr.contains("nftables and conntrack"), "the log went to standard error: {ended}");
    // The journal is greeted with a message of nothing.
    let entry = std::iter::repeat_with(|| told.bytes()).find(|message| !message.is_empty()).unwrap();
    let fields = journal_fields(&entry);
    assert_eq!((fields["PRIORITY"].as_str(), fields["SYSLOG_IDENTIFIER"].as_str()), ("5", "eipgate"), "{fields:?}");
    assert!(fields["MESSAGE"].contains("nftables and conntrack"), "{fields:?}");
}

/// The fields of an entry in the journal's own format: `NAME=value`, or a name, the value's length and the value.
fn journal_fields(mut entry: &[u8]) -> BTreeMap<String, String> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut fields = BTreeMap::new();
    while !entry.is_empty() {
        let end = entry.iter().position(|byte| *byte == b'\n').unwrap();
        let (line, rest) = (&entry[..end], &entry[end + 1..]);
        if let Some(sign) = line.iter().position(|byte| *byte == b'=') {
            fields.insert(text(&line[..sign]), text(&line[sign + 1..]));
            entry = rest;
        } else {
            let (length, rest) = rest.split_first_chunk().unwrap();
            let (value, rest) = rest.split_at(u64::from_le_bytes(*length) as usize);
            fields.insert(text(line), text(value));
            entry = &rest[1..];
        }
    }
    fields
}

#[test]
fn the_log_can_be_objects() {
    let lab = scene();
    lab.daemon.terminate().unwrap();
    let config = lab.directory.join("eipgate.toml");
    fs::write(&config, "log_format = \"json\"\n").unwrap();
    let more = vec!["--config".into(), config.display().to_string()];
    lab.daemon.start(Settings { more, ..Settings::default() }).unwrap();
    let lines: Vec<serde_json::Value> =
        lab.daemon.log().lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert!(lines.iter().any(|line| line["message"] == "serving" && line["level"] == "INFO"), "{lines:?}");
    lab.finish().unwrap();
}
