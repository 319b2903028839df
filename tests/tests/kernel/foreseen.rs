//! What the daemon foresees is what the kernel's FIB answers the program, for random routes, links and rules.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use lab::frames::{Frame, IPV4, Mac, Packet};
use lab::program::Program;
use lab::reference::{Device, Link, Pair, Side, World};
use nat_common::abi::{Hop, vpc_number};
use nat_common::verdict::Verdict;
use nat_userspace::dataplane::{Limits, LinkPlan, Mode, Plan, ProgramLog, Tuning, foreseen};

const UPLINK: u32 = 2;
const RED: u32 = 3;
const WIDE: [u32; 2] = [4, 5];
const SECOND_UPLINK: u32 = 6;
const DEVICES: [u32; 5] = [UPLINK, RED, WIDE[0], WIDE[1], SECOND_UPLINK];
/// Hosts of each VPC, and next hops everywhere: 10.0.0.1 and on.
const HOSTS: u8 = 24;
/// Public address of a host of `red`; those of `wide` begin 100 later.
const PUBLIC: [u8; 3] = [198, 51, 100];
const WIDE_FROM: u8 = 100;

fn mac(device: u32) -> Mac {
    [2, 0xe1, 0, 0, 0, device as u8]
}

fn host(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, last)
}

fn public(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(PUBLIC[0], PUBLIC[1], PUBLIC[2], last)
}

fn world() -> World {
    let link = |device, side| Link {
        ifindex: device,
        tags: vec![],
        device,
        mac: mac(device),
        address: None,
        side,
        connected: vec![],
    };
    let (red, wide) = (vpc_number("red"), vpc_number("wide"));
    let pair = |vpc, first: u8, last: u8| Pair { public: public(first + last), vpc, private: host(last) };
    World {
        links: vec![
            link(UPLINK, Side::Uplink),
            link(SECOND_UPLINK, Side::Uplink),
            link(RED, Side::Downlink { vpc: red }),
            link(WIDE[0], Side::Downlink { vpc: wide }),
            link(WIDE[1], Side::Downlink { vpc: wide }),
        ],
        devices: DEVICES
            .map(|index| Device { index, mac: mac(index), mtu: if index == WIDE[0] { 1400 } else { 1500 } })
            .to_vec(),
        pools: vec![(public(0), 24)],
        pairs: (1..=HOSTS).flat_map(|last| [pair(red, 0, last), pair(wide, WIDE_FROM, last)]).collect(),
        ..World::default()
    }
    .index()
}

fn plan() -> Plan {
    let link = |device: u32, vpc: Option<&str>| LinkPlan {
        interface: format!("d{device}"),
        tags: vec![],
        vpc: vpc.map(|name| name.parse().unwrap()),
    };
    Plan {
        uplinks: vec![link(UPLINK, None), link(SECOND_UPLINK, None)],
        downlinks: vec![link(RED, Some("red")), link(WIDE[0], Some("wide")), link(WIDE[1], Some("wide"))],
        pools: vec![],
        mode: Mode::Native,
        bpf_dir: "/".into(),
        state_dir: "/".into(),
        limits: Limits { pairs: 1, instances: 1, counters: false },
        tuning: Tuning::default(),
        program_log: ProgramLog::Off,
        allow_private_mount: false,
        metadata: false,
    }
}

