//! What things are called and whether they say what they are.

use super::Violation;
use super::source::{Source, line_of, words};

/// Words that say that something was put somewhere, not what it is.
const BANNED: [&str; 11] =
    ["manager", "managers", "helper", "helpers", "util", "utils", "handler", "handlers", "impl", "impls", "utilities"];

const DEFINING: [&str; 8] = ["struct", "enum", "union", "trait", "type", "mod", "fn", "macro_rules"];

/// Every file starts with a `//!` doc, after `#![…]` attributes if there are any.
pub(super) fn module_doc(source: &Source) -> Option<Violation> {
    let mut rest = source.text.trim_start();
    while rest.starts_with("#![") {
        let mut depth = 0;
        let end = rest.find(|c| {
            depth += match c {
                '[' => 1,
                ']' => -1,
                _ => 0,
            };
            c == ']' && depth == 0
        })?;
        rest = rest[end + 1..].trim_start();
    }
    if rest.starts_with("//!") {
        return None;
    }
    let advice = "start the file with a `//!` line that says what is in it";
    Some(Violation::new(&source.path, 1, "module-doc", advice))
}

pub(super) fn banned_endings(source: &Source) -> Vec<Violation> {
    let mut found = Vec::new();
    if let Some(ending) = banned_ending(source.stem()) {
        found.push(Violation::new(&source.path, 0, "name", advice(source.stem(), ending)));
    }
    let mut defines = false;
    for (at, word) in words(&source.code) {
        if defines && let Some(ending) = banned_ending(word) {
            found.push(Violation::new(&source.path, line_of(&source.code, at), "name", advice(word, ending)));
        }
        defines = DEFINING.contains(&word);
    }
    found
}

fn advice(name: &str, ending: &str) -> String {
    format!("`{name}` ends in `{ending}`: call it what it is or does")
}

/// The last word of a name where it is one of the banned.
fn banned_ending(name: &str) -> Option<&'static str> {
    let last = name.rsplit('_').next().unwrap_or(name);
    // SignalHandler: from the last capital that starts a word.
    let mut capitals = last.char_indices().filter(|(_, c)| c.is_ascii_uppercase()).map(|(at, _)| at);
    let last = match capitals.next_back() {
        Some(at) if last[at..].len() > 1 => &last[at..],
        _ => last,
    };
    let last = last.to_ascii_lowercase();
    BANNED.into_iter().find(|banned| *banned == last)
}

#[cfg(test)]
mod tests {
    use super::super::source::Source;
    use super::{banned_ending, banned_endings, module_doc};

    fn source(path: &str, text: &str) -> Source {
        Source::new(path.into(), text.into())
    }

    #[test]
    fn a_file_says_what_it_is_before_anything_else() {
        assert!(module_doc(&source("a.rs", "//! Doc.\n")).is_none());
        assert!(module_doc(&source("a.rs", "#![no_std]\n#![cfg_attr(x, y[1])]\n\n//! Doc.\n")).is_none());
        assert!(module_doc(&source("a.rs", "// Comment.\n")).is_some());
        assert!(module_doc(&source("a.rs", "/// Doc of the next item.\nfn a() {}\n")).is_some());
        assert!(module_doc(&source("a.rs", "")).is_some());
    }

    #[test]
    fn only_the_last_word_of_a_name_counts() {
        for name in ["SignalHandler", "handler", "net_utils", "AddressManager", "decide_impl", "UTIL"] {
            assert!(banned_ending(name).is_some(), "{name}");
        }
        for name in ["Handled", "handler_count", "simple", "Impl1", "Policer", "futile", "A"] {
            assert!(banned_ending(name).is_none(), "{name}");
        }
    }

    #[test]
    fn names_are_judged_where_they_are_defined() {
        let text = "//! Doc.\nuse other::Helper;\n// struct Manager;\nstruct FrameHelper;\nfn run(handler: u8) { \"fn util\"; }\nimpl A {}\n";
        let found = banned_endings(&source("src/lab.rs", text));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].line, 4);
        assert_eq!(banned_endings(&source("src/net_util.rs", "//! Doc.\n")).len(), 1);
    }
}
