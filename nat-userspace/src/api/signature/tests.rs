//! Requests as the official clients sent them, at a known time with a known key, and what becomes of them when anything is
//! altered. Where a client could not be run, its request was built to what is known of it.

use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::Request;
use hyper::body::Bytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::api::call::{Call, Language};
use crate::credentials::Access;

/// When the clients signed.
const THEN: i64 = 1_795_174_988;
const KEY: &str = "ExampleKey0123456789abcdef";

const PYTHON: &str = include_str!("sent/python-post.http");
const PYTHON_GET: &str = include_str!("sent/python-get.http");
const PYTHON_UNSIGNED: &str = include_str!("sent/python-unsigned.http");
const PYTHON_SHA1: &str = include_str!("sent/python-get1.http");
const PYTHON_SHA256: &str = include_str!("sent/python-post2.http");
const NODE: &str = include_str!("sent/node-post.http");
const NODE_GET: &str = include_str!("sent/node-get.http");
const NODE_SHA1: &str = include_str!("sent/node-get1.http");
const NODE_SHA256: &str = include_str!("sent/node-post2.http");
const TCCLI: &str = include_str!("sent/tccli-post.http");
const GO: &str = include_str!("sent/go-post.http");
const TERRAFORM: &str = include_str!("sent/terraform-absolute.http");
const PAGE: &str = include_str!("sent/page-signs-action.http");

fn request(text: &str) -> Request<Bytes> {
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap().split(' ');
    let mut request = Request::builder().method(first.next().unwrap()).uri(first.next().unwrap());
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    request.body(Bytes::copy_from_slice(body.as_bytes())).unwrap()
}

fn credentials(key: &str) -> Credentials {
    let account = "alice".parse().unwrap();
    let one = Credential::new("AKIDexample".into(), key.into(), account, Access::ReadWrite).unwrap();
    Credentials::new([one]).unwrap()
}

fn judged(text: &str, key: &str, now: i64, weak: bool) -> Result<Call, ApiError> {
    let (request, credentials) = (request(text), credentials(key));
    let received = Received::new(&request)?;
    let signed = Judge { credentials: &credentials, now, weak }.identify(&received)?;
    received.call(&signed, "an-id")
}

fn call(text: &str) -> Call {
    judged(text, KEY, THEN, true).unwrap()
}

/// The code it is refused with.
#[track_caller]
fn code(text: &str) -> String {
    judged(text, KEY, THEN, true).unwrap_err().code.into_owned()
}

/// The same request with one thing altered.
#[track_caller]
fn altered(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "there is no {from} in\n{text}");
    text.replacen(from, to, 1)
}

#[test]
fn every_clients_own_requests_get_through() {
    let limit = |limit: Value| {
        let filters = json!([{ "Name": "address-name", "Values": ["a b&c=你"] }]);
        json!({ "AddressIds": ["eip-a", "eip-b"], "Filters": filters, "Limit": limit })
    };
    let terraform = json!({ "AddressIds": ["eip-a"], "Filters": [{ "Name": "business-type", "Values": ["CDC"] }] });
    for (sent, service, params) in [
        (PYTHON, Some("vpc"), limit(20.into())),
        (PYTHON_GET, Some("vpc"), limit("20".into())),
        (PYTHON_UNSIGNED, Some("vpc"), limit(20.into())),
        (PYTHON_SHA1, None, limit("20".into())),
        (PYTHON_SHA256, None, limit("20".into())),
        (NODE, Some("127"), limit(20.into())),
        (NODE_GET, Some("127"), limit("20".into())),
        (NODE_SHA1, None, limit("20".into())),
        (NODE_SHA256, None, limit("20".into())),
        (TCCLI, Some("vpc"), json!({ "AddressIds": ["eip-a"] })),
        (GO, Some("vpc"), terraform.clone()),
        (TERRAFORM, Some("vpc"), terraform.clone()),
        (PAGE, Some("vpc"), terraform),
    ] {
        let call = call(sent);
        let said = (call.account.as_str(), call.action.as_str(), call.version.as_str(), call.region.as_deref());
        assert_eq!(said, ("alice", "DescribeAddresses", "2017-03-12", Some("ap-guangzhou")), "{sent}");
        assert_eq!((call.service_hint.as_deref(), call.params), (service, params), "{sent}");
    }
    assert_eq!((call(PYTHON).language, call(GO).language), (Language::Chinese, Language::English));
}

#[test]
fn a_wrong_key_is_a_wrong_signature_for_every_client() {
    for sent in [PYTHON, PYTHON_GET, PYTHON_UNSIGNED, PYTHON_SHA1, PYTHON_SHA256, NODE, NODE_SHA256, TCCLI, TERRAFORM] {
        let error = judged(sent, "ExampleKey0123456789abcdeF", THEN, true).unwrap_err();
        assert_eq!(error.code, "AuthFailure.SignatureFailure", "{sent}");
    }
}

