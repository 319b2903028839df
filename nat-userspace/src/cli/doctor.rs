//! `eipgate doctor`: is this machine fit to be the gateway that the configuration describes?

use std::process::ExitCode;

use super::Context;
use super::failure::Failure;
use super::output::{print, show, table};
use crate::config::Config;
use crate::dataplane::doctor::{Finding, Standing};
use crate::gateway;

/// Prints every finding; the exit status says the worst: 0 all is well, 1 a warning, 2 a failure.
pub(super) fn run(config: &Config, context: &Context) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let findings = runtime.map_err(anyhow::Error::from)?.block_on(gateway::doctor(config))?;
    print(&show(context.format, &findings, |findings| page(findings)))?;
    Ok(ExitCode::from(status(&findings)))
}

fn status(findings: &[Finding]) -> u8 {
    match findings.iter().map(|finding| finding.standing).max() {
        Some(Standing::Failure) => 2,
        Some(Standing::Warning) => 1,
        _ => 0,
    }
}

/// What is wrong comes last, where the eye is when the list has scrolled by, with the command that mends it.
fn page(findings: &[Finding]) -> String {
    let row = |finding: &Finding| {
        let subject = finding.subject.clone().unwrap_or_else(|| "-".into());
        vec![finding.standing.to_string(), finding.check.into(), subject, finding.finding.clone()]
    };
    let mut parts = vec![table(&["", "CHECK", "OF", "FINDING"], findings.iter().map(row), "nothing was checked")];
    for finding in findings.iter().filter(|finding| finding.standing >= Standing::Warning) {
        if let Some(mend) = &finding.mend {
            let subject = finding.subject.as_ref().map(|subject| format!(" of {subject}")).unwrap_or_default();
            parts.push(format!("\n{}{subject}: {}\n    {mend}", finding.check, finding.finding));
        }
    }
    parts.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_is_the_exit_status() {
        let all = [
            (Finding::ok("a", ""), 0),
            (Finding::unknown("b", ""), 0),
            (Finding::warning("c", "slow").mend("sysctl -w c=1"), 1),
            (Finding::failure("d", "broken").about("eth0").mend("ip link set dev eth0 up"), 2),
        ];
        let mut findings = Vec::new();
        for (finding, worst) in all {
            findings.insert(0, finding);
            assert_eq!(status(&findings), worst);
        }
        let page = page(&findings);
        assert!(page.contains("FAILURE  d      eth0  broken"), "{page}");
        assert!(page.contains("\nd of eth0: broken\n    ip link set dev eth0 up"), "{page}");
    }
}
