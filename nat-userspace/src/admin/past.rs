//! Questions to the history. They are answered beside the gateway's task, which has changes to make.

use std::net::Ipv4Addr;

use jiff::Timestamp;

use crate::address::{AccountId, Event, EventKind, Tenure, Time, tenures};
use crate::gateway::{Handle, Past};
use crate::store::{Reader, StoreError};

use super::wire::{Complaint, ComplaintKind, EventRow, HistoryReport, Pruned, PublicIpKind, TenureRow};

/// What was, of an address, an instance or an EIP.
pub(super) async fn history(
    account: String,
    of: String,
    at: Option<String>,
    handle: &Handle,
) -> Result<HistoryReport, Complaint> {
    let account: AccountId = account.parse()?;
    let at = at.as_deref().map(moment).transpose()?;
    let Past { history, .. } = handle.ask(|operations| operations.past()).await?;
    beside(move || {
        let Some(reader) = history.open()? else { return Err(unknown(&of, &account)) };
        let mut tenures = look_up(&reader, &account, &of)?.ok_or_else(|| unknown(&of, &account))?;
        tenures.retain(|tenure| at.is_none_or(|at| tenure.covers(at)));
        let pruned = Some(reader.pruned_before()?).filter(|before| *before > Time::default());
        Ok(HistoryReport {
            tenures: tenures.into_iter().map(tenure_row).collect(),
            pruned_before: pruned.map(|before| before.to_string()),
        })
    })
    .await
}

/// Gives up what ended before a moment, a stretch at a time, so that changes come in between.
pub(super) async fn prune(before: String, handle: &Handle) -> Result<Pruned, Complaint> {
    let before = moment(&before)?;
    let (mut events, mut cursor) = (0, Some(0));
    while let Some(from) = cursor {
        let (gone, next) = handle.ask(move |operations| operations.prune_history(from, before)).await??;
        events += gone;
        cursor = next;
    }
    Ok(Pruned { events, before: before.to_string() })
}

/// Does what waits for the disk where it keeps no conversation waiting.
pub(super) async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Complaint> + Send + 'static,
) -> Result<T, Complaint> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Complaint::unreadable(format!("the history could not be read: {error}")))?
}

/// `None` where nothing is known of it.
fn look_up(reader: &Reader, account: &AccountId, of: &str) -> Result<Option<Vec<Tenure>>, StoreError> {
    if let Ok(address) = of.parse::<Ipv4Addr>() {
        let events = reader.of_address(address)?;
        return Ok((!events.is_empty()).then(|| tenures(events)));
    }
    let eip = reader.of_eip(account, of)?;
    if !eip.is_empty() {
        return Ok(Some(tenures(eip)));
    }
    let mut ids = vec![];
    if reader.of_instance(account, of)?.is_empty() {
        ids.extend(reader.instances_named(account, of)?.iter().map(ToString::to_string));
    } else {
        ids.push(of.to_owned());
    }
    ids.dedup();
    let mut found = Vec::new();
    for id in &ids {
        let had = tenures(reader.of_instance(account, id)?);
        found.extend(had.into_iter().filter(|tenure| tenure.came.instance.is_some()));
    }
    found.sort_by_key(|tenure| tenure.came.revision);
    Ok((!ids.is_empty()).then_some(found))
}

pub(super) fn moment(text: &str) -> Result<Time, Complaint> {
    let parsed: Result<Timestamp, _> = text.parse();
    let moment =
        parsed.map_err(|error| Complaint::invalid_request(format!("{text:?} is no RFC 3339 time: {error}")))?;
    Ok(Time(u64::try_from(moment.as_millisecond()).unwrap_or(0)))
}

fn unknown(of: &str, account: &AccountId) -> Complaint {
    let message = if of.parse::<Ipv4Addr>().is_ok() {
        format!("the history knows nothing of public address {of}; an instance is found by its id or name")
    } else {
        format!("the history knows no instance and no EIP {of:?} of account {account}")
    };
    Complaint { kind: ComplaintKind::NotFound, code: "unknown-to-history".into(), message, pair: None }
}

fn tenure_row(tenure: Tenure) -> TenureRow {
    let fenced = tenure.is_fence();
    let Tenure { address, came, went } = tenure;
    let kind = if came.eip.is_some() { PublicIpKind::Eip } else { PublicIpKind::Ordinary };
    TenureRow {
        address,
        public_ip_kind: (!fenced).then_some(kind),
        fenced,
        account: came.account.map(|account| account.to_string()),
        instance_id: came.instance.map(|instance| instance.to_string()),
        instance_name: came.name,
        vpc: came.vpc.map(|vpc| vpc.to_string()),
        private_ip: came.private,
        eip_id: came.eip.map(|eip| eip.to_string()),
        from: came.at.to_string(),
        came: came.kind.name().to_owned(),
        from_revision: came.revision,
        until: went.as_ref().map(|went| went.at.to_string()),
        went: went.as_ref().map(|went| went.kind.name().to_owned()),
        until_revision: went.as_ref().map(|went| went.revision),
        reason: came.detail,
    }
}

pub(super) fn event_row(event: Event) -> EventRow {
    let (mut reason, mut pool, mut state, mut detail) = (None, None, None, None);
    *match event.kind {
        EventKind::AddressFenced => &mut reason,
        EventKind::PoolAdded | EventKind::PoolDrained | EventKind::PoolResumed | EventKind::PoolRemoved => &mut pool,
        EventKind::InstanceMoved => &mut state,
        _ => &mut detail,
    } = event.detail;
    EventRow {
        revision: event.revision,
        at: event.at.to_string(),
        event: event.kind.name().to_owned(),
        address: event.address,
        account: event.account.map(|account| account.to_string()),
        instance_id: event.instance.map(|instance| instance.to_string()),
        instance_name: event.name,
        vpc: event.vpc.map(|vpc| vpc.to_string()),
        private_ip: event.private,
        eip_id: event.eip.map(|eip| eip.to_string()),
        pool,
        reason,
        state,
        detail,
    }
}

impl Complaint {
    fn unreadable(message: String) -> Self {
        Complaint { kind: ComplaintKind::Internal, code: "history-unreadable".into(), message, pair: None }
    }
}

impl From<StoreError> for Complaint {
    fn from(error: StoreError) -> Self {
        Complaint::unreadable(error.to_string())
    }
}
