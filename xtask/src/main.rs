//! The project's own commands: `cargo xtask setup | build | test | ci | tidy | lab | demo | bench | deb`.
//!
//! One file per subcommand; `shell` runs programs, `step` announces them, `workspace` knows where things are.
//! Every command that compiles or runs something first brings what is missing of `setup`.

mod bench;
mod build;
mod ci;
mod deb;
mod demo;
mod lab;
mod privilege;
mod setup;
mod shell;
mod step;
mod test;
mod tidy;
mod vm;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Set up, build, test and try out eipgate.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    disable_help_subcommand = true,
    after_help = "\
On a fresh Debian 12 machine, as root:
  cargo xtask setup    bring compiler, linker and programs
  cargo xtask demo     see the gateway work in network namespaces
  cargo xtask test     run every test

From a user's account: sudo -E env \"PATH=$PATH\" cargo xtask ...
Every command that builds or runs something brings what is missing of setup first."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Bring everything that building and testing need; a second run only checks
    Setup(setup::Args),
    /// Build the `eipgate` binary, its eBPF program included
    Build(build::Args),
    /// Build eipgate and run every test; the kernel tests need root
    Test(test::Args),
    /// Run exactly what CI runs: format, lints, tidy, documentation, tests
    Ci(ci::Args),
    /// Check the repository's own rules
    Tidy(tidy::Args),
    /// Put up, enter and take down the lab: a gateway between namespaces that play Internet and instances
    Lab(lab::Args),
    /// Show the gateway at work in the lab, step by step
    Demo(demo::Args),
    /// Measure eipgate beside other gateways, in network namespaces
    Bench(bench::Args),
    /// Build a Debian package and say where it is
    Deb(deb::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Setup(args) => setup::run(&args),
        Command::Build(args) => build::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Ci(args) => ci::run(&args),
        Command::Tidy(args) => tidy::run(&args),
        Command::Lab(args) => lab::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Deb(args) => deb::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Cli;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
