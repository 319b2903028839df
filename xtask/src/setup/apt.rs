//! Debian's packages: asked for only when something is missing, never removing anything.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;

use crate::shell::Run;
use crate::step::Step;
use crate::workspace;

pub(super) struct Apt {
    log: PathBuf,
}

impl Apt {
    pub(super) fn new() -> Self {
        Self { log: workspace::log_file("setup-apt.log") }
    }

    /// Brings the lists up to date. A failure is told and not final: the lists at hand may do.
    pub(super) fn update(&self, step: &mut Step) {
        step.note("apt-get update");
        if let Err(error) = apt_get(["update"]).run_logged(step, &self.log, None) {
            step.note(format_args!("going on with the package lists at hand: {error:#}"));
        }
    }

    /// Whether apt would install `release` of `package`.
    pub(super) fn offers(&self, package: &str, release: &str) -> Result<bool> {
        let policy = Run::new("apt-cache").args(["policy", package]).env("LC_ALL", "C").output()?;
        Ok(candidate(&policy).is_some_and(|version| version.starts_with(release)))
    }

    pub(super) fn install(&self, packages: &[&str], step: &mut Step) -> Result<()> {
        apt_get(install_args(packages)).env("DEBIAN_FRONTEND", "noninteractive").run_logged(step, &self.log, None)
    }
}

pub(super) fn on_debian_12() -> bool {
    fs::read_to_string("/etc/os-release").is_ok_and(|text| is_debian_12(&text))
}

/// What someone who is not root types.
pub(super) fn by_hand(packages: &[&str]) -> String {
    let install = install_args(packages).collect::<Vec<_>>().join(" ");
    format!("sudo apt-get update && sudo apt-get {install}")
}

fn apt_get<'a>(args: impl IntoIterator<Item = &'a str>) -> Run {
    // Unattended upgrades hold the lock now and then: wait for them.
    Run::new("apt-get").args(["-o", "DPkg::Lock::Timeout=300"]).args(args)
}

fn install_args<'a>(packages: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    ["install", "-y", "--no-install-recommends", "--no-remove"].into_iter().chain(packages.iter().copied())
}

fn is_debian_12(os_release: &str) -> bool {
    let field = |name: &str| {
        os_release.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim_matches('"').to_owned())
    };
    field("ID=").as_deref() == Some("debian") && field("VERSION_ID=").as_deref() == Some("12")
}

fn candidate(policy: &str) -> Option<&str> {
    let version = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate:"))?.trim();
    (version != "(none)").then_some(version)
}

#[cfg(test)]
mod tests {
    use super::{by_hand, candidate, is_debian_12};

    #[test]
    fn debian_12_is_told_from_its_kin() {
        assert!(is_debian_12("NAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nID=debian\n"));
        assert!(!is_debian_12("VERSION_ID=\"13\"\nID=debian\n"));
        assert!(!is_debian_12("VERSION_ID=\"12\"\nID=raspbian\nID_LIKE=debian\n"));
    }

    #[test]
    fn the_candidate_is_what_apt_would_install() {
        let policy = "rustc-web:\n  Installed: (none)\n  Candidate: 1.96.0+dfsg1-1~deb12u2\n  Version table:\n";
        assert_eq!(candidate(policy), Some("1.96.0+dfsg1-1~deb12u2"));
        assert_eq!(candidate("x:\n  Installed: (none)\n  Candidate: (none)\n"), None);
        assert_eq!(candidate(""), None);
    }

    #[test]
    fn the_command_by_hand_can_be_pasted() {
        assert_eq!(
            by_hand(&["nftables", "iperf3"]),
            "sudo apt-get update && sudo apt-get install -y --no-install-recommends --no-remove nftables iperf3"
        );
    }
}
