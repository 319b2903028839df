//! The lab: network namespaces on veth pairs that play the Internet, a router, the gateway and its instances, with
//! the real daemon in the middle and captures that fail a test on any private address outside.
//!
//! ```no_run
//! use lab::lab::{A, Lab, Settings};
//!
//! let lab = Lab::new().unwrap();
//! lab.daemon.start(Settings::default()).unwrap();
//! let public = lab.instance("web", A).unwrap();
//! lab.internet.tell(&["ping", "-c1", &public.to_string()]).unwrap();
//! ```
//!
//! A lab is removed when it is dropped, and says then whether anything leaked while it stood.

pub mod capture;
pub mod daemon;
pub mod edges;
pub mod instance;
pub mod interrupt;
pub mod kernel_nat;
pub mod leak;
pub mod namespace;
pub mod process;
pub mod remains;
pub mod server;
mod settle;
pub mod standing;
pub mod topology;
pub mod wait;
pub mod wire;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, Once};
use std::{process as own_process, thread};

use anyhow::{Context as _, Result};

pub use capture::{Capture, Counts, Watch};
pub use daemon::{Daemon, Settings};
pub use namespace::{Namespace, at};
pub use process::{Finished, Process};
pub use topology::{
    A, B, C, D, GATEWAY, INSIDE, INTERNET, Link, ON_LINK_POOL, ROUTED_POOL, ROUTER, SECOND_UPSTREAM, UPSTREAM,
};
pub use wait::SOON;
pub use wire::{Direction, Seen, Wire};

use leak::{Leak, Watchfulness};
use remains::{Remains, Undo};
use topology::Topology;
use wait::locked;

const OUTSIDE: Watchfulness = Watchfulness { addresses: true, checksums: true };
const END: Watchfulness = Watchfulness { addresses: false, checksums: true };

/// A standing lab. See [`topology`] for its picture.
pub struct Lab {
    pub name: String,
    pub internet: Namespace,
    pub router: Namespace,
    pub gateway: Namespace,
    pub switch: Namespace,
    pub a: Namespace,
    pub b: Namespace,
    pub c: Namespace,
    /// The instance in the second VPC, where the lab has one.
    pub d: Namespace,
    /// The router of the second uplink, where the lab has one.
    pub second: Namespace,
    pub daemon: Daemon,
    /// Sockets, state, logs and the bpffs.
    pub directory: PathBuf,
    /// What the Internet host's interface sees.
    pub at_internet: Capture,
    /// What the router's interface towards the gateway sees.
    pub at_router: Capture,
    pub at_a: Capture,
    pub at_b: Capture,
    pub at_c: Capture,
    /// Captures on interfaces that were made later.
    later: Mutex<Vec<Capture>>,
    topology: Topology,
    undo: Undo,
}

/// Makes labs that differ from the usual one.
pub struct Builder {
    name: Option<String>,
    topology: Topology,
    undo: Undo,
}

impl Builder {
    pub fn mtu(mut self, link: Link, mtu: u32) -> Self {
        self.topology.mtu.push((link, mtu));
        self
    }

    /// The same MTU on every link.
    pub fn mtu_everywhere(self, mtu: u32) -> Self {
        [Link::Internet, Link::Transit, Link::Downlink, Link::Instances]
            .into_iter()
            .fold(self, |it, link| it.mtu(link, mtu))
    }

    /// A second downlink `down1` with the instance `d`, numbered exactly like the first.
    pub fn second_vpc(mut self) -> Self {
        self.topology.second_vpc = true;
        self
    }

    /// A second uplink `up1` to the router `second`, which has another way to the Internet host.
    pub fn second_uplink(mut self) -> Self {
        self.topology.second_uplink = true;
        self
    }

    /// A name that says nothing of this process, for a lab that outlives it.
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Notes what is made where a signal can find it.
    pub fn undone_by(mut self, undo: &Undo) -> Self {
        self.undo = undo.clone();
        self
    }

    pub fn build(self) -> Result<Lab> {
        static SWEPT: Once = Once::new();
        static NEXT: AtomicU32 = AtomicU32::new(0);
        SWEPT.call_once(|| {
            if let Err(error) = remains::sweep() {
                eprintln!("lab: cannot remove what a killed run left: {error:#}");
            }
        });
        let number = || NEXT.fetch_add(1, Ordering::Relaxed);
        let name = self.name.clone().unwrap_or_else(|| format!("eg-{}-{}", own_process::id(), number()));
        self.make(&name).inspect_err(|_| {
            if let Some(remains) = self.undo.take() {
                let _ = remains.remove();
            }
        })
    }

