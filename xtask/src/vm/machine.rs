//! A virtual machine: booted, listened to, and ended.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, mem, thread};

use anyhow::{Context as _, Result, bail};

use crate::step::duration;

use super::acceleration::Acceleration;
use super::kernel::Kernel;
use super::{directory, image, program};

const NETWORK: &str = include_str!("guest/network");

/// NICs, by the last byte of their MAC: the gateway's two and their peers, as `guest/network` joins them, and one whose
/// driver takes tags off received frames, which virtio's never does, with its peer.
const NICS: [&str; 6] = ["up-gate", "up-peer", "down-gate", "down-peer", STRIPS, "strip-peer"];
const STRIPS: &str = "strip-gate";
/// Queue pairs of each; half of them are for what is redirected, on two CPUs.
const QUEUES: u32 = 4;
/// Between two looks at what the machine says.
const PAUSE: Duration = Duration::from_millis(20);

/// A machine to be booted.
pub(super) struct Machine<'a> {
    pub(super) kernel: &'a Kernel,
    pub(super) image: &'a Path,
    /// Whether what is written to the disk stays there.
    pub(super) keep: bool,
    pub(super) payload: PathBuf,
    pub(super) acceleration: &'a Acceleration,
}

impl Machine<'_> {
    /// Runs it to its own end, showing what it says.
    pub(super) fn run(&self, limit: Duration) -> Result<Said> {
        let mut running = self.boot()?;
        running.until("its end", limit, |_| false)?;
        let said = running.take();
        if !said.has_ended() {
            let console = fs::read(self.log("console")).unwrap_or_default();
            let qemu = fs::read_to_string(self.log("qemu")).unwrap_or_default();
            bail!(
                "the machine ended in the middle of what it does, having said:\n{}\n{qemu}and its console:\n{}",
                said.last(10),
                Said(String::from_utf8_lossy(&console).into_owned()).last(30)
            );
        }
        Ok(said)
    }

    /// Starts it. Its disks are the root image and the payload, its second serial port is what it says.
    pub(super) fn boot(&self) -> Result<Running> {
        let (console, words) = (self.log("console"), self.log("said"));
        File::create(&words).with_context(|| format!("cannot write {}", words.display()))?;
        let snapshot = if self.keep { "off" } else { "on" };
        let mut args: Vec<String> = ["-smp", "2", "-m", "4096", "-nodefaults", "-no-user-config", "-display", "none"]
            .into_iter()
            .chain(self.acceleration.words())
            .map(str::to_owned)
            .collect();
        let pairs = [
            ("-kernel", self.kernel.vmlinuz().display().to_string()),
            ("-initrd", image::initramfs(self.kernel)?.display().to_string()),
            // An emulated timer on a busy host may miss the ticks that the kernel checks it by.
            ("-append", "console=ttyS0 panic=-1 mitigations=off no_timer_check".to_owned()),
            ("-drive", format!("file={},format=raw,if=virtio,snapshot={snapshot}", self.image.display())),
            ("-drive", format!("file={},format=raw,if=virtio,readonly=on", self.payload.display())),
            ("-serial", format!("file:{}", console.display())),
            ("-serial", format!("file:{}", words.display())),
        ];
        args.extend(pairs.into_iter().flat_map(|(option, value)| [option.to_owned(), value]));
        args.push("-no-reboot".into());
        for (number, tap) in NICS.iter().enumerate() {
            let netdev = format!("tap,id={tap},ifname={tap},script=no,downscript=no");
            let device = format!("netdev={tap},mac=52:54:00:00:00:0{number}");
            let (netdev, device) = if *tap == STRIPS {
                (netdev, format!("vmxnet3,{device}"))
            } else {
                let queues = format!("mq=on,vectors={}", 2 * QUEUES + 2);
                (format!("{netdev},queues={QUEUES}"), format!("virtio-net-pci,{device},{queues}"))
            };
            args.extend(["-netdev".to_owned(), netdev, "-device".to_owned(), device]);
        }
        let log = File::create(self.log("qemu")).context("cannot write qemu's log")?;
        let mut command = Command::new(program("unshare")?);
        // The namespace is this machine's own, and goes with it.
        command.args(["--net", "sh", "-c", NETWORK, "sh"]).arg(program("qemu-system-x86_64")?).args(args);
        command.env("PATH", env::var_os("PATH").unwrap_or_default()).stdin(Stdio::null());
        let child = command.stdout(log.try_clone()?).stderr(log).spawn().context("cannot start qemu")?;
        Ok(Running { child, words, said: Said::default(), console, qemu: self.log("qemu") })
    }

    /// Beside its payload, whose name tells it from the machines before and after it.
    fn log(&self, what: &str) -> PathBuf {
        let payload = self.payload.file_name().unwrap_or_default().to_string_lossy();
        directory().join(format!("{}.{what}", payload.trim_end_matches(".tar")))
    }
}

