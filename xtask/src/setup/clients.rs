//! The cloud's own clients, with which tests and demonstration drive the API: below `target`, so that nothing of the
//! machine's Python or Node changes.
//!
//! Of clients that come with hundreds of services only those are kept that the gateway speaks: a CI machine's disk may be
//! small. What is kept is as it was published.

mod node;
mod python;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::shell;
use crate::step::Step;
use crate::workspace;

use super::apt::Apt;

/// The services that the gateway speaks.
const SERVICES: [&str; 2] = ["cvm", "vpc"];

/// A client as it is installed.
pub(super) struct Client {
    /// What people call it.
    pub(super) name: &'static str,
    /// Its directory among the project's tools; tests and demonstration look for it there.
    directory: &'static str,
    /// What runs it, from that directory.
    program: &'static str,
    /// What is installed, word for word; another text has it installed anew.
    pinned: fn() -> Result<String>,
    install: fn(&Client, &mut Step) -> Result<()>,
}

/// All of them.
const CLIENTS: [Client; 3] = [
    Client {
        name: "the Python SDK",
        directory: "cloud-sdk",
        program: "bin/python3",
        pinned: || Ok(python::SDK.join("\n")),
        install: python::install_sdk,
    },
    Client {
        name: "tccli",
        directory: "cloud-cli",
        program: "bin/tccli",
        pinned: || Ok(python::CLI.join("\n")),
        install: python::install_cli,
    },
    Client {
        name: "the Node SDK",
        directory: "cloud-node",
        program: "node_modules/tencentcloud-sdk-nodejs/package.json",
        pinned: node::lock,
        install: node::install,
    },
];

/// Those that are not here, or not as pinned.
pub(super) fn missing() -> Vec<&'static Client> {
    CLIENTS.iter().filter(|client| !client.is_here()).collect()
}

/// Brings those that are missing, and says where they are.
pub(super) fn bring(step: &mut Step) -> Result<String> {
    for client in missing() {
        client.bring(step).with_context(|| format!("cannot install {}", client.name))?;
    }
    let places: Vec<String> = CLIENTS.iter().map(|client| client.directory.to_owned()).collect();
    Ok(format!("{} in {}", places.join(", "), workspace::tools_dir().display()))
}

impl Client {
    fn place(&self) -> PathBuf {
        workspace::tools_dir().join(self.directory)
    }

    /// What was installed, written when all of it was.
    fn receipt(&self) -> PathBuf {
        self.place().join("installed")
    }

    fn is_here(&self) -> bool {
        let installed = fs::read_to_string(self.receipt()).ok();
        installed.is_some_and(|installed| (self.pinned)().is_ok_and(|pinned| installed == pinned))
            && self.place().join(self.program).exists()
    }

    fn bring(&self, step: &mut Step) -> Result<()> {
        (self.install)(self, step)?;
        let program = self.place().join(self.program);
        ensure!(program.exists(), "everything was installed, but there is no {}", program.display());
        fs::write(self.receipt(), (self.pinned)()?).with_context(|| format!("cannot write into {}", self.directory))
    }
}

/// Has apt install a package where a program is not there and apt is.
fn need(is_here: bool, package: &str, step: &mut Step) -> Result<()> {
    if is_here || shell::find_program("apt-get").is_none() {
        return Ok(());
    }
    let apt = Apt::new();
    apt.update(step);
    step.note(format_args!("installing {package}"));
    apt.install(&[package], step).with_context(|| format!("apt could not install {package}"))
}

/// Removes everything from a directory but what is named.
fn keep_only(directory: &Path, kept: &[&str]) -> Result<()> {
    let entries = fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    for entry in entries {
        let entry = entry?;
        if kept.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        let path = entry.path();
        let removed = if entry.file_type()?.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_is_kept() {
        let directory = std::env::temp_dir().join(format!("eipgate-services-{}", std::process::id()));
        for name in ["cvm", "vpc", "cdn"] {
            fs::create_dir_all(directory.join(name)).unwrap();
            fs::write(directory.join(name).join("client.py"), "").unwrap();
        }
        fs::write(directory.join("__init__.py"), "").unwrap();
        fs::write(directory.join("notes"), "").unwrap();
        keep_only(&directory, &["cvm", "vpc", "__init__.py"]).unwrap();
        let mut left: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        let inside = directory.join("cvm/client.py").exists();
        fs::remove_dir_all(&directory).unwrap();
        assert_eq!(left, ["__init__.py", "cvm", "vpc"]);
        assert!(inside, "what is kept is kept whole");
    }

    #[test]
    fn the_lock_pins_the_sdk_and_names_no_registry() {
        let lock = node::lock().unwrap();
        assert!(lock.contains("\"tencentcloud-sdk-nodejs\": \"4.1.313\""), "{lock}");
        assert!(lock.contains("\"integrity\": \"sha512-") && !lock.contains("\"resolved\""), "{lock}");
    }
}
