//! Announcements: what is being done, how long it took, and a summary at the end.

use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _, stdout};
use std::time::{Duration, Instant};

use anyhow::Result;

/// `0.4 s`, `12 s`, `3 min 07 s`.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        _ => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}

/// One numbered line, `[2/4] packages ... ok (12 s)`, with room for progress while it lasts.
pub(crate) struct Step {
    label: String,
    started: Instant,
    reported: Instant,
    /// Nothing but the label stands on the current line.
    line_open: bool,
}

impl Step {
    pub(crate) fn begin(number: usize, total: usize, what: &str) -> Self {
        let label = format!("[{number}/{total}] {what} ...");
        print!("{label}");
        flush();
        let now = Instant::now();
        Self { label, started: now, reported: now, line_open: true }
    }

    pub(crate) fn done(self, outcome: impl Display) {
        let time = duration(self.started.elapsed());
        self.close(format!("ok, {outcome} ({time})"));
    }

    pub(crate) fn failed(self) {
        let time = duration(self.started.elapsed());
        self.close(format!("FAILED ({time})"));
    }

    /// A line of its own below the label.
    pub(crate) fn note(&mut self, text: impl Display) {
        if self.line_open {
            self.clear_progress();
            println!();
            self.line_open = false;
        }
        println!("      {text}");
        flush();
    }

    /// Shows that something still happens: on a terminal the current line changes, elsewhere a line every 30 seconds.
    pub(crate) fn progress(&mut self, doing: &str) {
        let now = Instant::now();
        let terminal = stdout().is_terminal();
        let pause = Duration::from_secs(if terminal { 1 } else { 30 });
        if now - self.reported < pause {
            return;
        }
        self.reported = now;
        let elapsed = duration(now - self.started);
        let doing: String = doing.trim().chars().take(80).collect();
        if !terminal {
            self.note(format_args!("{elapsed}: {doing}"));
        } else if self.line_open {
            print!("\r\x1b[K{} {elapsed}: {doing}", self.label);
            flush();
        } else {
            print!("\r\x1b[K      {elapsed}: {doing}");
            flush();
        }
    }

    fn clear_progress(&self) {
        if stdout().is_terminal() {
            if self.line_open {
                print!("\r\x1b[K{}", self.label);
            } else {
                print!("\r\x1b[K");
            }
        }
    }

    fn close(self, outcome: String) {
        self.clear_progress();
        if self.line_open {
            println!(" {outcome}");
        } else {
            println!("      {outcome}");
        }
        flush();
    }
}

/// How one part of a command ended.
pub(crate) enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

/// The parts of a command with their times, printed at its end.
#[derive(Default)]
pub(crate) struct Summary {
    lines: Vec<(String, Outcome, Duration)>,
}

impl Summary {
    /// Announces `name`, runs `work`, and remembers how it ended. Says whether it passed.
    pub(crate) fn part(&mut self, name: &str, work: impl FnOnce() -> Result<()>) -> bool {
        println!("\n=== {name}");
        flush();
        let started = Instant::now();
        let outcome = match work() {
            Ok(()) => Outcome::Passed,
            Err(error) => Outcome::Failed(format!("{error:#}")),
        };
        let time = started.elapsed();
        let passed = matches!(outcome, Outcome::Passed);
        match &outcome {
            Outcome::Failed(why) => eprintln!("=== {name}: FAILED ({}): {why}", duration(time)),
            Outcome::Passed | Outcome::Skipped(_) => println!("=== {name}: ok ({})", duration(time)),
        }
        self.lines.push((name.to_owned(), outcome, time));
        passed
    }

    pub(crate) fn skipped(&mut self, name: &str, why: &str) {
        println!("\n=== {name}: SKIPPED: {why}");
        self.lines.push((name.to_owned(), Outcome::Skipped(why.to_owned()), Duration::ZERO));
    }

    pub(crate) fn append(&mut self, other: Summary) {
        self.lines.extend(other.lines);
    }

    pub(crate) fn failures(&self) -> Vec<&str> {
        let failed = self.lines.iter().filter(|(_, outcome, _)| matches!(outcome, Outcome::Failed(_)));
        failed.map(|(name, ..)| name.as_str()).collect()
    }

    pub(crate) fn print(&self) {
        println!("\nSummary");
        print!("{}", self.render());
        flush();
    }

    fn render(&self) -> String {
        let width = self.lines.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
        let mut text = String::new();
        for (name, outcome, time) in &self.lines {
            let time = duration(*time);
            match outcome {
                Outcome::Passed => text += &format!("  {name:width$}  ok       {time}\n"),
                Outcome::Failed(why) => text += &format!("  {name:width$}  FAILED   {time}  {why}\n"),
                Outcome::Skipped(why) => text += &format!("  {name:width$}  SKIPPED  {why}\n"),
            }
        }
        text
    }
}

fn flush() {
    // Progress that cannot be shown must not stop the work.
    drop(stdout().flush());
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Outcome, Summary, duration};

    #[test]
    fn durations_read_like_a_clock() {
        assert_eq!(duration(Duration::from_millis(340)), "0.3 s");
        assert_eq!(duration(Duration::from_secs(12)), "12 s");
        assert_eq!(duration(Duration::from_secs(187)), "3 min 07 s");
    }

    #[test]
    fn summary_tells_passed_failed_and_skipped_apart() {
        let mut summary = Summary::default();
        summary.lines.push(("unit".into(), Outcome::Passed, Duration::from_secs(11)));
        summary.lines.push(("kernel".into(), Outcome::Skipped("not root".into()), Duration::ZERO));
        summary.lines.push(("fmt".into(), Outcome::Failed("exit status: 1".into()), Duration::from_secs(2)));
        assert_eq!(summary.failures(), ["fmt"]);
        let text = summary.render();
        assert!(text.contains("unit    ok       11 s"), "{text}");
        assert!(text.contains("kernel  SKIPPED  not root"), "{text}");
        assert!(text.contains("fmt     FAILED   2.0 s  exit status: 1"), "{text}");
    }
}
