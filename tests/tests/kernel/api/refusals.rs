//! Every refusal that the cloud documents for what the gateway does, as a client is told of it. What cannot happen here has no
//! row: nothing takes time, so no task is ever in the way, and an instance has one network card with one address.

use std::fs;
use std::path::Path;

use lab::clients::go::{self, Found};
use lab::clients::{Call, installed};
use lab::lab::edges::USER;
use lab::lab::{A, B, C, Lab, SOON, wait};
use serde_json::{Value, json};

use super::{OTHER, PYTHON, TCCLI, User, answers, instance, refused, serving, serving_with, text, user};

/// A call, and the code it is refused with.
type Row<'a> = (Call<'a>, &'a str);

/// What the table is played on.
struct Estate {
    /// Running, with an ordinary address, and another without.
    web: String,
    plain: String,
    /// Running, with an EIP.
    served: String,
    bound: String,
    /// Stopped without charge.
    off: String,
    /// Not to be terminated.
    guarded: String,
    prepaid: String,
    free: String,
    blocked: String,
    unpaid: String,
    /// Charged otherwise than at first, twice.
    changed: String,
    /// Of the package, and the package.
    shared: String,
    package: String,
    empty: String,
}

impl Estate {
    fn new(lab: &Lab, user: &User<'_>) -> Estate {
        let run = |last: u8, change: &dyn Fn(&mut Value)| {
            let mut asked = instance([10, 0, 0, last].into(), 0);
            change(&mut asked);
            text(&user.does("cvm", "RunInstances", asked)["InstanceIdSet"][0])
        };
        let allocated = user.does("vpc", "AllocateAddresses", json!({ "AddressCount": 6 }));
        let eips: Vec<String> = allocated["AddressSet"].as_array().unwrap().iter().map(text).collect();
        let [bound, free, blocked, unpaid, changed, shared] = eips.try_into().unwrap();
        let package = |name: &str| {
            let made = user.does("vpc", "CreateBandwidthPackage", json!({ "BandwidthPackageName": name }));
            text(&made["BandwidthPackageId"])
        };
        let web = user.run(A, 5);
        let estate = Estate {
            plain: run(21, &|_| {}),
            served: user.run(B, 0),
            off: user.run(C, 0),
            guarded: run(22, &|asked| asked["DisableApiTermination"] = true.into()),
            prepaid: run(23, &|asked| {
                asked["InstanceChargeType"] = "PREPAID".into();
                asked["InstanceChargePrepaid"] = json!({ "Period": 1 });
            }),
            package: package("shared"),
            empty: package("empty"),
            web,
            bound,
            free,
            blocked,
            unpaid,
            changed,
            shared,
        };
        user.bind(&estate.bound, &estate.served);
        user.does("cvm", "StopInstances", json!({ "InstanceIds": [estate.off], "StoppedMode": "STOP_CHARGING" }));
        lab.daemon.tell(&["eip", "modify", &estate.blocked, "--blocked", "yes"]).unwrap();
        lab.daemon.tell(&["eip", "modify", &estate.unpaid, "--arrears", "yes"]).unwrap();
        for charge in ["BANDWIDTH_POSTPAID_BY_HOUR", "TRAFFIC_POSTPAID_BY_HOUR"] {
            let to = json!({ "AddressId": estate.changed, "InternetChargeType": charge });
            user.does("vpc", "ModifyAddressInternetChargeType", to);
        }
        let members = json!({ "BandwidthPackageId": estate.package, "ResourceIds": [estate.shared] });
        user.does("vpc", "AddBandwidthPackageResources", members);
        user.does("vpc", "AllocateAddresses", json!({ "ClientToken": "spent" }));
        estate
    }

