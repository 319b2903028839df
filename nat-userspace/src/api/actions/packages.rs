//! Bandwidth packages.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::super::error::ApiError;
use super::asked::{Answer, Asked, EGRESS, fields, iso, list};
use super::instances::tag_set;
use super::page::{Dialect, Filters, Page, tags};
use super::walk::Lists;
use crate::address::{
    AccountId, Command, Ledger, Member, Package, PackageChanges, PackageDetail, PackageId, Tags, Time,
};

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
/// Members that a package's own row shows; DescribeBandwidthPackageResources pages through them all.
const MEMBERS_SHOWN: usize = 100;

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
    let (ledger, account) = (asked.gateway.ledger(), &asked.call.account);
    let search = Search { ledger, account, filters: &filters };
    let (total, rows) = if let Some(mut likely) = likely(ledger, account, &ids, &filters) {
        asked.walk.look_at(likely.len());
        likely.sort_by(|one, other| one.id.cmp(&other.id));
        likely.dedup_by(|one, other| one.id == other.id);
        let (total, shown) = page.cut(likely.into_iter().filter(|package| search.fits(package)));
        (total, shown.into_iter().map(|package| row(ledger, package)).collect())
    } else if filters.is_empty() {
        let shown: Vec<Value> =
            ledger.packages_from(account, page.offset).take(page.limit).map(|package| row(ledger, package)).collect();
        asked.walk.look_at(shown.len());
        (ledger.package_count(account), shown)
    } else {
        asked.walk.go_on(page, &search)
    };
    Ok(list(total, "BandwidthPackageSet", rows))
}

/// All that can fit and few that do not, where an index knows; else the account's list has to be walked.
fn likely<'a>(ledger: &'a Ledger, account: &AccountId, ids: &[String], filters: &Filters) -> Option<Vec<&'a Package>> {
    let packages = |ids: &[String]| ids.iter().filter_map(|id| ledger.find_package(account, id).ok()).collect();
    if !ids.is_empty() {
        return Some(packages(ids));
    }
    let named = filters.values("bandwidth-package-id").or_else(|| filters.values("bandwidth-package_id"));
    if let Some(ids) = named {
        return Some(packages(ids));
    }
    let members = filters.values("resource.resource-id").or_else(|| filters.values("resource.address-ip"))?;
    Some(members.iter().filter_map(|text| shared_by(ledger, account, text)).collect())
}

/// The package that the account's EIP or instance of this id or address is in.
fn shared_by<'a>(ledger: &'a Ledger, account: &AccountId, text: &str) -> Option<&'a Package> {
    let package = match ledger.find_member(account, text).ok()? {
        Member::Eip(id) => ledger.eip(&id)?.terms.package.as_ref(),
        Member::Instance(id) => ledger.instance(&id)?.package.as_ref(),
    };
    ledger.package(package?)
}

/// What is looked for among the account's packages.
struct Search<'a> {
    ledger: &'a Ledger,
    account: &'a AccountId,
    filters: &'a Filters,
}

impl Lists for Search<'_> {
    type Row<'a>
        = &'a Package
    where
        Self: 'a;

    fn count(&self) -> usize {
        1
    }

    fn behind<'a>(&'a self, _: usize, id: Option<&str>) -> Box<dyn Iterator<Item = &'a Package> + 'a> {
        Box::new(self.ledger.packages_behind(self.account, id))
    }

    fn id<'a>(&'a self, row: &'a Package) -> &'a str {
        row.id.as_str()
    }

    fn fits(&self, row: &Package) -> bool {
        let none = Tags::new();
        let tags = row.detail.as_ref().map_or(&none, |detail| &detail.tags);
        self.filters
            .hold(tags, |name, values| values.iter().any(|value| has(self.ledger, self.account, row, name, value)))
    }

    fn show(&self, package: &Package) -> Value {
        row(self.ledger, package)
    }
}

pub(super) fn resources(asked: &mut Asked<'_>) -> Answer {
    let (page, package) = (Page::of(asked.params)?, named(asked)?);
    let (ledger, mut rows) = (asked.gateway.ledger(), Vec::new());
    rows.extend(ledger.members_from(&package, page.offset).take(page.limit).map(|member| resource(ledger, member)));
    asked.walk.look_at(rows.len());
    Ok(fields(json!({ "TotalCount": ledger.member_count(&package), "ResourceSet": rows })))
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

fn has(ledger: &Ledger, account: &AccountId, package: &Package, name: &str, value: &str) -> bool {
    match name {
        "bandwidth-package-id" | "bandwidth-package_id" => package.id.as_str() == value,
        "bandwidth-package-name" => package.name.as_deref() == Some(value),
        "network-type" => network(package) == value,
        "charge-type" => charge(package) == value,
        "resource.resource-id" | "resource.address-ip" => {
            let is_address = value.parse::<Ipv4Addr>().is_ok();
            is_address == (name == "resource.address-ip")
                && shared_by(ledger, account, value).is_some_and(|shared| shared.id == package.id)
        }
        "resource.resource-type" => value == "Address" && ledger.member_count(&package.id) > 0,
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
    let members = ledger.members_from(&package.id, 0).take(MEMBERS_SHOWN);
    let members: Vec<Value> = members.map(|member| resource(ledger, member)).collect();
    json!({
        "BandwidthPackageId": package.id.as_str(),
        "BandwidthPackageName": package.name.as_deref().unwrap_or_default(),
        "NetworkType": network(package),
        "ChargeType": charge(package),
        "CreatedTime": iso(package.created),
        "Status": "CREATED",
        "ResourceSet": members,
        "Bandwidth": package.bandwidth_mbps.map_or(-1, i64::from),
        "Egress": EGRESS,
        "Deadline": null,
        "TagSet": tag_set(tags),
    })
}
