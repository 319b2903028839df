//! What Terraform's provider sends from creation to destruction, as it was recorded: signed like the Go SDK, by way of a
//! proxy to the cloud's own names, or to an endpoint.

use lab::clients::go::{self, Found};
use lab::lab::edges::USER;
use lab::lab::{A, Lab};
use serde_json::{Value, json};

use super::{answers, instance, is_silent, only, serving, text};

/// The provider, by one of its two ways here.
struct Terraform<'a> {
    lab: &'a Lab,
    found: Found,
}

impl Terraform<'_> {
    fn sends(&self, service: &str, action: &str, request: Value) -> Value {
        let signed = go::sign(USER, self.found, go::now(), (service, action, &request)).unwrap();
        let answer = signed.send(&self.lab.gateway).unwrap();
        assert!(answer["Error"].is_null() && answer["RequestId"].is_string(), "{action} {request}: {answer:#}");
        answer
    }

    /// It reads what an action did by the number of its task.
    fn awaits(&self, answer: &Value) {
        let task: u64 = text(&answer["TaskId"]).parse().unwrap();
        let told = self.sends("vpc", "DescribeTaskResult", json!({ "TaskId": task }));
        assert_eq!((&told["Result"], &told["TaskId"]), (&json!("SUCCESS"), &json!(task)), "{told:#}");
    }

    fn reads_eip(&self, id: &str) -> Value {
        let told = self.sends("vpc", "DescribeAddresses", json!({ "AddressIds": [id] }));
        let row = only(&told["AddressSet"], &told).clone();
        let tags = json!({ "ServiceType": "vpc", "ResourcePrefix": "eip", "ResourceRegion": "ap-guangzhou", "ResourceIds": [id] });
        let tags = self.sends("tag", "DescribeResourceTagsByResourceIds", tags);
        assert_eq!(tags["Tags"][0]["TagKey"], "team", "{tags:#}");
        let packages = json!({ "Filters": [{ "Name": "resource.resource-id", "Values": [id] }] });
        assert_eq!(self.sends("vpc", "DescribeBandwidthPackages", packages)["TotalCount"], 0);
        row
    }

    /// The instance, with all that the provider follows without looking whether it is there.
    fn reads_instance(&self, id: &str) -> Value {
        let told = self.sends("cvm", "DescribeInstances", json!({ "InstanceIds": [id] }));
        let row = only(&told["InstanceSet"], &told).clone();
        for field in ["LoginSettings", "Placement", "VirtualPrivateCloud", "InternetAccessible", "SystemDisk"] {
            assert!(row[field].is_object(), "{field}: {row:#}");
        }
        let images = self.sends("cvm", "DescribeImages", json!({ "ImageIds": [row["ImageId"]] }));
        assert_eq!(images["TotalCount"], 1, "{images:#}");
        let data = json!({ "InstanceIds": [id], "Attributes": ["UserData"] });
        let data = self.sends("cvm", "DescribeInstancesAttributes", data);
        assert!(only(&data["InstanceSet"], &data)["Attributes"]["UserData"].is_string(), "{data:#}");
        let disks = json!({ "Filters": [{ "Name": "instance-id", "Values": [id] }], "Limit": 100 });
        assert_eq!(self.sends("cbs", "DescribeDisks", disks)["TotalCount"], 0);
        row
    }
}

#[test]
fn terraforms_flow_goes_through_by_proxy_and_by_endpoint() {
    let lab = serving();
    for found in [Found::AsProxy, Found::ByEndpoint] {
        creates_binds_and_destroys(&Terraform { lab: &lab, found });
    }
}

