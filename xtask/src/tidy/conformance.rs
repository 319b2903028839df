//! `docs/conformance.md`: every trap has its row, and what a row promises exists.
//!
//! A trap's row is `| T01 | what | behaviour | tests: … | holds |`, a clause's `| RFC 4787 REQ-1 | behaviour | tests … |
//! holds |`, and so is a requirement's. Tests are named in backticks, as `name` or `file::name`. Where there is none, the cell says why.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::Violation;
use super::source::{Source, words};

const RULE: &str = "conformance";

const TRAPS: RangeInclusive<u32> = 1..=77;

/// The traps that may be open: of T48 the routing tables, of T73 the second half.
const MAY_BE_OPEN: [u32; 19] = [33, 34, 39, 48, 49, 50, 52, 58, 62, 63, 64, 65, 66, 67, 68, 69, 70, 71, 73];

pub(super) fn tables(path: &str, text: &str, sources: &[Source]) -> Vec<Violation> {
    let functions = Functions::of(sources);
    let mut found = Vec::new();
    let mut listed = BTreeSet::new();
    let mut clauses = 0;
    for row in rows(text) {
        let mut refuse = |advice: String| found.push(Violation::new(path, row.line, RULE, advice));
        let first = row.cells[0].as_str();
        if let Some(trap) = trap_number(first) {
            listed.insert(trap);
            match row.cells.as_slice() {
                [_, _, _, tests, status] => trap_row(trap, tests, status, &functions).into_iter().for_each(&mut refuse),
                _ => refuse(format!("T{trap:02}: a trap's row is `| T01 | what | behaviour | tests | status |`")),
            }
        } else if row.in_table_of_clauses {
            clauses += 1;
            match row.cells.as_slice() {
                [_, _, tests, status] => clause_row(first, tests, status, &functions).into_iter().for_each(&mut refuse),
                _ => refuse(format!("{first}: a clause's row is `| RFC 4787 REQ-1 | behaviour | tests | status |`")),
            }
        }
    }
    for trap in TRAPS.filter(|trap| !listed.contains(trap)) {
        found.push(Violation::new(
            path,
            0,
            RULE,
            format!("T{trap:02} has no row: say how it is handled and what tests it"),
        ));
    }
    if clauses == 0 {
        found.push(Violation::new(path, 0, RULE, "there is no table of RFC clauses"));
    }
    found
}

fn trap_row(trap: u32, tests: &str, status: &str, functions: &Functions) -> Vec<String> {
    if !TRAPS.contains(&trap) {
        return vec![format!("T{trap:02}: there is no such trap")];
    }
    let name = format!("T{trap:02}");
    let mut found = match status {
        "holds" => functions.check(&name, tests, Names::Only),
        "open" => functions.check(&name, tests, Names::AmongProse),
        other => return vec![format!("{name}: the status is `{other}`: it is `holds` or `open`")],
    };
    if status == "holds" && named(tests).is_empty() {
        found.push(format!("{name} holds, but no test is named: name it in backticks"));
    }
    if status == "open" && !MAY_BE_OPEN.contains(&trap) {
        found.push(format!("{name} may not be open: handle it and name its test"));
    }
    if status == "open" && !says_why(tests) {
        found.push(format!("{name} is open: say why in place of the tests"));
    }
    found
}

fn clause_row(clause: &str, tests: &str, status: &str, functions: &Functions) -> Vec<String> {
    if !["holds", "open", "deviates"].contains(&status) {
        return vec![format!("{clause}: the status is `{status}`: it is `holds`, `open` or `deviates`")];
    }
    let mut found = functions.check(clause, tests, Names::AmongProse);
    if !named(tests).iter().any(|name| is_test_name(name)) && !says_why(tests) {
        found.push(format!("{clause}: name a test in backticks or say why there is none"));
    }
    found
}

/// What backticks in a cell hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    /// Tests and nothing else.
    Only,
    /// Tests, or words of the reason that do not look like tests.
    AmongProse,
}

