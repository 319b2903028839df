//! Instances told of: DescribeInstances, DescribeInstancesStatus, DescribeInstancesAttributes.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::super::error::ApiError;
use super::Site;
use super::asked::{Answer, Asked, fields, instance_id, iso, list};
use super::page::{Dialect, Filters, Page};
use super::walk::Lists;
use crate::address::{AccountId, Billing, Instance, InstanceId, InstanceState, Ledger, Renewal, StopMode, Tags, Time};

const DIALECT: Dialect = Dialect {
    names: &[
        "zone",
        "project-id",
        "vpc-id",
        "subnet-id",
        "instance-id",
        "uuid",
        "security-group-id",
        "instance-name",
        "instance-charge-type",
        "instance-state",
        "private-ip-address",
        "public-ip-address",
        "ipv6-address",
        "creation-start-time",
        "creation-end-time",
        "host-id",
        "dedicated-cluster-id",
    ],
    most_values: 5,
    unknown: "InvalidFilter",
    too_many: "InvalidFilterValue.LimitExceeded",
};

pub(super) fn describe(asked: &mut Asked<'_>) -> Answer {
    let filters = Filters::of(asked.params, &DIALECT)?;
    let page = Page::of(asked.params)?;
    let ids = ids(asked)?;
    if !ids.is_empty() && !filters.is_empty() {
        return Err(ApiError::new("InvalidParameter", "give InstanceIds or Filters, not both"));
    }
    let (total, rows) = find(asked, &ids, &filters, page, row);
    Ok(list(total, "InstanceSet", rows))
}

pub(super) fn statuses(asked: &mut Asked<'_>) -> Answer {
    let (page, ids) = (Page::of(asked.params)?, ids(asked)?);
    let row = |_: &Ledger, instance: &Instance, _: &Site| json!({ "InstanceId": instance.id.as_str(), "InstanceState": state(instance) });
    let (total, rows) = find(asked, &ids, &Filters::default(), page, row);
    Ok(list(total, "InstanceStatusSet", rows))
}

/// Of the attributes there is only the user data, which is all that clients ask for.
pub(super) fn attributes(asked: &mut Asked<'_>) -> Answer {
    let wanted = asked.params.needed_texts("Attributes")?;
    let rows = asked.instances("InstanceIds")?.into_iter().map(|id| {
        let user_data = asked.ledger().instance(&id).and_then(Instance::user_data);
        let user_data = user_data.filter(|_| wanted.iter().any(|name| name == "UserData")).unwrap_or_default();
        json!({ "InstanceId": id.as_str(), "Attributes": { "UserData": user_data } })
    });
    Ok(fields(json!({ "InstanceSet": rows.collect::<Vec<_>>() })))
}

fn ids(asked: &Asked<'_>) -> Result<Vec<InstanceId>, ApiError> {
    let texts = asked.params.texts("InstanceIds")?;
    if texts.len() > 100 {
        return Err(ApiError::new(
            "InvalidParameterValue.LimitExceeded",
            "InstanceIds must name at most 100 instances",
        ));
    }
    texts.iter().map(|text| instance_id(text)).collect()
}

fn find(
    asked: &mut Asked<'_>,
    ids: &[InstanceId],
    filters: &Filters,
    page: Page,
    show: fn(&Ledger, &Instance, &Site) -> Value,
) -> (usize, Vec<Value>) {
    let (ledger, account, site) = (asked.gateway.ledger(), &asked.call.account, asked.site);
    let names = filters.values("instance-name");
    let names = names.map(|names| names.iter().map(String::as_str).collect::<BTreeSet<_>>());
    let names = names.map(|names| names.into_iter().collect());
    let search = Search { ledger, account, site, filters, names, show };
    let show = |shown: Vec<&Instance>| shown.into_iter().map(|instance| search.show(instance)).collect();
    if let Some(mut likely) = likely(ledger, ids, filters) {
        asked.walk.look_at(likely.len());
        likely.sort_by(|one, other| one.id.cmp(&other.id));
        likely.dedup_by(|one, other| one.id == other.id);
        let (total, shown) = page.cut(likely.into_iter().filter(|instance| search.fits(instance)));
        return (total, show(shown));
    }
    if filters.is_empty() {
        let shown: Vec<&Instance> = ledger.instances_from(account, page.offset).take(page.limit).collect();
        asked.walk.look_at(shown.len());
        return (ledger.instance_count(account), show(shown));
    }
    asked.walk.go_on(page, &search)
}

