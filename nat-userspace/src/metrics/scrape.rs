//! Collecting what one page shows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, watch};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::debug;

use crate::config::Config;
use crate::gateway::{AddressTraffic, Handle, Meter, VerdictRow, Vitals};

/// How long the gateway may take to answer. It works off large imports in one piece, and Prometheus gives up after 10 s.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the busiest addresses stay the same: finding them reads all pairs.
const BUSIEST_KEPT: Duration = Duration::from_secs(15);

/// What a page shows.
#[derive(Debug)]
pub(super) struct Sample {
    /// Unless the gateway did not answer in time.
    pub(super) vitals: Option<Arc<Vitals>>,
    /// Unless the kernel's counters cannot be read.
    pub(super) verdicts: Option<Vec<VerdictRow>>,
    pub(super) busiest: Vec<AddressTraffic>,
    /// How long collecting it took.
    pub(super) took: Duration,
}

/// Collects one sample at a time, however many ask.
pub(super) struct Scraper {
    handle: Handle,
    configuration: watch::Receiver<Arc<Config>>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    meter: Option<Arc<dyn Meter>>,
    busiest: Option<(Instant, usize, Vec<AddressTraffic>)>,
}

impl Scraper {
    pub(super) fn new(handle: Handle, configuration: watch::Receiver<Arc<Config>>) -> Self {
        Scraper { handle, configuration, kept: Mutex::default() }
    }

    pub(super) async fn sample(&self) -> Sample {
        let mut kept = self.kept.lock().await;
        let began = Instant::now();
        let asked = self.handle.ask(|operations| (operations.vitals(), operations.meter()));
        let vitals = match timeout(PATIENCE, asked).await {
            Ok(Ok((vitals, meter))) => {
                kept.meter = Some(meter);
                Some(vitals)
            }
            Ok(Err(_)) | Err(_) => None,
        };
        let verdicts = kept.verdicts().await;
        let top = self.configuration.borrow().metrics_top as usize;
        let busiest = kept.busiest(top).await;
        Sample { vitals, verdicts, busiest, took: began.elapsed() }
    }
}

impl Kept {
    async fn verdicts(&self) -> Option<Vec<VerdictRow>> {
        read(self.meter.clone()?, |meter| meter.verdicts()).await
    }

    async fn busiest(&mut self, top: usize) -> Vec<AddressTraffic> {
        if top == 0 {
            return Vec::new();
        }
        let fresh = self.busiest.as_ref().filter(|(at, most, _)| at.elapsed() < BUSIEST_KEPT && *most == top);
        if fresh.is_none() {
            let Some(meter) = self.meter.clone() else { return Vec::new() };
            let found = read(meter, move |meter| meter.busiest(top)).await.unwrap_or_default();
            self.busiest = Some((Instant::now(), top, found));
        }
        self.busiest.as_ref().map(|(_, _, found)| found.clone()).unwrap_or_default()
    }
}

/// On a thread that nobody waits for.
async fn read<T: Send + 'static>(
    meter: Arc<dyn Meter>,
    what: impl FnOnce(&dyn Meter) -> anyhow::Result<T> + Send + 'static,
) -> Option<T> {
    match spawn_blocking(move || what(&*meter)).await {
        Ok(Ok(read)) => Some(read),
        Ok(Err(error)) => {
            debug!("the kernel's counters cannot be read: {error:#}");
            None
        }
        Err(error) => {
            debug!("reading the kernel's counters was broken off: {error}");
            None
        }
    }
}
