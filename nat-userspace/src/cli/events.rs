//! `eipgate events`.

use std::io::{self, ErrorKind, Write as _};
use std::ops::ControlFlow;
use std::process::ExitCode;

use super::Context;
use super::failure::Failure;
use super::output::Format;
use crate::admin::wire::EventRow;

/// Show what happened, one event on each line; with `-o json`, one object on each line.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Every event has a revision that is higher than all before it. Whoever notes the last one it has seen goes on after it
with --since and misses nothing.

Examples:
  eipgate events
  eipgate events --follow -o json
  eipgate events --follow --since 4711 -o json")]
pub(super) struct Args {
    /// Go on with each event that happens.
    #[arg(long)]
    follow: bool,

    /// Begin after this revision; 0 is before the first. [default: 0, and with --follow the present one]
    #[arg(long, value_name = "REV")]
    since: Option<u64>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let since = args.since.or((!args.follow).then_some(0));
    let mut failure = None;
    let mut stdout = io::stdout().lock();
    context.client.events(since, args.follow, &mut |event| {
        let text = match context.format {
            Format::Table => line(&event),
            Format::Json => serde_json::to_string(&event).expect("rows have string keys only"),
        };
        // Each line at once: somebody waits for it.
        match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failure = (error.kind() != ErrorKind::BrokenPipe).then_some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    match failure {
        None => Ok(ExitCode::SUCCESS),
        Some(error) => Err(Failure { status: 1, sentence: format!("cannot print: {error}") }),
    }
}

pub(super) fn line(event: &EventRow) -> String {
    let mut text = format!("{} {} {}", event.revision, event.at, event.event);
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            text.push_str(&format!(" {name}={value}"));
        }
    };
    add("address", event.address.map(|address| address.to_string()));
    add("eip", event.eip_id.clone());
    add("instance", event.instance_id.clone());
    add("name", event.instance_name.clone());
    add("private", event.private_ip.map(|address| address.to_string()));
    add("vpc", event.vpc.clone());
    add("account", event.account.clone());
    add("pool", event.pool.clone());
    add("reason", event.reason.as_ref().map(|reason| format!("{reason:?}")));
    add("state", event.state.clone());
    add("detail", event.detail.as_ref().map(|detail| format!("{detail:?}")));
    text
}
