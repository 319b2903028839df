//! Instances, how their traffic is charged, and the association of a private with a public address.

use std::error::Error;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use super::{AccountId, InstanceId, Time, VpcId};

/// An instance behind the gateway: it carries a private address only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Unique over all accounts.
    pub id: InstanceId,
    /// The owner.
    pub account: AccountId,
    /// The address space in which `private` is unique.
    pub vpc: VpcId,
    /// What the instance's network card carries.
    pub private: Ipv4Addr,
    /// Unique within the account where there is one.
    pub name: Option<String>,
    /// Public bandwidth in Mbit/s; 0 means no ordinary public IP, ever.
    pub bandwidth_mbps: u32,
    /// How the bandwidth is charged.
    pub charge_type: ChargeType,
    /// The ordinary public IP; absent while an EIP is bound.
    pub ordinary: Option<Ipv4Addr>,
    /// The ordinary public IP given up last, which this instance never gets back in the next assignment.
    pub last_ordinary: Option<Ipv4Addr>,
    /// When it was created.
    pub created: Time,
}

/// How an instance's public bandwidth is charged. Parsed without regard to case from the cloud API's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChargeType {
    /// By the bandwidth bought, for each hour.
    #[default]
    BandwidthPostpaidByHour,
    /// By the bytes sent.
    TrafficPostpaidByHour,
    /// By the total of a package many addresses share.
    BandwidthPackage,
}

impl ChargeType {
    /// Every charge type.
    pub const ALL: [ChargeType; 3] =
        [ChargeType::BandwidthPostpaidByHour, ChargeType::TrafficPostpaidByHour, ChargeType::BandwidthPackage];

    /// The cloud API's name.
    pub fn as_str(self) -> &'static str {
        match self {
            ChargeType::BandwidthPostpaidByHour => "BANDWIDTH_POSTPAID_BY_HOUR",
            ChargeType::TrafficPostpaidByHour => "TRAFFIC_POSTPAID_BY_HOUR",
            ChargeType::BandwidthPackage => "BANDWIDTH_PACKAGE",
        }
    }
}

impl fmt::Display for ChargeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for ChargeType {
    type Err = UnknownChargeType;

    fn from_str(text: &str) -> Result<Self, UnknownChargeType> {
        let known = ChargeType::ALL.into_iter().find(|charge_type| charge_type.as_str().eq_ignore_ascii_case(text));
        known.ok_or_else(|| UnknownChargeType(text.to_string()))
    }
}

/// A name that is no charge type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownChargeType(pub String);

impl fmt::Display for UnknownChargeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [by_bandwidth, by_traffic, package] = ChargeType::ALL;
        write!(f, "unknown charge type {:?}: write {by_bandwidth}, {by_traffic} or {package}", self.0)
    }
}

impl Error for UnknownChargeType {}

/// The fact that `public` serves `private` in `vpc`, in both directions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Association {
    /// The address space of `private`.
    pub vpc: VpcId,
    /// What the instance carries.
    pub private: Ipv4Addr,
    /// What the Internet sees: an ordinary public IP or an EIP.
    pub public: Ipv4Addr,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charge_types_carry_the_cloud_names() {
        for charge_type in ChargeType::ALL {
            assert_eq!(charge_type.to_string().to_lowercase().parse(), Ok(charge_type));
        }
        assert_eq!(
            "FREE".parse::<ChargeType>().unwrap_err().to_string(),
            "unknown charge type \"FREE\": write BANDWIDTH_POSTPAID_BY_HOUR, \
             TRAFFIC_POSTPAID_BY_HOUR or BANDWIDTH_PACKAGE"
        );
    }
}
