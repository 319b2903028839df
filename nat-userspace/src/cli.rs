//! The command line: what it accepts, where each command goes, and what it ends with.

mod detach;
mod eip;
mod failure;
mod instance;
mod map;
mod monitor;
mod output;
mod pool;
mod run;
mod status;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::address::AccountId;
use crate::admin::client::Client;
use crate::config::{DEFAULT_BPF_DIR, DEFAULT_SOCKET, DEFAULT_STATE_DIR};

use self::failure::Failure;
use self::output::Format;

/// A gateway for public IP addresses: it translates one-to-one between them and the private addresses of instances.
#[derive(Debug, Parser)]
#[command(
    name = "eipgate",
    version,
    propagate_version = true,
    after_help = "\
Examples:
  eipgate run --uplink eth0 --downlink eth1 --pool 198.51.100.0/24
  eipgate instance create --private-ip 10.0.0.5 --name web --bandwidth 5
  eipgate eip allocate
  eipgate eip bind eip-7f3k2q9x web
  eipgate status

Exit status: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 conflict with the present state, 5 daemon not reachable,
6 degraded (of `status`)."
)]
pub struct Cli {
    /// The account to act for.
    #[arg(long, global = true, env = "EIPGATE_ACCOUNT", default_value = "default", value_name = "ACCOUNT")]
    account: AccountId,

    /// The daemon's socket. [default: /run/eipgate/eipgate.sock, for `run` as configured]
    #[arg(long, global = true, env = "EIPGATE_SOCKET", value_name = "PATH")]
    socket: Option<PathBuf>,

    /// How to print.
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    output: Format,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway in the foreground.
    Run(run::Args),
    /// Instances: what has a private address behind the gateway.
    #[command(subcommand)]
    Instance(instance::Command),
    /// Elastic IPs: public addresses that an account keeps until it releases them.
    #[command(subcommand)]
    Eip(eip::Command),
    /// The public ranges that addresses are handed out of.
    #[command(subcommand)]
    Pool(pool::Command),
    /// How the daemon and its data plane are.
    Status(status::Args),
    /// Show packets as the program judged them.
    Monitor(monitor::Args),
    /// The pinned maps themselves, with or without a daemon.
    Map(map::Args),
    /// Put up the guard alone, before the daemon runs: nothing is forwarded and nothing private shown until then.
    #[command(
        after_help = "Takes the options of `run` and reads the same configuration.\n\nExamples:\n  eipgate guard\n  \
                            eipgate guard --uplink eth0 --downlink eth1 --pool 198.51.100.0/24"
    )]
    Guard(run::Args),
    /// Take the program, its maps and the guard off this machine. Traffic stops.
    Detach(detach::Args),
}

/// What every command gets.
#[derive(Debug)]
struct Context {
    account: String,
    client: Client,
    format: Format,
}

/// Reads the command line, does what it says, and answers with the exit status.
pub fn main() -> ExitCode {
    execute(Cli::parse()).unwrap_or_else(|failure| {
        eprintln!("eipgate: {failure}");
        failure.exit_code()
    })
}

fn execute(cli: Cli) -> Result<ExitCode, Failure> {
    let Cli { account, socket, output, command } = cli;
    if let Command::Run(args) = command {
        return run::run(args, socket);
    }
    if let Command::Guard(args) = command {
        return run::guard(args);
    }
    let client = Client::new(socket.unwrap_or_else(|| DEFAULT_SOCKET.into()));
    let context = Context { account: account.to_string(), client, format: output };
    let shown = match command {
        Command::Run(_) | Command::Guard(_) => unreachable!("done above"),
        Command::Instance(command) => instance::run(command, &context)?,
        Command::Eip(command) => eip::run(command, &context)?,
        Command::Pool(command) => pool::run(&command, &context)?,
        Command::Status(args) => return status::run(&args, &context),
        Command::Monitor(args) => return monitor::run(&args, &context),
        Command::Map(args) => return map::run(&args, &context),
        Command::Detach(args) => return detach::run(&args, &context),
    };
    output::print(&shown)?;
    Ok(ExitCode::SUCCESS)
}
