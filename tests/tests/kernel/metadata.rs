//! What instances ask about themselves, with the cloud's own URL and a real curl inside the instance.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use lab::frames::{ARP, Arp, Frame, Packet, payload};
use lab::lab::daemon::text;
use lab::lab::server::{Server, tcp_exchange};
use lab::lab::{A, B, C, D, Finished, INSIDE, Lab, Namespace, SOON, Settings, UPSTREAM, at, wait};

use crate::scene::{Sender, WEB, is_between, populate};

/// As the requirements have it.
const PUBLIC_IPV4: &str = "http://metadata.tencentyun.com/meta-data/public-ipv4";
const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 0, 23);

/// A daemon that answers instances, with more settings.
fn start(lab: &Lab, more: &str, settings: Settings) {
    let file = config(lab, more);
    let more = vec!["--config".into(), file.display().to_string()];
    lab.daemon.start(Settings { more, ..settings }).unwrap();
}

fn config(lab: &Lab, more: &str) -> PathBuf {
    let file = lab.directory.join("eipgate.toml");
    fs::write(&file, format!("metadata = true\n{more}\n")).unwrap();
    file
}

/// Runs curl in an instance whose resolver knows the name from its own hosts file.
fn curl(lab: &Lab, instance: &Namespace, words: &[&str]) -> Finished {
    let hosts = lab.directory.join("hosts");
    fs::write(&hosts, format!("127.0.0.1 localhost\n{METADATA} metadata.tencentyun.com\n")).unwrap();
    let script = "mount --bind \"$0\" /etc/hosts && exec curl -sS --max-time 5 \"$@\"";
    let hosts = hosts.display().to_string();
    let inside = ["unshare", "--mount", "sh", "-c", script, &hosts];
    instance.output(&[&inside[..], words].concat(), SOON).unwrap()
}

/// The body of an answer that must be good.
pub(crate) fn get(lab: &Lab, instance: &Namespace, url: &str) -> String {
    let finished = curl(lab, instance, &["--fail", url]);
    assert!(finished.success(), "{url}: {finished}\n{}", lab.daemon.log());
    finished.stdout
}

/// The status of an answer.
pub(crate) fn status(lab: &Lab, instance: &Namespace, words: &[&str]) -> String {
    let finished = curl(lab, instance, &[&["-o", "/dev/null", "-w", "%{http_code}"], words].concat());
    assert!(finished.success(), "{words:?}: {finished}");
    finished.stdout
}

fn public(lab: &Lab, instance: &str) -> String {
    lab.public_ip(instance).unwrap().unwrap().to_string()
}

#[test]
fn a14_an_instance_is_told_its_public_address_by_the_requirements_own_url() {
    let lab = Lab::new().unwrap();
    start(&lab, "", Settings::default());
    let ordinary = lab.instance("web", A).unwrap().to_string();
    assert_eq!(get(&lab, &lab.a, PUBLIC_IPV4), ordinary);
    // It follows at once.
    let eip = lab.allocate().unwrap();
    lab.bind(&eip, "web").unwrap();
    assert_eq!(get(&lab, &lab.a, PUBLIC_IPV4), eip.address.to_string());
    lab.unbind(&eip).unwrap();
    let fresh = public(&lab, "web");
    assert!(fresh != ordinary && fresh != eip.address.to_string());
    assert_eq!(get(&lab, &lab.a, PUBLIC_IPV4), fresh);
    for root in ["http://169.254.0.23", "http://169.254.169.254", "http://metadata.tencentyun.com/latest"] {
        assert_eq!(get(&lab, &lab.a, &format!("{root}/meta-data/public-ipv4")), fresh);
    }
    // Without a public address all but that is told.
    lab.private_instance("private", C).unwrap();
    assert_eq!(status(&lab, &lab.c, &[PUBLIC_IPV4]), "404");
    assert_eq!(get(&lab, &lab.c, "http://metadata.tencentyun.com/meta-data/local-ipv4"), C.to_string());
    let listing = get(&lab, &lab.c, "http://metadata.tencentyun.com/meta-data/");
    assert!(listing.contains("instance-name") && !listing.contains("public-ipv4"), "{listing}");
    let eip = lab.allocate().unwrap();
    lab.bind(&eip, "private").unwrap();
    assert_eq!(get(&lab, &lab.c, PUBLIC_IPV4), eip.address.to_string());
    // Nobody to be told about.
    assert_ne!(curl(&lab, &lab.b, &[PUBLIC_IPV4]).code(), 0);
    lab.finish().unwrap();
}

