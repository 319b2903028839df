//! `eipgate credential`: who may use the API and the console.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;

use super::Context;
use super::failure::Failure;
use super::output::{Shown, fields, show};
use crate::config::Config;
use crate::credentials::{self, Access};

#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Examples:\n  eipgate credential new\n  eipgate credential new --account alice --read-only")]
pub(super) enum Command {
    /// Make a credential for the account, and print its id and its key.
    ///
    /// It is added to the file of credentials, where the daemon finds it within a second; the key can be read there and
    /// nowhere else. Whoever is to lose it has its entry taken out of the file.
    #[command(after_help = "Examples:\n  eipgate credential new --account alice\n  \
                            eipgate credential new --read-only --file /etc/eipgate/credentials.toml -o json")]
    New {
        /// It may look and change nothing.
        #[arg(long)]
        read_only: bool,

        /// The file. [default: `credentials` of the configuration]
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

/// What was made.
#[derive(Serialize)]
struct New {
    secret_id: String,
    secret_key: String,
    account: String,
    access: &'static str,
    file: PathBuf,
}

pub(super) fn run(command: Command, context: &Context) -> Result<Shown, Failure> {
    let Command::New { read_only, file } = command;
    let file = match file {
        Some(file) => file,
        None => configured(context.config.as_deref())?,
    };
    let account = context.account.parse().map_err(anyhow::Error::from)?;
    let access = if read_only { Access::ReadOnly } else { Access::ReadWrite };
    let made = credentials::issue(&file, account, access)?;
    let new = New {
        secret_key: made.secret_key().to_owned(),
        account: made.account.to_string(),
        access: made.access.as_str(),
        secret_id: made.secret_id,
        file,
    };
    Ok(show(context.format, &new, |new| {
        fields(&[
            ("Secret ID", new.secret_id.clone()),
            ("Secret key", new.secret_key.clone()),
            ("Account", new.account.clone()),
            ("Access", new.access.to_owned()),
            ("File", new.file.display().to_string()),
        ])
    }))
}

/// The file that the daemon reads.
fn configured(config: Option<&Path>) -> Result<PathBuf, Failure> {
    let config = Config::read(config)?;
    let advice = "the configuration names no file of credentials; set `credentials` in it, or give --file";
    Ok(config.credentials.context(advice)?)
}
