//! What is told, field by field, and what filters find of it.

use std::collections::BTreeSet;

use super::*;
use crate::address::{AccountId, Command, EipChanges};

/// Every field that an address has in the cloud's API.
const OF_ADDRESSES: [&str; 28] = [
    "AddressId",
    "AddressIp",
    "AddressName",
    "AddressStatus",
    "AddressType",
    "AntiDDoSPackageId",
    "Bandwidth",
    "BandwidthPackageId",
    "CascadeRelease",
    "CreatedTime",
    "DeadlineDate",
    "DedicatedClusterId",
    "Egress",
    "EipAlgType",
    "EipVisibleOnEni",
    "InstanceId",
    "InstanceType",
    "InternetChargeType",
    "InternetServiceProvider",
    "IsArrears",
    "IsBlocked",
    "IsEipDirectConnection",
    "LocalBgp",
    "NetworkInterfaceId",
    "PrivateAddressIp",
    "RenewFlag",
    "TagSet",
    "UnVpcId",
];

fn filter(name: &str, value: &str) -> Value {
    json!({ "Filters": [{ "Name": name, "Values": [value] }] })
}

impl Served {
    /// The only row of a list.
    async fn row(&self, action: &str, set: &str, params: Value) -> Value {
        let told = self.does(action, params).await;
        assert_eq!(told["TotalCount"], 1, "{told}");
        told[set][0].clone()
    }

    async fn total(&self, action: &str, params: Value) -> u64 {
        self.does(action, params).await["TotalCount"].as_u64().unwrap()
    }

    async fn package(&self, params: Value) -> String {
        text(&self.does("CreateBandwidthPackage", params).await["BandwidthPackageId"])
    }
}

#[tokio::test]
async fn an_address_has_every_field_and_only_those_are_null_of_which_there_is_nothing() {
    let served = Served::new().await;
    let (web, bound, free) = (served.run().await, served.allocate().await, served.allocate().await);
    served.run().await;
    served.does("AssociateAddress", json!({"AddressId": bound, "InstanceId": web})).await;
    let by_id = |id: &str| json!({ "AddressIds": [id] });
    let wan = filter("address-type", "WanIP");
    for (params, null) in [
        (by_id(&bound), &["BandwidthPackageId", "DeadlineDate", "RenewFlag"][..]),
        (
            by_id(&free),
            &[
                "BandwidthPackageId",
                "DeadlineDate",
                "InstanceId",
                "InstanceType",
                "NetworkInterfaceId",
                "PrivateAddressIp",
                "RenewFlag",
                "UnVpcId",
            ],
        ),
        (wan, &["BandwidthPackageId", "DeadlineDate", "RenewFlag"]),
    ] {
        let row = served.row("DescribeAddresses", "AddressSet", params).await;
        let row = row.as_object().unwrap();
        assert_eq!(row.keys().map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(OF_ADDRESSES));
        let found: BTreeSet<&str> =
            row.iter().filter(|(_, value)| value.is_null()).map(|(name, _)| name.as_str()).collect();
        assert_eq!(found, null.iter().copied().collect(), "{row:?}");
    }
}

#[tokio::test]
async fn what_is_paid_in_advance_has_an_end_and_says_what_becomes_of_it_then() {
    let served = Served::new().await;
    for (flag, told) in [
        (json!(0), "NOTIFY_AND_MANUAL_RENEW"),
        (json!("1"), "NOTIFY_AND_AUTO_RENEW"),
        (json!(2), "DISABLE_NOTIFY_AND_MANUAL_RENEW"),
        (Value::Null, "NOTIFY_AND_AUTO_RENEW"),
    ] {
        let prepaid = json!({ "Period": 2, "AutoRenewFlag": flag });
        let asked = json!({ "InternetChargeType": "BANDWIDTH_PREPAID_BY_MONTH", "AddressChargePrepaid": prepaid });
        let made = served.does("AllocateAddresses", asked).await;
        let id = json!({ "AddressIds": made["AddressSet"] });
        let row = served.row("DescribeAddresses", "AddressSet", id.clone()).await;
        assert_eq!((&row["RenewFlag"], &row["DeadlineDate"]), (&json!(told), &json!("2027-01-19T11:43:00Z")));
        served.does("ReleaseAddresses", id).await;
    }
    // It is agreed on later as well, and ends with that.
    let eip = served.allocate().await;
    let to = |charge: &str| {
        let prepaid = json!({ "Period": 1, "AutoRenewFlag": 0 });
        json!({ "AddressId": eip, "InternetChargeType": charge, "AddressChargePrepaid": prepaid })
    };
    let told = async || {
        let row = served.row("DescribeAddresses", "AddressSet", json!({ "AddressIds": [eip] })).await;
        (row["RenewFlag"].clone(), row["DeadlineDate"].clone())
    };
    served.does("ModifyAddressInternetChargeType", to("BANDWIDTH_PREPAID_BY_MONTH")).await;
    assert_eq!(told().await, (json!("NOTIFY_AND_MANUAL_RENEW"), json!("2026-12-20T11:43:00Z")));
    served.does("ModifyAddressInternetChargeType", to("TRAFFIC_POSTPAID_BY_HOUR")).await;
    assert_eq!(told().await, (Value::Null, Value::Null));
}

