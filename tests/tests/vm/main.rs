//! Every test that needs the drivers and modules of a virtual machine, in one binary: `cargo xtask test --vm` boots it.

/// A NIC whose driver takes VLAN tags off received frames, and joins packets.
mod offloads;
/// A gateway between two peers, on whatever links a test brings.
mod site;
/// Native XDP on virtio NICs.
mod virtio;
/// Tagged links beside the host's VLAN sub-interfaces.
mod vlan;
