//! A new credential in the file: drawn at random, written behind those that are there.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::{Gid, Uid, fchown};

use super::{Access, Credential, file};
use crate::address::AccountId;

/// What ids begin with, so that they are told from keys.
const PREFIX: &str = "AKID";
/// Characters drawn for an id and for a key: 190 bits of chance, which nobody guesses.
const DRAWN: usize = 32;
const CHARACTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Draws a credential and adds it to the file, which is made where there is none. What the file says already stays, word for
/// word, and whoever reads the file meanwhile finds it with the new one or without.
pub fn issue(path: &Path, account: AccountId, access: Access) -> Result<Credential> {
    let path = target(path)?;
    let shown = path.display();
    let directory = path.parent().context("the file of credentials stands in no directory")?;
    let opened = File::open(directory).with_context(|| format!("cannot open {}", directory.display()))?;
    // Whoever else adds one waits: of two that read the same text, the second would undo what the first wrote.
    let opened = Flock::lock(opened, FlockArg::LockExclusive)
        .map_err(|(_, errno)| anyhow!("cannot lock {}: {errno}", directory.display()))?;
    let present = match file::content(&path) {
        Ok(content) => Some(content),
        Err(error) if is_missing(&error) => None,
        Err(error) => return Err(error),
    };
    let credential = draw(account, access)?;
    let text = present.as_ref().map_or("", |(text, _)| text.as_str());
    let text = appended(text, &credential);
    let known = file::parse(&text).with_context(|| format!("the credentials {shown} are wrong, so none is added"))?;
    known.find(&credential.secret_id).context("the new credential is not in what was to be written")?;
    let next = path.with_file_name(format!(".{}.next", path.file_name().unwrap_or_default().display()));
    let owner = present.map(|(_, found)| (found.uid(), found.gid()));
    replace(&next, &path, &text, owner).inspect_err(|_| drop(fs::remove_file(&next)))?;
    opened.sync_all().with_context(|| format!("cannot make {} durable", directory.display()))?;
    Ok(credential)
}

/// The file itself where the path is a link to it: a link stays one.
fn target(path: &Path) -> Result<PathBuf> {
    match path.canonicalize() {
        Ok(path) => Ok(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            std::path::absolute(path).with_context(|| format!("cannot tell where {} is", path.display()))
        }
        Err(error) => Err(error).with_context(|| format!("cannot find {}", path.display())),
    }
}

fn is_missing(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Writes the text beside the file and puts it in its place. Nobody but the owner can read it at any time.
fn replace(next: &Path, path: &Path, text: &str, owner: Option<(u32, u32)>) -> Result<()> {
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(next)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        if let Some((user, group)) = owner {
            fchown(&file, Some(Uid::from_raw(user)), Some(Gid::from_raw(group)))?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(next, path)
    };
    write().with_context(|| format!("cannot write {}; it is as it was", path.display()))
}

fn appended(text: &str, credential: &Credential) -> String {
    let Credential { secret_id, secret_key, account, access } = credential;
    let gap = match text {
        "" => "",
        text if text.ends_with('\n') => "\n",
        _ => "\n\n",
    };
    let access = access.as_str();
    format!(
        "{text}{gap}[[credential]]\nsecret_id = \"{secret_id}\"\nsecret_key = \"{secret_key}\"\naccount = \"{account}\"\n\
         access = \"{access}\"\n"
    )
}

fn draw(account: AccountId, access: Access) -> Result<Credential> {
    Credential::new(format!("{PREFIX}{}", characters()?), characters()?, account, access)
}

/// Each as likely as any other.
fn characters() -> Result<String> {
    let fair = u8::try_from(256 / CHARACTERS.len() * CHARACTERS.len()).unwrap_or(u8::MAX);
    let mut drawn = String::new();
    while drawn.len() < DRAWN {
        let mut bytes = [0; DRAWN];
        getrandom::fill(&mut bytes).context("the kernel gives no random bytes")?;
        let fitting = bytes.iter().filter(|byte| **byte < fair).map(|byte| usize::from(*byte) % CHARACTERS.len());
        drawn.extend(fitting.take(DRAWN - drawn.len()).map(|at| char::from(CHARACTERS[at])));
    }
    Ok(drawn)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::unix::fs::symlink;
    use std::thread;

    use super::*;

    fn alice() -> AccountId {
        "alice".parse().unwrap()
    }

    #[test]
    fn the_first_makes_the_file_and_the_next_leaves_it_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("credentials.toml");
        let first = issue(&path, alice(), Access::ReadWrite).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o600);
        let text = format!("# ours{}", fs::read_to_string(&path).unwrap().trim_end());
        fs::write(&path, text.replacen("[[", "\n[[", 1)).unwrap();
        let before = fs::read_to_string(&path).unwrap();
        let second = issue(&path, "bob".parse().unwrap(), Access::ReadOnly).unwrap();
        assert!(fs::read_to_string(&path).unwrap().starts_with(&before));
        let known = file::read(&path).unwrap();
        for issued in [&first, &second] {
            let found = known.find(&issued.secret_id).unwrap();
            assert!(found.is_key(issued.secret_key()));
            assert_eq!((&found.account, found.access), (&issued.account, issued.access));
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn a_link_stays_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let (path, link) = (directory.path().join("real.toml"), directory.path().join("credentials.toml"));
        issue(&path, alice(), Access::ReadWrite).unwrap();
        symlink("real.toml", &link).unwrap();
        let second = issue(&link, alice(), Access::ReadWrite).unwrap();
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert!(file::read(&path).unwrap().find(&second.secret_id).is_some());
    }

    #[test]
    fn a_file_that_is_wrong_or_open_to_others_is_not_touched() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("credentials.toml");
        for (text, mode, problem) in [
            ("[[credential]]\nsecret_id = 1\n", 0o600, "line 2"),
            ("[[credential", 0o600, "line 1"),
            ("", 0o644, "run chmod 600"),
        ] {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let said = format!("{:#}", issue(&path, alice(), Access::ReadWrite).unwrap_err());
            assert!(said.contains(problem), "{said}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        let nowhere = directory.path().join("no/credentials.toml");
        let said = format!("{:#}", issue(&nowhere, alice(), Access::ReadWrite).unwrap_err());
        assert!(said.contains("cannot open") && said.contains("/no"), "{said}");
    }

    #[test]
    fn of_many_that_are_added_at_once_none_is_lost() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("credentials.toml");
        let add = || (0..5).map(|_| issue(&path, alice(), Access::ReadOnly).unwrap().secret_id).collect::<Vec<_>>();
        let ids: BTreeSet<String> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(add)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let known = file::read(&path).unwrap();
        assert_eq!(ids.len(), 20);
        assert!(ids.iter().all(|id| known.find(id).is_some()));
    }
}
