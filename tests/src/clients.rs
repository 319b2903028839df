//! The cloud's own clients, unmodified and as users run them, on the lab's gateway; and requests as clients send them that
//! cannot be had everywhere.

pub mod go;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Map, Value, json};

use crate::lab::edges::{API, Credential};
use crate::lab::{Finished, Lab, Process};

/// Interpreter and SDK take a while to load where many tests run.
const LIMIT: Duration = Duration::from_secs(60);

/// Which client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// The Python SDK.
    Python,
    /// The command line.
    Tccli,
    /// The Node SDK.
    Node,
}

/// How an SDK signs and sends, and how wrong the clock of its machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    pub signed: &'static str,
    pub method: &'static str,
    /// Seconds that the clock is ahead.
    pub ahead: i64,
}

/// As they do unless told otherwise.
pub const USUAL: Way = Way { signed: "TC3-HMAC-SHA256", method: "POST", ahead: 0 };

/// Service, action and request.
pub type Call<'a> = (&'a str, &'a str, Value);

/// Somebody who uses the lab's API by a client.
#[derive(Clone, Copy)]
pub struct Session<'a> {
    pub lab: &'a Lab,
    pub client: Client,
    pub who: Credential,
}

impl Session<'_> {
    /// What the client makes of the answer; `Code` and `Message` of its error where it was refused.
    pub fn call(&self, service: &str, action: &str, request: Value) -> Result<Value> {
        self.calls(&[(service, action, request)])?.pop().context("one call has one answer")
    }

    /// One call after the other, in one process where the client can.
    pub fn calls(&self, calls: &[Call<'_>]) -> Result<Vec<Value>> {
        match self.client {
            Client::Python | Client::Node => self.calls_by(USUAL, calls),
            Client::Tccli => {
                calls.iter().map(|(service, action, request)| self.tccli(service, action, request)).collect()
            }
        }
    }

    /// Calls signed and sent in a certain way, which the SDKs can be told.
    pub fn calls_by(&self, way: Way, calls: &[Call<'_>]) -> Result<Vec<Value>> {
        let (program, script) = match self.client {
            Client::Python => (installed("cloud-sdk").join("bin/python3").display().to_string(), "clients/sdk.py"),
            Client::Node => ("node".to_owned(), "clients/node/sdk.js"),
            Client::Tccli => bail!("tccli cannot be told how to sign"),
        };
        let (script, endpoint, calls) = (here(script), API.to_string(), json!(calls).to_string());
        let Credential { secret_id, secret_key, .. } = self.who;
        let words = [&program, &script, &endpoint, secret_id, secret_key, way.signed, way.method, &calls];
        let modules = installed("cloud-node").join("node_modules").display().to_string();
        let said = self.run(&words, &[("CLOCK_AHEAD", &way.ahead.to_string()), ("NODE_PATH", &modules)])?;
        ensure!(said.success(), "{said}\n`cargo xtask setup` brings the clients");
        serde_json::from_str(&said.stdout).with_context(|| format!("no JSON: {said}"))
    }

    fn tccli(&self, service: &str, action: &str, request: &Value) -> Result<Value> {
        let program = installed("cloud-cli").join("bin/tccli").display().to_string();
        let (words, endpoint) = (options(request), format!("http://{API}"));
        let mut all = vec![program.as_str(), service, action];
        all.extend(words.iter().map(String::as_str));
        all.extend(["--endpoint", &endpoint]);
        // It keeps a log and its settings at home.
        let home = self.lab.directory.join("home");
        fs::create_dir_all(&home)?;
        let home = home.display().to_string();
        let [id, key, region] = environment(self.who);
        let said = self.run(&all, &[("HOME", &home), id, key, region])?;
        if said.success() {
            return serde_json::from_str(&said.stdout).with_context(|| format!("no JSON: {said}"));
        }
        refusal(&said.stderr).with_context(|| said.to_string())
    }

    fn run(&self, words: &[&str], environment: &[(&str, &str)]) -> Result<Finished> {
        let mut command = self.lab.gateway.command(words);
        command.envs(environment.iter().copied());
        Process::start(words[0], command)?.finish(LIMIT)
    }
}

/// What tccli knows of who uses it.
pub fn environment(who: Credential) -> [(&'static str, &'static str); 3] {
    [
        ("TENCENTCLOUD_SECRET_ID", who.secret_id),
        ("TENCENTCLOUD_SECRET_KEY", who.secret_key),
        ("TENCENTCLOUD_REGION", "ap-guangzhou"),
    ]
}

/// The options by which tccli is told a request.
pub fn options(request: &Value) -> Vec<String> {
    let option = |(name, value): (&String, &Value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        [format!("--{name}"), value]
    };
    request.as_object().into_iter().flat_map(Map::iter).flat_map(option).collect()
}

/// `[TencentCloudSDKException] code:CODE message:TEXT requestId:ID`
fn refusal(said: &str) -> Option<Value> {
    let (code, rest) = said.trim().strip_prefix("[TencentCloudSDKException] code:")?.split_once(" message:")?;
    let (message, _) = rest.rsplit_once(" requestId:")?;
    Some(json!({ "Code": code, "Message": message }))
}

/// A file beside the tests.
fn here(file: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file).display().to_string()
}

/// Where `cargo xtask setup` puts a client.
pub fn installed(client: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools").join(client)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_told_to_tccli_by_options() {
        let request = json!({ "AddressId": "eip-1", "AddressIds": ["eip-1"], "Limit": 5, "Flag": false });
        let options = options(&request);
        let option = |name: &str| options.iter().skip_while(|word| *word != name).nth(1).map(String::as_str);
        assert_eq!(option("--AddressId"), Some("eip-1"));
        assert_eq!(option("--AddressIds"), Some("[\"eip-1\"]"));
        assert_eq!((option("--Limit"), option("--Flag")), (Some("5"), Some("false")));
    }

    #[test]
    fn a_refusal_is_read_from_what_tccli_says() {
        let said = "[TencentCloudSDKException] code:InvalidAction message:no such: action requestId:1-2\n";
        assert_eq!(refusal(said), Some(json!({ "Code": "InvalidAction", "Message": "no such: action" })));
        assert_eq!(refusal("Traceback"), None);
    }
}
