//! Public addresses told of: DescribeAddresses, DescribeAddressQuota, DescribeAddressBandwidthRange.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::super::error::ApiError;
use super::asked::{Answer, Asked, EGRESS, eip_id, fields, iso, list};
use super::instances::{card_of, tag_set};
use super::page::{Dialect, Filters, Page};
use super::walk::{Lists, Walk};
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
    let (total, rows) = find(asked.gateway.ledger(), &asked.call.account, &ids, &filters, page, asked.walk);
    Ok(list(total, "AddressSet", rows))
}

fn find(
    ledger: &Ledger,
    account: &AccountId,
    ids: &[EipId],
    filters: &Filters,
    page: Page,
    walk: &mut Walk,
) -> (usize, Vec<Value>) {
    let search = Search { ledger, account, filters, lists: Search::lists(filters) };
    if let Some(mut likely) = likely(ledger, ids, filters) {
        walk.look_at(likely.len());
        likely.sort_by_key(|shown| shown.address());
        likely.dedup_by_key(|shown| shown.address());
        let (total, shown) = page.cut(likely.into_iter().filter(|shown| search.fits(*shown)));
        return (total, shown.into_iter().map(|shown| row(ledger, shown)).collect());
    }
    if filters.are_only(&["address-type", "address-status"]) {
        let shown = search.cut(page);
        walk.look_at(shown.len());
        return (search.total(), shown.into_iter().map(|shown| row(ledger, shown)).collect());
    }
    walk.go_on(page, &search)
}

/// A list that the ledger keeps.
#[derive(Clone, Copy)]
enum List<'a> {
    Eips,
    Bound,
    Unbound,
    Ordinary,
    Named(&'a str),
}

/// What is looked for, and in which lists.
struct Search<'a> {
    ledger: &'a Ledger,
    account: &'a AccountId,
    filters: &'a Filters,
    lists: Vec<List<'a>>,
}

impl<'a> Search<'a> {
    /// The shortest lists that have all that fits.
    fn lists(filters: &'a Filters) -> Vec<List<'a>> {
        let mut lists = Vec::new();
        let [bound, unbound] = ["BIND", "UNBIND"].map(|status| filters.admit("address-status", status));
        match (bound, unbound) {
            _ if !filters.admit("address-type", "EIP") => {}
            (true, true) => lists.push(List::Eips),
            (true, false) => lists.push(List::Bound),
            (false, true) => lists.push(List::Unbound),
            (false, false) => {}
        }
        // Ordinary ones are told of only to those who ask for them.
        let ordinary = filters.values("address-type").is_some() && filters.admit("address-type", "WanIP");
        if ordinary && bound {
            lists.push(List::Ordinary);
        }
        // Only EIPs have names.
        let Some(names) = filters.values("address-name") else { return lists };
        let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        names.into_iter().map(List::Named).collect()
    }

    /// How many rows the lists have that the ledger counts.
    fn total(&self) -> usize {
        self.lists.iter().map(|list| self.length(*list)).sum()
    }

    fn length(&self, list: List<'_>) -> usize {
        match list {
            List::Eips => self.ledger.eips_of_account(self.account) as usize,
            List::Bound => self.ledger.bound_count(self.account, true),
            List::Unbound => self.ledger.bound_count(self.account, false),
            List::Ordinary => self.ledger.ordinary_count(self.account),
            List::Named(_) => 0,
        }
    }

    /// A page of the lists that the ledger counts.
    fn cut(&self, page: Page) -> Vec<Shown<'a>> {
        let (ledger, account) = (self.ledger, self.account);
        let (mut skipped, mut shown) = (page.offset, Vec::new());
        for list in &self.lists {
            let length = self.length(*list);
            let from = skipped.min(length);
            skipped -= from;
            let wanted = page.limit - shown.len();
            match list {
                List::Eips => shown.extend(ledger.eips_from(account, from).map(Shown::Eip).take(wanted)),
                List::Bound => shown.extend(ledger.bound_from(account, true, from).map(Shown::Eip).take(wanted)),
                List::Unbound => shown.extend(ledger.bound_from(account, false, from).map(Shown::Eip).take(wanted)),
                List::Ordinary => {
                    shown.extend(ledger.with_ordinary_from(account, from).filter_map(Shown::ordinary).take(wanted));
                }
                List::Named(_) => {}
            }
        }
        shown
    }
}

