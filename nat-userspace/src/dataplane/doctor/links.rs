//! Uplinks and downlinks: their drivers, offloads, settings and neighbours.

use std::fs;

use super::super::network::{Interface, NextHop, Topology, Way, XdpFeatures, xdp_features};
use super::super::pins::Pins;
use super::super::plan::{Mode, Plan};
use super::super::sysctl;
use super::super::{program, sys, tables};
use super::Finding;

pub fn examine(plan: &Plan, topology: &Topology) -> Vec<Finding> {
    let pins = Pins::under(&plan.bpf_dir);
    let ours = pins.links();
    let mut findings = vec![global(!ours.is_empty())];
    let mut names: Vec<&str> = plan.links().map(|link| link.interface.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let about = |finding: Finding| finding.about(name);
        let Some(interface) = topology.named(name) else {
            let told = "there is no such interface; the daemon waits for it";
            findings.push(about(Finding::failure("interface", told).mend("ip link")));
            continue;
        };
        let attached = ours.contains_key(&interface.index);
        findings.push(about(state(interface)));
        findings.push(about(attachment(plan.mode, interface, attached)));
        findings.push(about(features(plan.mode, interface, attached)));
        findings.push(about(offload(plan.mode, name)));
        findings.push(about(tags(name, attached)));
        findings.push(about(settings(name, attached)));
    }
    findings.extend(mtu(plan, topology));
    findings.extend(room_for_tags(plan, topology));
    findings.extend(neighbours(plan, topology));
    findings
}

fn state(interface: &Interface) -> Finding {
    let name = &interface.name;
    match (interface.up, interface.carrier) {
        (false, _) => Finding::failure("interface", "it is down").mend(format!("ip link set dev {name} up")),
        (true, false) => Finding::failure("interface", "it is up, but its wire is not connected")
            .mend(format!("ethtool {name}    # and look at the cable, or the other end of the veth")),
        (true, true) => Finding::ok("interface", "up and connected"),
    }
}

/// Which program is on it, and how.
fn attachment(wanted: Mode, interface: &Interface, attached: bool) -> Finding {
    match interface.xdp {
        None if attached => Finding::failure("xdp", "the link is pinned, but no program is on the interface")
            .mend("systemctl restart eipgate"),
        None => Finding::ok("xdp", "free"),
        Some((id, _)) if !attached => {
            Finding::failure("xdp", format!("another XDP program is on it: id {id}, {}", program::name_of(id)))
                .mend(format!("ip link set dev {} xdp off", interface.name))
        }
        Some((id, mode)) if mode != program::wanted(wanted) => {
            Finding::failure("xdp", format!("our program (id {id}) is on it in {} mode, not {wanted}", mode.name()))
                .mend("eipgate detach && systemctl restart eipgate")
        }
        Some((id, mode)) => Finding::ok("xdp", format!("our program, id {id}, in {} mode", mode.name())),
    }
}

/// The longest IP packet that fits into one buffer, in bytes: a page less headroom, headers and the kernel's own.
const ONE_BUFFER: u32 = 3498;

/// What becomes of large frames, and why.
fn large_frames(why: &str, mtu: u32) -> String {
    format!(
        "{why}, and the MTU is {mtu}: packets beyond {ONE_BUFFER} bytes go through the kernel (handed-multi-buffer)"
    )
}

