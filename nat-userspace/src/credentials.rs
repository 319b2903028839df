//! Who may use the API and the console: secret ids with their keys, each of an account.

mod file;
mod issue;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Result, ensure};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::address::AccountId;
use crate::config::Config;
use crate::follow::Followed;

pub use self::issue::issue;

/// The shortest key that is not guessed.
const SHORTEST_KEY: usize = 16;
/// The longest id and key.
const LONGEST: usize = 128;

/// Every credential, by its secret id.
#[derive(Debug, Default)]
pub struct Credentials(BTreeMap<String, Credential>);

/// One credential.
#[derive(Clone)]
pub struct Credential {
    /// The name it is known by.
    pub secret_id: String,
    secret_key: String,
    /// The account it acts for.
    pub account: AccountId,
    /// What it may do.
    pub access: Access,
}

/// What a credential may do with what belongs to its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// See it.
    ReadOnly,
    /// See and change it.
    ReadWrite,
}

impl Access {
    /// As files and people write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Access::ReadOnly => "read-only",
            Access::ReadWrite => "read-write",
        }
    }
}

impl Credentials {
    /// Those of the configured file, followed as it changes.
    pub fn configured(config: &Config) -> Result<Option<Followed<Credentials>>> {
        let Some(path) = config.credentials.clone() else { return Ok(None) };
        let files = vec![path.clone()];
        Followed::new("the file of credentials", files, move || file::read(&path)).map(Some)
    }

    /// These, each id once.
    pub fn new(credentials: impl IntoIterator<Item = Credential>) -> Result<Credentials> {
        let mut by_id = BTreeMap::new();
        for credential in credentials {
            let id = credential.secret_id.clone();
            ensure!(by_id.insert(id.clone(), credential).is_none(), "secret_id {id} is given twice");
        }
        Ok(Credentials(by_id))
    }

    /// The credential of that id.
    pub fn find(&self, secret_id: &str) -> Option<&Credential> {
        self.0.get(secret_id)
    }
}

impl Credential {
    /// Checks that id and key are such that a client can send them and nobody guesses them.
    pub fn new(secret_id: String, secret_key: String, account: AccountId, access: Access) -> Result<Credential> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        ensure!(
            (1..=LONGEST).contains(&secret_id.len()) && secret_id.bytes().all(plain),
            "secret_id {secret_id:?} is not 1 to {LONGEST} of the characters A-Z a-z 0-9 . _ -"
        );
        ensure!(
            (SHORTEST_KEY..=LONGEST).contains(&secret_key.len())
                && secret_key.bytes().all(|byte| byte.is_ascii_graphic()),
            "the secret_key of {secret_id} is not {SHORTEST_KEY} to {LONGEST} printable ASCII characters without blanks"
        );
        Ok(Credential { secret_id, secret_key, account, access })
    }

    /// Whether this is its key. How long that takes tells nothing about the key.
    pub fn is_key(&self, key: &str) -> bool {
        let [ours, theirs] = [&self.secret_key, key].map(Sha256::digest);
        ours.as_slice().ct_eq(theirs.as_slice()).into()
    }

    /// What requests are signed with.
    pub fn secret_key(&self) -> &str {
        &self.secret_key
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Credential { secret_id, secret_key: _, account, access } = self;
        write!(f, "Credential({secret_id} of {account}, {access:?})")
    }
}
