//! The cloud's own Python SDK drives the gateway, and the wire says whether it is true.

use std::path::Path;
use std::time::Duration;

use lab::lab::edges::{self, API, Credential, USER};
use lab::lab::{A, B, Lab};
use serde_json::{Value, json};

/// Python and its SDK take a while to load where many tests run.
const CALL: Duration = Duration::from_secs(60);

const OTHER: Credential =
    Credential { secret_id: "AKIDother", secret_key: "key-of-another-0001", account: "other", access: "read-write" };
const READER: Credential =
    Credential { secret_id: "AKIDreader", secret_key: "key-of-a-reader-001", account: "default", access: "read-only" };

fn serving() -> Lab {
    let lab = Lab::new().unwrap();
    lab.daemon.start(edges::settings(&lab.directory, &[USER, OTHER, READER]).unwrap()).unwrap();
    lab
}

/// How a call is signed and sent.
#[derive(Clone, Copy)]
struct Way {
    signed: &'static str,
    method: &'static str,
}

const TODAY: Way = Way { signed: "TC3-HMAC-SHA256", method: "POST" };

fn call_by(way: Way, lab: &Lab, who: Credential, service: &str, action: &str, request: &Value) -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("../target/tools/cloud-sdk/bin/python3").display().to_string();
    let script = root.join("clients/sdk.py").display().to_string();
    let (endpoint, request) = (API.to_string(), request.to_string());
    let words =
        [&python, &script, &endpoint, who.secret_id, who.secret_key, way.signed, way.method, service, action, &request];
    let said = lab.gateway.output(&words, CALL).unwrap();
    assert!(said.success(), "{action}: {said}\n`cargo xtask setup` brings the SDK");
    serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{action}: {error} in {said}"))
}

fn call(lab: &Lab, who: Credential, service: &str, action: &str, request: Value) -> Value {
    call_by(TODAY, lab, who, service, action, &request)
}

#[track_caller]
fn refused(answer: &Value, code: &str) {
    assert_eq!(answer["Code"], code, "{answer:#}");
}

fn only<'a>(list: &'a Value, of: &Value) -> &'a Value {
    let list = list.as_array().unwrap_or_else(|| panic!("no list in {of:#}"));
    assert_eq!(list.len(), 1, "{of:#}");
    &list[0]
}

/// Starts an instance that has this private address.
fn run(lab: &Lab, who: Credential, private: &str, mbps: u32) -> String {
    let request = json!({
        "ImageId": "img-00000001", "InstanceType": "S5.SMALL1", "Placement": { "Zone": "ap-guangzhou-1" },
        "InternetAccessible": { "InternetMaxBandwidthOut": mbps, "InternetChargeType": "TRAFFIC_POSTPAID_BY_HOUR" },
        "VirtualPrivateCloud": { "VpcId": "vpc-default", "SubnetId": "subnet-default", "PrivateIpAddresses": [private] },
    });
    let answer = call(lab, who, "cvm", "RunInstances", request);
    only(&answer["InstanceIdSet"], &answer).as_str().unwrap().to_owned()
}

/// The public addresses that DescribeInstances shows of it.
fn public(lab: &Lab, who: Credential, instance: &str) -> Vec<String> {
    let answer = call(lab, who, "cvm", "DescribeInstances", json!({ "InstanceIds": [instance] }));
    let shown = only(&answer["InstanceSet"], &answer);
    assert_eq!(shown["InstanceState"], "RUNNING", "{shown:#}");
    let addresses = shown["PublicIpAddresses"].as_array().cloned().unwrap_or_default();
    addresses.iter().map(|address| address.as_str().unwrap().to_owned()).collect()
}

fn one_public(lab: &Lab, who: Credential, instance: &str) -> String {
    let addresses = public(lab, who, instance);
    assert_eq!(addresses.len(), 1, "{addresses:?}");
    addresses[0].clone()
}

#[track_caller]
fn answers(lab: &Lab, address: &str) {
    let said = lab.internet.output(&["ping", "-c", "1", "-W", "2", address], CALL).unwrap();
    assert!(said.success(), "{address} does not answer: {said}");
}

#[track_caller]
fn is_silent(lab: &Lab, address: &str) {
    let said = lab.internet.output(&["ping", "-c", "1", "-W", "1", address], CALL).unwrap();
    assert!(!said.success(), "{address} still answers: {said}");
}

#[test]
fn a1_a5_a8_an_instance_with_bandwidth_has_one_public_address_as_long_as_it_lives() {
    let lab = serving();
    let web = run(&lab, USER, &A.to_string(), 5);
    let address = one_public(&lab, USER, &web);
    answers(&lab, &address);
    // Only who asks for them sees ordinary ones.
    let listed = call(&lab, USER, "vpc", "DescribeAddresses", json!({}));
    assert_eq!(listed["TotalCount"], 0, "{listed:#}");
    let ordinary = json!({ "Filters": [{ "Name": "address-type", "Values": ["WanIP"] }] });
    let listed = call(&lab, USER, "vpc", "DescribeAddresses", ordinary.clone());
    assert_eq!(only(&listed["AddressSet"], &listed)["AddressIp"], address.as_str(), "{listed:#}");
    let inside = lab.a.tell(&["ip", "-4", "-o", "addr"]).unwrap();
    assert!(!inside.contains(&address), "the guest sees {address}: {inside}");

    let ended = call(&lab, USER, "cvm", "TerminateInstances", json!({ "InstanceIds": [web] }));
    assert!(ended["RequestId"].is_string(), "{ended:#}");
    is_silent(&lab, &address);
    let listed = call(&lab, USER, "vpc", "DescribeAddresses", ordinary);
    assert_eq!(listed["TotalCount"], 0, "{listed:#}");
}

