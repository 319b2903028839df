//! A gateway between two peers, each in a namespace of its own; the test brings the links between them.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use lab::lab::daemon::text;
use lab::lab::leak::Watchfulness;
use lab::lab::remains::{Remains, Undo, home};
use lab::lab::{Capture, Daemon, Namespace, Settings, capture};

/// The peer outside, on the link to the gateway.
pub const OUTSIDE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// The instance inside.
pub const INSTANCE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 11);
/// Its public address.
pub const WEB: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);

pub struct Site {
    pub gateway: Namespace,
    pub outside: Namespace,
    pub inside: Namespace,
    pub daemon: Daemon,
    directory: PathBuf,
    captures: Vec<Capture>,
    undo: Undo,
}

impl Site {
    /// Three namespaces without any link.
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        assert!(
            std::env::var_os("EIPGATE_BOOTED").is_some(),
            "these tests take interfaces from the host: `cargo xtask test --vm` runs them in a machine of their own"
        );
        let name = format!("eg-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let directory: PathBuf = home().join(&name);
        let host = |host: &str| Namespace::named(format!("{name}-{host}"));
        let [gateway, outside, inside] = ["gateway", "outside", "inside"].map(host);
        let undo = Undo::default();
        undo.make(|remains| {
            let namespaces = [&gateway, &outside, &inside].map(|namespace| namespace.name.clone()).to_vec();
            *remains = Remains { name: name.clone(), namespaces, directory: directory.clone(), ..Remains::default() };
            fs::create_dir(&directory)?;
            let lines = remains.namespaces.iter().map(|name| format!("netns add {name}\n")).collect::<String>();
            lab::lab::namespace::ip_batch(&[], &lines)
        })
        .unwrap();
        let daemon = Daemon::new(&gateway, &directory, &undo);
        Self { gateway, outside, inside, daemon, directory, captures: Vec::new(), undo }
    }

    /// A veth pair between the gateway and a peer, both ends down, as the lab's are set up.
    pub fn join(&self, gate: &str, peer: &Namespace) {
        // Made from inside: older kernels refuse a name that is taken where the command is run.
        self.gateway.ip(&format!("link add {gate} type veth peer name eth0 netns {}\n", peer.name)).unwrap();
        for (namespace, interface) in [(&self.gateway, gate), (peer, "eth0")] {
            namespace.features(interface, &["tx", "off", "tso", "off", "gso", "off", "gro", "on"]).unwrap();
            namespace.ip(&format!("link set {interface} gro_max_size 1\n")).unwrap();
        }
    }

    /// Addresses and routes, on these interfaces of the gateway, the peer outside and the instance.
    pub fn address(&self, up: &str, down: &str, outside: &str, inside: &str) {
        let gateway = format!(
            "addr add 198.51.100.2/24 dev {up}\naddr add 10.0.0.1/24 dev {down}\nroute add default via {OUTSIDE}\n"
        );
        self.gateway.ip(&gateway).unwrap();
        let outside = format!("addr add {OUTSIDE}/24 dev {outside}\nroute add 203.0.113.0/28 via 198.51.100.2\n");
        self.outside.ip(&outside).unwrap();
        self.inside.ip(&format!("addr add {INSTANCE}/24 dev {inside}\nroute add default via 10.0.0.1\n")).unwrap();
    }

    /// Looks at everything that passes a peer's interface, from now on; `addresses` where private ones are leaks.
    pub fn watch(&mut self, peer: &Namespace, addresses: bool) -> &Capture {
        let watchfulness = Watchfulness { addresses, checksums: true };
        self.captures.push(Capture::start(&peer.name, peer, "eth0", watchfulness).unwrap());
        self.captures.last().expect("one was pushed")
    }

    /// Starts the daemon on these links.
    pub fn serve(&self, uplink: &str, downlinks: &[&str]) {
        self.serve_with(uplink, downlinks, "");
    }

    /// The same with these lines of configuration.
    pub fn serve_with(&self, uplink: &str, downlinks: &[&str], lines: &str) {
        let config = self.directory.join("eipgate.toml");
        fs::write(&config, lines).unwrap();
        let more = vec!["--config".into(), config.display().to_string()];
        let downlinks = downlinks.iter().map(|link| (*link).to_owned()).collect();
        let (uplinks, pools) = (vec![uplink.into()], vec!["203.0.113.0/28".into()]);
        self.daemon.start(Settings { uplinks, downlinks, pools, more, ..Settings::default() }).unwrap();
    }

    /// An instance with that EIP.
    pub fn bind(&self, name: &str, private: Ipv4Addr, vpc: &str, public: Ipv4Addr) {
        let (private, public) = (private.to_string(), public.to_string());
        let create = ["instance", "create", "--private-ip", &private, "--name", name, "--bandwidth", "0", "--vpc", vpc];
        self.daemon.tell(&create).unwrap();
        let eip = self.daemon.json(&["eip", "allocate", "--address", &public]).unwrap();
        self.daemon.tell(&["eip", "bind", &text(&eip, "id").unwrap(), name]).unwrap();
    }

    /// How often the program has come to a verdict.
    pub fn verdicts(&self, name: &str) -> u64 {
        let counters = self.daemon.map(&["counters"]).unwrap();
        let row = counters["verdicts"].as_array().into_iter().flatten().find(|row| row["verdict"] == name);
        row.and_then(|row| row["packets"].as_u64()).unwrap_or_else(|| panic!("no counter {name} in {counters}"))
    }

    /// Takes it down and fails where a capture has seen what it should not have.
    pub fn finish(mut self) {
        for capture in &mut self.captures {
            capture.finish().unwrap();
        }
        capture::verdict(&self.captures).unwrap();
        self.daemon.kill().unwrap();
        self.undo.take().expect("it stands").remove().unwrap();
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the daemon's log:\n{}", self.daemon.log());
        }
        if let Some(remains) = self.undo.take() {
            if self.daemon.is_running() {
                let _ = self.daemon.kill();
            }
            let _ = remains.remove();
        }
    }
}