fn creates_binds_and_destroys(provider: &Terraform<'_>) {
    let lab = provider.lab;
    // resource "tencentcloud_instance" "vm", resource "tencentcloud_eip" "ip"
    let made = provider.sends("cvm", "RunInstances", instance(A, 5));
    let vm = text(only(&made["InstanceIdSet"], &made));
    let first = text(&provider.reads_instance(&vm)["PublicIpAddresses"][0]);
    answers(lab, &first);
    let asked = json!({ "AddressCount": 1, "AddressName": "ip", "Tags": [{ "Key": "team", "Value": "net" }] });
    let made = provider.sends("vpc", "AllocateAddresses", asked);
    provider.awaits(&made);
    let ip = text(only(&made["AddressSet"], &made));
    let row = provider.reads_eip(&ip);
    let address = text(&row["AddressIp"]);
    assert_eq!((&row["AddressStatus"], &row["AddressName"]), (&json!("UNBIND"), &json!("ip")), "{row:#}");

    // resource "tencentcloud_eip_association"
    provider.awaits(&provider.sends("vpc", "AssociateAddress", json!({ "AddressId": ip, "InstanceId": vm })));
    let row = provider.reads_eip(&ip);
    assert_eq!((&row["AddressStatus"], &row["InstanceId"]), (&json!("BIND"), &json!(vm)), "{row:#}");
    answers(lab, &address);
    is_silent(lab, &first);
    // A refresh: the instance's public_ip follows.
    assert_eq!(provider.reads_instance(&vm)["PublicIpAddresses"], json!([address]));
    let again = json!({ "AddressIds": [ip], "InternetMaxBandwidthOut": 10 });
    provider.awaits(&provider.sends("vpc", "ModifyAddressesBandwidth", again));
    assert_eq!(provider.reads_eip(&ip)["Bandwidth"], 10);

    // terraform destroy
    provider.awaits(&provider.sends("vpc", "DisassociateAddress", json!({ "AddressId": ip })));
    assert_eq!(provider.reads_eip(&ip)["AddressStatus"], "UNBIND");
    is_silent(lab, &address);
    let third = text(&provider.reads_instance(&vm)["PublicIpAddresses"][0]);
    answers(lab, &third);
    provider.awaits(&provider.sends("vpc", "ReleaseAddresses", json!({ "AddressIds": [ip] })));
    let gone = json!({ "AddressIds": [ip], "Filters": [{ "Name": "business-type", "Values": ["CDC"] }] });
    let gone = provider.sends("vpc", "DescribeAddresses", gone);
    assert_eq!((&gone["TotalCount"], &gone["AddressSet"]), (&json!(0), &json!([])), "{gone:#}");
    provider.sends("cvm", "TerminateInstances", json!({ "InstanceIds": [vm] }));
    let gone = provider.sends("cvm", "DescribeInstances", json!({ "InstanceIds": [vm] }));
    assert_eq!(gone["TotalCount"], 0, "{gone:#}");
    let used = json!({ "VpcId": "vpc-default", "IpAddresses": [A] });
    let used = provider.sends("vpc", "DescribeUsedIpAddress", used);
    assert_eq!(used["IpAddressStates"], json!([]), "{used:#}");
    is_silent(lab, &third);
}

#[test]
fn an_eip_whose_instance_was_destroyed_first_is_released_all_the_same() {
    let lab = serving();
    let provider = Terraform { lab: &lab, found: Found::AsProxy };
    let made = provider.sends("cvm", "RunInstances", instance(A, 5));
    let vm = text(&made["InstanceIdSet"][0]);
    let tags = json!([{ "Key": "team", "Value": "net" }]);
    let made = provider.sends("vpc", "AllocateAddresses", json!({ "Tags": tags }));
    let ip = text(&made["AddressSet"][0]);
    provider.sends("vpc", "AssociateAddress", json!({ "AddressId": ip, "InstanceId": vm }));
    provider.sends("cvm", "TerminateInstances", json!({ "InstanceIds": [vm] }));
    // It asks before it unbinds, and must not be told to wait.
    assert_eq!(provider.reads_eip(&ip)["AddressStatus"], "UNBIND");
    provider.awaits(&provider.sends("vpc", "ReleaseAddresses", json!({ "AddressIds": [ip] })));
}
