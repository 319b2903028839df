//! Every test that needs a kernel, in one binary.

/// Who is answered by ARP, and what is announced.
mod arp;
/// Nothing leaks in any state of the gateway.
mod guard;
/// Addresses live through the daemon and the command line.
mod lifecycle;
/// Generic mode, several VPCs, the monitor.
mod modes;
/// The kernel's own NAT beside ours.
mod nftables;
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
/// What the tests between namespaces begin with.
mod scene;
/// Real programs and sockets, both ways and around.
mod traffic;
/// Single frames with a name and a reason.
mod vectors;
/// The verifier takes the program.
mod verifier;
