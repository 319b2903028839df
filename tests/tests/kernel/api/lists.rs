//! What is found by filters, and page by page, as clients see it.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use lab::clients::{USUAL, Way};
use lab::lab::edges::USER;
use lab::lab::{A, B};
use serde_json::{Value, json};

use super::{NODE, PYTHON, TCCLI, instance, refused, serving, text, user};

fn filter(name: &str, values: &[&str]) -> Value {
    json!({ "Filters": [{ "Name": name, "Values": values }] })
}

#[test]
fn every_filter_finds_what_has_the_value_and_nothing_else() {
    let lab = serving();
    let user = user(&lab, NODE, USER);
    let mut web = instance(A, 5);
    web["InstanceName"] = "web".into();
    web["SecurityGroupIds"] = json!(["sg-12345678"]);
    web["TagSpecification"] = json!([{ "ResourceType": "instance", "Tags": [{ "Key": "team", "Value": "net" }] }]);
    let made = user.does("cvm", "RunInstances", web);
    let web = text(&made["InstanceIdSet"][0]);
    let db = user.run(B, 0);
    let tags = json!([{ "Key": "team", "Value": "net" }]);
    let bound = user.does("vpc", "AllocateAddresses", json!({ "AddressName": "door", "Tags": tags }));
    let bound = text(&bound["AddressSet"][0]);
    let (free, free_ip) = user.allocate();
    user.bind(&bound, &web);
    let bound_ip = text(&user.eip(&bound)["AddressIp"]);
    let told = user.does("cvm", "DescribeInstances", json!({ "InstanceIds": [web] }));
    let uuid = text(&told["InstanceSet"][0]["Uuid"]);
    let card = web.replace("ins-", "eni-");
    let (a, b) = (A.to_string(), B.to_string());

    let ours = (1, 0);
    let all = (2, 2);
    let none = (0, 0);
    // Of those found, the first number says how many, the second how many with another value in its place.
    for (name, value, other, (hits, misses)) in [
        ("instance-id", web.as_str(), "ins-00000000", ours),
        ("instance-name", "web", "Web", ours),
        ("private-ip-address", &a, "10.0.0.99", ours),
        ("public-ip-address", &bound_ip, &free_ip, ours),
        ("security-group-id", "sg-12345678", "sg-1", ours),
        ("uuid", &uuid, "00000000", ours),
        ("tag-key", "team", "Team", ours),
        ("tag-value", "net", "Net", ours),
        ("tag:team", "net", "web", ours),
        ("zone", "ap-guangzhou-1", "ap-guangzhou-9", (2, 0)),
        ("vpc-id", "vpc-default", "vpc-other", (2, 0)),
        ("subnet-id", "subnet-default", "subnet-1", (2, 0)),
        ("instance-state", "RUNNING", "STOPPED", (2, 0)),
        ("instance-charge-type", "POSTPAID_BY_HOUR", "PREPAID", (2, 0)),
        ("project-id", "0", "1", (2, 0)),
        ("creation-start-time", "2020-01-01T00:00:00Z", "2090-01-01T00:00:00Z", (2, 0)),
        ("creation-end-time", "2090-01-01T00:00:00Z", "2020-01-01T00:00:00Z", (2, 0)),
        ("ipv6-address", "2001:db8::1", "2001:db8::2", none),
        ("host-id", "host-1", "host-2", none),
        ("dedicated-cluster-id", "cluster-1", "cluster-2", none),
    ] {
        let answers = user.all(&[
            ("cvm", "DescribeInstances", filter(name, &[value])),
            ("cvm", "DescribeInstances", filter(name, &[other])),
            ("cvm", "DescribeInstances", filter(name, &[other, value])),
        ]);
        let totals: Vec<_> = answers.iter().map(|answer| answer["TotalCount"].clone()).collect();
        assert_eq!(totals, [hits, misses, hits], "{name}: {answers:#?}");
    }
    for (name, value, other, (hits, misses)) in [
        ("address-id", bound.as_str(), "eip-00000000", ours),
        ("address-name", "door", "Door", ours),
        ("address-ip", &bound_ip, "203.0.113.99", ours),
        ("address-status", "BIND", "BINDING", ours),
        ("instance-id", &web, &db, ours),
        ("private-ip-address", &a, &b, ours),
        ("network-interface-id", &card, "eni-00000000", ours),
        ("instance-type", "CVM", "NAT", ours),
        ("is-arrears", "false", "true", (2, 0)),
        ("address-type", "EIP", "AnycastEIP", (2, 0)),
        ("address-isp", "BGP", "CMCC", (2, 0)),
        ("address-egress", "center_egress1", "center_egress2", (2, 0)),
        ("tag-key", "team", "Team", ours),
        ("tag-value", "net", "Net", ours),
        ("tag:team", "net", "web", ours),
        ("dedicated-cluster-id", "cluster-1", "cluster-2", none),
        ("business-type", "CDC", "CDN", none),
        ("address-id", &free, &bound, (1, 1)),
    ] {
        let answers = user.all(&[
            ("vpc", "DescribeAddresses", filter(name, &[value])),
            ("vpc", "DescribeAddresses", filter(name, &[other])),
            ("vpc", "DescribeAddresses", filter(name, &[other, value])),
        ]);
        let totals: Vec<_> = answers.iter().map(|answer| answer["TotalCount"].as_u64().unwrap()).collect();
        assert_eq!(totals, [hits, misses, if misses > 0 { hits + misses } else { hits }], "{name}: {answers:#?}");
    }

    // All of several must hold, and by any of its values each.
    let both = |name: &str| {
        let one = json!({ "Name": "instance-name", "Values": [name, "nobody"] });
        json!({ "Filters": [one, { "Name": "instance-state", "Values": ["RUNNING", "STOPPED"] }] })
    };
    assert_eq!(user.does("cvm", "DescribeInstances", both("web"))["TotalCount"], 1);
    assert_eq!(user.does("cvm", "DescribeInstances", both("nobody else"))["TotalCount"], 0);
    assert_eq!(user.does("cvm", "DescribeInstances", json!({}))["TotalCount"], all.0);
}

