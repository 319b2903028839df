//! The file of pairs: `public,private[,vpc[,name]]` on each line, `#` before a comment. What `export` writes, `import`
//! reads.

use std::fmt;
use std::io::{self, BufRead, Write};
use std::net::Ipv4Addr;

use crate::address::{IdError, VpcId};
use crate::admin::wire::PairRow;

/// The VPC of a pair that names none.
const DEFAULT_VPC: &str = "vpc-default";
const FORM: &str = "write public,private[,vpc[,name]]";

/// What stands above an exported list.
pub(super) const TITLE: &str = "# public,private,vpc,name";

/// Pairs as they were read, with the lines they stand on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pairs {
    pub(super) rows: Vec<PairRow>,
    /// The line of each row, counted from 1.
    pub(super) lines: Vec<usize>,
    /// What could not be read, in order.
    pub(super) faults: Vec<Fault>,
}

/// A line that is no pair.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) problem: Problem,
}

/// What is wrong with a line, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Problem {
    NotText,
    NoPrivate,
    NotAddress { what: &'static str, text: String },
    Vpc(IdError),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::NotText => write!(f, "it is no UTF-8 text; {FORM}"),
            Problem::NoPrivate => write!(f, "there is no private address; {FORM}"),
            Problem::NotAddress { what, text } => {
                write!(f, "the {what} address {text:?} is no IPv4 address; {FORM}, like 192.0.2.7,10.0.0.11")
            }
            Problem::Vpc(error) => write!(f, "{error}"),
        }
    }
}

/// Reads every line, telling `read` how many bytes it took.
pub(super) fn read(mut from: impl BufRead, mut read: impl FnMut(usize)) -> io::Result<Pairs> {
    let mut pairs = Pairs::default();
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        let length = from.read_until(b'\n', &mut bytes)?;
        if length == 0 {
            break;
        }
        read(length);
        match pair(&bytes) {
            Ok(Some(row)) => {
                pairs.rows.push(row);
                pairs.lines.push(line);
            }
            Ok(None) => {}
            Err(problem) => pairs.faults.push(Fault { line, problem }),
        }
    }
    Ok(pairs)
}

/// A line without pair is blank or a comment.
fn pair(line: &[u8]) -> Result<Option<PairRow>, Problem> {
    let line = str::from_utf8(line).map_err(|_| Problem::NotText)?.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    // A name may have commas in it: it comes last.
    let mut fields = line.splitn(4, ',').map(str::trim);
    let mut field = || fields.next().filter(|field| !field.is_empty());
    let public_ip = address("public", field().unwrap_or_default())?;
    let private_ip = address("private", field().ok_or(Problem::NoPrivate)?)?;
    let vpc: VpcId = field().unwrap_or(DEFAULT_VPC).parse().map_err(Problem::Vpc)?;
    Ok(Some(PairRow { public_ip, private_ip, vpc: vpc.to_string(), name: field().map(str::to_owned) }))
}

fn address(what: &'static str, text: &str) -> Result<Ipv4Addr, Problem> {
    text.parse().map_err(|_| Problem::NotAddress { what, text: text.to_owned() })
}

/// Writes pairs under [`TITLE`].
pub(super) fn write(rows: &[PairRow], mut to: impl Write) -> io::Result<()> {
    writeln!(to, "{TITLE}")?;
    for PairRow { public_ip, private_ip, vpc, name } in rows {
        match name {
            Some(name) => writeln!(to, "{public_ip},{private_ip},{vpc},{name}")?,
            None => writeln!(to, "{public_ip},{private_ip},{vpc}")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(public: u8, private: u8, vpc: &str, name: Option<&str>) -> PairRow {
        let (public_ip, private_ip) = ([192, 0, 2, public].into(), [10, 0, 0, private].into());
        PairRow { public_ip, private_ip, vpc: vpc.into(), name: name.map(Into::into) }
    }

    fn reading(text: impl AsRef<[u8]>) -> Pairs {
        let (text, mut taken) = (text.as_ref(), 0);
        let pairs = read(text, |bytes| taken += bytes).unwrap();
        assert_eq!(taken, text.len());
        pairs
    }

    #[test]
    fn a_file_is_read_with_its_comments_and_blanks() {
        let text = "# moved\n\n192.0.2.1,10.0.0.1\r\n  192.0.2.2 , 10.0.0.2 , blue\n\t#192.0.2.9,10.0.0.9\n\
                    192.0.2.3,10.0.0.3,,web, the old one\n192.0.2.4,10.0.0.4,blue,";
        let pairs = reading(text);
        let (blue, default) = ("blue", "vpc-default");
        let rows = [
            row(1, 1, default, None),
            row(2, 2, blue, None),
            row(3, 3, default, Some("web, the old one")),
            row(4, 4, blue, None),
        ];
        assert_eq!((pairs.rows, pairs.lines, pairs.faults), (rows.into(), vec![3, 4, 6, 7], vec![]));
        assert_eq!(reading(""), Pairs::default());
    }

    #[test]
    fn what_is_written_is_read_back() {
        let rows = vec![row(1, 1, "vpc-default", None), row(2, 2, "blue", Some("a, b#c"))];
        let mut text = Vec::new();
        write(&rows, &mut text).unwrap();
        let written = "# public,private,vpc,name\n192.0.2.1,10.0.0.1,vpc-default\n192.0.2.2,10.0.0.2,blue,a, b#c\n";
        assert_eq!(str::from_utf8(&text).unwrap(), written);
        assert_eq!(reading(text).rows, rows);
    }

    #[test]
    fn a_line_that_is_no_pair_is_named_with_what_is_wrong() {
        let text = b"192.0.2.1\n192.0.2.256,10.0.0.1\n192.0.2.1,10.0.0.1/32\n192.0.2.1,10.0.0.1,a b\n,10.0.0.1\n\xff\n192.0.2.1,,blue\n";
        let faults: Vec<_> = reading(text).faults.iter().map(|fault| (fault.line, fault.problem.to_string())).collect();
        let form = "write public,private[,vpc[,name]]";
        let like = format!("{form}, like 192.0.2.7,10.0.0.11");
        assert_eq!(
            faults,
            [
                (1, format!("there is no private address; {form}")),
                (2, format!("the public address \"192.0.2.256\" is no IPv4 address; {like}")),
                (3, format!("the private address \"10.0.0.1/32\" is no IPv4 address; {like}")),
                (4, "\"a b\" is not a valid VPC id: write 1 to 64 of the characters A-Z a-z 0-9 . _ -".into()),
                (5, format!("the public address \"\" is no IPv4 address; {like}")),
                (6, format!("it is no UTF-8 text; {form}")),
                (7, format!("there is no private address; {form}")),
            ]
        );
    }
}
