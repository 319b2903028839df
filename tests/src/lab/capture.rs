//! Everything that passes an interface, from start to end, judged as it passes.

use std::collections::VecDeque;
use std::io::{PipeReader, PipeWriter, pipe};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::leak::{Leak, Watchfulness, judge};
use super::namespace::Namespace;
use super::wait::{self, Watched};
use super::wire::{Direction, LONGEST, Seen, Wire};
use crate::frames::explain;

/// A thread that reads an interface's frames until this is dropped or finished.
pub struct Capture {
    place: String,
    wire: Arc<Wire>,
    taken: Arc<Watched<Taken>>,
    /// While set, frames with wrong checksums are as they should be.
    pub wrong_checksums_allowed: Arc<AtomicBool>,
    /// Its reader hangs up when this is dropped.
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

/// What a capture has seen.
#[derive(Default)]
struct Taken {
    /// The latest frames.
    frames: VecDeque<Seen>,
    /// How many came before those.
    forgotten: usize,
    bytes: usize,
    counts: Counts,
    leaks: Vec<Leak>,
}

/// How much a capture has looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub received: usize,
    pub sent: usize,
    /// Frames the capture came too late for, and so cannot vouch for.
    pub missed: u32,
}

/// Memory for frames that somebody may still ask for.
const KEPT_BYTES: usize = 64 << 20;
/// Enough leaks to see a pattern.
const KEPT_LEAKS: usize = 20;

impl Capture {
    pub fn start(place: &str, namespace: &Namespace, interface: &str, watchfulness: Watchfulness) -> Result<Self> {
        let wire = Arc::new(Wire::observer(namespace, interface)?);
        let taken = Arc::new(Watched::<Taken>::default());
        let wrong_checksums_allowed = Arc::new(AtomicBool::new(false));
        let (reader, stop) = pipe()?;
        let mut watcher = Watcher {
            place: place.to_owned(),
            wire: Arc::clone(&wire),
            taken: Arc::clone(&taken),
            watchfulness,
            wrong_checksums_allowed: Arc::clone(&wrong_checksums_allowed),
        };
        let thread = thread::Builder::new().name(format!("capture {place}")).spawn(move || watcher.work(&reader))?;
        let (stop, thread) = (Some(stop), Some(thread));
        Ok(Self { place: place.to_owned(), wire, taken, wrong_checksums_allowed, stop, thread })
    }

    /// Looks at what passes from now on.
    pub fn watch(&self) -> Watch<'_> {
        let taken = self.taken.read();
        Watch { capture: self, from: taken.forgotten + taken.frames.len() }
    }

    /// Looks at everything from the start.
    pub fn from_start(&self) -> Watch<'_> {
        Watch { capture: self, from: 0 }
    }

    pub fn counts(&self) -> Counts {
        self.taken.read().counts
    }

    /// What has been seen that should not have been.
    pub fn leaks(&self) -> Vec<Leak> {
        self.taken.read().leaks.clone()
    }

    /// Reads what still waits, then ends.
    pub fn finish(&mut self) -> Result<Counts> {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().map_err(|_| anyhow::anyhow!("the capture {} panicked", self.place))?;
            let missed = self.wire.missed()?;
            self.taken.change(|taken| taken.counts.missed += missed);
        }
        Ok(self.counts())
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = self.finish();
    }
}

struct Watcher {
    place: String,
    wire: Arc<Wire>,
    taken: Arc<Watched<Taken>>,
    watchfulness: Watchfulness,
    wrong_checksums_allowed: Arc<AtomicBool>,
}

impl Watcher {
    fn work(&mut self, stop: &PipeReader) {
        let mut buffer = Box::new([0; LONGEST]);
        loop {
            let [_, stopped] = wait::readable([self.wire.as_fd(), stop.as_fd()], None);
            while let Some(seen) = self.wire.receive(&mut buffer) {
                self.take(seen);
            }
            if stopped {
                return;
            }
        }
    }

