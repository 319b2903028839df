//! `cargo xtask tidy`: the repository's own rules, which no compiler and no lint checks.
//!
//! Each rule is a pure function from text to violations; this file reads the tree and applies them.

mod conformance;
mod direction;
mod names;
mod paths;
mod scan;
mod source;

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::shell::Run;
use crate::workspace;

use source::Source;

/// Check the repository's own rules.
#[derive(clap::Args)]
#[command(after_help = "\
The rules:
  module-doc      every .rs file starts by saying what it is
  length          a file past 600 lines is split, by noun
  name            no name ends in manager, helper, util, handler or impl
  direction       address knows std only; store and dataplane know address; only gateway knows both;
                  no edge knows another or the data plane
  no-std          nat-common names std only in tests and for the feature `user`
  unsafe          only in dataplane/sys.rs, and in nat-common's abi.rs for the feature `user`
  unwrap          not outside tests
  unfinished      no todo!, unimplemented!, dbg!, #[ignore]
  sleep           tests wait for a condition with a deadline
  local-path      no absolute path of one developer's machine
  conformance     docs/conformance.md lists every trap, and the tests it names exist
  readme          README.md names the commands to try")]
pub(crate) struct Args {}

/// The longest a file may get.
const MAX_LINES: usize = 600;

/// A rule not kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Violation {
    path: String,
    /// 0 where it is about the file as a whole.
    line: usize,
    rule: &'static str,
    /// What is wrong and what to do.
    advice: String,
}

impl Violation {
    fn new(path: &str, line: usize, rule: &'static str, advice: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, rule, advice: advice.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {}: {}", self.rule, self.advice)
    }
}

pub(crate) fn run(_: &Args) -> Result<()> {
    check()?;
    println!("tidy: every rule holds");
    Ok(())
}

/// Fails with every violation in the tree.
pub(crate) fn check() -> Result<()> {
    let files = read_tree(workspace::root())?;
    let violations = judge(&files);
    if violations.is_empty() {
        return Ok(());
    }
    for violation in &violations {
        eprintln!("{violation}");
    }
    bail!("{} rules not kept", violations.len());
}

/// A file of the tree, by its path from the root.
struct File {
    path: String,
    text: String,
}

fn judge(files: &[File]) -> BTreeSet<Violation> {
    let sources: Vec<Source> = files
        .iter()
        .filter(|file| file.path.ends_with(".rs"))
        .map(|file| Source::new(file.path.clone(), file.text.clone()))
        .collect();
    let gated = source::gated_files(&sources);
    let dependencies = find(files, "nat-userspace/Cargo.toml").map(direction::dependencies).unwrap_or_default();

    let mut found = BTreeSet::new();
    for file in files {
        found.extend(paths::no_local_paths(&file.path, &file.text));
    }
    for source in &sources {
        let gate = gated.of(&source.path);
        found.extend(names::module_doc(source));
        found.extend(names::banned_endings(source));
        found.extend(scan::length(source, MAX_LINES));
        found.extend(scan::unfinished(source));
        found.extend(scan::sleeps(source));
        found.extend(scan::unwraps(source, gate));
        found.extend(scan::unsafety(source, gate));
        found.extend(scan::no_std(source, gate));
        found.extend(direction::imports(source, gate, &dependencies));
    }
    match find(files, "docs/conformance.md") {
        Some(text) => found.extend(conformance::tables("docs/conformance.md", text, &sources)),
        None => {
            found.insert(Violation::new(
                "docs/conformance.md",
                0,
                "conformance",
                "missing: list every trap with its tests",
            ));
        }
    }
    match find(files, "README.md") {
        Some(text) => found.extend(paths::readme_commands("README.md", text)),
        None => {
            found.insert(Violation::new("README.md", 0, "readme", "missing: say what this is and how to try it"));
        }
    }
    found
}

fn find<'a>(files: &'a [File], path: &str) -> Option<&'a str> {
    files.iter().find(|file| file.path == path).map(|file| file.text.as_str())
}

/// Every text file that git tracks or would track. Files with other content are left out.
fn read_tree(root: &Path) -> Result<Vec<File>> {
    let git = Run::new("git").args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let listed = git.output().context("tidy looks at what git tracks: run it in a git checkout")?;
    let paths: BTreeSet<&str> = listed.split('\0').filter(|path| !path.is_empty()).collect();
    let mut files = Vec::new();
    for path in paths {
        let full = root.join(path);
        // Deleted but not committed yet, or a link to somewhere else.
        if !fs::symlink_metadata(&full).is_ok_and(|meta| meta.is_file()) {
            continue;
        }
        let bytes = fs::read(&full).with_context(|| format!("cannot read {path}"))?;
        if let Ok(text) = String::from_utf8(bytes) {
            files.push(File { path: path.to_owned(), text });
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::{File, Violation, judge};

    fn file(path: &str, text: &str) -> File {
        File { path: path.into(), text: text.into() }
    }

    #[test]
    fn a_violation_reads_path_rule_advice() {
        let violation = Violation::new("a/b.rs", 7, "unwrap", "say what went wrong");
        assert_eq!(violation.to_string(), "a/b.rs:7: unwrap: say what went wrong");
        assert_eq!(Violation::new("a.rs", 0, "length", "split").to_string(), "a.rs: length: split");
    }

    #[test]
    fn an_empty_tree_lacks_its_documents() {
        let found: Vec<_> = judge(&[]).into_iter().map(|violation| violation.path).collect();
        assert_eq!(found, ["README.md", "docs/conformance.md"]);
    }

    #[test]
    fn a_module_compiled_for_tests_only_may_unwrap() {
        let tree = |gate: &str| {
            [
                file("nat-common/src/lib.rs", &format!("//! Root.\n{gate}\nmod invariants;\n")),
                file("nat-common/src/invariants.rs", "//! Checks.\nfn check() { std::env::var(\"X\").unwrap(); }\n"),
            ]
        };
        let rules = |gate: &str| -> Vec<_> {
            let found = judge(&tree(gate)).into_iter();
            found.filter(|violation| violation.path.ends_with(".rs")).map(|violation| violation.rule).collect()
        };
        assert_eq!(rules("#[cfg(test)]"), Vec::<&str>::new());
        assert_eq!(rules(""), ["no-std", "unwrap"]);
    }
}
