//! Every action over a packet path that only remembers.

mod fuzz;
mod life;
mod lists;
mod told;

use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use super::super::call::{Call, Language};
use super::super::error::ApiError;
use super::*;
use crate::address::Time;
use crate::config::Config;
use crate::credentials::Access;
use crate::dataplane::Environment;
use crate::gateway::{Detached, Opened, Outside};

/// A gateway with eight addresses, its private ranges configured, and a clock that stands.
struct Served {
    handle: Handle,
    config: Config,
    turns: Turns,
    _stop: oneshot::Sender<()>,
    _directory: tempfile::TempDir,
}

impl Served {
    async fn with(change: impl FnOnce(&mut Config)) -> Served {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config {
            uplinks: vec!["eth0".parse().unwrap()],
            downlinks: vec!["eth1".parse().unwrap()],
            pools: vec!["8.8.8.0/29".parse().unwrap()],
            private_ranges: vec!["10.0.0.0/24".parse().unwrap()],
            state_dir: directory.path().join("state"),
            cool_down: std::time::Duration::ZERO,
            ..Config::default()
        };
        change(&mut config);
        let mut drawn = 0_u64;
        let chance = move || {
            drawn += 1;
            drawn.to_be_bytes()
        };
        let outside = Outside::new(|| Time(1_795_174_980_007), chance);
        let opened = Opened::new(&config, &Environment::default()).unwrap();
        let gateway = opened.take_over(Detached::default(), outside).await.unwrap();
        let (handle, jobs) = Handle::new();
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(gateway.run(jobs, async move {
            let _ = stopped.await;
        }));
        Served { handle, config, turns: Turns::default(), _stop: stop, _directory: directory }
    }

    async fn new() -> Served {
        Served::with(|_| {}).await
    }

    fn call(&self, account: &str, action: &str, params: Value) -> Call {
        Call {
            service_hint: None,
            account: account.parse().unwrap(),
            access: Access::ReadWrite,
            action: action.into(),
            version: "2017-03-12".into(),
            region: None,
            language: Language::English,
            params,
            request_id: "request-1".into(),
        }
    }

    async fn of(&self, account: &str, action: &str, params: Value) -> Result<Map<String, Value>, ApiError> {
        let call = self.call(account, action, params);
        dispatch(call, &self.handle, &self.config, &self.turns).await
    }

    async fn does(&self, action: &str, params: Value) -> Value {
        Value::Object(self.of("alice", action, params).await.unwrap())
    }

    async fn refuses(&self, action: &str, params: Value) -> String {
        self.of("alice", action, params).await.unwrap_err().code.into_owned()
    }

    /// Runs one with a public address.
    async fn run(&self) -> String {
        text(&self.does("RunInstances", run(1)).await["InstanceIdSet"][0])
    }

    async fn allocate(&self) -> String {
        text(&self.does("AllocateAddresses", json!({})).await["AddressSet"][0])
    }