    /// RunInstances, Describe…, Terminate…, and what else an instance is asked.
    fn of_instances(&self) -> Vec<Row<'_>> {
        let Estate { web, plain, off, guarded, prepaid, empty, .. } = self;
        let cvm = |action, request, code| (("cvm", action, request), code);
        let run = |change: &dyn Fn(&mut Value), code| {
            let mut asked = instance([10, 0, 0, 30].into(), 1);
            change(&mut asked);
            (("cvm", "RunInstances", asked), code)
        };
        let internet = |field: &'static str, value: Value| {
            move |asked: &mut Value| asked["InternetAccessible"][field] = value.clone()
        };
        let network = |field: &'static str, value: Value| {
            move |asked: &mut Value| asked["VirtualPrivateCloud"][field] = value.clone()
        };
        let field = |field: &'static str, value: Value| move |asked: &mut Value| asked[field] = value.clone();
        let many: Vec<String> = (0..101).map(|number| format!("ins-{number:08}")).collect();
        let filters = |name: &str, values: usize| json!({ "Filters": [{ "Name": name, "Values": vec!["x"; values] }] });
        let eleven = json!({ "Filters": vec![json!({ "Name": "zone", "Values": ["x"] }); 11] });
        let ids = |id: &str| json!({ "InstanceIds": [id] });
        vec![
            run(&field("ImageId", Value::Null), "MissingParameter"),
            run(&field("InstanceCount", json!(0)), "InvalidParameterValue.Range"),
            run(&field("InstanceCount", json!(501)), "InvalidParameterValue.Range"),
            run(&field("InstanceCount", json!("many")), "InvalidParameter"),
            run(&field("MinCount", json!(2)), "InvalidParameterValue.InvalidParameterMinCount"),
            run(&field("MinCount", json!(0)), "InvalidParameterValue.InvalidParameterMinCount"),
            run(&field("ClientToken", json!("x".repeat(65))), "InvalidClientToken.TooLong"),
            run(&field("ClientToken", json!("with blank")), "InvalidParameterValue"),
            run(&field("Placement", json!({ "Zone": "eu-frankfurt-1" })), "InvalidZone.MismatchRegion"),
            run(&field("InstanceChargeType", json!("SPOTPAID")), "UnsupportedOperation.InstanceChargeType"),
            run(&field("InstanceChargeType", json!("PREPAID")), "MissingParameter"),
            run(&field("UserData", json!("x".repeat(22_000))), "InvalidParameterValue.LimitExceeded"),
            run(&field("UserData", json!("#!/bin/sh")), "InvalidParameterValue.InvalidUserDataFormat"),
            run(&internet("InternetMaxBandwidthOut", json!(101)), "InvalidParameterValue.Range"),
            run(&internet("InternetMaxBandwidthOut", json!(-1)), "InvalidParameterValue.Range"),
            run(&internet("InternetChargeType", json!("BY_MOONLIGHT")), "InvalidParameterValue"),
            run(&internet("InternetChargeType", json!("BANDWIDTH_PACKAGE")), "InvalidParameterCombination"),
            run(&internet("BandwidthPackageId", json!(empty)), "InvalidParameterCombination"),
            run(
                &internet("BandwidthPackageId", json!("bwp-00000000")),
                "InvalidParameterValue.BandwidthPackageIdNotFound",
            ),
            run(
                &field("InternetAccessible", json!({ "PublicIpAssigned": true })),
                "InvalidParameter.InternetAccessibleNotSupported",
            ),
            run(&network("VpcId", json!("vpc-00000000")), "InvalidVpcId.NotFound"),
            run(&network("PrivateIpAddresses", json!([A])), "VpcIpIsUsed"),
            run(&network("PrivateIpAddresses", json!(["203.0.113.9"])), "VpcAddrNotInSubNet"),
            run(&network("PrivateIpAddresses", json!(["10.0.0"])), "InvalidParameterValue.IPAddressMalformed"),
            run(&network("PrivateIpAddresses", json!(["10.0.0.31", "10.0.0.32"])), "InvalidParameterCombination"),
            cvm("DescribeInstances", ids("web"), "InvalidInstanceId.Malformed"),
            cvm("DescribeInstances", json!({ "InstanceIds": many }), "InvalidParameterValue.LimitExceeded"),
            cvm("DescribeInstances", filters("colour", 1), "InvalidFilter"),
            cvm("DescribeInstances", filters("zone", 6), "InvalidFilterValue.LimitExceeded"),
            cvm("DescribeInstances", eleven, "InvalidFilterValue.LimitExceeded"),
            cvm("DescribeInstances", json!({ "Limit": 101 }), "InvalidParameterValue.LimitExceeded"),
            cvm("DescribeInstances", json!({ "Offset": -1 }), "InvalidParameterValue"),
            cvm(
                "DescribeInstances",
                json!({ "InstanceIds": [web], "Filters": [{ "Name": "zone", "Values": ["x"] }] }),
                "InvalidParameter",
            ),
            cvm("TerminateInstances", json!({}), "MissingParameter"),
            cvm("TerminateInstances", ids("ins-1"), "InvalidInstanceId.Malformed"),
            cvm("TerminateInstances", ids("ins-00000000"), "InvalidInstanceId.NotFound"),
            cvm("TerminateInstances", ids(guarded), "UnsupportedOperation.InstancesProtected"),
            cvm(
                "TerminateInstances",
                json!({ "InstanceIds": [web, guarded] }),
                "UnsupportedOperation.InstancesProtected",
            ),
            cvm("TerminateInstances", json!({ "InstanceIds": [web, "ins-00000000"] }), "InvalidInstanceId.NotFound"),
            cvm("StartInstances", ids(web), "UnsupportedOperation.InstanceStateRunning"),
            cvm("StopInstances", ids(off), "UnsupportedOperation.InstanceStateStopped"),
            cvm("StopInstances", json!({ "InstanceIds": [web, off] }), "UnsupportedOperation.InstanceStateStopped"),
            cvm("StopInstances", json!({ "InstanceIds": [web], "StopType": "GENTLE" }), "InvalidParameterValue"),
            cvm(
                "StopInstances",
                json!({ "InstanceIds": [prepaid], "StoppedMode": "STOP_CHARGING" }),
                "UnsupportedOperation.StoppedModeStopCharging",
            ),
            cvm("RebootInstances", ids(off), "UnsupportedOperation.InstanceStateStopped"),
            cvm(
                "ResetInstancesInternetMaxBandwidth",
                json!({ "InstanceIds": [web], "InternetAccessible": { "InternetMaxBandwidthOut": 0 } }),
                "InvalidParameterValue.BandwidthTooSmall",
            ),
            cvm(
                "ResetInstancesInternetMaxBandwidth",
                json!({ "InstanceIds": [plain], "InternetAccessible": { "InternetMaxBandwidthOut": 101 } }),
                "InvalidParameterValue.BandwidthOutOfRange",
            ),
            cvm(
                "ResetInstancesInternetMaxBandwidth",
                json!({ "InstanceIds": [plain], "InternetAccessible": {
                    "InternetMaxBandwidthOut": 5, "InternetChargeType": "BANDWIDTH_PACKAGE" } }),
                "InvalidParameterValue.Combination",
            ),
            cvm(
                "ModifyInstancesAttribute",
                json!({ "InstanceIds": [web], "UserData": "IyEvYmlu*" }),
                "InvalidParameterValue.InvalidUserDataFormat",
            ),
            cvm(
                "ModifyInstancesAttribute",
                json!({ "InstanceIds": [web], "UserData": "x".repeat(22_000) }),
                "InvalidParameterValue.LimitExceeded",
            ),
            (
                ("vpc", "DeleteBandwidthPackage", json!({ "BandwidthPackageId": empty[1..] })),
                "InvalidParameterValue.BandwidthPackageNotFound",
            ),
        ]
    }

    /// What EIPs, packages and ordinary addresses are asked.
    fn of_addresses(&self) -> Vec<Row<'_>> {
        let Estate { web, plain, served, bound, off, free, blocked, unpaid, changed, shared, package, empty, .. } =
            self;
        let vpc = |action, request, code| (("vpc", action, request), code);
        let bind = |eip: &str, instance: &str, code| {
            vpc("AssociateAddress", json!({ "AddressId": eip, "InstanceId": instance }), code)
        };
        let card = |eip: &str, card: &str, private: &str, code| {
            let request = json!({ "AddressId": eip, "NetworkInterfaceId": card, "PrivateIpAddress": private });
            vpc("AssociateAddress", request, code)
        };
        let filters = |name: &str, values: usize| json!({ "Filters": [{ "Name": name, "Values": vec!["x"; values] }] });
        let cards = [served, plain].map(|id| id.replace("ins-", "eni-"));
        let members = |package: &str, id: &str| json!({ "BandwidthPackageId": package, "ResourceIds": [id] });
        let many: Vec<String> = (0..101).map(|number| format!("eip-{number:08}")).collect();
        vec![
            vpc("AllocateAddresses", json!({ "AddressCount": 0 }), "InvalidParameterValue.Range"),
            vpc("AllocateAddresses", json!({ "AddressCount": 21 }), "InvalidParameterValue.Range"),
            vpc("AllocateAddresses", json!({ "AddressCount": 20 }), "AddressQuotaLimitExceeded"),
            vpc(
                "AllocateAddresses",
                json!({ "InternetMaxBandwidthOut": 101 }),
                "InvalidParameterValue.BandwidthOutOfRange",
            ),
            vpc(
                "AllocateAddresses",
                json!({ "InternetMaxBandwidthOut": 0 }),
                "InvalidParameterValue.BandwidthTooSmall",
            ),
            vpc(
                "AllocateAddresses",
                json!({ "AddressType": "AnycastEIP" }),
                "InvalidParameterValue.AddressTypeConflict",
            ),
            vpc(
                "AllocateAddresses",
                json!({ "VipCluster": ["192.0.2.77"] }),
                "InvalidParameterValue.AddressIpNotAvailable",
            ),
            vpc("AllocateAddresses", json!({ "VipCluster": ["seven"] }), "InvalidParameterValue.AddressIpNotAvailable"),
            vpc("AllocateAddresses", json!({ "InternetServiceProvider": "NOBODY" }), "InvalidParameterValue"),
            vpc(
                "AllocateAddresses",
                json!({ "BandwidthPackageId": "bwp-00000000" }),
                "InvalidParameterValue.BandwidthPackageNotFound",
            ),
            vpc(
                "AllocateAddresses",
                json!({ "BandwidthPackageId": package, "InternetChargeType": "TRAFFIC_POSTPAID_BY_HOUR" }),
                "InvalidParameterValue.Combination",
            ),
            vpc(
                "AllocateAddresses",
                json!({ "InternetChargeType": "BANDWIDTH_PACKAGE" }),
                "InvalidParameterValue.Combination",
            ),
            vpc("AllocateAddresses", json!({ "Egress": "center_egress2" }), "InvalidParameterValue.UnsupportedEgress"),
            vpc(
                "AllocateAddresses",
                json!({ "IPChargeType": "IP_PREPAID_BY_MONTH" }),
                "InvalidParameterValue.Combination",
            ),
            vpc(
                "AllocateAddresses",
                json!({ "AntiDDoSPackageId": "bgp-12345678" }),
                "InvalidParameterValue.Combination",
            ),
            vpc(
                "AllocateAddresses",
                json!({ "InternetChargeType": "BANDWIDTH_PREPAID_BY_MONTH", "AddressChargePrepaid": { "Period": 1, "AutoRenewFlag": 3 } }),
                "InvalidParameterValue.Range",
            ),
            vpc("AllocateAddresses", json!({ "ClientToken": "x".repeat(65) }), "InvalidClientToken.TooLong"),
            vpc(
                "AllocateAddresses",
                json!({ "ClientToken": "spent", "AddressName": "other" }),
                "UnsupportedOperation.IdempotentParameterMismatch",
            ),
            bind("door", web, "InvalidParameterValue.AddressIdMalformed"),
            bind("eip-00000000", web, "InvalidAddressId.NotFound"),
            bind(free, "web", "InvalidInstanceId.Malformed"),
            bind(free, "ins-00000000", "InvalidInstanceId.NotFound"),
            bind(bound, web, "UnsupportedOperation.AddressStatusNotPermit"),
            bind(free, served, "InvalidInstanceId.AlreadyBindEip"),
            bind(free, off, "UnsupportedOperation.InstanceStatusNotPermit"),
            bind(blocked, web, "InvalidAddressId.Blocked"),
            bind(unpaid, web, "OperationDenied.AddressInArrears"),
            vpc("AssociateAddress", json!({ "AddressId": free }), "InvalidParameterValue.MissingAssociateEntity"),
            vpc(
                "AssociateAddress",
                json!({ "AddressId": free, "InstanceId": plain, "NetworkInterfaceId": cards[1] }),
                "InvalidParameterConflict",
            ),
            vpc(
                "AssociateAddress",
                json!({ "AddressId": free, "InstanceId": plain, "EipDirectConnection": true }),
                "UnsupportedOperation",
            ),
            card(free, "eni-00000000", "10.0.0.21", "InvalidNetworkInterfaceId.NotFound"),
            card(free, &cards[1], "10.0.0.99", "InvalidNetworkInterfaceId.NotFound"),
            card(free, &cards[0], &B.to_string(), "InvalidPrivateIpAddress.AlreadyBindEip"),
            vpc("DisassociateAddress", json!({}), "MissingParameter"),
            vpc("DisassociateAddress", json!({ "AddressId": free }), "UnsupportedOperation.AddressStatusNotPermit"),
            vpc("DisassociateAddress", json!({ "AddressId": "eip-00000000" }), "InvalidAddressId.NotFound"),
            // It has no bandwidth that an ordinary address could be given for.
            vpc(
                "DisassociateAddress",
                json!({ "AddressId": bound, "ReallocateNormalPublicIp": true }),
                "InvalidParameterValue.BandwidthTooSmall",
            ),
            vpc("ReleaseAddresses", json!({}), "MissingParameter"),
            vpc("ReleaseAddresses", json!({ "AddressIds": [bound] }), "InvalidAddressState"),
            vpc("ReleaseAddresses", json!({ "AddressIds": [free, bound] }), "InvalidAddressState"),
            vpc("ReleaseAddresses", json!({ "AddressIds": [free, "eip-00000000"] }), "InvalidAddressId.NotFound"),
            vpc("DescribeAddresses", json!({ "AddressIds": ["door"] }), "InvalidParameterValue.AddressIdMalformed"),
            vpc("DescribeAddresses", json!({ "AddressIds": many }), "InvalidParameterValue.LimitExceeded"),
            vpc("DescribeAddresses", json!({ "Limit": 101 }), "InvalidParameterValue.LimitExceeded"),
            vpc("DescribeAddresses", filters("colour", 1), "InvalidParameter.InvalidFilter"),
            vpc("DescribeAddresses", filters("address-ip", 101), "InvalidParameterValue.LimitExceeded"),
            vpc(
                "DescribeAddresses",
                json!({ "AddressIds": [free], "Filters": [{ "Name": "address-id", "Values": [free] }] }),
                "InvalidParameterConflict",
            ),
            vpc("DescribeTaskResult", json!({}), "MissingParameter"),
            vpc("DescribeTaskResult", json!({ "TaskId": 12_345 }), "InvalidParameterValue"),
            vpc("TransformAddress", json!({ "InstanceId": plain }), "InvalidParameterValue.InstanceHasNoWanIP"),
            vpc(
                "ReturnNormalAddresses",
                json!({ "AddressIps": ["203.0.113.99"] }),
                "InvalidParameterValue.AddressIpsNotFound",
            ),
            vpc("AdjustPublicAddress", json!({ "InstanceId": web }), "UnsupportedOperation"),
            vpc("AdjustPublicAddress", json!({ "AddressId": free }), "UnsupportedOperation"),
            vpc(
                "ModifyAddressAttribute",
                json!({ "AddressId": free, "AddressName": "x".repeat(200) }),
                "InvalidParameterValue",
            ),
            vpc(
                "ModifyAddressAttribute",
                json!({ "AddressId": free, "EipDirectConnection": "TRUE" }),
                "UnsupportedOperation.ModifyAddressAttribute",
            ),
            vpc(
                "ModifyAddressesBandwidth",
                json!({ "AddressIds": [free, bound], "InternetMaxBandwidthOut": 101 }),
                "InvalidParameterValue.BandwidthOutOfRange",
            ),
            vpc(
                "ModifyAddressInternetChargeType",
                json!({ "AddressId": free, "InternetChargeType": "TRAFFIC_POSTPAID_BY_HOUR" }),
                "InvalidParameterValue.InternetChargeTypeNotChanged",
            ),
            vpc(
                "ModifyAddressInternetChargeType",
                json!({ "AddressId": changed, "InternetChargeType": "BANDWIDTH_POSTPAID_BY_HOUR" }),
                "LimitExceeded.ModifyAddressInternetChargeTypeQuota",
            ),
            vpc(
                "ModifyAddressInternetChargeType",
                json!({ "AddressId": free, "InternetChargeType": "BANDWIDTH_PACKAGE" }),
                "InvalidParameterValue.Combination",
            ),
            vpc("RenewAddresses", json!({ "AddressIds": [free] }), "InvalidAction"),
            vpc("CreateBandwidthPackage", json!({ "NetworkType": "PIGEON" }), "InvalidParameterValue"),
            vpc(
                "DeleteBandwidthPackage",
                json!({ "BandwidthPackageId": package }),
                "InvalidParameterValue.BandwidthPackageInUse",
            ),
            vpc(
                "AddBandwidthPackageResources",
                members("bwp-00000000", free),
                "InvalidParameterValue.BandwidthPackageNotFound",
            ),
            vpc(
                "AddBandwidthPackageResources",
                members(package, shared),
                "InvalidParameterValue.ResourceAlreadyExisted",
            ),
            vpc("AddBandwidthPackageResources", members(empty, shared), "InvalidParameterValue.ResourceAlreadyExisted"),
            vpc(
                "AddBandwidthPackageResources",
                members(package, "eip-00000000"),
                "InvalidParameterValue.ResourceNotFound",
            ),
            vpc("RemoveBandwidthPackageResources", members(package, free), "InvalidParameterValue.ResourceNotExisted"),
        ]
    }
}

