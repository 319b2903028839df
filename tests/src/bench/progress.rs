//! What is going on, on standard error.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Instant;

/// A known number of steps.
pub struct Progress {
    part: String,
    steps: usize,
    done: usize,
    began: Instant,
}

impl Progress {
    /// So many steps, none of them done.
    pub fn new(part: String, steps: usize) -> Self {
        Self { part, steps, done: 0, began: Instant::now() }
    }

    /// The next step begins.
    pub fn step(&mut self, what: &str, row: &str) {
        let elapsed = self.began.elapsed().as_secs_f64();
        let left = if self.done == 0 { 0.0 } else { elapsed / self.done as f64 * (self.steps - self.done) as f64 };
        self.done = (self.done + 1).min(self.steps);
        let text = format!("{}: {what}, {row}, {left:.0} s left", self.part);
        let mut out = io::stderr();
        // Nobody to tell is no reason to stop.
        let _ = if out.is_terminal() { write!(out, "\r\x1b[2K{text}") } else { writeln!(out, "{text}") };
        let _ = out.flush();
    }

    /// All of them are done.
    pub fn finish(self) {
        let mut out = io::stderr();
        let clear = if out.is_terminal() { "\r\x1b[2K" } else { "" };
        let _ = writeln!(out, "{clear}{}: {:.0} s", self.part, self.began.elapsed().as_secs_f64());
    }
}
