//! Public addresses told of: DescribeAddresses, DescribeAddressQuota, DescribeAddressBandwidthRange.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::super::error::ApiError;
use super::asked::{Answer, Asked, eip_id, fields, iso, most_mbps};
use super::instances::{card_of, tag_set};
use super::page::{Dialect, Filters, Page};
use crate::address::{
    AccountId, ChargeType, Daily, Eip, EipDetail, EipId, Holder, Instance, Ledger, PackageId, Tags, Time,
};

const DIALECT: Dialect = Dialect {
    names: &[
        "address-id",
        "address-name",
        "address-ip",
        "address-status",
        "instance-id",
        "private-ip-address",
        "network-interface-id",
        "is-arrears",
        "instance-type",
        "address-type",
        "address-isp",
        "address-egress",
        "dedicated-cluster-id",
        // Sent by Terraform after a release, documented nowhere.
        "business-type",
    ],
    most_values: 100,
    unknown: "InvalidParameter.InvalidFilter",
    too_many: "InvalidParameterValue.LimitExceeded",
};

/// A row of the list: an EIP, or the ordinary public IP of an instance.
#[derive(Clone, Copy)]
enum Shown<'a> {
    Eip(&'a Eip),
    Ordinary(&'a Instance, Ipv4Addr),
}

pub(super) fn describe(asked: &mut Asked<'_>) -> Answer {
    let filters = Filters::of(asked.params, &DIALECT)?;
    let page = Page::of(asked.params)?;
    let texts = asked.params.texts("AddressIds")?;
    if texts.len() > 100 {
        return Err(ApiError::new("InvalidParameterValue.LimitExceeded", "AddressIds must name at most 100 addresses"));
    }
    let ids = texts.iter().map(|text| eip_id(text)).collect::<Result<Vec<EipId>, _>>()?;
    if !ids.is_empty() && filters.values("address-id").is_some() {
        let message = "give AddressIds or the filter address-id, not both";
        return Err(ApiError::new("InvalidParameterConflict", message));
    }
    let ledger = asked.ledger();
    let (total, shown) = find(ledger, &asked.call.account, &ids, &filters, page);
    let rows: Vec<Value> = shown.into_iter().map(|shown| row(ledger, shown)).collect();
    Ok(fields(json!({ "TotalCount": total, "AddressSet": rows })))
}

fn find<'a>(
    ledger: &'a Ledger,
    account: &AccountId,
    ids: &[EipId],
    filters: &Filters,
    page: Page,
) -> (usize, Vec<Shown<'a>>) {
    // Pages of what an index lists are cut out of it; of the rest, everything is looked at.
    let cut = |total: usize, rows: &mut dyn Iterator<Item = Shown<'a>>| (total, rows.take(page.limit).collect());
    let ordinary = |instance: &'a Instance| Some(Shown::Ordinary(instance, instance.ordinary?));
    if ids.is_empty() {
        let all = filters.is_empty() || filters.only("address-type").is_some_and(|types| types == ["EIP"]);
        if all {
            let total = ledger.eips_of_account(account) as usize;
            return cut(total, &mut ledger.eips_from(account, page.offset).map(Shown::Eip));
        }
        if filters.only("address-type").is_some_and(|types| types == ["WanIP"]) {
            let rows = &mut ledger.with_ordinary_from(account, page.offset).filter_map(ordinary);
            return cut(ledger.ordinary_count(account), rows);
        }
        let bound = match filters.only("address-status") {
            Some([status]) if status == "BIND" => Some(true),
            Some([status]) if status == "UNBIND" => Some(false),
            _ => None,
        };
        if let Some(bound) = bound {
            let rows = &mut ledger.bound_from(account, bound, page.offset).map(Shown::Eip);
            return cut(ledger.bound_count(account, bound), rows);
        }
    }
    let with_ordinary = filters.values("address-type").is_some_and(|types| types.iter().any(|of| of == "WanIP"));
    let none = Tags::new();
    let fits = |shown: &Shown<'a>| {
        let tags = match shown {
            Shown::Eip(eip) => eip.terms.detail.as_ref().map_or(&none, |detail| &detail.tags),
            Shown::Ordinary(..) => &none,
        };
        shown.account() == account
            && (with_ordinary || matches!(shown, Shown::Eip(_)))
            && filters.hold(tags, |name, value| shown.has(ledger, name, value))
    };
    match likely(ledger, account, ids, filters) {
        Some(mut likely) => {
            likely.sort_by_key(|shown| shown.address());
            likely.dedup_by_key(|shown| shown.address());
            page.cut(likely.into_iter().filter(fits))
        }
        None => {
            let ordinary = ledger.with_ordinary_from(account, 0).filter_map(ordinary).filter(|_| with_ordinary);
            page.cut(ledger.eips_from(account, 0).map(Shown::Eip).chain(ordinary).filter(fits))
        }
    }
}

