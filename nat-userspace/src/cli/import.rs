//! `eipgate import`.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum;

use super::Context;
use super::failure::Failure;
use super::output::{Shown, show};
use super::pairs::{self, Fault, Pairs};
use super::progress::Bar;
use crate::admin::client::ClientError;
use crate::admin::wire::{ImportRequest, Imported, PublicIpKind};

/// So many lines that cannot be read are shown one by one.
const FAULTS_SHOWN: usize = 20;

/// Make many pairs at once, all of them or none. Each line of the file is `public,private[,vpc[,name]]`; `#` begins a
/// comment. Each pair becomes a new instance and the public address that serves it; instances may share a name.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  eipgate import --check pairs.csv
  eipgate import pairs.csv
  eipgate import --as ordinary --bandwidth 5 pairs.csv
  eipgate --socket /run/old.sock export | eipgate import -")]
pub(super) struct Args {
    /// The file of pairs; - is stdin.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// What each public address is to its instance: an EIP bound to it, or its ordinary public IP.
    #[arg(long = "as", value_enum, default_value_t = Kind::Eip, value_name = "eip|ordinary")]
    kind: Kind,

    /// Public bandwidth of each instance in Mbit/s, not enforced yet. [default: 0 as eip, 1 as ordinary]
    #[arg(long, value_name = "MBPS")]
    bandwidth: Option<u32>,

    /// Only say whether it could be done: nothing changes.
    #[arg(long)]
    check: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Eip,
    Ordinary,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Shown, Failure> {
    let bar = Bar::new(context.format);
    let pairs = read(&args.file, &bar)?;
    if !pairs.faults.is_empty() {
        return Err(Failure { status: 1, sentence: list(&name(&args.file), &pairs.faults) });
    }
    let (public_ip_kind, bandwidth) = match args.kind {
        Kind::Eip => (PublicIpKind::Eip, 0),
        Kind::Ordinary => (PublicIpKind::Ordinary, 1),
    };
    let count = pairs.rows.len();
    let request = ImportRequest {
        account: context.account.clone(),
        public_ip_kind,
        bandwidth_mbps: args.bandwidth.unwrap_or(bandwidth),
        check: args.check,
        pairs: count,
    };
    let sent = &mut |done| bar.show("sending", done, count);
    let imported = context.client.import(request, pairs.rows.iter(), sent, &mut |progress| bar.tell(progress));
    drop(bar);
    let imported = imported.map_err(|error| refused(error, &name(&args.file), &pairs.lines))?;
    Ok(show(context.format, &imported, done))
}

fn name(file: &Path) -> String {
    if is_stdin(file) { "stdin".into() } else { file.display().to_string() }
}

fn is_stdin(file: &Path) -> bool {
    file == Path::new("-")
}

fn read(file: &Path, bar: &Bar) -> Result<Pairs, Failure> {
    let cannot = || format!("cannot read {}", name(file));
    let (from, length): (Box<dyn Read>, usize) = if is_stdin(file) {
        (Box::new(io::stdin()), 0)
    } else {
        let opened = File::open(file).with_context(cannot)?;
        let length = opened.metadata().with_context(cannot)?.len();
        (Box::new(opened), usize::try_from(length).unwrap_or_default())
    };
    let (mut taken, mut shown) = (0, 0);
    let pairs = pairs::read(BufReader::with_capacity(1 << 16, from), |bytes| {
        taken += bytes;
        if taken - shown > 1 << 18 {
            shown = taken;
            bar.show("reading", taken, length);
        }
    });
    Ok(pairs.with_context(cannot)?)
}

/// Each line that cannot be read, up to a number of them, and that nothing was changed.
fn list(file: &str, faults: &[Fault]) -> String {
    if let [Fault { line, problem }] = faults {
        return format!("{file} line {line}: {problem}. Nothing was changed.");
    }
    let mut text = format!("{file} has {} lines that cannot be read, and nothing was changed:", faults.len());
    for Fault { line, problem } in faults.iter().take(FAULTS_SHOWN) {
        write!(text, "\n  line {line}: {problem}").expect("a String takes everything");
    }
    if faults.len() > FAULTS_SHOWN {
        write!(text, "\n  and {} more", faults.len() - FAULTS_SHOWN).expect("a String takes everything");
    }
    text
}

/// A refusal by the line that is to blame, where one is.
fn refused(error: ClientError, file: &str, lines: &[usize]) -> Failure {
    let line = match &error {
        ClientError::Refused(complaint) => complaint.pair.and_then(|pair| lines.get(pair)).copied(),
        _ => None,
    };
    let failure = Failure::from(error);
    match line {
        Some(line) => {
            let sentence = format!("{file} line {line}: {}. Nothing was changed.", failure.sentence);
            Failure { sentence, ..failure }
        }
        None => failure,
    }
}

fn done(imported: &Imported) -> String {
    let Imported { imported, checked, account, public_ip_kind } = imported;
    let kind = match public_ip_kind {
        PublicIpKind::Eip => "EIPs",
        PublicIpKind::Ordinary => "ordinary public IPs",
    };
    if imported == checked {
        format!("imported {imported} pairs into account {account}, with their public addresses as {kind}")
    } else {
        format!("{checked} pairs can be imported into account {account} as {kind}; nothing was changed")
    }
}

#[cfg(test)]
mod tests {
    use super::super::pairs::Problem;
    use super::*;
    use crate::admin::wire::{Complaint, ComplaintKind};

    fn fault(line: usize) -> Fault {
        Fault { line, problem: Problem::NoPrivate }
    }

    #[test]
    fn lines_that_cannot_be_read_are_listed_up_to_a_number() {
        let form = "there is no private address; write public,private[,vpc[,name]]";
        assert_eq!(list("p.csv", &[fault(7)]), format!("p.csv line 7: {form}. Nothing was changed."));
        let faults: Vec<Fault> = (1..=23).map(fault).collect();
        let text = list("p.csv", &faults);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 22);
        assert_eq!(lines[0], "p.csv has 23 lines that cannot be read, and nothing was changed:");
        assert_eq!((lines[20], lines[21]), (format!("  line 20: {form}").as_str(), "  and 3 more"));
    }

    #[test]
    fn a_refusal_names_the_line_of_the_pair() {
        let complaint = |pair| Complaint {
            kind: ComplaintKind::Conflict,
            code: "address-taken".into(),
            message: "address 192.0.2.7 is in use".into(),
            pair,
        };
        let failure = |pair| refused(ClientError::Refused(complaint(pair)), "p.csv", &[3, 9]);
        let sentence = "p.csv line 9: address 192.0.2.7 is in use. Nothing was changed.".into();
        assert_eq!(failure(Some(1)), Failure { status: 4, sentence });
        assert_eq!(failure(None).sentence, "address 192.0.2.7 is in use");
    }

    #[test]
    fn what_was_done_is_one_line() {
        let imported =
            |imported, public_ip_kind| Imported { imported, checked: 3, account: "default".into(), public_ip_kind };
        assert_eq!(
            done(&imported(3, PublicIpKind::Eip)),
            "imported 3 pairs into account default, with their public addresses as EIPs"
        );
        assert_eq!(
            done(&imported(0, PublicIpKind::Ordinary)),
            "3 pairs can be imported into account default as ordinary public IPs; nothing was changed"
        );
    }
}
