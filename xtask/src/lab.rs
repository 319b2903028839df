//! `cargo xtask lab`: the lab, put up to be walked around in.
//!
//! The lab itself is the program `eipgate-lab` of the crate `tests`; this builds it and becomes it.

use std::ffi::OsString;

use anyhow::{Result, bail};

use crate::build::{self, Profile};
use crate::privilege;
use crate::setup::{self, Need};
use crate::shell::Run;

/// Put up, enter and take down the lab: a gateway between namespaces that play Internet and instances.
#[derive(clap::Args)]
#[command(after_help = "\
Examples, as root:
  cargo xtask lab up                          put it up and leave it
  cargo xtask lab list                        its hosts and their addresses
  cargo xtask lab enter HOST                  a shell on a host
  cargo xtask lab enter HOST ping 192.0.2.1   one command there
  cargo xtask lab console                     its console, for a browser outside the lab
  cargo xtask lab down                        take it away")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Put the lab up and leave it
    Up,
    /// Take the lab down
    Down,
    /// Run a command, or a shell, on a host of the lab
    Enter {
        /// One of those `lab list` prints
        host: OsString,
        /// The command and its arguments; a shell where there is none
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
    /// The hosts of the lab and their addresses
    List,
    /// Let a browser outside the lab open its console
    Console {
        /// At this port of the loopback
        #[arg(long)]
        port: Option<u16>,
    },
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut words: Vec<OsString> = vec!["lab".into()];
    match &args.action {
        Action::Up => words.push("up".into()),
        Action::Down => words.push("down".into()),
        Action::List => words.push("list".into()),
        Action::Console { port } => {
            words.push("console".into());
            words.extend(port.map(|port| format!("--port={port}").into()));
        }
        Action::Enter { host, command } => {
            words.extend(["enter".into(), host.clone()]);
            words.extend(command.iter().cloned());
        }
    }
    become_lab(words)
}

/// Becomes the lab's own program.
pub(crate) fn become_lab(words: Vec<OsString>) -> Result<()> {
    become_program("eipgate-lab", words)
}

/// Builds eipgate and a program of the crate `tests` as they are installed, and turns into the latter.
pub(crate) fn become_program(name: &str, words: Vec<OsString>) -> Result<()> {
    let missing = privilege::missing_capabilities();
    if !missing.is_empty() {
        bail!(
            "{name} makes network namespaces and loads programs, and this process has no {}. As root: {} ...",
            missing.join(", no "),
            privilege::AS_ROOT
        );
    }
    let tools = setup::ensure(Need::Run)?;
    let eipgate = build::binary(&tools, "nat-userspace", "eipgate", Profile::Release)?;
    let program = build::binary(&tools, "tests", name, Profile::Release)?;
    Run::new(program).args(words).env("EIPGATE_BIN", eipgate).exec()
}