    fn take(&self, seen: Seen) {
        let mut watchfulness = self.watchfulness;
        watchfulness.checksums &= !self.wrong_checksums_allowed.load(Ordering::SeqCst);
        let leaks = judge(&self.place, watchfulness, &seen);
        self.taken.change(|taken| {
            match seen.direction {
                Direction::In => taken.counts.received += 1,
                Direction::Out => taken.counts.sent += 1,
            }
            taken.leaks.extend(leaks);
            taken.leaks.truncate(KEPT_LEAKS);
            taken.bytes += seen.frame.len();
            taken.frames.push_back(seen);
            while taken.bytes > KEPT_BYTES
                && let Some(oldest) = taken.frames.pop_front()
            {
                taken.bytes -= oldest.frame.len();
                taken.forgotten += 1;
            }
        });
    }
}

/// A capture from a certain frame on.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    capture: &'a Capture,
    from: usize,
}

impl Watch<'_> {
    /// Waits for the first frame that arrived or was sent here and is as asked.
    pub fn wait(&self, what: &str, wanted: impl FnMut(&Seen) -> bool) -> Result<Seen> {
        self.wait_within(wait::SOON, what, wanted)
    }

    pub fn wait_within(&self, within: Duration, what: &str, mut wanted: impl FnMut(&Seen) -> bool) -> Result<Seen> {
        let mut next = self.from;
        let found = self.capture.taken.wait(within, |taken| {
            let skip = next.saturating_sub(taken.forgotten);
            next = taken.forgotten + taken.frames.len();
            taken.frames.iter().skip(skip).find(|seen| wanted(seen)).cloned()
        });
        if let Some(found) = found {
            return Ok(found);
        }
        let all = self.all();
        let last: String = all.iter().rev().take(8).rev().map(tell).collect();
        bail!("{} has not seen {what} within {within:?}; the last of {} frames:\n{last}", self.capture.place, all.len())
    }

    /// Waits for the first frame that arrived here and is as asked.
    pub fn arrives(&self, what: &str, mut wanted: impl FnMut(&[u8]) -> bool) -> Result<Vec<u8>> {
        self.wait(what, |seen| seen.direction == Direction::In && wanted(&seen.frame)).map(|seen| seen.frame)
    }

    /// Every frame so far.
    pub fn all(&self) -> Vec<Seen> {
        let taken = self.capture.taken.read();
        taken.frames.iter().skip(self.from.saturating_sub(taken.forgotten)).cloned().collect()
    }

    /// Every frame so far that arrived here.
    pub fn arrived(&self) -> Vec<Vec<u8>> {
        let arrived = self.all().into_iter().filter(|seen| seen.direction == Direction::In);
        arrived.map(|seen| seen.frame).collect()
    }

    /// Fails where a frame as asked has arrived so far. Settle the lab first, so that what was sent has arrived.
    pub fn nothing(&self, what: &str, mut unwanted: impl FnMut(&[u8]) -> bool) -> Result<()> {
        match self.arrived().into_iter().find(|frame| unwanted(frame)) {
            Some(frame) => bail!("{} has seen {what}:\n{}", self.capture.place, explain(&frame)),
            None => Ok(()),
        }
    }
}

fn tell(seen: &Seen) -> String {
    format!("{:?} {}", seen.direction, explain(&seen.frame))
}

/// Fails where a capture missed frames or saw what it should not have.
pub fn verdict<'a>(captures: impl IntoIterator<Item = &'a Capture>) -> Result<()> {
    for capture in captures {
        let Counts { missed, .. } = capture.counts();
        if missed > 0 {
            bail!("the capture {} missed {missed} frames and cannot vouch for them", capture.place);
        }
        let leaks = capture.leaks();
        if let Some(first) = leaks.first() {
            return Err(anyhow::anyhow!("{first}")).with_context(|| format!("{} frames like this", leaks.len()));
        }
    }
    Ok(())
}
