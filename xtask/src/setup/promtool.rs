//! promtool, which judges metrics and alert rules: unpacked from Debian's package of Prometheus and not installed, because
//! that would start a server on this machine.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::shell::{self, Run};
use crate::step::Step;
use crate::workspace;

/// The package it is in.
const PACKAGE: &str = "prometheus";

/// Where it is unpacked; the tests look for it there.
fn place() -> PathBuf {
    workspace::tools_dir().join("prometheus")
}

/// The one on PATH, or the one unpacked.
pub(super) fn find() -> Option<PathBuf> {
    let unpacked = place().join("usr/bin/promtool");
    shell::find_program("promtool").or_else(|| shell::is_executable(&unpacked).then_some(unpacked))
}

pub(super) fn bring(step: &mut Step) -> Result<PathBuf> {
    if let Some(found) = find() {
        return Ok(found);
    }
    if shell::find_program("apt-get").is_none() {
        bail!("there is no apt-get here; put promtool of Prometheus on PATH");
    }
    let place = place();
    fs::create_dir_all(&place).with_context(|| format!("cannot create {}", place.display()))?;
    step.note(format_args!("unpacking Debian's package {PACKAGE} into {}, without installing it", place.display()));
    // apt downloads to where it stands, and without root's sandbox the directory need not be the sandbox user's.
    let download = Run::new("env").args(["-C"]).args([&place]).args(["apt-get", "-o", "APT::Sandbox::User=root"]);
    download.args(["download", PACKAGE]).run_logged(step, &workspace::log_file("setup-promtool.log"), None)?;
    for entry in fs::read_dir(&place)? {
        let archive = entry?.path();
        if archive.extension().is_some_and(|extension| extension == "deb") {
            Run::new("dpkg-deb").args(["-x"]).args([&archive, &place]).output()?;
            fs::remove_file(&archive)?;
        }
    }
    find().with_context(|| format!("the package {PACKAGE} has no promtool"))
}
