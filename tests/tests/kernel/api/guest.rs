//! What an instance was made with by the API is what the instance itself is told.

use lab::lab::edges::USER;
use lab::lab::{A, B};
use serde_json::json;

use super::{PYTHON, instance, only, refused, serving_with, text, user};
use crate::metadata::{get, status};

const ROOT: &str = "http://metadata.tencentyun.com";
const SCRIPT: &str = "#!/bin/sh\necho hello\n";
const IN_BASE64: &str = "IyEvYmluL3NoCmVjaG8gaGVsbG8K";

#[test]
fn a14_an_instance_is_told_what_it_was_made_with() {
    let lab = serving_with("metadata = true\n", &["203.0.113.0/28"]);
    let user = user(&lab, PYTHON, USER);
    let mut asked = instance(A, 5);
    asked["InstanceName"] = "web".into();
    asked["Placement"]["Zone"] = "ap-guangzhou-6".into();
    asked["VirtualPrivateCloud"]["SubnetId"] = "subnet-12345678".into();
    asked["SecurityGroupIds"] = json!(["sg-12345678", "sg-87654321"]);
    asked["UserData"] = IN_BASE64.into();
    let made = user.does("cvm", "RunInstances", asked);
    let web = text(only(&made["InstanceIdSet"], &made));
    let shown = user.does("cvm", "DescribeInstances", json!({ "InstanceIds": [web] }))["InstanceSet"][0].clone();
    let told = |path: &str| get(&lab, &lab.a, &format!("{ROOT}{path}"));
    let mac = told("/meta-data/mac");
    for (path, value) in [
        ("instance-id", web.as_str()),
        ("instance-name", "web"),
        ("uuid", &text(&shown["Uuid"])),
        ("public-ipv4", &text(&shown["PublicIpAddresses"][0])),
        ("placement/zone", "ap-guangzhou-6"),
        ("placement/region", "ap-guangzhou"),
        ("instance/instance-type", "S5.SMALL1"),
        ("instance/image-id", "img-00000001"),
        ("instance/security-group", "sg-12345678\nsg-87654321"),
        (&format!("network/interfaces/macs/{mac}/subnet-id"), "subnet-12345678"),
    ] {
        for root in ["", "/1.0", "/2017-09-19", "/latest"] {
            assert_eq!(told(&format!("{root}/meta-data/{path}")), value, "{root} {path}");
        }
    }
    for root in ["", "/1.0", "/2017-09-19", "/latest"] {
        assert_eq!(told(&format!("{root}/user-data")), SCRIPT, "{root}");
        assert!(told(&format!("{root}/")).lines().any(|name| name == "user-data"), "{root}");
    }
    // What is changed is told at once, what cannot be told is not taken, and what was never said is not there.
    let change = |data: &str| ("cvm", "ModifyInstancesAttribute", json!({ "InstanceIds": [web], "UserData": data }));
    let said = user.all(&[change("c2Vjb25k"), change("second")]);
    refused(&said[1], "InvalidParameterValue.InvalidUserDataFormat");
    assert_eq!(told("/latest/user-data"), "second");
    user.run(B, 0);
    for path in ["/user-data", "/latest/user-data", "/meta-data/instance/security-group"] {
        assert_eq!(status(&lab, &lab.b, &[&format!("{ROOT}{path}")]), "404", "{path}");
    }
    assert_eq!(get(&lab, &lab.b, &format!("{ROOT}/")), "1.0\n2017-09-19\nlatest\nmeta-data");
    lab.finish().unwrap();
}
