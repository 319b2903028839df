//! The XDP program in the kernel, given single frames by `BPF_PROG_TEST_RUN` in a world made for it.
//!
//! [`Program::load`] makes a network namespace from a [`World`], so that the kernel's routes and neighbours answer as
//! the World's do, loads the program as the daemon does and fills its maps. Nothing is attached to an interface.

mod fill;
pub mod functions;

use std::fs::{self, File};
use std::io::Write as _;
use std::marker::PhantomData;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use aya::maps::{Array, PerCpuArray, RingBuf};
use aya::programs::{TestRun as _, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};
use nat_common::abi::{AddressCounters, Bucket, Event, HOP_ASK, HOP_READY, Hop, Settings, VerdictCounter};
use nat_common::pairs::slot_bits;
use nat_common::verdict::Verdict;
use nix::sched::{CloneFlags, setns, unshare};
use zerocopy::FromBytes as _;

use crate::reference::{Device, Entry, Neighbour, Way, World};

/// XDP action codes.
pub const XDP_DROP: u32 = 1;
pub const XDP_PASS: u32 = 2;
pub const XDP_REDIRECT: u32 = 4;

/// The largest frame the kernel gives a program in one buffer: a page less headroom and the end's bookkeeping.
pub const LINEAR: usize = 3520;
/// The largest frame there is.
const LARGEST: usize = 65_536 + 22;

/// What the program did with a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// `XDP_*`.
    pub action: u32,
    /// The frame as the program left it.
    pub frame: Vec<u8>,
    pub verdict: Verdict,
}

/// The loaded program. It belongs to the thread that loaded it, because the kernel looks up the frame's interface and
/// the routes in the namespace of the thread that asks.
pub struct Program {
    bpf: Ebpf,
    /// The verdict counters as they must be, if every frame since they were read was counted once: `None` where frames
    /// ran of which that is not known.
    counted: Option<Vec<VerdictCounter>>,
    leaving: Vec<u8>,
    /// Counter slots of each CPU.
    slots: u32,
    _namespace: Namespace,
}

impl Program {
    /// Loads the program into a new network namespace, which the calling thread is in until the program is dropped.
    ///
    /// # Panics
    /// Without root: `cargo xtask test` leaves the kernel tests out then, and says so.
    pub fn load(world: &World) -> Self {
        assert!(nix::unistd::geteuid().is_root(), "this test loads an XDP program and needs root");
        let namespace = Namespace::enter().expect("a network namespace can be made");
        build(world).expect("the kernel takes the world's interfaces, routes and neighbours");
        let slots = (world.pairs.len() as u32).max(1);
        let mut bpf = load(slots).expect("the kernel takes the program");
        fill::fill(&mut bpf, world, slot_bits(slots)).expect("the maps take the world");
        let mut program = Self { bpf, counted: None, leaving: vec![0; LARGEST], slots, _namespace: namespace };
        program.set(Settings {
            check_handover: 1,
            icmp_errors_per_second: 1_000_000_000,
            icmp_error_burst: 1_000_000_000,
            redirects_multi_buffer: 1,
            ..Settings::default()
        });
        program
    }

    /// Gives it a frame and learns the verdict from the one counter that moved.
    ///
    /// # Panics
    /// Where not exactly one verdict was counted, once (invariant 4).
    pub fn run(&mut self, ingress: u32, frame: &[u8]) -> Outcome {
        self.run_split(ingress, frame, frame.len())
    }

    /// The same with a frame of which only the first `linear` bytes lie in its first buffer.
    pub fn run_split(&mut self, ingress: u32, frame: &[u8], linear: usize) -> Outcome {
        let before = self.counters_before();
        let (action, leaving) = self.test_run(ingress, frame, linear).expect("the kernel runs the program");
        let leaving = leaving.to_vec();
        self.learn(before, action, leaving)
    }

    /// The same, and faster where the verdict is the one expected: of the other counters it is made sure later, all
    /// at once, that they have not moved.
    pub fn run_expecting(&mut self, ingress: u32, frame: &[u8], verdict: Verdict) -> Outcome {
        let mut before = self.counters_before();
        let (action, leaving) = self.test_run(ingress, frame, frame.len()).expect("the kernel runs the program");
        let leaving = leaving.to_vec();
        let counter = &mut before[verdict as usize];
        let now = self.verdict(verdict);
        if now.packets != counter.packets + 1 {
            return self.learn(before, action, leaving);
        }
        *counter = now;
        self.counted = Some(before);
        Outcome { action, frame: leaving, verdict }
    }

    /// Gives it a frame and asks no counters. The bytes are lent until the next frame.
    pub fn execute(&mut self, ingress: u32, frame: &[u8]) -> Result<(u32, &[u8])> {
        self.execute_split(ingress, frame, frame.len())
    }

