//! What carries the machines' processors: KVM where it boots a kernel, emulation otherwise.

use std::fmt;
use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::kernel::Kernel;
use super::{directory, program};

/// A kernel without a disk gets this far within a second or two on KVM.
const PATIENCE: Duration = Duration::from_secs(15);
/// Between two looks at whether it has ended.
const PAUSE: Duration = Duration::from_millis(20);
/// What a kernel says that found its processor, its memory and its drivers, and no disk.
const FAR_ENOUGH: &str = "Unable to mount root fs";

/// What carries the machine's processor.
pub(super) enum Acceleration {
    Kvm,
    Emulation { why: String },
}

impl Acceleration {
    /// Boots a kernel on this host's KVM. Neither the device nor the processor's flags tell: some hosts' `/dev/kvm` carries
    /// only guests that know of it, and others hide the flags.
    pub(super) fn here(kernel: &Kernel) -> Result<Self> {
        if let Err(error) = File::options().read(true).write(true).open("/dev/kvm") {
            return Ok(Self::Emulation { why: format!("/dev/kvm: {error}") });
        }
        Ok(Self::judge(&trial(kernel)?))
    }

    fn judge(console: &str) -> Self {
        if console.contains(FAR_ENOUGH) {
            return Self::Kvm;
        }
        let last = console.lines().rev().map(str::trim).find(|line| !line.is_empty());
        let last = last.map_or_else(|| "said nothing".into(), |line| format!("said last: {line}"));
        Self::Emulation {
            why: format!(
                "a kernel tried on /dev/kvm did not look for its disk within {} s; it {last}",
                PATIENCE.as_secs()
            ),
        }
    }

    pub(super) fn is_fast(&self) -> bool {
        matches!(self, Self::Kvm)
    }

    pub(super) fn words(&self) -> [&'static str; 4] {
        match self {
            Self::Kvm => KVM,
            Self::Emulation { .. } => ["-accel", "tcg,thread=multi", "-cpu", "max"],
        }
    }
}

/// Hosts that are machines themselves do not all let this register be set.
const KVM: [&str; 4] = ["-accel", "kvm", "-cpu", "host,-arch-capabilities"];

/// Boots a kernel on KVM without a disk, and answers what it has said when it ends or has had its time.
fn trial(kernel: &Kernel) -> Result<String> {
    let console = directory().join("kvm.console");
    let log = File::create(directory().join("kvm.qemu")).context("cannot write qemu's log")?;
    File::create(&console).with_context(|| format!("cannot write {}", console.display()))?;
    let mut command = Command::new(program("qemu-system-x86_64")?);
    command.args(["-smp", "2", "-m", "512", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
    command.args(KVM).arg("-kernel").arg(kernel.vmlinuz());
    command.args(["-append", "console=ttyS0 panic=-1", "-serial", &format!("file:{}", console.display())]);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let mut child = command.spawn().context("cannot start qemu")?;
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait()?.is_none() && Instant::now() < deadline {
        thread::sleep(PAUSE);
    }
    drop(child.kill());
    child.wait()?;
    let said = fs::read(&console).with_context(|| format!("cannot read {}", console.display()))?;
    Ok(String::from_utf8_lossy(&said).into_owned())
}

impl fmt::Display for Acceleration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kvm => f.write_str("The machines run on KVM."),
            Self::Emulation { why } => {
                write!(f, "No KVM here ({why}): the machines are EMULATED, which takes many times longer.")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Acceleration;

    #[test]
    fn kvm_is_what_a_kernel_boots_on() {
        let far =
            "Linux version 6.1\r\nKernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\r\n";
        assert!(Acceleration::judge(far).is_fast());
        let stuck = Acceleration::judge("Linux version 6.1\r\nBooting paravirtualized kernel\r\n\r\n");
        assert!(!stuck.is_fast());
        assert!(stuck.to_string().contains("it said last: Booting paravirtualized kernel"), "{stuck}");
        assert!(Acceleration::judge("").to_string().contains("it said nothing"));
    }
}
