//! Who is not who they say, and what is not theirs.

use lab::caller::{signed, signed_with};
use lab::lab::edges::{Credential, USER};
use serde_json::{Value, json};

use super::{OTHER, Siege, siege};

/// The code that this request is answered with.
fn code(siege: &Siege, request: &[u8]) -> String {
    let mut caller = siege.caller();
    caller.send(request).unwrap();
    caller.answer().unwrap().expect("it is answered").code().unwrap()
}

#[test]
fn e13_who_cannot_sign_gets_nowhere_and_is_told_why() {
    let siege = siege();
    let body = b"{\"Limit\": 20}";
    let good = String::from_utf8(signed(USER, "DescribeAddresses", body)).unwrap();
    let altered = |from: &str, to: &str| {
        assert!(good.contains(from), "{good}");
        good.replace(from, to).into_bytes()
    };
    let timestamp = good.lines().find_map(|line| line.strip_prefix("X-TC-Timestamp: ")).unwrap().to_owned();
    let moved = |seconds: i64| (timestamp.parse::<i64>().unwrap() + seconds).to_string();
    let swapped = Credential { secret_key: OTHER.secret_key, ..USER };
    let unknown = Credential { secret_id: "AKIDnobody", ..USER };
    let rows = [
        ("as it was signed", good.clone().into_bytes(), ""),
        ("another's key", signed(swapped, "DescribeAddresses", body), "AuthFailure.SignatureFailure"),
        ("an unknown id", signed(unknown, "DescribeAddresses", body), "AuthFailure.SecretIdNotFound"),
        ("an altered body", altered("\"Limit\": 20", "\"Limit\": 99"), "AuthFailure.SignatureFailure"),
        ("an altered host", altered("Host: 127.0.0.1", "Host: 127.0.0.2"), "AuthFailure.SignatureFailure"),
        ("a moved time", altered(&timestamp, &moved(1)), "AuthFailure.SignatureFailure"),
        ("too early", altered(&timestamp, &moved(-400)), "AuthFailure.SignatureExpire"),
        ("too late", altered(&timestamp, &moved(400)), "AuthFailure.SignatureExpire"),
        ("no signature", altered("Signature=", "Signature=00"), "AuthFailure.SignatureFailure"),
        ("another way to sign", altered("TC3-HMAC-SHA256", "TC3-HMAC-MD5"), "AuthFailure.InvalidAuthorization"),
        ("none", altered("Authorization:", "X-Authorization:"), "AuthFailure.InvalidAuthorization"),
        ("a token", signed_with(USER, "DescribeAddresses", body, &["X-TC-Token: x"]), "AuthFailure.TokenFailure"),
        (
            "unsigned",
            altered("SignedHeaders=content-type;host", "SignedHeaders=host"),
            "AuthFailure.InvalidAuthorization",
        ),
        ("twice", signed_with(USER, "DescribeAddresses", body, &["X-TC-Action: X"]), "InvalidParameter"),
    ];
    siege.endured(|| {
        for (what, request, expected) in &rows {
            assert_eq!(code(&siege, request), *expected, "{what}");
        }
    });
}

/// The error that a call is answered with, without the id that was asked for.
fn error(siege: &Siege, who: Credential, action: &str, params: &Value, id: &str) -> (String, String) {
    let mut caller = siege.caller();
    caller.send(&signed(who, action, params.to_string().as_bytes())).unwrap();
    let response = caller.answer().unwrap().unwrap().response().unwrap();
    let text = |field: &str| response["Error"][field].as_str().unwrap_or_default().replace(id, "ID");
    (text("Code"), text("Message"))
}

#[test]
fn e13_what_is_anothers_is_as_if_it_were_not_there() {
    let siege = siege();
    let mut caller = siege.caller();
    let eip = caller.call(USER, "AllocateAddresses", &json!({})).unwrap()["AddressSet"][0].clone();
    let package = caller.call(USER, "CreateBandwidthPackage", &json!({})).unwrap()["BandwidthPackageId"].clone();
    let listed = caller.call(USER, "DescribeInstances", &json!({})).unwrap();
    let instance = listed["InstanceSet"][0]["InstanceId"].clone();
    let [eip, instance, package] = [&eip, &instance, &package].map(|id| id.as_str().unwrap().to_owned());
    let (no_eip, no_instance, no_package) = ("eip-00000000", "ins-00000000", "bwp-00000000");
    let both = |action: &'static str, params: &dyn Fn(&str) -> Value, there: &str, nowhere: &str| {
        let known = error(&siege, OTHER, action, &params(there), there);
        assert!(!known.0.is_empty(), "{action} of another's {there} succeeded");
        assert_eq!(known, error(&siege, OTHER, action, &params(nowhere), nowhere), "{action}");
    };
    siege.endured(|| {
        both("ReleaseAddresses", &|id| json!({ "AddressIds": [id] }), &eip, no_eip);
        both("DisassociateAddress", &|id| json!({ "AddressId": id }), &eip, no_eip);
        both("ModifyAddressAttribute", &|id| json!({ "AddressId": id, "AddressName": "x" }), &eip, no_eip);
        both(
            "ModifyAddressesBandwidth",
            &|id| json!({ "AddressIds": [id], "InternetMaxBandwidthOut": 1 }),
            &eip,
            no_eip,
        );
        both("TerminateInstances", &|id| json!({ "InstanceIds": [id] }), &instance, no_instance);
        both("StopInstances", &|id| json!({ "InstanceIds": [id] }), &instance, no_instance);
        both("TransformAddress", &|id| json!({ "InstanceId": id }), &instance, no_instance);
        both("DeleteBandwidthPackage", &|id| json!({ "BandwidthPackageId": id }), &package, no_package);
        both("DescribeBandwidthPackageResources", &|id| json!({ "BandwidthPackageId": id }), &package, no_package);
        let own = siege.caller().call(OTHER, "AllocateAddresses", &json!({})).unwrap()["AddressSet"][0].clone();
        let bind = |id: &str| json!({ "AddressId": own, "InstanceId": id });
        both("AssociateAddress", &bind, &instance, no_instance);
        // Asked for by id or address, it is not listed.
        for (action, params) in [
            ("DescribeAddresses", json!({ "AddressIds": [eip] })),
            ("DescribeAddresses", json!({ "Filters": [{ "Name": "instance-id", "Values": [instance] }] })),
            ("DescribeAddresses", json!({ "Filters": [{ "Name": "private-ip-address", "Values": ["10.0.0.11"] }] })),
            ("DescribeInstances", json!({ "InstanceIds": [instance] })),
            ("DescribeInstancesStatus", json!({ "InstanceIds": [instance] })),
            ("DescribeBandwidthPackages", json!({ "BandwidthPackageIds": [package] })),
        ] {
            let listed = siege.caller().call(OTHER, action, &params).unwrap();
            assert_eq!(listed["TotalCount"], 0, "{action} {params}: {listed}");
        }
    });
    // Nothing has happened to any of it.
    let listed = siege.caller().call(USER, "DescribeAddresses", &json!({ "AddressIds": [eip] })).unwrap();
    assert_eq!(listed["AddressSet"][0]["AddressName"], "", "{listed}");
}
