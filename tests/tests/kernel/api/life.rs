//! What the requirements say of an address from its first day to its last.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use lab::clients::Client;
use lab::frames::Packet;
use lab::lab::edges::USER;
use lab::lab::server::{Server, tcp_exchange, udp_exchange};
use lab::lab::{A, B, C, INTERNET, Lab, at};
use serde_json::{Value, json};

use super::{NODE, PYTHON, TCCLI, answers, instance, is_silent, only, refused, serving, serving_with, text, user};
use crate::scene::{Sender, is_icmp, packet, ping};

#[test]
fn a1_a5_a8_an_instance_with_bandwidth_has_one_public_address_as_long_as_it_lives() {
    let lab = serving();
    let user = user(&lab, PYTHON, USER);
    let web = user.run(A, 5);
    let address = user.one_public(&web);
    answers(&lab, &address);
    let inside = lab.a.tell(&["ip", "-4", "-o", "addr"]).unwrap();
    assert!(!inside.contains(&address), "the guest sees {address}: {inside}");

    user.does("cvm", "TerminateInstances", json!({ "InstanceIds": [web] }));
    is_silent(&lab, &address);
    assert_eq!(user.ordinary(), [""; 0]);
}

#[test]
fn a2_an_instance_without_bandwidth_has_no_public_address() {
    let lab = serving();
    let user = user(&lab, PYTHON, USER);
    let web = user.run(A, 0);
    assert_eq!(user.public(&web), [""; 0]);
}