    fn make(&self, name: &str) -> Result<Lab> {
        let directory = remains::home().join(name);
        let host = |host: &str| Namespace::named(format!("{name}-{host}"));
        self.undo.make(|remains| {
            *remains = Remains {
                name: name.to_owned(),
                namespaces: self.topology.hosts().into_iter().map(|name| host(name).name).collect(),
                directory: directory.clone(),
                ..Remains::default()
            };
            fs::create_dir(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
            self.topology.make(name)
        })?;
        let capture = |place: &str, interface: &str, watchfulness| {
            Capture::start(&format!("{place} ({interface})"), &host(place), interface, watchfulness)
        };
        let gateway = host("gateway");
        let lab = Lab {
            daemon: Daemon::new(&gateway, &directory, &self.undo),
            at_internet: capture("internet", "eth0", OUTSIDE)?,
            at_router: capture("router", "gate0", OUTSIDE)?,
            at_a: capture("a", "eth0", END)?,
            at_b: capture("b", "eth0", END)?,
            at_c: capture("c", "eth0", END)?,
            internet: host("internet"),
            router: host("router"),
            gateway,
            switch: host("switch"),
            a: host("a"),
            b: host("b"),
            c: host("c"),
            d: host("d"),
            second: host("second"),
            name: name.to_owned(),
            directory,
            later: Mutex::default(),
            topology: self.topology.clone(),
            undo: self.undo.clone(),
        };
        // Nothing has been up until now, so the captures miss nothing.
        lab.topology.bring_up(name)?;
        lab.router.sysctl("net.ipv4.ip_forward", "1")?;
        if lab.topology.second_uplink {
            lab.second.sysctl("net.ipv4.ip_forward", "1")?;
            // What comes from an address that the other router leads to is no stranger.
            for (host, interface) in
                [(&lab.second, "gate0"), (&lab.second, "all"), (&lab.internet, "eth1"), (&lab.internet, "all")]
            {
                host.sysctl(&format!("net.ipv4.conf.{interface}.rp_filter"), "0")?;
            }
        }
        Ok(lab)
    }
}

impl Lab {
    pub fn new() -> Result<Self> {
        Self::builder().build()
    }

    /// The usual lab with the daemon serving.
    pub fn serving() -> Result<Self> {
        let lab = Self::new()?;
        lab.daemon.start(Settings::default())?;
        Ok(lab)
    }

    pub fn builder() -> Builder {
        let topology = Topology { mtu: Vec::new(), second_vpc: false, second_uplink: false };
        Builder { name: None, topology, undo: Undo::default() }
    }

    /// From now on packets with wrong checksums arrive as they were sent, which is right.
    pub fn allow_wrong_checksums(&self) {
        for capture in self.captures() {
            capture.wrong_checksums_allowed.store(true, Ordering::SeqCst);
        }
    }

    fn captures(&self) -> [&Capture; 5] {
        [&self.at_internet, &self.at_router, &self.at_a, &self.at_b, &self.at_c]
    }

    /// Everything seen so far that should not have been, on the Internet's side and in checksums anywhere.
    pub fn leaks(&self) -> Vec<Leak> {
        let later = locked(&self.later);
        self.captures().into_iter().chain(&*later).flat_map(Capture::leaks).collect()
    }

    /// How many frames have been looked at on the Internet's side: by the Internet host and by the router.
    pub fn looked_at(&self) -> [Counts; 2] {
        [self.at_internet.counts(), self.at_router.counts()]
    }

    /// Deletes the link between router and gateway and makes it anew, as when a NIC is replaced: new interfaces of the
    /// same names, up, with their addresses and routes. Watched from its first frame on.
    pub fn replace_transit(&self) -> Result<()> {
        if self.gateway.has_interface("up0") {
            self.remove_transit()?;
        }
        self.topology.make_transit(&self.name)?;
        locked(&self.later).push(Capture::start("router (gate0 made anew)", &self.router, "gate0", OUTSIDE)?);
        self.router
            .ip("link set gate0 up\naddr add 198.51.100.1/24 dev gate0\nroute add 203.0.113.0/28 via 198.51.100.2\n")?;
        self.gateway.ip("link set up0 up\naddr add 198.51.100.2/24 dev up0\nroute add default via 198.51.100.1\n")
    }

    pub fn remove_transit(&self) -> Result<()> {
        self.gateway.ip("link del up0\n")
    }

    /// Leaves the lab standing and returns what there is to remove later.
    pub fn leave(self) -> Option<Remains> {
        self.daemon.release();
        self.undo.take()
    }

    /// Takes the lab down and says whether it went well: nothing leaked, and everything is gone.
    pub fn finish(mut self) -> Result<()> {
        self.take_down()
    }

    fn take_down(&mut self) -> Result<()> {
        if !self.undo.is_standing() {
            return Ok(());
        }
        // Where a test has taken links away, what was on its way cannot arrive.
        let _ = self.settle();
        if self.daemon.is_running() {
            self.daemon.kill()?;
        }
        let Some(mut remains) = self.undo.take() else { return Ok(()) };
        let detached = self.detach(&mut remains);
        for capture in [&mut self.at_internet, &mut self.at_router, &mut self.at_a, &mut self.at_b, &mut self.at_c] {
            capture.finish()?;
        }
        let mut later = locked(&self.later);
        for capture in &mut *later {
            capture.finish()?;
        }
        let verdict = capture::verdict(self.captures().into_iter().chain(&*later));
        // The reason of a failure is in the log, which is about to go.
        let log = self.daemon.log();
        let removed = remains.remove();
        let verdict = verdict.and(detached).and(removed);
        if log.is_empty() { verdict } else { verdict.with_context(|| format!("The daemon's log:\n{log}")) }
    }

    /// Done while the captures still run: detaching must not leak either.
    fn detach(&self, remains: &mut Remains) -> Result<()> {
        let Some((namespace, words)) = remains.detach.take() else { return Ok(()) };
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let finished = Namespace::named(namespace).output(&words, SOON)?;
        anyhow::ensure!(finished.success(), "{finished}");
        Ok(())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let result = self.take_down();
        if let Err(error) = result {
            if thread::panicking() {
                eprintln!("lab {}: {error:#}", self.name);
            } else {
                panic!("lab {}: {error:#}", self.name);
            }
        }
    }
}
