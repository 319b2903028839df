//! `eipgate announce`: tells the links that the gateway's addresses are here now.

use std::net::Ipv4Addr;

use super::Context;
use super::failure::Failure;
use super::output::{Shown, show};
use crate::admin::wire::{Announced, Request};
use crate::dataplane::ANNOUNCEMENTS_PER_SECOND;

/// Tell the neighbours on the uplinks that bound on-link addresses are here now, by gratuitous ARP: for a gateway that
/// takes over from another, as under keepalived. Addresses of routed pools need none.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  eipgate announce --all
  eipgate announce --all --rate 500/s
  eipgate announce 198.51.100.7 198.51.100.9")]
pub(super) struct Args {
    /// The addresses.
    #[arg(value_name = "ADDR", required_unless_present = "all", conflicts_with = "all")]
    addresses: Vec<Ipv4Addr>,

    /// Every address that is bound.
    #[arg(long)]
    all: bool,

    /// How many a second.
    #[arg(long, value_name = "N/s", value_parser = rate, default_value_t = ANNOUNCEMENTS_PER_SECOND)]
    rate: u32,
}

fn rate(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    match number.parse() {
        Ok(rate @ 1..=100_000) => Ok(rate),
        _ => Err(format!("`{text}` is no rate; write 1/s to 100000/s")),
    }
}

pub(super) fn run(args: Args, context: &Context) -> Result<Shown, Failure> {
    let request = Request::Announce { addresses: args.addresses, per_second: args.rate };
    let announced: Announced = context.client.ask(&request)?;
    Ok(show(context.format, &announced, sentence))
}

fn sentence(Announced { announced, routed, per_second }: &Announced) -> String {
    let seconds = announced.div_ceil((*per_second).max(1) as usize);
    match (announced, routed) {
        (0, 0) => "nothing is bound, so nothing is announced".into(),
        (0, routed) => {
            format!("nothing is announced: {routed} addresses are in routed pools, which nobody asks for by ARP")
        }
        (_, 0) => format!("announcing {announced} addresses, {per_second} a second: known in {seconds} s"),
        _ => format!(
            "announcing {announced} addresses, {per_second} a second: known in {seconds} s; {routed} in routed pools need none"
        ),
    }
}