/// All that can fit and few that do not, where an index knows.
fn likely<'a>(ledger: &'a Ledger, account: &AccountId, ids: &[EipId], filters: &Filters) -> Option<Vec<Shown<'a>>> {
    let eips =
        |ids: &mut dyn Iterator<Item = EipId>| ids.filter_map(|id| ledger.eip(&id)).map(Shown::Eip).collect::<Vec<_>>();
    if !ids.is_empty() {
        return Some(eips(&mut ids.iter().cloned()));
    }
    if let Some(texts) = filters.values("address-id") {
        return Some(eips(&mut texts.iter().filter_map(|text| text.parse().ok())));
    }
    if let Some(texts) = filters.values("address-ip") {
        let addresses = texts.iter().filter_map(|text| text.parse().ok());
        return Some(addresses.filter_map(|address| at(ledger, address)).collect());
    }
    let of = |instance: &'a Instance| {
        let public = ledger.association_of(&instance.id)?.public;
        at(ledger, public)
    };
    if let Some(texts) = filters.values("instance-id") {
        let instances = texts.iter().filter_map(|text| ledger.instance(&text.parse().ok()?));
        return Some(instances.filter_map(of).collect());
    }
    if let Some(texts) = filters.values("private-ip-address") {
        let addresses = texts.iter().filter_map(|text| text.parse::<Ipv4Addr>().ok());
        return Some(addresses.flat_map(|address| ledger.instances_at(address)).filter_map(of).collect());
    }
    let names = filters.values("address-name")?;
    Some(names.iter().flat_map(|name| ledger.eips_named(account, name).map(Shown::Eip).collect::<Vec<_>>()).collect())
}

fn at(ledger: &Ledger, address: Ipv4Addr) -> Option<Shown<'_>> {
    match ledger.holder(address)? {
        Holder::Eip(id) => ledger.eip(id).map(Shown::Eip),
        Holder::Ordinary(id) => ledger.instance(id).map(|instance| Shown::Ordinary(instance, address)),
    }
}

impl<'a> Shown<'a> {
    fn account(self) -> &'a AccountId {
        match self {
            Shown::Eip(eip) => &eip.account,
            Shown::Ordinary(instance, _) => &instance.account,
        }
    }

    fn address(self) -> Ipv4Addr {
        match self {
            Shown::Eip(eip) => eip.address,
            Shown::Ordinary(_, address) => address,
        }
    }

    fn instance(self, ledger: &'a Ledger) -> Option<&'a Instance> {
        match self {
            Shown::Eip(eip) => ledger.instance(eip.bound_to.as_ref()?),
            Shown::Ordinary(instance, _) => Some(instance),
        }
    }

    /// An ordinary public IP has an id only to be told apart by: nothing can be done with it.
    fn id(self) -> String {
        match self {
            Shown::Eip(eip) => eip.id.to_string(),
            Shown::Ordinary(instance, _) => {
                let id = instance.id.as_str();
                format!("wan-{}", id.strip_prefix("ins-").unwrap_or(id))
            }
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Shown::Eip(_) => "EIP",
            Shown::Ordinary(..) => "WanIP",
        }
    }

    fn status(self) -> &'static str {
        match self {
            Shown::Eip(eip) if eip.bound_to.is_none() => "UNBIND",
            _ => "BIND",
        }
    }

    fn has(self, ledger: &Ledger, name: &str, value: &str) -> bool {
        let instance = || self.instance(ledger);
        match name {
            "address-id" => self.id() == value,
            "address-ip" => self.address().to_string() == value,
            "address-status" => self.status() == value,
            "address-type" => self.kind() == value,
            "address-name" => matches!(self, Shown::Eip(eip) if eip.terms.name.as_deref() == Some(value)),
            "instance-id" => instance().is_some_and(|instance| instance.id.as_str() == value),
            "private-ip-address" => instance().is_some_and(|instance| instance.private.to_string() == value),
            "network-interface-id" => instance().is_some_and(|instance| card_of(&instance.id) == value),
            "instance-type" => instance().is_some() && value == "CVM",
            "is-arrears" => matches!(self, Shown::Eip(eip) if eip.terms.arrears) == value.eq_ignore_ascii_case("true"),
            "address-isp" => match self {
                Shown::Eip(eip) => provider(eip) == value,
                Shown::Ordinary(..) => value == "BGP",
            },
            // There are no other egresses and clusters, and no business types.
            _ => false,
        }
    }
}

