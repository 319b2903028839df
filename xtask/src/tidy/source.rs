//! Rust source as the rules see it: comments and literals blanked, code under a `cfg` told from the rest.
//!
//! This is no parser. It knows where comments, strings and items end, which is all that a search needs in order not to
//! be misled by a comment, a message or a test.

use std::collections::BTreeMap;
use std::path::Path;

/// When code is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Gate {
    Always,
    /// For the feature `user` only: on the host, not in the eBPF program.
    User,
    Test,
}

pub(super) struct Source {
    pub(super) path: String,
    pub(super) text: String,
    /// The text with comments and literals blanked, byte for byte in the same place.
    pub(super) code: String,
    /// `code` without what is compiled for tests only.
    pub(super) shipped: String,
    /// `code` without what is compiled for tests or for the feature `user`.
    pub(super) bare: String,
}

impl Source {
    pub(super) fn new(path: String, text: String) -> Self {
        let code = blank_literals(&text);
        let shipped = without_gated(&text, &code, Gate::Test);
        let bare = without_gated(&text, &code, Gate::User);
        Self { path, text, code, shipped, bare }
    }

    pub(super) fn stem(&self) -> &str {
        Path::new(&self.path).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default()
    }

    /// Whether the whole file is about testing, going by its path.
    pub(super) fn is_test(&self) -> bool {
        self.path.starts_with("tests/") || self.path.contains("/tests/") || self.stem().ends_with("tests")
    }
}

/// The 1-based line of a place in a text.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// The identifiers of blanked code with their places.
pub(super) fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + code[at..].find(is_word)?;
        let end = code[start..].find(|c| !is_word(c)).map_or(code.len(), |length| start + length);
        at = end;
        Some((start, &code[start..end]))
    })
}

/// The files that a `mod` declaration under a `cfg` brings in, with everything below them.
pub(super) struct GatedFiles(BTreeMap<String, Gate>);

impl GatedFiles {
    pub(super) fn of(&self, path: &str) -> Gate {
        let above = |module: &str| path.strip_prefix(module).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'));
        let gates = self.0.iter().filter(|(module, _)| above(module)).map(|(_, gate)| *gate);
        gates.max().unwrap_or(Gate::Always)
    }
}

pub(super) fn gated_files(sources: &[Source]) -> GatedFiles {
    let mut gated = BTreeMap::new();
    for source in sources {
        let dir = module_dir(&source.path);
        for (gate, start, end) in gated_items(&source.text, &source.code) {
            let item = &source.code[start..end];
            let mut names = words(item).map(|(_, word)| word).skip_while(|word| *word != "mod").skip(1);
            if item.trim_end().ends_with(';')
                && let Some(name) = names.next()
            {
                gated.insert(format!("{dir}/{name}"), gate);
            }
        }
    }
    GatedFiles(gated)
}

/// The directory that holds the submodules of a file.
fn module_dir(path: &str) -> &str {
    let stem = path.strip_suffix(".rs").unwrap_or(path);
    let parent = stem.rsplit_once('/').map_or("", |(parent, _)| parent);
    let is_root = ["lib", "main", "mod"].iter().any(|name| stem.ends_with(&format!("/{name}")));
    if is_root { parent } else { stem }
}

/// Replaces comments and the content of literals by spaces.
fn blank_literals(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut blank = |from: usize, to: usize| {
        for byte in &mut out[from..to] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    };
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let in_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
        let end = if rest.starts_with(b"//") {
            let end = rest.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |length| at + length);
            blank(at, end);
            end
        } else if rest.starts_with(b"/*") {
            let end = at + comment_length(rest);
            blank(at, end);
            end
        } else if let Some(length) = raw_string_length(rest).filter(|_| !in_word) {
            blank(at, at + length);
            at + length
        } else if rest[0] == b'"' {
            let length = quoted_length(rest, b'"');
            blank(at + 1, at + length - 1);
            at + length
        } else if rest[0] == b'\'' && is_char_literal(rest) {
            let length = quoted_length(rest, b'\'');
            blank(at + 1, at + length - 1);
            at + length
        } else {
            at + 1
        };
        at = end;
    }
    // Only whole literals and comments were replaced, each byte by a space.
    String::from_utf8_lossy(&out).into_owned()
}