/// As `Filters.0.Values.0=…`, `True` or `true`, and texts for numbers.
#[test]
fn lists_filters_and_booleans_are_understood_flattened_into_a_query_too() {
    let lab = serving();
    for client in [PYTHON, NODE] {
        let user = user(&lab, client, USER);
        let get = |action: &str, request: Value| {
            let service = if action.contains("Instances") { "cvm" } else { "vpc" };
            let way = Way { method: "GET", ..USUAL };
            let answer = user.0.calls_by(way, &[(service, action, request)]).unwrap().remove(0);
            assert!(answer["Code"].is_null(), "{client:?} {action}: {answer:#}");
            answer
        };
        let mut asked = instance(A, 5);
        asked["TagSpecification"] = json!([{ "ResourceType": "instance", "Tags": [
            { "Key": "team", "Value": "net & more=你" }, { "Key": "stage", "Value": "test" }] }]);
        let web = text(&get("RunInstances", asked.clone())["InstanceIdSet"][0]);
        asked["DryRun"] = true.into();
        asked["VirtualPrivateCloud"]["PrivateIpAddresses"] = json!([B]);
        assert!(get("RunInstances", asked)["InstanceIdSet"].is_null());
        let told = get(
            "DescribeInstances",
            json!({ "Filters": [
            { "Name": "tag:team", "Values": ["nobody", "net & more=你"] },
            { "Name": "instance-state", "Values": ["RUNNING"] }], "Limit": 5 }),
        );
        assert_eq!((&told["TotalCount"], &told["InstanceSet"][0]["InstanceId"]), (&json!(1), &json!(web)), "{told:#}");
        assert_eq!(told["InstanceSet"][0]["Tags"].as_array().unwrap().len(), 2);

        let tags = json!([{ "Key": "team", "Value": "net" }, { "Key": "stage", "Value": "test" }]);
        let two = get("AllocateAddresses", json!({ "AddressCount": 2, "Tags": tags }))["AddressSet"].clone();
        let told = get(
            "DescribeAddresses",
            json!({ "AddressIds": two, "Filters": [
            { "Name": "tag:stage", "Values": ["test"] }, { "Name": "is-arrears", "Values": ["false"] }] }),
        );
        assert_eq!(told["TotalCount"], 2, "{told:#}");
        get("AssociateAddress", json!({ "AddressId": two[0], "InstanceId": web, "EipDirectConnection": false }));
        get("DisassociateAddress", json!({ "AddressId": two[0], "ReallocateNormalPublicIp": false }));
        assert_eq!(user.public(&web), [""; 0]);
        get("AssociateAddress", json!({ "AddressId": two[0], "InstanceId": web }));
        get("DisassociateAddress", json!({ "AddressId": two[0], "ReallocateNormalPublicIp": true }));
        user.one_public(&web);
        get("ModifyInstancesAttribute", json!({ "InstanceIds": [web], "DisableApiTermination": true }));
        refused(
            &user.call("cvm", "TerminateInstances", json!({ "InstanceIds": [web] })),
            "UnsupportedOperation.InstancesProtected",
        );
        get("ModifyInstancesAttribute", json!({ "InstanceIds": [web], "DisableApiTermination": false }));
        get("ReleaseAddresses", json!({ "AddressIds": two }));
        get("TerminateInstances", json!({ "InstanceIds": [web] }));
        assert_eq!(get("DescribeInstances", json!({}))["TotalCount"], 0);
    }
}

#[test]
fn pages_show_everything_once_and_in_the_same_order() {
    let lab = serving();
    let (tccli, python) = (user(&lab, TCCLI, USER), user(&lab, PYTHON, USER));
    let privates: Vec<Ipv4Addr> = (100..105).map(|last| Ipv4Addr::new(10, 0, 0, last)).collect();
    let mut five = instance(A, 0);
    five["InstanceCount"] = 5.into();
    five["VirtualPrivateCloud"]["PrivateIpAddresses"] = json!(privates);
    tccli.does("cvm", "RunInstances", five);
    tccli.does("vpc", "AllocateAddresses", json!({ "AddressCount": 5 }));
    for (service, action, set, id) in [
        ("cvm", "DescribeInstances", "InstanceSet", "InstanceId"),
        ("cvm", "DescribeInstancesStatus", "InstanceStatusSet", "InstanceId"),
        ("vpc", "DescribeAddresses", "AddressSet", "AddressId"),
    ] {
        let page = |offset: u32| (service, action, json!({ "Offset": offset, "Limit": 2 }));
        let ids = |answer: &Value| answer[set].as_array().unwrap().iter().map(|row| text(&row[id])).collect::<Vec<_>>();
        let pages = python.all(&[page(0), page(2), page(4), page(6), (service, action, json!({}))]);
        assert!(pages.iter().all(|answer| answer["TotalCount"] == 5), "{pages:#?}");
        let shown: Vec<Vec<String>> = pages.iter().map(ids).collect();
        assert_eq!(shown[..4].iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1, 0], "{action}");
        assert_eq!(shown[..4].concat(), shown[4], "{action}");
        assert_eq!(shown[4].iter().collect::<BTreeSet<_>>().len(), 5, "{action}");
        assert_eq!(ids(&tccli.does(service, action, json!({ "Offset": 2, "Limit": 2 }))), shown[1], "{action}");
    }
}