/// What is looked for: among all instances, or those of some names.
struct Search<'a> {
    ledger: &'a Ledger,
    account: &'a AccountId,
    site: &'a Site,
    filters: &'a Filters,
    names: Option<Vec<&'a str>>,
    show: fn(&Ledger, &Instance, &Site) -> Value,
}

impl Lists for Search<'_> {
    type Row<'a>
        = &'a Instance
    where
        Self: 'a;

    fn count(&self) -> usize {
        self.names.as_ref().map_or(1, Vec::len)
    }

    fn behind<'a>(&'a self, list: usize, id: Option<&str>) -> Box<dyn Iterator<Item = &'a Instance> + 'a> {
        let Some(names) = &self.names else { return Box::new(self.ledger.instances_behind(self.account, id)) };
        let id = id.and_then(|id| id.parse().ok());
        Box::new(self.ledger.instances_named_behind(self.account, names[list], id.as_ref()))
    }

    fn id<'a>(&'a self, row: &'a Instance) -> &'a str {
        row.id.as_str()
    }

    fn fits(&self, row: &Instance) -> bool {
        let none = Tags::new();
        let tags = row.detail.as_ref().map_or(&none, |detail| &detail.tags);
        let has_one =
            |name: &str, values: &[String]| values.iter().any(|value| has(self.ledger, row, self.site, name, value));
        row.account == *self.account && self.filters.hold(tags, has_one)
    }

    fn show(&self, row: &Instance) -> Value {
        (self.show)(self.ledger, row, self.site)
    }
}

/// All that can fit and few that do not, where an index knows; else a list has to be walked.
fn likely<'a>(ledger: &'a Ledger, ids: &[InstanceId], filters: &Filters) -> Option<Vec<&'a Instance>> {
    if !ids.is_empty() {
        return Some(ids.iter().filter_map(|id| ledger.instance(id)).collect());
    }
    let addresses = |texts: &[String]| texts.iter().filter_map(|text| text.parse().ok()).collect::<Vec<Ipv4Addr>>();
    if let Some(ids) = filters.values("instance-id") {
        return Some(ids.iter().filter_map(|id| ledger.instance(&id.parse().ok()?)).collect());
    }
    if let Some(texts) = filters.values("public-ip-address") {
        return Some(addresses(texts).into_iter().filter_map(|address| ledger.served_by(address)).collect());
    }
    let texts = filters.values("private-ip-address")?;
    Some(addresses(texts).into_iter().flat_map(|address| ledger.instances_at(address)).collect())
}

fn has(ledger: &Ledger, instance: &Instance, site: &Site, name: &str, value: &str) -> bool {
    match name {
        "instance-id" => instance.id.as_str() == value,
        "instance-name" => instance.name.as_deref() == Some(value),
        "private-ip-address" => instance.private.to_string() == value,
        "public-ip-address" => {
            ledger.association_of(&instance.id).is_some_and(|association| association.public.to_string() == value)
        }
        "vpc-id" => instance.vpc.as_str() == value,
        "instance-state" => state(instance) == value,
        "instance-charge-type" => billing(instance) == value,
        "zone" => instance.zone().unwrap_or(&site.zone) == value,
        "subnet-id" => instance.subnet() == value,
        "uuid" => instance.uuid() == Some(value),
        "security-group-id" => instance.security_groups().iter().any(|group| group == value),
        "project-id" => value == "0",
        "creation-start-time" => moment(value).is_some_and(|moment| instance.created >= moment),
        "creation-end-time" => moment(value).is_some_and(|moment| instance.created <= moment),
        // There are no IPv6 addresses and no hosts to tell of.
        _ => false,
    }
}