#[test]
fn a3_every_way_to_be_charged_assigns_an_address_of_its_own() {
    let lab = serving();
    let user = user(&lab, TCCLI, USER);
    let package = user.does("vpc", "CreateBandwidthPackage", json!({ "BandwidthPackageName": "office" }));
    let package = text(&package["BandwidthPackageId"]);
    let mut seen = BTreeSet::new();
    for (private, charge) in
        [(A, "BANDWIDTH_POSTPAID_BY_HOUR"), (B, "TRAFFIC_POSTPAID_BY_HOUR"), (C, "BANDWIDTH_PACKAGE")]
    {
        let mut asked = instance(private, 5);
        asked["InternetAccessible"]["InternetChargeType"] = charge.into();
        if charge == "BANDWIDTH_PACKAGE" {
            asked["InternetAccessible"]["BandwidthPackageId"] = package.as_str().into();
        }
        let made = user.does("cvm", "RunInstances", asked);
        let id = text(only(&made["InstanceIdSet"], &made));
        let told = user.does("cvm", "DescribeInstances", json!({ "InstanceIds": [id] }));
        assert_eq!(told["InstanceSet"][0]["InternetAccessible"]["InternetChargeType"], charge, "{told:#}");
        let address = text(only(&told["InstanceSet"][0]["PublicIpAddresses"], &told));
        answers(&lab, &address);
        seen.insert(address);
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
}

#[test]
fn a4_a7_an_ordinary_address_stays_and_is_not_the_users_to_bind_change_or_release() {
    let lab = serving();
    let user = user(&lab, NODE, USER);
    let (web, db) = (user.run(A, 5), user.run(B, 0));
    let address = user.one_public(&web);
    // It belongs to no account: only who asks for such addresses sees it.
    assert_eq!(user.does("vpc", "DescribeAddresses", json!({}))["TotalCount"], 0);
    assert_eq!(user.ordinary(), [address.as_str()]);

    let wanted = json!({ "Filters": [{ "Name": "address-type", "Values": ["WanIP"] }] });
    let listed = user.does("vpc", "DescribeAddresses", wanted);
    let id = text(&only(&listed["AddressSet"], &listed)["AddressId"]);
    let deeds = [
        ("vpc", "AssociateAddress", json!({ "AddressId": id, "InstanceId": db })),
        ("vpc", "AssociateAddress", json!({ "AddressId": address, "InstanceId": db })),
        ("vpc", "DisassociateAddress", json!({ "AddressId": id })),
        ("vpc", "ReleaseAddresses", json!({ "AddressIds": [id] })),
        ("vpc", "AdjustPublicAddress", json!({ "InstanceId": web })),
        ("vpc", "ReturnNormalAddresses", json!({ "AddressIps": [address] })),
        ("vpc", "AllocateAddresses", json!({ "VipCluster": [address] })),
    ];
    let said = user.all(&deeds);
    assert!(said.iter().all(|answer| answer["Code"].is_string()), "{said:#?}");
    assert_eq!(user.one_public(&web), address);
    answers(&lab, &address);

    for deed in ["StopInstances", "StartInstances", "RebootInstances"] {
        user.does("cvm", deed, json!({ "InstanceIds": [web] }));
        answers(&lab, &address);
    }
    assert_eq!(user.one_public(&web), address);
}

#[test]
fn an_instance_that_stops_without_charge_gives_its_address_back_and_gets_another_when_it_starts() {
    let lab = serving();
    let user = user(&lab, PYTHON, USER);
    let web = user.run(A, 5);
    let first = user.one_public(&web);
    answers(&lab, &first);
    user.does("cvm", "StopInstances", json!({ "InstanceIds": [web], "StoppedMode": "STOP_CHARGING" }));
    is_silent(&lab, &first);
    assert_eq!(user.ordinary(), [""; 0]);
    let told = user.does("cvm", "DescribeInstances", json!({ "InstanceIds": [web] }));
    let shown = only(&told["InstanceSet"], &told);
    assert_eq!((&shown["InstanceState"], &shown["StopChargingMode"]), (&json!("STOPPED"), &json!("STOP_CHARGING")));
    assert!(shown["PublicIpAddresses"].as_array().is_none_or(Vec::is_empty), "{shown:#}");
    // It speaks to nobody either.
    let outside = lab.at_internet.watch();
    Sender::instance(&lab, &lab.a).send(&Packet::new(A, INTERNET).udp(4000, 9, b"anybody there?"));
    lab.settle().unwrap();
    assert!(outside.arrived().iter().filter_map(|frame| packet(frame)).all(|seen| seen.source() != A), "it leaks");
    user.does("cvm", "StartInstances", json!({ "InstanceIds": [web] }));
    let second = user.one_public(&web);
    assert_ne!(first, second);
    answers(&lab, &second);
    is_silent(&lab, &first);
}

#[test]
fn a7_where_the_operator_permits_it_an_ordinary_address_is_returned_and_changed() {
    let lines = "api_changes_per_second = 0\nreturn_ordinary_ip = true\nchange_ordinary_ip = true\n";
    let lab = serving_with(lines, &["203.0.113.0/28"]);
    let user = user(&lab, NODE, USER);
    let web = user.run(A, 5);
    let first = user.one_public(&web);
    let changed = user.does("vpc", "AdjustPublicAddress", json!({ "InstanceId": web }));
    assert!(changed["TaskId"].is_u64(), "{changed:#}");
    let second = user.one_public(&web);
    assert_ne!(first, second);
    answers(&lab, &second);
    is_silent(&lab, &first);
    user.does("vpc", "ReturnNormalAddresses", json!({ "AddressIps": [second] }));
    is_silent(&lab, &second);
    assert_eq!(user.public(&web), [""; 0]);
}

#[test]
fn a6_what_the_api_assigned_carries_tcp_udp_icmp_and_errors_about_them_both_ways() {
    let lab = serving();
    let user = user(&lab, PYTHON, USER);
    let web = user.run(A, 5);
    carries_everything(&lab, &lab.a, user.one_public(&web).parse().unwrap());
    let (eip, elastic) = user.allocate();
    user.bind(&eip, &web);
    carries_everything(&lab, &lab.a, elastic.parse().unwrap());
}

/// Everything crosses between the Internet and the instance at `A`, which the Internet knows by its public address.
fn carries_everything(lab: &Lab, inside: &lab::lab::Namespace, public: Ipv4Addr) {
    let (ours, theirs) = (Server::tcp_echo(inside, 80).unwrap(), Server::tcp_echo(&lab.internet, 80).unwrap());
    let own = tcp_exchange(&lab.internet, at(public, 80), 50_000).unwrap();
    assert_eq!(own, ours.last_peer().unwrap().into());
    let own = tcp_exchange(inside, at(INTERNET, 80), 50_000).unwrap();
    assert_eq!(theirs.last_peer().unwrap(), at(public, own.port()));
    let (ours, theirs) = (Server::udp_echo(inside, 53).unwrap(), Server::udp_echo(&lab.internet, 53).unwrap());
    let port = udp_exchange(&lab.internet, at(public, 53), b"from outside").unwrap();
    assert_eq!(ours.last_peer().unwrap(), at(INTERNET, port));
    let port = udp_exchange(inside, at(INTERNET, 53), b"from inside").unwrap();
    assert_eq!(theirs.last_peer().unwrap(), at(public, port));
    ping(&lab.internet, public, &[]);
    ping(inside, INTERNET, &[]);

    // To closed ports: what comes back quotes the packet as its sender knows it.
    let outside = lab.at_internet.watch();
    Sender::internet(lab).send(&Packet::new(INTERNET, public).udp(4000, 9, b"anybody there?"));
    let error = outside.arrives("the error outside", |frame| is_icmp(frame, 3, 3)).unwrap();
    assert_eq!(packet(&error).unwrap().quotation().unwrap()[16..20], public.octets());
    let at_a = lab.at_a.watch();
    Sender::instance(lab, inside).send(&Packet::new(A, INTERNET).udp(4001, 9, b"anybody there?"));
    let error = at_a.arrives("the error inside", |frame| is_icmp(frame, 3, 3)).unwrap();
    assert_eq!(packet(&error).unwrap().quotation().unwrap()[12..16], A.octets());
}

#[test]
fn a9_a10_a11_an_eip_takes_the_place_of_the_ordinary_address_and_leaves_a_new_one() {
    let lab = serving();
    let user = user(&lab, PYTHON, USER);
    let (web, db) = (user.run(A, 5), user.run(B, 0));
    let first = user.one_public(&web);
    let (id, eip) = user.allocate();
    is_silent(&lab, &eip);

    user.bind(&id, &web);
    answers(&lab, &eip);
    is_silent(&lab, &first);
    assert_eq!(user.one_public(&web), eip);
    let again = user.call("vpc", "AssociateAddress", json!({ "AddressId": id, "InstanceId": db }));
    refused(&again, "UnsupportedOperation.AddressStatusNotPermit");
    refused(&user.call("vpc", "ReleaseAddresses", json!({ "AddressIds": [id] })), "InvalidAddressState");
    answers(&lab, &eip);

    // Neither of those it had is given back, however often.
    let mut had = BTreeSet::from([first, eip.clone()]);
    for _ in 0..3 {
        user.does("vpc", "DisassociateAddress", json!({ "AddressId": id }));
        let next = user.one_public(&web);
        answers(&lab, &next);
        is_silent(&lab, &eip);
        assert!(had.insert(next.clone()), "{next} again, after {had:?}");
        user.bind(&id, &web);
        answers(&lab, &eip);
    }
    user.does("vpc", "DisassociateAddress", json!({ "AddressId": id }));

    // It goes to another at once, and outlives it.
    user.bind(&id, &db);
    answers(&lab, &eip);
    assert_eq!(user.one_public(&db), eip);
    user.does("cvm", "TerminateInstances", json!({ "InstanceIds": [db] }));
    is_silent(&lab, &eip);
    assert_eq!(user.eip(&id)["AddressStatus"], "UNBIND");
    user.does("vpc", "ReleaseAddresses", json!({ "AddressIds": [id] }));
    let described = user.does("vpc", "DescribeAddresses", json!({ "AddressIds": [id] }));
    assert_eq!(described["TotalCount"], 0, "{described:#}");
}

#[test]
fn a13_the_python_sdk_drives_a_whole_life() {
    whole_life(PYTHON);
}

#[test]
fn a13_tccli_drives_a_whole_life() {
    whole_life(TCCLI);
}

#[test]
fn a13_the_node_sdk_drives_a_whole_life() {
    whole_life(NODE);
}

/// Everything that becomes of an address, with the wire asked after each step.
fn whole_life(client: Client) {
    let lab = serving();
    let user = user(&lab, client, USER);
    let (web, db) = (user.run(A, 5), user.run(B, 0));
    let first = user.one_public(&web);
    answers(&lab, &first);
    assert_eq!(user.public(&db), [""; 0]);

    let asked = json!({
        "AddressCount": 2, "InternetMaxBandwidthOut": 5, "InternetChargeType": "TRAFFIC_POSTPAID_BY_HOUR",
        "Tags": [{ "Key": "team", "Value": "net" }],
    });
    let allocated = user.does("vpc", "AllocateAddresses", asked);
    let ids: Vec<String> = allocated["AddressSet"].as_array().unwrap().iter().map(text).collect();
    let [one, other] = &ids[..] else { panic!("not two: {allocated:#}") };
    let task: u64 = text(&allocated["TaskId"]).parse().unwrap();
    assert_eq!(user.does("vpc", "DescribeTaskResult", json!({ "TaskId": task }))["Result"], "SUCCESS");
    let shown = user.eip(one);
    assert_eq!((&shown["AddressStatus"], &shown["TagSet"][0]["Value"]), (&json!("UNBIND"), &json!("net")), "{shown:#}");
    let address = text(&shown["AddressIp"]);
    is_silent(&lab, &address);

    user.bind(one, &web);
    answers(&lab, &address);
    is_silent(&lab, &first);
    let shown = user.eip(one);
    assert_eq!((&shown["AddressStatus"], &shown["InstanceId"]), (&json!("BIND"), &json!(web)), "{shown:#}");
    assert_eq!(shown["PrivateAddressIp"], A.to_string(), "{shown:#}");
    assert_eq!(user.one_public(&web), address);

    user.does("vpc", "ModifyAddressesBandwidth", json!({ "AddressIds": [one], "InternetMaxBandwidthOut": 20 }));
    user.does("vpc", "ModifyAddressAttribute", json!({ "AddressId": one, "AddressName": "front door" }));
    let to =
        json!({ "AddressId": one, "InternetChargeType": "BANDWIDTH_POSTPAID_BY_HOUR", "InternetMaxBandwidthOut": 20 });
    user.does("vpc", "ModifyAddressInternetChargeType", to);
    let shown = user.eip(one);
    assert_eq!((&shown["Bandwidth"], &shown["AddressName"]), (&json!(20), &json!("front door")), "{shown:#}");
    assert_eq!(shown["InternetChargeType"], "BANDWIDTH_POSTPAID_BY_HOUR", "{shown:#}");
    shares_a_package(&lab, &user, one, &address);
    answers(&lab, &address);

    user.does("cvm", "StopInstances", json!({ "InstanceIds": [web], "StoppedMode": "STOP_CHARGING" }));
    user.does("cvm", "StartInstances", json!({ "InstanceIds": [web] }));
    assert_eq!(user.one_public(&web), address);
    answers(&lab, &address);

    user.does("vpc", "DisassociateAddress", json!({ "AddressId": one }));
    let second = user.one_public(&web);
    assert!(second != first && second != address, "{second}");
    answers(&lab, &second);
    is_silent(&lab, &address);
    user.bind(one, &db);
    answers(&lab, &address);
    user.does("vpc", "DisassociateAddress", json!({ "AddressId": one, "ReallocateNormalPublicIp": false }));
    assert_eq!(user.public(&db), [""; 0]);
    is_silent(&lab, &address);

    let converted = user.does("vpc", "TransformAddress", json!({ "InstanceId": web }));
    assert!(converted["TaskId"].is_u64(), "{converted:#}");
    let kept = text(&converted["AddressId"]);
    assert_eq!((text(&user.eip(&kept)["AddressIp"]), user.ordinary()), (second.clone(), Vec::new()));
    answers(&lab, &second);
    user.does("cvm", "TerminateInstances", json!({ "InstanceIds": [web] }));
    is_silent(&lab, &second);
    assert_eq!(user.eip(&kept)["AddressStatus"], "UNBIND");

    user.does(
        "cvm",
        "ResetInstancesInternetMaxBandwidth",
        json!({
            "InstanceIds": [db], "InternetAccessible": { "InternetMaxBandwidthOut": 9 },
        }),
    );
    user.bind(&kept, &db);
    answers(&lab, &second);
    user.does("cvm", "TerminateInstances", json!({ "InstanceIds": [db] }));
    user.does("vpc", "ReleaseAddresses", json!({ "AddressIds": [one, other, kept] }));
    assert_eq!(user.does("vpc", "DescribeAddresses", json!({}))["TotalCount"], 0);
    assert_eq!(user.does("cvm", "DescribeInstances", json!({}))["TotalCount"], 0);
    is_silent(&lab, &second);
}

fn shares_a_package(lab: &Lab, user: &super::User<'_>, eip: &str, address: &str) {
    let made = user.does("vpc", "CreateBandwidthPackage", json!({ "InternetMaxBandwidth": 50 }));
    let package = text(&made["BandwidthPackageId"]);
    let members = json!({ "BandwidthPackageId": package, "ResourceIds": [eip], "ResourceType": "Address" });
    user.does("vpc", "AddBandwidthPackageResources", members.clone());
    answers(lab, address);
    assert_eq!(user.eip(eip)["BandwidthPackageId"], package.as_str());
    let listed = user.does("vpc", "DescribeBandwidthPackageResources", json!({ "BandwidthPackageId": package }));
    assert_eq!(only(&listed["ResourceSet"], &listed)["AddressIp"], address);
    user.does("vpc", "RemoveBandwidthPackageResources", members);
    user.does("vpc", "DeleteBandwidthPackage", json!({ "BandwidthPackageId": package }));
    let left: Value = user.does("vpc", "DescribeBandwidthPackages", json!({}));
    assert_eq!(left["TotalCount"], 0, "{left:#}");
}
