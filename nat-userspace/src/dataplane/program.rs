//! The XDP program in the kernel: load it over the pinned maps, put it on interfaces, take over what is there.

use std::collections::BTreeMap;
use std::os::fd::AsFd as _;

use anyhow::{Context as _, Result, bail};
use aya::programs::links::FdLink;
use aya::programs::{Xdp, XdpMode};
use aya::{Ebpf, EbpfLoader};
use nat_common::abi::MAP_NAMES;

use super::attachment::{Attachment, NAME, program_of};
use super::limits::{Limits, cpus};
use super::network::{AttachMode, Interface};
use super::pins::Pins;
use super::plan::{Mode, ProgramLog};

/// The compiled program; the build script puts it there.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/nat-ebpf"));

/// The loaded program and the links that hold it on interfaces.
pub struct Program {
    ebpf: Ebpf,
    pins: Pins,
    mode: Mode,
    links: BTreeMap<u32, Attachment>,
    id: u32,
}

impl Program {
    /// Loads the program over the pinned maps, which are made where they are missing.
    pub fn load(pins: &Pins, limits: Limits, mode: Mode, log: ProgramLog, taking_over: bool) -> Result<Program> {
        pins.check_layout()?;
        let level: u8 = match log {
            ProgramLog::Off => 0,
            ProgramLog::Error => 1,
            ProgramLog::Warn => 2,
            ProgramLog::Info => 3,
            ProgramLog::Debug => 4,
            ProgramLog::Trace => 5,
        };
        let constants =
            Constants { log_level: level, slot_bits: limits.slot_bits(), counters_per_cpu: limits.counters_per_cpu() };
        let mut loader = loader(limits, taking_over, &constants)?;
        for name in MAP_NAMES {
            loader.map_pin_path(name, pins.map(name));
        }
        let mut ebpf = load(loader)?;
        let id = xdp(&mut ebpf)?.info()?.id();
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
        if let Some(pinned) = self.pins.links().get(&interface.index) {
            let mut attachment = Attachment::open(pinned)?;
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
            match attachment.ifindex {
                Some(ifindex) if ifindex == interface.index => {
                    attachment
                        .swap(program.fd()?.as_fd())
                        .with_context(|| format!("swapping the program on interface {}", interface.name))?;
                    // From an earlier layout's directory, where it was found until now.
                    attachment.move_to(&path)?;
                    self.links.insert(interface.index, attachment);
                    return Ok(());
                }
                Some(other) => bail!(
                    "{} is the link on interface {other}, so somebody has moved it; run `eipgate detach`, which stops \
                     traffic, and start again",
                    pinned.display()
                ),
                // That interface is gone, and another one has its index.
                None => attachment.remove()?,
            }
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
        drop(link.pin(&path).with_context(|| format!("pinning {}", path.display()))?);
        self.links.insert(interface.index, Attachment::open(&path)?);
        Ok(())
    }

    /// Whether somebody has ended the link on an interface, which holds nothing from then on.
    pub fn was_taken_off(&self, ifindex: u32) -> bool {
        self.links.get(&ifindex).is_some_and(|link| link.holds().is_ok_and(|holds| !holds))
    }

    /// Forgets an interface that is gone, or whose link is ended, with its pin.
    pub fn forget(&mut self, ifindex: u32) {
        if let Some(link) = self.links.remove(&ifindex)
            && let Err(error) = link.remove()
        {
            tracing::warn!("the pin of the link on interface {ifindex} could not be removed: {error}");
        }
    }

    /// Detaches from every interface that is not in `keep`; returns those it left.
    pub fn sweep(&mut self, keep: impl Fn(u32) -> bool) -> Vec<u32> {
        let strays = self.pins.links().into_iter().filter(|(ifindex, _)| !keep(*ifindex));
        let swept = strays.map(|(ifindex, path)| {
            self.links.remove(&ifindex);
            if let Err(error) = Attachment::open(&path).and_then(Attachment::remove) {
                tracing::warn!("the link of an interface that is not configured stays: {error:#}");
            }
            ifindex
        });
        swept.collect()
    }
}

/// Loads the program once more over the pinned maps, which must all be there, but for those in `own`, which it gets for
/// itself. It counts no addresses.
pub fn load_beside(pins: &Pins, limits: Limits, own: &[&str]) -> Result<Ebpf> {
    let constants = Constants { log_level: 0, slot_bits: limits.slot_bits(), counters_per_cpu: 0 };
    let mut loader = loader(limits, false, &constants)?;
    loader.map_max_entries("COUNTERS", 1);
    for name in MAP_NAMES.iter().filter(|name| !own.contains(name)) {
        loader.map_pin_path(name, pins.map(name));
    }
    load(loader)
}

/// What the verifier knows of one load.
struct Constants {
    log_level: u8,
    slot_bits: u32,
    counters_per_cpu: u32,
}

fn loader(limits: Limits, taking_over: bool, constants: &Constants) -> Result<EbpfLoader<'_>> {
    let mut loader = EbpfLoader::new();
    for (name, entries) in limits.map_sizes(cpus()?, taking_over)? {
        loader.map_max_entries(name, entries);
    }
    loader.override_global("AYA_LOG_LEVEL", &constants.log_level, true);
    loader.override_global("SLOT_BITS", &constants.slot_bits, true);
    loader.override_global("COUNTERS_PER_CPU", &constants.counters_per_cpu, true);
    Ok(loader)
}

fn load(mut loader: EbpfLoader<'_>) -> Result<Ebpf> {
    let mut ebpf = loader.load(OBJECT).context(
        "loading the XDP program; the kernel must be 6.1 or later, and the process needs CAP_BPF, CAP_NET_ADMIN and \
         CAP_PERFMON",
    )?;
    xdp(&mut ebpf)?.load().context("the kernel's verifier refused the XDP program")?;
    Ok(ebpf)
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

/// A loaded program's name, in words.
pub fn name_of(id: u32) -> String {
    match program_of(id).ok().flatten().as_ref().and_then(|program| program.name_as_str()) {
        Some(name) if !name.is_empty() => format!("named {name}"),
        _ => "without a name".into(),
    }
}
