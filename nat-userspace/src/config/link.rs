//! Links as people write them: `eth0`, `eth0:100`, `eth0:100.200`, and for a downlink `=vpc` behind.

use std::fmt;
use std::str::FromStr;

use anyhow::{Error, Result, bail, ensure};

use crate::address::{Prefix, VpcId};

/// The VPC of a downlink that names none.
pub const DEFAULT_VPC: &str = "vpc-default";
/// The kernel's IFNAMSIZ without the final zero.
const LONGEST_INTERFACE: usize = 15;

/// An interface and the VLAN tags by which frames belong to this link.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    /// Name of the interface the program runs on.
    pub interface: String,
    /// VLAN ids, outermost first.
    pub tags: Vec<u16>,
}

/// A link towards the instances of one VPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downlink {
    /// How frames arrive.
    pub link: Link,
    /// Whose they are.
    pub vpc: VpcId,
}

/// Private addresses that instances of a VPC get where they ask for none in particular.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateRange {
    /// Which.
    pub prefix: Prefix,
    /// Whose they are.
    pub vpc: VpcId,
}

impl FromStr for PrivateRange {
    type Err = Error;

    fn from_str(text: &str) -> Result<PrivateRange> {
        let (prefix, vpc) = text.rsplit_once('=').unwrap_or((text, DEFAULT_VPC));
        Ok(PrivateRange { prefix: prefix.parse()?, vpc: vpc.parse()? })
    }
}

impl FromStr for Link {
    type Err = Error;

    fn from_str(text: &str) -> Result<Link> {
        let (interface, tags) = match text.split_once(':') {
            Some((interface, tags)) => (interface, tags.split('.').map(vlan_id).collect::<Result<Vec<u16>>>()?),
            None => (text, Vec::new()),
        };
        let plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '/' | '=');
        let valid = (1..=LONGEST_INTERFACE).contains(&interface.len()) && interface.chars().all(plain);
        ensure!(valid && interface != "." && interface != "..", "{interface:?} is not the name of an interface");
        ensure!(tags.len() <= 2, "{text:?} has more than two VLAN tags");
        Ok(Link { interface: interface.to_owned(), tags })
    }
}

fn vlan_id(text: &str) -> Result<u16> {
    match text.parse() {
        Ok(id @ 1..=4094) if text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(id),
        _ => bail!("{text:?} is not a VLAN id; write 1 to 4094"),
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.interface)?;
        for (tag, separator) in self.tags.iter().zip([':', '.']) {
            write!(f, "{separator}{tag}")?;
        }
        Ok(())
    }
}

impl FromStr for Downlink {
    type Err = Error;

    fn from_str(text: &str) -> Result<Downlink> {
        let (link, vpc) = text.rsplit_once('=').unwrap_or((text, DEFAULT_VPC));
        Ok(Downlink { link: link.parse()?, vpc: vpc.parse()? })
    }
}

impl fmt::Display for Downlink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.link, self.vpc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_an_interface_and_up_to_two_tags() {
        for (text, tags) in
            [("eth0", vec![]), ("enp1s0.7", vec![]), ("eth0:1", vec![1]), ("eth0:4094.7", vec![4094, 7])]
        {
            let link: Link = text.parse().unwrap();
            assert_eq!(link.tags, tags);
            assert_eq!(link.to_string(), text);
        }
        for (text, problem) in [
            ("", "\"\" is not the name of an interface"),
            ("..", "\"..\" is not the name of an interface"),
            ("a/b", "\"a/b\" is not the name of an interface"),
            ("sixteen-letters-", "\"sixteen-letters-\" is not the name of an interface"),
            ("eth0:", "\"\" is not a VLAN id; write 1 to 4094"),
            ("eth0:0", "\"0\" is not a VLAN id; write 1 to 4094"),
            ("eth0:4095", "\"4095\" is not a VLAN id; write 1 to 4094"),
            ("eth0:+5", "\"+5\" is not a VLAN id; write 1 to 4094"),
            ("eth0:1.2.3", "\"eth0:1.2.3\" has more than two VLAN tags"),
        ] {
            assert_eq!(text.parse::<Link>().unwrap_err().to_string(), problem);
        }
    }

    #[test]
    fn a_downlink_belongs_to_a_vpc() {
        for (text, shown) in [("eth1", "eth1=vpc-default"), ("eth1:7=blue", "eth1:7=blue")] {
            assert_eq!(text.parse::<Downlink>().unwrap().to_string(), shown);
        }
        assert!("eth1=".parse::<Downlink>().is_err());
        assert!("eth1=a b".parse::<Downlink>().is_err());
    }
}
