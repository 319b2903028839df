//! The meter: has the generator make packets on one CPU and says what they cost its thread.
//!
//! Live frames are redirected in batches; gateway and sink run in softirq at the end of each, on the same thread. Its CPU
//! time and that of the CPU's ksoftirqd, to which the kernel hands what is too much, is all that the packets cost.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use aya::programs::{TestRun as _, TestRunAttrs, TestRunOptions};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use super::kit::Kit;
use super::site::Port;
use super::wires::Stream;
use crate::lab::wait;

/// Frames that are made before the gateway gets them.
pub const BATCH: u32 = 64;

/// What a run of the generator came to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Run {
    /// Packets made.
    pub sent: u64,
    /// Packets that arrived at a sink.
    pub arrived: u64,
    /// CPU time of all of them, in nanoseconds.
    pub cpu_ns: u64,
    /// Time from first to last, in nanoseconds.
    pub wall_ns: u64,
}

impl Run {
    /// CPU time of a packet in nanoseconds.
    pub fn cost(&self) -> f64 {
        self.cpu_ns as f64 / self.sent.max(1) as f64
    }

    /// Packets that did not arrive.
    pub fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.arrived)
    }
}

/// Where the generator runs.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The interface its frames are redirected into; it enters that namespace.
    pub port: &'a Port,
    /// The CPU it is bound to.
    pub cpu: usize,
    /// The program that makes the frames.
    pub program: &'a str,
}

/// Makes packets and waits until all have arrived, or no more do.
pub fn run(kit: &mut Kit, place: Place<'_>, stream: Stream, packets: u32) -> Result<Run> {
    kit.set_stream(stream)?;
    kit.program(place.program)?;
    let before = kit.arrived()?;
    let mut run = generate(kit, place, stream.length, packets)?;
    // What ksoftirqd was left with arrives a moment later.
    let _ = wait::until("the last packets", Duration::from_millis(60), || {
        let now = kit.arrived().unwrap_or(before) - before;
        (now >= run.sent).then_some(())
    });
    run.arrived = kit.arrived()? - before;
    Ok(run)
}

/// Makes packets as they were last described, and waits for nothing.
pub fn generate(kit: &mut Kit, place: Place<'_>, length: u32, packets: u32) -> Result<Run> {
    let program = &*kit.program(place.program)?;
    place.port.namespace.run(|| {
        bind(Pid::from_raw(0), place.cpu)?;
        let softirqs = Softirqs::of(place.cpu);
        let frame = vec![0u8; length as usize];
        let mut options = TestRunOptions::new();
        options.data_in = Some(&frame);
        options.repeat = packets;
        options.attrs = TestRunAttrs::new().xdp_live_frames(BATCH);
        let (began, cpu, soft) = (Instant::now(), thread_time(), softirqs.time());
        program.test_run(options).context("the kernel does not run the generator")?;
        let wall_ns = began.elapsed().as_nanos() as u64;
        let cpu_ns = thread_time() - cpu + softirqs.time().saturating_sub(soft);
        Ok(Run { sent: u64::from(packets), arrived: 0, cpu_ns, wall_ns })
    })
}

/// Binds a thread to a CPU; 0 is the calling one.
pub fn bind(thread: Pid, cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    sched_setaffinity(thread, &set).with_context(|| format!("cannot bind thread {thread} to CPU {cpu}"))
}

/// CPU time of the calling thread in nanoseconds.
pub fn thread_time() -> u64 {
    clock(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// The monotonic clock in nanoseconds, as programs read it.
pub fn monotonic() -> u64 {
    clock(libc::CLOCK_MONOTONIC)
}

fn clock(id: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live structure of the type the call writes.
    unsafe { libc::clock_gettime(id, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The kernel thread to which a CPU hands softirqs.
struct Softirqs {
    schedstat: Option<String>,
}

impl Softirqs {
    fn of(cpu: usize) -> Self {
        let schedstat = kernel_thread(&format!("ksoftirqd/{cpu}")).ok();
        Self { schedstat: schedstat.map(|pid| format!("/proc/{pid}/schedstat")) }
    }

    /// Its CPU time in nanoseconds; 0 where the kernel does not say.
    fn time(&self) -> u64 {
        let text = self.schedstat.as_ref().and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
        text.split_whitespace().next().and_then(|time| time.parse().ok()).unwrap_or(0)
    }
}

/// CPU time of a process's main thread or of a kernel thread, in nanoseconds.
pub fn time_of(thread: Pid) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{thread}/schedstat"))?;
    Ok(text.split_whitespace().next().unwrap_or_default().parse()?)
}

/// The kernel thread whose name starts like that.
pub fn kernel_thread(name: &str) -> Result<Pid> {
    let numbers = fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    for pid in numbers {
        let comm: io::Result<String> = fs::read_to_string(format!("/proc/{pid}/comm"));
        if comm.is_ok_and(|comm| comm.starts_with(name)) {
            return Ok(Pid::from_raw(pid));
        }
    }
    bail!("there is no kernel thread {name}")
}