/// A machine that runs; dropping it cuts its power.
pub(super) struct Running {
    child: Child,
    words: PathBuf,
    pub(super) said: Said,
    console: PathBuf,
    qemu: PathBuf,
}

impl Running {
    /// Listens until it has said enough or has ended.
    pub(super) fn until(&mut self, what: &str, limit: Duration, enough: impl Fn(&Said) -> bool) -> Result<()> {
        let deadline = Instant::now() + limit;
        let mut file = File::open(&self.words)?;
        loop {
            let ended = self.child.try_wait()?.is_some();
            self.listen(&mut file)?;
            if ended || enough(&self.said) {
                return Ok(());
            }
            if Instant::now() > deadline {
                let qemu = fs::read_to_string(&self.qemu).unwrap_or_default();
                bail!(
                    "no {what} within {}; {} has the machine's console. {qemu}It said last:\n{}",
                    duration(limit),
                    self.console.display(),
                    self.said.last(15)
                );
            }
            thread::sleep(PAUSE);
        }
    }

    fn listen(&mut self, file: &mut File) -> Result<()> {
        let mut buffer = vec![0; 4096];
        loop {
            let length = file.read_at(&mut buffer, self.said.0.len() as u64)?;
            // Whole lines only: a character may still be on its way.
            let Some(end) = buffer[..length].iter().rposition(|byte| *byte == b'\n') else {
                if length < buffer.len() {
                    return Ok(());
                }
                // The list of what was stored is one line, longer with each address.
                buffer.resize(2 * length, 0);
                continue;
            };
            let text: String =
                buffer[..=end].iter().map(|byte| if byte.is_ascii() { *byte as char } else { '?' }).collect();
            for line in text.lines() {
                println!("  | {}", line.trim_end());
            }
            self.said.0.push_str(&text);
        }
    }

    /// Ends it as a power cut does: nothing is told, and what the machine has not written is lost.
    pub(super) fn cut(mut self) -> Result<Said> {
        self.child.kill()?;
        self.child.wait()?;
        self.listen(&mut File::open(&self.words)?)?;
        Ok(self.take())
    }

    fn take(&mut self) -> Said {
        mem::take(&mut self.said)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What a machine said, in whole lines of ASCII.
#[derive(Default)]
pub(super) struct Said(String);

impl Said {
    pub(super) fn lines(&self) -> impl Iterator<Item = &str> {
        self.0.lines().map(str::trim_end)
    }

    /// Whether what it was to do has ended, well or not.
    fn has_ended(&self) -> bool {
        self.lines().any(|line| line.starts_with("ended with "))
    }

    pub(super) fn ended_well(&self) -> bool {
        self.lines().any(|line| line == "ended with 0")
    }

    pub(super) fn last(&self, lines: usize) -> String {
        if self.0.is_empty() {
            return format!("nothing; {}/*.console has the machine's console", directory().display());
        }
        let all: Vec<&str> = self.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::Said;

    #[test]
    fn a_machine_has_ended_well_only_when_it_says_so() {
        assert!(Said("6.1.0\r\nended with 0\r\n".into()).ended_well());
        let badly = Said("ended with 01\r\nended with 1\r\n".into());
        assert!(!badly.ended_well() && badly.has_ended());
        assert!(!Said("6.1.0\r\n".into()).has_ended());
    }
}
