//! `eipgate-lab`: the lab to walk around in, and the demonstration. `cargo xtask lab` and `demo` become this program.

use std::fmt::Display;
use std::process::{ExitCode, exit};
use std::sync::atomic::{AtomicBool, Ordering};
use std::{panic, thread};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use lab::demo::{self, Ending};
use lab::lab::remains::Undo;
use lab::lab::standing::{self, Standing};
use nix::sys::signal::{SigSet, Signal};

/// A lab of network namespaces around a gateway, and a demonstration in it.
#[derive(Parser)]
#[command(name = "eipgate-lab", version)]
struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Put up, enter and take down the lab
    Lab {
        #[command(subcommand)]
        action: LabAction,
    },
    /// Show the gateway at work, step by step
    Demo {
        /// Leave the lab up at the end
        #[arg(long)]
        keep: bool,
    },
}

#[derive(Subcommand)]
enum LabAction {
    /// Put the lab up and leave it
    Up,
    /// Take the lab down
    Down,
    /// The hosts of the lab and their addresses
    List,
    /// Run a command, or a shell, on a host of the lab
    Enter {
        /// One of those `lab list` prints
        host: String,
        /// The command and its arguments; a shell where there is none
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
}

/// A signal has come.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

fn main() -> ExitCode {
    let result = act(Arguments::parse().action);
    while INTERRUPTED.load(Ordering::SeqCst) {
        // The thread that takes the lab down ends the process.
        thread::park();
    }
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("eipgate-lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn act(action: Action) -> Result<bool> {
    match action {
        Action::Demo { keep } => {
            let undo = undo_on_signals()?;
            demo::play(if keep { Ending::Keep } else { Ending::Remove }, &undo)
        }
        Action::Lab { action: LabAction::Up } => up().map(|()| true),
        Action::Lab { action: LabAction::Down } => Standing::find()?.take_down().map(|()| true),
        Action::Lab { action: LabAction::List } => list(&Standing::find()?).map(|()| true),
        Action::Lab { action: LabAction::Enter { host, command } } => {
            Standing::find()?.enter(&host, &command).map(|()| true)
        }
    }
}

fn up() -> Result<()> {
    let undo = undo_on_signals()?;
    let standing = standing::leave(standing::put_up(&undo)?)?;
    list(&standing)?;
    print("\nA shell on one of them:  cargo xtask lab enter HOST");
    print("A command on one:        cargo xtask lab enter gateway eipgate status");
    print("Take everything away:    cargo xtask lab down");
    Ok(())
}

fn list(standing: &Standing) -> Result<()> {
    for host in standing.hosts() {
        let addresses = standing.addresses(&host)?;
        let words = addresses.iter().map(|(interface, address)| format!("{interface} {address}"));
        print(format!("{host:<10}{}", words.collect::<Vec<_>>().join("  ")));
    }
    Ok(())
}

fn print(line: impl Display) {
    println!("{line}");
}

/// Has a thread of its own wait for signals and take the lab down, whatever the others are doing.
fn undo_on_signals() -> Result<Undo> {
    const BY_SIGNAL: i32 = 128;
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
    // Before any other thread is there, so that none of them takes the signal.
    signals.thread_block().context("cannot block signals")?;
    let undo = Undo::default();
    let noted = undo.clone();
    thread::spawn(move || {
        let signal = signals.wait();
        INTERRUPTED.store(true, Ordering::SeqCst);
        // What the others run into from here on is of no interest.
        panic::set_hook(Box::new(|_| {}));
        eprintln!("\nInterrupted: taking the lab down.");
        if let Some(remains) = noted.take()
            && let Err(error) = remains.with_inhabitants().remove()
        {
            eprintln!("eipgate-lab: {error:#}");
        }
        exit(BY_SIGNAL + signal.map_or(0, |signal| signal as i32));
    });
    Ok(undo)
}
