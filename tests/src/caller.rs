//! Calls to the API on a plain socket, signed as the cloud's clients sign them: for floods, for measuring, and for
//! requests that no client would send.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::lab::Namespace;
use crate::lab::edges::{API, Credential};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);
const KIND: &str = "application/json";

/// A connection to the API.
pub struct Caller {
    stream: BufReader<TcpStream>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case, as they came.
    pub head: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// What stands in the envelope.
    pub fn response(&self) -> Result<Value> {
        let said = || String::from_utf8_lossy(&self.body).into_owned();
        let mut value: Value = serde_json::from_slice(&self.body).with_context(|| format!("no JSON: {}", said()))?;
        let response = value["Response"].take();
        ensure!(response["RequestId"].is_string(), "no envelope: {}", said());
        Ok(response)
    }

    /// The code of an error; empty where there is none.
    pub fn code(&self) -> Result<String> {
        Ok(self.response()?["Error"]["Code"].as_str().unwrap_or_default().to_owned())
    }
}

/// A request of that body at this moment, in full.
pub fn signed(who: Credential, action: &str, body: &[u8]) -> Vec<u8> {
    signed_with(who, action, body, &[])
}

/// As [`signed`], with further lines in its head.
pub fn signed_with(who: Credential, action: &str, body: &[u8], lines: &[&str]) -> Vec<u8> {
    let now = Timestamp::now();
    let (date, now) = (now.strftime("%Y-%m-%d").to_string(), now.as_second());
    let scope = format!("{date}/vpc/tc3_request");
    let host = API.to_string();
    let digest = |bytes: &[u8]| hex::encode(Sha256::digest(bytes));
    let canonical = format!("POST\n/\n\ncontent-type:{KIND}\nhost:{host}\n\ncontent-type;host\n{}", digest(body));
    let text = format!("TC3-HMAC-SHA256\n{now}\n{scope}\n{}", digest(canonical.as_bytes()));
    let chain = [date.as_str(), "vpc", "tc3_request"];
    let key = chain.iter().fold(format!("TC3{}", who.secret_key).into_bytes(), |key, part| mac(&key, part));
    let signature = hex::encode(mac(&key, &text));
    let mut head = format!(
        "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: {KIND}\r\nX-TC-Action: {action}\r\nX-TC-Version: 2017-03-12\r\n\
         X-TC-Timestamp: {now}\r\nAuthorization: TC3-HMAC-SHA256 Credential={}/{scope}, SignedHeaders=content-type;host, \
         Signature={signature}\r\n",
        who.secret_id
    );
    if !lines.iter().any(|line| line.to_ascii_lowercase().starts_with("transfer-encoding")) {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    lines.iter().for_each(|line| head += &format!("{line}\r\n"));
    [head.as_bytes(), b"\r\n", body].concat()
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

impl Caller {
    /// Connects from within the gateway's namespace.
    pub fn new(gateway: &Namespace) -> Result<Caller> {
        Caller::over(gateway.run(|| TcpStream::connect(API)).context("cannot connect to the API")?)
    }

    /// By a connection that is there, to whatever speaks HTTP at its other end.
    pub fn over(stream: TcpStream) -> Result<Caller> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Caller { stream: BufReader::new(stream) })
    }

    /// Sends bytes, whatever they are.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.get_mut().write_all(bytes).context("cannot send a request")
    }

    /// Carries out one call, which must succeed.
    pub fn call(&mut self, who: Credential, action: &str, params: &Value) -> Result<Value> {
        self.send(&signed(who, action, params.to_string().as_bytes()))?;
        let response = self.answer()?.context("the connection ended without an answer")?.response()?;
        ensure!(response["Error"].is_null(), "{action} {params}: {response}");
        Ok(response)
    }

    /// The next answer; none where the other end has closed without one.
    pub fn answer(&mut self) -> Result<Option<Answer>> {
        let Some(first) = self.line()? else { return Ok(None) };
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.with_context(|| format!("no answer begins with {first:?}"))?;
        let mut head = Vec::new();
        loop {
            let line = self.line()?.context("the answer's head is cut off")?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').with_context(|| format!("no header: {line:?}"))?;
            head.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let length = head.iter().find(|(name, _)| name == "content-length").map(|(_, length)| length.parse());
        let mut body = vec![0; length.transpose().context("no length")?.unwrap_or(0)];
        self.stream.read_exact(&mut body).context("the answer's body is cut off")?;
        Ok(Some(Answer { status, head, body }))
    }

    /// Waits until the other end has closed, which it must without a word more.
    pub fn end(&mut self) -> Result<()> {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            // It may have closed with something unread.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(()),
            Err(error) => Err(error).context("the connection goes on"),
            Ok(0) => Ok(()),
            Ok(_) => bail!("more was said: {}", String::from_utf8_lossy(&rest)),
        }
    }

    fn line(&mut self) -> Result<Option<String>> {
        let mut line = Vec::new();
        match self.stream.read_until(b'\n', &mut line) {
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Ok(None),
            read => read?,
        };
        if line.is_empty() {
            return Ok(None);
        }
        Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()))
    }
}
