//! Requests as the Go SDK signs them and Terraform sends them: neither can be had everywhere, so what is known of their
//! requests is built here. A request can also be sent twice, late, or altered.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::lab::edges::{API, Credential};
use crate::lab::{Namespace, SOON};

/// How the gateway is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It is named as the endpoint.
    ByEndpoint,
    /// It is the proxy on the way to the cloud's own names.
    AsProxy,
}

/// A signed request, as it goes over the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed(pub String);

/// Seconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or_default()
}

/// Signs a call by a clock that says so.
pub fn sign(
    who: Credential,
    found: Found,
    at: i64,
    (service, action, request): (&str, &str, &Value),
) -> Result<Signed> {
    let day = Timestamp::from_second(at)?.strftime("%Y-%m-%d").to_string();
    let host = match found {
        Found::ByEndpoint => API.to_string(),
        Found::AsProxy => format!("{service}.tencentcloudapi.com"),
    };
    let target = if found == Found::AsProxy { format!("http://{host}/") } else { "/".into() };
    let version = if service == "tag" { "2018-08-13" } else { "2017-03-12" };
    let body = request.to_string();
    let headers = "content-type;host";
    let canonical = format!(
        "POST\n/\n\ncontent-type:application/json\nhost:{host}\n\n{headers}\n{}",
        hex::encode(Sha256::digest(&body))
    );
    let scope = format!("{day}/{service}/tc3_request");
    let text = format!("TC3-HMAC-SHA256\n{at}\n{scope}\n{}", hex::encode(Sha256::digest(canonical)));
    let first = format!("TC3{}", who.secret_key);
    let chain = [day.as_str(), service, "tc3_request", text.as_str()];
    let signature = chain.iter().fold(first.into_bytes(), |key, text| hmac(&key, text));
    let authorization = format!(
        "TC3-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={headers}, Signature={}",
        who.secret_id,
        hex::encode(signature)
    );
    Ok(Signed(format!(
        "POST {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: {}\r\n\
         Authorization: {authorization}\r\nContent-Type: application/json\r\nX-Tc-Action: {action}\r\n\
         X-Tc-Language: zh-CN\r\nX-Tc-Region: ap-guangzhou\r\nX-Tc-Requestclient: SDK_GO_1.3.164\r\n\
         X-Tc-Timestamp: {at}\r\nX-Tc-Version: {version}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )))
}

impl Signed {
    /// What is in the answer's `Response`.
    pub fn send(&self, from: &Namespace) -> Result<Value> {
        let mut stream = from.run(|| TcpStream::connect(API)).context("the API does not take a connection")?;
        stream.set_read_timeout(Some(SOON))?;
        stream.write_all(self.0.as_bytes())?;
        let mut text = String::new();
        stream.read_to_string(&mut text).context("the API does not answer")?;
        let (head, body) = text.split_once("\r\n\r\n").with_context(|| format!("no answer: {text}"))?;
        let mut answer: Value = serde_json::from_str(body).with_context(|| format!("no JSON: {head}\n\n{body}"))?;
        Ok(answer["Response"].take())
    }

    /// The same with one thing altered, under the same signature.
    pub fn altered(&self, from: &str, to: &str) -> Signed {
        assert!(self.0.contains(from) && from.len() == to.len(), "there is no {from:?} that {to:?} can stand for");
        Signed(self.0.replacen(from, to, 1))
    }
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}
