//! API and console of a lab's daemon: who may use them, where they are, and a way to them from outside the lab.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::thread;

use anyhow::{Context as _, Result};

use super::Settings;
use super::namespace::Namespace;

/// Where the console is, in the gateway's namespace.
pub const CONSOLE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8080);
/// Where the API is, likewise.
pub const API: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8081);

/// Somebody who may use them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credential {
    pub secret_id: &'static str,
    pub secret_key: &'static str,
    pub account: &'static str,
    /// `read-write` or `read-only`.
    pub access: &'static str,
}

/// The account that the command line uses where none is named.
pub const USER: Credential =
    Credential { secret_id: "AKIDlab", secret_key: "key-of-the-lab-0001", account: "default", access: "read-write" };

/// Settings of a daemon that serves API and console to them. Its files are in the directory.
pub fn settings(directory: &Path, credentials: &[Credential]) -> Result<Settings> {
    settings_with(directory, credentials, "api_changes_per_second = 0\napi_reads_per_second = 0\n")
}

/// The same with other lines of configuration than that calls are not counted.
pub fn settings_with(directory: &Path, credentials: &[Credential], lines: &str) -> Result<Settings> {
    let file = directory.join("credentials.toml");
    admit(&file, credentials)?;
    let config = directory.join("eipgate.toml");
    let text = format!(
        "credentials = \"{}\"\nconsole_listen = \"{CONSOLE}\"\napi_listen = \"{API}\"\n{lines}",
        file.display()
    );
    fs::write(&config, text).with_context(|| format!("cannot write {}", config.display()))?;
    Ok(Settings { more: vec!["--config".into(), config.display().to_string()], ..Settings::default() })
}

/// Writes the file of those who may use them, in place of an earlier one.
pub fn admit(file: &Path, credentials: &[Credential]) -> Result<()> {
    let entry = |credential: &Credential| {
        let Credential { secret_id, secret_key, account, access } = credential;
        format!(
            "[[credential]]\nsecret_id = \"{secret_id}\"\nsecret_key = \"{secret_key}\"\naccount = \"{account}\"\n\
             access = \"{access}\"\n"
        )
    };
    let next = file.with_extension("next");
    fs::write(&next, credentials.iter().map(entry).collect::<String>())?;
    fs::set_permissions(&next, fs::Permissions::from_mode(0o600))?;
    fs::rename(&next, file).with_context(|| format!("cannot write {}", file.display()))
}

/// Lets whoever connects to an address here talk to one in the namespace, until the process ends.
pub fn lead(from: &TcpListener, namespace: &Namespace, to: SocketAddrV4) -> Result<()> {
    loop {
        let (outer, _) = from.accept().context("cannot accept a connection")?;
        // Where nobody listens any more, the one who asked is told by the end of the connection.
        let Ok(inner) = namespace.run(|| TcpStream::connect(to)) else { continue };
        let (outer_too, inner_too) = (outer.try_clone()?, inner.try_clone()?);
        thread::spawn(move || carry(outer, inner));
        thread::spawn(move || carry(inner_too, outer_too));
    }
}

/// Carries what one says to the other, to its end.
fn carry(mut from: TcpStream, mut to: TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}
