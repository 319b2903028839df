//! The Node SDK. There is no package for each service, so the whole one comes: 62 MB, of which 14 stay.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::shell::{self, Run};
use crate::step::Step;
use crate::workspace;

use super::{Client, SERVICES, keep_only, need};

/// What pins it: npm's own files, beside the program that uses it.
const FILES: [&str; 2] = ["package.json", "package-lock.json"];

fn source(file: &str) -> PathBuf {
    workspace::root().join("tests/clients/node").join(file)
}

/// Every package and its checksum.
pub(super) fn lock() -> Result<String> {
    let path = source("package-lock.json");
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

pub(super) fn install(client: &Client, step: &mut Step) -> Result<()> {
    need(shell::find_program("node").is_some(), "nodejs", step)?;
    need(shell::find_program("npm").is_some(), "npm", step)?;
    let place = client.place();
    fs::create_dir_all(&place).with_context(|| format!("cannot create {}", place.display()))?;
    for file in FILES {
        fs::copy(source(file), place.join(file)).with_context(|| format!("cannot copy {file} for npm"))?;
    }
    step.note(format_args!("the Node SDK into {}", place.display()));
    let npm = Run::new("npm").args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"]).args([&place]);
    npm.run_logged(step, &workspace::log_file("setup-clients.log"), None)?;
    let services = place.join("node_modules/tencentcloud-sdk-nodejs/tencentcloud/services");
    keep_only(&services, &[&SERVICES[..], &["index.js", "index.d.ts"]].concat())
}
