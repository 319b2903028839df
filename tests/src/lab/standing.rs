//! The lab that stands until it is told to go: put up by one process, entered and taken down by others.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::namespace::Namespace;
use super::remains::{Remains, Undo};
use super::{Lab, edges};
use crate::clients;

/// What the namespaces of the standing lab are named after; no process's number, so nothing sweeps it.
pub const NAME: &str = "eg-lab";

fn file() -> PathBuf {
    Path::new("/run/eipgate-lab").join(format!("{NAME}.json"))
}

/// What is known of a standing lab.
pub struct Standing {
    remains: Remains,
    socket: String,
}

impl Standing {
    /// The lab that stands at present.
    pub fn find() -> Result<Self> {
        let Ok(text) = fs::read_to_string(file()) else { bail!("no lab stands; `cargo xtask lab up` puts one up") };
        let value: Value = serde_json::from_str(&text).with_context(|| format!("{} is damaged", file().display()))?;
        let remains = Remains::from_json(&value["remains"]).context("its file does not say what it consists of")?;
        Ok(Self { remains, socket: value["socket"].as_str().unwrap_or_default().to_owned() })
    }

    pub fn hosts(&self) -> Vec<String> {
        let prefix = format!("{}-", self.remains.name);
        self.remains.namespaces.iter().map(|name| name.strip_prefix(&prefix).unwrap_or(name).to_owned()).collect()
    }

    fn host(&self, host: &str) -> Result<Namespace> {
        let hosts = self.hosts();
        ensure!(hosts.iter().any(|other| other == host), "no host `{host}` in the lab; there are {}", hosts.join(", "));
        Ok(Namespace::named(format!("{}-{host}", self.remains.name)))
    }

    /// The IPv4 addresses of a host, as `ip` shows them: interface and address.
    pub fn addresses(&self, host: &str) -> Result<Vec<(String, String)>> {
        let text = self.host(host)?.tell(&["ip", "-o", "-4", "addr", "show", "scope", "global"])?;
        let words = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        Ok(words.filter(|words| words.len() > 3).map(|words| (words[1].to_owned(), words[3].to_owned())).collect())
    }

    /// Becomes a program on a host, or a shell. `eipgate` there talks to the lab's daemon.
    pub fn enter(&self, host: &str, command: &[String]) -> Result<()> {
        let namespace = self.host(host)?;
        let shell = [std::env::var("SHELL").unwrap_or_else(|_| "/bin/sh".into())];
        let words: Vec<&str> = if command.is_empty() { &shell } else { command }.iter().map(String::as_str).collect();
        let mut command = namespace.command(&words);
        command.env("EIPGATE_SOCKET", &self.socket).env("EIPGATE_LAB_HOST", host);
        let mut path = std::env::var("PATH").unwrap_or_default();
        if let Some(directory) = Path::new(&super::daemon::binary()).parent() {
            path = format!("{}:{path}", directory.display());
        }
        // Last, because its environment has a Python of its own.
        path = format!("{path}:{}", clients::installed("cloud-cli").join("bin").display());
        command.envs(clients::environment(edges::USER));
        Err(command.env("PATH", path).exec()).with_context(|| format!("cannot run {} on {host}", words.join(" ")))
    }

    /// Lets a browser outside the lab open its console at this port, until the process ends.
    pub fn lead_to_console(&self, port: u16) -> Result<()> {
        let gateway = self.host("gateway")?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .with_context(|| format!("port {port} cannot be had; choose another with --port"))?;
        let edges::Credential { secret_id, secret_key, .. } = edges::USER;
        println!("The console is at http://{}/ until this ends.", listener.local_addr()?);
        println!("Secret ID   {secret_id}\nSecret key  {secret_key}");
        edges::lead(&listener, &gateway, edges::CONSOLE)
    }

    /// Removes all of it.
    pub fn take_down(self) -> Result<()> {
        let removed = self.remains.with_inhabitants().remove();
        fs::remove_file(file()).with_context(|| format!("cannot remove {}", file().display()))?;
        removed
    }
}

/// Puts the lab up, with the daemon serving and two of its instances known to it.
pub fn put_up(undo: &Undo) -> Result<Lab> {
    ensure_none_stands()?;
    let lab = Lab::builder().named(NAME).undone_by(undo).build()?;
    lab.daemon.start(edges::settings(&lab.directory, &[edges::USER])?)?;
    Ok(lab)
}

/// Refuses where a lab stands already.
pub fn ensure_none_stands() -> Result<()> {
    if file().exists() {
        bail!("a lab stands already; `cargo xtask lab down` takes it down");
    }
    Ok(())
}

/// Leaves a lab standing for `lab enter` and `lab down`.
pub fn leave(lab: Lab) -> Result<Standing> {
    let socket = lab.daemon.socket().display().to_string();
    let remains = lab.leave().context("the lab is being taken down")?;
    let text = json!({ "remains": remains.to_json(), "socket": socket });
    let written = file().parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(file(), text.to_string()));
    if let Err(error) = written {
        let _ = remains.remove();
        return Err(error).with_context(|| format!("cannot write {}", file().display()));
    }
    Ok(Standing { remains, socket })
}

/// What a user is told of the console.
pub fn about_the_console() -> String {
    let edges::Credential { secret_id, secret_key, .. } = edges::USER;
    format!(
        "http://{}/  while `cargo xtask lab console` runs; secret ID {secret_id}, secret key {secret_key}",
        edges::CONSOLE
    )
}

/// How a user calls the API.
pub fn about_the_api() -> String {
    format!("cargo xtask lab enter gateway tccli vpc DescribeAddresses --endpoint http://{}", edges::API)
}

/// The command by which a user looks around.
pub fn how_to_enter(host: &str) -> String {
    format!("cargo xtask lab enter {host}")
}
