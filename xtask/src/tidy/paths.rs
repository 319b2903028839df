//! Rules about any file's text: no path of one developer's machine; the README names the commands to try.

use super::Violation;

/// Written in two halves, so that this file keeps the rule.
const LOCAL: [&str; 2] = [concat!("/wo", "rk/"), concat!("/ro", "ot/")];

pub(super) fn no_local_paths(path: &str, text: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for local in LOCAL {
            if starts_a_path(line, local) {
                let advice = format!("`{local}` is a place on one machine: write a path from the repository's root");
                found.push(Violation::new(path, number + 1, "local-path", advice));
            }
        }
    }
    found
}

/// `local` as the start of an absolute path, not a part of a longer one or of an address.
fn starts_a_path(line: &str, local: &str) -> bool {
    let inner = |c: char| c.is_alphanumeric() || "_-./}".contains(c);
    line.match_indices(local).any(|(at, _)| !line[..at].ends_with(inner))
}

pub(super) fn readme_commands(path: &str, text: &str) -> Vec<Violation> {
    let commands = ["cargo xtask demo", "cargo xtask test"];
    let missing = commands.into_iter().filter(|command| !text.contains(command));
    missing.map(|command| Violation::new(path, 0, "readme", format!("tell the reader about `{command}`"))).collect()
}

#[cfg(test)]
mod tests {
    use super::{LOCAL, no_local_paths, readme_commands};

    #[test]
    fn a_developers_directory_is_refused() {
        let text = format!("cd {}main\nok\npath=\"{}x\"\n", LOCAL[0], LOCAL[1]);
        let lines: Vec<_> = no_local_paths("a.sh", &text).iter().map(|violation| violation.line).collect();
        assert_eq!(lines, [1, 3]);
    }

    #[test]
    fn a_longer_path_or_an_address_is_not_a_developers_directory() {
        let text = format!("docs{}a https://example.org{}b ../x{}c\n", LOCAL[0], LOCAL[0], LOCAL[1]);
        assert!(no_local_paths("a.md", &text).is_empty());
    }

    #[test]
    fn the_readme_names_demo_and_test() {
        assert_eq!(readme_commands("README.md", "Run `cargo xtask demo`.").len(), 1);
        assert!(readme_commands("README.md", "cargo xtask demo, cargo xtask test").is_empty());
    }
}
