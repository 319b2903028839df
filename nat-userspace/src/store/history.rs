//! What has happened, kept for good: an append-only table, written in the transaction of the change it tells of.
//!
//! A row holds what its event is about; who an instance was stands in the row of its creation alone, and is put beside
//! the others when they are read. Nothing ever alters a row, which triggers see to, and the only way to remove any is to
//! record first up to when the history is given up.

mod prune;
mod read;
#[cfg(test)]
mod tests;

use rusqlite::{Error, OptionalExtension as _, Transaction, params};

use crate::address::{ChargeType, EventKind, Fact, InstanceId, PackageId, Prefix, Time};

pub(super) use self::prune::prune;
pub use self::read::{History, Reader};

/// Version 4. The indexes are those that the questions need: an address's, an instance's and an EIP's events, and who had a name. Who
/// an instance was is looked up for each of its events, so its index knows the kinds, of which 64 is a creation.
///
/// A store that had no history begins it with what is known: who is there, and what is held. How long an address has been
/// an instance's is not known, so that begins now.
pub(super) const STEP: &str = "
CREATE TABLE history (
    revision INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms    INTEGER NOT NULL,
    kind     INTEGER NOT NULL,
    address  INTEGER,
    instance TEXT,
    eip      TEXT,
    account  TEXT,
    vpc      TEXT,
    private  INTEGER,
    name     TEXT,
    detail   TEXT
) STRICT;
CREATE INDEX history_by_address ON history (address) WHERE address IS NOT NULL;
CREATE INDEX history_by_instance ON history (instance, kind) WHERE instance IS NOT NULL;
CREATE INDEX history_by_eip ON history (eip) WHERE eip IS NOT NULL;
CREATE INDEX history_by_name ON history (name) WHERE name IS NOT NULL;

CREATE TABLE prunings (
    at_ms     INTEGER NOT NULL,
    before_ms INTEGER NOT NULL,
    through   INTEGER NOT NULL
) STRICT;

CREATE TRIGGER history_is_never_altered BEFORE UPDATE ON history
BEGIN SELECT RAISE(ABORT, 'the history is append-only'); END;
CREATE TRIGGER history_is_never_shortened BEFORE DELETE ON history
WHEN OLD.at_ms >= (SELECT coalesce(max(before_ms), 0) FROM prunings)
BEGIN SELECT RAISE(ABORT, 'the history is append-only'); END;
CREATE TRIGGER prunings_are_never_altered BEFORE UPDATE ON prunings
BEGIN SELECT RAISE(ABORT, 'prunings are append-only'); END;
CREATE TRIGGER prunings_are_never_forgotten BEFORE DELETE ON prunings
BEGIN SELECT RAISE(ABORT, 'prunings are append-only'); END;

INSERT INTO history (at_ms, kind, instance, account, vpc, private, name)
    SELECT created_ms, 64, id, account, vpc, private, name FROM instances ORDER BY created_ms;
INSERT INTO history (at_ms, kind, address, eip, account) SELECT created_ms, 18, address, id, account FROM eips;
INSERT INTO history (at_ms, kind, address, instance)
    SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER), 23, ordinary, id FROM instances WHERE ordinary IS NOT NULL;
INSERT INTO history (at_ms, kind, address, instance, eip, account)
    SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER), 23, address, bound_to, id, account FROM eips
    WHERE bound_to IS NOT NULL;
";

/// The number that stands for a kind, for good. Those about one thing share their upper four bits.
fn number(kind: EventKind) -> u8 {
    match kind {
        EventKind::OrdinaryAssigned => 16,
        EventKind::OrdinaryReleased => 17,
        EventKind::EipAllocated => 18,
        EventKind::EipBound => 19,
        EventKind::EipUnbound => 20,
        EventKind::EipReleased => 21,
        EventKind::Imported => 22,
        EventKind::Recorded => 23,
        EventKind::Converted => 24,
        EventKind::AddressFenced => 32,
        EventKind::AddressUnfenced => 33,
        EventKind::DuplicateMarked => 48,
        EventKind::DuplicateCleared => 49,
        EventKind::InstanceCreated => 64,
        EventKind::InstanceTerminated => 65,
        EventKind::InstanceMoved => 66,
        EventKind::InstanceRenewed => 67,
        EventKind::InstanceChanged => 68,
        EventKind::PoolAdded => 80,
        EventKind::PoolDrained => 81,
        EventKind::PoolResumed => 82,
        EventKind::PoolRemoved => 83,
        EventKind::EipChanged => 96,
        EventKind::PackageCreated => 112,
        EventKind::PackageDeleted => 113,
        EventKind::PackageChanged => 114,
    }
}