    async fn public(&self, instance: &str) -> Value {
        let told = self.does("DescribeInstances", json!({"InstanceIds": [instance]})).await;
        told["InstanceSet"][0]["PublicIpAddresses"].clone()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn run(mbps: u32) -> Value {
    json!({
        "ImageId": "img-1",
        "Placement": { "Zone": "ap-guangzhou-3" },
        "InternetAccessible": { "InternetMaxBandwidthOut": mbps },
    })
}

#[tokio::test]
async fn an_instance_is_told_of_in_full() {
    let served = Served::new().await;
    let mut asked = run(5);
    asked["TagSpecification"] = json!([{"ResourceType": "instance", "Tags": [{"Key": "team", "Value": "net"}]}]);
    asked["InstanceName"] = "web".into();
    asked["SecurityGroupIds"] = json!(["sg-1"]);
    served.does("RunInstances", asked).await;
    let told = served.does("DescribeInstances", json!({})).await;
    assert_eq!(told["TotalCount"], 1);
    let row = &told["InstanceSet"][0];
    assert_eq!(row["InstanceId"], "ins-00000001");
    assert_eq!(row["Placement"]["Zone"], "ap-guangzhou-3");
    assert_eq!(row["PublicIpAddresses"], json!(["8.8.8.0"]));
    assert_eq!(row["PrivateIpAddresses"], json!(["10.0.0.1"]));
    assert_eq!(row["LoginSettings"], json!({}));
    assert_eq!(row["InstanceState"], "RUNNING");
    assert_eq!(row["CreatedTime"], "2026-11-20T11:43:00Z");
    assert_eq!(row["Tags"], json!([{"Key": "team", "Value": "net"}]));
    assert_eq!(row["LatestOperation"], "RunInstances");
    assert_eq!(row["LatestOperationRequestId"], "request-1");
    assert_eq!(row["InternetAccessible"]["InternetMaxBandwidthOut"], 5);
}

#[tokio::test]
async fn no_bandwidth_is_no_address() {
    let served = Served::new().await;
    for internet in [
        json!({}),
        json!({"InternetMaxBandwidthOut": 0}),
        json!({"InternetMaxBandwidthOut": 5, "PublicIpAssigned": false}),
    ] {
        let made = served.does("RunInstances", json!({"ImageId": "img-1", "InternetAccessible": internet})).await;
        assert_eq!(served.public(&text(&made["InstanceIdSet"][0])).await, Value::Null);
    }
    let asked = json!({"ImageId": "img-1", "InternetAccessible": {"PublicIpAssigned": true}});
    assert_eq!(served.refuses("RunInstances", asked).await, "InvalidParameter.InternetAccessibleNotSupported");
}

#[tokio::test]
async fn many_are_all_or_none_and_a_token_makes_them_once() {
    let served = Served::new().await;
    let mut asked = run(1);
    asked["InstanceCount"] = "9".into();
    assert_eq!(served.refuses("RunInstances", asked.clone()).await, "ResourcesSoldOut.EipInsufficient");
    assert_eq!(served.does("DescribeInstances", json!({})).await["TotalCount"], 0);
    asked["InstanceCount"] = "3".into();
    asked["ClientToken"] = "t-1".into();
    let made = served.does("RunInstances", asked.clone()).await;
    assert_eq!(served.does("RunInstances", asked.clone()).await, made);
    assert_eq!(made["InstanceIdSet"].as_array().unwrap().len(), 3);
    asked["InstanceCount"] = "2".into();
    assert_eq!(served.refuses("RunInstances", asked.clone()).await, "UnsupportedOperation.IdempotentParameterMismatch");
    asked["ClientToken"] = "x".repeat(65).into();
    assert_eq!(served.refuses("RunInstances", asked).await, "InvalidClientToken.TooLong");
    let mut dry = run(1);
    dry["DryRun"] = "True".into();
    assert_eq!(served.does("RunInstances", dry).await, json!({}));
    assert_eq!(served.does("DescribeInstances", json!({})).await["TotalCount"], 3);
}

#[tokio::test]
async fn what_is_asked_wrongly_is_refused_by_its_code() {
    let served = Served::new().await;
    let instance = served.run().await;
    let eip = served.allocate().await;
    let taken = json!({"ImageId": "i", "VirtualPrivateCloud": {"PrivateIpAddresses": ["10.0.0.1"]}});
    let outside = json!({"ImageId": "i", "VirtualPrivateCloud": {"PrivateIpAddresses": ["10.9.0.1"]}});
    let vpc = json!({"ImageId": "i", "VirtualPrivateCloud": {"VpcId": "vpc-other"}});
    let package = json!({"ImageId": "i", "InternetAccessible": {"BandwidthPackageId": "bwp-12345678"}});
    let unshared = |mut asked: Value| {
        let internet = json!({"InternetMaxBandwidthOut": 5, "InternetChargeType": "BANDWIDTH_PACKAGE"});
        asked["InternetAccessible"] = internet;
        asked
    };
    let (i, e) = (instance.as_str(), eip.as_str());
    for (action, params, code) in [
        ("RunInstances", json!({}), "MissingParameter"),
        ("RunInstances", json!({"ImageId": "i", "InstanceCount": 501}), "InvalidParameterValue.Range"),
        ("RunInstances", json!({"ImageId": "i", "InstanceCount": "many"}), "InvalidParameter"),
        ("RunInstances", run(101), "InvalidParameterValue.Range"),
        ("RunInstances", taken, "VpcIpIsUsed"),
        ("RunInstances", outside, "VpcAddrNotInSubNet"),
        ("RunInstances", vpc, "InvalidVpcId.NotFound"),
        ("RunInstances", package, "InvalidParameterValue.BandwidthPackageIdNotFound"),
        (
            "RunInstances",
            json!({"ImageId": "i", "UserData": "#!/bin/sh"}),
            "InvalidParameterValue.InvalidUserDataFormat",
        ),
        (
            "ModifyInstancesAttribute",
            json!({"InstanceIds": [i], "UserData": "AAAA".repeat(5462)}),
            "InvalidParameterValue.LimitExceeded",
        ),
        ("DescribeInstances", json!({"InstanceIds": ["i-1"]}), "InvalidInstanceId.Malformed"),
        ("DescribeInstances", json!({"Filters": [{"Name": "colour", "Values": ["red"]}]}), "InvalidFilter"),
        (
            "DescribeInstances",
            json!({"InstanceIds": [i], "Filters": [{"Name": "zone", "Values": ["z"]}]}),
            "InvalidParameter",
        ),
        (
            "DescribeInstances",
            json!({"Filters": [{"Name": "zone", "Values": ["1", "2", "3", "4", "5", "6"]}]}),
            "InvalidFilterValue.LimitExceeded",
        ),
        ("DescribeAddresses", json!({"Limit": 101}), "InvalidParameterValue.LimitExceeded"),
        ("DescribeAddresses", json!({"AddressIds": ["eip"]}), "InvalidParameterValue.AddressIdMalformed"),
        ("DescribeAddresses", json!({"Filters": [{"Name": "x", "Values": ["y"]}]}), "InvalidParameter.InvalidFilter"),
        ("TerminateInstances", json!({"InstanceIds": ["ins-zzzzzzzz"]}), "InvalidInstanceId.NotFound"),
        ("TerminateInstances", json!({}), "MissingParameter"),
        ("StartInstances", json!({"InstanceIds": [i]}), "UnsupportedOperation.InstanceStateRunning"),
        ("AssociateAddress", json!({"AddressId": e}), "InvalidParameterValue.MissingAssociateEntity"),
        (
            "AssociateAddress",
            json!({"AddressId": e, "InstanceId": i, "NetworkInterfaceId": "eni-1"}),
            "InvalidParameterConflict",
        ),
        ("AssociateAddress", json!({"AddressId": "eip-zzzzzzzz", "InstanceId": i}), "InvalidAddressId.NotFound"),
        ("DisassociateAddress", json!({"AddressId": e}), "UnsupportedOperation.AddressStatusNotPermit"),
        ("ReturnNormalAddresses", json!({"AddressIps": ["8.8.8.7"]}), "InvalidParameterValue.AddressIpsNotFound"),
        ("ReturnNormalAddresses", json!({"AddressIps": ["8.8.8.0"]}), "UnsupportedOperation"),
        (
            "ModifyAddressesBandwidth",
            json!({"AddressIds": [e], "InternetMaxBandwidthOut": 101}),
            "InvalidParameterValue.BandwidthOutOfRange",
        ),
        (
            "ModifyAddressInternetChargeType",
            json!({"AddressId": e, "InternetChargeType": "TRAFFIC_POSTPAID_BY_HOUR"}),
            "InvalidParameterValue.InternetChargeTypeNotChanged",
        ),
        ("DescribeTaskResult", json!({}), "MissingParameter"),
        ("DescribeTaskResult", json!({"TaskId": 12345}), "InvalidParameterValue"),
        (
            "DeleteBandwidthPackage",
            json!({"BandwidthPackageId": "bwp-x"}),
            "InvalidParameterValue.BandwidthPackageNotFound",
        ),
        ("RunInstances", unshared(json!({"ImageId": "i"})), "InvalidParameterCombination"),
        ("AllocateAddresses", json!({"InternetChargeType": "BANDWIDTH_PACKAGE"}), "InvalidParameterValue.Combination"),
        (
            "ModifyAddressInternetChargeType",
            json!({"AddressId": e, "InternetChargeType": "BANDWIDTH_PACKAGE"}),
            "InvalidParameterValue.Combination",
        ),
        (
            "ResetInstancesInternetMaxBandwidth",
            unshared(json!({"InstanceIds": [i]})),
            "InvalidParameterValue.Combination",
        ),
        ("AllocateAddresses", json!({"Egress": "center_egress2"}), "InvalidParameterValue.UnsupportedEgress"),
        ("AllocateAddresses", json!({"IPChargeType": "IP_PREPAID_BY_MONTH"}), "InvalidParameterValue.Combination"),
        ("AllocateAddresses", json!({"AnycastZone": "ANYCAST_ZONE_GLOBAL"}), "InvalidParameterValue.Combination"),
        ("AllocateAddresses", json!({"AddressChargePrepaid": {"AutoRenewFlag": 3}}), "InvalidParameterValue.Range"),
        (
            "AssociateAddress",
            json!({"AddressId": e, "InstanceId": i, "EipDirectConnection": "True"}),
            "UnsupportedOperation",
        ),
        (
            "ModifyAddressAttribute",
            json!({"AddressId": e, "EipVisibleOnEni": true}),
            "UnsupportedOperation.ModifyAddressAttribute",
        ),
        ("InquireNothing", json!({}), "InvalidAction"),
    ] {
        assert_eq!(served.refuses(action, params.clone()).await, code, "{action} {params}");
    }
    assert_eq!(served.public(i).await, json!(["8.8.8.0"]));
    let nobody = served.does("DescribeAddresses", json!({"AddressIds": ["eip-zzzzzzzz"]})).await;
    assert_eq!(nobody, json!({"TotalCount": 0, "AddressSet": []}));
}

#[tokio::test]
async fn an_eip_is_bound_unbound_and_released() {
    let served = Served::new().await;
    let (instance, eip) = (served.run().await, served.allocate().await);
    let bound = served.does("AssociateAddress", json!({"AddressId": eip, "InstanceId": instance})).await;
    let task: u64 = text(&bound["TaskId"]).parse().unwrap();
    let result = served.does("DescribeTaskResult", json!({"TaskId": task})).await;
    assert_eq!(result, json!({"TaskId": task, "Result": "SUCCESS"}));
    let others = served.of("bob", "DescribeTaskResult", json!({"TaskId": task})).await.unwrap_err();
    assert_eq!(others.code, "InvalidParameterValue");
    let told = served.does("DescribeAddresses", json!({"AddressIds": [eip]})).await;
    let row = &told["AddressSet"][0];
    assert_eq!((&row["AddressStatus"], &row["InstanceId"]), (&json!("BIND"), &json!(instance)));
    assert_eq!(row["InternetChargeType"], "TRAFFIC_POSTPAID_BY_HOUR");
    assert_eq!(served.public(&instance).await, json!([row["AddressIp"]]));
    let again = json!({"AddressId": eip, "InstanceId": instance});
    assert_eq!(served.refuses("AssociateAddress", again).await, "UnsupportedOperation.AddressStatusNotPermit");
    assert_eq!(served.refuses("ReleaseAddresses", json!({"AddressIds": [eip]})).await, "InvalidAddressState");
    served.does("DisassociateAddress", json!({"AddressId": eip, "ReallocateNormalPublicIp": "false"})).await;
    assert_eq!(served.public(&instance).await, Value::Null);
    let card = instance.replace("ins-", "eni-");
    let by_card = json!({"AddressId": eip, "NetworkInterfaceId": card, "PrivateIpAddress": "10.0.0.1"});
    served.does("AssociateAddress", by_card).await;
    served.does("DisassociateAddress", json!({"AddressId": eip})).await;
    let ordinary = served.public(&instance).await;
    assert!(ordinary != json!(["8.8.8.0"]) && ordinary != json!([row["AddressIp"]]) && ordinary != Value::Null);
    served.does("ReleaseAddresses", json!({"AddressIds": [eip]})).await;
    assert_eq!(served.does("DescribeAddresses", json!({})).await["TotalCount"], 0);
}

#[tokio::test]
async fn ordinary_addresses_are_shown_only_to_those_who_ask_for_them() {
    let served = Served::new().await;
    let (instance, _) = (served.run().await, served.allocate().await);
    let wan = json!({"Filters": [{"Name": "address-type", "Values": ["WanIP"]}]});
    let told = served.does("DescribeAddresses", wan).await;
    assert_eq!(told["TotalCount"], 1);
    assert_eq!(told["AddressSet"][0]["AddressType"], "WanIP");
    assert_eq!(told["AddressSet"][0]["InstanceId"], json!(instance));
    for (name, value, total) in [
        ("instance-id", instance.as_str(), 0),
        ("address-ip", "8.8.8.0", 0),
        ("address-ip", "8.8.8.1", 1),
        ("address-status", "UNBIND", 1),
        ("address-status", "BIND", 0),
        ("business-type", "CDC", 0),
        ("tag:team", "net", 0),
        ("is-arrears", "false", 1),
    ] {
        let told = served.does("DescribeAddresses", json!({"Filters": [{"Name": name, "Values": [value]}]})).await;
        assert_eq!(told["TotalCount"], total, "{name} {value}");
    }
    let eip = served.does("TransformAddress", json!({"InstanceId": instance})).await;
    assert!(eip["TaskId"].is_u64());
    assert_eq!(served.public(&instance).await, json!(["8.8.8.0"]));
    let again = served.refuses("TransformAddress", json!({"InstanceId": instance})).await;
    assert_eq!(again, "InvalidParameterValue.InstanceHasNoWanIP");
}

#[tokio::test]
async fn filters_find_and_pages_follow() {
    let served = Served::new().await;
    let mut five = run(1);
    five["InstanceCount"] = 5.into();
    five["InstanceName"] = "web".into();
    served.does("RunInstances", five).await;
    let page = served.does("DescribeInstances", json!({"Offset": 3, "Limit": 100})).await;
    let ids: Vec<String> = page["InstanceSet"].as_array().unwrap().iter().map(|row| text(&row["InstanceId"])).collect();
    assert_eq!((page["TotalCount"].as_u64(), ids.len()), (Some(5), 2));
    for (name, values, total) in [
        ("instance-name", vec!["web1", "web5"], 2),
        ("private-ip-address", vec!["10.0.0.3"], 1),
        ("public-ip-address", vec!["8.8.8.1", "8.8.8.2", "1.1.1.1"], 2),
        ("instance-state", vec!["RUNNING"], 5),
        ("instance-state", vec!["STOPPED"], 0),
        ("vpc-id", vec!["vpc-default"], 5),
        ("zone", vec!["ap-guangzhou-3"], 5),
        ("creation-start-time", vec!["2030-01-01T00:00:00Z"], 0),
    ] {
        let told = served.does("DescribeInstances", json!({"Filters": [{"Name": name, "Values": values}]})).await;
        assert_eq!(told["TotalCount"], total, "{name}");
    }
    let both =
        json!([{"Name": "instance-name", "Values": ["web1"]}, {"Name": "private-ip-address", "Values": ["10.0.0.2"]}]);
    assert_eq!(served.does("DescribeInstances", json!({"Filters": both})).await["TotalCount"], 0);
}

#[tokio::test]
async fn accounts_do_not_see_each_other() {
    let served = Served::new().await;
    let (instance, eip) = (served.run().await, served.allocate().await);
    for (action, params, code) in [
        ("TerminateInstances", json!({"InstanceIds": [instance]}), "InvalidInstanceId.NotFound"),
        ("StopInstances", json!({"InstanceIds": [instance]}), "InvalidInstanceId.NotFound"),
        ("ReleaseAddresses", json!({"AddressIds": [eip]}), "InvalidAddressId.NotFound"),
        ("ModifyAddressAttribute", json!({"AddressId": eip, "AddressName": "x"}), "InvalidAddressId.NotFound"),
        ("AssociateAddress", json!({"AddressId": eip, "InstanceId": instance}), "InvalidAddressId.NotFound"),
        ("TransformAddress", json!({"InstanceId": instance}), "InvalidInstanceId.NotFound"),
        ("ReturnNormalAddresses", json!({"AddressIps": ["8.8.8.0"]}), "InvalidParameterValue.AddressIpsNotFound"),
    ] {
        let refused = served.of("bob", action, params).await.unwrap_err();
        assert_eq!(refused.code, code, "{action}");
    }
    for filter in [json!([]), json!([{"Name": "public-ip-address", "Values": ["8.8.8.0"]}])] {
        let told = served.of("bob", "DescribeInstances", json!({"Filters": filter})).await.unwrap();
        assert_eq!(told["TotalCount"], 0);
    }
}

#[tokio::test]
async fn stopping_protecting_and_renaming() {
    let served = Served::new().await;
    let instance = served.run().await;
    let one = json!({"InstanceIds": [instance]});
    served.does("StopInstances", json!({"InstanceIds": [instance], "StoppedMode": "STOP_CHARGING"})).await;
    assert_eq!(served.public(&instance).await, Value::Null);
    let statuses = served.does("DescribeInstancesStatus", one.clone()).await;
    assert_eq!(statuses["InstanceStatusSet"][0]["InstanceState"], "STOPPED");
    assert_eq!(served.refuses("RebootInstances", one.clone()).await, "UnsupportedOperation.InstanceStateStopped");
    let eip = served.allocate().await;
    let bind = json!({"AddressId": eip, "InstanceId": instance});
    assert_eq!(served.refuses("AssociateAddress", bind).await, "UnsupportedOperation.InstanceStatusNotPermit");
    served.does("StartInstances", one.clone()).await;
    assert_ne!(served.public(&instance).await, Value::Null);
    served.does("RebootInstances", one.clone()).await;
    let protect = json!({"InstanceIds": [instance], "DisableApiTermination": true, "InstanceName": "db"});
    served.does("ModifyInstancesAttribute", protect).await;
    assert_eq!(served.refuses("TerminateInstances", one.clone()).await, "UnsupportedOperation.InstancesProtected");
    let release = json!({"InstanceIds": [instance], "DisableApiTermination": false});
    served.does("ModifyInstancesAttribute", release).await;
    let reset = json!({"InstanceIds": [instance], "InternetAccessible": {"InternetMaxBandwidthOut": 7}});
    served.does("ResetInstancesInternetMaxBandwidth", reset).await;
    let told =
        served.does("DescribeInstances", json!({"Filters": [{"Name": "instance-name", "Values": ["db"]}]})).await;
    assert_eq!(told["InstanceSet"][0]["InternetAccessible"]["InternetMaxBandwidthOut"], 7);
    assert_eq!(told["InstanceSet"][0]["LatestOperation"], "ResetInstancesInternetMaxBandwidth");
    served.does("TerminateInstances", one).await;
    assert_eq!(served.does("DescribeInstances", json!({})).await["TotalCount"], 0);
}

#[tokio::test]
async fn packages_share_and_charge_types_change_twice() {
    let served = Served::new().await;
    let eip = served.allocate().await;
    let made = served
        .does("CreateBandwidthPackage", json!({"BandwidthPackageName": "office", "InternetMaxBandwidth": 50}))
        .await;
    let package = text(&made["BandwidthPackageId"]);
    let both = json!({"BandwidthPackageId": package, "ResourceIds": [eip], "ResourceType": "Address"});
    served.does("AddBandwidthPackageResources", both.clone()).await;
    let twice = served.refuses("AddBandwidthPackageResources", both.clone()).await;
    assert_eq!(twice, "InvalidParameterValue.ResourceAlreadyExisted");
    let one = json!({"BandwidthPackageId": package});
    assert_eq!(
        served.refuses("DeleteBandwidthPackage", one.clone()).await,
        "InvalidParameterValue.BandwidthPackageInUse"
    );
    let filter = json!({"Filters": [{"Name": "resource.resource-id", "Values": [eip]}]});
    let told = served.does("DescribeBandwidthPackages", filter).await;
    assert_eq!(told["BandwidthPackageSet"][0]["ResourceSet"][0]["ResourceId"], json!(eip));
    assert_eq!(told["BandwidthPackageSet"][0]["Bandwidth"], 50);
    served
        .does("ModifyBandwidthPackageBandwidth", json!({"BandwidthPackageId": package, "InternetMaxBandwidth": -1}))
        .await;
    served.does("RemoveBandwidthPackageResources", both).await;
    assert_eq!(served.does("DescribeBandwidthPackageResources", one.clone()).await["TotalCount"], 0);
    served.does("DeleteBandwidthPackage", one).await;
    let to = |kind: &str| json!({"AddressId": eip, "InternetChargeType": kind});
    served.does("ModifyAddressInternetChargeType", to("BANDWIDTH_POSTPAID_BY_HOUR")).await;
    served.does("ModifyAddressInternetChargeType", to("BANDWIDTH_PREPAID_BY_MONTH")).await;
    let third = served.refuses("ModifyAddressInternetChargeType", to("TRAFFIC_POSTPAID_BY_HOUR")).await;
    assert_eq!(third, "LimitExceeded.ModifyAddressInternetChargeTypeQuota");
    let told = served.does("DescribeAddresses", json!({})).await;
    assert_eq!(told["AddressSet"][0]["InternetChargeType"], "BANDWIDTH_PREPAID_BY_MONTH");
}

#[tokio::test]
async fn quotas_count_eips_only_and_an_empty_pool_is_told() {
    let served = Served::with(|config| config.eips_per_account = 2).await;
    served.run().await;
    assert_eq!(served.refuses("AllocateAddresses", json!({"AddressCount": 3})).await, "AddressQuotaLimitExceeded");
    let two = served.does("AllocateAddresses", json!({"AddressCount": 2, "ClientToken": "a"})).await;
    let again = served.does("AllocateAddresses", json!({"AddressCount": 2, "ClientToken": "a"})).await;
    assert_eq!(two["AddressSet"], again["AddressSet"]);
    let quotas = served.does("DescribeAddressQuota", json!({})).await;
    let total = &quotas["QuotaSet"][0];
    assert_eq!((&total["QuotaCurrent"], &total["QuotaLimit"]), (&json!(2), &json!(2)));
    let unlimited = Served::with(|config| config.eips_per_account = 0).await;
    let many = unlimited.refuses("AllocateAddresses", json!({"AddressCount": 9})).await;
    assert_eq!(many, "ResourceInsufficient");
}

#[tokio::test]
async fn what_terraform_asks_on_the_way_is_answered() {
    let served = Served::new().await;
    let instance = served.run().await;
    let tagged = json!({"Tags": [{"Key": "team", "Value": "net"}]});
    let eip = text(&served.does("AllocateAddresses", tagged).await["AddressSet"][0]);
    for (action, params) in [
        ("DescribeImages", json!({"ImageIds": ["img-1"]})),
        ("DescribeInstancesAttributes", json!({"InstanceIds": [instance], "Attributes": ["UserData"]})),
        ("DescribeDisks", json!({"Filters": []})),
        ("DescribeUsedIpAddress", json!({"VpcId": "vpc-default", "IpAddresses": ["10.0.0.1"]})),
        ("DescribeZones", json!({})),
        ("DescribeRegions", json!({})),
        ("DescribeNetworkAccountType", json!({})),
        ("DescribeInternetChargeTypeConfigs", json!({})),
        ("DescribeAddressBandwidthRange", json!({"AddressIds": [eip]})),
        ("DescribeBandwidthPackageQuota", json!({})),
    ] {
        served.does(action, params).await;
    }
    let tags = served.does("DescribeResourceTagsByResourceIds", json!({"ResourceIds": [eip]})).await;
    assert_eq!(tags["Tags"][0]["TagKey"], "team");
    served.does("ReleaseAddresses", json!({"AddressIds": [eip]})).await;
    let gone = json!({"AddressIds": [eip], "Filters": [{"Name": "business-type", "Values": ["CDC"]}]});
    assert_eq!(served.does("DescribeAddresses", gone).await["TotalCount"], 0);
}

#[tokio::test]
async fn what_is_not_offered_is_refused_by_its_name_and_everything_else_is_done_by_something() {
    let served = Served::new().await;
    for action in ACTIONS {
        assert_eq!(action.extent == Extent::Not, action.run.is_none(), "{}", action.name);
        if action.extent == Extent::Not {
            let refused = served.of("alice", action.name, json!({})).await.unwrap_err();
            assert_eq!(refused.code, "InvalidAction");
            assert_eq!(refused.message, format!("{} is not offered here", action.name));
        }
    }
    let names: std::collections::BTreeSet<_> = ACTIONS.iter().map(|action| action.name).collect();
    assert_eq!(names.len(), ACTIONS.len(), "an action is there twice");
}

#[test]
fn the_readme_says_what_there_is() {
    let readme = include_str!("../../../../README.md");
    let table = capabilities();
    assert!(readme.contains(&table), "put this table into the README:\n{table}");
}
