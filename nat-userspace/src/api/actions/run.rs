//! RunInstances.

use std::net::Ipv4Addr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::error::ApiError;
use super::asked::{Answer, Asked, bandwidth, charge_type, fields};
use super::page::tags;
use super::params::Params;
use crate::address::{
    ChargeType, Command, InstanceDetail, InstanceId, Naming, NewInstance, Operation, PackageId, Renewal, Tags,
    Together, VpcId,
};
use crate::config::DEFAULT_VPC;

const MOST_INSTANCES: i64 = 500;
/// Bytes that an instance can be told in its user data.
const MOST_USER_DATA: usize = 16 * 1024;
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

/// What the cloud's computers call otherwise than its network.
const OTHERWISE: [(&str, &str); 4] = [
    ("ResourceInsufficient", "ResourcesSoldOut.EipInsufficient"),
    ("InvalidParameterValue.BandwidthPackageNotFound", "InvalidParameterValue.BandwidthPackageIdNotFound"),
    ("InvalidParameterValue.BandwidthOutOfRange", "InvalidParameterValue.Range"),
    ("InvalidParameterValue.Combination", "InvalidParameterCombination"),
];
/// What fewer instances may not want: public addresses, private ones, and room in the maps.
const SHORTAGES: [&str; 3] = ["ResourceInsufficient", "ResourceInsufficient.Subnet", "LimitExceeded"];

pub(super) fn run(asked: &mut Asked<'_>) -> Answer {
    run_all(asked)
        .map_err(|error| OTHERWISE.into_iter().fold(error, |error, (code, other)| error.instead_of(code, other)))
}

fn run_all(asked: &mut Asked<'_>) -> Answer {
    let order = Order::asked(asked)?;
    let token = asked.retry()?;
    let repeated = token.as_ref().is_some_and(|retry| asked.ledger().made_with(&retry.account, &retry.token).is_some());
    // Asked again, it makes nothing, so nothing needs to be free.
    let commands = match repeated {
        true => order.commands(asked, vec![Ipv4Addr::UNSPECIFIED; order.most]),
        false => order.as_many_as_there_can_be(asked)?,
    };
    let made: Vec<String> = commands
        .iter()
        .filter_map(|command| match command {
            Command::CreateInstance(new) => Some(new.id.to_string()),
            _ => None,
        })
        .collect();
    let together = Command::Together(Together { commands, token: token.clone() });
    if asked.params.flag("DryRun")?.unwrap_or_default() {
        asked.gateway.check(together)?;
        return Ok(fields(json!({})));
    }
    asked.perform(together)?;
    let ids = match token.and_then(|retry| asked.ledger().made_with(&retry.account, &retry.token)) {
        Some(made) => made.instances().iter().map(|id| id.to_string()).collect(),
        None => made,
    };
    Ok(fields(json!({ "InstanceIdSet": ids.into_iter().map(Value::from).collect::<Vec<_>>() })))
}

/// What is wanted.
struct Order<'a> {
    most: usize,
    /// So many are enough where there cannot be more; where it is not said, it is all or none.
    least: Option<usize>,
    public: Public,
    network: Params<'a>,
    vpc: VpcId,
    names: Vec<Option<String>>,
    prepaid: Option<Duration>,
    detail: InstanceDetail,
}