#[test]
fn nothing_that_is_signed_can_be_altered() {
    for (sent, from, to) in [
        (PYTHON, "eip-a", "eip-c"),
        (PYTHON, "POST / ", "GET / "),
        (PYTHON, "X-TC-Timestamp: 1795174988", "X-TC-Timestamp: 1795174989"),
        (PYTHON, "/vpc/", "/cvm/"),
        (PYTHON, "2026-11-20", "2026-11-21"),
        (PYTHON, "Signature=4", "Signature=5"),
        (PYTHON, "Signature=41", "Signature="),
        (PYTHON, "Signature=41ebab", "Signature=xyz"),
        (PYTHON_GET, "Limit=20", "Limit=21"),
        (PYTHON_GET, "a+b", "a%20b"),
        (PYTHON_UNSIGNED, "X-TC-Content-SHA256: UNSIGNED-PAYLOAD", "X-TC-Content-SHA256: other"),
        (PYTHON_SHA1, "Limit=20", "Limit=21"),
        (PYTHON_SHA256, "Action=DescribeAddresses", "Action=ReleaseAddresses"),
        (PYTHON_SHA256, "&Limit=20", ""),
        (PYTHON_SHA256, "SignatureMethod=HmacSHA256", "SignatureMethod=HmacSHA1"),
        (PYTHON_SHA256, "Host: 127.0.0.1", "Host: 127.0.0.2"),
        (NODE, "Host: 127.0.0.1:18081", "Host: 127.0.0.1:18081:1"),
        (PAGE, "X-Tc-Action: DescribeAddresses", "X-Tc-Action: ReleaseAddresses"),
    ] {
        assert_eq!(code(&altered(sent, from, to)), "AuthFailure.SignatureFailure", "{from} {to}");
    }
    // What is not signed can be: the client said so.
    assert_eq!(call(&altered(PYTHON_UNSIGNED, "eip-a", "eip-c")).params["AddressIds"][0], "eip-c");
    // A proxy's port is not the client's.
    assert!(judged(&altered(NODE, ":18081", ":8443"), KEY, THEN, true).is_ok());
}

#[test]
fn the_clock_may_differ_by_five_minutes_and_no_more() {
    for sent in [PYTHON, PYTHON_SHA256] {
        for away in [-300, 300] {
            assert!(judged(sent, KEY, THEN + away, true).is_ok(), "{away}");
        }
        for away in [-301, 301, 3600, -THEN, i64::MAX - THEN] {
            let error = judged(sent, KEY, THEN + away, true).unwrap_err();
            assert_eq!(error.code, "AuthFailure.SignatureExpire", "{away}");
        }
    }
    for time in ["", "soon", "-1795174988", "+1795174988", "1795174988.0", "99999999999999999999"] {
        let sent = altered(PYTHON, "X-TC-Timestamp: 1795174988", &format!("X-TC-Timestamp: {time}"));
        assert_eq!(code(&sent), "InvalidParameter", "{time}");
    }
}

/// The Python SDK's request, signed rightly, but for this day.
fn signed_for(day: &str) -> String {
    let mac = |key: &[u8], text: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().to_vec()
    };
    let (head, body) = PYTHON.split_once("\r\n\r\n").unwrap();
    let value = |name: &str| head.split("\r\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap();
    let lines = format!("content-type:{}\nhost:{}\n", value("Content-Type"), value("Host"));
    let request = format!("POST\n/\n\n{lines}\ncontent-type;host\n{}", hex::encode(Sha256::digest(body)));
    let scope = format!("{day}/vpc/tc3_request");
    let signed = format!("TC3-HMAC-SHA256\n{THEN}\n{scope}\n{}", hex::encode(Sha256::digest(request)));
    let key = [day, "vpc", "tc3_request"].iter().fold(format!("TC3{KEY}").into_bytes(), |key, part| mac(&key, part));
    let (before, _) = value("Authorization").split_once("Credential=").unwrap();
    let credential = format!("{before}Credential=AKIDexample/{scope}, SignedHeaders=content-type;host");
    let authorization = format!("{credential}, Signature={}", hex::encode(mac(&key, &signed)));
    altered(PYTHON, value("Authorization"), &authorization)
}

#[test]
fn a_signature_is_for_the_day_of_its_timestamp_and_no_other() {
    assert_eq!(signed_for("2026-11-20"), PYTHON, "signed as the SDK does it");
    for day in ["2026-11-19", "2026-11-21", "2025-11-20", "", "2026-11-20 "] {
        let error = judged(&signed_for(day), KEY, THEN, true).unwrap_err();
        assert_eq!(error.code, "AuthFailure.SignatureFailure", "{day}");
    }
}

