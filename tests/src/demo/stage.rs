//! Where the demonstration is told: steps, evidence, verdicts; in colours where somebody looks.

use std::io::{IsTerminal as _, Write as _, stdout};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow};

use crate::lab::remains::Undo;

const BOLD: &str = "1";
const GREY: &str = "2";
const RED: &str = "1;31";
const GREEN: &str = "1;32";

/// Counts steps and failures while it prints them.
pub(super) struct Stage {
    undo: Undo,
    colours: bool,
    steps: usize,
    failures: Vec<String>,
}

impl Stage {
    pub(super) fn new(undo: &Undo) -> Self {
        let colours = stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { undo: undo.clone(), colours, steps: 0, failures: Vec::new() }
    }

    /// Plays one step. A failure is told and the next step comes all the same.
    pub(super) fn step(&mut self, title: &str, play: impl FnOnce(&mut Told<'_>) -> Result<()>) {
        self.steps += 1;
        self.say(&format!("\n{}", self.in_colour(BOLD, &format!("{}. {title}", self.steps))));
        let told = || play(&mut Told { stage: self });
        let result = catch_unwind(AssertUnwindSafe(told)).unwrap_or_else(|_| Err(anyhow!("the step panicked")));
        self.park_if_interrupted();
        match result {
            Ok(()) => self.say(&format!("   {}", self.in_colour(GREEN, "OK"))),
            Err(error) => {
                self.failures.push(title.to_owned());
                let text = format!("{error:#}").replace('\n', "\n        ");
                self.say(&format!("   {}  {text}", self.in_colour(RED, "FAIL")));
            }
        }
    }

    /// A signal has come, and its thread ends the process: what fails from here on is no news.
    fn park_if_interrupted(&self) {
        while !self.undo.is_standing() {
            thread::park();
        }
    }

    /// Sums up; `true` where nothing failed.
    pub(super) fn end(&self, took: Duration) -> bool {
        let (steps, failed, took) = (self.steps, self.failures.len(), took.as_secs_f32());
        if failed == 0 {
            let verdict = self.in_colour(GREEN, "OK");
            self.say(&format!("\n{verdict}: all {steps} steps, in {took:.0} s."));
            return true;
        }
        let verdict = self.in_colour(RED, "FAIL");
        self.say(&format!("\n{verdict}: {failed} of {steps} steps, in {took:.0} s:"));
        for title in &self.failures {
            self.say(&format!("  {title}"));
        }
        false
    }

    pub(super) fn say(&self, line: &str) {
        // Nobody reads any more: the demonstration goes on, for it still has to clean up.
        let _ = writeln!(stdout(), "{line}");
    }

    fn in_colour(&self, colour: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A step as it is told.
pub(super) struct Told<'a> {
    stage: &'a Stage,
}

impl Told<'_> {
    /// A command as a user would type it.
    pub(super) fn did(&mut self, host: &str, command: &str) {
        self.stage.say(&format!("   {} {command}", self.stage.in_colour(GREY, &format!("{host} $"))));
    }

    /// What was seen of it.
    pub(super) fn saw(&mut self, evidence: impl AsRef<str>) {
        self.stage.park_if_interrupted();
        for line in evidence.as_ref().trim_end().lines() {
            self.stage.say(&format!("     {line}"));
        }
    }
}