#[tokio::test]
async fn an_empty_name_is_none_and_one_that_is_not_said_stays() {
    let served = Served::new().await;
    let eip = served.allocate().await;
    let named = async |more: Value| {
        let mut params = json!({ "AddressId": eip });
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        served.does("ModifyAddressAttribute", params).await;
        served.row("DescribeAddresses", "AddressSet", json!({ "AddressIds": [eip] })).await["AddressName"].clone()
    };
    assert_eq!(named(json!({ "AddressName": "door" })).await, "door");
    assert_eq!(served.total("DescribeAddresses", filter("address-name", "door")).await, 1);
    for unsaid in [json!({}), json!({ "AddressName": null }), json!({ "EipDirectConnection": "FALSE" })] {
        assert_eq!(named(unsaid).await, "door");
    }
    assert_eq!(named(json!({ "AddressName": "" })).await, "");
    assert_eq!(served.total("DescribeAddresses", filter("address-name", "door")).await, 0);
}

/// The tags of what belongs to a team.
fn team() -> Value {
    json!([{ "Key": "team", "Value": "net" }])
}

async fn tagged_instance(served: &Served) -> Value {
    let mut asked = run(1);
    asked["TagSpecification"] = json!([{ "ResourceType": "instance", "Tags": team() }]);
    served.does("RunInstances", asked).await["InstanceIdSet"][0].clone()
}

#[tokio::test]
async fn filters_find_what_the_rows_say() {
    let served = Served::new().await;
    let tags = team();
    let web = tagged_instance(&served).await;
    served.run().await;
    let made = served.does("AllocateAddresses", json!({ "Tags": tags })).await;
    let eip = text(&made["AddressSet"][0]);
    served.allocate().await;
    let address = served.row("DescribeAddresses", "AddressSet", json!({ "AddressIds": [eip] })).await;
    let office = json!({ "BandwidthPackageName": "office", "NetworkType": "SINGLEISP_CMCC",
        "ChargeType": "TOP5_POSTPAID_BY_MONTH", "Tags": tags });
    let (office, _) = (served.package(office).await, served.package(json!({ "BandwidthPackageName": "empty" })).await);
    let members = json!({ "BandwidthPackageId": office, "ResourceIds": [eip, web] });
    served.does("AddBandwidthPackageResources", members).await;
    let wan = served.public(&text(&web)).await;
    for (action, name, value, total) in [
        ("DescribeInstances", "tag-value", "net", 1),
        ("DescribeInstances", "tag-value", "team", 0),
        ("DescribeInstances", "dedicated-cluster-id", "cluster-1", 0),
        ("DescribeAddresses", "tag-value", "net", 1),
        ("DescribeAddresses", "tag-value", "team", 0),
        ("DescribeAddresses", "dedicated-cluster-id", "cluster-1", 0),
        ("DescribeAddresses", "address-egress", "center_egress1", 2),
        ("DescribeAddresses", "address-egress", "center_egress2", 0),
        ("DescribeBandwidthPackages", "bandwidth-package-id", &office, 1),
        ("DescribeBandwidthPackages", "bandwidth-package-id", "bwp-zzzzzzzz", 0),
        ("DescribeBandwidthPackages", "bandwidth-package_id", &office, 1),
        ("DescribeBandwidthPackages", "bandwidth-package-name", "office", 1),
        ("DescribeBandwidthPackages", "bandwidth-package-name", "Office", 0),
        ("DescribeBandwidthPackages", "network-type", "SINGLEISP_CMCC", 1),
        ("DescribeBandwidthPackages", "network-type", "BGP", 1),
        ("DescribeBandwidthPackages", "network-type", "ANYCAST", 0),
        ("DescribeBandwidthPackages", "charge-type", "TOP5_POSTPAID_BY_MONTH", 1),
        ("DescribeBandwidthPackages", "charge-type", "ENHANCED95_POSTPAID_BY_MONTH", 1),
        ("DescribeBandwidthPackages", "charge-type", "FIXED_PREPAID_BY_MONTH", 0),
        ("DescribeBandwidthPackages", "resource.resource-type", "Address", 1),
        ("DescribeBandwidthPackages", "resource.resource-type", "LoadBalance", 0),
        ("DescribeBandwidthPackages", "resource.resource-id", &eip, 1),
        ("DescribeBandwidthPackages", "resource.resource-id", &text(&web), 1),
        ("DescribeBandwidthPackages", "resource.address-ip", &text(&address["AddressIp"]), 1),
        ("DescribeBandwidthPackages", "resource.address-ip", &text(&wan[0]), 1),
        ("DescribeBandwidthPackages", "tag-key", "team", 1),
        ("DescribeBandwidthPackages", "tag-value", "net", 1),
        ("DescribeBandwidthPackages", "tag:team", "net", 1),
        ("DescribeBandwidthPackages", "tag:team", "web", 0),
    ] {
        assert_eq!(served.total(action, filter(name, value)).await, total, "{action} {name} {value}");
    }
    let unknown = served.refuses("DescribeBandwidthPackages", filter("colour", "red")).await;
    assert_eq!(unknown, "InvalidParameter.InvalidFilter");
}

