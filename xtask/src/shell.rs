//! Running programs: shown before they run, explained when they fail.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};

use crate::step::{Step, duration};
use crate::workspace;

/// Administration directories that an ordinary user's `PATH` leaves out.
const ADMIN_DIRS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// A program with its arguments, run from the workspace root.
pub(crate) struct Run {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
}

impl Run {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        Self { program: program.as_ref().to_owned(), args: Vec::new(), env: Vec::new() }
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// As one would type it, without what every command gets.
    pub(crate) fn shown(&self) -> String {
        let mut words: Vec<String> = Vec::new();
        for (name, value) in self.env.iter().filter(|(name, _)| name != "PATH") {
            words.push(format!("{}={}", name.display(), quoted(value)));
        }
        words.push(quoted(&self.program));
        words.extend(self.args.iter().map(|arg| quoted(arg)));
        words.join(" ")
    }

    /// Shows the command and runs it with this terminal's input and output.
    pub(crate) fn run(self) -> Result<()> {
        println!("$ {}", self.shown());
        let status = self.command().status().with_context(|| self.not_started())?;
        if status.success() { Ok(()) } else { Err(anyhow!("`{}` failed ({status})", self.shown())) }
    }

    /// What the program says on its output; nothing is shown.
    pub(crate) fn output(self) -> Result<String> {
        let output = self.command().stdin(Stdio::null()).output().with_context(|| self.not_started())?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("`{}` failed ({}): {}", self.shown(), output.status, said.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs the program with its words going to `log`, its last line shown as progress, and the end of the log in the
    /// error when it fails or takes longer than `limit`.
    pub(crate) fn run_logged(self, step: &mut Step, log: &Path, limit: Option<Duration>) -> Result<()> {
        if let Some(dir) = log.parent() {
            fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        }
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot write the log {}", log.display()))?;
        let start = file.seek(SeekFrom::End(0))?;
        let mut child = self
            .command()
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| self.not_started())?;
        let started = Instant::now();
        loop {
            if let Some(status) = child.try_wait()? {
                if status.success() {
                    return Ok(());
                }
                bail!("`{}` failed ({status}); the end of {}:\n{}", self.shown(), log.display(), tail(log, start, 20));
            }
            if let Some(limit) = limit
                && started.elapsed() > limit
            {
                child.kill()?;
                child.wait()?;
                bail!("`{}` did not finish within {}", self.shown(), duration(limit));
            }
            step.progress(tail(log, start, 1).trim());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Becomes the program: Ctrl-C and every other signal go to it, and its exit status is ours.
    pub(crate) fn exec(self) -> Result<()> {
        let error = self.command().exec();
        Err(error).with_context(|| self.not_started())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args).current_dir(workspace::root());
        // `cargo run` describes xtask to us in these; a cargo we start would take them for its own and rebuild.
        for (name, _) in env::vars_os() {
            if name.to_str().is_some_and(is_about_xtask) {
                command.env_remove(name);
            }
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    fn not_started(&self) -> String {
        format!("cannot start `{}`: is {} installed and on PATH?", self.shown(), self.program.display())
    }
}

/// A cargo of the toolchain this xtask was started with.
pub(crate) fn cargo<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Run {
    Run::new("cargo").args(args)
}

/// Where a shell, root's included, would find `program`.
pub(crate) fn find_program(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = env::split_paths(&path).chain(ADMIN_DIRS.iter().map(PathBuf::from));
    find_in(dirs, program)
}

pub(crate) fn find_in(dirs: impl IntoIterator<Item = PathBuf>, program: &str) -> Option<PathBuf> {
    dirs.into_iter().map(|dir| dir.join(program)).find(|file| is_executable(file))
}

/// `PATH` with `dir` before everything else.
pub(crate) fn path_with(dir: &Path) -> Result<OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = std::iter::once(dir.to_owned()).chain(env::split_paths(&path));
    env::join_paths(dirs).with_context(|| format!("{} cannot stand in PATH", dir.display()))
}

pub(crate) fn is_executable(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn is_about_xtask(name: &str) -> bool {
    name == "CARGO"
        || name.starts_with("CARGO_PKG_")
        || name.starts_with("CARGO_MANIFEST_")
        || name.starts_with("CARGO_BIN_")
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.into_owned() } else { format!("'{word}'") }
}

/// The last lines of what was written to `log` since `start`.
fn tail(log: &Path, start: u64, lines: usize) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let end = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(start.max(end.saturating_sub(8192))))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        Ok(text)
    };
    let text = read().unwrap_or_default();
    last_lines(&String::from_utf8_lossy(&text), lines)
}

fn last_lines(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.split(['\n', '\r']).filter(|line| !line.trim().is_empty()).collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::{Run, find_in, is_about_xtask, last_lines};

    #[test]
    fn a_command_is_shown_as_typed() {
        let run = Run::new("cargo").args(["doc", "a b"]).env("RUSTDOCFLAGS", "-D warnings").env("PATH", "/x:/y");
        assert_eq!(run.shown(), "RUSTDOCFLAGS='-D warnings' cargo doc 'a b'");
    }

    #[test]
    fn a_failing_command_names_itself() {
        let error = Run::new("false").args(["now"]).output().unwrap_err().to_string();
        assert!(error.contains("`false now` failed (exit status: 1)"), "{error}");
        let error = Run::new("no-such-program").output().unwrap_err().to_string();
        assert!(error.contains("is no-such-program installed"), "{error}");
    }

    #[test]
    fn a_program_is_found_only_where_it_is_executable() {
        assert!(find_in(["/nonexistent".into(), "/bin".into()], "sh").is_some());
        assert_eq!(find_in(["/etc".into()], "passwd"), None);
        assert_eq!(find_in(["/nonexistent".into()], "sh"), None);
    }

    #[test]
    fn the_last_lines_skip_blanks_and_carriage_returns() {
        assert_eq!(last_lines("a\nb\n\n10%\r20%\n", 2), "10%\n20%");
        assert_eq!(last_lines("", 2), "");
    }

    #[test]
    fn only_what_describes_xtask_is_hidden_from_cargo() {
        assert!(is_about_xtask("CARGO_PKG_NAME"));
        assert!(!is_about_xtask("CARGO_HOME"));
        assert!(!is_about_xtask("CARGO_TARGET_DIR"));
    }
}
