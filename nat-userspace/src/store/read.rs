//! Rows as the domain's snapshot.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};

use rusqlite::types::FromSqlError;
use rusqlite::{Connection, Error, Row};

use super::error::unreadable;
use super::write::{charge_number, daily_number, state_number};
use super::{StoreError, details, ranges};
use crate::address::{
    AccountId, Billing, ChargeType, Daily, DayCount, Eip, EipTerms, IdError, Instance, InstanceState, Made, Package,
    Snapshot, StopMode, Time, TokenError, UsedToken, VpcId,
};

/// Instances that are worth a second reader.
const MANY: usize = 20_000;
/// Instances a reader takes at once.
const STRETCH: usize = 500;

/// Why rows are not a snapshot.
#[derive(Debug)]
pub(super) enum Unreadable {
    Sql(Error),
    Value(String),
}

impl Unreadable {
    pub(super) fn at(self, path: &Path) -> StoreError {
        match self {
            Unreadable::Sql(error) => unreadable(path, &error),
            Unreadable::Value(problem) => StoreError::Corrupt { path: path.to_owned(), problem },
        }
    }
}

impl From<Error> for Unreadable {
    fn from(error: Error) -> Self {
        Unreadable::Sql(error)
    }
}

impl From<FromSqlError> for Unreadable {
    fn from(error: FromSqlError) -> Self {
        Unreadable::Value(error.to_string())
    }
}

impl From<IdError> for Unreadable {
    fn from(error: IdError) -> Self {
        Unreadable::Value(error.to_string())
    }
}

impl From<TokenError> for Unreadable {
    fn from(error: TokenError) -> Self {
        Unreadable::Value(error.to_string())
    }
}

/// Everything that is stored; `another` connection to it is opened where there may be one and it is worth it.
pub(super) fn snapshot(
    database: &Connection,
    another: Option<impl FnOnce() -> Result<Connection, Error>>,
) -> Result<Snapshot, Unreadable> {
    map_into_memory(database)?;
    Ok(Snapshot {
        instances: instances(database, another)?,
        eips: eips(database)?,
        released: all(database, "released", "SELECT address, at_ms FROM released ORDER BY address", |row| {
            Ok((address(row, 0)?, time(row, 1)?))
        })?,
        duplicates: all(database, "duplicates", "SELECT address FROM duplicates ORDER BY address", |row| {
            address(row, 0)
        })?,
        packages: packages(database)?,
        days: days(database)?,
        tokens: tokens(database)?,
        fences: ranges::fences(database)?,
        standings: ranges::standings(database)?,
    })
}

/// Reads through the page cache of the system, which costs no copy.
fn map_into_memory(database: &Connection) -> Result<(), Unreadable> {
    Ok(database.pragma_update_and_check(None, "mmap_size", 1_i64 << 32, |_| Ok(()))?)
}