/// Where each function of the tree is defined.
struct Functions<'a> {
    /// The files by function, each with the modules it declares.
    files: BTreeMap<&'a str, Vec<&'a str>>,
    modules: BTreeMap<&'a str, BTreeSet<&'a str>>,
}

impl<'a> Functions<'a> {
    fn of(sources: &'a [Source]) -> Self {
        let mut files: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut modules: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for source in sources {
            let mut before = "";
            for (_, word) in words(&source.code) {
                match std::mem::replace(&mut before, word) {
                    "fn" => files.entry(word).or_default().push(&source.path),
                    "mod" => _ = modules.entry(&source.path).or_default().insert(word),
                    _ => {}
                }
            }
        }
        Self { files, modules }
    }

    /// What is wrong with the tests a cell names.
    fn check(&self, row: &str, cell: &str, names: Names) -> Vec<String> {
        let meant = named(cell).into_iter().filter(|name| names == Names::Only || is_test_name(name));
        let missing = meant.filter(|name| !self.exists(name));
        missing.map(|name| format!("{row}: there is no test `{name}`: correct the name, or write the test")).collect()
    }

    fn exists(&self, name: &str) -> bool {
        let mut segments: Vec<&str> = name.split("::").collect();
        let function = segments.pop().unwrap_or_default();
        let Some(files) = self.files.get(function) else { return false };
        files.iter().any(|file| segments.iter().all(|segment| self.is_part_of(file, segment)))
    }

    fn is_part_of(&self, file: &str, segment: &str) -> bool {
        let stem = file.strip_suffix(".rs").unwrap_or(file);
        let in_path = stem.split('/').any(|part| part == segment || part.replace('-', "_") == segment);
        in_path || self.modules.get(file).is_some_and(|modules| modules.contains(segment))
    }
}

/// What stands in backticks.
fn named(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn is_test_name(word: &str) -> bool {
    let plain = word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == ':');
    plain && word.contains('_') && word.starts_with(|c: char| c.is_ascii_lowercase())
}

/// At least two words that are not names.
fn says_why(cell: &str) -> bool {
    let prose = cell.split('`').step_by(2).flat_map(str::split_whitespace);
    prose.filter(|word| *word != "tests:" && word.chars().any(char::is_alphabetic)).count() >= 2
}

/// `T01`, and `T73 (second half)` as well.
fn trap_number(cell: &str) -> Option<u32> {
    let digits = cell.strip_prefix('T')?;
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let separate = digits[end..].chars().next().is_none_or(|c| !c.is_alphanumeric());
    (end == 2 && separate).then(|| digits[..end].parse().ok())?
}

struct Row {
    line: usize,
    cells: Vec<String>,
    in_table_of_clauses: bool,
}

/// The rows of the tables, without header and rule.
fn rows(text: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut header: Option<Vec<String>> = None;
    for (number, line) in text.lines().enumerate() {
        let Some(inner) = line.trim().strip_prefix('|') else {
            header = None;
            continue;
        };
        let cells = cells(inner);
        let Some(header) = &header else {
            header = Some(cells);
            continue;
        };
        if cells.iter().all(|cell| cell.chars().all(|c| c == '-' || c == ':')) {
            continue;
        }
        rows.push(Row {
            line: number + 1,
            in_table_of_clauses: header[0].starts_with("RFC")
                || header[0].starts_with("requirement")
                || cells[0].starts_with("RFC "),
            cells,
        });
    }
    rows
}

