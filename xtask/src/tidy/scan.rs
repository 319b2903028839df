//! Rules that look for words in code: unfinished work, unwraps, unsafe code, sleeps, std in nat-common, length.

use super::Violation;
use super::source::{Gate, Source, line_of, words};

pub(super) fn length(source: &Source, max: usize) -> Option<Violation> {
    let lines = source.text.lines().count();
    let advice = format!("{lines} lines, more than {max}: split it, by noun");
    (lines > max).then(|| Violation::new(&source.path, 0, "length", advice))
}

pub(super) fn unfinished(source: &Source) -> Vec<Violation> {
    let marks = [
        ("todo!", "finish it, or leave it out"),
        ("unimplemented!", "finish it, or leave it out"),
        ("dbg!", "remove it, or log with tracing"),
        ("#[ignore", "make the test run, put it behind EIPGATE_LONG, or remove it"),
    ];
    let mut found = Vec::new();
    for (mark, advice) in marks {
        for at in occurrences(&source.code, mark) {
            let advice = format!("`{mark}`: {advice}");
            found.push(Violation::new(&source.path, line_of(&source.code, at), "unfinished", advice));
        }
    }
    found
}

/// A test that sleeps is slow on a fast machine and wrong on a slow one.
pub(super) fn sleeps(source: &Source) -> Vec<Violation> {
    if !source.path.starts_with("tests/") && !source.stem().ends_with("tests") {
        return Vec::new();
    }
    let sleeps = ["thread::sleep(", "time::sleep("].into_iter().flat_map(|call| occurrences(&source.code, call));
    let advice = "wait for a condition with a deadline instead of sleeping";
    sleeps.map(|at| Violation::new(&source.path, line_of(&source.code, at), "sleep", advice)).collect()
}

pub(super) fn unwraps(source: &Source, gate: Gate) -> Vec<Violation> {
    let crates = ["nat-userspace/src/", "nat-common/src/", "nat-ebpf/src/"];
    if !crates.iter().any(|dir| source.path.starts_with(dir)) || source.is_test() || gate == Gate::Test {
        return Vec::new();
    }
    let advice = "return the error, or say with `expect` why it cannot happen";
    let places = occurrences(&source.shipped, ".unwrap()");
    places.map(|at| Violation::new(&source.path, line_of(&source.shipped, at), "unwrap", advice)).collect()
}

pub(super) fn unsafety(source: &Source, gate: Gate) -> Vec<Violation> {
    let (code, advice) = match source.path.as_str() {
        "nat-userspace/src/dataplane/sys.rs" => return Vec::new(),
        path if path.starts_with("nat-userspace/src/") => (&source.code, "unsafe code lives in dataplane/sys.rs"),
        "nat-common/src/abi.rs" if gate != Gate::Always => return Vec::new(),
        "nat-common/src/abi.rs" => (&source.bare, "unsafe code in abi.rs is for the feature `user` only"),
        path if path.starts_with("nat-common/src/") => {
            (&source.code, "nat-common has no unsafe code but abi.rs's for the feature `user`")
        }
        _ => return Vec::new(),
    };
    let found = words(code).filter(|(_, word)| *word == "unsafe");
    found.map(|(at, _)| Violation::new(&source.path, line_of(code, at), "unsafe", advice)).collect()
}

pub(super) fn no_std(source: &Source, gate: Gate) -> Vec<Violation> {
    if !source.path.starts_with("nat-common/src/") || source.is_test() || gate != Gate::Always {
        return Vec::new();
    }
    let is_std = |(at, word): &(usize, &str)| {
        let before = source.bare[..*at].trim_end();
        *word == "std"
            && (source.bare[at + 3..].trim_start().starts_with("::")
                || before.ends_with("use")
                || before.ends_with("crate"))
    };
    let advice = "the eBPF program has no std: use core, or put this behind the feature `user`";
    let found = words(&source.bare).filter(is_std);
    found.map(|(at, _)| Violation::new(&source.path, line_of(&source.bare, at), "no-std", advice)).collect()
}