/// In the order of their ids. Where there are many, a second reader comes from the other end until they meet.
fn instances(
    database: &Connection,
    another: Option<impl FnOnce() -> Result<Connection, Error>>,
) -> Result<Vec<Instance>, Unreadable> {
    let left = AtomicUsize::new(count(database, "instances")?);
    let many = left.load(Ordering::Relaxed) >= MANY;
    let Some(another) = another.filter(|_| many) else { return some_instances(database, "ASC", &left) };
    let other = another()?;
    map_into_memory(&other)?;
    let (found, rest) = std::thread::scope(|scope| {
        let rest = scope.spawn(|| {
            let other = other;
            some_instances(&other, "DESC", &left)
        });
        let found = some_instances(database, "ASC", &left);
        (found, rest.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    let (mut found, rest) = (found?, rest?);
    found.extend(rest.into_iter().rev());
    Ok(found)
}

/// Instances from one end, for as long as any are `left`.
fn some_instances(database: &Connection, order: &str, left: &AtomicUsize) -> Result<Vec<Instance>, Unreadable> {
    let (mut accounts, mut vpcs) = (Shared::<AccountId>::default(), Shared::<VpcId>::default());
    let mut found = Vec::with_capacity(left.load(Ordering::Relaxed));
    let mut statement = database.prepare(&format!(
        "SELECT id, account, vpc, private, name, bandwidth_mbps, charge_type, ordinary, last_ordinary, created_ms, \
         package, paid_until_ms, state, since_ms, owed, detail FROM instances ORDER BY id {order}"
    ))?;
    let mut rows = statement.query([])?;
    loop {
        let mut mine = 0;
        let take = |left: usize| {
            mine = left.min(STRETCH);
            Some(left - mine)
        };
        // It only shares out rows; what was read is handed over by the end of the thread.
        let _ = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        if mine == 0 {
            return Ok(found);
        }
        for _ in 0..mine {
            let row = rows.next()?.ok_or_else(|| Unreadable::Value("instances are fewer than counted".to_owned()))?;
            found.push(Instance {
                id: text(row, 0)?.parse()?,
                account: accounts.get(text(row, 1)?)?,
                vpc: vpcs.get(text(row, 2)?)?,
                private: address(row, 3)?,
                name: name(row, 4)?,
                bandwidth_mbps: number(row, 5)?,
                charge_type: charge_type(row, 6)?,
                ordinary: some_address(row, 7)?,
                last_ordinary: some_address(row, 8)?,
                created: time(row, 9)?,
                package: row.get_ref(10)?.as_str_or_null()?.map(str::parse).transpose()?,
                billing: match row.get_ref(11)?.as_i64_or_null()? {
                    Some(_) => Billing::Prepaid { until: time(row, 11)? },
                    None => Billing::Postpaid,
                },
                state: state(row, 12)?,
                since: time(row, 13)?,
                owed: flag(row, 14)?,
                detail: details::detail(row, 15)?,
            });
        }
    }
}

fn count(database: &Connection, table: &str) -> Result<usize, Unreadable> {
    Ok(database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?)
}

fn eips(database: &Connection) -> Result<Vec<Eip>, Unreadable> {
    let mut accounts = Shared::<AccountId>::default();
    let sql = "SELECT id, account, address, name, bound_to, created_ms, bandwidth_mbps, charge_type, package, blocked, \
               arrears, detail FROM eips ORDER BY id";
    all(database, "eips", sql, |row| {
        Ok(Eip {
            id: text(row, 0)?.parse()?,
            account: accounts.get(text(row, 1)?)?,
            address: address(row, 2)?,
            terms: EipTerms {
                name: name(row, 3)?,
                bandwidth_mbps: number(row, 6)?,
                charge_type: charge_type(row, 7)?,
                package: row.get_ref(8)?.as_str_or_null()?.map(str::parse).transpose()?,
                blocked: flag(row, 9)?,
                arrears: flag(row, 10)?,
                detail: details::detail(row, 11)?,
            },
            bound_to: row.get_ref(4)?.as_str_or_null()?.map(str::parse).transpose()?,
            created: time(row, 5)?,
        })
    })
}

fn packages(database: &Connection) -> Result<Vec<Package>, Unreadable> {
    let sql = "SELECT id, account, name, bandwidth_mbps, created_ms, detail FROM packages ORDER BY id";
    all(database, "packages", sql, |row| {
        Ok(Package {
            id: text(row, 0)?.parse()?,
            account: text(row, 1)?.parse()?,
            name: name(row, 2)?,
            bandwidth_mbps: row.get_ref(3)?.as_i64_or_null()?.map(within).transpose()?,
            created: time(row, 4)?,
            detail: details::detail(row, 5)?,
        })
    })
}

fn days(database: &Connection) -> Result<Vec<DayCount>, Unreadable> {
    all(database, "days", "SELECT account, what, day, count FROM days ORDER BY account, what", |row| {
        let stored = number(row, 1)?;
        let known = [Daily::Applications, Daily::Reallocations];
        let what = known.into_iter().find(|known| u32::from(daily_number(*known)) == stored);
        Ok(DayCount {
            account: text(row, 0)?.parse()?,
            what: what.ok_or_else(|| Unreadable::Value(format!("{stored} stands for nothing counted by the day")))?,
            day: u64::from(number(row, 2)?),
            count: number(row, 3)?,
        })
    })
}

fn tokens(database: &Connection) -> Result<Vec<UsedToken>, Unreadable> {
    let sql = "SELECT account, token, request, instance, eip, at_ms FROM tokens ORDER BY account, token";
    all(database, "tokens", sql, |row| {
        Ok(UsedToken {
            account: text(row, 0)?.parse()?,
            token: text(row, 1)?.parse()?,
            request: text(row, 2)?.to_owned(),
            made: match row.get_ref(3)?.as_str_or_null()? {
                Some(instances) => made(instances, Made::of_instances)?,
                None => made(text(row, 4)?, Made::of_eips)?,
            },
            at: time(row, 5)?,
        })
    })
}

/// Several ids stand side by side.
fn made<Id: FromStr<Err = IdError>>(text: &str, of: impl FnOnce(Vec<Id>) -> Option<Made>) -> Result<Made, Unreadable> {
    let ids = text.split(' ').map(str::parse).collect::<Result<Vec<Id>, _>>()?;
    of(ids).ok_or_else(|| Unreadable::Value("a client token stands for nothing".to_owned()))
}

/// Every row of a query over one table.
pub(super) fn all<T>(
    database: &Connection,
    table: &str,
    sql: &str,
    mut read: impl FnMut(&Row<'_>) -> Result<T, Unreadable>,
) -> Result<Vec<T>, Unreadable> {
    let mut found = Vec::with_capacity(count(database, table)?);
    let mut statement = database.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

pub(super) fn text<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a str, Unreadable> {
    Ok(row.get_ref(column)?.as_str()?)
}

pub(super) fn name(row: &Row<'_>, column: usize) -> Result<Option<String>, Unreadable> {
    Ok(row.get_ref(column)?.as_str_or_null()?.map(str::to_owned))
}

pub(super) fn number(row: &Row<'_>, column: usize) -> Result<u32, Unreadable> {
    within(row.get_ref(column)?.as_i64()?)
}

fn within(value: i64) -> Result<u32, Unreadable> {
    u32::try_from(value).map_err(|_| Unreadable::Value(format!("{value} is out of range")))
}

pub(super) fn address(row: &Row<'_>, column: usize) -> Result<Ipv4Addr, Unreadable> {
    number(row, column).map(Ipv4Addr::from_bits)
}

pub(super) fn some_address(row: &Row<'_>, column: usize) -> Result<Option<Ipv4Addr>, Unreadable> {
    let value = row.get_ref(column)?.as_i64_or_null()?;
    value.map(|bits| within(bits).map(Ipv4Addr::from_bits)).transpose()
}

pub(super) fn time(row: &Row<'_>, column: usize) -> Result<Time, Unreadable> {
    let value = row.get_ref(column)?.as_i64()?;
    u64::try_from(value).map(Time).map_err(|_| Unreadable::Value(format!("{value} is no time")))
}

fn charge_type(row: &Row<'_>, column: usize) -> Result<ChargeType, Unreadable> {
    let number = number(row, column)?;
    let known = ChargeType::ALL.into_iter().find(|known| u32::from(charge_number(*known)) == number);
    known.ok_or_else(|| Unreadable::Value(format!("{number} stands for no charge type")))
}

fn state(row: &Row<'_>, column: usize) -> Result<InstanceState, Unreadable> {
    let number = number(row, column)?;
    let known = [
        InstanceState::Pending,
        InstanceState::Running,
        InstanceState::Stopped(StopMode::KeepCharging),
        InstanceState::Stopped(StopMode::StopCharging),
        InstanceState::Shutdown,
    ];
    let known = known.into_iter().find(|known| u32::from(state_number(*known)) == number);
    known.ok_or_else(|| Unreadable::Value(format!("{number} stands for no state")))
}

fn flag(row: &Row<'_>, column: usize) -> Result<bool, Unreadable> {
    match row.get_ref(column)?.as_i64()? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(Unreadable::Value(format!("{other} is neither yes nor no"))),
    }
}

/// Ids that many rows have in common: parsed once, shared from then on.
struct Shared<Id> {
    known: HashMap<String, Id>,
    /// Most rows name the one that the row before does.
    last: Option<Id>,
}

impl<Id> Default for Shared<Id> {
    fn default() -> Self {
        Shared { known: HashMap::new(), last: None }
    }
}

impl<Id: FromStr + Clone + AsRef<str>> Shared<Id> {
    fn get(&mut self, text: &str) -> Result<Id, Id::Err> {
        if let Some(last) = self.last.as_ref().filter(|last| last.as_ref() == text) {
            return Ok(last.clone());
        }
        let id = match self.known.get(text) {
            Some(id) => id.clone(),
            None => {
                let id: Id = text.parse()?;
                self.known.insert(text.to_owned(), id.clone());
                id
            }
        };
        self.last = Some(id.clone());
        Ok(id)
    }
}
