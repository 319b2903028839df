//! Who made a request: its signature, checked against the key of the credential it names.
//!
//! An unknown id takes as long as a known one with a wrong signature, and signatures are compared in constant time.

mod old;
mod tc3;
#[cfg(test)]
mod tests;

use std::time::{SystemTime, UNIX_EPOCH};

use hyper::HeaderMap;
use subtle::ConstantTimeEq as _;

use super::error::ApiError;
use super::request::Received;
use crate::credentials::{Credential, Credentials};

/// How far a request's time may be from ours, in seconds.
const CLOCK: u64 = 300;

/// What a signature is judged by.
#[derive(Clone, Copy)]
pub(super) struct Judge<'a> {
    pub(super) credentials: &'a Credentials,
    /// Seconds since 1970.
    pub(super) now: i64,
    /// Whether HMAC-SHA1 counts.
    pub(super) weak: bool,
}

/// A request whose sender is known.
pub(super) struct Signed<'a> {
    pub(super) credential: &'a Credential,
    /// The service that the signature is for, where it names one.
    pub(super) service: Option<String>,
}

impl<'a> Judge<'a> {
    /// Finds out who sent it.
    pub(super) fn identify(self, received: &Received<'_>) -> Result<Signed<'a>, ApiError> {
        match (received.authorization, received.field("Signature")) {
            (Some(authorization), _) => tc3::check(self, received, authorization),
            (None, Some(signature)) => old::check(self, received, signature),
            (None, None) => {
                Err(invalid("the request is not signed: it has neither the header Authorization nor a Signature"))
            }
        }
    }

    /// Refuses what was signed too long ago or too far ahead.
    fn judge_time(self, timestamp: &str) -> Result<i64, ApiError> {
        let digits = !timestamp.is_empty() && timestamp.bytes().all(|byte| byte.is_ascii_digit());
        let seconds: i64 = timestamp.parse().ok().filter(|_| digits).ok_or_else(|| {
            ApiError::new("InvalidParameter", "the request's timestamp is not a number of seconds since 1970")
        })?;
        if seconds.abs_diff(self.now) > CLOCK {
            let message = format!(
                "the request's timestamp {seconds} is more than {CLOCK} s away from the gateway's {}; set the client's clock",
                self.now
            );
            return Err(ApiError::new("AuthFailure.SignatureExpire", message));
        }
        Ok(seconds)
    }

    /// The credential whose key makes one of the signatures that `with` gives for it.
    fn decide(
        self,
        secret_id: &str,
        signature: &[u8],
        with: impl Fn(&str) -> Vec<Vec<u8>>,
    ) -> Result<&'a Credential, ApiError> {
        let credential = self.credentials.find(secret_id);
        let key = credential.map_or("0123456789abcdef0123456789abcdef", Credential::secret_key);
        let matching =
            with(key).iter().fold(subtle::Choice::from(0), |any, ours| any | ours.as_slice().ct_eq(signature));
        let Some(credential) = credential else {
            let message = "there is no such SecretId; check it, or have it added to the gateway's credentials";
            return Err(ApiError::new("AuthFailure.SecretIdNotFound", message));
        };
        if bool::from(matching) {
            return Ok(credential);
        }
        let message =
            "the signature is not the one that this SecretId's key makes for this request; check the SecretKey";
        Err(ApiError::new("AuthFailure.SignatureFailure", message))
    }
}

/// Seconds since 1970.
pub(super) fn wall_clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// The hosts that clients may have signed: as sent, and without the port. A host need not be a legal one.
fn hosts(sent: &str) -> Vec<&str> {
    let without =
        sent.rsplit_once(':').filter(|(_, port)| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
    [Some(sent), without.map(|(host, _)| host)].into_iter().flatten().collect()
}

/// The only value of a header. Two of them would be read differently by different programs.
pub(super) fn only<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, ApiError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(ApiError::new("InvalidParameter", format!("the header {name} is there more than once")));
    }
    let text = std::str::from_utf8(value.as_bytes());
    let text = text.map_err(|_| ApiError::new("InvalidParameter", format!("the header {name} is not UTF-8")))?;
    Ok(Some(text.trim()))
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new("AuthFailure.InvalidAuthorization", message)
}
