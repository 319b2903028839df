//! A new configuration while the gateway serves: read and judged in full first, and what can change is changed.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::config::{Config, Effect};

use super::{Gateway, GatewayError, PacketPath, plan, pool};

/// Reads the configuration again, flags included.
pub type Reading = Box<dyn FnMut() -> Result<Config> + Send>;

/// What became of a new configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Settings that changed and are in effect.
    pub in_effect: Vec<&'static str>,
    /// Settings that differ from those in effect until the daemon is restarted.
    pub waiting: Vec<&'static str>,
}

/// The configuration in effect, and where it comes from.
pub(super) struct Configuration {
    pub(super) in_effect: watch::Sender<Arc<Config>>,
    reading: Option<Reading>,
    /// Settings that wait for a restart.
    pub(super) waiting: Vec<&'static str>,
}

impl Configuration {
    pub(super) fn new(config: Config) -> Self {
        Configuration { in_effect: watch::Sender::new(Arc::new(config)), reading: None, waiting: Vec::new() }
    }
}

/// Judges what [`Config::load`] cannot, as far as that is possible without looking at the network.
pub fn check_configuration(config: &Config) -> Result<()> {
    pool::as_routed(config).map(drop)
}

impl<P: PacketPath> Gateway<P> {
    /// Reads the configuration by `reading` when it is told to read it again.
    #[must_use]
    pub fn reading_again_by(mut self, reading: Reading) -> Self {
        self.configuration.reading = Some(reading);
        self
    }

    /// The configuration in effect, now and later.
    pub fn configuration(&self) -> watch::Receiver<Arc<Config>> {
        self.configuration.in_effect.subscribe()
    }

    pub(super) fn reload_configuration(&mut self) -> Result<Reloaded, GatewayError> {
        self.exchange_configuration().map_err(|failure| {
            let failure = format!("{failure:#}");
            warn!("the configuration in effect is kept: {failure}");
            GatewayError::NotReloaded(failure)
        })
    }

    fn exchange_configuration(&mut self) -> Result<Reloaded> {
        let read = self.configuration.reading.as_mut().context("this daemon has no configuration to read again")?()?;
        check_configuration(&read)?;
        let present = Arc::clone(&self.configuration.in_effect.borrow());
        let next = Config::clone(&present).with_immediate(&read);
        let changed = |effect: Effect| {
            let all = present.differences(&read).into_iter().filter(move |found| found.effect == effect);
            all.map(|found| found.key).collect::<Vec<_>>()
        };
        let reloaded = Reloaded { in_effect: changed(Effect::AtOnce), waiting: changed(Effect::Restart) };
        if let Err(failure) = self.path.retune(&plan::tuning(&next)) {
            if let Err(worse) = self.path.retune(&plan::tuning(&present)) {
                self.mark_dirty(&worse);
            }
            return Err(failure).context("the packet path did not take it");
        }
        self.ledger.set_cool_down(next.cool_down);
        self.ledger.set_policy(next.policy());
        self.configuration.in_effect.send_replace(Arc::new(next));
        self.configuration.waiting.clone_from(&reloaded.waiting);
        info!("the configuration was read again; {}", reloaded.sentence());
        Ok(reloaded)
    }
}

impl Reloaded {
    /// What changed and what did not, for a log or a person.
    pub fn sentence(&self) -> String {
        let waiting = waiting(&self.waiting);
        match (self.in_effect.is_empty(), waiting) {
            (true, None) => "nothing is different".to_owned(),
            (true, Some(waiting)) => waiting,
            (false, None) => format!("in effect: {}", self.in_effect.join(", ")),
            (false, Some(waiting)) => format!("in effect: {}; {waiting}", self.in_effect.join(", ")),
        }
    }
}

/// The sentence about settings that wait for a restart, where there are any.
pub fn waiting(keys: &[&str]) -> Option<String> {
    (!keys.is_empty()).then(|| format!("waiting for a restart, which stops no traffic: {}", keys.join(", ")))
}