#[test]
fn the_same_private_address_in_two_vpcs_is_two_instances() {
    let lab = Lab::builder().second_vpc().build().unwrap();
    let downlinks = vec!["down0=vpc-a".into(), "down1=vpc-b".into()];
    start(&lab, "", Settings { downlinks, ..Settings::default() });
    assert_eq!(A, D);
    for vpc in ["vpc-a", "vpc-b"] {
        let words =
            ["instance", "create", "--private-ip", &A.to_string(), "--vpc", vpc, "--name", vpc, "--bandwidth", "1"];
        lab.daemon.tell(&words).unwrap();
    }
    for (instance, vpc) in [(&lab.a, "vpc-a"), (&lab.d, "vpc-b"), (&lab.a, "vpc-a")] {
        let shown = lab.daemon.json(&["instance", "show", vpc]).unwrap();
        assert_eq!(get(&lab, instance, PUBLIC_IPV4), text(&shown, "public_ip").unwrap());
        let name = get(&lab, instance, "http://169.254.169.254/latest/meta-data/instance-name");
        assert_eq!(name, vpc);
    }
    lab.finish().unwrap();
}

/// Experiment with what a request says of itself.
#[test]
fn e14_no_header_makes_an_instance_somebody_else() {
    let lab = Lab::new().unwrap();
    start(&lab, "", Settings::default());
    populate(&lab);
    let id = "http://169.254.0.23/meta-data/local-ipv4";
    let other = B.to_string();
    for header in ["X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"] {
        assert_eq!(status(&lab, &lab.a, &["-H", &format!("{header}: {other}"), id]), "403", "{header}");
    }
    for host in ["rebound.example", "10.0.0.1", "203.0.113.1"] {
        assert_eq!(status(&lab, &lab.a, &["-H", &format!("Host: {host}"), id]), "403", "{host}");
    }
    assert_eq!(status(&lab, &lab.a, &["-x", "http://169.254.0.23:80", "http://example.com/meta-data/"]), "403");
    assert_eq!(status(&lab, &lab.a, &["-X", "POST", "-d", "", id]), "405");
    assert_eq!(status(&lab, &lab.a, &["-X", "POST", "-d", "a body", id]), "413");
    assert_eq!(status(&lab, &lab.a, &["-H", &format!("X-Padding: {}", "x".repeat(9000)), id]), "431");
    assert_eq!(status(&lab, &lab.a, &["--path-as-is", "http://169.254.0.23/meta-data/../meta-data/mac"]), "404");
    assert_eq!(get(&lab, &lab.a, id), A.to_string());
    // The network card is known by its neighbour.
    let mac = lab.a.mac("eth0").unwrap().map(|byte| format!("{byte:02X}")).join(":");
    assert_eq!(get(&lab, &lab.a, "http://169.254.0.23/meta-data/network/interfaces/macs/"), format!("{mac}/"));
    let around = format!("http://169.254.0.23/meta-data/network/interfaces/macs/{mac}/local-ipv4s/{A}/gateway");
    assert_eq!(get(&lab, &lab.a, &around), INSIDE.to_string());
    lab.finish().unwrap();
}

#[test]
fn e14_whoever_asks_in_anothers_name_hears_nothing() {
    let lab = Lab::new().unwrap();
    start(&lab, "", Settings::default());
    populate(&lab);
    let stranger = Ipv4Addr::new(10, 0, 0, 77);
    let sender = Sender::instance(&lab, &lab.a);
    let (at_a, at_b) = (lab.at_a.watch(), lab.at_b.watch());
    let refused = lab.verdicts("unknown-source").unwrap();
    for source in [B, stranger, INSIDE, METADATA, UPSTREAM, WEB] {
        sender.send(&Packet::new(source, METADATA).tcp(4711, 80, b"").flags(2));
    }
    let answered = || at_b.arrived().iter().any(|frame| is_between(frame, METADATA, B)).then_some(());
    wait::until("the answer at whose name it was asked in", SOON, answered).unwrap();
    lab.settle().unwrap();
    let heard = |frame: &&Vec<u8>| {
        crate::scene::packet(frame).is_some_and(|packet| packet.source() == METADATA && packet.destination() != B)
    };
    assert_eq!(at_a.arrived().iter().filter(heard).count(), 0);
    assert_eq!(lab.verdicts("unknown-source").unwrap(), refused + 5, "all but the instance's");
    // What is in the downlink's network and no instance reaches the gateway and no metadata.
    lab.a.ip(&format!("addr add {stranger}/24 dev eth0\n")).unwrap();
    let local = ["--interface", "10.0.0.77", "--max-time", "1", PUBLIC_IPV4];
    assert_ne!(curl(&lab, &lab.a, &local).code(), 0);
    assert_eq!(get(&lab, &lab.a, PUBLIC_IPV4), WEB.to_string());
    lab.finish().unwrap();
}

