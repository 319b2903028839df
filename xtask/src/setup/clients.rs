//! The cloud's own Python SDK, with which the tests drive the API: in a virtual environment below `target`, so that
//! nothing of the machine's Python changes.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::shell::{self, Run};
use crate::step::Step;
use crate::workspace;

use super::apt::Apt;

/// What is installed, at the versions the tests were written with.
const PINNED: [&str; 3] = [
    "tencentcloud-sdk-python-common==3.1.195",
    "tencentcloud-sdk-python-cvm==3.1.178",
    "tencentcloud-sdk-python-vpc==3.1.193",
];

/// Where the environment is; the tests look for it there.
fn place() -> PathBuf {
    workspace::tools_dir().join("cloud-sdk")
}

/// What was installed, written when all of it was.
fn receipt() -> PathBuf {
    place().join("installed")
}

/// The environment's Python, where everything pinned is in it.
pub(super) fn find() -> Option<PathBuf> {
    let python = place().join("bin/python3");
    let installed = fs::read_to_string(receipt()).is_ok_and(|installed| installed == PINNED.join("\n"));
    (installed && shell::is_executable(&python)).then_some(python)
}

pub(super) fn bring(step: &mut Step) -> Result<PathBuf> {
    if let Some(found) = find() {
        return Ok(found);
    }
    let has_pip = Run::new("python3").args(["-c", "import ensurepip, venv"]).output().is_ok();
    if !has_pip && shell::find_program("apt-get").is_some() {
        let apt = Apt::new();
        apt.update(step);
        step.note("installing python3-venv");
        apt.install(&["python3-venv"], step).context("apt could not install python3-venv")?;
    }
    let place = place();
    step.note(format_args!("{} into {}", PINNED.join(" "), place.display()));
    let log = workspace::log_file("setup-cloud-sdk.log");
    Run::new("python3").args(["-m", "venv", "--clear"]).args([&place]).run_logged(step, &log, None)?;
    let pip = Run::new(place.join("bin/python3")).args(["-m", "pip", "install", "--disable-pip-version-check"]);
    pip.args(PINNED).run_logged(step, &log, None)?;
    fs::write(receipt(), PINNED.join("\n"))?;
    find().with_context(|| format!("pip installed the SDK, but {} has no Python", place.display()))
}
