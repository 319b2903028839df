//! Calls that are sent again because an answer was lost.

use lab::lab::A;
use lab::lab::edges::USER;
use serde_json::{Value, json};

use super::{NODE, OTHER, PYTHON, answers, instance, refused, serving, text, user};

#[test]
fn a_call_with_a_client_token_is_done_once_however_often_and_by_whichever_client_it_is_sent() {
    let lab = serving();
    let (python, node, other) = (user(&lab, PYTHON, USER), user(&lab, NODE, USER), user(&lab, NODE, OTHER));
    let mut run = instance(A, 5);
    run["ClientToken"] = "run-1".into();
    let allocate = json!({ "AddressCount": 3, "ClientToken": "allocate-1" });
    let calls = [("cvm", "RunInstances", run.clone()), ("vpc", "AllocateAddresses", allocate.clone())];
    let made = |answers: &[Value]| [answers[0]["InstanceIdSet"].clone(), answers[1]["AddressSet"].clone()];
    let first = made(&python.all(&calls));
    assert_eq!((first[0].as_array().unwrap().len(), first[1].as_array().unwrap().len()), (1, 3), "{first:?}");
    let web = text(&first[0][0]);
    assert_eq!(made(&python.all(&calls)), first);

    // Who answers after a crash knows what was asked before it.
    lab.daemon.kill().unwrap();
    lab.daemon.restart().unwrap();
    assert_eq!(made(&python.all(&calls)), first);
    let total = |what: &Value| what["TotalCount"].clone();
    assert_eq!(total(&python.does("vpc", "DescribeAddresses", json!({}))), 3);
    assert_eq!(total(&python.does("cvm", "DescribeInstances", json!({}))), 1);
    answers(&lab, &python.one_public(&web));

    // The same token for something else is refused and does nothing; accounts do not know of each other's.
    run["InstanceName"] = "another".into();
    let more = json!({ "AddressCount": 4, "ClientToken": "allocate-1" });
    for answer in python.all(&[("cvm", "RunInstances", run), ("vpc", "AllocateAddresses", more)]) {
        refused(&answer, "UnsupportedOperation.IdempotentParameterMismatch");
    }
    assert_eq!(total(&node.does("vpc", "DescribeAddresses", json!({}))), 3);
    let theirs = other.does("vpc", "AllocateAddresses", allocate);
    assert!(theirs["AddressSet"].as_array().unwrap().iter().all(|id| !first[1].as_array().unwrap().contains(id)));

    // What it made is no more: it is not made again.
    python.does("vpc", "ReleaseAddresses", json!({ "AddressIds": first[1] }));
    let again = python.call("vpc", "AllocateAddresses", json!({ "AddressCount": 3, "ClientToken": "allocate-1" }));
    refused(&again, "UnsupportedOperation.IdempotentParameterMismatch");
    assert_eq!(total(&node.does("vpc", "DescribeAddresses", json!({}))), 0);
}

#[test]
fn what_has_no_token_says_when_it_is_done_already_and_changes_nothing() {
    let lab = serving();
    let user = user(&lab, PYTHON, USER);
    let web = user.run(A, 5);
    let (eip, address) = user.allocate();
    let bind = json!({ "AddressId": eip, "InstanceId": web });
    let twice = user.all(&[("vpc", "AssociateAddress", bind.clone()), ("vpc", "AssociateAddress", bind)]);
    refused(&twice[1], "UnsupportedOperation.AddressStatusNotPermit");
    answers(&lab, &address);
    let unbind = json!({ "AddressId": eip });
    let twice = user.all(&[("vpc", "DisassociateAddress", unbind.clone()), ("vpc", "DisassociateAddress", unbind)]);
    refused(&twice[1], "UnsupportedOperation.AddressStatusNotPermit");
    answers(&lab, &user.one_public(&web));
    let release = json!({ "AddressIds": [eip] });
    let twice = user.all(&[("vpc", "ReleaseAddresses", release.clone()), ("vpc", "ReleaseAddresses", release)]);
    refused(&twice[1], "InvalidAddressId.NotFound");
    let end = json!({ "InstanceIds": [web] });
    let twice = user.all(&[("cvm", "TerminateInstances", end.clone()), ("cvm", "TerminateInstances", end)]);
    refused(&twice[1], "InvalidInstanceId.NotFound");
}
