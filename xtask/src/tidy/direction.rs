//! Who may know whom: `address` knows std only, `store` and `dataplane` know `address`, only `gateway` knows both of
//! them, no edge knows another or the data plane.

use std::collections::BTreeSet;

use super::Violation;
use super::source::{Gate, Source, line_of, words};

const ROOT: &str = "nat-userspace/src/";

/// What the daemon shows the outside.
const EDGES: [&str; 5] = ["admin", "api", "console", "metadata", "metrics"];

/// Parts of std that do I/O or read a clock.
const IMPURE: [&str; 5] = ["env", "fs", "io", "process", "thread"];
const IMPURE_NET: [&str; 4] = ["TcpListener", "TcpStream", "ToSocketAddrs", "UdpSocket"];

/// The crates a manifest depends on, tests apart, as code names them.
pub(super) fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut inside = false;
    for line in manifest.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            inside = section == "dependencies" || section.ends_with(".dependencies");
            if let Some(name) = section.strip_prefix("dependencies.") {
                found.insert(name.replace('-', "_"));
            }
        } else if inside
            && let Some(name) = line.split(['=', '.', ' ']).next()
            && !name.is_empty()
            && !name.starts_with('#')
        {
            found.insert(name.replace('-', "_"));
        }
    }
    found
}

pub(super) fn imports(source: &Source, gate: Gate, dependencies: &BTreeSet<String>) -> Vec<Violation> {
    let Some(own) = source.path.strip_prefix(ROOT).and_then(|path| path.strip_suffix(".rs")) else {
        return Vec::new();
    };
    if source.is_test() || gate == Gate::Test {
        return Vec::new();
    }
    let module: Vec<&str> = own.split('/').filter(|part| *part != "mod").collect();
    let part = module[0];
    let paths = paths(&source.shipped);
    let mut found = Vec::new();
    let mut refuse = |at: usize, advice: String| {
        found.push(Violation::new(&source.path, line_of(&source.shipped, at), "direction", advice));
    };

    let known: Vec<(usize, &str)> = paths
        .iter()
        .filter_map(|path| Some((path.at, in_crate(path, &module)?)))
        .filter(|(_, top)| *top != part)
        .collect();
    if part == "address" {
        for (at, top) in &known {
            refuse(*at, format!("address must not know `crate::{top}`: it knows std only"));
        }
        for path in &paths {
            if let Some(advice) = impurity(path, &source.shipped, dependencies) {
                refuse(path.at, advice);
            }
        }
    } else if is(part, "store") || is(part, "dataplane") {
        for (at, top) in &known {
            if *top != "address" && !(is(part, "store") && is(top, "store")) {
                refuse(
                    *at,
                    format!("{part} must not know `crate::{top}`: it knows `address` only, gateway joins the rest"),
                );
            }
        }
    } else if EDGES.contains(&part) {
        for (at, top) in &known {
            if is(top, "dataplane") {
                refuse(*at, format!("{part} must not know the data plane: ask the gateway"));
            } else if EDGES.contains(top) {
                refuse(*at, format!("{part} must not know `{top}`: no edge sees another"));
            }
        }
    } else if !is(part, "gateway") && part != "main" && part != "lib" {
        let mention = |of: &str| known.iter().find(|(_, top)| is(top, of));
        if let (Some(store), Some(dataplane)) = (mention("store"), mention("dataplane")) {
            let advice = format!(
                "{part} knows both store and data plane, which only gateway may: ask the gateway for one of them"
            );
            refuse(store.0.max(dataplane.0), advice);
        }
    }
    found
}

/// `store`, and `store_sqlite` as well.
fn is(module: &str, part: &str) -> bool {
    module.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}

/// Why a path may not stand in `address`.
fn impurity(path: &Mention, code: &str, dependencies: &BTreeSet<String>) -> Option<String> {
    let segments = &path.segments;
    let first = segments[0];
    let second = segments.get(1).copied().unwrap_or_default();
    let last = segments.last().copied().unwrap_or_default();
    let reads_clock = segments.windows(2).any(|pair| matches!(pair[0], "Instant" | "SystemTime") && pair[1] == "now");
    if reads_clock {
        return Some("address reads no clock: take the time as an argument".into());
    }
    if first == "std" && (IMPURE.contains(&second) || second == "net" && IMPURE_NET.contains(&last)) {
        return Some(format!("`{}` does I/O: address is pure", segments.join("::")));
    }
    let foreign = match path.kind {
        Kind::Use => {
            let std = ["std", "core", "alloc", "self", "super", "crate"].contains(&first);
            let local = first.starts_with(char::is_uppercase) || declares_module(code, first);
            !std && !local
        }
        Kind::Inline => segments.len() > 1 && dependencies.contains(first),
    };
    foreign.then(|| format!("address knows std only, not `{first}`"))
}