impl<'a> Order<'a> {
    fn asked(asked: &Asked<'a>) -> Result<Order<'a>, ApiError> {
        let params = asked.params;
        let image = params.needed_text("ImageId")?;
        let (most, least) = counts(params)?;
        let public = Public::asked(params.object("InternetAccessible")?, params)?;
        let network = params.object("VirtualPrivateCloud")?;
        let vpc = vpc(asked, network.text("VpcId")?)?;
        let detail = InstanceDetail {
            zone: Some(zone(asked, params.object("Placement")?)?),
            image: Some(image),
            instance_type: params.text("InstanceType")?,
            subnet: network.text("SubnetId")?,
            security_groups: params.texts("SecurityGroupIds")?,
            host_name: params.text("HostName")?,
            tags: instance_tags(params)?,
            user_data: user_data(params)?,
            protected: params.flag("DisableApiTermination")?.unwrap_or_default(),
            operation: Some(Operation { name: "RunInstances".into(), request: asked.call.request_id.clone() }),
            uuid: None,
        };
        let names = names(params.text("InstanceName")?, most);
        let prepaid = prepaid(params)?;
        Ok(Order { most, least, public, network, vpc, names, prepaid, detail })
    }

    /// All that is wanted, or the most that there can be now and is enough.
    fn as_many_as_there_can_be(&self, asked: &mut Asked<'_>) -> Result<Vec<Command>, ApiError> {
        let Some(least) = self.least else {
            let privates = self.privates(asked, self.most)?;
            return Ok(self.commands(asked, privates));
        };
        let short = match self.attempt(asked, self.most)? {
            Ok(all) => return Ok(all),
            Err(short) => short,
        };
        // Where so many cannot be, more cannot either.
        let (mut found, mut from, mut below) = (None, least, self.most);
        while from < below {
            let count = from.midpoint(below);
            match self.attempt(asked, count)? {
                Ok(commands) => (found, from) = (Some(commands), count + 1),
                Err(_) => below = count,
            }
        }
        let too_few = || ApiError::new("ResourceInsufficient.InsufficientOfferingMinimum", short.message);
        found.ok_or_else(too_few)
    }

    /// What makes so many, or what is short for that.
    fn attempt(&self, asked: &mut Asked<'_>, count: usize) -> Result<Result<Vec<Command>, ApiError>, ApiError> {
        let possible = self.privates(asked, count).and_then(|privates| {
            let commands = self.commands(asked, privates);
            asked.gateway.check(Command::Together(Together::new(commands.clone())))?;
            Ok(commands)
        });
        match possible {
            Err(error) if !SHORTAGES.contains(&error.code.as_ref()) => Err(error),
            possible => Ok(possible),
        }
    }

    /// Private addresses for so many.
    fn privates(&self, asked: &mut Asked<'_>, count: usize) -> Result<Vec<Ipv4Addr>, ApiError> {
        let texts = self.network.texts("PrivateIpAddresses")?;
        if texts.is_empty() {
            return Ok(asked.gateway.private_addresses(&self.vpc, count)?);
        }
        if texts.len() != self.most {
            let message = format!("there are {} PrivateIpAddresses for {} instances", texts.len(), self.most);
            return Err(ApiError::new("InvalidParameterCombination", message));
        }
        let ranges = asked.gateway.private_ranges(&self.vpc);
        let parsed = texts.iter().take(count).map(|text| {
            let malformed =
                |_| ApiError::new("InvalidParameterValue.IPAddressMalformed", format!("{text:?} is no address"));
            let address: Ipv4Addr = text.parse().map_err(malformed)?;
            if !ranges.is_empty() && !ranges.iter().any(|range| range.contains(address)) {
                let message = format!("{address} lies in no range of VPC {}", self.vpc);
                return Err(ApiError::new("VpcAddrNotInSubNet", message));
            }
            Ok(address)
        });
        parsed.collect()
    }

    /// What makes instances of these private addresses.
    fn commands(&self, asked: &mut Asked<'_>, privates: Vec<Ipv4Addr>) -> Vec<Command> {
        let ids = asked.gateway.new_instance_ids(privates.len());
        let create = |((id, private), name): ((InstanceId, Ipv4Addr), &Option<String>)| {
            let detail = InstanceDetail { uuid: Some(Uuid::new_v4().to_string()), ..self.detail.clone() };
            Command::CreateInstance(NewInstance {
                name: name.clone(),
                naming: Naming::Shared,
                bandwidth_mbps: self.public.mbps,
                charge_type: self.public.charge_type,
                package: self.public.package.clone(),
                prepaid: self.prepaid,
                detail: Some(Box::new(detail)),
                ..NewInstance::new(id, asked.account(), self.vpc.clone(), private)
            })
        };
        ids.into_iter().zip(privates).zip(&self.names).map(create).collect()
    }
}

/// How many are wanted, and how many are enough.
fn counts(params: Params<'_>) -> Result<(usize, Option<usize>), ApiError> {
    let most = params.number("InstanceCount")?.unwrap_or(1);
    if !(1..=MOST_INSTANCES).contains(&most) {
        let message = format!("InstanceCount must be 1 to {MOST_INSTANCES}");
        return Err(ApiError::new("InvalidParameterValue.Range", message));
    }
    let least = params.number("MinCount")?;
    if let Some(strange) = least.filter(|least| !(1..=most).contains(least)) {
        let message = format!("MinCount must be 1 to InstanceCount, which is {most}, not {strange}");
        return Err(ApiError::new("InvalidParameterValue.InvalidParameterMinCount", message));
    }
    let count = |count| usize::try_from(count).unwrap_or(1);
    Ok((count(most), least.map(count)))
}

/// What is asked about the Internet.
struct Public {
    mbps: u32,
    charge_type: ChargeType,
    package: Option<PackageId>,
}

impl Public {
    fn asked(internet: Params<'_>, params: Params<'_>) -> Result<Public, ApiError> {
        let package = internet.text("BandwidthPackageId")?;
        let unknown = |_| ApiError::new("InvalidParameterValue.BandwidthPackageIdNotFound", "there is no such package");
        let package: Option<PackageId> = package.map(|text| text.parse()).transpose().map_err(unknown)?;
        let prepaid = params.text("InstanceChargeType")?.as_deref() == Some("PREPAID");
        let charge_type = match internet.text("InternetChargeType")? {
            Some(text) => charge_type(&text)?,
            None if package.is_some() => ChargeType::BandwidthPackage,
            None if prepaid => ChargeType::BandwidthPrepaid,
            None => ChargeType::default(),
        };
        let mbps = bandwidth(internet.number("InternetMaxBandwidthOut")?.unwrap_or(0))?;
        match internet.flag("PublicIpAssigned")? {
            Some(true) if mbps == 0 => {
                let message = "a public address needs an InternetMaxBandwidthOut of at least 1";
                Err(ApiError::new("InvalidParameter.InternetAccessibleNotSupported", message))
            }
            Some(false) => Ok(Public { mbps: 0, charge_type, package }),
            _ => Ok(Public { mbps, charge_type, package }),
        }
    }
}

fn vpc(asked: &Asked<'_>, text: Option<String>) -> Result<VpcId, ApiError> {
    let known = asked.gateway.vpcs();
    let default = || known.iter().find(|vpc| vpc.as_str() == DEFAULT_VPC).or(known.first()).cloned();
    let wanted = text.filter(|text| text != "DEFAULT" && text != DEFAULT_VPC);
    let found = match &wanted {
        Some(text) => known.iter().find(|vpc| vpc.as_str() == text).cloned(),
        None => default(),
    };
    let wanted = wanted.unwrap_or_else(|| DEFAULT_VPC.into());
    found.ok_or_else(|| ApiError::new("InvalidVpcId.NotFound", format!("there is no VPC {wanted:?} here")))
}

fn zone(asked: &Asked<'_>, placement: Params<'_>) -> Result<String, ApiError> {
    let Some(zone) = placement.text("Zone")? else { return Ok(asked.site.zone.clone()) };
    if !zone.starts_with(&asked.site.region) {
        let message = format!("zone {zone:?} is not of the region {}", asked.site.region);
        return Err(ApiError::new("InvalidZone.MismatchRegion", message));
    }
    Ok(zone)
}

fn instance_tags(params: Params<'_>) -> Result<Tags, ApiError> {
    let mut found = Tags::new();
    for specification in params.objects("TagSpecification")? {
        if specification.text("ResourceType")?.is_none_or(|of| of == "instance") {
            found.extend(tags(&specification.objects("Tags")?)?);
        }
    }
    Ok(found)
}

/// User data as it was given, once it is known that the instance can be told it.
pub(super) fn user_data(params: Params<'_>) -> Result<Option<String>, ApiError> {
    let Some(text) = params.text("UserData")? else { return Ok(None) };
    let decoded = STANDARD.decode(&text).map_err(|problem| {
        ApiError::new("InvalidParameterValue.InvalidUserDataFormat", format!("UserData must be base64: {problem}"))
    })?;
    if decoded.len() > MOST_USER_DATA {
        let message = format!("UserData must be at most {MOST_USER_DATA} bytes before base64, not {}", decoded.len());
        return Err(ApiError::new("InvalidParameterValue.LimitExceeded", message));
    }
    Ok(Some(text))
}

fn prepaid(params: Params<'_>) -> Result<Option<Duration>, ApiError> {
    match params.text("InstanceChargeType")?.as_deref() {
        None | Some("POSTPAID_BY_HOUR") => Ok(None),
        Some("PREPAID") => {
            let agreed = params.object("InstanceChargePrepaid")?;
            check_renewal(agreed)?;
            let months = agreed.number("Period")?;
            let months = months.ok_or_else(|| super::params::missing("InstanceChargePrepaid.Period"))?;
            let months = u32::try_from(months).ok().filter(|months| (1..=60).contains(months));
            let months = months.ok_or_else(|| ApiError::new("InvalidPeriod", "Period must be 1 to 60 months"))?;
            Ok(Some(MONTH * months))
        }
        Some(other) => {
            let message = format!("InstanceChargeType {other:?} is not offered here: PREPAID or POSTPAID_BY_HOUR");
            Err(ApiError::new("UnsupportedOperation.InstanceChargeType", message))
        }
    }
}

/// Refuses to promise what will not happen: what is not renewed by its owner goes to the recycle bin at its end.
fn check_renewal(agreed: Params<'_>) -> Result<(), ApiError> {
    let offered = Renewal::Manual.as_str();
    match agreed.text("RenewFlag")?.filter(|flag| flag != offered) {
        Some(other) => {
            let message = format!("RenewFlag {other:?} is not offered here: {offered}");
            Err(ApiError::new("InvalidParameterValue", message))
        }
        None => Ok(()),
    }
}

/// `web{R:3}` counts from 3 on; a name without a pattern is given a number behind where there are several.
fn names(name: Option<String>, count: usize) -> Vec<Option<String>> {
    let Some(name) = name else { return vec![None; count] };
    let pattern = name.split_once("{R:").and_then(|(before, rest)| {
        let (first, after) = rest.split_once('}')?;
        Some((before.to_owned(), first.parse::<u64>().ok()?, after.to_owned()))
    });
    let one = |index: u64| match &pattern {
        Some((before, first, after)) => format!("{before}{}{after}", first.saturating_add(index)),
        None if count > 1 => format!("{name}{}", index + 1),
        None => name.clone(),
    };
    (0..count as u64).map(|index| Some(one(index))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_instances_get_numbers() {
        let texts = |name: &str, count| names(Some(name.into()), count).into_iter().flatten().collect::<Vec<_>>();
        assert_eq!(texts("web", 1), ["web"]);
        assert_eq!(texts("web_", 2), ["web_1", "web_2"]);
        assert_eq!(texts("a{R:9}b", 2), ["a9b", "a10b"]);
        assert_eq!(names(None, 2), [None, None]);
    }
}