#[test]
fn who_does_not_say_who_it_is_is_told_what_is_missing() {
    let authorization = PYTHON.split("\r\n").find(|line| line.starts_with("Authorization")).unwrap();
    for (sent, from, to, expected) in [
        (PYTHON, "AKIDexample", "AKIDother", "AuthFailure.SecretIdNotFound"),
        (PYTHON_SHA256, "AKIDexample", "AKIDother", "AuthFailure.SecretIdNotFound"),
        (PYTHON, authorization, "Authorization: SKIP", "AuthFailure.InvalidAuthorization"),
        (PYTHON, authorization, "X-None: 1", "AuthFailure.InvalidAuthorization"),
        (PYTHON, "content-type;host", "host", "AuthFailure.InvalidAuthorization"),
        (PYTHON, "content-type;host", "content-type", "AuthFailure.InvalidAuthorization"),
        (PYTHON, "content-type;host", "content-type;host;x-none", "AuthFailure.InvalidAuthorization"),
        (PYTHON, "content-type;host", "content-type;host;host", "AuthFailure.InvalidAuthorization"),
        (PYTHON, "content-type;host", "Content-Type;content-type;host", "AuthFailure.InvalidAuthorization"),
        (PYTHON, "X-TC-Timestamp: 1795174988\r\n", "", "MissingParameter"),
        (PYTHON, "X-TC-Action: DescribeAddresses\r\n", "", "MissingParameter"),
        (PYTHON, "X-TC-Version: 2017-03-12\r\n", "", "MissingParameter"),
        (PYTHON, "X-TC-Action: ", "X-TC-Action: A\r\nX-TC-Action: ", "InvalidParameter"),
        (PYTHON, "Host: ", "Host: elsewhere\r\nHost: ", "InvalidParameter"),
        (PYTHON, "X-TC-Region", "X-TC-Token: t\r\nX-TC-Region", "AuthFailure.TokenFailure"),
        (PYTHON, "POST / ", "POST /cvm ", "InvalidRequest"),
        (PYTHON, "POST / ", "POST //../ ", "InvalidRequest"),
        (PYTHON, "POST / ", "PUT / ", "UnsupportedProtocol"),
        (PYTHON, "application/json", "text/plain", "InvalidRequest"),
        (PYTHON_SHA256, "&SecretId=AKIDexample", "", "MissingParameter"),
        (PYTHON_SHA256, "&Timestamp=1795174988", "", "MissingParameter"),
        (PYTHON_SHA256, "HmacSHA256", "HmacMD5", "AuthFailure.InvalidAuthorization"),
        (PYTHON_SHA256, "&Limit=20", "&Limit=20&Limit=21", "InvalidParameter"),
    ] {
        assert_eq!(code(&altered(sent, from, to)), expected, "{from} {to}");
    }
}

#[test]
fn sha1_counts_only_where_it_is_switched_on() {
    let implied = altered(PYTHON_SHA1, "&SignatureMethod=HmacSHA1", "");
    for sent in [PYTHON_SHA1, NODE_SHA1, &implied] {
        let error = judged(sent, KEY, THEN, false).unwrap_err();
        assert_eq!(error.code, "AuthFailure.InvalidAuthorization");
        assert!(error.message.contains("HmacSHA1"), "{}", error.message);
    }
    assert!(judged(PYTHON_SHA256, KEY, THEN, false).is_ok());
}

#[test]
fn a_body_that_is_no_object_is_refused_after_its_signature() {
    let sent = |body: &str| {
        let head = PYTHON_UNSIGNED.split_once("\r\n\r\n").unwrap().0;
        format!("{head}\r\n\r\n{body}")
    };
    let deep = format!("{{\"A\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    for body in ["[]", "null", "{", "{}x", "{\"A\":1e999}", "\u{feff}{}", &deep] {
        assert_eq!(code(&sent(body)), "InvalidParameter", "{}", &body[..body.len().min(20)]);
    }
    assert_eq!(call(&sent("")).params, json!({}));
}

proptest::proptest! {
    /// What is left of a recorded request when bytes of it are others is taken in full or refused, and never taken
    /// otherwise than it was signed.
    #[test]
    fn e12_no_damage_to_a_request_is_a_defect(
        which in 0..4_usize,
        damage in proptest::collection::vec((proptest::prelude::any::<usize>(), proptest::prelude::any::<u8>()), 1..12),
    ) {
        let whole = [PYTHON, PYTHON_GET, NODE_SHA256, TERRAFORM][which];
        let mut bytes = whole.as_bytes().to_vec();
        for (place, byte) in damage {
            let place = place % bytes.len();
            bytes[place] = byte;
        }
        let Some(request) = damaged(&bytes) else { return Ok(()) };
        let credentials = credentials(KEY);
        let judge = Judge { credentials: &credentials, now: THEN, weak: true };
        let taken = Received::new(&request).and_then(|received| {
            let signed = judge.identify(&received)?;
            received.call(&signed, "an-id")
        });
        if let Ok(taken) = taken {
            proptest::prop_assert_eq!(taken.params, call(whole).params);
        }
    }
}

/// The request that these bytes are, if they are one.
fn damaged(bytes: &[u8]) -> Option<Request<Bytes>> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let (head, body) = (&bytes[..end], &bytes[end + 4..]);
    let mut lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut first = lines.next()?.split(|byte| *byte == b' ');
    let mut request = Request::builder().method(first.next()?).uri(first.next()?);
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        request = request.header(&line[..colon], line[colon + 1..].trim_ascii());
    }
    request.body(Bytes::copy_from_slice(body)).ok()
}
