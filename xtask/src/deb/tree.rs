//! What is in the package, and where.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::shell::{self, Run};
use crate::workspace;

/// Files as they are in the repository: where from, where to.
const FILES: [(&str, &str); 10] = [
    ("packaging/eipgate.toml", "etc/eipgate/eipgate.toml"),
    ("packaging/eipgate.service", "lib/systemd/system/eipgate.service"),
    ("packaging/eipgate-guard.service", "lib/systemd/system/eipgate-guard.service"),
    ("packaging/run-eipgate-bpf.mount", "lib/systemd/system/run-eipgate-bpf.mount"),
    ("packaging/grafana-dashboard.json", "usr/share/eipgate/grafana-dashboard.json"),
    ("packaging/prometheus-alerts.yml", "usr/share/eipgate/prometheus-alerts.yml"),
    ("packaging/eipgate.toml", "usr/share/doc/eipgate/examples/eipgate.toml"),
    ("README.md", "usr/share/doc/eipgate/README.md"),
    ("packaging/debian/copyright", "usr/share/doc/eipgate/copyright"),
    ("packaging/debian/lintian-overrides", "usr/share/lintian/overrides/eipgate"),
];

const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// Shells and where each looks for the completions of a package.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/eipgate"),
    ("zsh", "usr/share/zsh/vendor-completions/_eipgate"),
    ("fish", "usr/share/fish/vendor_completions.d/eipgate.fish"),
];

pub(super) fn lay_out(root: &Path, binary: &Path, version: &str, architecture: &str) -> Result<()> {
    let installed = root.join("usr/bin/eipgate");
    copy(binary, &installed, 0o755)?;
    strip(&installed)?;
    for (from, to) in FILES {
        copy(&workspace::root().join(from), &root.join(to), 0o644)?;
    }
    for entry in directory(&workspace::root().join("docs"))? {
        let name = entry.file_name().unwrap_or_default();
        copy(&entry, &root.join("usr/share/doc/eipgate/docs").join(name), 0o644)?;
    }
    for (shell, to) in COMPLETIONS {
        let script = Run::new(binary).args(["completions", shell]).output()?;
        write(&root.join(to), &script, 0o644)?;
    }
    manual(root, binary)?;
    let values = [("@VERSION@", version.to_owned()), ("@ARCHITECTURE@", architecture.to_owned()), ("@DATE@", date()?)];
    let changelog = root.join("usr/share/doc/eipgate/changelog");
    write(&changelog, &filled("changelog", &values)?, 0o644)?;
    Run::new("gzip").args(["-9nf"]).args([&changelog]).output()?;

    for script in SCRIPTS {
        copy(&workspace::root().join("packaging/debian").join(script), &root.join("DEBIAN").join(script), 0o755)?;
    }
    write(&root.join("DEBIAN/conffiles"), "/etc/eipgate/eipgate.toml\n", 0o644)?;
    write(&root.join("DEBIAN/md5sums"), &sums(root)?, 0o644)?;
    let size = ("@SIZE@", kilobytes(root)?.to_string());
    let values: Vec<_> = values.into_iter().chain([size]).collect();
    write(&root.join("DEBIAN/control"), &filled("control", &values)?, 0o644)
}

fn manual(root: &Path, binary: &Path) -> Result<()> {
    let pages = root.join("usr/share/man/man1");
    fs::create_dir_all(&pages)?;
    Run::new(binary).args(["man"]).args([&pages]).output()?;
    Run::new("gzip").args(["-9n"]).args(directory(&pages)?).output()?;
    for page in directory(&pages)? {
        fs::set_permissions(&page, Permissions::from_mode(0o644))?;
    }
    Ok(())
}

/// Without the debugging information, which is most of the binary; the program inside keeps its own.
fn strip(binary: &Path) -> Result<()> {
    if shell::find_program("strip").is_some() {
        Run::new("strip").args(["--strip-unneeded"]).args([binary]).output()?;
    }
    Ok(())
}

/// A template of `packaging/debian` with its values.
fn filled(name: &str, values: &[(&str, String)]) -> Result<String> {
    let path = workspace::root().join("packaging/debian").join(name);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(values.iter().fold(text, |text, (key, value)| text.replace(key, value)))
}

/// Of the last commit, so that the same sources give the same package.
fn date() -> Result<String> {
    Ok(Run::new("git").args(["log", "-1", "--format=%aD"]).output()?.trim().to_owned())
}

fn sums(root: &Path) -> Result<String> {
    let files = Run::new("find")
        .args([root])
        .args(["-type", "f", "-not", "-path", "*/DEBIAN/*", "-printf", "%P\\n"])
        .output()?;
    let mut files: Vec<&str> = files.lines().filter(|file| !file.starts_with("etc/")).collect();
    files.sort_unstable();
    let sums = Run::new("env").args(["-C"]).args([root]).args(["md5sum"]).args(files);
    sums.output()
}

fn kilobytes(root: &Path) -> Result<u64> {
    let said = Run::new("du").args(["-sk", "--apparent-size", "--exclude=DEBIAN"]).args([root]).output()?;
    said.split_whitespace().next().and_then(|size| size.parse().ok()).context("du says no size")
}

fn directory(path: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn copy(from: &Path, to: &Path, mode: u32) -> Result<()> {
    make_room(to)?;
    fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(fs::set_permissions(to, Permissions::from_mode(mode))?)
}

fn write(to: &Path, text: &str, mode: u32) -> Result<()> {
    make_room(to)?;
    fs::write(to, text).with_context(|| format!("cannot write {}", to.display()))?;
    Ok(fs::set_permissions(to, Permissions::from_mode(mode))?)
}

fn make_room(file: &Path) -> Result<()> {
    let directory = file.parent().context("a file stands in a directory")?;
    fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))
}