    /// The same with a frame of which only the first `linear` bytes lie in its first buffer.
    pub fn execute_split(&mut self, ingress: u32, frame: &[u8], linear: usize) -> Result<(u32, &[u8])> {
        self.check_counters();
        self.test_run(ingress, frame, linear)
    }

    /// Whether the kernel lets a test shorten the first buffer of a small frame, as Linux 6.18 does.
    pub fn can_split(&mut self) -> bool {
        self.execute_split(1, &[0; 100], 60).is_ok()
    }

    fn counters_before(&mut self) -> Vec<VerdictCounter> {
        self.counted.take().unwrap_or_else(|| self.verdicts())
    }

    /// Finds the one counter that has moved.
    fn learn(&mut self, before: Vec<VerdictCounter>, action: u32, frame: Vec<u8>) -> Outcome {
        let after = self.verdicts();
        let moved: Vec<_> = Verdict::ALL
            .iter()
            .copied()
            .filter(|verdict| before[*verdict as usize] != after[*verdict as usize])
            .collect();
        let [verdict] = moved[..] else { panic!("one frame, and these verdicts counted: {moved:?}") };
        assert_eq!(after[verdict as usize].packets - before[verdict as usize].packets, 1, "{}", verdict.name());
        self.counted = Some(after);
        Outcome { action, frame, verdict }
    }

    /// Makes sure that no counter has moved but those that had to.
    fn check_counters(&mut self) {
        if let Some(counted) = self.counted.take() {
            assert_eq!(self.verdicts(), counted, "a frame had more than one verdict");
        }
    }

    fn test_run(&mut self, ingress: u32, frame: &[u8], linear: usize) -> Result<(u32, &[u8])> {
        // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex
        let mut context = [0; 24];
        context[4..8].copy_from_slice(&(linear as u32).to_ne_bytes());
        context[12..16].copy_from_slice(&ingress.to_ne_bytes());
        let program = self.bpf.program("eipgate").context("no program")?;
        let program: &Xdp = program.try_into()?;
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        options.data_out = Some(&mut self.leaving);
        options.ctx_in = Some(&context);
        let result = program.test_run(options)?;
        Ok((result.return_value, &self.leaving[..result.data_size_out as usize]))
    }

    /// The counters of all verdicts, summed over the CPUs.
    pub fn verdicts(&self) -> Vec<VerdictCounter> {
        Verdict::ALL.iter().map(|verdict| self.verdict(*verdict)).collect()
    }

    /// The counter of a verdict, summed over the CPUs.
    pub fn verdict(&self, verdict: Verdict) -> VerdictCounter {
        let map: PerCpuArray<_, VerdictCounter> =
            self.bpf.map("VERDICTS").expect("it has that map").try_into().expect("of that type");
        let values = map.get(&(verdict as u32), 0).expect("every verdict has a counter");
        values.iter().fold(VerdictCounter::default(), |a, b| VerdictCounter {
            packets: a.packets + b.packets,
            bytes: a.bytes + b.bytes,
        })
    }

    /// The counters of an address, summed over the CPUs: those of the pair of this index in the world.
    pub fn counters(&self, slot: u32) -> AddressCounters {
        let map: Array<_, AddressCounters> =
            self.bpf.map("COUNTERS").expect("it has that map").try_into().expect("of that type");
        let of_each_cpu = (slot..map.len()).step_by(self.slots as usize);
        of_each_cpu.map(|element| map.get(&element, 0).expect("there is that slot")).fold(
            AddressCounters::default(),
            |a, b| AddressCounters {
                packets_in: a.packets_in + b.packets_in,
                bytes_in: a.bytes_in + b.bytes_in,
                packets_out: a.packets_out + b.packets_out,
                bytes_out: a.bytes_out + b.bytes_out,
            },
        )
    }

    /// Has the kernel asked about every packet, as where no next hop is known.
    pub fn forget_hops(&mut self) {
        let map = self.bpf.map_mut("HOPS").expect("it has that map");
        let mut map: Array<_, Hop> = map.try_into().expect("of that type");
        for element in 0..map.len() {
            let hop = map.get(&element, 0).expect("it is there");
            if hop.state == HOP_READY {
                map.set(element, Hop { state: HOP_ASK, ..hop }, 0).expect("it can be written");
            }
        }
    }

    /// Replaces the settings.
    pub fn set(&mut self, settings: Settings) {
        let map = self.bpf.map_mut("SETTINGS").expect("it has that map");
        let mut map: Array<_, Settings> = map.try_into().expect("of that type");
        map.set(0, settings, 0).expect("it has one element");
    }

    /// Packets refused by the token buckets of ICMP errors.
    pub fn refused_errors(&self) -> u64 {
        let map: Array<_, Bucket> = self.bpf.map("BUCKETS").expect("it has that map").try_into().expect("of that type");
        map.iter().map(|bucket| bucket.expect("every bucket can be read").refused).sum()
    }