/// A row to be. What it does not concern stays empty.
#[derive(Default)]
struct Row<'a> {
    address: Option<u32>,
    instance: Option<&'a str>,
    eip: Option<&'a str>,
    account: Option<&'a str>,
    detail: Option<&'a str>,
}

/// Writes what a fact tells, before the fact itself is written: of an EIP that goes, the address is asked for here.
pub(super) fn record(transaction: &Transaction<'_>, fact: &Fact, at: Time) -> Result<(), Error> {
    use EventKind as Kind;
    let append = |kind, row| append(transaction, at, kind, &row);
    let of_address = |address: &std::net::Ipv4Addr| Row { address: Some(address.to_bits()), ..Row::default() };
    let range = |prefix: Prefix, kind| {
        let prefix = prefix.to_string();
        self::append(transaction, at, kind, &Row { detail: Some(&prefix), ..Row::default() })
    };
    match fact {
        Fact::InstanceCreated(instance) => {
            let mut statement = transaction.prepare_cached(
                "INSERT INTO history (at_ms, kind, instance, account, vpc, private, name) VALUES (?, ?, ?, ?, ?, ?, ?)",
            )?;
            let (id, account, vpc) = (instance.id.as_str(), instance.account.as_str(), instance.vpc.as_str());
            let (kind, private) = (number(Kind::InstanceCreated), instance.private.to_bits());
            statement.execute(params![at.0, kind, id, account, vpc, private, instance.name])?;
            match &instance.ordinary {
                Some(address) => append(Kind::Imported, Row { instance: Some(id), ..of_address(address) }),
                None => Ok(()),
            }
        }
        Fact::InstanceTerminated { instance } => {
            append(Kind::InstanceTerminated, Row { instance: Some(instance.as_str()), ..Row::default() })
        }
        Fact::OrdinaryAssigned { instance, address } => {
            append(Kind::OrdinaryAssigned, Row { instance: Some(instance.as_str()), ..of_address(address) })
        }
        Fact::OrdinaryReleased { instance, address, .. } => {
            append(Kind::OrdinaryReleased, Row { instance: Some(instance.as_str()), ..of_address(address) })
        }
        Fact::InstanceMoved { instance, state, .. } => {
            let detail = state.to_string();
            self::append(transaction, at, Kind::InstanceMoved, &Row { detail: Some(&detail), ..of_instance(instance) })
        }
        Fact::InstanceRenewed { instance, until } => {
            let detail = format!("paid until {until}");
            self::append(
                transaction,
                at,
                Kind::InstanceRenewed,
                &Row { detail: Some(&detail), ..of_instance(instance) },
            )
        }
        Fact::InstanceTerms { instance, bandwidth_mbps, charge_type, package } => {
            let detail = terms(*bandwidth_mbps, *charge_type, package.as_ref());
            self::append(
                transaction,
                at,
                Kind::InstanceChanged,
                &Row { detail: Some(&detail), ..of_instance(instance) },
            )
        }
        Fact::InstanceAltered { instance, detail, .. } => {
            let what = detail.as_ref().and_then(|detail| Some(detail.operation.as_ref()?.name.as_str()));
            self::append(transaction, at, Kind::InstanceChanged, &Row { detail: what, ..of_instance(instance) })
        }
        Fact::OrdinaryConverted { instance, eip } => {
            let (id, account) = (Some(eip.id.as_str()), Some(eip.account.as_str()));
            let instance = Some(instance.as_str());
            append(Kind::Converted, Row { instance, eip: id, account, ..of_address(&eip.address) })
        }
        Fact::EipAllocated(eip) => {
            let instance = eip.bound_to.as_ref().map(|instance| instance.as_str());
            let kind = if instance.is_some() { Kind::Imported } else { Kind::EipAllocated };
            let (id, account) = (Some(eip.id.as_str()), Some(eip.account.as_str()));
            append(kind, Row { instance, eip: id, account, ..of_address(&eip.address) })
        }
        Fact::EipBound { eip, instance } => {
            of_eip(transaction, at, Kind::EipBound, eip.as_str(), Some(instance.as_str()), None)
        }
        Fact::EipUnbound { eip, instance } => {
            of_eip(transaction, at, Kind::EipUnbound, eip.as_str(), Some(instance.as_str()), None)
        }
        Fact::EipReleased { eip, .. } => of_eip(transaction, at, Kind::EipReleased, eip.as_str(), None, None),
        Fact::EipChanged { eip, terms: new } => {
            let mut detail = terms(new.bandwidth_mbps, new.charge_type, new.package.as_ref());
            for (is, word) in [(new.blocked, ", blocked"), (new.arrears, ", in arrears")] {
                detail.push_str(if is { word } else { "" });
            }
            of_eip(transaction, at, Kind::EipChanged, eip.as_str(), None, Some(&detail))
        }
        Fact::PackageCreated(package) => {
            let (account, detail) = (Some(package.account.as_str()), Some(package.id.as_str()));
            append(Kind::PackageCreated, Row { account, detail, ..Row::default() })
        }
        Fact::PackageChanged(package) => {
            let (account, detail) = (Some(package.account.as_str()), Some(package.id.as_str()));
            append(Kind::PackageChanged, Row { account, detail, ..Row::default() })
        }
        Fact::PackageDeleted { package } => {
            append(Kind::PackageDeleted, Row { detail: Some(package.as_str()), ..Row::default() })
        }
        // What the ledger counts for itself makes nothing true of anything.
        Fact::DayCounted(_) | Fact::TokenUsed(_) | Fact::TokenForgotten { .. } => Ok(()),
        Fact::DuplicateMarked { address } => append(Kind::DuplicateMarked, of_address(address)),
        Fact::DuplicateCleared { address } => append(Kind::DuplicateCleared, of_address(address)),
        Fact::AddressFenced { address, fence } => {
            append(Kind::AddressFenced, Row { detail: fence.reason.as_deref(), ..of_address(address) })
        }
        Fact::AddressUnfenced { address } => append(Kind::AddressUnfenced, of_address(address)),
        Fact::PoolAdded { range: added } => range(added.prefix(), Kind::PoolAdded),
        Fact::PoolDrained { prefix, .. } => range(*prefix, Kind::PoolDrained),
        Fact::PoolResumed { prefix, .. } => range(*prefix, Kind::PoolResumed),
        Fact::PoolRemoved { prefix, .. } => range(*prefix, Kind::PoolRemoved),
    }
}

