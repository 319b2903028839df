//! What the machine must be for the gateway to work, checked one by one, each with the command that mends it.

mod host;
mod links;

use std::fmt;

use anyhow::Result;
use serde::Serialize;

use super::network;
use super::plan::Plan;

/// How one check ended, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// As it should be.
    Ok,
    /// It could not be looked at, or there is nothing to look at yet.
    Unknown,
    /// The gateway works, but not as well as it might, or not for every packet.
    Warning,
    /// Packets are lost, leak, or the daemon will not start.
    Failure,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Standing::Ok => "ok",
            Standing::Unknown => "unknown",
            Standing::Warning => "WARNING",
            Standing::Failure => "FAILURE",
        })
    }
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Name of the check.
    pub check: &'static str,
    /// What it was about, such as an interface.
    pub subject: Option<String>,
    /// How it stands.
    pub standing: Standing,
    /// In one sentence.
    pub finding: String,
    /// The command that mends it.
    pub mend: Option<String>,
}

impl Finding {
    fn new(check: &'static str, standing: Standing, finding: impl Into<String>) -> Finding {
        Finding { check, subject: None, standing, finding: finding.into(), mend: None }
    }

    /// All is well.
    pub fn ok(check: &'static str, finding: impl Into<String>) -> Finding {
        Finding::new(check, Standing::Ok, finding)
    }

    /// Nothing could be learnt.
    pub fn unknown(check: &'static str, finding: impl Into<String>) -> Finding {
        Finding::new(check, Standing::Unknown, finding)
    }

    /// Not as good as it might be.
    pub fn warning(check: &'static str, finding: impl Into<String>) -> Finding {
        Finding::new(check, Standing::Warning, finding)
    }

    /// Broken.
    pub fn failure(check: &'static str, finding: impl Into<String>) -> Finding {
        Finding::new(check, Standing::Failure, finding)
    }

    /// What it was about.
    pub fn about(self, subject: impl Into<String>) -> Finding {
        Finding { subject: Some(subject.into()), ..self }
    }

    /// The command that mends it.
    pub fn mend(self, command: impl Into<String>) -> Finding {
        Finding { mend: Some(command.into()), ..self }
    }
}

/// Checks everything the data plane depends on. Changes nothing.
///
/// # Errors
/// The host's network cannot be read.
pub async fn examine(plan: &Plan) -> Result<Vec<Finding>> {
    let (handle, task) = network::connect()?;
    let topology = network::read(&handle).await;
    task.abort();
    let topology = topology?;
    let mut findings = host::examine(plan);
    findings.extend(links::examine(plan, &topology));
    Ok(findings)
}