fn provider(eip: &Eip) -> &str {
    eip.terms.detail.as_ref().and_then(|detail| detail.provider.as_deref()).unwrap_or("BGP")
}

fn row(ledger: &Ledger, shown: Shown<'_>) -> Value {
    let instance = shown.instance(ledger);
    let fenced = ledger.fence(shown.address()).is_some();
    let nothing = EipDetail::default();
    let (name, created, mbps, charge_type, package, arrears, blocked, detail) = match shown {
        Shown::Eip(eip) => {
            let terms = &eip.terms;
            let detail = terms.detail.as_deref().unwrap_or(&nothing);
            let name = terms.name.clone().unwrap_or_default();
            (
                name,
                eip.created,
                terms.bandwidth_mbps,
                terms.charge_type,
                &terms.package,
                terms.arrears,
                terms.blocked,
                detail,
            )
        }
        Shown::Ordinary(of, _) => {
            (String::new(), of.created, of.bandwidth_mbps, of.charge_type, &of.package, false, false, &nothing)
        }
    };
    let isp = match shown {
        Shown::Eip(eip) => provider(eip),
        Shown::Ordinary(..) => "BGP",
    };
    json!({
        "AddressId": shown.id(),
        "AddressName": name,
        "AddressStatus": shown.status(),
        "AddressIp": shown.address().to_string(),
        "InstanceId": instance.map(|instance| instance.id.as_str()),
        "InstanceType": instance.map(|_| "CVM"),
        "NetworkInterfaceId": instance.map(|instance| card_of(&instance.id)),
        "PrivateAddressIp": instance.map(|instance| instance.private.to_string()),
        "UnVpcId": instance.map(|instance| instance.vpc.as_str()),
        "CreatedTime": iso(created),
        "IsArrears": arrears,
        "IsBlocked": blocked || fenced,
        "IsEipDirectConnection": false,
        "EipVisibleOnEni": false,
        "AddressType": shown.kind(),
        "CascadeRelease": matches!(shown, Shown::Ordinary(..)),
        "EipAlgType": { "Ftp": true, "Sip": false },
        "InternetServiceProvider": isp,
        "LocalBgp": false,
        "Bandwidth": mbps,
        "InternetChargeType": charge_type.as_str_of_eip(),
        "BandwidthPackageId": package.as_ref().map(PackageId::as_str),
        "TagSet": tag_set(&detail.tags),
        "DeadlineDate": detail.paid_until.map(iso),
        "RenewFlag": detail.paid_until.map(|_| "NOTIFY_AND_MANUAL_RENEW"),
        "Egress": "center_egress1",
        "AntiDDoSPackageId": "",
        "DedicatedClusterId": "",
    })
}

/// No limit is told as a number that is never reached.
const NO_LIMIT: u32 = 1_000_000;

pub(super) fn quota(asked: &mut Asked<'_>) -> Answer {
    let now: Time = asked.gateway.now();
    let (ledger, account) = (asked.ledger(), &asked.call.account);
    let policy = ledger.policy();
    let row = |id: &str, used: u32, limit: Option<u32>| json!({ "QuotaId": id, "QuotaCurrent": used, "QuotaLimit": limit.unwrap_or(NO_LIMIT), "QuotaGroup": 0 });
    let packages = u32::try_from(ledger.package_count(account)).unwrap_or(u32::MAX);
    let applied = ledger.used_today(account, Daily::Applications, now);
    let assigned = ledger.used_today(account, Daily::Reallocations, now);
    let rows = [
        row("TOTAL_EIP_QUOTA", ledger.eips_of_account(account), policy.eips_per_account),
        row("DAILY_EIP_APPLY", applied, policy.applications_per_day()),
        row("DAILY_PUBLIC_IP_ASSIGN", assigned, policy.reallocations_per_day),
        row("MONTHLY_RECOVER_QUOTA", 0, Some(0)),
        row("TOTAL_BANDWIDTHPKG_QUOTA", packages, None),
    ];
    Ok(fields(json!({ "QuotaSet": rows })))
}

pub(super) fn bandwidth_range(asked: &mut Asked<'_>) -> Answer {
    let mut rows = Vec::new();
    for id in asked.eips("AddressIds")? {
        let charge = asked.ledger().eip(&id).map_or(ChargeType::OF_EIPS, |eip| eip.terms.charge_type);
        rows.push(json!({
            "AddressId": id.as_str(),
            "InternetMaxBandwidthOutMin": 1,
            "InternetMaxBandwidthOutMax": most_mbps(charge),
            "InternetMaxBandwidthInMin": 1,
            "InternetMaxBandwidthInMax": most_mbps(charge),
        }));
    }
    Ok(fields(json!({ "AddressBandwidthRangeSet": rows })))
}
