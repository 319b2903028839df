//! RunInstances.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::super::error::ApiError;
use super::asked::{Answer, Asked, charge_type, fields, most_mbps};
use super::page::tags;
use super::params::Params;
use crate::address::{
    ChargeType, Command, InstanceDetail, Naming, NewInstance, Operation, PackageId, Tags, Together, VpcId,
};
use crate::config::DEFAULT_VPC;

const MOST_INSTANCES: i64 = 500;
/// In base64, what 16 KB of it make.
const MOST_USER_DATA: usize = 21_848;
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

pub(super) fn run(asked: &mut Asked<'_>) -> Answer {
    run_all(asked).map_err(|error| {
        error.instead_of("ResourceInsufficient", "ResourcesSoldOut.EipInsufficient").instead_of(
            "InvalidParameterValue.BandwidthPackageNotFound",
            "InvalidParameterValue.BandwidthPackageIdNotFound",
        )
    })
}

fn run_all(asked: &mut Asked<'_>) -> Answer {
    let params = asked.params;
    let image = params.needed_text("ImageId")?;
    let count = count(params)?;
    let public = Public::asked(params.object("InternetAccessible")?, params)?;
    let network = params.object("VirtualPrivateCloud")?;
    let vpc = vpc(asked, network.text("VpcId")?)?;
    let zone = zone(asked, params.object("Placement")?)?;
    let token = asked.retry()?;
    let repeated = token.as_ref().is_some_and(|retry| asked.ledger().made_with(&retry.account, &retry.token).is_some());
    // Asked again, it makes nothing, so nothing needs to be free.
    let privates = if repeated { vec![Ipv4Addr::UNSPECIFIED; count] } else { privates(asked, network, &vpc, count)? };
    let detail = InstanceDetail {
        zone: Some(zone),
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
    let names = names(params.text("InstanceName")?, count);
    let prepaid = prepaid(params)?;
    let mut commands = Vec::with_capacity(count);
    for ((id, private), name) in asked.gateway.new_instance_ids(count).into_iter().zip(privates).zip(names) {
        commands.push(Command::CreateInstance(NewInstance {
            name,
            naming: Naming::Shared,
            bandwidth_mbps: public.mbps,
            charge_type: public.charge_type,
            package: public.package.clone(),
            prepaid,
            detail: Some(Box::new(InstanceDetail { uuid: Some(Uuid::new_v4().to_string()), ..detail.clone() })),
            ..NewInstance::new(id, asked.account(), vpc.clone(), private)
        }));
    }
    let made: Vec<String> = commands
        .iter()
        .filter_map(|command| match command {
            Command::CreateInstance(new) => Some(new.id.to_string()),
            _ => None,
        })
        .collect();
    let together = Command::Together(Together { commands, token: token.clone() });
    if params.flag("DryRun")?.unwrap_or_default() {
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

fn count(params: Params<'_>) -> Result<usize, ApiError> {
    let count = params.number("InstanceCount")?.unwrap_or(1);
    if !(1..=MOST_INSTANCES).contains(&count) {
        let message = format!("InstanceCount must be 1 to {MOST_INSTANCES}");
        return Err(ApiError::new("InvalidParameterValue.Range", message));
    }
    Ok(usize::try_from(count).unwrap_or(1))
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
        let mbps = internet.number("InternetMaxBandwidthOut")?.unwrap_or(0);
        let most = most_mbps(charge_type);
        let range = || {
            let message = format!("InternetMaxBandwidthOut must be 0 to {most} where it is charged as {charge_type}");
            ApiError::new("InvalidParameterValue.Range", message)
        };
        let mbps = u32::try_from(mbps).ok().filter(|mbps| *mbps <= most).ok_or_else(range)?;
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

fn privates(asked: &mut Asked<'_>, network: Params<'_>, vpc: &VpcId, count: usize) -> Result<Vec<Ipv4Addr>, ApiError> {
    let texts = network.texts("PrivateIpAddresses")?;
    if texts.is_empty() {
        return Ok(asked.gateway.private_addresses(vpc, count)?);
    }
    if texts.len() != count {
        let message = format!("there are {} PrivateIpAddresses for {count} instances", texts.len());
        return Err(ApiError::new("InvalidParameterCombination", message));
    }
    let ranges = asked.gateway.private_ranges(vpc);
    let parsed = texts.iter().map(|text| {
        let malformed =
            |_| ApiError::new("InvalidParameterValue.IPAddressMalformed", format!("{text:?} is no address"));
        let address: Ipv4Addr = text.parse().map_err(malformed)?;
        if !ranges.is_empty() && !ranges.iter().any(|range| range.contains(address)) {
            let message = format!("{address} lies in no range of VPC {vpc}");
            return Err(ApiError::new("VpcAddrNotInSubNet", message));
        }
        Ok(address)
    });
    parsed.collect()
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

fn user_data(params: Params<'_>) -> Result<Option<String>, ApiError> {
    let text = params.text("UserData")?;
    if text.as_ref().is_some_and(|text| text.len() > MOST_USER_DATA) {
        return Err(ApiError::new(
            "InvalidParameterValue.LimitExceeded",
            "UserData must be at most 16 KB before base64",
        ));
    }
    Ok(text)
}

fn prepaid(params: Params<'_>) -> Result<Option<Duration>, ApiError> {
    match params.text("InstanceChargeType")?.as_deref() {
        None | Some("POSTPAID_BY_HOUR") => Ok(None),
        Some("PREPAID") => {
            let months = params.object("InstanceChargePrepaid")?.number("Period")?;
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