impl Lists for Search<'_> {
    type Row<'a>
        = Shown<'a>
    where
        Self: 'a;

    fn count(&self) -> usize {
        self.lists.len()
    }

    fn behind<'a>(&'a self, list: usize, id: Option<&str>) -> Box<dyn Iterator<Item = Shown<'a>> + 'a> {
        let (ledger, account) = (self.ledger, self.account);
        match self.lists[list] {
            List::Eips => Box::new(ledger.eips_behind(account, id).map(Shown::Eip)),
            List::Bound => Box::new(ledger.bound_behind(account, true, id).map(Shown::Eip)),
            List::Unbound => Box::new(ledger.bound_behind(account, false, id).map(Shown::Eip)),
            List::Ordinary => Box::new(ledger.with_ordinary_behind(account, id).filter_map(Shown::ordinary)),
            List::Named(name) => {
                let id = id.and_then(|id| id.parse().ok());
                Box::new(ledger.eips_named(account, name, id.as_ref()).map(Shown::Eip))
            }
        }
    }

    fn id<'a>(&'a self, row: Shown<'a>) -> &'a str {
        match row {
            Shown::Eip(eip) => eip.id.as_str(),
            Shown::Ordinary(instance, _) => instance.id.as_str(),
        }
    }

    fn fits(&self, row: Shown<'_>) -> bool {
        let none = Tags::new();
        let tags = match row {
            Shown::Eip(eip) => eip.terms.detail.as_ref().map_or(&none, |detail| &detail.tags),
            Shown::Ordinary(..) => &none,
        };
        let asked_for = matches!(row, Shown::Eip(_)) || self.filters.values("address-type").is_some();
        let has_one = |name: &str, values: &[String]| row.has_one(self.ledger, name, values);
        row.account() == self.account && asked_for && self.filters.hold(tags, has_one)
    }

    fn show(&self, row: Shown<'_>) -> Value {
        self::row(self.ledger, row)
    }
}

/// All that can fit and few that do not, where an index knows.
fn likely<'a>(ledger: &'a Ledger, ids: &[EipId], filters: &Filters) -> Option<Vec<Shown<'a>>> {
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
    let addresses = filters.values("private-ip-address")?.iter().filter_map(|text| text.parse::<Ipv4Addr>().ok());
    Some(addresses.flat_map(|address| ledger.instances_at(address)).filter_map(of).collect())
}

fn at(ledger: &Ledger, address: Ipv4Addr) -> Option<Shown<'_>> {
    match ledger.holder(address)? {
        Holder::Eip(id) => ledger.eip(id).map(Shown::Eip),
        Holder::Ordinary(id) => ledger.instance(id).map(|instance| Shown::Ordinary(instance, address)),
    }
}

impl<'a> Shown<'a> {
    fn ordinary(instance: &'a Instance) -> Option<Self> {
        Some(Shown::Ordinary(instance, instance.ordinary?))
    }

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

    /// Whether it has one of the values.
    fn has_one(self, ledger: &Ledger, name: &str, values: &[String]) -> bool {
        let is = |text: &str| values.iter().any(|value| value == text);
        let instance = || self.instance(ledger);
        match name {
            "address-id" => is(&self.id()),
            "address-ip" => is(&self.address().to_string()),
            "address-status" => is(self.status()),
            "address-type" => is(self.kind()),
            "address-name" => matches!(self, Shown::Eip(eip) if eip.terms.name.as_deref().is_some_and(is)),
            "instance-id" => instance().is_some_and(|instance| is(instance.id.as_str())),
            "private-ip-address" => instance().is_some_and(|instance| is(&instance.private.to_string())),
            "network-interface-id" => instance().is_some_and(|instance| is(&card_of(&instance.id))),
            "instance-type" => instance().is_some() && is("CVM"),
            "is-arrears" => {
                let arrears = matches!(self, Shown::Eip(eip) if eip.terms.arrears);
                values.iter().any(|value| arrears == value.eq_ignore_ascii_case("true"))
            }
            "address-isp" => match self {
                Shown::Eip(eip) => is(provider(eip)),
                Shown::Ordinary(..) => is("BGP"),
            },
            "address-egress" => is(EGRESS),
            // There are no clusters, and no business types.
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
        "DeadlineDate": detail.prepaid.map(|prepaid| iso(prepaid.until)),
        "RenewFlag": detail.prepaid.map(|prepaid| prepaid.renewal.as_str()),
        "Egress": EGRESS,
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
            "InternetMaxBandwidthOutMax": charge.most_mbps(),
            "InternetMaxBandwidthInMin": 1,
            "InternetMaxBandwidthInMax": charge.most_mbps(),
        }));
    }
    Ok(fields(json!({ "AddressBandwidthRangeSet": rows })))
}
