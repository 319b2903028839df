//! The file of credentials, which nobody but the daemon may read.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, ensure};
use nix::unistd::geteuid;
use serde::Deserialize;

use super::{Access, Credential, Credentials};
use crate::address::AccountId;

/// The most bytes a file may have; some hundred thousand credentials.
const LARGEST: u64 = 32 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    #[serde(default, rename = "credential")]
    credentials: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    secret_id: String,
    secret_key: String,
    account: String,
    access: Access,
}

pub(super) fn read(path: &Path) -> Result<Credentials> {
    let (text, _) = content(path)?;
    parse(&text).with_context(|| format!("the credentials {} are wrong", path.display()))
}

/// What is in the file, where nobody but root and we can have put it there.
pub(super) fn content(path: &Path) -> Result<(String, Metadata)> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("cannot read the credentials {shown}"))?;
    // Asked of the open file: what is judged is what is read.
    let found = file.metadata().with_context(|| format!("cannot look at the credentials {shown}"))?;
    let owner = found.uid();
    ensure!(
        owner == 0 || owner == geteuid().as_raw(),
        "the credentials {shown} belong to user {owner}, who could change them; make root their owner"
    );
    ensure!(
        found.mode() & 0o077 == 0,
        "the credentials {shown} are open to others than their owner; run chmod 600 {shown}"
    );
    let mut text = String::new();
    file.take(LARGEST).read_to_string(&mut text).with_context(|| format!("cannot read the credentials {shown}"))?;
    Ok((text, found))
}

pub(super) fn parse(text: &str) -> Result<Credentials> {
    // The parser's own message quotes the line, which may hold a key.
    let content: Content = toml::from_str(text).map_err(|error| {
        let line =
            error.span().map_or(1, |span| text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1);
        anyhow!("line {line}: {}", unquoted(error.message()))
    })?;
    let credentials = content.credentials.into_iter().map(|entry| {
        let account: AccountId = entry.account.parse()?;
        Credential::new(entry.secret_id, entry.secret_key, account, entry.access)
    });
    Credentials::new(credentials.collect::<Result<Vec<_>>>()?)
}

/// Its first line, which says what is wrong and not with which text.
fn unquoted(message: &str) -> &str {
    message.lines().next().unwrap_or_default()
}
