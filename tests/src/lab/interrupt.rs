//! Ctrl-C in a program that has a lab up: the lab goes, whatever the program's threads are doing.

use std::process::exit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{panic, thread};

use anyhow::{Context as _, Result};
use nix::sys::signal::{SigSet, Signal};

use super::remains::Undo;

/// A signal has come.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Has a thread of its own wait for signals, take everything down, do `more` and end the process. To be called before
/// there is any other thread, so that none of them takes the signal.
pub fn undo_on_signals(program: &'static str, more: fn()) -> Result<Undo> {
    const BY_SIGNAL: i32 = 128;
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
    signals.thread_block().context("cannot block signals")?;
    let undo = Undo::default();
    let noted = undo.clone();
    thread::spawn(move || {
        let signal = signals.wait();
        INTERRUPTED.store(true, Ordering::SeqCst);
        // What the others run into from here on is of no interest.
        panic::set_hook(Box::new(|_| {}));
        eprintln!("\nInterrupted: taking everything down.");
        if let Some(remains) = noted.take()
            && let Err(error) = remains.with_inhabitants().remove()
        {
            eprintln!("{program}: {error:#}");
        }
        more();
        exit(BY_SIGNAL + signal.map_or(0, |signal| signal as i32));
    });
    Ok(undo)
}

/// To be called when the program would end: where a signal has come, it ends by that.
pub fn give_way() {
    while INTERRUPTED.load(Ordering::SeqCst) {
        thread::park();
    }
}
