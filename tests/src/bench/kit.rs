//! The benchmark's own programs, loaded: generator, sink and the gateways to compare with.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context as _, Result, bail};
use aya::maps::{Array, HashMap, Map, MapData, PerCpuArray, ProgramArray, RingBuf};
use aya::programs::xdp::{XdpLinkId, XdpMode};
use aya::programs::{ProgramFd, Xdp};
use aya::{Ebpf, EbpfLoader};

use super::site::Port;
use super::wires::{self, Stream, Watch, Way};

/// The compiled programs.
const OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/bench"));

/// Loaded programs with maps of their own.
pub struct Kit {
    bpf: Ebpf,
}

/// What the sink saw of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting(pub Vec<u8>);

impl Kit {
    /// Loads generator and sink.
    pub fn load() -> Result<Self> {
        Self::load_with(EbpfLoader::new().map_max_entries("PAIRS", 1))
    }

    /// Loads gateways with constant ways, whose hash map has room for so many pairs.
    pub fn load_gateway(uplink: u32, [inwards, outwards]: [Way; 2], pairs: u32) -> Result<Self> {
        let mut loader = EbpfLoader::new();
        loader.override_global("UPLINK", &uplink, true);
        loader.override_global("INWARDS", &inwards, true).override_global("OUTWARDS", &outwards, true);
        // Its own generator and sink stay unused.
        loader.map_max_entries("FRAMES", 4096).map_max_entries("PAIRS", pairs.max(1));
        Self::load_with(&mut loader)
    }

    fn load_with(loader: &mut EbpfLoader<'_>) -> Result<Self> {
        Ok(Self { bpf: loader.load(OBJECT).context("the benchmark's programs do not load")? })
    }

    /// A program, verified by the kernel.
    pub fn program(&mut self, name: &str) -> Result<&mut Xdp> {
        let program = self.bpf.program_mut(name).with_context(|| format!("no program {name}"))?;
        let program: &mut Xdp = program.try_into()?;
        if program.fd().is_err() {
            program.load().with_context(|| format!("the kernel refuses the program {name}"))?;
        }
        Ok(program)
    }

    /// Puts a program on an interface, in the driver, until this value is dropped.
    pub fn attach(&mut self, name: &str, port: &Port) -> Result<XdpLinkId> {
        let program = self.program(name)?;
        // Interfaces are found in the namespace of the thread that asks.
        let attached = port.namespace.run(|| program.attach(port.name, XdpMode::Driver));
        attached.with_context(|| format!("cannot attach {name} to {} of {}", port.name, port.namespace.name))
    }

    /// Takes a program off an interface again.
    pub fn detach(&mut self, name: &str, link: XdpLinkId) -> Result<()> {
        self.program(name)?.detach(link).with_context(|| format!("cannot detach {name}"))
    }

    /// Tells the generator what to make.
    pub fn set_stream(&mut self, stream: Stream) -> Result<()> {
        self.array("STREAM")?.set(0, stream, 0).context("cannot tell the generator what to make")
    }

    /// Sets the number of the generator's next packet.
    pub fn set_position(&mut self, number: u64) -> Result<()> {
        self.array("POSITION")?.set(0, number, 0).context("cannot tell the generator where to begin")
    }

    /// The number of the generator's next packet.
    pub fn position(&mut self) -> Result<u64> {
        Ok(self.array("POSITION")?.get(&0, 0)?)
    }

    /// Tells the sink what to do beside counting.
    pub fn set_watch(&mut self, mode: u32, destination: u32) -> Result<()> {
        let watch = Watch { mode, destination, seen_at: 0 };
        self.array("WATCHED")?.set(0, watch, 0).context("cannot tell the sink what to look for")
    }

    /// When the watched destination was first seen, on the monotonic clock in nanoseconds; 0 before that.
    pub fn seen_at(&mut self) -> Result<u64> {
        let watch: Watch = self.array("WATCHED")?.get(&0, 0)?;
        Ok(watch.seen_at)
    }

    /// How many packets have arrived at sinks.
    pub fn arrived(&self) -> Result<u64> {
        let map: PerCpuArray<_, u64> = self.bpf.map("ARRIVED").context("no map ARRIVED")?.try_into()?;
        Ok(map.get(&0, 0)?.iter().sum())
    }

