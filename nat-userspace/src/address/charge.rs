//! How the bandwidth of an instance or an EIP is charged. Nothing is metered here: this is what was agreed.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

/// How the cloud API spells [`ChargeType::BandwidthPrepaid`] where an EIP is charged.
const PREPAID_EIP: &str = "BANDWIDTH_PREPAID_BY_MONTH";

/// How public bandwidth is charged. Parsed without regard to case from the cloud API's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChargeType {
    /// By the bandwidth bought, for each hour.
    #[default]
    BandwidthPostpaidByHour,
    /// By the bytes sent.
    TrafficPostpaidByHour,
    /// By the total of a package many addresses share.
    BandwidthPackage,
    /// By the bandwidth bought, paid for in advance by the month. The cloud API spells it in two ways.
    BandwidthPrepaid,
}

impl ChargeType {
    /// Every charge type.
    pub const ALL: [ChargeType; 4] = [
        ChargeType::BandwidthPostpaidByHour,
        ChargeType::TrafficPostpaidByHour,
        ChargeType::BandwidthPackage,
        ChargeType::BandwidthPrepaid,
    ];
    /// Of an EIP for which nothing else was agreed, as the cloud API has it.
    pub const OF_EIPS: ChargeType = ChargeType::TrafficPostpaidByHour;

    /// The most bandwidth in Mbit/s that may be agreed on where it is charged so.
    pub fn most_mbps(self) -> u32 {
        match self {
            ChargeType::BandwidthPackage => 2000,
            ChargeType::BandwidthPrepaid => 200,
            ChargeType::BandwidthPostpaidByHour | ChargeType::TrafficPostpaidByHour => 100,
        }
    }

    /// The cloud API's name where an EIP is charged.
    pub fn as_str_of_eip(self) -> &'static str {
        match self {
            ChargeType::BandwidthPrepaid => PREPAID_EIP,
            other => other.as_str(),
        }
    }

    /// The cloud API's name.
    pub fn as_str(self) -> &'static str {
        match self {
            ChargeType::BandwidthPostpaidByHour => "BANDWIDTH_POSTPAID_BY_HOUR",
            ChargeType::TrafficPostpaidByHour => "TRAFFIC_POSTPAID_BY_HOUR",
            ChargeType::BandwidthPackage => "BANDWIDTH_PACKAGE",
            ChargeType::BandwidthPrepaid => "BANDWIDTH_PREPAID",
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
        if text.eq_ignore_ascii_case(PREPAID_EIP) {
            return Ok(ChargeType::BandwidthPrepaid);
        }
        let known = ChargeType::ALL.into_iter().find(|charge_type| charge_type.as_str().eq_ignore_ascii_case(text));
        known.ok_or_else(|| UnknownChargeType(text.to_string()))
    }
}

/// A name that is no charge type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownChargeType(pub String);

impl fmt::Display for UnknownChargeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [by_bandwidth, by_traffic, package, prepaid] = ChargeType::ALL;
        write!(f, "unknown charge type {:?}: write {by_bandwidth}, {by_traffic}, {package} or {prepaid}", self.0)
    }
}

impl Error for UnknownChargeType {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charge_types_carry_the_cloud_names() {
        for charge_type in ChargeType::ALL {
            assert_eq!(charge_type.to_string().to_lowercase().parse(), Ok(charge_type));
            assert_eq!(charge_type.as_str_of_eip().parse(), Ok(charge_type));
        }
        assert_eq!(
            "FREE".parse::<ChargeType>().unwrap_err().to_string(),
            "unknown charge type \"FREE\": write BANDWIDTH_POSTPAID_BY_HOUR, \
             TRAFFIC_POSTPAID_BY_HOUR, BANDWIDTH_PACKAGE or BANDWIDTH_PREPAID"
        );
    }
}