    /// What the monitor has told since it was asked last.
    pub fn events(&mut self) -> Vec<Event> {
        let map = self.bpf.map_mut("EVENTS").expect("it has that map");
        let mut ring = RingBuf::try_from(map).expect("of that type");
        let mut events = Vec::new();
        while let Some(told) = ring.next() {
            let (event, _) = Event::read_from_prefix(&told).expect("what is told is an event");
            events.push(event);
        }
        events
    }

    /// The number of instructions the verifier went through, where the kernel says (since 5.16).
    pub fn verified_instructions(&mut self) -> Option<u32> {
        let program: &mut Xdp = self.bpf.program_mut("eipgate")?.try_into().ok()?;
        program.info().ok()?.verified_instruction_count()
    }

    /// The number of bytes of its instructions after the verifier rewrote them.
    pub fn translated_size(&mut self) -> Option<u32> {
        let program: &mut Xdp = self.bpf.program_mut("eipgate")?.try_into().ok()?;
        program.info().ok()?.size_translated()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.check_counters();
        }
    }
}

fn load(slots: u32) -> Result<Ebpf> {
    let cpus = aya::util::nr_cpus().map_err(|(what, error)| anyhow::Error::new(error).context(what))?;
    let mut bpf = EbpfLoader::new()
        // No logging: the verifier removes it.
        .override_global("AYA_LOG_LEVEL", &0u8, true)
        .override_global("SLOT_BITS", &slot_bits(slots), true)
        .override_global("COUNTERS_PER_CPU", &slots, true)
        .map_max_entries("COUNTERS", slots * cpus as u32)
        .load(nat_userspace::PROGRAM)?;
    let program: &mut Xdp = bpf.program_mut("eipgate").context("no program")?.try_into()?;
    program.load()?;
    Ok(bpf)
}

/// A network namespace of this thread's own, left again on drop. It has no name, so nothing of it outlives the test,
/// however that ends.
struct Namespace {
    before: File,
    /// Another thread is in another namespace.
    _of_this_thread: PhantomData<*const ()>,
}

impl Namespace {
    fn enter() -> Result<Self> {
        let before = File::open("/proc/thread-self/ns/net")?;
        unshare(CloneFlags::CLONE_NEWNET)?;
        Ok(Self { before, _of_this_thread: PhantomData })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        setns(&self.before, CloneFlags::CLONE_NEWNET).expect("the namespace before is still there");
    }
}

/// Makes the world's interfaces, routes and neighbours in the namespace of this thread.
///
/// The interfaces are veth pairs, VLAN sub-interfaces too: to the program they are only a number in the FIB's answer.
fn build(world: &World) -> Result<()> {
    // Automatic IPv6 addresses would only make noise.
    let _ = fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
    let mut batch = String::from("link set lo up\n");
    for Device { index, mac, mtu } in &world.devices {
        let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
        // The kernel would give the peer the lowest free index, which is another device's.
        let peer = 100 + index;
        batch += &format!(
            "link add d{index} index {index} address {mac} mtu {mtu} type veth peer name p{index} index {peer}\n\
             link set p{index} up\n\
             link set d{index} up\n"
        );
    }
    for (metric, Entry { prefix: (address, length), way, mtu }) in (1..).zip(&world.entries) {
        let way = match way {
            Way::Via { device, gateway } => format!("{address}/{length} via {gateway} dev d{device} onlink"),
            Way::On { device } => format!("{address}/{length} dev d{device}"),
            Way::Tunnel { device } => format!("{address}/{length} encap ip id 1 dst {address} dev d{device}"),
            Way::Local => format!("local {address}/{length} dev lo table local"),
            Way::Broadcast { device } => format!("broadcast {address}/{length} dev d{device} table local"),
            Way::Blackhole => format!("blackhole {address}/{length}"),
            Way::Unreachable => format!("unreachable {address}/{length}"),
            Way::Prohibit => format!("prohibit {address}/{length}"),
            Way::Throw => format!("throw {address}/{length}"),
        };
        let mtu = mtu.map(|mtu| format!(" mtu lock {mtu}")).unwrap_or_default();
        batch += &format!("route add {way} metric {metric}{mtu}\n");
    }
    for (device, address, known) in &world.neighbours {
        if let Neighbour::At(mac) = known {
            let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
            batch += &format!("neigh add {address} lladdr {mac} dev d{device} nud permanent\n");
        }
    }
    let mut ip = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    ip.stdin.take().context("no pipe to ip")?.write_all(batch.as_bytes())?;
    let told = ip.wait_with_output()?;
    if !told.status.success() {
        bail!("ip -batch: {}\nin\n{batch}", String::from_utf8_lossy(&told.stderr));
    }
    // Last, because it reaches the interfaces there are.
    fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
    ensure!(fs::read_to_string("/proc/sys/net/ipv4/ip_forward")?.trim() == "1", "forwarding stays off");
    Ok(())
}
