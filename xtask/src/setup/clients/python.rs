//! The Python SDK and tccli, which is made of Python too. tccli brings the whole SDK along, so each has an environment
//! of its own.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::shell::Run;
use crate::step::Step;
use crate::workspace;

use super::{Client, SERVICES, keep_only, need};

/// The SDK at the versions the tests were written with.
pub(super) const SDK: [&str; 3] = [
    "tencentcloud-sdk-python-common==3.1.195",
    "tencentcloud-sdk-python-cvm==3.1.178",
    "tencentcloud-sdk-python-vpc==3.1.193",
];

/// tccli, likewise.
pub(super) const CLI: [&str; 2] = ["tccli==3.1.189.1", "tencentcloud-sdk-python==3.1.195"];

pub(super) fn install_sdk(client: &Client, step: &mut Step) -> Result<()> {
    environment(client, &SDK, &[], step)
}

/// 370 MB are unpacked, of which 68 stay, what Python compiles of them included.
pub(super) fn install_cli(client: &Client, step: &mut Step) -> Result<()> {
    environment(client, &CLI, &["--no-compile"], step)?;
    let packages = packages_of(&client.place())?;
    keep_only(&packages.join("tccli/services"), &[&SERVICES[..], &["__init__.py"]].concat())?;
    keep_only(&packages.join("tencentcloud"), &[&SERVICES[..], &["common", "__init__.py"]].concat())?;
    // Else every call that starts before another has done so compiles a service of a megabyte and a half.
    let python = client.place().join("bin/python3");
    let compile = Run::new(python).args(["-m", "compileall", "-q"]).args([&packages]);
    compile.run_logged(step, &workspace::log_file("setup-clients.log"), None)
}

/// Makes a virtual environment with these packages.
fn environment(client: &Client, packages: &[&str], options: &[&str], step: &mut Step) -> Result<()> {
    let has_pip = Run::new("python3").args(["-c", "import ensurepip, venv"]).output().is_ok();
    need(has_pip, "python3-venv", step)?;
    let place = client.place();
    step.note(format_args!("{} into {}", packages.join(" "), place.display()));
    let log = workspace::log_file("setup-clients.log");
    Run::new("python3").args(["-m", "venv", "--clear"]).args([&place]).run_logged(step, &log, None)?;
    let pip = Run::new(place.join("bin/python3")).args(["-m", "pip", "install", "--disable-pip-version-check"]);
    pip.args(options).args(packages).run_logged(step, &log, None)
}

/// Where an environment has its packages, whatever its Python's version.
fn packages_of(place: &Path) -> Result<PathBuf> {
    let versions = fs::read_dir(place.join("lib"))?.filter_map(|entry| Some(entry.ok()?.path().join("site-packages")));
    let mut found = versions.filter(|packages| packages.is_dir());
    found.next().with_context(|| format!("{} has no packages", place.display()))
}
