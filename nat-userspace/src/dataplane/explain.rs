//! What would become of a packet: a second load of the program, over the live maps but for those that count, is given
//! the packet, and says.
//!
//! Counters, token buckets, settings and reports of the second load are its own, so nothing that anybody reads changes.
//! Verdict and packet are the program's; the steps are read from the same maps, and tell why.

mod packet;
mod remedy;
mod steps;

use std::ffi::CString;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use aya::Ebpf;
use aya::maps::{Array, Map, MapData, PerCpuArray, PerCpuValues};
use aya::programs::{TestRun as _, TestRunOptions, Xdp};
use nat_common::abi::{Bucket, Hop, Link, LinkKey, MAP_NAMES, SIDE_DOWNLINK, SIDE_UPLINK, Settings, VerdictCounter};
use nat_common::ipv4;
use nat_common::verdict::{Action, Verdict};
use nix::net::if_::{if_indextoname, if_nametoindex};
use serde::Serialize;

use self::packet::mac;
pub use self::packet::{Check, Payload, Question, Shape};
use self::steps::Facts;
use super::limits::Limits;
use super::pins::Pins;
use super::{attachment, program};

/// Maps the second load has to itself, because a packet changes them.
const OWN: [&str; 5] = ["COUNTERS", "VERDICTS", "SETTINGS", "BUCKETS", "EVENTS"];

/// What became of the packet, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Where it arrives.
    pub interface: String,
    /// The packet as it arrives.
    pub arrives: Shape,
    /// What was asked on the way, in order.
    pub steps: Vec<Step>,
    /// Name of the verdict.
    pub verdict: &'static str,
    /// forward, reply, pass or drop.
    pub action: &'static str,
    /// What the verdict means.
    pub explanation: &'static str,
    /// What to do about it, where something can be done.
    pub remedy: Option<&'static str>,
    /// Where the packet, or the reply to it, leaves; absent where it does not leave or the kernel decides.
    pub leaves_by: Option<String>,
    /// The packet, or the reply to it, as it leaves the program; absent where it is dropped.
    pub leaves: Option<Shape>,
}

/// One thing the program asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// link, direction, pair, source, policer or next_hop.
    pub step: &'static str,
    /// The answer.
    pub finding: String,
}

/// Explains a packet that arrives by this link (an interface and VLAN ids, outermost first), or by the one its addresses
/// suggest.
///
/// # Errors
/// No maps there, a link that is none, or addresses that suggest several.
pub fn explain(bpf_dir: &Path, question: &Question, link: Option<(&str, &[u16])>) -> Result<Explanation> {
    let pins = Pins::under(bpf_dir);
    pins.check_layout()?;
    let settings: Array<MapData, Settings> = pins.open("SETTINGS")?;
    let settings = settings.get(&0, 0).context("reading SETTINGS")?;
    ensure!(settings.max_pairs != 0, "the gateway's maps are not filled yet; start the daemon");
    let facts = Facts::open(&pins, settings)?;
    let (key, link, chosen) = arrival(&facts, question, link)?;
    let vlans: Vec<u16> = [key.outer, key.inner].into_iter().filter(|vlan| *vlan != 0).collect();
    let frame = question.frame(link.mac, &vlans);
    let arrives = Shape::of(&frame).context("the packet in question is none")?;

    let outcome = run(&pins, settings, key.ifindex, &frame)?;
    let verdict = outcome.verdict;
    let way = facts.way(question, &link, verdict, &outcome);
    let mut steps = facts.steps(question, &link, verdict);
    let named = named(key.ifindex, &vlans);
    steps.insert(0, Step { step: "link", finding: format!("{named}, {}{chosen}", facts.side(&link)) });
    steps.push(Step { step: "next_hop", finding: way.finding });
    let leaves_by = match verdict.action() {
        Action::Forward => way.ifindex.map(|(ifindex, vlans)| self::named(ifindex, &vlans)),
        Action::Reply => Some(named.clone()),
        Action::Pass | Action::Drop => None,
    };
    Ok(Explanation {
        interface: named,
        arrives,
        steps,
        verdict: verdict.name(),
        action: action_name(verdict),
        explanation: verdict.explanation(),
        remedy: remedy::remedy(verdict),
        leaves_by,
        leaves: Some(outcome.frame).filter(|_| verdict.action() != Action::Drop).and_then(|frame| Shape::of(&frame)),
    })
}

/// The word for what the program does with a packet of that verdict.
pub fn action_name(verdict: Verdict) -> &'static str {
    match verdict.action() {
        Action::Forward => "forward",
        Action::Reply => "reply",
        Action::Pass => "pass",
        Action::Drop => "drop",
    }
}