/// What the driver says it can do. Redirected frames that the way out does not take are lost behind the verdict.
fn features(mode: Mode, interface: &Interface, attached: bool) -> Finding {
    const CHECK: &str = "driver";
    let name = &interface.name;
    if mode == Mode::Generic {
        return Finding::ok(CHECK, "generic mode asks nothing of it");
    }
    let XdpFeatures { basic, redirect, transmit, segments, transmit_segments } = match xdp_features(interface.index) {
        Ok(features) => features,
        Err(_) if interface.mtu > ONE_BUFFER => {
            let told = "the kernel, older than 6.3, redirects no frames of several buffers";
            return Finding::warning(CHECK, large_frames(told, interface.mtu));
        }
        Err(error) => {
            return Finding::unknown(
                CHECK,
                format!("the kernel does not tell what the driver can do (6.3 and later do): {error:#}"),
            );
        }
    };
    if !basic || !redirect {
        return Finding::failure(CHECK, "it has no native XDP with redirect").mend("eipgate run --xdp-mode generic");
    }
    if !transmit {
        let told = "it does not take redirected frames: what is sent out by it is lost";
        // Some drivers offer this only once a program is on them; a veth takes frames when its other end can poll.
        let told = if attached {
            told
        } else {
            "it does not take redirected frames yet; some drivers do with a program on them"
        };
        let mend =
            "ethtool -K PEER gro on    # PEER is the other end of the veth; elsewhere eipgate run --xdp-mode generic";
        return if attached { Finding::failure(CHECK, told) } else { Finding::warning(CHECK, told) }.mend(mend);
    }
    if !segments && interface.mtu > ONE_BUFFER {
        let told = format!("it takes no frames of several buffers, and the MTU is {}", interface.mtu);
        return Finding::failure(CHECK, told).mend(format!("ip link set dev {name} mtu 1500"));
    }
    if !transmit_segments && attached && interface.mtu > ONE_BUFFER {
        return Finding::warning(
            CHECK,
            large_frames("it sends no redirected frames of several buffers", interface.mtu),
        );
    }
    Finding::ok(CHECK, "native XDP, redirect and transmission")
}

fn offload(mode: Mode, name: &str) -> Finding {
    const CHECK: &str = "receive_offload";
    let Ok(flags) = sys::ethtool_value(name, sys::GET_FLAGS) else {
        return Finding::unknown(CHECK, "its offloads cannot be read");
    };
    let gro = sys::ethtool_value(name, sys::GET_GRO).unwrap_or(0) != 0;
    if flags & sys::FLAG_LRO != 0 {
        return Finding::failure(CHECK, "LRO joins packets into frames larger than any MTU, which cannot be forwarded")
            .mend(format!("ethtool -K {name} lro off"));
    }
    if gro && mode == Mode::Generic {
        return Finding::failure(CHECK, "GRO joins packets before generic XDP sees them")
            .mend(format!("ethtool -K {name} gro off"));
    }
    Finding::ok(CHECK, if gro { "no LRO; GRO comes after native XDP" } else { "neither LRO nor GRO" })
}

fn tags(name: &str, attached: bool) -> Finding {
    const CHECK: &str = "vlan_offload";
    match sys::vlan_stripping(name, None) {
        Err(error) => Finding::unknown(CHECK, format!("its offloads cannot be read: {error}")),
        Ok(true) if attached => {
            Finding::failure(CHECK, "it strips VLAN tags before XDP sees them, so packets belong to the wrong link")
                .mend(format!("ethtool -K {name} rxvlan off"))
        }
        Ok(true) => Finding::ok(CHECK, "it strips VLAN tags; the daemon switches that off when it starts"),
        Ok(false) => Finding::ok(CHECK, "VLAN tags stay on frames"),
    }
}

/// Settings of the whole host.
fn global(attached: bool) -> Finding {
    settle("forwarding", sysctl::GLOBAL.iter().map(|(name, value)| ((*name).to_owned(), *value)), attached)
}

/// Settings of one interface.
fn settings(name: &str, attached: bool) -> Finding {
    settle("settings", sysctl::INTERFACE.iter().map(|(key, value)| (format!("conf/{name}/{key}"), *value)), attached)
}

fn settle(check: &'static str, wanted: impl Iterator<Item = (String, &'static str)>, attached: bool) -> Finding {
    let (mut wrong, mut mends) = (Vec::new(), Vec::new());
    for (key, value) in wanted {
        let dotted = format!("net.ipv4.{}", key.replace('/', "."));
        match fs::read_to_string(sysctl::path(&key)) {
            Err(error) => return Finding::unknown(check, format!("{dotted} cannot be read: {error}")),
            Ok(now) if now.trim() == value => {}
            Ok(now) => {
                wrong.push(format!("{dotted} is {}", now.trim()));
                mends.push(format!("{dotted}={value}"));
            }
        }
    }
    if wrong.is_empty() {
        return Finding::ok(check, "as the gateway needs them");
    }
    if !attached {
        return Finding::ok(check, format!("{}; the daemon sets that when it starts", wrong.join(", ")));
    }
    let told = format!("{}: packets that need the kernel are lost or leave the wrong way", wrong.join(", "));
    Finding::failure(check, told).mend(format!("sysctl -w {}", mends.join(" ")))
}

