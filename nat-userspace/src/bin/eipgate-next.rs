//! `eipgate` as the version after this one would be, with another layout of the maps: what upgrades are tested with.

use std::process::ExitCode;

fn main() -> ExitCode {
    nat_userspace::cli::main()
}
