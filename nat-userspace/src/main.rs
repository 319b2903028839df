//! The `eipgate` binary: daemon and command line in one.

use std::process::ExitCode;

fn main() -> ExitCode {
    nat_userspace::cli::main()
}