fn declares_module(code: &str, name: &str) -> bool {
    let mut before = "";
    words(code).any(|(_, word)| std::mem::replace(&mut before, word) == "mod" && word == name)
}

/// The top module that a path of `module` leads to, where it leads into this crate.
fn in_crate<'a>(path: &Mention<'a>, module: &[&'a str]) -> Option<&'a str> {
    let segments = &path.segments;
    let up = segments.iter().take_while(|segment| **segment == "super").count();
    if segments[0] == "crate" {
        return segments.get(1).copied();
    }
    if up == 0 {
        return None;
    }
    let left = module.len().saturating_sub(up);
    if left > 0 { Some(module[0]) } else { segments.get(up).copied() }
}

enum Kind {
    Use,
    Inline,
}

/// A path in code, from its first segment.
struct Mention<'a> {
    at: usize,
    segments: Vec<&'a str>,
    kind: Kind,
}

/// Every path in blanked code; those in `use` declarations with their groups spread out.
fn paths(code: &str) -> Vec<Mention<'_>> {
    let mut found = Vec::new();
    let mut past_use = 0;
    for (at, word) in words(code) {
        if at < past_use {
            continue;
        }
        let after = at + word.len();
        if word == "use" && !code[after..].trim_start().starts_with('<') {
            let end = code[after..].find(';').map_or(code.len(), |length| after + length);
            spread(code, after, end, &[], &mut found);
            past_use = end;
            continue;
        }
        let before = code[..at].trim_end();
        if before.ends_with("::") && !before.trim_end_matches(':').ends_with([' ', '(', '<', ',', '&', '='])
            || before.ends_with('$')
        {
            continue;
        }
        let mut segments = vec![word];
        let mut next = after;
        while let Some(rest) = code[next..].strip_prefix("::") {
            let Some((0, segment)) = words(rest).next() else { break };
            segments.push(segment);
            next += 2 + segment.len();
        }
        if segments.len() > 1 {
            found.push(Mention { at, segments, kind: Kind::Inline });
        }
    }
    found
}

/// The paths of the use tree in `code[start..end]` below `prefix`.
fn spread<'a>(code: &'a str, start: usize, end: usize, prefix: &[&'a str], found: &mut Vec<Mention<'a>>) {
    let mut segments = prefix.to_vec();
    let mut at = start;
    let mut first = None;
    let mut renamed = false;
    while at < end {
        let rest = &code[at..end];
        match rest.as_bytes()[0] {
            b'{' => {
                let close = at + group_length(rest);
                for (from, to) in branches(code, at + 1, close - 1) {
                    spread(code, from, to, &segments, found);
                }
                return;
            }
            b'_' | b'a'..=b'z' | b'A'..=b'Z' => {
                let Some((_, word)) = words(rest).next() else { return };
                first = first.or(Some(at));
                renamed |= word == "as";
                if !renamed {
                    segments.push(word);
                }
                at += word.len();
            }
            _ => at += 1,
        }
    }
    if let Some(at) = first.or((!segments.is_empty()).then_some(start)) {
        found.push(Mention { at, segments, kind: Kind::Use });
    }
}

fn group_length(text: &str) -> usize {
    let mut depth = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    text.len() + 1
}

/// The parts of `code[start..end]` between commas outside braces; blank ones left out.
fn branches(code: &str, start: usize, end: usize) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let (mut depth, mut from) = (0, start);
    for at in start..end {
        match code.as_bytes()[at] {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            b',' if depth == 0 => {
                found.push((from, at));
                from = at + 1;
            }
            _ => {}
        }
    }
    found.push((from, end));
    found.retain(|(from, to)| !code[*from..*to].trim().is_empty());
    found
}

#[cfg(test)]
mod tests {
    use super::super::source::{Gate, Source};
    use super::{dependencies, imports, paths};

    fn refused(path: &str, text: &str) -> Vec<String> {
        let manifest = "[package]\nname = \"x\"\n[dependencies]\nserde_json = \"1\"\nnat-common = { path = \"y\" }\n[dev-dependencies]\nproptest = \"1\"\n";
        let source = Source::new(format!("nat-userspace/src/{path}"), text.into());
        let found = imports(&source, Gate::Always, &dependencies(manifest));
        found.into_iter().map(|violation| violation.advice).collect()
    }

