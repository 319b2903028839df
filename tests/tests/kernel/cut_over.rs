//! The guide for cutting over from nftables floating IPs, and back: its own commands, under live traffic.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;

use lab::lab::daemon::binary;
use lab::lab::server::{Server, udp_exchange_on};
use lab::lab::{INTERNET, Lab, SOON, Settings, at};

const WEB: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);

/// Blocks of commands under a heading of the guide, line by line.
fn commands(heading: &str) -> Vec<String> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cut-over.md");
    let guide = fs::read_to_string(path).expect("the guide is there");
    let part = guide.split("\n## ").find(|part| part.starts_with(heading));
    let part = part.unwrap_or_else(|| panic!("the guide has no heading {heading}"));
    let blocks: Vec<&str> = part.split("```sh\n").skip(1).filter_map(|block| block.split("```").next()).collect();
    assert!(!blocks.is_empty(), "no commands under {heading}");
    let lines = blocks.concat();
    lines.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// Runs what the guide says, in the gateway. The service is the lab's daemon, and `eipgate` knows the lab's places.
fn follow(lab: &Lab, heading: &str) {
    let bin = lab.directory.join("bin");
    fs::create_dir_all(&bin).unwrap();
    let (real, daemon) = (binary(), &lab.daemon);
    let places = format!("--bpf-dir {}", daemon.maps().display());
    let script = format!(
        "#!/bin/sh\ncase \"$1\" in\n\
         detach) exec {real} \"$@\" {places} --state-dir {state} ;;\n\
         explain|map|monitor) exec {real} \"$@\" {places} ;;\n\
         doctor) exec {real} \"$@\" {places} --state-dir {state} --uplink up0 --downlink down0 --pool 203.0.113.0/28 --allow-reserved-pools ;;\n\
         *) exec {real} --socket {socket} \"$@\" ;;\nesac\n",
        state = daemon.state().display(),
        socket = daemon.socket().display(),
    );
    fs::write(bin.join("eipgate"), script).unwrap();
    fs::set_permissions(bin.join("eipgate"), fs::Permissions::from_mode(0o755)).unwrap();
    for line in commands(heading) {
        match line.as_str() {
            "systemctl start eipgate" => daemon.start(Settings::default()).unwrap(),
            "systemctl stop eipgate" => daemon.terminate().unwrap(),
            _ => {
                let line = format!("PATH={}:$PATH; cd {}; {line}", bin.display(), lab.directory.display());
                lab.gateway.tell(&["sh", "-ec", &line]).unwrap_or_else(|error| panic!("{heading}: {line}\n{error:#}"));
            }
        }
    }
}

/// One connection from the Internet and one to it, and datagrams both ways, that live through it all.
struct Conversations {
    streams: Vec<TcpStream>,
    inbound: UdpSocket,
    outbound: UdpSocket,
}

impl Conversations {
    fn open(lab: &Lab) -> Self {
        let inbound = lab.internet.run(|| TcpStream::connect_timeout(&at(WEB, 80).into(), SOON)).unwrap();
        let outbound = lab.a.run(|| TcpStream::connect_timeout(&at(INTERNET, 80).into(), SOON)).unwrap();
        for stream in [&inbound, &outbound] {
            stream.set_read_timeout(Some(SOON)).unwrap();
        }
        let socket = |host: &lab::lab::Namespace| host.run(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
        Self { streams: vec![inbound, outbound], inbound: socket(&lab.internet), outbound: socket(&lab.a) }
    }

    fn go_on(&mut self, when: &str) {
        for (index, stream) in self.streams.iter_mut().enumerate() {
            let said = format!("{when} {index}").repeat(300);
            stream.write_all(said.as_bytes()).unwrap();
            let mut back = vec![0; said.len()];
            stream.read_exact(&mut back).unwrap_or_else(|error| panic!("{when}: connection {index}: {error}"));
            assert_eq!(back, said.as_bytes(), "{when}");
        }
        udp_exchange_on(&self.inbound, at(WEB, 53), when.as_bytes())
            .unwrap_or_else(|error| panic!("{when}: {error:#}"));
        udp_exchange_on(&self.outbound, at(INTERNET, 53), when.as_bytes())
            .unwrap_or_else(|error| panic!("{when}: {error:#}"));
    }
}

#[test]
fn the_guide_takes_nftables_floating_ips_over_and_back_under_live_traffic() {
    let lab = Lab::new().unwrap();
    follow(&lab, "The gateway before");
    let servers = [(&lab.a, 80), (&lab.internet, 80)].map(|(host, port)| Server::tcp_echo(host, port).unwrap());
    let names = [(&lab.a, 53), (&lab.internet, 53)].map(|(host, port)| Server::udp_echo(host, port).unwrap());
    let mut conversations = Conversations::open(&lab);
    conversations.go_on("by nftables");
    follow(&lab, "1. Prepare");
    conversations.go_on("prepared");
    follow(&lab, "2. Cut over");
    conversations.go_on("by eipgate");
    assert!(lab.verdicts("inbound").unwrap() > 10 && lab.verdicts("outbound").unwrap() > 10);
    follow(&lab, "3. Look");
    conversations.go_on("looked at");
    follow(&lab, "4. Roll back");
    conversations.go_on("by nftables again");
    let peers = servers[0].peers();
    assert!(peers.iter().all(|peer| *peer.ip() == INTERNET), "{peers:?}");
    drop((servers, names));
    lab.finish().unwrap();
}