    /// The frames copied since this was last asked.
    pub fn sightings(&mut self) -> Result<Vec<Sighting>> {
        let map = self.bpf.map_mut("FRAMES").context("no map FRAMES")?;
        let mut ring = RingBuf::try_from(map)?;
        let mut seen = Vec::new();
        while let Some(record) = ring.next() {
            let (length, frame) = record.split_first_chunk::<4>().context("a record without a length")?;
            let length = u32::from_ne_bytes(*length) as usize;
            seen.push(Sighting(frame.get(..length).context("a record shorter than it says")?.to_vec()));
        }
        Ok(seen)
    }

    /// How many frames of a length the sink can copy before they are read.
    pub fn room(length: u32) -> u32 {
        let record = if length as usize <= wires::SHORT { wires::SHORT } else { wires::LONG };
        // Half of the ring, and a header for each record.
        (8 << 20) / (record as u32 + 16)
    }

    /// The pairs of the reference gateway, as its frames carry them.
    pub fn pairs(&mut self) -> Result<HashMap<&mut MapData, u32, u32>> {
        Ok(self.bpf.map_mut("PAIRS").context("no map PAIRS")?.try_into()?)
    }

    /// The pairs of the reference gateway, for a thread of their own; nothing else can be done with them here after.
    pub fn take_pairs(&mut self) -> Result<HashMap<MapData, u32, u32>> {
        Ok(self.bpf.take_map("PAIRS").context("the pairs are taken already")?.try_into()?)
    }

    /// Has `call` hand its frames to this program.
    pub fn set_gateway(&mut self, program: &ProgramFd) -> Result<()> {
        let map = self.bpf.map_mut("GATEWAY").context("no map GATEWAY")?;
        ProgramArray::try_from(map)?.set(0, program, 0).context("the program cannot be called by another")
    }

    /// Handles of generator and sink for a thread beside the one in which the generator runs.
    pub fn remote(&self) -> Result<Remote> {
        Ok(Remote { stream: self.second("STREAM")?, watched: self.second("WATCHED")? })
    }

    fn second<V: aya::Pod>(&self, name: &str) -> Result<Array<MapData, V>> {
        let Map::Array(map) = self.bpf.map(name).with_context(|| format!("no map {name}"))? else {
            bail!("the map {name} is no array");
        };
        Ok(Map::Array(MapData::from_id(map.info()?.id())?).try_into()?)
    }

    fn array<V: aya::Pod>(&mut self, name: &str) -> Result<Array<&mut MapData, V>> {
        Ok(self.bpf.map_mut(name).with_context(|| format!("no map {name}"))?.try_into()?)
    }
}

/// Generator and sink while they run.
pub struct Remote {
    stream: Array<MapData, Stream>,
    watched: Array<MapData, Watch>,
}

impl Remote {
    /// Tells the generator what to make from now on.
    pub fn set_stream(&mut self, stream: Stream) -> Result<()> {
        self.stream.set(0, stream, 0).context("cannot tell the generator what to make")
    }

    /// Tells the sink what to do from now on.
    pub fn set_watch(&mut self, mode: u32, destination: u32) -> Result<()> {
        let watch = Watch { mode, destination, seen_at: 0 };
        self.watched.set(0, watch, 0).context("cannot tell the sink what to look for")
    }

    /// When the watched destination was first seen, as soon as it was; `None` where it is over before.
    pub fn wait_to_see(&mut self, over: &AtomicBool) -> Result<Option<u64>> {
        while !over.load(Ordering::Relaxed) {
            let watch = self.watched.get(&0, 0)?;
            if watch.seen_at != 0 {
                return Ok(Some(watch.seen_at));
            }
        }
        Ok(None)
    }
}

/// Programs that are attached die with their kit, in any thread.
const _: () = {
    const fn is_send<T: Send>() {}
    is_send::<Kit>();
};

/// How many CPUs there are to use, as found when this was first asked: before the asking thread was bound to one.
pub fn cpus() -> usize {
    static CPUS: OnceLock<usize> = OnceLock::new();
    *CPUS.get_or_init(|| thread::available_parallelism().map_or(1, usize::from))
}