#[tokio::test]
async fn packages_are_renamed_charged_otherwise_and_bill_nothing_yet() {
    let served = Served::new().await;
    let package = served.package(json!({ "BandwidthPackageName": "office", "InternetMaxBandwidth": 50 })).await;
    let one = json!({ "BandwidthPackageId": package });
    let change = json!({ "BandwidthPackageId": package, "BandwidthPackageName": "branch",
        "ChargeType": "PEAK_BANDWIDTH_POSTPAID_BY_DAY" });
    assert_eq!(served.does("ModifyBandwidthPackageAttribute", change).await, json!({}));
    let row = served.row("DescribeBandwidthPackages", "BandwidthPackageSet", json!({})).await;
    assert_eq!(row["BandwidthPackageName"], "branch");
    assert_eq!(row["ChargeType"], "PEAK_BANDWIDTH_POSTPAID_BY_DAY");
    assert_eq!(row["Bandwidth"], 50);
    let strange = json!({ "BandwidthPackageId": package, "ChargeType": "BY_MOONLIGHT" });
    assert_eq!(served.refuses("ModifyBandwidthPackageAttribute", strange).await, "InvalidParameterValue");
    let usage = served.does("DescribeBandwidthPackageBillUsage", one).await;
    assert_eq!(usage, json!({ "BandwidthPackageBillBandwidthSet": [{ "BandwidthUsage": 0 }] }));
    let nobodys = json!({ "BandwidthPackageId": "bwp-zzzzzzzz" });
    for action in ["ModifyBandwidthPackageAttribute", "DescribeBandwidthPackageBillUsage"] {
        let code = served.refuses(action, nobodys.clone()).await;
        assert_eq!(code, "InvalidParameterValue.BandwidthPackageNotFound", "{action}");
    }
}

#[tokio::test]
async fn what_is_the_same_for_everybody_is_told_as_it_is_configured() {
    let served = Served::with(|config| {
        (config.region, config.zone) = ("eu-frankfurt".into(), "eu-frankfurt-2".into());
    })
    .await;
    let told = async |action| served.does(action, json!({})).await;
    let region = json!({ "Region": "eu-frankfurt", "RegionName": "eu-frankfurt", "RegionState": "AVAILABLE" });
    assert_eq!(told("DescribeRegions").await, json!({ "TotalCount": 1, "RegionSet": [region] }));
    let zone =
        json!({ "Zone": "eu-frankfurt-2", "ZoneName": "eu-frankfurt-2", "ZoneId": "2", "ZoneState": "AVAILABLE" });
    assert_eq!(told("DescribeZones").await, json!({ "TotalCount": 1, "ZoneSet": [zone] }));
    assert_eq!(told("DescribeNetworkAccountType").await, json!({ "NetworkAccountType": "STANDARD" }));
}

