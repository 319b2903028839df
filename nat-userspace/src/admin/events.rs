//! Events, one on each line, for as long as the client wants them.
//!
//! They are read from the history itself, those that happen now like those of old: a follower misses nothing between the
//! two, nothing is kept for it in memory, and the gateway's task only says that there is something new. A follower that
//! does not take its lines is told so and left behind.

use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, timeout, timeout_at};

use crate::gateway::{Handle, Past};
use crate::store::History;

use super::lines::{IDLE, encode_line};
use super::past::{beside, event_row};
use super::wire::{Complaint, ComplaintKind, EventRow, EventsEnd, Reply};

/// Events read at once.
const BATCH: usize = 256;
/// A follower may take so long for one batch.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Tells the events after `since`, or from now on, and goes on with each that happens where they are followed. The outer
/// error ends the connection; so must a complaint, which may come after events. A batch may wait for `patience` to be taken.
pub(super) async fn serve(
    since: Option<u64>,
    follow: bool,
    read: &mut (impl AsyncBufRead + Unpin),
    write: &mut (impl AsyncWrite + Unpin),
    handle: &Handle,
    patience: Duration,
) -> Result<Result<EventsEnd, Complaint>> {
    let past = match handle.ask(|operations| operations.past()).await {
        Ok(past) => past,
        Err(stopped) => return Ok(Err(stopped.into())),
    };
    let Past { history, mut commits } = past;
    // Whatever is committed from here on is noticed, be it told before that or not.
    commits.mark_unchanged();
    let begun = history.clone();
    let mut told = match beside(move || start(&begun, since)).await {
        Ok(told) => told,
        Err(complaint) => return Ok(Err(complaint)),
    };
    loop {
        let (from, source) = (told, history.clone());
        let batch = match beside(move || next(&source, from)).await {
            Ok(batch) => batch,
            Err(complaint) => return Ok(Err(complaint)),
        };
        if let Some(last) = batch.last() {
            told = last.revision;
            let lines: Vec<u8> =
                batch.into_iter().flat_map(|row| encode_line(&Reply::<()>::Event(Box::new(row)))).collect();
            if !take(&lines, write, patience).await? {
                let message = format!(
                    "cut off: the events were not taken for {} s; go on with `--since {told}`",
                    patience.as_secs()
                );
                let code = "too-slow".into();
                return Ok(Err(Complaint { kind: ComplaintKind::Conflict, code, message, pair: None }));
            }
        } else if !follow {
            return Ok(Ok(EventsEnd { revision: told }));
        } else {
            tokio::select! {
                changed = commits.changed() => if changed.is_err() {
                    return Ok(Err(crate::gateway::GatewayError::Stopping.into()));
                },
                // A client that follows says nothing more, so this is its end.
                end = read.fill_buf() => {
                    end?;
                    anyhow::bail!("the follower has gone");
                }
            }
        }
    }
}

/// Has lines taken, whole ones only: those that are under way when the time is up are waited for once more, so that what
/// follows is readable. Whether they were taken in time.
async fn take(lines: &[u8], write: &mut (impl AsyncWrite + Unpin), patience: Duration) -> Result<bool> {
    let (deadline, mut done) = (Instant::now() + patience, 0);
    while done < lines.len() {
        match timeout_at(deadline, write.write(&lines[done..])).await {
            Ok(written) => done += written?,
            Err(_) => {
                timeout(IDLE, write.write_all(&lines[done..])).await.context("the events were not taken")??;
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// The revision after which to begin.
fn start(history: &History, since: Option<u64>) -> Result<u64, Complaint> {
    let Some(reader) = history.open()? else { return Ok(0) };
    let (latest, pruned) = (reader.latest()?, reader.pruned_through()?);
    let refuse = |code: &str, message| {
        let code = code.into();
        Err(Complaint { kind: ComplaintKind::Invalid, code, message, pair: None })
    };
    match since {
        None => Ok(latest),
        Some(since) if since > latest => {
            refuse("revision-ahead", format!("there is no revision {since} yet; the latest is {latest}"))
        }
        Some(since) if since < pruned => refuse(
            "revision-pruned",
            format!(
                "events up to revision {pruned} were pruned, so not all after {since} are there; use `--since {pruned}` or later"
            ),
        ),
        Some(since) => Ok(since),
    }
}

fn next(history: &History, told: u64) -> Result<Vec<EventRow>, Complaint> {
    let Some(reader) = history.open()? else { return Ok(Vec::new()) };
    // What was pruned while it was on its way to a follower is missing to it like to one that begins.
    let batch = reader.after(told, BATCH)?;
    let pruned = reader.pruned_through()?;
    if told < pruned && batch.first().is_none_or(|first| first.revision != told + 1) {
        let message =
            format!("cut off: events after revision {told} were pruned meanwhile; go on with `--since {pruned}`");
        let code = "revision-pruned".into();
        return Err(Complaint { kind: ComplaintKind::Conflict, code, message, pair: None });
    }
    Ok(batch.into_iter().map(event_row).collect())
}
