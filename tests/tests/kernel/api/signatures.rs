//! Whose a request is, and from when: by the clients' own signatures, by wrong clocks, and by requests that come again.

use lab::clients::go::{self, Found};
use lab::clients::{USUAL, Way};
use lab::lab::A;
use lab::lab::edges::{Credential, USER};
use serde_json::{Value, json};

use super::{NODE, PYTHON, TCCLI, answers, only, refused, serving, text, user};

#[test]
fn signatures_of_today_and_of_old_are_told_from_wrong_ones() {
    let lab = serving();
    for client in [PYTHON, NODE] {
        let quota = |signed, method| {
            let calls = [("vpc", "DescribeAddressQuota", json!({}))];
            user(&lab, client, USER).0.calls_by(Way { signed, method, ..USUAL }, &calls).unwrap().remove(0)
        };
        for (signed, method) in [("TC3-HMAC-SHA256", "POST"), ("TC3-HMAC-SHA256", "GET"), ("HmacSHA256", "POST")] {
            let answer = quota(signed, method);
            assert!(answer["QuotaSet"].is_array(), "{client:?} {signed} {method}: {answer:#}");
        }
        refused(&quota("HmacSHA1", "GET"), "AuthFailure.InvalidAuthorization");
    }
}

#[test]
fn every_client_is_told_that_its_key_or_its_id_is_wrong() {
    let lab = serving();
    let key = Credential { secret_key: "key-of-nobody-at-all", ..USER };
    let id = Credential { secret_id: "AKIDnobody", ..USER };
    for client in [PYTHON, TCCLI, NODE] {
        let ask = |who| user(&lab, client, who).call("vpc", "DescribeAddressQuota", json!({}));
        refused(&ask(key), "AuthFailure.SignatureFailure");
        refused(&ask(id), "AuthFailure.SecretIdNotFound");
        assert!(ask(USER)["QuotaSet"].is_array());
    }
}

#[test]
fn a_client_whose_clock_is_more_than_five_minutes_wrong_is_told_so() {
    let lab = serving();
    for client in [PYTHON, NODE] {
        let allocate = |ahead| {
            let calls = [("vpc", "AllocateAddresses", json!({}))];
            user(&lab, client, USER).0.calls_by(Way { ahead, ..USUAL }, &calls).unwrap().remove(0)
        };
        for ahead in [-320, 330, 86_400] {
            let answer = allocate(ahead);
            refused(&answer, "AuthFailure.SignatureExpire");
            assert!(answer["Message"].as_str().unwrap().contains("set the client's clock"), "{answer:#}");
        }
        for ahead in [-240, 240] {
            let answer = allocate(ahead);
            only(&answer["AddressSet"], &answer);
        }
    }
    let listed = user(&lab, PYTHON, USER).does("vpc", "DescribeAddresses", json!({}));
    assert_eq!(listed["TotalCount"], 4, "{listed:#}");
}

/// The signature has no number used once, so what is sent again within five minutes counts; what a call does twice is the
/// same as once, or refused by what became of the first.
#[test]
fn a_request_that_comes_again_does_nothing_more_and_after_five_minutes_is_refused() {
    let lab = serving();
    let user = user(&lab, PYTHON, USER);
    let web = user.run(A, 5);
    let send = |at: i64, action: &str, request: Value| {
        let signed = go::sign(USER, Found::ByEndpoint, at, ("vpc", action, &request)).unwrap();
        (signed.send(&lab.gateway).unwrap(), signed)
    };
    let (made, allocate) = send(go::now(), "AllocateAddresses", json!({ "ClientToken": "once" }));
    let eip = text(only(&made["AddressSet"], &made));
    assert_eq!(allocate.send(&lab.gateway).unwrap()["AddressSet"], made["AddressSet"]);
    assert_eq!(user.does("vpc", "DescribeAddresses", json!({}))["TotalCount"], 1);

    let code = |answer: &Value| answer["Error"]["Code"].as_str().map(str::to_owned).unwrap_or_default();
    let address = text(&user.eip(&eip)["AddressIp"]);
    let (bound, bind) = send(go::now(), "AssociateAddress", json!({ "AddressId": eip, "InstanceId": web }));
    assert_eq!(code(&bound), "", "{bound:#}");
    assert_eq!(code(&bind.send(&lab.gateway).unwrap()), "UnsupportedOperation.AddressStatusNotPermit");
    answers(&lab, &address);

    // Recorded earlier, sent now.
    for late in [-310, -3600, 310] {
        let (answer, _) = send(go::now() + late, "DisassociateAddress", json!({ "AddressId": eip }));
        assert_eq!(code(&answer), "AuthFailure.SignatureExpire", "{answer:#}");
    }
    // Under its signature nothing else can be asked, nor at another time.
    let (_, read) = send(go::now(), "DescribeAddresses", json!({ "AddressIds": [eip] }));
    for (from, to) in
        [(eip.as_str(), "eip-00000000"), ("/vpc/tc3", "/cvm/tc3"), ("X-Tc-Timestamp: 1", "X-Tc-Timestamp: 2")]
    {
        let answer = read.altered(from, to).send(&lab.gateway).unwrap();
        assert!(code(&answer).starts_with("AuthFailure.Signature"), "{from}: {answer:#}");
    }
    answers(&lab, &address);
    assert_eq!(user.one_public(&web), address);
}
