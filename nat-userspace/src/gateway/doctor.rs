//! What `eipgate doctor` finds: the data plane's conditions, and those of pools and state, which it knows nothing of.

use std::fs::{self, OpenOptions};
use std::path::Path;

use anyhow::Result;
use nix::sys::statfs::{NFS_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC, TMPFS_MAGIC, statfs};

use crate::config::Config;
use crate::dataplane::doctor::{Finding, examine};
use crate::dataplane::{self, Environment};

use super::{plan, pool};

/// Space below which the state's database may fill the file system: that of a million pairs and of its log.
const SPACE: u64 = 500_000_000;

/// Looks at everything; changes nothing.
///
/// # Errors
/// The host's network cannot be read.
pub async fn doctor(config: &Config) -> Result<Vec<Finding>> {
    let mut findings = examine(&plan::plan(config)).await?;
    let environment = dataplane::environment(&plan::uplinks(config)).await?;
    findings.push(pools(config, &environment));
    findings.extend(state(&config.state_dir));
    Ok(findings)
}

fn pools(config: &Config, environment: &Environment) -> Finding {
    match pool::pool(config, environment) {
        Err(error) => Finding::failure("pools", format!("{error:#}")).mend("edit pools in the configuration"),
        Ok(pool) if pool.ranges().is_empty() => {
            Finding::warning("pools", "none is configured, so there is no public address to hand out")
                .mend("add pools to the configuration")
        }
        Ok(pool) => {
            let members: u64 = pool.ranges().iter().map(|range| range.members()).sum();
            Finding::ok("pools", format!("{members} addresses, none of them the gateway's own"))
        }
    }
}

fn state(directory: &Path) -> Vec<Finding> {
    let shown = directory.display();
    let Ok(kind) = statfs(directory) else {
        return vec![Finding::ok("state", format!("{shown} is not there yet; the daemon makes it"))];
    };
    let space = kind.blocks_available() * kind.block_size() as u64;
    let writable = OpenOptions::new().append(true).open(directory.join("state.db"));
    let writable = match writable {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => fs::metadata(directory).map(drop),
        other => other.map(drop),
    };
    let place = match kind.filesystem_type() {
        TMPFS_MAGIC => {
            Finding::failure("state", format!("{shown} is in memory: every address is forgotten with the power"))
        }
        NFS_SUPER_MAGIC => {
            Finding::failure("state", format!("{shown} is on NFS, whose locks and flushes cannot be relied on"))
        }
        OVERLAYFS_SUPER_MAGIC => {
            Finding::warning("state", format!("{shown} is inside a container's image, and goes with the container"))
        }
        _ => match writable {
            Ok(()) => Finding::ok("state", format!("{shown} is on a disk and can be written")),
            Err(error) => Finding::failure("state", format!("{shown} cannot be written: {error}")),
        },
    };
    let place = match place.standing {
        dataplane::doctor::Standing::Ok => place,
        _ => place.mend("set state_dir to a directory on a local disk that root can write"),
    };
    let space = if space < SPACE {
        Finding::warning(
            "space",
            format!("{} MB are free for {shown}; writes are refused when none are", space / 1_000_000),
        )
        .mend(format!("df -h {shown}    # and make room"))
    } else {
        Finding::ok("space", format!("{} MB are free", space / 1_000_000))
    };
    vec![place, space]
}