/// The link the packet arrives by, and how that was settled.
fn arrival(facts: &Facts, question: &Question, asked: Option<(&str, &[u16])>) -> Result<(LinkKey, Link, &'static str)> {
    let links = facts.links()?;
    if let Some((interface, vlans)) = asked {
        let name = CString::new(interface).context("the name of an interface has no zero in it")?;
        let ifindex = if_nametoindex(name.as_c_str())
            .with_context(|| format!("there is no interface {interface} here; `ip link` lists those that are"))?;
        let tag = |position: usize| vlans.get(position).copied().unwrap_or(0);
        let key = LinkKey { ifindex, outer: tag(0), inner: tag(1) };
        let Some((_, link)) = links.iter().find(|(there, _)| *there == key) else {
            let known: Vec<String> = links.iter().map(|(key, _)| named(key.ifindex, &[key.outer, key.inner])).collect();
            bail!("{} is no uplink or downlink; there are {}", named(ifindex, vlans), known.join(", "));
        };
        return Ok((key, *link, ""));
    }
    let side = |side: u32| links.iter().filter(move |(_, link)| link.side == side);
    let homes: Vec<_> = side(SIDE_DOWNLINK).filter(|(_, link)| facts.is_at_home(link.vpc, question.source)).collect();
    let candidates = match homes.is_empty() {
        false => homes,
        true if ipv4::is_private(question.source.octets()) => side(SIDE_DOWNLINK).collect(),
        true => side(SIDE_UPLINK).collect(),
    };
    match candidates[..] {
        [(key, link)] => Ok((*key, *link, " (by its source; --interface chooses another)")),
        // Any uplink judges a packet alike.
        [(key, link), ..] if link.side == SIDE_UPLINK => Ok((*key, *link, " (the first; --interface chooses another)")),
        [] => bail!("{} has no link to arrive by at present; give one with --interface", question.source),
        _ => {
            let names: Vec<_> = candidates.iter().map(|(key, _)| named(key.ifindex, &[key.outer, key.inner])).collect();
            bail!("{} may arrive by {}; choose one with --interface", question.source, names.join(" or "))
        }
    }
}

/// An interface with its VLAN ids, as the configuration writes it.
fn named(ifindex: u32, vlans: &[u16]) -> String {
    let name = if_indextoname(ifindex).ok().and_then(|name| name.into_string().ok());
    let vlans: Vec<String> = vlans.iter().filter(|vlan| **vlan != 0).map(u16::to_string).collect();
    let tags = if vlans.is_empty() { String::new() } else { format!(":{}", vlans.join(".")) };
    format!("{}{tags}", name.unwrap_or_else(|| format!("interface {ifindex}")))
}

/// What the program did.
pub struct Outcome {
    verdict: Verdict,
    frame: Vec<u8>,
    /// The kernel's answer about the way, where it was asked and knew one.
    asked: Option<Hop>,
}

fn run(pins: &Pins, settings: Settings, ifindex: u32, frame: &[u8]) -> Result<Outcome> {
    if let Some(missing) = MAP_NAMES.iter().find(|name| !pins.map(name).exists()) {
        bail!("the pinned map {missing} is missing; is the gateway attached, and --bpf-dir right?");
    }
    let mut ebpf = program::load_beside(pins, Limits::of(&settings), &OWN)?;
    // As the tokens stand now; and nobody watches. The mark is the guard's secret, so it is not shown.
    let live: Array<MapData, Bucket> = pins.open("BUCKETS")?;
    let mut buckets: Array<_, Bucket> = map(&mut ebpf, "BUCKETS")?;
    for (index, bucket) in (0..).zip(live.iter()) {
        buckets.set(index, bucket.context("reading BUCKETS")?, 0).context("copying BUCKETS")?;
    }
    let own = Settings { monitor_until: 0, handover_mac: [0; 6], ..settings };
    map::<Array<_, Settings>>(&mut ebpf, "SETTINGS")?.set(0, own, 0).context("copying SETTINGS")?;

    // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex
    let mut context = [0; 24];
    context[4..8].copy_from_slice(&(frame.len() as u32).to_ne_bytes());
    context[12..16].copy_from_slice(&ifindex.to_ne_bytes());
    // Replies grow by two headers, tags by eight bytes.
    let mut leaving = vec![0; frame.len() + 128];
    let mut options = TestRunOptions::new();
    options.data_in = Some(frame);
    options.data_out = Some(&mut leaving);
    options.ctx_in = Some(&context);
    let xdp: &Xdp = ebpf.program(attachment::NAME).context("the object holds no program eipgate")?.try_into()?;
    let result = xdp.test_run(options).with_context(|| {
        format!(
            "running the program on interface {ifindex}; explain runs as root, in the network namespace of the gateway, and \
             the interface must be up"
        )
    })?;
    let length = result.data_size_out as usize;
    leaving.truncate(length);

    let verdicts: PerCpuArray<_, VerdictCounter> = map(&mut ebpf, "VERDICTS")?;
    let given = Verdict::ALL.iter().copied().find(|verdict| {
        verdicts.get(&(*verdict as u32), 0).is_ok_and(|values| values.iter().any(|value| value.packets != 0))
    });
    let verdict = given.context("the program gave no verdict, which is a bug")?;
    let asked: PerCpuArray<_, Hop> = map(&mut ebpf, "ASKED")?;
    let answers: PerCpuValues<Hop> = asked.get(&0, 0).context("reading the kernel's answer")?;
    let asked = answers.iter().find(|hop| hop.ifindex != 0).copied();
    Ok(Outcome { verdict, frame: leaving, asked })
}

fn map<'a, T: TryFrom<&'a mut Map, Error = aya::maps::MapError>>(ebpf: &'a mut Ebpf, name: &str) -> Result<T> {
    let map = ebpf.map_mut(name).with_context(|| format!("the program has no map {name}"))?;
    Ok(map.try_into()?)
}

/// Where a packet goes next, in words and as an interface with VLAN ids.
pub struct Way {
    finding: String,
    ifindex: Option<(u32, Vec<u16>)>,
}

impl Way {
    fn nowhere(finding: impl Into<String>) -> Way {
        Way { finding: finding.into(), ifindex: None }
    }

    fn by(hop: &Hop, why: &str) -> Way {
        let vlans = vec![hop.outer, hop.inner];
        let [to @ .., _, _, _, _, _, _] = hop.macs;
        Way {
            finding: format!("{} to {}; {why}", named(hop.ifindex, &vlans), mac(to)),
            ifindex: Some((hop.ifindex, vlans)),
        }
    }
}