    #[test]
    fn dependencies_are_read_under_the_names_code_uses() {
        let manifest = "[dependencies]\n# why\naya.workspace = true\nnat-common = { workspace = true }\n[dependencies.clap]\n\
                        version = \"4\"\n[build-dependencies]\naya-build = \"1\"\n";
        assert_eq!(dependencies(manifest).into_iter().collect::<Vec<_>>(), ["aya", "clap", "nat_common"]);
    }

    #[test]
    fn groups_in_use_declarations_are_spread_out() {
        let code =
            "use crate::{store::{self, Store as S}, dataplane};\nfn a(b: &crate::config::C) -> Vec<u8> { c::<D>() }";
        let found: Vec<_> = paths(code).into_iter().map(|path| path.segments.join("::")).collect();
        assert_eq!(found, ["crate::store::self", "crate::store::Store", "crate::dataplane", "crate::config::C"]);
    }

    #[test]
    fn address_knows_std_and_itself() {
        let fine = "use std::net::Ipv4Addr;\nuse super::pool::Pool;\nuse crate::address::Ledger;\nmod ids;\nuse ids::Id;\nuse State::Free;\n";
        assert_eq!(refused("address/ledger.rs", fine), Vec::<String>::new());
        assert_eq!(refused("address/ledger.rs", "use crate::store::Store;").len(), 1);
        assert_eq!(refused("address/ledger.rs", "use super::super::gateway::Gateway;").len(), 1);
        assert_eq!(refused("address.rs", "use super::store::Store;").len(), 1);
        assert_eq!(refused("address/pool.rs", "use serde::Serialize;").len(), 1);
        assert_eq!(refused("address/pool.rs", "fn a() { serde_json::to_string(&b) }").len(), 1);
        assert_eq!(refused("address/pool.rs", "use nat_common::abi::PublicAddr;").len(), 1);
    }

    #[test]
    fn address_does_no_io_and_reads_no_clock() {
        assert_eq!(refused("address/pool.rs", "fn a() { let b = std::time::Instant::now(); }").len(), 1);
        assert_eq!(refused("address/pool.rs", "use std::time::SystemTime;\nfn a() { SystemTime::now() }").len(), 1);
        assert_eq!(refused("address/pool.rs", "use std::{fs, fmt};").len(), 1);
        assert_eq!(refused("address/pool.rs", "use std::net::UdpSocket;").len(), 1);
        assert_eq!(refused("address/pool.rs", "use std::time::SystemTime;").len(), 0);
    }

    #[test]
    fn tests_of_address_may_use_proptest() {
        assert!(refused("address/pool.rs", "#[cfg(test)]\nmod tests { use proptest::prelude::*; }").is_empty());
        assert!(refused("address/tests.rs", "use proptest::prelude::*;").is_empty());
        assert_eq!(refused("address/pool.rs", "use proptest::prelude::*;").len(), 1);
    }

    #[test]
    fn store_and_dataplane_know_address_and_not_each_other() {
        assert!(
            refused("store/sqlite.rs", "use crate::address::Ledger;\nuse super::Store;\nuse serde_json::Value;")
                .is_empty()
        );
        assert!(refused("store_etcd.rs", "use crate::store::Store;").is_empty());
        assert_eq!(refused("store.rs", "use crate::dataplane::Maps;").len(), 1);
        assert_eq!(refused("dataplane/bindings.rs", "fn a(b: crate::store::Store) {}").len(), 1);
        assert_eq!(refused("dataplane/sys.rs", "use crate::{address::Ledger, config::Config};").len(), 1);
        assert_eq!(refused("dataplane.rs", "use super::gateway::Gateway;").len(), 1);
    }

    #[test]
    fn no_edge_knows_another_or_the_data_plane() {
        assert!(refused("api/server.rs", "use crate::gateway::Gateway;\nuse crate::address::Command;").is_empty());
        assert_eq!(refused("api/server.rs", "use crate::dataplane::Counters;").len(), 1);
        assert_eq!(refused("metrics.rs", "use crate::api::Reply;").len(), 1);
    }

    #[test]
    fn only_gateway_and_main_know_store_and_dataplane() {
        let both = "use crate::store::Store;\nuse crate::dataplane::Maps;\n";
        assert!(refused("gateway/reconcile.rs", both).is_empty());
        assert!(refused("main.rs", both).is_empty());
        assert_eq!(refused("cli.rs", both).len(), 1);
        assert!(refused("cli.rs", "use crate::store::Store;").is_empty());
        assert!(refused("cli.rs", "// crate::store crate::dataplane\nfn a() { \"crate::store\" }").is_empty());
    }
}
