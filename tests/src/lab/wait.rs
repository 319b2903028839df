//! Waiting for a condition, always with a deadline and never by sleeping.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Long enough for anything in a lab on a machine that is busy with other tests.
pub const SOON: Duration = Duration::from_secs(10);

/// Asks again and again until there is an answer, for conditions that nobody announces.
pub fn until<T>(what: &str, within: Duration, mut ask: impl FnMut() -> Option<T>) -> Result<T> {
    let (never, pause) = (Condvar::new(), Mutex::new(()));
    let deadline = Instant::now() + within;
    let mut guard = locked(&pause);
    loop {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        if Instant::now() >= deadline {
            bail!("waited {within:?} in vain for {what}");
        }
        guard =
            never.wait_timeout(guard, Duration::from_millis(4)).map_or_else(|error| error.into_inner().0, |it| it.0);
    }
}

/// Raises a flag when it goes, so that threads which watch the flag end although the test fails: a scope waits for its
/// threads, and a failed test would hang instead.
pub struct RaisedAtEnd<'a>(pub &'a AtomicBool);

impl Drop for RaisedAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A value that others change, and news of the change.
#[derive(Default)]
pub struct Watched<T> {
    value: Mutex<T>,
    changed: Condvar,
}

impl<T> Watched<T> {
    pub fn new(value: T) -> Self {
        Self { value: Mutex::new(value), changed: Condvar::new() }
    }

    pub fn read(&self) -> MutexGuard<'_, T> {
        locked(&self.value)
    }

    pub fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut locked(&self.value));
        self.changed.notify_all();
        result
    }

    /// Waits until the value gives an answer; `None` where it did not in time.
    pub fn wait<R>(&self, within: Duration, mut ask: impl FnMut(&mut T) -> Option<R>) -> Option<R> {
        let deadline = Instant::now() + within;
        let mut guard = locked(&self.value);
        loop {
            if let Some(answer) = ask(&mut guard) {
                return Some(answer);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            guard = self.changed.wait_timeout(guard, left).map_or_else(|error| error.into_inner().0, |it| it.0);
        }
    }
}

/// A lock whose holder panicked still guards a value worth reading: the panic is reported where it happened.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until one of the descriptors is readable or hung up; says which are. All `false` is the deadline.
pub fn readable<const N: usize>(descriptors: [BorrowedFd<'_>; N], within: Option<Duration>) -> [bool; N] {
    let mut polled =
        descriptors.map(|descriptor| libc::pollfd { fd: descriptor.as_raw_fd(), events: libc::POLLIN, revents: 0 });
    let timeout = within.map_or(-1, |within| i32::try_from(within.as_micros().div_ceil(1000)).unwrap_or(i32::MAX));
    // SAFETY: the pointer and the count describe the array, which outlives the call.
    unsafe { libc::poll(polled.as_mut_ptr(), N as libc::nfds_t, timeout) };
    polled.map(|polled| polled.revents != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_ends_by_answer_or_deadline() {
        let mut asked = 0;
        let answer = until("three", SOON, || {
            asked += 1;
            (asked == 3).then_some(asked)
        });
        assert_eq!(answer.unwrap(), 3);
        let error = until("nothing", Duration::from_millis(1), || None::<()>).unwrap_err();
        assert_eq!(error.to_string(), "waited 1ms in vain for nothing");
    }

    #[test]
    fn a_change_wakes_whoever_watches() {
        let watched = Watched::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| watched.change(|value| *value = 7));
            assert_eq!(watched.wait(SOON, |value| (*value == 7).then_some("seen")), Some("seen"));
        });
        assert_eq!(watched.wait(Duration::ZERO, |value| (*value == 8).then_some(())), None);
    }
}
