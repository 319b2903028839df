//! The XDP program in the kernel: load it over the pinned maps, put it on interfaces, take over what is there.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::{Xdp, XdpMode};
use aya::{Ebpf, EbpfLoader};
use nat_common::abi::MAP_NAMES;

use super::network::{AttachMode, Interface};
use super::pins::Pins;
use super::plan::{Limits, Mode, ProgramLog};

/// The compiled program; the build script puts it there.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/nat-ebpf"));

/// Name of the program, in the object and in the kernel.
pub const NAME: &str = "eipgate";

/// The loaded program and the links that hold it on interfaces.
pub struct Program {
    ebpf: Ebpf,
    pins: Pins,
    mode: Mode,
    links: BTreeMap<u32, PinnedLink>,
    id: u32,
}

impl Program {
    /// Loads the program over the pinned maps, which are made where they are missing.
    pub fn load(pins: &Pins, limits: Limits, mode: Mode, log: ProgramLog) -> Result<Program> {
        pins.check_layout()?;
        let level: u8 = match log {
            ProgramLog::Off => 0,
            ProgramLog::Error => 1,
            ProgramLog::Warn => 2,
            ProgramLog::Info => 3,
            ProgramLog::Debug => 4,
            ProgramLog::Trace => 5,
        };
        let mut loader = EbpfLoader::new();
        loader.override_global("AYA_LOG_LEVEL", &level, true);
        loader.map_max_entries("INBOUND", limits.pairs);
        loader.map_max_entries("COUNTERS", limits.pairs);
        loader.map_max_entries("OUTBOUND", limits.instances);
        for name in MAP_NAMES {
            loader.map_pin_path(name, pins.map(name));
        }
        let mut ebpf = loader.load(OBJECT).context(
            "loading the XDP program; the kernel must be 6.1 or later, and the process needs CAP_BPF, CAP_NET_ADMIN and \
             CAP_PERFMON",
        )?;
        let program = xdp(&mut ebpf)?;
        program.load().context("the kernel's verifier refused the XDP program")?;
        let id = program.info()?.id();
        Ok(Program { ebpf, pins: pins.clone(), mode, links: BTreeMap::new(), id })
    }

    /// The program's id in the kernel.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The object, for its log.
    pub fn ebpf(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    /// Interfaces that hold this program.
    pub fn attached(&self) -> impl Iterator<Item = u32> {
        self.links.keys().copied()
    }

    /// Whether this program is on an interface.
    pub fn is_attached(&self, ifindex: u32) -> bool {
        self.links.contains_key(&ifindex)
    }

    /// Puts the program on an interface: through the pinned link of an earlier daemon where there is one, which swaps
    /// the program between two packets, else by a new link.
    pub fn attach(&mut self, interface: &Interface) -> Result<()> {
        let path = self.pins.link(interface.index);
        let program = xdp(&mut self.ebpf)?;
        if path.exists() {
            let link = PinnedLink::from_pin(&path).with_context(|| format!("opening the link {}", path.display()))?;
            if let Some((_, mode)) = interface.xdp
                && mode != wanted(self.mode)
            {
                bail!(
                    "interface {} holds the program in {} mode, and {} was asked for; run `eipgate detach` first",
                    interface.name,
                    mode.name(),
                    self.mode
                );
            }
            let id = program
                .attach_to_link(FdLink::from(link).try_into()?)
                .with_context(|| format!("swapping the program on interface {}", interface.name))?;
            // The pin stays as it was; only this process's hold on the link changed.
            drop(program.take_link(id)?);
            self.links.insert(interface.index, PinnedLink::from_pin(&path)?);
            return Ok(());
        }
        refuse_occupied(interface)?;
        let mode = match self.mode {
            Mode::Native => XdpMode::Driver,
            Mode::Generic => XdpMode::Skb,
        };
        let id = program.attach_to_if_index(interface.index, mode).map_err(|error| {
            let hint = match self.mode {
                Mode::Native => {
                    "; if its driver has no native XDP (`ethtool -i` names the driver), set --xdp-mode generic"
                }
                Mode::Generic => "",
            };
            anyhow::Error::new(error)
                .context(format!("attaching to interface {} in {} mode{hint}", interface.name, self.mode))
        })?;
        let link = program.take_link(id)?;
        let link: FdLink = link.try_into().with_context(|| {
            format!("the kernel has no bpf_link for XDP on {}; Linux 6.1 or later is needed", interface.name)
        })?;
        self.links.insert(interface.index, link.pin(&path).with_context(|| format!("pinning {}", path.display()))?);
        Ok(())
    }

    /// Forgets an interface that is gone, with its pin.
    pub fn forget(&mut self, ifindex: u32) {
        if let Some(link) = self.links.remove(&ifindex)
            && let Err(error) = link.unpin()
        {
            tracing::warn!("the pin of the link on interface {ifindex} could not be removed: {error}");
        }
    }

    /// Detaches from every interface that is not in `keep`; returns those it left.
    pub fn sweep(&mut self, keep: impl Fn(u32) -> bool) -> Vec<u32> {
        let strays: Vec<u32> = self.pins.links().into_iter().filter(|ifindex| !keep(*ifindex)).collect();
        for ifindex in &strays {
            match PinnedLink::from_pin(self.pins.link(*ifindex)) {
                Ok(link) => drop(link.unpin()),
                Err(_) => drop(std::fs::remove_file(self.pins.link(*ifindex))),
            }
            self.links.remove(ifindex);
        }
        strays
    }
}

/// The kernel's word for a mode.
pub fn wanted(mode: Mode) -> AttachMode {
    match mode {
        Mode::Native => AttachMode::Native,
        Mode::Generic => AttachMode::Generic,
    }
}

fn xdp(ebpf: &mut Ebpf) -> Result<&mut Xdp> {
    Ok(ebpf.program_mut(NAME).context("the object holds no program eipgate")?.try_into()?)
}

/// Refuses an interface that holds somebody else's program, naming it.
pub fn refuse_occupied(interface: &Interface) -> Result<()> {
    let Some((id, _)) = interface.xdp else { return Ok(()) };
    bail!(
        "interface {name} already has another XDP program (id {id}, {program}); remove it with `ip link set dev {name} \
         xdp off` or by stopping its owner",
        name = interface.name,
        program = name_of(id),
    )
}

fn name_of(id: u32) -> String {
    let program = aya::programs::loaded_programs().flatten().find(|program| program.id() == id);
    match program.as_ref().and_then(|program| program.name_as_str()) {
        Some(name) if !name.is_empty() => format!("named {name}"),
        _ => "without a name".into(),
    }
}
