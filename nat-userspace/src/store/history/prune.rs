//! Giving up old history: whole tenures that ended before a moment, on demand and never by itself.

use rusqlite::{Error, Transaction, params};

use crate::address::Time;

/// Rows looked at in one transaction, so that other commits wait no longer than for a moment.
const STRETCH: i64 = 20_000;

/// Looks at the stretch after `cursor` and removes what ended before `before`. Answers how many rows went, and the
/// cursor of the next stretch, or `None` at the end.
///
/// An event is given up with the tenure that it began, when a later one before that moment has ended it; one that ends
/// a tenure, at once; who an instance was, when it is terminated. So what is true at that moment keeps the events that
/// made it so.
pub(in crate::store) fn prune(
    transaction: &Transaction<'_>,
    cursor: u64,
    before: Time,
    now: Time,
) -> Result<(usize, Option<u64>), Error> {
    let cursor = i64::try_from(cursor).unwrap_or(i64::MAX);
    let last: Option<i64> = transaction.query_row(
        "SELECT max(revision) FROM (SELECT revision FROM history WHERE revision > ? ORDER BY revision LIMIT ?)",
        [cursor, STRETCH],
        |row| row.get(0),
    )?;
    let Some(last) = last else { return Ok((0, None)) };
    // Releases, ends of fences and marks, whatever instances and pools went through.
    const GONE: &str = "\
h.at_ms < ?3 AND CASE WHEN h.kind IN (17, 21, 33, 49) OR h.kind > 64 THEN 1 \
WHEN h.kind = 64 THEN EXISTS (SELECT 1 FROM history l WHERE l.instance = h.instance AND l.revision > h.revision \
AND l.kind = 65 AND l.at_ms < ?3) \
ELSE EXISTS (SELECT 1 FROM history l WHERE l.address = h.address AND l.revision > h.revision \
AND l.kind / 16 = h.kind / 16 AND l.at_ms < ?3) END";
    let through: Option<i64> = transaction.query_row(
        &format!("SELECT max(h.revision) FROM history h WHERE h.revision > ?1 AND h.revision <= ?2 AND {GONE}"),
        params![cursor, last, before.0],
        |row| row.get(0),
    )?;
    let mut removed = 0;
    if let Some(through) = through {
        // Without this the trigger lets nothing go.
        let record = "INSERT INTO prunings (at_ms, before_ms, through) VALUES (?, ?, ?)";
        transaction.execute(record, params![now.0, before.0, through])?;
        let delete = format!(
            "DELETE FROM history WHERE revision IN \
             (SELECT h.revision FROM history h WHERE h.revision > ?1 AND h.revision <= ?2 AND {GONE})"
        );
        removed = transaction.execute(&delete, params![cursor, last, before.0])?;
    }
    Ok((removed, Some(last.unsigned_abs())))
}
