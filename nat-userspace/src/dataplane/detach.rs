//! Takes everything off the host that the gateway ever put there, and says what.

use std::path::Path;

use anyhow::{Context as _, Result};
use aya::programs::links::PinnedLink;

use super::guard;
use super::pins::Pins;
use super::sysctl::HostSettings;

/// Detaches the program, removes maps, guard and mount, and restores the host's settings. Each line of the answer is
/// one thing removed; none means that there was nothing.
///
/// # Errors
/// A daemon that is still serving, or something that resists removal.
pub fn detach(bpf_dir: &Path, state_dir: &Path) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    let pins = Pins::under(bpf_dir);
    if bpf_dir.exists() {
        let lock = pins.lock()?;
        for ifindex in pins.links() {
            let path = pins.link(ifindex);
            let link = PinnedLink::from_pin(&path).with_context(|| format!("opening {}", path.display()))?;
            drop(link.unpin().with_context(|| format!("removing {}", path.display()))?);
            lines.push(format!("took the XDP program off interface index {ifindex}"));
        }
        drop(lock);
        lines.extend(pins.remove()?);
    }
    lines.extend(HostSettings::open(state_dir)?.restore()?);
    // The fence goes last: until here it holds whatever the kernel now sees.
    lines.extend(guard::take_down()?);
    Ok(lines)
}
