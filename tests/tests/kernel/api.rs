//! The cloud's own clients drive the gateway, and the wire says whether it is true.

/// What one account has does not exist for another.
mod accounts;
/// What instances made by the API are told of themselves.
mod guest;
/// The life of an address, as the requirements have it.
mod life;
/// What is found, and page by page.
mod lists;
/// Every refusal a client can meet, by the code it decides by.
mod refusals;
/// Calls that are sent again.
mod retries;
/// Who sent a request, and when.
mod signatures;
/// What Terraform sends from the first plan to the last.
mod terraform;

use std::net::Ipv4Addr;

use lab::clients::{Call, Client, Session};
use lab::lab::edges::{self, Credential, USER};
use lab::lab::{Lab, SOON};
use serde_json::{Value, json};

const OTHER: Credential =
    Credential { secret_id: "AKIDother", secret_key: "key-of-another-0001", account: "other", access: "read-write" };
const READER: Credential =
    Credential { secret_id: "AKIDreader", secret_key: "key-of-a-reader-001", account: "default", access: "read-only" };
const PYTHON: Client = Client::Python;
const TCCLI: Client = Client::Tccli;
const NODE: Client = Client::Node;

fn serving() -> Lab {
    let lab = Lab::new().unwrap();
    lab.daemon.start(edges::settings(&lab.directory, &[USER, OTHER, READER]).unwrap()).unwrap();
    lab
}

/// Serving with other lines in its configuration and with these pools.
fn serving_with(lines: &str, pools: &[&str]) -> Lab {
    let lab = Lab::new().unwrap();
    let mut settings = edges::settings_with(&lab.directory, &[USER, OTHER, READER], lines).unwrap();
    settings.pools = pools.iter().map(|pool| (*pool).to_owned()).collect();
    lab.daemon.start(settings).unwrap();
    lab
}

/// Somebody who uses the API by a client.
#[derive(Clone, Copy)]
struct User<'a>(Session<'a>);

fn user(lab: &Lab, client: Client, who: Credential) -> User<'_> {
    User(Session { lab, client, who })
}

impl User<'_> {
    #[track_caller]
    fn call(&self, service: &str, action: &str, request: Value) -> Value {
        self.0.call(service, action, request).unwrap()
    }

    /// A call that must be done.
    #[track_caller]
    fn does(&self, service: &str, action: &str, request: Value) -> Value {
        let answer = self.call(service, action, request);
        assert!(answer["Code"].is_null() && answer["RequestId"].is_string(), "{action}: {answer:#}");
        answer
    }

    fn all(&self, calls: &[Call<'_>]) -> Vec<Value> {
        self.0.calls(calls).unwrap()
    }

    /// Starts an instance that has this private address.
    fn run(&self, private: Ipv4Addr, mbps: u32) -> String {
        let answer = self.does("cvm", "RunInstances", instance(private, mbps));
        text(only(&answer["InstanceIdSet"], &answer))
    }

    /// The public addresses that DescribeInstances shows of it.
    fn public(&self, instance: &str) -> Vec<String> {
        let answer = self.does("cvm", "DescribeInstances", json!({ "InstanceIds": [instance] }));
        let shown = only(&answer["InstanceSet"], &answer);
        assert_eq!(shown["InstanceState"], "RUNNING", "{shown:#}");
        shown["PublicIpAddresses"].as_array().into_iter().flatten().map(text).collect()
    }

    fn one_public(&self, instance: &str) -> String {
        let addresses = self.public(instance);
        assert_eq!(addresses.len(), 1, "{addresses:?}");
        addresses[0].clone()
    }

    /// Allocates an EIP: its id and its address.
    fn allocate(&self) -> (String, String) {
        let allocated = self.does("vpc", "AllocateAddresses", json!({ "AddressCount": 1 }));
        let id = text(only(&allocated["AddressSet"], &allocated));
        let address = text(&self.eip(&id)["AddressIp"]);
        (id, address)
    }

    /// What DescribeAddresses says of an EIP.
    fn eip(&self, id: &str) -> Value {
        let described = self.does("vpc", "DescribeAddresses", json!({ "AddressIds": [id] }));
        only(&described["AddressSet"], &described).clone()
    }

    fn bind(&self, eip: &str, instance: &str) {
        let bound = self.does("vpc", "AssociateAddress", json!({ "AddressId": eip, "InstanceId": instance }));
        assert!(bound["TaskId"].is_string(), "{bound:#}");
    }

    /// The ordinary addresses, which only who asks for them sees.
    fn ordinary(&self) -> Vec<String> {
        let wanted = json!({ "Filters": [{ "Name": "address-type", "Values": ["WanIP"] }] });
        let listed = self.does("vpc", "DescribeAddresses", wanted);
        listed["AddressSet"].as_array().unwrap().iter().map(|row| text(&row["AddressIp"])).collect()
    }
}

/// What RunInstances is asked.
fn instance(private: Ipv4Addr, mbps: u32) -> Value {
    json!({
        "ImageId": "img-00000001", "InstanceType": "S5.SMALL1", "Placement": { "Zone": "ap-guangzhou-1" },
        "InternetAccessible": { "InternetMaxBandwidthOut": mbps, "InternetChargeType": "TRAFFIC_POSTPAID_BY_HOUR" },
        "VirtualPrivateCloud": { "VpcId": "vpc-default", "SubnetId": "subnet-default", "PrivateIpAddresses": [private] },
    })
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

#[track_caller]
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value:#}")).to_owned()
}

#[track_caller]
fn answers(lab: &Lab, address: &str) {
    let said = lab.internet.output(&["ping", "-c", "1", "-W", "2", address], SOON).unwrap();
    assert!(said.success(), "{address} does not answer: {said}");
}

#[track_caller]
fn is_silent(lab: &Lab, address: &str) {
    let said = lab.internet.output(&["ping", "-c", "1", "-W", "1", address], SOON).unwrap();
    assert!(!said.success(), "{address} still answers: {said}");
}
