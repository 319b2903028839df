//! Takes everything off the host that the gateway ever put there, and says what.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use nix::net::if_::if_indextoname;

use super::attachment::Attachment;
use super::pins::Pins;
use super::sysctl::HostSettings;
use super::{guard, network};

/// Detaches the program, removes maps of every layout, guard and mount, lets neighbours go, and restores the host's
/// settings. Nothing that is found has to be whole. Each line of the answer is one thing removed; none means that there
/// was nothing.
///
/// # Errors
/// A daemon that is still serving, or something that resists removal.
pub async fn detach(bpf_dir: &Path, state_dir: &Path) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    let pins = Pins::under(bpf_dir);
    let settings = HostSettings::open(state_dir)?;
    let mut interfaces: BTreeSet<u32> = pins.links().into_keys().collect();
    interfaces.extend(settings.interfaces());
    if bpf_dir.exists() {
        let lock = pins.lock()?;
        for (ifindex, path) in pins.links() {
            // Whatever else is pinned under such a name holds nothing.
            match Attachment::open(&path) {
                Ok(attachment) => attachment.remove()?,
                Err(_) => fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?,
            }
            let name = if_indextoname(ifindex).ok().and_then(|name| name.into_string().ok());
            let name = name.unwrap_or_else(|| "that is gone".into());
            lines.push(format!("took the XDP program off interface {name} (index {ifindex})"));
        }
        drop(lock);
        for version in pins.versions() {
            lines.extend(pins.of_layout(version).remove()?);
        }
        lines.extend(pins.unmount()?);
    }
    lines.extend(network::let_go(&interfaces).await?);
    lines.extend(network::take_all_off(&settings.addresses()).await?);
    lines.extend(settings.restore()?);
    // The guard goes last: until here it holds whatever the kernel now sees.
    lines.extend(guard::take_down()?);
    Ok(lines)
}
