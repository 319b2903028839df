//! What is the same for everybody, or told only because clients ask for it: regions, zones, ways to be charged, images,
//! disks, tags.

use serde_json::{Value, json};

use super::asked::{Answer, Asked, fields};
use super::page::Page;
use crate::address::{ChargeType, DEFAULT_IMAGE, Instance, Tags};

pub(super) fn regions(asked: &mut Asked<'_>) -> Answer {
    let region = &asked.site.region;
    let row = json!({ "Region": region, "RegionName": region, "RegionState": "AVAILABLE" });
    Ok(fields(json!({ "TotalCount": 1, "RegionSet": [row] })))
}

pub(super) fn zones(asked: &mut Asked<'_>) -> Answer {
    let zone = &asked.site.zone;
    let number = zone.rsplit('-').next().unwrap_or_default();
    let row = json!({ "Zone": zone, "ZoneName": zone, "ZoneId": number, "ZoneState": "AVAILABLE" });
    Ok(fields(json!({ "TotalCount": 1, "ZoneSet": [row] })))
}

pub(super) fn account_type(_: &mut Asked<'_>) -> Answer {
    Ok(fields(json!({ "NetworkAccountType": "STANDARD" })))
}

pub(super) fn charge_types(_: &mut Asked<'_>) -> Answer {
    let describe = |charge: ChargeType| match charge {
        ChargeType::BandwidthPostpaidByHour => "by the bandwidth bought, hourly",
        ChargeType::TrafficPostpaidByHour => "by the bytes sent",
        ChargeType::BandwidthPackage => "by a package that many addresses share",
        ChargeType::BandwidthPrepaid => "by the bandwidth bought, monthly in advance",
    };
    let row = |charge: ChargeType| json!({ "InternetChargeType": charge.as_str(), "Description": describe(charge) });
    let rows = ChargeType::ALL.map(row);
    Ok(fields(json!({ "InternetChargeTypeConfigSet": rows })))
}

/// Any image that is named is there: what an instance runs is not the gateway's matter.
pub(super) fn images(asked: &mut Asked<'_>) -> Answer {
    let mut ids = asked.params.texts("ImageIds")?;
    for filter in asked.params.objects("Filters")? {
        if filter.text("Name")?.as_deref() == Some("image-id") {
            ids.extend(filter.texts("Values")?);
        }
    }
    if ids.is_empty() {
        ids.push(DEFAULT_IMAGE.into());
    }
    let row = |id: &String| {
        json!({
            "ImageId": id, "ImageName": id, "OsName": "Linux", "ImageType": "PUBLIC_IMAGE", "ImageState": "NORMAL",
            "ImageSize": 20, "Platform": "Linux", "Architecture": "x86_64", "ImageSource": "OFFICIAL",
            "ImageCreator": "", "ImageDescription": "", "CreatedTime": null, "SnapshotSet": [], "Tags": [],
            "IsSupportCloudinit": true, "SyncPercent": 100,
        })
    };
    let rows: Vec<Value> = ids.iter().map(row).collect();
    Ok(fields(json!({ "TotalCount": rows.len(), "ImageSet": rows })))
}

/// There are no disks.
pub(super) fn disks(_: &mut Asked<'_>) -> Answer {
    Ok(fields(json!({ "TotalCount": 0, "DiskSet": [] })))
}

/// The labels of instances and EIPs, as the tag service tells of them.
pub(super) fn tags_of(asked: &mut Asked<'_>) -> Answer {
    let page = Page { limit: usize::MAX, ..Page::of(asked.params)? };
    let (ledger, account) = (asked.ledger(), &asked.call.account);
    let mut rows = Vec::new();
    for id in asked.params.needed_texts("ResourceIds")? {
        for (key, value) in labels(ledger, account, &id) {
            rows.push(json!({
                "TagKey": key, "TagValue": value, "ResourceId": id, "TagKeyMd5": "", "TagValueMd5": "",
                "ServiceType": if id.starts_with("ins-") { "cvm" } else { "vpc" },
            }));
        }
    }
    let (total, shown) = page.cut(rows.into_iter());
    Ok(fields(json!({ "TotalCount": total, "Offset": page.offset, "Limit": 20, "Tags": shown })))
}

fn labels(ledger: &crate::address::Ledger, account: &crate::address::AccountId, id: &str) -> Tags {
    if let Ok(eip) = ledger.find_eip(account, id) {
        return eip.terms.detail.as_ref().map(|detail| detail.tags.clone()).unwrap_or_default();
    }
    let instance = id.parse().ok().and_then(|id| ledger.instance(&id)).filter(|instance| instance.account == *account);
    instance.map(Instance::detail).unwrap_or_default().tags
}
