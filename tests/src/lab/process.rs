//! A program that is running, what it has said, and its end.

use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::wait::{self, Watched};

/// A running program in a process group of its own, killed with all its children when dropped.
pub struct Process {
    name: String,
    child: Child,
    said: Arc<Watched<Said>>,
    /// Where it writes to a file, which goes on when we end, instead of telling us.
    log: Option<PathBuf>,
}

#[derive(Default)]
struct Said {
    stdout: String,
    stderr: String,
    /// Streams still open.
    open: usize,
}

/// How a program ended.
#[derive(Clone, Debug)]
pub struct Finished {
    pub name: String,
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    pub fn success(&self) -> bool {
        self.status.success()
    }

    /// The exit status, or 128 and the signal as shells count.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| 128 + self.status.signal().unwrap_or(0))
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ended with {}", self.name, self.code())?;
        for said in [&self.stdout, &self.stderr] {
            if !said.trim().is_empty() {
                write!(f, "\n{}", said.trim_end())?;
            }
        }
        Ok(())
    }
}

impl Process {
    /// Starts a program without input; both of its outputs are kept. It dies with the thread that starts it, however
    /// that ends.
    pub fn start(name: &str, mut command: Command) -> Result<Self> {
        // SAFETY: between fork and exec only a system call is made that takes integers.
        unsafe { command.pre_exec(|| Ok(set_pdeathsig(Signal::SIGKILL)?)) };
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().with_context(|| format!("cannot run `{name}`"))?;
        let said = Arc::new(Watched::new(Said { open: 2, ..Said::default() }));
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        listen(stdout.context("its output is a pipe")?, &said, |said| &mut said.stdout);
        listen(stderr.context("its errors are a pipe")?, &said, |said| &mut said.stderr);
        Ok(Self { name: name.to_owned(), child, said, log: None })
    }

    /// Starts a program whose outputs are both appended to a file, so that it can outlive this process.
    pub fn start_logging(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).process_group(0);
        let child = command.spawn().with_context(|| format!("cannot run `{name}`"))?;
        Ok(Self { name: name.to_owned(), child, said: Arc::default(), log: Some(log.to_owned()) })
    }

    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Everything it has said so far, output before errors.
    pub fn said(&self) -> String {
        if let Some(log) = &self.log {
            return fs::read_to_string(log).unwrap_or_default();
        }
        let said = self.said.read();
        format!("{}{}", said.stdout, said.stderr)
    }

    /// Waits until it has said something, on either stream.
    pub fn wait_to_say(&self, words: &str, within: Duration) -> Result<()> {
        if self.log.is_some() {
            let heard = wait::until("words", within, || {
                let over = ended(self.pid(), Duration::ZERO).unwrap_or(true);
                let found = self.said().contains(words);
                (found || over).then_some(found)
            });
            return self.judge_words(words, heard.ok());
        }
        let heard = self.said.wait(within, |said| {
            let found = said.stdout.contains(words) || said.stderr.contains(words);
            (found || said.open == 0).then_some(found)
        });
        self.judge_words(words, heard)
    }

    fn judge_words(&self, words: &str, heard: Option<bool>) -> Result<()> {
        if heard != Some(true) {
            let how = if heard.is_none() { "did not say" } else { "ended without saying" };
            bail!("`{}` {how} `{words}`, but:\n{}", self.name, self.said());
        }
        Ok(())
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(Pid::from_raw(self.pid()), signal).with_context(|| format!("cannot signal `{}`", self.name))
    }

    /// Waits for its end; one that does not end in time is killed and is an error.
    pub fn finish(mut self, within: Duration) -> Result<Finished> {
        let deadline = Instant::now() + within;
        if !ended(self.pid(), within)? {
            let said = self.said();
            bail!("`{}` did not end within {within:?}, having said:\n{said}", self.name);
        }
        let status = self.child.wait()?;
        // A child of its own may hold the pipes open; what it says is not waited for beyond the deadline.
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(100));
        self.said.wait(left, |said| (said.open == 0).then_some(()));
        let said = self.said.read();
        let (stdout, stderr) = (said.stdout.clone(), said.stderr.clone());
        drop(said);
        Ok(Finished { name: self.name.clone(), status, stdout, stderr })
    }

    /// Ends it with a signal and waits for its end.
    pub fn stop(self, signal: Signal) -> Result<Finished> {
        self.signal(signal)?;
        self.finish(wait::SOON)
    }

    /// Kills it with all its children, and waits for their end: one that has just been forked holds its parent's locks.
    pub fn kill(self) -> Result<Finished> {
        let group = Pid::from_raw(-self.pid());
        kill(group, Signal::SIGKILL).with_context(|| format!("cannot kill `{}`", self.name))?;
        let finished = self.finish(wait::SOON)?;
        wait::until("the end of its children", wait::SOON, || kill(group, None).is_err().then_some(()))?;
        Ok(finished)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An ended program that has been waited for no longer owns its number.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill(Pid::from_raw(-self.pid()), Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

/// Waits for the end of a process with all its threads, without collecting it.
pub fn ended(pid: i32, within: Duration) -> Result<bool> {
    // SAFETY: takes two integers and returns a new descriptor or -1.
    let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) } as i32;
    if descriptor < 0 {
        let error = std::io::Error::last_os_error();
        if error.raw_os_error() == Some(libc::ESRCH) {
            return Ok(true);
        }
        bail!("cannot watch process {pid}: {error}");
    }
    // SAFETY: the kernel has just made the descriptor for us, and nobody else knows it.
    let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
    let [ended] = wait::readable([descriptor.as_fd()], Some(within));
    Ok(ended)
}

fn listen(
    mut stream: impl Read + Send + 'static,
    said: &Arc<Watched<Said>>,
    place: impl Fn(&mut Said) -> &mut String + Send + 'static,
) {
    let said = Arc::clone(said);
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..length]);
            said.change(|said| place(said).push_str(&text));
        }
        said.change(|said| said.open -= 1);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::start(script, command).unwrap()
    }

    #[test]
    fn a_program_ends_with_its_code_and_words() {
        let finished = shell("echo out; echo err >&2; exit 3").finish(wait::SOON).unwrap();
        assert_eq!((finished.code(), finished.stdout.as_str(), finished.stderr.as_str()), (3, "out\n", "err\n"));
        assert_eq!(finished.to_string(), "`echo out; echo err >&2; exit 3` ended with 3\nout\nerr");
    }

    #[test]
    fn one_that_hangs_is_killed_with_its_children() {
        let error = shell("echo started; sleep 1000 & wait").finish(Duration::from_millis(50)).unwrap_err();
        assert!(error.to_string().contains("did not end within 50ms"), "{error}");
    }

    #[test]
    fn its_words_are_heard_while_it_runs() {
        let process = shell("echo ready; exec cat /dev/zero >/dev/null");
        process.wait_to_say("ready", wait::SOON).unwrap();
        assert_eq!(process.stop(Signal::SIGTERM).unwrap().code(), 128 + 15);
        let error = shell("echo no").wait_to_say("yes", wait::SOON).unwrap_err();
        assert!(error.to_string().contains("ended without saying `yes`"), "{error}");
    }
}