#[tokio::test]
async fn what_cannot_be_used_is_told_and_so_is_how_much_of_the_day_is_used() {
    let served = Served::with(|config| config.eips_per_account = 3).await;
    let [arrears, blocked, fenced] = [served.allocate().await, served.allocate().await, served.allocate().await];
    let (account, by_id) = ("alice".parse::<AccountId>().unwrap(), |id: &str| json!({ "AddressIds": [id] }));
    let row = async |id: &str| served.row("DescribeAddresses", "AddressSet", by_id(id)).await;
    let modify = |id: &str, changes| Command::ModifyEip { account: account.clone(), eip: id.parse().unwrap(), changes };
    let address = text(&row(&fenced).await["AddressIp"]).parse().unwrap();
    for command in [
        modify(&arrears, EipChanges { arrears: Some(true), ..EipChanges::default() }),
        modify(&blocked, EipChanges { blocked: Some(true), ..EipChanges::default() }),
        Command::FenceAddress { address, reason: Some("attacked".into()) },
    ] {
        served.handle.ask(move |gateway| gateway.perform(command)).await.unwrap().unwrap();
    }
    for (id, is_arrears, is_blocked) in [(&arrears, true, false), (&blocked, false, true), (&fenced, false, true)] {
        let row = row(id).await;
        assert_eq!((&row["IsArrears"], &row["IsBlocked"]), (&json!(is_arrears), &json!(is_blocked)), "{row}");
    }
    assert_eq!(served.total("DescribeAddresses", filter("is-arrears", "TRUE")).await, 1);

    served.does("ReleaseAddresses", by_id(&arrears)).await;
    let quotas = served.does("DescribeAddressQuota", json!({})).await;
    let quota = |id: &str| {
        let row = quotas["QuotaSet"].as_array().unwrap().iter().find(|row| row["QuotaId"] == id).unwrap();
        (row["QuotaCurrent"].as_u64().unwrap(), row["QuotaLimit"].as_u64().unwrap())
    };
    // What was released has been applied for all the same.
    assert_eq!((quota("TOTAL_EIP_QUOTA"), quota("DAILY_EIP_APPLY")), ((2, 3), (3, 6)));
}

#[tokio::test]
async fn what_is_told_on_the_way_is_told_of_ones_own_only() {
    let served = Served::new().await;
    let web = tagged_instance(&served).await;
    let eip = served.does("AllocateAddresses", json!({ "Tags": team() })).await["AddressSet"][0].clone();
    for (action, params, own) in [
        ("DescribeUsedIpAddress", json!({ "IpAddresses": ["10.0.0.1"] }), 1),
        ("DescribeResourceTagsByResourceIds", json!({ "ResourceIds": [web, eip] }), 2),
    ] {
        assert_eq!(served.total(action, params.clone()).await, own, "{action}");
        assert_eq!(served.of("bob", action, params).await.unwrap()["TotalCount"], 0, "{action}");
    }
}

#[tokio::test]
async fn who_names_a_package_and_not_how_it_is_charged_shares_it() {
    let served = Served::new().await;
    let package = served.package(json!({})).await;
    let mut asked = run(5);
    asked["InternetAccessible"]["BandwidthPackageId"] = package.as_str().into();
    served.does("RunInstances", asked).await;
    served.does("AllocateAddresses", json!({ "BandwidthPackageId": package })).await;
    let address = served.row("DescribeAddresses", "AddressSet", json!({})).await;
    let instance = served.row("DescribeInstances", "InstanceSet", json!({})).await;
    for told in [&address, &instance["InternetAccessible"]] {
        let agreed = (&told["BandwidthPackageId"], &told["InternetChargeType"]);
        assert_eq!(agreed, (&json!(package), &json!("BANDWIDTH_PACKAGE")), "{told}");
    }
    let members = json!({ "BandwidthPackageId": package });
    assert_eq!(served.total("DescribeBandwidthPackageResources", members).await, 2);
}
