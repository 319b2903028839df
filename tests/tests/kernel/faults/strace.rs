//! A tracer that lets the daemon's calls fail, or the daemon die of them.

use std::process::Command;

use lab::lab::process::Process;
use lab::lab::{Lab, SOON};

/// A tracer of the running daemon, which meddles with its calls from now on.
pub(crate) struct Meddling {
    tracer: Process,
    log: std::path::PathBuf,
}

/// Lets calls of the daemon fail or kill it: `what` is what strace calls an injection, like
/// `fdatasync:error=EIO:when=1`.
pub(crate) fn meddle(lab: &Lab, what: &str) -> Meddling {
    let log = lab.directory.join("strace.log");
    let pid = lab.daemon.pid().expect("the daemon runs").to_string();
    let calls = what.split(':').next().unwrap();
    let mut command = Command::new("strace");
    command.args(["-f", "-o"]).arg(&log);
    command.args(["-e", &format!("trace={calls}"), "-e", &format!("inject={what}"), "-p", &pid]);
    let tracer = Process::start("strace", command).unwrap();
    tracer.wait_to_say("attached", SOON).unwrap();
    Meddling { tracer, log }
}

impl Meddling {
    /// Lets go of the daemon, and says which calls were meddled with.
    pub(crate) fn end(self) -> Vec<String> {
        // Asked politely it waits for every thread of the daemon to stop first, which may take long; each line of its log
        // is written when it is whole.
        self.tracer.kill().unwrap();
        let said = std::fs::read_to_string(&self.log).unwrap_or_default();
        let meddled = |line: &&str| ["(INJECTED)", "(DELAYED)", "SIGKILL"].iter().any(|mark| line.contains(mark));
        said.lines().filter(meddled).map(str::to_owned).collect()
    }
}