/// Where `pattern` stands in code and is not the end of a longer word.
fn occurrences<'a>(code: &'a str, pattern: &'a str) -> impl Iterator<Item = usize> + 'a {
    let starts_word = pattern.starts_with(|c: char| c.is_alphanumeric());
    let inner = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(pattern).map(|(at, _)| at).filter(move |at| !starts_word || !code[..*at].ends_with(inner))
}

#[cfg(test)]
mod tests {
    use super::super::source::{Gate, Source};
    use super::{length, no_std, sleeps, unfinished, unsafety, unwraps};

    fn source(path: &str, text: &str) -> Source {
        Source::new(path.into(), text.into())
    }

    #[test]
    fn a_long_file_is_to_be_split() {
        assert!(length(&source("a.rs", &"\n".repeat(600)), 600).is_none());
        assert!(length(&source("a.rs", &"\n".repeat(601)), 600).is_some());
    }

    #[test]
    fn unfinished_work_is_found_in_code_only() {
        let text = "// todo!()\nfn a() { todo!(\"x\") }\n#[ignore = \"slow\"]\nfn b() { dbg!(1); unimplemented!() }\nlet s = \"dbg!(\";\n";
        let lines: Vec<_> = unfinished(&source("a.rs", text)).iter().map(|violation| violation.line).collect();
        assert_eq!(lines, [2, 4, 4, 3]);
        assert!(unfinished(&source("a.rs", "mydbg!(1)")).is_empty());
    }

    #[test]
    fn tests_do_not_sleep() {
        let text = "fn a() { std::thread::sleep(D); tokio::time::sleep(D).await; }";
        assert_eq!(sleeps(&source("tests/tests/nat.rs", text)).len(), 2);
        assert_eq!(sleeps(&source("nat-userspace/src/address/tests.rs", text)).len(), 2);
        assert!(sleeps(&source("nat-userspace/src/gateway.rs", text)).is_empty());
    }

    #[test]
    fn only_tests_unwrap() {
        let text = "fn a() { b.unwrap(); c.unwrap_or(1); }\n#[cfg(test)]\nmod tests { fn d() { e.unwrap() } }\n";
        let found = unwraps(&source("nat-ebpf/src/main.rs", text), Gate::Always);
        assert_eq!(found.iter().map(|violation| violation.line).collect::<Vec<_>>(), [1]);
        assert!(unwraps(&source("nat-ebpf/src/main.rs", text), Gate::Test).is_empty());
        assert!(unwraps(&source("nat-common/src/tests.rs", text), Gate::Always).is_empty());
        assert!(unwraps(&source("xtask/src/main.rs", text), Gate::Always).is_empty());
    }

    #[test]
    fn unsafe_code_has_two_homes() {
        let text = "//! Not unsafe.\nunsafe fn a() {}\n";
        assert!(unsafety(&source("nat-userspace/src/dataplane/sys.rs", text), Gate::Always).is_empty());
        assert_eq!(unsafety(&source("nat-userspace/src/dataplane.rs", text), Gate::Always).len(), 1);
        assert_eq!(unsafety(&source("nat-common/src/abi.rs", text), Gate::Always).len(), 1);
        let gated = "#[cfg(feature = \"user\")]\nunsafe impl Pod for A {}\n";
        assert!(unsafety(&source("nat-common/src/abi.rs", gated), Gate::Always).is_empty());
        assert_eq!(unsafety(&source("nat-common/src/icmp.rs", gated), Gate::Always).len(), 1);
        assert!(unsafety(&source("nat-ebpf/src/packet.rs", text), Gate::Always).is_empty());
    }

    #[test]
    fn nat_common_names_std_for_the_host_only() {
        let path = "nat-common/src/abi.rs";
        assert_eq!(no_std(&source(path, "use std::fmt;\nfn a() { ::std::mem::swap(b, c) }"), Gate::Always).len(), 2);
        assert_eq!(no_std(&source(path, "extern crate std;"), Gate::Always).len(), 1);
        let fine = "#![cfg_attr(not(test), no_std)]\nuse core::fmt;\n#[cfg(any(test, feature = \"user\"))]\nmod h { use std::fmt; }\n";
        assert!(no_std(&source(path, fine), Gate::Always).is_empty());
        assert!(no_std(&source(path, "use std::fmt;"), Gate::User).is_empty());
    }
}