#[test]
fn a2_an_instance_without_bandwidth_has_no_public_address() {
    let lab = serving();
    let web = run(&lab, USER, &A.to_string(), 0);
    assert_eq!(public(&lab, USER, &web), [""; 0]);
}

#[test]
fn a9_a10_a11_an_eip_takes_the_place_of_the_ordinary_address_and_leaves_a_new_one() {
    let lab = serving();
    let (web, db) = (run(&lab, USER, &A.to_string(), 5), run(&lab, USER, &B.to_string(), 0));
    let first = one_public(&lab, USER, &web);
    let allocated = call(&lab, USER, "vpc", "AllocateAddresses", json!({ "AddressCount": 1 }));
    let id = only(&allocated["AddressSet"], &allocated).as_str().unwrap().to_owned();
    assert!(allocated["TaskId"].as_str().is_some_and(|task| task.parse::<u64>().is_ok()), "{allocated:#}");
    let described = call(&lab, USER, "vpc", "DescribeAddresses", json!({ "AddressIds": [id] }));
    let shown = only(&described["AddressSet"], &described);
    assert_eq!(shown["AddressStatus"], "UNBIND", "{shown:#}");
    let eip = shown["AddressIp"].as_str().unwrap().to_owned();
    is_silent(&lab, &eip);

    let bind = |instance: &str| json!({ "AddressId": id, "InstanceId": instance });
    let bound = call(&lab, USER, "vpc", "AssociateAddress", bind(&web));
    assert!(bound["TaskId"].is_string(), "{bound:#}");
    answers(&lab, &eip);
    is_silent(&lab, &first);
    assert_eq!(one_public(&lab, USER, &web), eip);
    refused(&call(&lab, USER, "vpc", "AssociateAddress", bind(&db)), "UnsupportedOperation.AddressStatusNotPermit");
    let release = json!({ "AddressIds": [id] });
    let held = call(&lab, USER, "vpc", "ReleaseAddresses", release.clone());
    assert!(held["Code"].is_string(), "a bound EIP was released: {held:#}");
    answers(&lab, &eip);

    call(&lab, USER, "vpc", "DisassociateAddress", json!({ "AddressId": id }));
    let second = one_public(&lab, USER, &web);
    assert!(second != first && second != eip, "{second}");
    answers(&lab, &second);
    is_silent(&lab, &eip);

    // It goes to another at once, and outlives it.
    call(&lab, USER, "vpc", "AssociateAddress", bind(&db));
    answers(&lab, &eip);
    assert_eq!(one_public(&lab, USER, &db), eip);
    call(&lab, USER, "cvm", "TerminateInstances", json!({ "InstanceIds": [db] }));
    is_silent(&lab, &eip);
    let described = call(&lab, USER, "vpc", "DescribeAddresses", json!({ "AddressIds": [id] }));
    assert_eq!(only(&described["AddressSet"], &described)["AddressStatus"], "UNBIND", "{described:#}");
    call(&lab, USER, "vpc", "ReleaseAddresses", release);
    let described = call(&lab, USER, "vpc", "DescribeAddresses", json!({ "AddressIds": [id] }));
    assert_eq!(described["TotalCount"], 0, "{described:#}");
}

#[test]
fn accounts_do_not_see_each_other_and_readers_change_nothing() {
    let lab = serving();
    let web = run(&lab, USER, &A.to_string(), 5);
    let address = one_public(&lab, USER, &web);
    let seen = call(&lab, OTHER, "cvm", "DescribeInstances", json!({}));
    assert_eq!(seen["TotalCount"], 0, "{seen:#}");
    let theirs = call(&lab, OTHER, "cvm", "TerminateInstances", json!({ "InstanceIds": [web] }));
    let nobodys = call(&lab, OTHER, "cvm", "TerminateInstances", json!({ "InstanceIds": ["ins-00000000"] }));
    refused(&theirs, "InvalidInstanceId.NotFound");
    refused(&nobodys, "InvalidInstanceId.NotFound");
    assert_eq!(one_public(&lab, READER, &web), address);
    let change = call(&lab, READER, "vpc", "AllocateAddresses", json!({}));
    refused(&change, "AuthFailure.UnauthorizedOperation");
    answers(&lab, &address);
}

#[test]
fn signatures_of_today_and_of_old_are_told_from_wrong_ones() {
    let lab = serving();
    let quota = |way, who| call_by(way, &lab, who, "vpc", "DescribeAddressQuota", &json!({}));
    for (signed, method) in [("TC3-HMAC-SHA256", "POST"), ("TC3-HMAC-SHA256", "GET"), ("HmacSHA256", "POST")] {
        let answer = quota(Way { signed, method }, USER);
        assert!(answer["QuotaSet"].is_array(), "{signed} {method}: {answer:#}");
    }
    let wrong = Credential { secret_key: "key-of-nobody-at-all", ..USER };
    refused(&quota(TODAY, wrong), "AuthFailure.SignatureFailure");
    refused(&quota(TODAY, Credential { secret_id: "AKIDnobody", ..USER }), "AuthFailure.SecretIdNotFound");
    let weak = quota(Way { signed: "HmacSHA1", method: "GET" }, USER);
    assert!(weak["Code"].as_str().is_some_and(|code| code.starts_with("AuthFailure.")), "{weak:#}");
}
