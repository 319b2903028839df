//! TCP between sockets through a gateway, frames of the wire's size: on veth a test of veth more than of the gateway, so
//! the floor is what to reach.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use serde_json::Value;

use super::addresses::{Pairs, REMOTE};
use super::gateway::{self, Ends, Kind, Standing};
use super::kit::{Kit, cpus};
use super::stats::Summary;
use super::verify::Work;
use crate::lab::Process;
use crate::lab::remains::Undo;

/// What a single TCP stream from an instance reaches.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tcp {
    /// The gateway.
    pub gateway: &'static str,
    /// Gigabits a second of payload, in each round.
    pub gbps: Vec<f64>,
}

impl Tcp {
    /// Over all rounds.
    pub fn summary(&self) -> Option<Summary> {
        Summary::of(&self.gbps)
    }
}

/// The gateways that are compared.
pub const KINDS: [Kind; 4] = [Kind::Static, Kind::Eipgate, Kind::Forward, Kind::NftStateful];

/// The pair of the instance that sends.
const SENDER: u32 = 5;
const PORT: u16 = 5201;

/// Measures these gateways in turn.
pub fn measure(undo: &Undo, kit: &mut Kit, kinds: &[Kind], rounds: usize, turn: Duration) -> Result<Vec<Tcp>> {
    let pairs = Pairs::clustered(1_000);
    let sender = pairs.private(SENDER);
    let mut stands: Vec<(Standing, Process, Tcp)> = Vec::new();
    for kind in kinds {
        let standing = gateway::put_up(undo, kit, *kind, pairs, Ends::Hosts)?;
        standing.site.snk0.namespace.ip(&format!("addr add {sender}/32 dev snk0\n"))?;
        let host = &standing.site.gen0.namespace;
        let server = host.spawn(&["taskset", "-c", "0", "iperf3", "-s", "-p", &PORT.to_string()])?;
        host.wait_for_listener(PORT)?;
        stands.push((standing, server, Tcp { gateway: kind.name(), gbps: Vec::new() }));
    }
    for _ in 0..rounds {
        for (standing, _, result) in &mut stands {
            let rate = stream(standing, sender, turn);
            result.gbps.push(rate.with_context(|| format!("TCP through {}", result.gateway))?);
        }
    }
    Ok(stands.into_iter().map(|(.., result)| result).collect())
}

fn stream(standing: &Standing, sender: Ipv4Addr, turn: Duration) -> Result<f64> {
    let (cpu, remote, sender) = ((cpus() - 1).to_string(), REMOTE.to_string(), sender.to_string());
    let (port, seconds) = (PORT.to_string(), turn.as_secs().max(1).to_string());
    let iperf = ["iperf3", "-c", &remote, "-B", &sender, "-p", &port, "-t", &seconds, "-J", "--get-server-output"];
    let words = [&["taskset", "-c", &cpu], &iperf[..]].concat();
    let finished = standing.site.snk0.namespace.output(&words, turn + Duration::from_secs(10))?;
    ensure!(finished.success(), "{finished}");
    let told: Value = serde_json::from_str(&finished.stdout).context("iperf3 told no JSON")?;
    let seen = if standing.kind.work() == Work::Translate {
        standing.pairs.public(SENDER).to_string()
    } else {
        sender.clone()
    };
    let server = told["server_output_text"].as_str().context("iperf3 told nothing of its server")?;
    ensure!(
        server.contains(&format!("Accepted connection from {seen}"))
            || server.contains(&format!("connected to {seen} ")),
        "the server saw somebody else than {seen}:\n{server}"
    );
    let rate = told["end"]["sum_received"]["bits_per_second"].as_f64().context("iperf3 told no rate")?;
    Ok(rate / 1e9)
}