#[test]
fn e14_an_uplink_and_other_ports_are_refused() {
    let lab = Lab::new().unwrap();
    start(&lab, "", Settings::default());
    populate(&lab);
    // What the gateway itself serves to everybody, instances reach at its own address and not here.
    let _other = Server::tcp_echo(&lab.gateway, 7).unwrap();
    tcp_exchange(&lab.a, at(INSIDE, 7), 1000).unwrap();
    let knock = |from: &Namespace, url: &str| curl(&lab, from, &["--connect-timeout", "1", "--max-time", "1", url]);
    assert_ne!(knock(&lab.a, "http://169.254.0.23:7/").code(), 0);
    assert!(lab.a.tell(&["ping", "-c", "1", "-W", "1", "169.254.0.23"]).is_err());

    lab.router.ip("route add 169.254.0.0/16 via 198.51.100.2\n").unwrap();
    let refused = lab.verdicts("not-ours").unwrap();
    for address in ["169.254.0.23", "169.254.169.254"] {
        assert_ne!(knock(&lab.router, &format!("http://{address}/meta-data/")).code(), 0);
    }
    assert!(lab.verdicts("not-ours").unwrap() >= refused + 2);
    // On the link itself nobody says where they are.
    let watch = lab.at_router.watch();
    let (sender, mac) = (Sender::router(&lab), lab.router.mac("gate0").unwrap());
    for target in [METADATA, Ipv4Addr::new(169, 254, 169, 254)] {
        sender.send_frame(&Frame::new(mac, [0xff; 6]).arp(&Arp::request(mac, UPSTREAM, target)).padded());
    }
    lab.settle().unwrap();
    let own = lab.gateway.mac("up0").unwrap();
    let told = |frame: &&Vec<u8>| payload(frame).is_some_and(|(kind, _)| kind == ARP) && frame[6..12] == own;
    assert_eq!(watch.arrived().iter().filter(told).filter(|frame| frame[28..30] == [169, 254]).count(), 0);

    // The kernel alone would take the packet from any link.
    lab.daemon.kill().unwrap();
    let rules = lab.gateway.tell(&["nft", "list", "chain", "inet", "eipgate", "input"]).unwrap();
    assert!(rules.contains("169.254.0.23, 169.254.169.254"), "{rules}");
    lab.finish().unwrap();
}

#[test]
fn on_link_instances_find_the_addresses_by_arp() {
    let lab = Lab::new().unwrap();
    start(&lab, "", Settings::default());
    populate(&lab);
    lab.a.ip("route add 169.254.0.0/16 dev eth0\n").unwrap();
    assert_eq!(get(&lab, &lab.a, PUBLIC_IPV4), WEB.to_string());
    assert_eq!(get(&lab, &lab.a, "http://169.254.169.254/meta-data/public-ipv4"), WEB.to_string());
    let neighbours = lab.a.neighbours("eth0").unwrap();
    assert!(neighbours.iter().any(|(address, _, mac)| *address == METADATA.to_string() && mac.is_some()));
    lab.finish().unwrap();
}

#[test]
fn with_tokens_required_curl_needs_one() {
    let lab = Lab::new().unwrap();
    start(&lab, "metadata_token = \"required\"\nmetadata_hop_limit = 1", Settings::default());
    populate(&lab);
    assert_eq!(status(&lab, &lab.a, &[PUBLIC_IPV4]), "401");
    let put = ["--fail", "-X", "PUT", "-H", "X-aws-ec2-metadata-token-ttl-seconds: 60"];
    let url = "http://169.254.169.254/latest/api/token";
    let finished = curl(&lab, &lab.a, &[&put[..], &[url]].concat());
    assert!(finished.success(), "{finished}");
    let token = format!("X-aws-ec2-metadata-token: {}", finished.stdout);
    let watch = lab.at_a.watch();
    let told = curl(&lab, &lab.a, &["--fail", "-H", &token, PUBLIC_IPV4]);
    assert_eq!(told.stdout, WEB.to_string(), "{told}");
    let is_answer = |frame: &&Vec<u8>| is_between(frame, METADATA, A);
    let answers: Vec<_> = watch.arrived().into_iter().filter(|frame| is_answer(&frame)).collect();
    assert!(!answers.is_empty() && answers.iter().all(|frame| frame[22] == 1), "the hop limit");
    assert_eq!(status(&lab, &lab.b, &["-H", &token, PUBLIC_IPV4]), "401", "of another instance");
    // It does not outlive the daemon, which is then asked for another.
    lab.daemon.terminate().unwrap();
    lab.daemon.restart().unwrap();
    assert_eq!(status(&lab, &lab.a, &["-H", &token, PUBLIC_IPV4]), "401");
    lab.finish().unwrap();
}

