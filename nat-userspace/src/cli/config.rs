//! `eipgate config`: the configuration judged, and read again.

use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use super::Context;
use super::failure::Failure;
use super::output::{print, show};
use crate::admin::wire::{Reloaded, Request};
use crate::config::{Config, DEFAULT_FILE, Overrides};
use crate::gateway;

#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Examples:\n  eipgate config check\n  eipgate config reload")]
pub(super) enum Command {
    /// Judge a configuration file without touching anything.
    ///
    /// Says which line is wrong and what would be right. Whether interfaces exist and pools suit their networks only the
    /// start of the daemon can tell.
    #[command(after_help = "Examples:\n  eipgate config check\n  eipgate config check new.toml -o json")]
    Check {
        /// The file.
        #[arg(value_name = "FILE", default_value = DEFAULT_FILE)]
        file: PathBuf,
    },
    /// Have the daemon read its configuration again.
    ///
    /// What can change while it serves is in effect when this returns; the rest is named and waits for a restart. A
    /// configuration with an error changes nothing.
    #[command(after_help = "Examples:\n  eipgate config reload")]
    Reload {},
}

/// What `check -o json` says of a good file.
#[derive(Serialize)]
struct Checked {
    file: PathBuf,
    valid: bool,
}

pub(super) fn run(command: Command, context: &Context) -> Result<ExitCode, Failure> {
    let shown = match command {
        Command::Check { file } => {
            let config = Config::load(Some(&file), Overrides::default())?;
            gateway::check_configuration(&config).map_err(|error| error.context(file.display().to_string()))?;
            let checked = Checked { file, valid: true };
            show(context.format, &checked, |checked| format!("{} is valid", checked.file.display()))
        }
        Command::Reload {} => {
            let reloaded: Reloaded = context.client.ask(&Request::Reload {})?;
            show(context.format, &reloaded, |reloaded| reloaded.message.clone())
        }
    };
    print(&shown)?;
    Ok(ExitCode::SUCCESS)
}
