//! `eipgate export`.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use super::Context;
use super::failure::Failure;
use super::output::{Format, show};
use super::pairs;
use crate::admin::wire::{PairRow, Request};

/// Write every public address in use in the account with the private address it serves, by public address, as `import`
/// reads it. EIPs that are not bound and instances without a public address are no pairs.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  eipgate export pairs.csv\n  eipgate export | grep ,blue")]
pub(super) struct Args {
    /// The file to write, replaced if it is there; stdout if not given.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let account = context.account.clone();
    let rows: Vec<PairRow> = context.client.ask(&Request::Export { account })?;
    match &args.file {
        Some(file) => {
            let to = File::create(file).with_context(|| format!("cannot create {}", file.display()))?;
            write(&rows, context.format, to).with_context(|| format!("cannot write {}", file.display()))?;
        }
        None => match write(&rows, context.format, io::stdout().lock()) {
            // A reader that has gone, as `head` does, is no failure.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            written => written.context("cannot print")?,
        },
    }
    Ok(ExitCode::SUCCESS)
}

fn write(rows: &Vec<PairRow>, format: Format, to: impl Write) -> io::Result<()> {
    let mut to = BufWriter::new(to);
    match format {
        Format::Table => pairs::write(rows, &mut to)?,
        Format::Json => writeln!(to, "{}", show(format, rows, |_| String::new()))?,
    }
    to.flush()
}
