//! Reading the history beside the daemon's own work: with a connection of its own, which never keeps a commit waiting.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use rusqlite::{Connection, Error, Params, Row};

use super::super::StoreError;
use super::super::read::{Unreadable, some_address, text, time};
use super::super::schema;
use super::number;
use crate::address::{AccountId, Event, EventKind, InstanceId, Time};

/// The history of a state directory, which exists once something has been committed.
#[derive(Clone, Debug)]
pub struct History {
    path: PathBuf,
}

/// A look into it.
pub struct Reader {
    path: PathBuf,
    database: Connection,
}

/// An event beside who its instance was.
pub(super) const EVENTS: &str = "\
SELECT h.revision, h.at_ms, h.kind, h.address, h.instance, h.eip, coalesce(h.account, c.account), c.vpc, c.private, \
c.name, h.detail FROM history h LEFT JOIN history c ON c.revision = \
(SELECT max(k.revision) FROM history k WHERE k.kind = 64 AND k.instance = h.instance AND k.revision <= h.revision)";

impl History {
    pub(in crate::store) fn new(path: PathBuf) -> History {
        History { path }
    }

    /// Opens it; `None` where nothing has been committed yet.
    ///
    /// # Errors
    /// The system or SQLite refused.
    pub fn open(&self) -> Result<Option<Reader>, StoreError> {
        if !self.path.exists() {
            return Ok(None);
        }
        let failed = |source| StoreError::Sql { action: "open the history in", path: self.path.clone(), source };
        let database = schema::open_beside_a_daemon(&self.path).map_err(failed)?;
        let begun =
            database.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'history'", [], |row| row.get(0));
        let begun: u32 = begun.map_err(failed)?;
        Ok((begun > 0).then(|| Reader { path: self.path.clone(), database }))
    }
}

impl Reader {
    /// Everything that happened to a public address, ascending.
    ///
    /// # Errors
    /// SQLite refused, or what is stored is no event.
    pub fn of_address(&self, address: Ipv4Addr) -> Result<Vec<Event>, StoreError> {
        self.events("WHERE h.address = ? ORDER BY h.revision", [address.to_bits()])
    }

    /// Everything that happened to an instance of the account, ascending.
    ///
    /// # Errors
    /// SQLite refused, or what is stored is no event.
    pub fn of_instance(&self, account: &AccountId, id: &str) -> Result<Vec<Event>, StoreError> {
        self.owned(account, self.events("WHERE h.instance = ? ORDER BY h.revision", [id])?)
    }

    /// Everything that happened to an EIP of the account, ascending.
    ///
    /// # Errors
    /// SQLite refused, or what is stored is no event.
    pub fn of_eip(&self, account: &AccountId, id: &str) -> Result<Vec<Event>, StoreError> {
        self.owned(account, self.events("WHERE h.eip = ? ORDER BY h.revision", [id])?)
    }

    /// The latest events of an instance of the account, newest first, so many at most.
    ///
    /// # Errors
    /// SQLite refused, or what is stored is no event.
    pub fn latest_of_instance(&self, account: &AccountId, id: &str, most: usize) -> Result<Vec<Event>, StoreError> {
        let latest = "WHERE h.instance = ? ORDER BY h.revision DESC LIMIT ?";
        self.owned(account, self.events(latest, (id, signed(most as u64)))?)
    }

    /// The latest events of an EIP of the account, newest first, so many at most.
    ///
    /// # Errors
    /// SQLite refused, or what is stored is no event.
    pub fn latest_of_eip(&self, account: &AccountId, id: &str, most: usize) -> Result<Vec<Event>, StoreError> {
        let latest = "WHERE h.eip = ? ORDER BY h.revision DESC LIMIT ?";
        self.owned(account, self.events(latest, (id, signed(most as u64)))?)
    }

    /// The instances of the account that have or had this name, in the order they were created.
    ///
    /// # Errors
    /// SQLite refused, or what is stored is no id.
    pub fn instances_named(&self, account: &AccountId, name: &str) -> Result<Vec<InstanceId>, StoreError> {
        let sql = "SELECT instance FROM history WHERE kind = 64 AND name = ? AND account = ? ORDER BY revision";
        self.rows(sql, [name, account.as_str()], |row| Ok(text(row, 0)?.parse()?))
    }

