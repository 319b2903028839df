//! Random frames: whatever arrives, the program does what the reference says, byte for byte and count for count.
//!
//! `EIPGATE_SEED` chooses the frames, `EIPGATE_FRAMES` how many, `EIPGATE_LONG=1` a billion. A difference is made as
//! small as it goes and kept under `counterexamples/`, where it is tried again in every later run.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use std::{env, fs, thread};

use lab::frames::explain;
use lab::generate::{Generator, shrink};
use lab::program::{Program, XDP_DROP, XDP_PASS, XDP_REDIRECT};
use lab::reference::{Action, Judgement, World, frames_equal, judge};
use lab::standard::standard_world;
use nat_common::verdict::Verdict;

const FRAMES: u64 = 20_000_000;
const LONG: u64 = 1_000_000_000;
const SEED: u64 = 0x1b57;
const THREADS: u64 = 2;
/// Frames between two looks at the verdict counters.
const BATCH: u64 = 50_000;

#[test]
fn random_frames_match_the_reference() {
    let number = |name: &str| env::var(name).ok().map(|value| value.parse().expect("a number"));
    let usual = if env::var("EIPGATE_LONG").is_ok_and(|long| long == "1") { LONG } else { FRAMES };
    let (frames, seed) = (number("EIPGATE_FRAMES").unwrap_or(usual), number("EIPGATE_SEED").unwrap_or(SEED));
    let batches = frames.div_ceil(BATCH);
    println!("{batches} batches of {BATCH} frames, EIPGATE_SEED={seed}");
    let (next, started) = (AtomicU64::new(0), Instant::now());
    let work = || {
        let (world, mut bench) = (standard_world(), Bench::new());
        loop {
            let batch = next.fetch_add(1, Ordering::Relaxed);
            if batch >= batches {
                return;
            }
            bench.compare(&world, seed.wrapping_add(batch));
            if (batch + 1).is_multiple_of(50) {
                let done = (batch + 1) * BATCH;
                println!("{done} frames, {:.0} a second", done as f64 / started.elapsed().as_secs_f64());
            }
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            if thread.join().is_err() {
                next.store(batches, Ordering::Relaxed);
                panic!("the program and the reference differ, see above");
            }
        }
    });
    println!("{frames} frames in {:.1} s", started.elapsed().as_secs_f64());
}

/// Frames that told the program from the reference once: one file each, with the difference of that time.
#[test]
fn kept_counterexamples_stay_fixed() {
    let (world, mut bench) = (standard_world(), Bench::new());
    let mut kept = 0;
    for file in fs::read_dir(counterexamples()).expect("the directory is part of the repository") {
        let path = file.expect("it can be listed").path();
        if path.extension().is_some_and(|extension| extension == "frame") {
            let (ingress, linear, frame) = parse(&fs::read_to_string(&path).expect("it can be read"));
            if linear < frame.len() && !bench.splits {
                println!("{}: this kernel does not let a test split a small frame", path.display());
                continue;
            }
            if let Some(difference) = bench.difference(&world, ingress, &frame, linear) {
                panic!("{}:\n{difference}", path.display());
            }
            kept += 1;
        }
    }
    println!("{kept} frames");
}

struct Bench {
    program: Program,
    splits: bool,
}

impl Bench {
    fn new() -> Self {
        let mut program = Program::load(&standard_world());
        let splits = program.can_split();
        Self { program, splits }
    }

    /// How much of a batch's frame lies in its first buffer. Every so many frames, one has its end in a second buffer,
    /// wherever behind the headers that begins; it makes no difference to what must come out.
    fn linear(&self, place: usize, length: usize) -> usize {
        // Two tags, and ARP or an IPv4 header without options.
        const HEADERS: usize = 22 + 28;
        let split = self.splits && place.is_multiple_of(16) && length > HEADERS;
        if split { HEADERS + place / 16 % (length - HEADERS) } else { length }
    }