#[test]
fn one_instances_flood_of_questions_is_its_own() {
    let lab = Lab::new().unwrap();
    start(&lab, "metadata_per_second = 5", Settings::default());
    populate(&lab);
    let many: Vec<String> = (0..40).map(|_| PUBLIC_IPV4.to_owned()).collect();
    let mut words = vec!["-o", "/dev/null", "-w", "%{http_code}\\n"];
    for url in &many {
        words.extend([url.as_str(), "-o", "/dev/null"]);
    }
    let finished = curl(&lab, &lab.a, &words);
    let refused = finished.stdout.lines().filter(|line| *line == "429").count();
    let answered = finished.stdout.lines().filter(|line| *line == "200").count();
    assert!(refused > 0 && answered >= 5, "{finished}");
    assert_eq!(status(&lab, &lab.b, &[PUBLIC_IPV4]), "200");
    lab.finish().unwrap();
}

#[test]
fn it_outlives_restarts_and_new_links_and_detach_takes_the_addresses_away() {
    let lab = Lab::new().unwrap();
    start(&lab, "", Settings::default());
    populate(&lab);
    let on = |interface: &str| lab.gateway.tell(&["ip", "-4", "addr", "show", "dev", interface]).unwrap();
    assert!(on("down0").contains("169.254.0.23/32") && on("down0").contains("169.254.169.254/32"));
    assert!(!on("up0").contains("169.254") && !on("lo").contains("169.254"));
    lab.daemon.kill().unwrap();
    lab.daemon.restart().unwrap();
    assert_eq!(get(&lab, &lab.a, PUBLIC_IPV4), WEB.to_string());
    // What somebody takes away comes back.
    lab.gateway.ip("addr del 169.254.0.23/32 dev down0\n").unwrap();
    let again = || on("down0").contains("169.254.0.23/32").then_some(());
    wait::until("the address to come back", SOON, again).unwrap();
    let told = || curl(&lab, &lab.a, &["--fail", "--max-time", "1", PUBLIC_IPV4]).success().then_some(());
    wait::until("an answer at the address that came back", SOON, told).unwrap();
    // A downlink that is made anew.
    lab.gateway.ip("link del down0\n").unwrap();
    wait::until("the daemon to miss it", SOON, || lab.daemon.log().contains("is gone").then_some(())).unwrap();
    let switch = &lab.switch.name;
    lab.gateway.ip(&format!("link add down0 numtxqueues 1 numrxqueues 1 type veth peer name gate0 netns {switch} numtxqueues 1 numrxqueues 1\n")).unwrap();
    for (namespace, interface) in [(&lab.gateway, "down0"), (&lab.switch, "gate0")] {
        namespace.features(interface, &["tx", "off", "tso", "off", "gso", "off", "gro", "on"]).unwrap();
        namespace.ip(&format!("link set {interface} gro_max_size 1\n")).unwrap();
    }
    lab.switch.ip("link set gate0 master br0\nlink set gate0 up\n").unwrap();
    lab.gateway.ip("addr add 10.0.0.1/24 dev down0\nlink set down0 up\n").unwrap();
    wait::until("an answer by the new link", SOON, told).unwrap();
    assert_eq!(get(&lab, &lab.a, PUBLIC_IPV4), WEB.to_string());

    // Switched off, the addresses go with the next start; the operator's own would stay.
    lab.daemon.terminate().unwrap();
    lab.daemon.start(Settings::default()).unwrap();
    wait::until("the addresses to go", SOON, || (!on("down0").contains("169.254")).then_some(())).unwrap();
    lab.daemon.terminate().unwrap();
    start(&lab, "", Settings::default());
    wait::until("the addresses to be there", SOON, again).unwrap();
    lab.daemon.terminate().unwrap();
    let said = lab.daemon.detach().unwrap();
    assert!(said.contains("removed 169.254.0.23 from down0"), "{said}");
    assert!(!on("down0").contains("169.254"));
    lab.finish().unwrap();
}