#[test]
fn every_documented_refusal_has_its_code_and_changes_nothing() {
    let lab = serving();
    let user = user(&lab, PYTHON, USER);
    let estate = Estate::new(&lab, &user);
    let address = user.one_public(&estate.web);
    let everything = [
        ("cvm", "DescribeInstances", json!({ "Limit": 100 })),
        ("vpc", "DescribeAddresses", json!({ "Limit": 100 })),
        ("vpc", "DescribeBandwidthPackages", json!({ "Limit": 100 })),
        ("vpc", "DescribeAddressQuota", json!({})),
    ];
    let state = || -> Vec<Value> {
        let without_id = |mut answer: Value| {
            answer["RequestId"].take();
            answer
        };
        user.all(&everything).into_iter().map(without_id).collect()
    };
    let before = state();
    let rows = [estate.of_instances(), estate.of_addresses()].concat();
    let calls: Vec<Call<'_>> = rows.iter().map(|(call, _)| call.clone()).collect();
    let answers_to = user.all(&calls);
    let wrong: Vec<String> = rows
        .iter()
        .zip(&answers_to)
        .filter(|((_, code), answer)| answer["Code"] != *code || answer["Message"].as_str().is_none_or(str::is_empty))
        .map(|(((_, action, request), code), answer)| format!("{action} {request}: not {code} but {answer}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(state(), before);
    answers(&lab, &address);
    for ((_, code), _) in rows.iter().zip(&answers_to) {
        assert!(is_documented(code), "no client knows {code}");
    }
}

/// Whether the clients' own lists have the code; what any action may answer is on none of them.
fn is_documented(code: &str) -> bool {
    const OF_ALL: [&str; 4] = ["InvalidAction", "InvalidParameter", "InvalidParameterValue", "MissingParameter"];
    let library = installed("cloud-sdk").join("lib");
    let python = fs::read_dir(&library).unwrap().next().unwrap().unwrap().path();
    let list = |service: &str| {
        let path = Path::new("site-packages/tencentcloud").join(service).join("v20170312/errorcodes.py");
        fs::read_to_string(python.join(path)).unwrap()
    };
    OF_ALL.contains(&code) || ["cvm", "vpc"].into_iter().any(|service| list(service).contains(&format!("'{code}'")))
}

#[test]
fn limits_of_accounts_and_pools_are_told_and_leave_nothing_half_made() {
    let lines = "api_changes_per_second = 0\neips_per_account = 3\nreallocations_per_day = 1\n\
                 change_ordinary_ip = true\nordinary_ip_on_bind = \"refuse\"\n";
    let lab = serving_with(lines, &["203.0.113.0/29"]);
    let user = user(&lab, PYTHON, USER);
    let (web, db) = (user.run(A, 5), user.run(B, 0));
    let allocate = |count: u32| user.call("vpc", "AllocateAddresses", json!({ "AddressCount": count }));
    refused(&allocate(4), "AddressQuotaLimitExceeded");
    let three = allocate(3);
    let eips: Vec<String> = three["AddressSet"].as_array().unwrap().iter().map(text).collect();
    let bind = json!({ "AddressId": eips[0], "InstanceId": web });
    refused(&user.call("vpc", "AssociateAddress", bind), "InvalidParameterValue.InstanceHasWanIP");
    let first = user.one_public(&web);
    answers(&lab, &first);

    // One new ordinary address a day, whichever way it comes.
    user.does("vpc", "AdjustPublicAddress", json!({ "InstanceId": web }));
    let second = user.one_public(&web);
    assert_ne!(first, second);
    let again = user.call("vpc", "AdjustPublicAddress", json!({ "InstanceId": web }));
    refused(&again, "LimitExceeded.DailyChangeAddressQuota");
    user.bind(&eips[0], &db);
    let reset = json!({ "InstanceIds": [db], "InternetAccessible": { "InternetMaxBandwidthOut": 5 } });
    user.does("cvm", "ResetInstancesInternetMaxBandwidth", reset);
    let unbind = json!({ "AddressId": eips[0], "ReallocateNormalPublicIp": true });
    refused(&user.call("vpc", "DisassociateAddress", unbind), "AddressQuotaLimitExceeded.DailyAllocate");
    assert_eq!(user.eip(&eips[0])["AddressStatus"], "BIND");

    // Of eight addresses four are held and one rests.
    let mut many = instance(C, 1);
    many["InstanceCount"] = 4.into();
    many["VirtualPrivateCloud"]["PrivateIpAddresses"] = json!(["10.0.0.41", "10.0.0.42", "10.0.0.43", "10.0.0.44"]);
    refused(&user.call("cvm", "RunInstances", many.clone()), "ResourcesSoldOut.EipInsufficient");
    many["DryRun"] = true.into();
    refused(&user.call("cvm", "RunInstances", many.clone()), "ResourcesSoldOut.EipInsufficient");
    assert_eq!(user.does("cvm", "DescribeInstances", json!({}))["TotalCount"], 2);
    // Where fewer are enough, so many are made as there are addresses for.
    many["DryRun"] = false.into();
    many["MinCount"] = 4.into();
    let too_few = user.call("cvm", "RunInstances", many.clone());
    refused(&too_few, "ResourceInsufficient.InsufficientOfferingMinimum");
    many["MinCount"] = 2.into();
    let made = user.does("cvm", "RunInstances", many);
    assert_eq!(made["InstanceIdSet"].as_array().unwrap().len(), 3, "{made:#}");
    assert_eq!(user.does("cvm", "DescribeInstances", json!({}))["TotalCount"], 5);
    user.does("vpc", "ReleaseAddresses", json!({ "AddressIds": [eips[2]] }));
    refused(&allocate(1), "ResourceInsufficient");
    answers(&lab, &second);
}

#[test]
fn full_maps_are_told_and_take_no_address_from_anybody() {
    let lines = "api_changes_per_second = 0\nmax_pairs = 2\nmax_instances = 3\n";
    let lab = serving_with(lines, &["203.0.113.0/28"]);
    let user = user(&lab, PYTHON, USER);
    let (web, db) = (user.run(A, 5), user.run(B, 5));
    let addresses = [user.one_public(&web), user.one_public(&db)];
    refused(&user.call("cvm", "RunInstances", instance(C, 5)), "LimitExceeded");
    let plain = user.run(C, 0);
    let (eip, _) = user.allocate();
    let bind = |instance: &str| json!({ "AddressId": eip, "InstanceId": instance });
    refused(&user.call("vpc", "AssociateAddress", bind(&plain)), "LimitExceeded");
    refused(&user.call("cvm", "RunInstances", instance([10, 0, 0, 30].into(), 0)), "LimitExceeded");
    addresses.iter().for_each(|address| answers(&lab, address));
    // In the place of another there is room.
    user.bind(&eip, &web);
    answers(&lab, &user.one_public(&web));
    answers(&lab, &addresses[1]);
}

#[test]
fn reads_are_counted_by_the_second_too_and_each_accounts_are_its_own() {
    let lab = serving_with("api_reads_per_second = 2\n", &["203.0.113.0/28"]);
    let read = ("vpc", "DescribeAddresses", json!({}));
    let said = user(&lab, PYTHON, USER).all(&vec![read; 20]);
    let count = |code: &Value| said.iter().filter(|answer| answer["Code"] == *code).count();
    let (let_in, limited) = (count(&Value::Null), count(&json!("RequestLimitExceeded")));
    assert!(let_in >= 2 && limited >= 10 && let_in + limited == 20, "{let_in} and {limited}");
    // In the moment in which we have none left, others have theirs, and we have those of another action.
    let code = |who, action: &str| {
        let signed = go::sign(who, Found::ByEndpoint, go::now(), ("vpc", action, &json!({}))).unwrap();
        signed.send(&lab.gateway).unwrap()["Error"]["Code"].clone()
    };
    let spent = || (code(USER, "DescribeAddresses") == "RequestLimitExceeded").then_some(());
    wait::until("the reads of this second to be spent", SOON, spent).unwrap();
    assert_eq!(code(OTHER, "DescribeAddresses"), Value::Null);
    assert_eq!(code(USER, "DescribeAddressQuota"), Value::Null);
}

#[test]
fn applications_are_counted_by_the_day_and_calls_by_the_second() {
    let lab = serving_with("api_changes_per_second = 2\neips_per_account = 1\n", &["203.0.113.0/28"]);
    let user = user(&lab, PYTHON, USER);
    // Refused before it is known what is asked, so that it costs nothing.
    let nobody = json!({ "AddressIds": ["eip-00000000"] });
    let said = user.all(&vec![("vpc", "ReleaseAddresses", nobody); 20]);
    let count = |code: &str| said.iter().filter(|answer| answer["Code"] == code).count();
    let (let_in, limited) = (count("InvalidAddressId.NotFound"), count("RequestLimitExceeded"));
    assert!(let_in >= 2 && limited >= 10 && let_in + limited == 20, "{let_in} and {limited}");

    lab.daemon.terminate().unwrap();
    let lab_lines = "api_changes_per_second = 0\neips_per_account = 1\n";
    let mut settings = lab::lab::edges::settings_with(&lab.directory, &[USER], lab_lines).unwrap();
    settings.pools = vec!["203.0.113.0/28".into()];
    lab.daemon.start(settings).unwrap();
    for _ in 0..2 {
        let (eip, _) = user.allocate();
        user.does("vpc", "ReleaseAddresses", json!({ "AddressIds": [eip] }));
    }
    refused(&user.call("vpc", "AllocateAddresses", json!({})), "AddressQuotaLimitExceeded.DailyAllocate");
}

#[test]
fn what_no_client_sends_by_itself_is_refused_too() {
    let lab = serving();
    let request = json!({ "AddressIds": ["eip-00000000"] });
    let read = go::sign(USER, Found::ByEndpoint, go::now(), ("vpc", "DescribeAddresses", &request)).unwrap();
    for (from, to, code) in [
        ("DescribeAddresses", "DescribeAddressed", "InvalidAction"),
        ("X-Tc-Version: 2017-03-12", "X-Tc-Version: 2016-01-01", "NoSuchVersion"),
        ("ap-guangzhou", "ap-changchun", "UnsupportedRegion"),
        ("TC3-HMAC-SHA256 Cred", "TC3-HMAC-SHA512 Cred", "AuthFailure.InvalidAuthorization"),
        ("X-Tc-Action:", "X-Tc-Nothin:", "MissingParameter"),
        ("X-Tc-Language: zh-CN", "X-TC-Token: 12345678", "AuthFailure.TokenFailure"),
        ("POST / ", "PUT  / ", "UnsupportedProtocol"),
    ] {
        let answer = match code {
            "UnsupportedProtocol" => go::Signed(read.0.replacen("POST", "PUT", 1)).send(&lab.gateway),
            _ => read.altered(from, to).send(&lab.gateway),
        };
        assert_eq!(answer.unwrap()["Error"]["Code"], code, "{to}");
    }
    // What the command line makes of a refusal.
    let tccli = user(&lab, TCCLI, USER);
    let answer = tccli.call("vpc", "ReleaseAddresses", request);
    refused(&answer, "InvalidAddressId.NotFound");
    assert!(answer["Message"].as_str().unwrap().contains("eip-00000000"), "{answer:#}");
}