    /// Compares one batch, and stops at the first difference.
    fn compare(&mut self, world: &World, seed: u64) {
        let mut generator = Generator::new(seed);
        let mut expected: Vec<_> = self.program.verdicts().into_iter().map(|counter| counter.packets).collect();
        for place in 0..BATCH as usize {
            let (ingress, frame) = generator.next(world);
            let judged = judge(world, ingress, &frame);
            expected[index(judged.verdict)] += 1;
            let linear = self.linear(place, frame.len());
            let ran = self.program.execute_split(ingress, &frame, linear);
            let (action, leaving) = ran.expect("the kernel runs the program");
            if difference(&judged, &frame, action, leaving).is_some() {
                self.keep(world, seed, ingress, &frame, linear);
            }
        }
        let found: Vec<_> = self.program.verdicts().into_iter().map(|counter| counter.packets).collect();
        if found == expected {
            return;
        }
        // The same bytes for another reason: look at each frame of the batch once more, verdict by verdict.
        let mut generator = Generator::new(seed);
        for place in 0..BATCH as usize {
            let (ingress, frame) = generator.next(world);
            let linear = self.linear(place, frame.len());
            if self.difference(world, ingress, &frame, linear).is_some() {
                self.keep(world, seed, ingress, &frame, linear);
            }
        }
        panic!("the verdicts of the batch with seed {seed} differ, and those of none of its frames");
    }

    /// How the program and the reference differ about a frame, if they do.
    fn difference(&mut self, world: &World, ingress: u32, frame: &[u8], linear: usize) -> Option<String> {
        let judged = judge(world, ingress, frame);
        let outcome = self.program.run_split(ingress, frame, linear.min(frame.len()));
        let verdict = outcome.verdict.name();
        let bytes = difference(&judged, frame, outcome.action, &outcome.frame);
        if verdict == judged.verdict && bytes.is_none() {
            return None;
        }
        let bytes = bytes.unwrap_or_default();
        Some(format!("the reference says {}, the program {verdict}\n{bytes}", judged.verdict))
    }

    fn keep(&mut self, world: &World, seed: u64, ingress: u32, frame: &[u8], linear: usize) -> ! {
        let small = shrink(frame, |candidate| {
            // The kernel takes nothing shorter.
            candidate.len() >= 14 && self.difference(world, ingress, candidate, linear).is_some()
        });
        let difference = self.difference(world, ingress, &small, linear).expect("shrinking keeps the difference");
        let mut text = format!("found with EIPGATE_SEED={seed}\n{difference}\n{}", explain(&small));
        text = text.lines().fold(String::new(), |text, line| text + "# " + line + "\n");
        let _ = writeln!(text, "ingress {ingress}\nlinear {linear}\nframe {}", hex(&small));
        let name = small
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        let path = counterexamples().join(format!("{name:016x}.frame"));
        fs::write(&path, &text).expect("it can be kept");
        panic!("{text}kept as {}", path.display());
    }
}

/// How what came out differs from what was judged, verdicts aside.
fn difference(judged: &Judgement, arrived: &[u8], action: u32, leaving: &[u8]) -> Option<String> {
    let wanted = match judged.action {
        Action::Drop => XDP_DROP,
        Action::Pass => XDP_PASS,
        Action::Redirect => XDP_REDIRECT,
    };
    if action != wanted {
        return Some(format!("XDP action {action} in place of {wanted}"));
    }
    let expected = judged.expected(arrived)?;
    frames_equal(expected, leaving).err()
}

fn index(name: &str) -> usize {
    Verdict::ALL.iter().position(|verdict| verdict.name() == name).expect("the reference's names are the program's")
}

fn counterexamples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("counterexamples")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn parse(text: &str) -> (u32, usize, Vec<u8>) {
    let field =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).expect("the file has that line").trim();
    let digits = field("frame ");
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits");
    let frame = (0..digits.len()).step_by(2).map(byte).collect();
    (field("ingress ").parse().expect("a number"), field("linear ").parse().expect("a number"), frame)
}