fn moment(text: &str) -> Option<Time> {
    let moment = text.parse::<jiff::Timestamp>().ok()?.as_millisecond();
    u64::try_from(moment).ok().map(Time)
}

pub(super) fn state(instance: &Instance) -> &'static str {
    match instance.state {
        InstanceState::Pending => "PENDING",
        InstanceState::Running => "RUNNING",
        InstanceState::Stopped(_) => "STOPPED",
        InstanceState::Shutdown => "SHUTDOWN",
    }
}

fn billing(instance: &Instance) -> &'static str {
    match instance.billing {
        Billing::Prepaid { .. } => "PREPAID",
        Billing::Postpaid => "POSTPAID_BY_HOUR",
    }
}

/// The network card of an instance, which has one.
pub(super) fn card_of(instance: &InstanceId) -> String {
    let id = instance.as_str();
    format!("eni-{}", id.strip_prefix("ins-").unwrap_or(id))
}

pub(super) fn tag_set(tags: &Tags) -> Vec<Value> {
    tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect()
}

fn row(ledger: &Ledger, instance: &Instance, site: &Site) -> Value {
    let detail = instance.detail();
    let public = ledger.association_of(&instance.id).map(|association| vec![association.public.to_string()]);
    let disk = instance.id.as_str().strip_prefix("ins-").unwrap_or_default();
    let expires = match instance.billing {
        Billing::Prepaid { until } => Some(iso(until)),
        Billing::Postpaid => None,
    };
    let operation = detail
        .operation
        .unwrap_or_else(|| crate::address::Operation { name: "RunInstances".into(), request: String::new() });
    json!({
        "Placement": { "Zone": instance.zone().unwrap_or(&site.zone), "ProjectId": 0, "HostId": null },
        "InstanceId": instance.id.as_str(),
        "InstanceName": instance.name.as_deref().unwrap_or("Unnamed"),
        "InstanceType": instance.instance_type(),
        "CPU": 2,
        "Memory": 2,
        "RestrictState": "NORMAL",
        "InstanceChargeType": billing(instance),
        "SystemDisk": { "DiskType": "CLOUD_PREMIUM", "DiskId": format!("disk-{disk}"), "DiskSize": 50 },
        "DataDisks": [],
        "PrivateIpAddresses": [instance.private.to_string()],
        "PublicIpAddresses": public,
        "InternetAccessible": {
            "InternetChargeType": instance.charge_type.as_str(),
            "InternetMaxBandwidthOut": instance.bandwidth_mbps,
            "PublicIpAssigned": instance.ordinary.is_some(),
            "BandwidthPackageId": instance.package.as_ref().map(|package| package.as_str()),
        },
        "VirtualPrivateCloud": {
            "VpcId": instance.vpc.as_str(),
            "SubnetId": instance.subnet(),
            "AsVpcGateway": false,
        },
        "ImageId": instance.image(),
        "OsName": "Linux",
        "RenewFlag": expires.as_ref().map(|_| Renewal::Manual.as_str()),
        "CreatedTime": iso(instance.created),
        "ExpiredTime": expires,
        "SecurityGroupIds": instance.security_groups(),
        // Terraform follows it without looking whether it is there.
        "LoginSettings": {},
        "InstanceState": state(instance),
        "Tags": tag_set(&detail.tags),
        "StopChargingMode": match instance.state {
            InstanceState::Stopped(StopMode::StopCharging) => "STOP_CHARGING",
            InstanceState::Stopped(StopMode::KeepCharging) => "KEEP_CHARGING",
            _ => "NOT_APPLICABLE",
        },
        "Uuid": instance.uuid(),
        "HostName": detail.host_name,
        "LatestOperation": operation.name,
        "LatestOperationState": "SUCCESS",
        "LatestOperationRequestId": operation.request,
        "DisableApiTermination": detail.protected,
        "IPv6Addresses": null,
        "PublicIPv6Addresses": null,
        "DefaultLoginUser": "root",
        "DefaultLoginPort": 22,
        "CamRoleName": "",
        "RdmaIpAddresses": [],
    })
}
