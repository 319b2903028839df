//! Printing: tables without frames for people, JSON for programs.

use std::io::{self, ErrorKind, Write as _};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use super::failure::Failure;

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Text to print.
pub(super) type Shown = String;

/// The object as JSON, or what people are shown in its place.
pub(super) fn show<T: Serialize>(format: Format, object: &T, for_people: impl FnOnce(&T) -> String) -> Shown {
    match format {
        Format::Table => for_people(object),
        Format::Json => serde_json::to_string_pretty(object).expect("rows have string keys only"),
    }
}

/// Columns under their titles, or `nothing` where there are no rows.
pub(super) fn table(titles: &[&str], rows: impl IntoIterator<Item = Vec<String>>, nothing: &str) -> String {
    let mut rows = rows.into_iter().peekable();
    if rows.peek().is_none() {
        return nothing.to_owned();
    }
    let mut table = plain();
    table.set_header(titles.to_vec());
    table.add_rows(rows);
    left_bound(&table)
}

/// One line for each field.
pub(super) fn fields(fields: &[(&str, String)]) -> String {
    let mut table = plain();
    table.add_rows(fields.iter().map(|(title, value)| vec![format!("{title}:"), value.clone()]));
    left_bound(&table)
}

fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).force_no_tty();
    table
}

/// Without the column padding at either end.
fn left_bound(table: &Table) -> String {
    let lines = table.trim_fmt();
    lines.lines().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// What stands for an absent value.
pub(super) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// A bandwidth, which nothing enforces yet: every place that shows one says so.
pub(super) fn bandwidth(mbps: u32) -> String {
    format!("{mbps} Mbit/s")
}

/// The title of a column of [`bandwidth`].
pub(super) const BANDWIDTH_TITLE: &str = "BANDWIDTH (not enforced)";

/// Writes a text and a line end to stdout. A reader that has gone, as `head` does, is no failure.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure { status: 1, sentence: format!("cannot print: {error}") }),
        Ok(()) => Ok(()),
    }
}
