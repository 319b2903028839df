//! `eipgate-lab`: the lab to walk around in, and the demonstration. `cargo xtask lab` and `demo` become this program.

use std::fmt::Display;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use lab::demo::{self, Ending};
use lab::lab::standing::{self, Standing};
use lab::lab::{edges, interrupt};

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
    /// Let a browser outside the lab open its console
    Console {
        /// At this port of the loopback
        #[arg(long, default_value_t = edges::CONSOLE.port())]
        port: u16,
    },
    /// Run a command, or a shell, on a host of the lab
    Enter {
        /// One of those `lab list` prints
        host: String,
        /// The command and its arguments; a shell where there is none
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
}

fn main() -> ExitCode {
    let result = act(Arguments::parse().action);
    interrupt::give_way();
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
            let undo = interrupt::undo_on_signals("eipgate-lab", || {})?;
            demo::play(if keep { Ending::Keep } else { Ending::Remove }, &undo)
        }
        Action::Lab { action: LabAction::Up } => up().map(|()| true),
        Action::Lab { action: LabAction::Down } => Standing::find()?.take_down().map(|()| true),
        Action::Lab { action: LabAction::List } => list(&Standing::find()?).map(|()| true),
        Action::Lab { action: LabAction::Console { port } } => Standing::find()?.lead_to_console(port).map(|()| true),
        Action::Lab { action: LabAction::Enter { host, command } } => {
            Standing::find()?.enter(&host, &command).map(|()| true)
        }
    }
}

fn up() -> Result<()> {
    let undo = interrupt::undo_on_signals("eipgate-lab", || {})?;
    let standing = standing::leave(standing::put_up(&undo)?)?;
    list(&standing)?;
    print("\nA shell on one of them:  cargo xtask lab enter HOST");
    print("A command on one:        cargo xtask lab enter gateway eipgate status");
    print("Its console:             cargo xtask lab console");
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
