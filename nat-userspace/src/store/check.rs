//! Everything that can be wrong with a stored state, named. What is asked here is asked of the rows themselves, so that
//! it does not share a mistake with the code that reads and writes them.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::{Connection, Error, params};

use super::{STATE, StoreError, read, schema};
use crate::address::Snapshot;

/// What was found in a state directory.
#[derive(Debug, Default)]
pub struct Examined {
    /// Of the file and its tables, a sentence each.
    pub damage: Vec<String>,
    /// Rows that contradict each other, a sentence each.
    pub contradictions: Vec<String>,
    /// The state, where it can be read.
    pub snapshot: Option<Snapshot>,
}

/// Looks at what is committed in a directory at one moment, whether a daemon serves on it or not. None where nothing
/// has been committed yet.
///
/// # Errors
/// The system refuses to read it, or it is of an earlier version. A file that is damaged is no error but a finding.
pub fn examine(directory: &Path) -> Result<Option<Examined>, StoreError> {
    let state = directory.join(STATE);
    if !state.try_exists().map_err(|source| StoreError::Io { action: "look for", path: state.clone(), source })? {
        return Ok(None);
    }
    let mut found = Examined::default();
    match find(&state, &mut found) {
        Err(error @ (StoreError::Io { .. } | StoreError::Older { .. })) => return Err(error),
        Err(error) => found.damage.push(error.to_string()),
        Ok(()) => {}
    }
    Ok(Some(found))
}

fn find(state: &Path, found: &mut Examined) -> Result<(), StoreError> {
    let unreadable = |source: Error| super::unreadable(state, &source);
    schema::check_header(state)?;
    let database = schema::open_beside_a_daemon(state).map_err(unreadable)?;
    schema::check_version(&database, state)?;
    // One moment for all questions.
    let moment = database.unchecked_transaction().map_err(unreadable)?;
    found.damage.extend(integrity(&moment).map_err(unreadable)?);
    found.damage.extend(missing_parts(&moment).map_err(unreadable)?);
    for question in CONTRADICTIONS {
        found.contradictions.extend(sentences(&moment, &with_addresses(question)).map_err(unreadable)?);
    }
    found.snapshot = Some(
        read::snapshot(&moment, Some(|| schema::open_beside_a_daemon(state))).map_err(|problem| problem.at(state))?,
    );
    Ok(())
}

/// What SQLite itself finds: pages, indexes, types, and rows that name rows which are not there.
pub(super) fn integrity(database: &Connection) -> Result<Vec<String>, Error> {
    let mut found = sentences(database, "PRAGMA integrity_check")?;
    found.retain(|line| line != "ok");
    found.extend(sentences(
        database,
        "SELECT 'a row of ' || \"table\" || ' names one of ' || parent || ' that is not there' FROM pragma_foreign_key_check",
    )?);
    Ok(found)
}

/// Tables, columns and indexes that this version makes and the database lacks.
fn missing_parts(database: &Connection) -> Result<Vec<String>, Error> {
    let wanted = Connection::open_in_memory()?;
    wanted.execute_batch(&schema::tables())?;
    let present = parts(database)?;
    Ok(parts(&wanted)?.difference(&present).map(|part| format!("{part} is missing")).collect())
}

fn parts(database: &Connection) -> Result<BTreeSet<String>, Error> {
    let columns = "SELECT 'column ' || columns.name || ' of table ' || tables.name \
                   FROM sqlite_schema AS tables, pragma_table_xinfo(tables.name) AS columns WHERE tables.type = 'table'";
    let objects = "SELECT type || ' ' || name FROM sqlite_schema WHERE type <> 'table'";
    Ok([sentences(database, columns)?, sentences(database, objects)?].concat().into_iter().collect())
}

fn sentences(database: &Connection, sql: &str) -> Result<Vec<String>, Error> {
    database.prepare(sql)?.query_map(params![], |row| row.get(0))?.collect()
}

/// Each answers with a sentence for every breach of one rule. `@x` stands for the address in `x`.
const CONTRADICTIONS: &[&str] = &[
    "SELECT 'public address ' || @instances.ordinary || ' is held by both instance ' || instances.id || ' and EIP ' \
     || eips.id FROM instances JOIN eips ON eips.address = instances.ordinary",
    "SELECT 'instance ' || instances.id || ' has two public addresses, ' || @instances.ordinary || ' and ' \
     || @eips.address FROM eips JOIN instances ON instances.id = eips.bound_to WHERE instances.ordinary IS NOT NULL",
    "SELECT 'EIP ' || eips.id || ' of account ' || eips.account || ' is bound to instance ' || instances.id || ' of account ' \
     || instances.account FROM eips JOIN instances ON instances.id = eips.bound_to WHERE instances.account <> eips.account",
    "SELECT 'private address ' || @private || ' of VPC ' || vpc || ' belongs to several instances: ' \
     || group_concat(id, ', ') FROM instances GROUP BY vpc, private HAVING count(*) > 1",
    "SELECT 'public address ' || @released.address || ' is resting and yet held by ' || held.holder FROM released \
     JOIN (SELECT ordinary AS address, 'instance ' || id AS holder FROM instances WHERE ordinary IS NOT NULL \
     UNION ALL SELECT address, 'EIP ' || id FROM eips) AS held ON held.address = released.address",
    "SELECT 'instance ' || instances.id || ' of account ' || instances.account || ' shares package ' || package \
     || ' of account ' || packages.account FROM instances JOIN packages ON packages.id = instances.package \
     WHERE packages.account <> instances.account",
    "SELECT 'EIP ' || eips.id || ' of account ' || eips.account || ' shares package ' || package || ' of account ' \
     || packages.account FROM eips JOIN packages ON packages.id = eips.package WHERE packages.account <> eips.account",
    // As `write` numbers states.
    "SELECT 'instance ' || id || ' is off without charge or in the recycle bin and yet has the ordinary public IP ' \
     || @ordinary FROM instances WHERE state IN (4, 5) AND ordinary IS NOT NULL",
];

/// Puts the text of an address where `@` and the name of a column are.
fn with_addresses(question: &str) -> String {
    let mut parts = question.split('@');
    let mut sql = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|letter: char| !letter.is_alphanumeric() && !"._".contains(letter)).unwrap_or(part.len());
        let (name, rest) = part.split_at(end);
        let byte = |shift| format!("(({name} >> {shift}) & 255)");
        sql.push_str(&[24, 16, 8, 0].map(byte).join(" || '.' || "));
        sql.push_str(rest);
    }
    sql
}
