//! Two accounts, and a credential that may only look.

use lab::clients::go::{self, Found};
use lab::lab::edges::{Credential, USER};
use lab::lab::{A, B, SOON, wait};
use serde_json::{Value, json};

use super::{NODE, OTHER, PYTHON, READER, answers, is_silent, refused, serving, user};

#[test]
fn accounts_do_not_see_each_other_and_readers_change_nothing() {
    let lab = serving();
    let (us, them, reader) = (user(&lab, PYTHON, USER), user(&lab, NODE, OTHER), user(&lab, PYTHON, READER));
    let web = us.run(A, 5);
    let address = us.one_public(&web);
    let (eip, elastic) = us.allocate();
    let seen = them.all(&[
        ("cvm", "DescribeInstances", json!({})),
        ("cvm", "DescribeInstances", json!({ "InstanceIds": [web] })),
        ("vpc", "DescribeAddresses", json!({ "AddressIds": [eip] })),
        ("vpc", "DescribeAddresses", json!({ "Filters": [{ "Name": "address-ip", "Values": [elastic] }] })),
    ]);
    assert!(seen.iter().all(|answer| answer["TotalCount"] == 0), "{seen:#?}");

    // What is another's and what is nobody's are told in the same words, but for the name itself.
    let deeds = |instance: &str, eip: &str| {
        [
            ("cvm", "TerminateInstances", json!({ "InstanceIds": [instance] })),
            ("cvm", "StopInstances", json!({ "InstanceIds": [instance] })),
            ("vpc", "TransformAddress", json!({ "InstanceId": instance })),
            ("vpc", "AssociateAddress", json!({ "AddressId": eip, "InstanceId": instance })),
            ("vpc", "ReleaseAddresses", json!({ "AddressIds": [eip] })),
            ("vpc", "ModifyAddressAttribute", json!({ "AddressId": eip, "AddressName": "mine" })),
            ("vpc", "ModifyAddressesBandwidth", json!({ "AddressIds": [eip], "InternetMaxBandwidthOut": 2 })),
        ]
    };
    let said = |answers: Vec<Value>, names: [&str; 2]| -> Vec<String> {
        answers.iter().map(|answer| answer.to_string().replace(names[0], "ins-").replace(names[1], "eip-")).collect()
    };
    let theirs = said(them.all(&deeds(&web, &eip)), [&web, &eip]);
    let nobodys = said(them.all(&deeds("ins-00000000", "eip-00000000")), ["ins-00000000", "eip-00000000"]);
    assert_eq!(theirs, nobodys);
    assert!(theirs.iter().all(|answer| answer.contains(".NotFound")), "{theirs:#?}");

    assert_eq!(reader.one_public(&web), address);
    for answer in reader.all(&deeds(&web, &eip)) {
        refused(&answer, "AuthFailure.UnauthorizedOperation");
    }
    answers(&lab, &address);

    // Neither is in the other's way.
    let db = them.run(B, 5);
    let theirs = them.one_public(&db);
    us.bind(&eip, &web);
    answers(&lab, &elastic);
    answers(&lab, &theirs);
    is_silent(&lab, &address);
    assert_eq!(us.does("cvm", "DescribeInstances", json!({}))["TotalCount"], 1);
}

#[test]
fn a_new_credential_is_taken_while_the_daemon_serves_and_the_others_stay() {
    let lab = serving();
    // The file is the one that the configuration names, which need not say enough to start with.
    let config = lab.directory.join("eipgate.toml").display().to_string();
    let made =
        lab.daemon.json(&["--account", "third", "credential", "new", "--read-only", "--config", &config]).unwrap();
    let text = |field: &str| -> &'static str { made[field].as_str().unwrap().to_owned().leak() };
    let new = Credential {
        secret_id: text("secret_id"),
        secret_key: text("secret_key"),
        account: text("account"),
        access: text("access"),
    };
    assert_eq!((new.account, new.access), ("third", "read-only"));
    let ask = || {
        let call = ("vpc", "DescribeAddresses", &json!({}));
        go::sign(new, Found::ByEndpoint, go::now(), call).unwrap().send(&lab.gateway).unwrap()
    };
    wait::until("the new credential to count", SOON, || (ask()["TotalCount"] == 0).then_some(())).unwrap();
    let change = user(&lab, PYTHON, new).call("vpc", "AllocateAddresses", json!({}));
    refused(&change, "AuthFailure.UnauthorizedOperation");
    user(&lab, PYTHON, USER).does("vpc", "AllocateAddresses", json!({}));
}