fn mtu(plan: &Plan, topology: &Topology) -> Option<Finding> {
    let present = tables::present(plan, topology);
    let mut all: Vec<(&str, u32)> =
        present.iter().map(|link| (link.interface.name.as_str(), link.routing.mtu)).collect();
    all.sort_unstable();
    all.dedup();
    let largest = all.iter().max_by_key(|(_, mtu)| *mtu)?.1;
    let told: Vec<String> = all.iter().map(|(name, mtu)| format!("{name} {mtu}")).collect();
    match all.iter().find(|(_, mtu)| *mtu != largest) {
        None => Some(Finding::ok("mtu", told.join(", "))),
        Some((name, _)) => Some(
            Finding::warning(
                "mtu",
                format!("{}: what does not fit is fragmented by the kernel or refused", told.join(", ")),
            )
            .mend(format!("ip link set dev {name} mtu {largest}")),
        ),
    }
}

/// Links whose packets do not fit through the interface below their sub-interfaces with every tag on them.
fn room_for_tags(plan: &Plan, topology: &Topology) -> Vec<Finding> {
    let mut findings = Vec::new();
    for link in tables::present(plan, topology) {
        let (below, above) = (link.interface, link.routing);
        let needed = mtu_below(above.mtu, link.plan.tags.len());
        if above.index == below.index || below.mtu >= needed {
            continue;
        }
        let told =
            format!("packets of {} bytes from {} are lost: with both tags they are too long", above.mtu, above.name);
        let mend = format!("ip link set dev {} mtu {needed}", below.name);
        findings.push(Finding::warning("vlan_mtu", told).mend(mend).about(&below.name));
    }
    findings
}

/// The MTU that an interface has to have for packets of this size above so many tags. Drivers make room for one tag beside
/// their MTU, and drop what a second one makes too long.
fn mtu_below(above: u32, tags: usize) -> u32 {
    const TAG: u32 = 4;
    above + if tags > 1 { TAG } else { 0 }
}

/// The routers that routes over our links lead to.
fn neighbours(plan: &Plan, topology: &Topology) -> Vec<Finding> {
    let mut routers: Vec<NextHop> = Vec::new();
    for link in tables::present(plan, topology) {
        let by = link.routing.index;
        let gateways = topology.routes.list.iter().filter_map(|route| match route.way {
            Way::Hop { ifindex, gateway: Some(gateway), .. } if ifindex == by => Some((ifindex, gateway)),
            _ => None,
        });
        routers.extend(gateways);
    }
    routers.sort_unstable();
    routers.dedup();
    if routers.is_empty() {
        let told = "no route leads to a router by an uplink: the Internet cannot be reached";
        return vec![Finding::failure("neighbour", told).mend("ip route add default via ROUTER")];
    }
    let finding = |(ifindex, address): &NextHop| {
        let name = topology.interfaces.get(ifindex).map_or("?", |interface| interface.name.as_str());
        let known = topology.neighbours.get(&(*ifindex, *address));
        let found = match known {
            Some(neighbour) if neighbour.failed => Finding::failure("neighbour", "it does not answer ARP")
                .mend(format!("arping -c 3 -I {name} {address}    # and see whether it is up and the address right")),
            Some(neighbour) if neighbour.mac.is_some() => Finding::ok("neighbour", "its MAC address is known"),
            _ => Finding::unknown("neighbour", "nobody has asked for it yet")
                .mend(format!("ping -c 1 -I {name} {address}")),
        };
        found.about(format!("{address} on {name}"))
    };
    routers.iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::mtu_below;

    #[test]
    fn only_a_second_tag_takes_a_larger_mtu_below() {
        assert_eq!([0, 1, 2].map(|tags| mtu_below(1500, tags)), [1500, 1500, 1504]);
    }
}
