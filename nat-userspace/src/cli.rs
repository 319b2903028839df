//! The command line: what it accepts, where each command goes, and what it ends with.

mod address;
mod announce;
mod backup;
mod check;
mod config;
mod credential;
mod detach;
mod doctor;
mod documents;
mod eip;
mod events;
mod explain;
mod export;
mod failure;
mod history;
mod import;
mod instance;
mod log;
mod map;
mod monitor;
mod output;
mod package;
mod pairs;
mod places;
mod pool;
mod progress;
mod run;
mod service;
mod status;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::address::AccountId;
use crate::admin::client::Client;

use self::failure::Failure;
use self::output::Format;
use self::places::Places;

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
6 degraded (of `status`, and of `check` where the next start mends it)."
)]
pub struct Cli {
    /// The account to act for.
    #[arg(long, global = true, env = "EIPGATE_ACCOUNT", default_value = "default", value_name = "ACCOUNT")]
    account: AccountId,

    /// The daemon's configuration; what else is given on the command line wins over it. [default:
    /// /etc/eipgate/eipgate.toml if it exists]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    /// The daemon's socket. [default: as configured, else /run/eipgate/eipgate.sock]
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
    /// Bandwidth packages: totals that several addresses share.
    #[command(subcommand)]
    Package(package::Command),
    /// What the account has used up of what it may have.
    #[command(after_help = "Examples:\n  eipgate quota\n  eipgate quota --account alice -o json")]
    Quota,
    /// The public ranges that addresses are handed out of.
    #[command(subcommand)]
    Pool(pool::Command),
    /// Public addresses themselves: out of service, and in again.
    #[command(subcommand)]
    Address(address::Command),
    /// Who had which address, from when to when.
    History(history::Args),
    /// What happened, and what happens.
    Events(events::Args),
    /// Make many pairs at once, as another gateway had them.
    Import(import::Args),
    /// Write the account's pairs as `import` reads them.
    Export(export::Args),
    /// Tell the links that bound addresses are here now.
    Announce(announce::Args),
    /// The configuration: judge a file, or have the daemon read its own again.
    #[command(subcommand)]
    Config(config::Command),
    /// Who may use the API and the console.
    #[command(subcommand)]
    Credential(credential::Command),
    /// How the daemon and its data plane are.
    Status(status::Args),
    /// Show packets as the program judged them.
    Monitor(monitor::Args),
    /// What would become of a packet, and why.
    Explain(explain::Args),
    /// The pinned maps themselves, with or without a daemon.
    Map(map::Args),
    /// Copy the stored state into a file, also while the daemon runs.
    Backup(backup::Args),
    /// Look for anything wrong in the store, the ledger and the maps, with or without a daemon.
    Check(check::Args),
    /// Put up the guard alone, before the daemon runs: nothing is forwarded and nothing private shown until then.
    #[command(
        after_help = "Takes the options of `run` and reads the same configuration.\n\nExamples:\n  eipgate guard\n  \
                            eipgate guard --uplink eth0 --downlink eth1 --pool 198.51.100.0/24"
    )]
    Guard(run::Args),
    /// Check that this machine is fit to be the gateway, and say what mends it.
    #[command(
        after_help = "Takes the options of `run` and reads the same configuration. Exit status: 0 all is well, 1 a warning, \
                            2 a failure.\n\nExamples:\n  eipgate doctor\n  eipgate doctor --config /etc/eipgate/eipgate.toml -o json"
    )]
    Doctor(run::Args),
    /// Take the program, its maps and the guard off this machine. Traffic stops.
    Detach(detach::Args),
    /// Print the completions of a shell.
    Completions(documents::Completions),
    /// Write the manual pages of all commands, as packages do.
    #[command(hide = true)]
    Man(documents::Man),
}

/// What every command gets.
#[derive(Debug)]
struct Context {
    account: String,
    client: Client,
    format: Format,
    /// The daemon's configuration, where one is named.
    config: Option<PathBuf>,
    places: Places,
}

/// Reads the command line, does what it says, and answers with the exit status.
pub fn main() -> ExitCode {
    execute(Cli::parse()).unwrap_or_else(|failure| {
        eprintln!("eipgate: {failure}");
        failure.exit_code()
    })
}

fn execute(cli: Cli) -> Result<ExitCode, Failure> {
    let Cli { account, config, socket, output, command } = cli;
    if let Command::Run(args) = command {
        return run::run(args, config, socket);
    }
    if let Command::Guard(args) = command {
        return run::guard(args, config);
    }
    let places = Places::of(config.as_deref());
    let client = Client::new(places.socket(socket)?);
    let context = Context { account: account.to_string(), client, format: output, config, places };
    let shown = match command {
        Command::Doctor(args) => return doctor::run(&run::config(args, context.config.clone())?, &context),
        Command::Run(_) | Command::Guard(_) => unreachable!("done above"),
        Command::Instance(command) => instance::run(command, &context)?,
        Command::Eip(command) => eip::run(command, &context)?,
        Command::Package(command) => package::run(command, &context)?,
        Command::Quota => package::quota(&context)?,
        Command::Pool(command) => pool::run(command, &context)?,
        Command::Address(command) => address::run(command, &context)?,
        Command::History(args) => history::run(args, &context)?,
        Command::Events(args) => return events::run(&args, &context),
        Command::Import(args) => import::run(&args, &context)?,
        Command::Export(args) => return export::run(&args, &context),
        Command::Announce(args) => announce::run(args, &context)?,
        Command::Status(args) => return status::run(&args, &context),
        Command::Monitor(args) => return monitor::run(&args, &context),
        Command::Explain(args) => return explain::run(&args, &context),
        Command::Map(args) => return map::run(&args, &context),
        Command::Backup(args) => return backup::run(&args, &context),
        Command::Check(args) => return check::run(&args, &context),
        Command::Detach(args) => return detach::run(&args, &context),
        Command::Config(command) => return config::run(command, &context),
        Command::Credential(command) => credential::run(command, &context)?,
        Command::Completions(args) => return documents::completions(&args),
        Command::Man(args) => return documents::man(&args),
    };
    output::print(&shown)?;
    Ok(ExitCode::SUCCESS)
}