/// The cells of a row; `\|` is a bar inside one. Emphasis around a whole cell goes.
fn cells(row: &str) -> Vec<String> {
    const BAR: &str = "\u{1}";
    let row = row.replace("\\|", BAR);
    let row = row.trim_end();
    let inner = row.strip_suffix('|').unwrap_or(row);
    inner.split('|').map(|cell| cell.trim().trim_matches('*').replace(BAR, "|")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::source::Source;
    use super::{MAY_BE_OPEN, cells, named, says_why, tables, trap_number};

    fn sources() -> Vec<Source> {
        let text = "//! T.\nmod inner { #[test] fn keeps_sum() {} }\n// fn gone() {}\n";
        vec![Source::new("tests/tests/program/checksum.rs".into(), text.into())]
    }

    /// A page with every trap but one, to which `row` is added.
    fn page(trap: u32, row: &str) -> String {
        let mut page = String::from("# C\n\n| trap | what | behaviour | tests | status |\n|---|---|---|---|---|\n");
        for other in (1..=77).filter(|other| *other != trap) {
            page += &format!("| T{other:02} | w | b | tests: `keeps_sum` | holds |\n");
        }
        page + row
            + "\n\n| RFC | behaviour | tests | status |\n|---|---|---|---|\n| RFC 4787 REQ-1 | b | `keeps_sum` | holds |\n"
    }

    fn refused(trap: u32, row: &str) -> Vec<String> {
        tables("c.md", &page(trap, row), &sources()).into_iter().map(|violation| violation.advice).collect()
    }

    #[test]
    fn a_complete_page_is_fine() {
        assert_eq!(
            refused(1, "| T01 | w | b | tests: `checksum::keeps_sum`, `inner::keeps_sum` | **holds** |"),
            Vec::<String>::new()
        );
        assert_eq!(refused(33, "| T33 | w | b | no encapsulation yet | open |"), Vec::<String>::new());
    }

    #[test]
    fn every_trap_has_a_row() {
        assert_eq!(refused(5, "").len(), 1);
        assert_eq!(refused(5, "| T05 | w | b | holds |").len(), 1);
        assert_eq!(refused(78, "| T78 | w | b | `keeps_sum` | holds |").len(), 1);
    }

    #[test]
    fn a_test_that_is_named_exists() {
        for name in ["gone", "program::lost", "other::keeps_sum"] {
            assert_eq!(refused(1, &format!("| T01 | w | b | `{name}` | holds |")).len(), 1, "{name}");
        }
        assert_eq!(refused(1, "| T01 | w | b | tests: to come | holds |").len(), 1);
    }

    #[test]
    fn only_some_traps_may_be_open_and_they_say_why() {
        assert_eq!(refused(1, "| T01 | w | b | not built yet | open |").len(), 1);
        assert_eq!(refused(MAY_BE_OPEN[0], "| T33 | w | b | tests: | open |").len(), 1);
        assert_eq!(
            refused(73, "| T73 (second half) | w | b | waits for the `--takeover` flag | open |"),
            Vec::<String>::new()
        );
        assert_eq!(refused(1, "| T01 | w | b | `keeps_sum` | partly |").len(), 1);
    }

    #[test]
    fn a_clause_names_a_test_or_says_why_not() {
        let clause = |row: &str| {
            let page = page(0, "").replace("| RFC 4787 REQ-1 | b | `keeps_sum` | holds |", row);
            tables("c.md", &page, &sources()).len()
        };
        assert_eq!(clause("| RFC 5508 REQ-3 | b | quoted headers are never judged | deviates |"), 0);
        assert_eq!(clause("| RFC 5508 REQ-3 | b | - | holds |"), 1);
        assert_eq!(clause("| RFC 5508 REQ-3 | b | `no_such_test` | holds |"), 1);
        assert_eq!(clause("| RFC 5508 REQ-3 | b | `keeps_sum` | fine |"), 1);
        assert_eq!(clause(""), 1);
    }

    #[test]
    fn a_row_is_taken_apart_at_its_bars() {
        assert_eq!(cells(" a | **b** | c \\| d |"), ["a", "b", "c | d"]);
        assert_eq!(named("tests: `a`, `b::c`"), ["a", "b::c"]);
        assert_eq!(trap_number("T07"), Some(7));
        assert_eq!(trap_number("T73 (second half)"), Some(73));
        assert_eq!(trap_number("T1"), None);
        assert_eq!(trap_number("TTL"), None);
        assert!(says_why("no path") && !says_why("tests: `a_b`, `c_d`"));
    }
}
