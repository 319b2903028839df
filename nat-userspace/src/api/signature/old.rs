//! The signature of old: a field of the form, over all the others.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::Sha256;

use super::{Judge, Signed, hosts, invalid};
use crate::api::error::ApiError;
use crate::api::request::{Received, missing};

#[derive(Clone, Copy)]
enum Method {
    Sha1,
    Sha256,
}

pub(super) fn check<'a>(judge: Judge<'a>, received: &Received<'_>, signature: &str) -> Result<Signed<'a>, ApiError> {
    let method = match received.field("SignatureMethod") {
        Some("HmacSHA256") => Method::Sha256,
        // What clients leave out means the oldest.
        Some("HmacSHA1") | None if judge.weak => Method::Sha1,
        Some("HmacSHA1") | None => {
            let advice = "signatures with HmacSHA1 are not accepted here; have the client sign with TC3-HMAC-SHA256 or HmacSHA256";
            return Err(invalid(advice));
        }
        Some(_) => return Err(invalid("SignatureMethod is neither HmacSHA256 nor HmacSHA1")),
    };
    let secret_id = received.field("SecretId").ok_or_else(|| missing("SecretId"))?;
    judge.judge_time(received.field("Timestamp").ok_or_else(|| missing("Timestamp"))?)?;
    let texts = signed_texts(received);
    let signature = STANDARD.decode(signature).unwrap_or_default();
    let credential =
        judge.decide(secret_id, &signature, |key| texts.iter().map(|text| method.sign(key, text)).collect())?;
    Ok(Signed { credential, service: None })
}

/// Every text that a client may have signed for this request.
fn signed_texts(received: &Received<'_>) -> Vec<String> {
    let mut fields: Vec<&(String, String)> = received.fields.iter().filter(|(name, _)| name != "Signature").collect();
    fields.sort_by(|one, other| one.0.cmp(&other.0));
    let fields: Vec<String> = fields.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let fields = fields.join("&");
    hosts(received.host).into_iter().map(|host| format!("{}{host}/?{fields}", received.method())).collect()
}

impl Method {
    fn sign(self, key: &str, text: &str) -> Vec<u8> {
        const ANY: &str = "HMAC takes keys of any length";
        match self {
            Method::Sha1 => {
                let mut mac = Hmac::<Sha1>::new_from_slice(key.as_bytes()).expect(ANY);
                mac.update(text.as_bytes());
                mac.finalize().into_bytes().to_vec()
            }
            Method::Sha256 => {
                let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect(ANY);
                mac.update(text.as_bytes());
                mac.finalize().into_bytes().to_vec()
            }
        }
    }
}
