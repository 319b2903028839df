//! The power is cut in the middle of commits: what was acknowledged before is there afterwards.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::acceleration::Acceleration;
use super::kernel::Kernel;
use super::machine::{Machine, Said};
use super::{Payload, directory, sh};

const SCRIPT: &str = include_str!("guest/cut");

/// Acknowledged addresses after which each power cut comes. Primes, so that it meets the clients at different points.
const CUTS: [usize; 2] = [17, 41];

/// Allocates addresses in a machine whose power is cut, boots it again, and compares.
pub(super) fn cut(kernel: &Kernel, image: &Path, eipgate: &Path, acceleration: &Acceleration) -> Result<()> {
    let boot_limit = if acceleration.is_fast() { Duration::from_secs(60) } else { Duration::from_secs(600) };
    let disk = directory().join(format!("disk-{}.ext4", kernel.version));
    sh(r#"cp --sparse=always "$1" "$2""#, &[image, &disk])?;
    let mut acknowledged = BTreeSet::new();
    for after in CUTS {
        let payload = Payload::begin(kernel, "cut")?;
        payload.binary("eipgate", eipgate)?;
        payload.text("run", SCRIPT)?;
        let machine = Machine { kernel, image: &disk, keep: true, payload: payload.close()?, acceleration };
        let mut running = machine.boot()?;
        running.until("acknowledgements", boot_limit, |said| allocated(said).len() >= after)?;
        let said = running.cut()?;
        let new = allocated(&said);
        ensure!(new.len() >= after, "the machine ended by itself and said last:\n{}", said.last(25));
        acknowledged.extend(new);

        let payload = Payload::begin(kernel, "survived")?;
        payload.binary("eipgate", eipgate)?;
        payload.text("run", SCRIPT)?;
        payload.text("survived", "")?;
        let machine = Machine { kernel, image: &disk, keep: true, payload: payload.close()?, acceleration };
        let said = machine.run(boot_limit)?;
        ensure!(said.lines().any(|line| line == "verified"), "store and maps differ:\n{}", said.last(25));
        let list = said.lines().find(|line| line.starts_with('[')).context("no list of EIPs after the power cut")?;
        let there = addresses(list);
        let lost: Vec<_> = acknowledged.difference(&there).collect();
        ensure!(lost.is_empty(), "acknowledged, and lost with the power: {lost:?}");
        println!(
            "power cut after {after} acknowledged addresses: {} acknowledged so far, {} there, none lost",
            acknowledged.len(),
            there.len()
        );
    }
    fs::remove_file(&disk).with_context(|| format!("removing {}", disk.display()))
}

/// The addresses whose allocation was acknowledged.
fn allocated(said: &Said) -> BTreeSet<String> {
    said.lines().filter_map(|line| line.strip_prefix("acknowledged ")).flat_map(addresses).collect()
}

/// The values of `address` in JSON without white space.
fn addresses(json: &str) -> BTreeSet<String> {
    let values = json.split(r#""address":""#).skip(1).filter_map(|rest| rest.split('"').next());
    values.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::addresses;

    #[test]
    fn addresses_are_read_from_answers_and_lists() {
        let list = r#"[{"id":"eip-1","address":"203.0.112.0"},{"id":"eip-2","address":"203.0.112.7"}]"#;
        assert_eq!(addresses(list).into_iter().collect::<Vec<_>>(), ["203.0.112.0", "203.0.112.7"]);
        assert!(addresses(r#"{"error":"none"}"#).is_empty());
    }
}
