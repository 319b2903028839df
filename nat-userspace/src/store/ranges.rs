//! What operators decided about addresses and ranges themselves: fences, and pools that came, drain or went.

use std::net::Ipv4Addr;

use rusqlite::{Connection, Error, Transaction, params};

use super::read::{Unreadable, address, all, name, number, time};
use crate::address::{Fence, Prefix, Standing};

pub(super) const TABLES: &str = "
CREATE TABLE fences (
    address  INTEGER NOT NULL PRIMARY KEY,
    reason   TEXT,
    since_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE pools (
    network  INTEGER NOT NULL,
    length   INTEGER NOT NULL,
    standing INTEGER NOT NULL,
    PRIMARY KEY (network, length)
) STRICT, WITHOUT ROWID;
";

/// The number that stands for a standing, for good.
fn standing_number(standing: Standing) -> u32 {
    match standing {
        Standing::Added => 1,
        Standing::AddedDraining => 2,
        Standing::Draining => 3,
        Standing::Removed => 4,
    }
}

const STANDINGS: [Standing; 4] = [Standing::Added, Standing::AddedDraining, Standing::Draining, Standing::Removed];

/// Fails where the address is fenced already.
pub(super) fn fence(transaction: &Transaction<'_>, address: Ipv4Addr, fence: &Fence) -> Result<(), Error> {
    let sql = "INSERT INTO fences (address, reason, since_ms) VALUES (?, ?, ?)";
    transaction.execute(sql, params![address.to_bits(), fence.reason, fence.since.0]).map(drop)
}

/// Fails where the address is not fenced.
pub(super) fn unfence(transaction: &Transaction<'_>, address: Ipv4Addr) -> Result<(), Error> {
    match transaction.execute("DELETE FROM fences WHERE address = ?", [address.to_bits()])? {
        1 => Ok(()),
        other => Err(Error::StatementChangedRows(other)),
    }
}

/// Makes this all that is known of a range.
pub(super) fn stand(transaction: &Transaction<'_>, range: Prefix, standing: Option<Standing>) -> Result<(), Error> {
    let (network, length) = (range.first().to_bits(), range.length());
    match standing {
        Some(standing) => {
            let sql = "INSERT OR REPLACE INTO pools (network, length, standing) VALUES (?, ?, ?)";
            transaction.execute(sql, params![network, length, standing_number(standing)])
        }
        None => transaction.execute("DELETE FROM pools WHERE network = ? AND length = ?", params![network, length]),
    }
    .map(drop)
}

pub(super) fn fences(database: &Connection) -> Result<Vec<(Ipv4Addr, Fence)>, Unreadable> {
    all(database, "fences", "SELECT address, reason, since_ms FROM fences ORDER BY address", |row| {
        Ok((address(row, 0)?, Fence { reason: name(row, 1)?, since: time(row, 2)? }))
    })
}

pub(super) fn standings(database: &Connection) -> Result<Vec<(Prefix, Standing)>, Unreadable> {
    all(database, "pools", "SELECT network, length, standing FROM pools ORDER BY network, length", |row| {
        let (network, length, stored) = (address(row, 0)?, number(row, 1)?, number(row, 2)?);
        let range = u8::try_from(length).ok().and_then(|length| Prefix::new(network, length).ok());
        let range = range.ok_or_else(|| Unreadable::Value(format!("{network}/{length} is no range")))?;
        let standing = STANDINGS.into_iter().find(|standing| standing_number(*standing) == stored);
        let standing = standing.ok_or_else(|| Unreadable::Value(format!("{stored} stands for no state of a pool")))?;
        Ok((range, standing))
    })
}
