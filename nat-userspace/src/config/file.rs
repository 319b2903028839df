//! The TOML file: strings become their types, an unknown key is answered with the nearest known one, and every error
//! names the line.

use std::fmt::Display;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use serde::de::{Deserialize, Deserializer, Error as _};

use super::keys::KEYS;
use super::{Config, parse_time_span};

pub(super) fn read(path: &Path) -> Result<Config> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read the configuration {}", path.display()))?;
    parse(&text).map_err(|(line, problem)| anyhow!("{}:{line}: {problem}", path.display()))
}

/// The configuration, or the line and what is wrong there.
pub(super) fn parse(text: &str) -> Result<Config, (usize, String)> {
    let table = toml::de::DeTable::parse(text).map_err(|error| located(text, &error))?;
    for (key, _) in table.get_ref() {
        let name: &str = key.get_ref();
        if !KEYS.contains(&name) {
            let problem = format!("there is no setting {name:?}; did you mean {:?}?", nearest(name));
            return Err((line_of(text, Some(key.span())), problem));
        }
    }
    toml::from_str(text).map_err(|error| located(text, &error))
}

/// The line that an error is about, and what is wrong there.
pub(super) fn located(text: &str, error: &toml::de::Error) -> (usize, String) {
    (line_of(text, error.span()), one_line(error.message()))
}

fn line_of(text: &str, span: Option<Range<usize>>) -> usize {
    let start = span.map_or(0, |span| span.start.min(text.len()));
    text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count() + 1
}

fn one_line(message: &str) -> String {
    message.lines().collect::<Vec<_>>().join("; ")
}

/// The known key that takes the fewest edits to get to.
fn nearest(name: &str) -> &'static str {
    KEYS.iter().copied().min_by_key(|key| edits(name, key)).expect("there are keys")
}

/// Levenshtein's distance.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (done, have) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], done + 1);
        for (at, want) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(have != *want);
            diagonal = row[at + 1];
            row[at + 1] = replaced.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

pub(super) fn text<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(from: D) -> Result<T, D::Error> {
    String::deserialize(from)?.parse().map_err(D::Error::custom)
}

pub(super) fn texts<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(from: D) -> Result<Vec<T>, D::Error> {
    let texts = Vec::<String>::deserialize(from)?;
    texts.iter().map(|text| text.parse().map_err(D::Error::custom)).collect()
}

pub(super) fn time_span<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    parse_time_span(&String::deserialize(from)?).map_err(D::Error::custom)
}

pub(super) fn permissions<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    let text = String::deserialize(from)?;
    let mode = u32::from_str_radix(&text, 8).ok().filter(|mode| *mode <= 0o777);
    mode.ok_or_else(|| D::Error::custom(format!("{text:?} is not a file mode; write it in octal, like \"0660\"")))
}