fn comment_length(text: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < text.len() {
        if text[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// `r"…"`, `r#"…"#`, `br#"…"#`, `cr"…"`
fn raw_string_length(text: &[u8]) -> Option<usize> {
    let prefix = text.iter().take(2).take_while(|byte| matches!(**byte, b'b' | b'c' | b'r')).count();
    if prefix == 0 || text[prefix - 1] != b'r' {
        return None;
    }
    let hashes = text[prefix..].iter().take_while(|byte| **byte == b'#').count();
    let open = prefix + hashes;
    if text.get(open) != Some(&b'"') {
        return None;
    }
    let closes =
        |at: usize| text[at] == b'"' && text[at + 1..].iter().take(hashes).filter(|b| **b == b'#').count() == hashes;
    let close = (open + 1..text.len()).find(|at| closes(*at));
    Some(close.map_or(text.len(), |close| close + 1 + hashes))
}

/// From an opening quote to just behind the closing one.
fn quoted_length(text: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// `'a'` and `'\n'`, not the lifetime `'a`.
fn is_char_literal(text: &[u8]) -> bool {
    match text.get(1) {
        Some(b'\\') => true,
        Some(first) => {
            let width = match first {
                0..0x80 => 1,
                0x80..0xe0 => 2,
                0xe0..0xf0 => 3,
                _ => 4,
            };
            text.get(1 + width) == Some(&b'\'')
        }
        None => false,
    }
}

fn without_gated(text: &str, code: &str, from: Gate) -> String {
    let mut out = code.as_bytes().to_vec();
    for (gate, start, end) in gated_items(text, code) {
        if gate >= from {
            for byte in &mut out[start..end] {
                if *byte != b'\n' {
                    *byte = b' ';
                }
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The items under `#[cfg(test)]` or `#[cfg(feature = "user")]`, from attribute to end.
fn gated_items(text: &str, code: &str) -> Vec<(Gate, usize, usize)> {
    let mut items = Vec::new();
    let mut from = 0;
    while let Some(found) = code[from..].find("#[cfg(") {
        let start = from + found;
        let close = matching(code, start + 1);
        // The feature's name is a literal, blanked in the code.
        if let Some(gate) = gate_of(&text[start..close]) {
            let end = item_end(code, close);
            items.push((gate, start, end));
            // Code for the host may hold tests of its own.
            from = if gate == Gate::Test { end } else { close };
        } else {
            from = close;
        }
    }
    items
}

/// `any(test, feature = "user")` is compiled for either and counts as the weaker one, `all(…)` as the stronger.
fn gate_of(attribute: &str) -> Option<Gate> {
    let names = |word: &str| words(attribute).any(|(_, found)| found == word);
    if names("not") {
        return None;
    }
    match (attribute.contains("\"user\""), names("test")) {
        (true, false) => Some(Gate::User),
        (true, true) if names("any") => Some(Gate::User),
        (_, true) => Some(Gate::Test),
        (false, false) => None,
    }
}

/// Just behind the bracket that closes the one at `open`.
fn matching(code: &str, open: usize) -> usize {
    let mut depth = 0;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

/// Where the item that starts at `start` ends: behind its block or its semicolon; behind its comma where it is a field,
/// a variant or an arm.
fn item_end(code: &str, start: usize) -> usize {
    const ITEMS: [&str; 18] = [
        "pub",
        "mod",
        "fn",
        "use",
        "impl",
        "struct",
        "enum",
        "union",
        "trait",
        "type",
        "const",
        "static",
        "unsafe",
        "extern",
        "async",
        "let",
        "macro_rules",
        "crate",
    ];
    let mut at = start;
    // Further attributes belong to the item.
    while let Some(offset) = code[at..].find(|c: char| !c.is_whitespace()) {
        at += offset;
        if !code[at..].starts_with("#[") {
            break;
        }
        at = matching(code, at + 1);
    }
    let mut keywords = words(&code[at..]).map(|(_, word)| word).filter(|word| *word != "pub" && *word != "crate");
    let is_item = keywords.next().is_some_and(|word| ITEMS.contains(&word));
    while let Some(byte) = code.as_bytes().get(at) {
        match byte {
            b';' => return at + 1,
            b',' if !is_item => return at + 1,
            b'{' => return matching(code, at),
            b'(' | b'[' => at = matching(code, at),
            b')' | b']' | b'}' => return at,
            _ => at += 1,
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::{Gate, Source, gated_files, line_of, words};

    fn source(text: &str) -> Source {
        Source::new("nat-common/src/x.rs".into(), text.into())
    }

    #[test]
    fn comments_and_literals_are_blanked_in_place() {
        let text =
            "let a = \"x // y \\\" z\"; // no\n/* a /* b */ c */ let b = r#\"un\"wrap\"#; let c: &'a u8 = 'q';\n";
        let code = source(text).code;
        assert_eq!(code.len(), text.len());
        assert_eq!(
            words(&code).map(|(_, word)| word).collect::<Vec<_>>(),
            ["let", "a", "let", "b", "let", "c", "a", "u8"]
        );
        assert_eq!(line_of(&code, code.find("let b").unwrap_or(0)), 2);
    }

    #[test]
    fn quotes_as_characters_open_nothing() {
        let code = source("match c { '\"' => quote(), '\\'' => tick(), 'ß' => sharp(), _ => other::<'_>() }").code;
        for name in ["quote", "tick", "sharp", "other"] {
            assert!(code.contains(name), "{code}");
        }
    }

    #[test]
    fn test_items_are_taken_out_and_nothing_after_them() {
        let text = "fn a() {}\n#[cfg(test)]\n#[path = \"t.rs\"]\nmod tests { fn b<A, B>() { {} } }\nfn c() {}\n\
                    struct S { #[cfg(test)] d: u8, e: u8 }\n#[cfg(test)]\nuse x::{f, g};\nfn h() {}\n";
        let shipped = source(text).shipped;
        let left: Vec<_> = words(&shipped).map(|(_, word)| word).collect();
        assert_eq!(left, ["fn", "a", "fn", "c", "struct", "S", "e", "u8", "fn", "h"]);
    }

    #[test]
    fn code_for_the_feature_user_is_shipped_but_not_bare() {
        let text = "#[cfg(feature = \"user\")]\nunsafe impl Pod for A {}\n#[cfg(any(test, feature = \"user\"))]\nfn b() {}\n\
                    #[cfg(not(test))]\nfn c() {}\n";
        let source = source(text);
        assert!(source.shipped.contains("unsafe") && source.shipped.contains("fn b"));
        assert!(!source.bare.contains("unsafe") && !source.bare.contains("fn b"));
        assert!(source.shipped.contains("fn c") && source.bare.contains("fn c"));
    }

    #[test]
    fn a_gated_module_gates_its_file_and_those_below() {
        let root = Source::new("c/src/lib.rs".into(), "#[cfg(test)]\nmod checks;\nmod plain;\n".into());
        let nested = Source::new("c/src/plain.rs".into(), "#[cfg(feature = \"user\")]\npub mod host;\n".into());
        let gated = gated_files(&[root, nested]);
        assert_eq!(gated.of("c/src/checks.rs"), Gate::Test);
        assert_eq!(gated.of("c/src/checks/more.rs"), Gate::Test);
        assert_eq!(gated.of("c/src/checksum.rs"), Gate::Always);
        assert_eq!(gated.of("c/src/plain/host.rs"), Gate::User);
        assert_eq!(gated.of("c/src/plain.rs"), Gate::Always);
    }
}
