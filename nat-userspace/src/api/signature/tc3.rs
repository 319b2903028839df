//! TC3-HMAC-SHA256: the signature in the header `Authorization`, over head and body.

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::{Judge, Signed, hosts, invalid, only};
use crate::api::error::ApiError;
use crate::api::request::{Received, missing};

const ALGORITHM: &str = "TC3-HMAC-SHA256";
/// Stands for any body, where the client says so.
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
/// Headers that a signature may cover.
const MOST_HEADERS: usize = 32;

/// What the header says.
#[derive(Debug, PartialEq, Eq)]
struct Authorization<'a> {
    secret_id: &'a str,
    date: &'a str,
    service: &'a str,
    headers: &'a str,
    signature: &'a str,
}

pub(super) fn check<'a>(
    judge: Judge<'a>,
    received: &Received<'_>,
    authorization: &str,
) -> Result<Signed<'a>, ApiError> {
    let authorization = Authorization::parse(authorization)?;
    let timestamp = received.header("X-TC-Timestamp")?.ok_or_else(|| missing("X-TC-Timestamp"))?;
    let seconds = judge.judge_time(timestamp)?;
    let candidates = canonical_requests(received, authorization.headers)?;
    let Authorization { secret_id, date, service, signature, .. } = authorization;
    let day = Timestamp::from_second(seconds).map(|time| time.strftime("%Y-%m-%d").to_string()).unwrap_or_default();
    // Decoded all the same where it is none, so that an unknown id is told before a malformed signature.
    let signature = hex::decode(signature).unwrap_or_default();
    let credential = judge.decide(secret_id, &signature, |key| {
        let key = signing_key(key, date, service);
        let sign = |canonical: &String| {
            let digest = hex::encode(Sha256::digest(canonical));
            hmac(&key, &format!("{ALGORITHM}\n{timestamp}\n{date}/{service}/tc3_request\n{digest}")).to_vec()
        };
        candidates.iter().map(sign).collect()
    })?;
    if day != date {
        let message = format!("the signature is for {date}, and the request's timestamp {seconds} is on {day} (UTC)");
        return Err(ApiError::new("AuthFailure.SignatureFailure", message));
    }
    Ok(Signed { credential, service: Some(service.to_owned()) })
}

impl<'a> Authorization<'a> {
    fn parse(text: &'a str) -> Result<Self, ApiError> {
        if text.eq_ignore_ascii_case("SKIP") {
            return Err(invalid("requests must be signed here; Authorization: SKIP is not accepted"));
        }
        let fields = text.strip_prefix(ALGORITHM).and_then(|rest| rest.strip_prefix(' '));
        let fields =
            fields.ok_or_else(|| invalid(format!("the header Authorization does not begin with {ALGORITHM}")))?;
        let (mut credential, mut headers, mut signature) = (None, None, None);
        for field in fields.split(',') {
            let (name, value) = field.trim().split_once('=').unwrap_or_default();
            let place = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut headers,
                "Signature" => &mut signature,
                _ => return Err(invalid("the header Authorization has a field that it should not have")),
            };
            if place.replace(value).is_some() {
                return Err(invalid(format!("the header Authorization has {name} twice")));
            }
        }
        let lacks = |name: &str| invalid(format!("the header Authorization has no {name}"));
        let scope: Vec<&str> = credential.ok_or_else(|| lacks("Credential"))?.split('/').collect();
        let [secret_id, date, service, "tc3_request"] = scope[..] else {
            return Err(invalid("the Credential is not SecretId/date/service/tc3_request"));
        };
        let headers = headers.ok_or_else(|| lacks("SignedHeaders"))?;
        let signature = signature.ok_or_else(|| lacks("Signature"))?;
        Ok(Authorization { secret_id, date, service, headers, signature })
    }
}

/// Every text that a client may have signed for this request. They differ in how clients treat the host's port and the
/// letters of values: some sign values as they are, others in lower case.
fn canonical_requests(received: &Received<'_>, signed: &str) -> Result<Vec<String>, ApiError> {
    let names: Vec<&str> = signed.split(';').collect();
    if names.len() > MOST_HEADERS {
        return Err(invalid(format!("SignedHeaders names more than {MOST_HEADERS} headers")));
    }
    for needed in ["content-type", "host"] {
        if !names.contains(&needed) {
            return Err(invalid(format!("SignedHeaders does not name {needed}, which must be signed")));
        }
    }
    let mut values = Vec::new();
    for (at, name) in names.iter().enumerate() {
        if name.is_empty() || name.bytes().any(|byte| byte.is_ascii_uppercase()) || names[..at].contains(name) {
            return Err(invalid("SignedHeaders is not a list of header names in lower case, each once"));
        }
        let value = match *name {
            "host" => Some(received.host),
            name => only(received.headers, name)?,
        };
        values.push(value.ok_or_else(|| invalid(format!("the signed header {name} is not there")))?);
    }
    let body = match received.header("X-TC-Content-SHA256")? {
        Some(UNSIGNED) => UNSIGNED.as_bytes(),
        _ => received.body,
    };
    let (method, query, body) = (received.method(), received.signed_query(), hex::encode(Sha256::digest(body)));
    let mut texts = Vec::new();
    for host in hosts(received.host) {
        for lower in [false, true] {
            let lines = names.iter().zip(&values).map(|(name, value)| {
                let value = if *name == "host" { host } else { value };
                if lower { format!("{name}:{}\n", value.to_lowercase()) } else { format!("{name}:{value}\n") }
            });
            let lines: String = lines.collect();
            let text = format!("{method}\n/\n{query}\n{lines}\n{signed}\n{body}");
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
    }
    Ok(texts)
}

fn signing_key(secret_key: &str, date: &str, service: &str) -> [u8; 32] {
    let key = hmac(format!("TC3{secret_key}").as_bytes(), date);
    hmac(&hmac(&key, service), "tc3_request")
}

fn hmac(key: &[u8], text: &str) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_taken_apart_and_nothing_else_is_taken() {
        let text = "TC3-HMAC-SHA256 Credential=AKID/2026-11-20/vpc/tc3_request, SignedHeaders=content-type;host, Signature=00ff";
        let expected = Authorization {
            secret_id: "AKID",
            date: "2026-11-20",
            service: "vpc",
            headers: "content-type;host",
            signature: "00ff",
        };
        assert_eq!(Authorization::parse(text).unwrap(), expected);
        assert_eq!(Authorization::parse(&text.replace(", ", ",")).unwrap(), expected);
        for (from, to) in [
            ("TC3-HMAC-SHA256", "TC3-HMAC-SHA1"),
            ("TC3-HMAC-SHA256 ", "TC3-HMAC-SHA256"),
            ("tc3_request", "aws4_request"),
            ("/vpc", ""),
            ("/vpc", "/vpc/x"),
            (", Signature=00ff", ""),
            ("Signature=", "Signature"),
            ("SignedHeaders=content-type;host, ", ""),
            ("00ff", "00ff, Signature=00ff"),
            ("00ff", "00ff, Other=1"),
        ] {
            let error = Authorization::parse(&text.replacen(from, to, 1)).unwrap_err();
            assert_eq!(error.code, "AuthFailure.InvalidAuthorization", "{from} {to}");
        }
        assert!(Authorization::parse("SKIP").unwrap_err().message.contains("must be signed"));
    }
}
