//! Names of accounts, VPCs, instances, EIPs and packages: short, plain text that is safe in a path, a log line and a table.

use std::borrow::Borrow;
use std::error::Error;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::sync::Arc;

const LONGEST: usize = 64;

/// Text that is not an id of its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdError {
    /// Which kind of id was expected, for example `instance id`.
    pub what: &'static str,
    /// The text given, cut short when it is long.
    pub text: String,
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, text } = self;
        write!(f, "{text:?} is not a valid {what}: write 1 to {LONGEST} of the characters A-Z a-z 0-9 . _ -")?;
        if text.parse::<Ipv4Addr>().is_ok() {
            write!(f, ", and not an IPv4 address")?;
        }
        Ok(())
    }
}

impl Error for IdError {}

/// Whether an id of this kind is looked up by the same text as an address, so that it must not read as one.
#[derive(PartialEq, Eq)]
enum Selects {
    IdOnly,
    IdOrAddress,
}

fn checked(text: &str, what: &'static str, selects: Selects) -> Result<Arc<str>, IdError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let well_formed = !text.is_empty() && text.len() <= LONGEST && text.bytes().all(plain);
    if !well_formed || (selects == Selects::IdOrAddress && text.parse::<Ipv4Addr>().is_ok()) {
        return Err(IdError { what, text: text.chars().take(LONGEST).collect() });
    }
    Ok(Arc::from(text))
}

macro_rules! id {
    ($(#[doc = $doc:literal])* $name:ident, $what:literal, $selects:expr) => {
        $(#[doc = $doc])*
        ///
        /// 1 to 64 of the characters `A-Z a-z 0-9 . _ -`. Shared, not copied, on clone: several indexes hold each id.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the text; the error says what is allowed.
            pub fn new(text: impl AsRef<str>) -> Result<Self, IdError> {
                checked(text.as_ref(), $what, $selects).map(Self)
            }

            /// The text of the id.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

id! {
    /// The owner of instances and EIPs.
    AccountId, "account id", Selects::IdOnly
}
id! {
    /// A private address space.
    VpcId, "VPC id", Selects::IdOnly
}
id! {
    /// An instance. Never reads as an IPv4 address, for an instance is also found by its address.
    InstanceId, "instance id", Selects::IdOrAddress
}
id! {
    /// An elastic IP. Never reads as an IPv4 address, for an EIP is also found by its address.
    EipId, "EIP id", Selects::IdOrAddress
}

id! {
    /// A bandwidth package.
    PackageId, "package id", Selects::IdOnly
}

impl VpcId {
    /// Sorts before every valid id: the lower bound of a search over all VPCs.
    pub(super) fn before_all() -> Self {
        Self(Arc::from(""))
    }
}

impl InstanceId {
    /// Sorts before every valid id: the lower bound of a search over all instances.
    pub(super) fn before_all() -> Self {
        Self(Arc::from(""))
    }
}

impl EipId {
    /// Sorts before every valid id: the lower bound of a search over all EIPs.
    pub(super) fn before_all() -> Self {
        Self(Arc::from(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_short_plain_text() {
        let long = "x".repeat(64);
        for good in ["a", "ins-1", "A.b_c-9", long.as_str()] {
            assert_eq!(InstanceId::new(good).map(|id| id.to_string()), Ok(good.to_string()));
        }
        for bad in ["", " ", "a b", "a/b", "é", "a\n", "x".repeat(65).as_str()] {
            assert!(bad.parse::<AccountId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_id_that_is_also_found_by_address_does_not_read_as_one() {
        assert!(VpcId::new("10.0.0.1").is_ok());
        assert_eq!(
            EipId::new("10.0.0.1").unwrap_err().to_string(),
            "\"10.0.0.1\" is not a valid EIP id: write 1 to 64 of the characters A-Z a-z 0-9 . _ -, \
             and not an IPv4 address"
        );
    }
}