    /// The events after a revision, ascending, so many at most.
    ///
    /// # Errors
    /// SQLite refused, or what is stored is no event.
    pub fn after(&self, revision: u64, most: usize) -> Result<Vec<Event>, StoreError> {
        self.events("WHERE h.revision > ? ORDER BY h.revision LIMIT ?", (signed(revision), signed(most as u64)))
    }

    /// The revision of the latest event there ever was; 0 before the first.
    ///
    /// # Errors
    /// SQLite refused.
    pub fn latest(&self) -> Result<u64, StoreError> {
        self.one_number("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'history'")
    }

    /// The revision up to which events may be missing, because old ones were pruned; 0 where none were.
    ///
    /// # Errors
    /// SQLite refused.
    pub fn pruned_through(&self) -> Result<u64, StoreError> {
        self.one_number("SELECT coalesce(max(through), 0) FROM prunings")
    }

    /// The time before which the history was given up; the epoch where it never was.
    ///
    /// # Errors
    /// SQLite refused.
    pub fn pruned_before(&self) -> Result<Time, StoreError> {
        self.one_number("SELECT coalesce(max(before_ms), 0) FROM prunings").map(Time)
    }

    /// To an account, another's objects do not exist.
    fn owned(&self, account: &AccountId, events: Vec<Event>) -> Result<Vec<Event>, StoreError> {
        Ok(events.into_iter().filter(|event| event.account.as_ref() == Some(account)).collect())
    }

    fn events(&self, condition: &str, values: impl Params) -> Result<Vec<Event>, StoreError> {
        self.rows(&format!("{EVENTS} {condition}"), values, event)
    }

    fn one_number(&self, sql: &str) -> Result<u64, StoreError> {
        let found: Result<i64, Error> = self.database.query_row(sql, [], |row| row.get(0));
        found.map(|number| number.unsigned_abs()).map_err(|error| self.failed(error.into()))
    }

    fn rows<T>(
        &self,
        sql: &str,
        values: impl Params,
        mut read: impl FnMut(&Row<'_>) -> Result<T, Unreadable>,
    ) -> Result<Vec<T>, StoreError> {
        let all = || {
            let mut statement = self.database.prepare_cached(sql)?;
            let (mut rows, mut found) = (statement.query(values)?, Vec::new());
            while let Some(row) = rows.next()? {
                found.push(read(row)?);
            }
            Ok(found)
        };
        all().map_err(|problem| self.failed(problem))
    }

    fn failed(&self, problem: Unreadable) -> StoreError {
        match problem {
            Unreadable::Sql(source) => {
                StoreError::Sql { action: "read the history in", path: self.path.clone(), source }
            }
            damage => damage.at(&self.path),
        }
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn event(row: &Row<'_>) -> Result<Event, Unreadable> {
    let stored: i64 = row.get(2)?;
    let known = EventKind::ALL.iter().copied().find(|kind| i64::from(number(*kind)) == stored);
    Ok(Event {
        revision: time(row, 0)?.0,
        at: time(row, 1)?,
        kind: known.ok_or_else(|| Unreadable::Value(format!("{stored} stands for no kind of event")))?,
        address: some_address(row, 3)?,
        instance: some(row, 4, str::parse)?,
        eip: some(row, 5, str::parse)?,
        account: some(row, 6, str::parse)?,
        vpc: some(row, 7, str::parse)?,
        private: some_address(row, 8)?,
        name: row.get(9)?,
        detail: row.get(10)?,
    })
}

fn some<T, E>(row: &Row<'_>, column: usize, read: impl Fn(&str) -> Result<T, E>) -> Result<Option<T>, Unreadable>
where
    Unreadable: From<E>,
{
    let found = row.get_ref(column)?.as_str_or_null()?;
    Ok(found.map(read).transpose()?)
}