fn of_instance(instance: &InstanceId) -> Row<'_> {
    Row { instance: Some(instance.as_str()), ..Row::default() }
}

fn terms(mbps: u32, charge_type: ChargeType, package: Option<&PackageId>) -> String {
    let package = package.map(|package| format!(", package {package}")).unwrap_or_default();
    format!("{mbps} Mbit/s, {charge_type}{package}")
}

fn of_eip(
    transaction: &Transaction<'_>,
    at: Time,
    kind: EventKind,
    eip: &str,
    instance: Option<&str>,
    detail: Option<&str>,
) -> Result<(), Error> {
    let mut statement = transaction.prepare_cached("SELECT address, account FROM eips WHERE id = ?")?;
    let known = statement.query_row([eip], |row| Ok((row.get::<_, u32>(0)?, row.get::<_, String>(1)?))).optional()?;
    // Where there is no such EIP, the fact contradicts the store, which is told when the fact itself is written.
    let Some((address, account)) = known else { return Ok(()) };
    let row = Row { address: Some(address), instance, eip: Some(eip), account: Some(&account), detail };
    append(transaction, at, kind, &row)
}

fn append(transaction: &Transaction<'_>, at: Time, kind: EventKind, row: &Row<'_>) -> Result<(), Error> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO history (at_ms, kind, address, instance, eip, account, detail) VALUES (?, ?, ?, ?, ?, ?, ?)",
    )?;
    let Row { address, instance, eip, account, detail } = row;
    statement.execute(params![at.0, number(kind), address, instance, eip, account, detail]).map(drop)
}
