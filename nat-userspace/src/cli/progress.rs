//! A bar that shows how far a long command is, to people who look at a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::Format;
use crate::admin::wire::{ProgressRow, StageRow};

const STYLE: &str = "{msg:<12} {wide_bar} {percent:>3}%";
const SPINNER: &str = "{msg:<12} {spinner}";

/// One bar for one stage after the other. It shows itself on a terminal only, and is gone when dropped.
pub(super) struct Bar(ProgressBar);

impl Bar {
    pub(super) fn new(format: Format) -> Bar {
        // Where stderr is no terminal this target draws nothing either.
        let target = match format {
            Format::Table => ProgressDrawTarget::stderr(),
            Format::Json => ProgressDrawTarget::hidden(),
        };
        Bar(ProgressBar::with_draw_target(None, target))
    }

    /// Shows `done` of `total`, or that something goes on where `total` is 0.
    pub(super) fn show(&self, stage: &'static str, done: usize, total: usize) {
        if self.0.message() != stage {
            let style = if total == 0 { SPINNER } else { STYLE };
            self.0.set_style(ProgressStyle::with_template(style).expect("the templates are well formed"));
            self.0.set_message(stage);
        }
        self.0.set_length(total as u64);
        self.0.set_position(done as u64);
        self.0.tick();
    }

    pub(super) fn tell(&self, progress: ProgressRow) {
        let stage = match progress.stage {
            StageRow::Deciding => "deciding",
            StageRow::Committing => "committing",
            StageRow::Writing => "writing maps",
        };
        self.show(stage, progress.done, progress.total);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
