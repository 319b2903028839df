//! Every test that needs a kernel, in one binary.

/// Addresses live through the daemon and the command line.
mod lifecycle;
/// Generic mode, several VPCs, the monitor.
mod modes;
/// Starts that cannot succeed.
mod polite;
/// Random frames: the program and the reference agree about each.
mod random;
/// Bindings change under traffic.
mod rebind;
/// What outlives the daemon.
mod restart;
/// The lab itself.
mod rig;
/// Single frames with a name and a reason.
mod vectors;
/// The verifier takes the program.
mod verifier;
