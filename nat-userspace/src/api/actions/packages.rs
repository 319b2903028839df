//! Bandwidth packages.

use serde_json::{Value, json};

use super::super::error::ApiError;
use super::asked::{Answer, Asked, fields, iso};
use super::instances::tag_set;
use super::page::{Dialect, Filters, Page, tags};
use crate::address::{Command, Ledger, Member, Package, PackageChanges, PackageDetail, PackageId, Tags, Time};

const DIALECT: Dialect = Dialect {
    names: &[
        "bandwidth-package-id",
        "bandwidth-package_id",
        "bandwidth-package-name",
        "network-type",
        "charge-type",
        "resource.resource-type",
        "resource.resource-id",
        "resource.address-ip",
    ],
    most_values: 100,
    unknown: "InvalidParameter.InvalidFilter",
    too_many: "InvalidParameterValue.LimitExceeded",
};
const NETWORKS: [&str; 6] =
    ["BGP", "HIGH_QUALITY_BGP", "ANYCAST", "SINGLEISP_CMCC", "SINGLEISP_CTCC", "SINGLEISP_CUCC"];
const CHARGES: [&str; 6] = [
    "ENHANCED95_POSTPAID_BY_MONTH",
    "PRIMARY_TRAFFIC_POSTPAID_BY_HOUR",
    "BANDWIDTH_POSTPAID_BY_DAY",
    "FIXED_PREPAID_BY_MONTH",
    "PEAK_BANDWIDTH_POSTPAID_BY_DAY",
    "TOP5_POSTPAID_BY_MONTH",
];
const MOST_PACKAGES: i64 = 20;

pub(super) fn create(asked: &mut Asked<'_>) -> Answer {
    let params = asked.params;
    let count = params.number("BandwidthPackageCount")?.unwrap_or(1);
    if !(1..=MOST_PACKAGES).contains(&count) {
        let message = format!("BandwidthPackageCount must be 1 to {MOST_PACKAGES}");
        return Err(ApiError::new("InvalidParameterValue.Range", message));
    }
    let network = one_of("NetworkType", params.text("NetworkType")?, &NETWORKS)?;
    let charge = one_of("ChargeType", params.text("ChargeType")?, &CHARGES)?;
    let bandwidth_mbps = limit(params.number("InternetMaxBandwidth")?.unwrap_or(-1))?;
    let detail = PackageDetail { network, charge, tags: tags(&params.objects("Tags")?)? };
    let name = params.text("BandwidthPackageName")?;
    let (mut ids, mut commands) = (Vec::<PackageId>::new(), Vec::new());
    while (ids.len() as i64) < count {
        let id = asked.gateway.new_package_id();
        if ids.contains(&id) {
            continue;
        }
        commands.push(Command::CreatePackage(Package {
            id: id.clone(),
            account: asked.account(),
            name: name.clone(),
            bandwidth_mbps,
            created: Time::default(),
            detail: Some(Box::new(detail.clone())).filter(|detail| **detail != PackageDetail::default()),
        }));
        ids.push(id);
    }
    asked.perform_all(commands)?;
    let ids: Vec<&str> = ids.iter().map(PackageId::as_str).collect();
    Ok(fields(json!({ "BandwidthPackageId": ids[0], "BandwidthPackageIds": ids, "TotalCount": ids.len() })))
}

fn one_of(what: &str, text: Option<String>, known: &[&str]) -> Result<Option<String>, ApiError> {
    match text {
        Some(text) if !known.contains(&text.as_str()) => {
            let message = format!("{what} {text:?} is not one of {}", known.join(", "));
            Err(ApiError::new("InvalidParameterValue", message))
        }
        text => Ok(text),
    }
}

fn limit(mbps: i64) -> Result<Option<u32>, ApiError> {
    match mbps {
        -1 => Ok(None),
        mbps => {
            let mbps = u32::try_from(mbps).ok().filter(|mbps| *mbps > 0);
            let problem = || {
                ApiError::new(
                    "InvalidParameterValue.BandwidthOutOfRange",
                    "a package has at least 1 Mbit/s, or -1 for no limit",
                )
            };
            mbps.map(Some).ok_or_else(problem)
        }
    }
}

fn named(asked: &Asked<'_>) -> Result<PackageId, ApiError> {
    asked.package(&asked.params.needed_text("BandwidthPackageId")?)
}

pub(super) fn delete(asked: &mut Asked<'_>) -> Answer {
    let (account, package) = (asked.account(), named(asked)?);
    asked.perform(Command::DeletePackage { account, package })?;
    Ok(fields(json!({})))
}

pub(super) fn set_bandwidth(asked: &mut Asked<'_>) -> Answer {
    let mbps = asked.params.number("InternetMaxBandwidth")?;
    let mbps = limit(mbps.ok_or_else(|| super::params::missing("InternetMaxBandwidth"))?)?;
    modify(asked, PackageChanges { bandwidth_mbps: Some(mbps), ..PackageChanges::default() })
}

pub(super) fn rename(asked: &mut Asked<'_>) -> Answer {
    let name = asked.params.text("BandwidthPackageName")?;
    let charge = one_of("ChargeType", asked.params.text("ChargeType")?, &CHARGES)?;
    modify(asked, PackageChanges { name, charge, ..PackageChanges::default() })
}

fn modify(asked: &mut Asked<'_>, changes: PackageChanges) -> Answer {
    let (account, package) = (asked.account(), named(asked)?);
    asked.perform(Command::ModifyPackage { account, package, changes })?;
    Ok(fields(json!({})))
}

