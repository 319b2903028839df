//! The gateway's pulse: somebody outside is told again and again that its loop goes round, and hears nothing when it hangs.

use std::future::pending;
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

use super::{Gateway, PacketPath};

/// Who is told, and how often.
#[derive(Default)]
pub(super) struct Pulse(Option<(Interval, Box<dyn FnMut() + Send>)>);

impl Pulse {
    /// Waits until it is time; for ever where nobody listens.
    pub(super) async fn due(&mut self) {
        match &mut self.0 {
            Some((ticks, _)) => drop(ticks.tick().await),
            None => pending().await,
        }
    }

    pub(super) fn beat(&mut self) {
        if let Some((_, tell)) = &mut self.0 {
            tell();
        }
    }
}

impl<P: PacketPath> Gateway<P> {
    /// Calls `tell` from the gateway's loop once in `period`, as long as the loop goes round.
    #[must_use]
    pub fn with_pulse(mut self, period: Duration, tell: impl FnMut() + Send + 'static) -> Self {
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.pulse = Pulse(Some((ticks, Box::new(tell))));
        self
    }
}