/// Has `ip` do all of it that the kernel takes; what it refuses is not there for either side.
fn ip(lines: &str) {
    let mut command = Command::new("ip");
    command.args(["-force", "-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    child.wait().unwrap();
}

/// Everybody's MAC address says who it is and on which device; one in eight is unknown.
fn neighbours() -> String {
    let all = DEVICES.into_iter().flat_map(|device| (1..=HOSTS).map(move |last| (device, last)));
    let known = all.filter(|(device, last)| !(u32::from(*last) + device).is_multiple_of(8));
    known
        .map(|(device, last)| {
            format!(
                "neigh replace {} lladdr 02:bb:00:00:{device:02x}:{last:02x} dev d{device} nud permanent\n",
                host(last)
            )
        })
        .collect()
}

fn random_route(random: &mut fastrand::Rng) -> String {
    let device = random.choice(DEVICES).unwrap();
    let hop = |random: &mut fastrand::Rng, device| format!("via {} dev d{device} onlink", host(random.u8(1..=HOSTS)));
    let prefix = match random.u8(0..10) {
        0..3 => "0.0.0.0/0".into(),
        3 => "10.0.0.0/8".into(),
        4..6 => "10.0.0.0/24".into(),
        6 => format!("10.0.0.{}/29", random.u8(0..4) * 8),
        7 => format!("{}/32", host(random.u8(1..=HOSTS))),
        8 => format!("11.0.{}.0/24", random.u8(0..4)),
        _ => format!("11.0.{}.{}/30", random.u8(0..4), random.u8(0..4) * 4),
    };
    let (kind, way) = match random.u8(0..24) {
        0 => (random.choice(["blackhole", "unreachable", "prohibit", "throw"]).unwrap(), String::new()),
        1 => {
            let (one, other) = (hop(random, device), hop(random, random.clone().choice(DEVICES).unwrap()));
            ("", format!("nexthop {one} nexthop {other}"))
        }
        2 => ("", format!("{} mtu 1400", hop(random, device))),
        3 => ("", format!("{} mtu lock 1400", hop(random, device))),
        4 => ("", format!("{} tos 0x10", hop(random, device))),
        5 => ("local", "dev lo table local".into()),
        6 => ("", format!("{} table default", hop(random, device))),
        7 => ("", format!("encap ip id 1 dst {} dev d{device}", host(1))),
        8..14 => ("", format!("dev d{device}")),
        _ => ("", hop(random, device)),
    };
    let how = random.choice(["add", "add", "append", "prepend"]).unwrap();
    format!("route {how} {kind} {prefix} {way} metric {}\n", random.u8(0..3))
}

/// What a round does to the host beside its routes.
fn random_damage(random: &mut fastrand::Rng) -> (String, String) {
    let device = random.choice(DEVICES).unwrap();
    match random.u8(0..8) {
        0 => (format!("link set d{device} down\n"), format!("link set d{device} up\n")),
        1 => (format!("link set p{device} down\n"), format!("link set p{device} up\n")),
        2 => ("rule add from 9.9.9.9 lookup 100\n".into(), "rule del from 9.9.9.9 lookup 100\n".into()),
        _ => (String::new(), String::new()),
    }
}

/// What is foreseen and what the program does, having asked the kernel, agree; says whether anything was foreseen.
fn agrees(
    program: &mut Program,
    ingress: u32,
    packet: &Packet,
    verdict: Verdict,
    hop: Result<Hop, &str>,
    told: &str,
) -> bool {
    let packet = packet.build();
    let outcome = program.run(ingress, &Frame::new([2, 0xaa, 0, 0, 0, 1], mac(ingress)).carry(IPV4, &packet).build());
    let Ok(hop) = hop else { return false };
    if packet.len() > hop.mtu as usize {
        return false;
    }
    assert_eq!(outcome.verdict, verdict, "foreseen was {hop:?}\n{told}");
    assert_eq!(outcome.frame[..12], hop.macs, "foreseen was {hop:?}\n{told}");
    true
}

#[test]
fn what_is_foreseen_is_what_the_kernel_answers() {
    let rounds = std::env::var("EIPGATE_ROUTES").ok().and_then(|text| text.parse().ok()).unwrap_or(150);
    let mut program = Program::load(&world());
    program.forget_hops();
    let (mut foreseen_ones, mut reached, mut asked) = ([0u32; 3], [0u32; 3], 0u32);
    for seed in 0..rounds {
        let random = &mut fastrand::Rng::with_seed(seed);
        let routes: String = (0..random.u8(1..14)).map(|_| random_route(random)).collect();
        let (damage, repair) = random_damage(random);
        ip(&format!("route flush table main\nroute flush table default\n{}{routes}{damage}", neighbours()));
        let foreseen = foreseen::read(&plan()).unwrap();
        let told = format!("round {seed}:\n{routes}{damage}");
        let size = if random.bool() { 1420 } else { 64 };
        let data = vec![7; size];
        for last in 1..=HOSTS {
            for (which, vpc, first) in [(0, "red", 0), (1, "wide", WIDE_FROM)] {
                let packet = Packet::new(Ipv4Addr::new(9, 9, 9, 9), public(first + last)).udp(5, 6, &data);
                let hop = foreseen.towards(vpc_number(vpc), host(last));
                let before = program.verdict(Verdict::Inbound).packets;
                let told = format!("{vpc} {}\n{told}", host(last));
                foreseen_ones[which] += u32::from(agrees(&mut program, UPLINK, &packet, Verdict::Inbound, hop, &told));
                reached[which] += (program.verdict(Verdict::Inbound).packets - before) as u32;
            }
            let destination = Ipv4Addr::new(11, 0, last % 8, last);
            let packet = Packet::new(host(1), destination).udp(5, 6, &data);
            let hop = foreseen.outside(destination);
            let before = program.verdict(Verdict::Outbound).packets;
            let told = format!("to {destination}\n{told}");
            foreseen_ones[2] += u32::from(agrees(&mut program, RED, &packet, Verdict::Outbound, hop, &told));
            reached[2] += (program.verdict(Verdict::Outbound).packets - before) as u32;
            asked += 3;
        }
        // What was local is nobody's in the next round.
        ip(&format!(
            "{repair}{}",
            routes
                .lines()
                .filter(|line| line.contains("table local"))
                .map(|line| format!(
                    "{}\n",
                    line.replace("append", "del").replace("prepend", "del").replace("add", "del")
                ))
                .collect::<String>()
        ));
    }
    println!("of {asked} packets {reached:?} went on, and of those {foreseen_ones:?} were foreseen");
    // Otherwise it says nothing.
    for (foreseen, reached) in foreseen_ones.into_iter().zip(reached) {
        assert!(foreseen * 4 > reached && foreseen > 100, "foreseen {foreseen_ones:?} of {reached}");
    }
}