pub(super) fn add(asked: &mut Asked<'_>) -> Answer {
    let (account, package) = (asked.account(), named(asked)?);
    let add = |member| Command::AddMember { account: account.clone(), package: package.clone(), member };
    let commands = members(asked)?.into_iter().map(add).collect();
    asked.perform_all(commands)?;
    Ok(fields(json!({})))
}

pub(super) fn remove(asked: &mut Asked<'_>) -> Answer {
    let (account, package) = (asked.account(), named(asked)?);
    let remove = |member| Command::RemoveMember { account: account.clone(), package: package.clone(), member };
    let commands = members(asked)?.into_iter().map(remove).collect();
    asked.perform_all(commands)?;
    Ok(fields(json!({})))
}

fn members(asked: &Asked<'_>) -> Result<Vec<Member>, ApiError> {
    let ids = asked.params.needed_texts("ResourceIds")?;
    ids.iter().map(|id| Ok(asked.ledger().find_member(&asked.call.account, id)?)).collect()
}

pub(super) fn describe(asked: &mut Asked<'_>) -> Answer {
    let filters = Filters::of(asked.params, &DIALECT)?;
    let page = Page::of(asked.params)?;
    let ids = asked.params.texts("BandwidthPackageIds")?;
    let (ledger, account) = (asked.ledger(), &asked.call.account);
    let none = Tags::new();
    let fits = |package: &&Package| {
        let tags = package.detail.as_ref().map_or(&none, |detail| &detail.tags);
        let wanted = ids.is_empty() || ids.iter().any(|id| package.id.as_str() == id);
        wanted && filters.hold(tags, |name, value| has(ledger, package, name, value))
    };
    let (total, shown) = page.cut(ledger.packages_from(account, 0).filter(fits));
    let rows: Vec<Value> = shown.into_iter().map(|package| row(ledger, package)).collect();
    Ok(fields(json!({ "TotalCount": total, "BandwidthPackageSet": rows })))
}

pub(super) fn resources(asked: &mut Asked<'_>) -> Answer {
    let (page, package) = (Page::of(asked.params)?, named(asked)?);
    let (total, shown) = page.cut(asked.ledger().members(&package));
    let rows: Vec<Value> = shown.into_iter().map(|member| resource(asked.ledger(), member)).collect();
    Ok(fields(json!({ "TotalCount": total, "ResourceSet": rows })))
}

pub(super) fn quota(asked: &mut Asked<'_>) -> Answer {
    let used = asked.ledger().package_count(&asked.call.account);
    let row = json!({ "QuotaId": "TOTAL_BANDWIDTHPKG_QUOTA", "QuotaCurrent": used, "QuotaLimit": 1_000_000 });
    Ok(fields(json!({ "QuotaSet": [row] })))
}

/// Nothing is billed yet.
pub(super) fn bill(asked: &mut Asked<'_>) -> Answer {
    named(asked)?;
    Ok(fields(json!({ "BandwidthPackageBillBandwidthSet": [{ "BandwidthUsage": 0 }] })))
}

fn has(ledger: &Ledger, package: &Package, name: &str, value: &str) -> bool {
    let any = |key: &str| {
        let is_it = |member: &Member| resource(ledger, member)[key].as_str() == Some(value);
        ledger.members(&package.id).any(is_it)
    };
    match name {
        "bandwidth-package-id" | "bandwidth-package_id" => package.id.as_str() == value,
        "bandwidth-package-name" => package.name.as_deref() == Some(value),
        "network-type" => network(package) == value,
        "charge-type" => charge(package) == value,
        "resource.resource-id" => any("ResourceId"),
        "resource.address-ip" => any("AddressIp"),
        "resource.resource-type" => any("ResourceType"),
        _ => false,
    }
}

fn network(package: &Package) -> &str {
    package.detail.as_ref().and_then(|detail| detail.network.as_deref()).unwrap_or("BGP")
}

fn charge(package: &Package) -> &str {
    package.detail.as_ref().and_then(|detail| detail.charge.as_deref()).unwrap_or("ENHANCED95_POSTPAID_BY_MONTH")
}

fn resource(ledger: &Ledger, member: &Member) -> Value {
    match member {
        Member::Eip(id) => {
            let address = ledger.eip(id).map(|eip| eip.address.to_string());
            json!({ "ResourceType": "Address", "ResourceId": id.as_str(), "AddressIp": address })
        }
        Member::Instance(id) => {
            let address = ledger.instance(id).and_then(|instance| instance.ordinary).map(|address| address.to_string());
            json!({ "ResourceType": "Address", "ResourceId": id.as_str(), "AddressIp": address })
        }
    }
}

fn row(ledger: &Ledger, package: &Package) -> Value {
    let none = Tags::new();
    let tags = package.detail.as_ref().map_or(&none, |detail| &detail.tags);
    let members: Vec<Value> = ledger.members(&package.id).map(|member| resource(ledger, member)).collect();
    json!({
        "BandwidthPackageId": package.id.as_str(),
        "BandwidthPackageName": package.name.as_deref().unwrap_or_default(),
        "NetworkType": network(package),
        "ChargeType": charge(package),
        "CreatedTime": iso(package.created),
        "Status": "CREATED",
        "ResourceSet": members,
        "Bandwidth": package.bandwidth_mbps.map_or(-1, i64::from),
        "Egress": "center_egress1",
        "Deadline": null,
        "TagSet": tag_set(tags),
    })
}
