//! The daemon as a service: what it tells systemd, the watchdog, and reading the configuration again on SIGHUP.

use std::future::pending;

use sd_notify::NotifyState;
use tokio::signal::unix::Signal;
use tracing::{info, warn};

use crate::gateway::{Gateway, Handle, PacketPath};

/// Tells systemd, where it listens.
pub(super) fn notify(states: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!("cannot tell systemd: {error}");
    }
}

/// Where systemd watches this process, has it told from the gateway's own loop that the loop goes round: twice in the
/// time after which systemd gives it up.
pub(super) fn under_watch<P: PacketPath>(gateway: Gateway<P>) -> Gateway<P> {
    let Some(patience) = sd_notify::watchdog_enabled().filter(|patience| !patience.is_zero()) else {
        return gateway;
    };
    info!("systemd restarts this daemon when the gateway's loop stands still for {} s", patience.as_secs_f64());
    gateway.with_pulse(patience / 2, || notify(&[NotifyState::Watchdog]))
}

/// While the gateway starts, there is nothing yet that could be read again.
pub(super) async fn ignore(hangup: &mut Signal) -> ! {
    while hangup.recv().await.is_some() {
        warn!("SIGHUP changes nothing while the gateway starts; send it again when it serves");
    }
    pending().await
}

/// Reads the configuration again at each SIGHUP, and tells systemd when that begins and ends.
pub(super) async fn reload_on(mut hangup: Signal, handle: Handle) {
    while hangup.recv().await.is_some() {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => notify(&[NotifyState::Reloading, now]),
            Err(error) => warn!("cannot tell systemd of the reload: {error}"),
        }
        let Ok(outcome) = handle.ask(|operations| operations.reload()).await else { return };
        // Ready either way: with the new configuration, or with the old one and the reason why.
        let status = match outcome {
            Ok(reloaded) => format!("serving; configuration read again: {}", reloaded.sentence()),
            Err(failure) => format!("serving; {failure}"),
        };
        notify(&[NotifyState::Ready, NotifyState::Status(&status)]);
    }
}
