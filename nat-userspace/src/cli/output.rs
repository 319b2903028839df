//! Printing: tables without frames for people, JSON for programs.

use std::io::{self, ErrorKind, Write as _};
use std::iter::repeat_n;

use clap::ValueEnum;
use serde::Serialize;
use unicode_width::UnicodeWidthStr as _;

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

/// Columns under their titles, or `nothing` where there are no rows. A list may have a million rows, for which the crates
/// that draw tables take gigabytes.
pub(super) fn table(titles: &[&str], rows: impl IntoIterator<Item = Vec<String>>, nothing: &str) -> String {
    let rows: Vec<Vec<String>> = rows.into_iter().collect();
    if rows.is_empty() {
        return nothing.to_owned();
    }
    let titles: Vec<String> = titles.iter().map(|title| (*title).to_owned()).collect();
    aligned(&[&[titles], rows.as_slice()])
}

/// One line for each field.
pub(super) fn fields(fields: &[(&str, String)]) -> String {
    let rows: Vec<Vec<String>> = fields.iter().map(|(title, value)| vec![format!("{title}:"), value.clone()]).collect();
    aligned(&[&rows])
}

/// Every column as wide as its widest cell, as a terminal shows it, and two blanks between.
fn aligned(parts: &[&[Vec<String>]]) -> String {
    let rows = || parts.iter().copied().flatten();
    let mut widths = vec![0; rows().map(Vec::len).max().unwrap_or_default()];
    for row in rows() {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.width().max(*width);
        }
    }
    let mut text = String::new();
    for row in rows() {
        if !text.is_empty() {
            text.push('\n');
        }
        // Blanks are due only before another cell, so that no line ends in them.
        let mut due = 0;
        for (cell, width) in row.iter().zip(&widths) {
            if !cell.is_empty() {
                text.extend(repeat_n(' ', due));
                text.push_str(cell);
                due = width - cell.width() + 2;
            } else {
                due += width + 2;
            }
        }
    }
    text
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
