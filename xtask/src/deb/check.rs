//! The package tried: linted, then installed, upgraded, removed and purged in a root of its own.
//!
//! The root is this machine's Debian under an overlay in memory, in mount, network and process namespaces of its own, so
//! that nothing is downloaded and nothing here is touched. No systemd runs in it: what the scripts ask of one is recorded.

use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::privilege;
use crate::shell::{self, Run};
use crate::workspace;

pub(super) fn run(package: &Path) -> Result<()> {
    lint(package)?;
    units(&package.with_file_name("root"))?;
    if !privilege::missing_capabilities().is_empty() {
        if privilege::in_ci() {
            bail!("trying the package takes root, and CI must not skip it");
        }
        println!("*** Installing and removing the package is SKIPPED: it takes root.");
        return Ok(());
    }
    let script = workspace::root().join("packaging/debian/check.sh");
    let inside =
        Run::new("unshare").args(["--mount", "--net", "--pid", "--fork", "--kill-child", "--propagation=private"]);
    let tried = inside.args(["sh"]).args([script.as_path(), package]);
    let said = tried.output().context("the package does not install and remove as it should")?;
    print!("{said}");
    Ok(())
}

/// Lintian's errors and warnings, where it is installed.
fn lint(package: &Path) -> Result<()> {
    if shell::find_program("lintian").is_none() {
        println!("lintian is not installed; the package is not linted");
        return Ok(());
    }
    let lintian = Run::new("lintian").args(["--allow-root", "--fail-on", "error,warning", "--no-tag-display-limit"]);
    lintian.args([package]).output().map(drop)
}

/// What systemd thinks of the units as they are in the package.
fn units(root: &Path) -> Result<()> {
    let Some(analyze) = shell::find_program("systemd-analyze") else {
        println!("systemd-analyze is not installed; the units are not checked");
        return Ok(());
    };
    let directory = root.join("lib/systemd/system");
    for (unit, exposure) in [("eipgate.service", 35), ("eipgate-guard.service", 35)] {
        let threshold = format!("--threshold={exposure}");
        let path = directory.join(unit);
        let secure = Run::new(&analyze).args(["security", "--offline=true", "--no-pager", &threshold]).args([&path]);
        secure.output().with_context(|| format!("{unit} is exposed more than {exposure} in 100"))?;
    }
    Ok(())
}
