//! What the script asks for while a page is open: the counters of its addresses, and instances to choose from.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde_json::{Map, Value, json};
use tokio::task::spawn_blocking;
use tracing::debug;

use super::pager::EFFORT;
use super::request::Asked;
use super::response::{self, Answer};
use super::routes::Unanswered;
use super::rows;
use super::serve::{Console, Known};
use crate::address::AccountId;
use crate::gateway::Traffic;

/// Addresses of one question.
const ADDRESSES: usize = 128;
/// Instances offered at one time.
const CHOICES: usize = 20;

/// What the asked addresses carried by now. Those of others are as if they were not there.
pub(super) async fn counters(console: &Console, asked: &Asked, known: &Known) -> Result<Answer, Unanswered> {
    let addresses: BTreeSet<Ipv4Addr> =
        asked.query.all("of").take(ADDRESSES).filter_map(|text| text.parse().ok()).collect();
    let account = known.session.1.account.clone();
    let found = traffic(console, account, addresses.into_iter().collect()).await?;
    // The browser's clock is not ours, and differences are all it needs.
    let at = console.began.elapsed().as_millis() as u64;
    let row = |(public, traffic): (Ipv4Addr, Traffic)| {
        let Traffic { packets_in, bytes_in, packets_out, bytes_out } = traffic;
        (public.to_string(), json!([bytes_in, bytes_out, packets_in, packets_out]))
    };
    let rows: Map<String, Value> = found.into_iter().map(row).collect();
    Ok(response::json(&json!({ "at": at, "rows": rows })))
}

/// What those of the addresses carried that are the account's and bound.
pub(super) async fn traffic(
    console: &Console,
    account: AccountId,
    addresses: Vec<Ipv4Addr>,
) -> Result<Vec<(Ipv4Addr, Traffic)>, Unanswered> {
    let (own, meter) = console
        .ask(move |operations| {
            let ledger = operations.ledger();
            let own = addresses.into_iter().filter(|address| rows::is_own(ledger, &account, *address));
            (own.collect::<Vec<_>>(), operations.meter())
        })
        .await?;
    let read = spawn_blocking(move || meter.of(&own)).await;
    let read = read.map_err(|error| error.to_string()).and_then(|read| read.map_err(|error| format!("{error:#}")));
    Ok(match read {
        Ok(found) => found.into_iter().map(|one| (one.public, one.traffic)).collect(),
        Err(why) => {
            debug!("the console cannot read counters: {why}");
            Vec::new()
        }
    })
}

/// Instances like a text, to choose from.
pub(super) async fn choices(console: &Console, asked: &Asked, known: &Known) -> Result<Answer, Unanswered> {
    let text: String = asked.query.get("q").unwrap_or_default().chars().take(128).collect();
    let account = known.session.1.account.clone();
    let found = console
        .ask(move |operations| {
            let ledger = operations.ledger();
            let ids = match text.as_str() {
                "" => ledger.instances_from(&account, 0).take(CHOICES).map(|instance| instance.id.clone()).collect(),
                text => ledger.search_instances(&account, text, CHOICES, EFFORT).items,
            };
            let row = |instance| rows::instance(ledger, instance);
            ids.iter().filter_map(|id| ledger.instance(id)).map(row).collect::<Vec<_>>()
        })
        .await?;
    let row = |row: &rows::InstanceRow| {
        let public = row.public.as_ref().map(|public| format!(" · {}", public.address)).unwrap_or_default();
        json!({ "value": row.id.to_string(), "label": format!("{} · {}{public}", row.called(), row.private) })
    };
    Ok(response::json(&Value::Array(found.iter().map(row).collect())))
}
