//! `eipgate check`: the three views of the gateway's state, each by itself and against the others.

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use anyhow::anyhow;

use super::Context;
use super::failure::{DEGRADED, Failure};
use super::output::{print, show};
use crate::admin::client::ClientError;
use crate::admin::wire::{HostRow, Request};
use crate::dataplane::Host;
use crate::gateway::{self, Report, Severity};

/// How often the views are looked at while a daemon changes them, and how long it has in between.
const LOOKS: usize = 5;
const PAUSE: Duration = Duration::from_millis(200);

/// Look for anything wrong: in the stored file and its tables, in what they say, in the pinned maps, and between them
/// and the ledger of a daemon that runs. Changes nothing. Ends with status 0 when all is well, 6 when what was found
/// mends itself at the next start, and 1 when it does not.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  eipgate check\n  eipgate check -o json | jq '.findings[].what'")]
pub(super) struct Args {
    /// Where the daemon keeps its state. [default: as configured, else /var/lib/eipgate]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,

    /// Where the program and its maps are pinned. [default: as configured, else /run/eipgate/bpf]
    #[arg(long, value_name = "DIR")]
    bpf_dir: Option<PathBuf>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let at = Places {
        state_dir: context.places.state_dir(args.state_dir.as_deref())?,
        bpf_dir: context.places.bpf_dir(args.bpf_dir.as_deref())?,
    };
    let mut report = look(&at, context)?;
    // What is under way looks like a difference; what is one stays.
    for _ in 1..LOOKS {
        if report.findings.is_empty() || !report.daemon {
            break;
        }
        sleep(PAUSE);
        let again = look(&at, context)?;
        let seen = std::mem::replace(&mut report, again).findings;
        report.findings.retain(|finding| seen.contains(finding));
    }
    if !report.daemon && !report.maps && !report.stored {
        let (state, maps) = (at.state_dir.display(), at.bpf_dir.display());
        return Err(anyhow!(
            "there is nothing to check: no state in {state}, no maps in {maps}, and no daemon answers; are --state-dir, \
             --bpf-dir and --socket right?"
        )
        .into());
    }
    print(&show(context.format, &report, page))?;
    Ok(match report.worst() {
        None => ExitCode::SUCCESS,
        Some(Severity::Warning) => ExitCode::from(DEGRADED),
        Some(Severity::Failure) => ExitCode::FAILURE,
    })
}

/// Where it looks.
struct Places {
    state_dir: PathBuf,
    bpf_dir: PathBuf,
}

fn look(at: &Places, context: &Context) -> Result<Report, Failure> {
    let ledger = match context.client.ask::<Vec<HostRow>>(&Request::HostList {}) {
        Ok(rows) => Some(rows.into_iter().map(host).collect::<Result<Vec<_>, _>>()?),
        Err(ClientError::Unreachable { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    Ok(gateway::check(&at.state_dir, &at.bpf_dir, ledger)?)
}

fn host(row: HostRow) -> Result<Host, Failure> {
    let vpc = row.vpc.parse().map_err(anyhow::Error::from)?;
    Ok(Host { vpc, private: row.private_ip, public: row.public_ip })
}

fn page(report: &Report) -> String {
    let mut lines: Vec<String> = report
        .findings
        .iter()
        .map(|finding| format!("{} ({}): {}", finding.severity, finding.area, finding.what))
        .collect();
    lines.extend(report.notes.iter().map(|note| format!("note: {note}")));
    lines.push(match report.findings.len() {
        0 => format!("{} instances and {} pairs: nothing is wrong", report.instances, report.pairs),
        1 => "1 finding".to_owned(),
        count => format!("{count} findings"),
    });
    lines.join("\n")
}
