//! Faults on purpose: after each, what commands read, what is stored and what the maps hold are one and the same.

/// Disks that are full, and flushes that fail.
mod disk;
/// Stored files that are torn, cut short or altered.
mod files;
/// Death at every point.
mod kill;
/// Maps that refuse, or are changed by others.
mod maps;
/// What was acknowledged, and what may be there after a fault.
mod model;
/// One owner, whatever happens to it.
mod owners;
/// Many who want the same.
mod races;
/// Everything at once, for a while.
mod soak;
/// System calls that fail or kill when they are told to.
pub(crate) mod strace;
/// The three views.
pub(crate) mod views;

/// Whether there is time for hundreds of rounds more.
fn long() -> bool {
    std::env::var("EIPGATE_LONG").is_ok_and(|long| long == "1")
}

fn seed() -> u64 {
    std::env::var("EIPGATE_SEED").map_or(0x1b57, |seed| seed.parse().expect("EIPGATE_SEED is a number"))
}
