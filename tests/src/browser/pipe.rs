//! The DevTools protocol through pipes: JSON messages, each ended by a zero byte.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::PATIENCE;
use crate::lab::wait::{Watched, locked};

/// Both ends of the conversation, and the browser.
pub(super) struct Pipe {
    browser: Child,
    log: PathBuf,
    says: Mutex<ChildStdin>,
    heard: Arc<Watched<Heard>>,
    next: AtomicU64,
}

#[derive(Default)]
struct Heard {
    answers: BTreeMap<u64, Value>,
    events: Vec<Value>,
    over: bool,
}

impl Pipe {
    /// Starts the browser, which hears at its input and answers at its output.
    pub(super) fn start(mut command: Command, log: &Path) -> Result<Pipe> {
        let errors = File::options().create(true).append(true).open(log)?;
        // In a group of its own, for it has many children. It ends by itself when its input does.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors).process_group(0);
        let mut browser =
            command.spawn().context("cannot run chromium: `cargo xtask setup` brings it where it is missing")?;
        let says = browser.stdin.take().context("its input is a pipe")?;
        let answers = browser.stdout.take().context("its output is a pipe")?;
        let heard = Arc::<Watched<Heard>>::default();
        let hearing = Arc::clone(&heard);
        thread::spawn(move || {
            let mut messages = BufReader::new(answers).split(0);
            while let Some(Ok(message)) = messages.next() {
                let Ok(message) = serde_json::from_slice::<Value>(&message) else { continue };
                hearing.change(|heard| match message["id"].as_u64() {
                    Some(id) => drop(heard.answers.insert(id, message)),
                    None => heard.events.push(message),
                });
            }
            hearing.change(|heard| heard.over = true);
        });
        Ok(Pipe { browser, log: log.to_owned(), says: Mutex::new(says), heard, next: AtomicU64::new(1) })
    }

    /// Asks for something and waits for the answer.
    pub(super) fn call(&self, session: Option<&str>, method: &str, params: Value) -> Result<Value> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut message = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        locked(&self.says).write_all(&bytes).with_context(|| self.said("is gone"))?;
        let answer = self.heard.wait(PATIENCE, |heard| {
            let answer = heard.answers.remove(&id);
            if answer.is_none() && heard.over { Some(None) } else { answer.map(Some) }
        });
        let Some(Some(mut answer)) = answer else { bail!("{method}: {}", self.said("did not answer")) };
        if let Some(error) = answer.get("error") {
            bail!("{method}: {error}");
        }
        Ok(answer["result"].take())
    }

    /// What it told unasked since this was asked last.
    pub(super) fn take_events(&self) -> Vec<Value> {
        self.heard.change(|heard| std::mem::take(&mut heard.events))
    }

    fn said(&self, how: &str) -> String {
        format!("the browser {how}; it has said:\n{}", fs::read_to_string(&self.log).unwrap_or_default())
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(-(self.browser.id() as i32)), Signal::SIGKILL);
        let _ = self.browser.wait();
    }
}
