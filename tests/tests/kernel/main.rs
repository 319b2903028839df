//! Every test that needs a kernel, in one binary.

/// Clients that mean no good.
mod abuse;
/// The cloud's own clients and calls.
mod api;
/// Who is answered by ARP, and what is announced.
mod arp;
/// The rig of the benchmark.
mod bench;
/// Many pairs from a file.
mod bulk;
/// The console in a real browser.
mod console;
/// From nftables to the gateway and back, by the guide.
mod cut_over;
/// What is wrong with the machine, and the command that mends it.
mod doctor;
/// What would become of a packet.
mod explain;
/// Faults on purpose.
mod faults;
/// What the daemon foresees and what the kernel says agree.
mod foreseen;
/// Tables that grow, shrink and meet their limits.
mod growth;
/// Nothing leaks in any state of the gateway.
mod guard;
/// Next hops follow the network.
mod hops;
/// Instances stop, start, expire and are converted, and the wire follows.
mod instances;
/// Interfaces that go, come back and change.
mod interfaces;
/// Addresses live through the daemon and the command line.
mod lifecycle;
/// What instances ask about themselves.
mod metadata;
/// Metrics, dashboard and alerts.
mod metrics;
/// Generic mode, several VPCs, the monitor.
mod modes;
/// The kernel's own NAT beside ours.
mod nftables;
/// Who had which address, across restarts.
mod past;
/// A conversation that notices every packet it loses.
mod pingpong;
/// Starts that cannot succeed.
mod polite;
/// Ranges and addresses that come into service and go.
mod pools;
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
/// The daemon as systemd runs it.
mod service;
/// How large the program is.
mod size;
/// Numbered frames, each compared where it arrives.
mod stream;
/// Real programs and sockets, both ways and around.
mod traffic;
/// The daemon is replaced by other versions under load.
mod upgrade;
/// Single frames with a name and a reason.
mod vectors;
/// The verifier takes the program.
mod verifier;
