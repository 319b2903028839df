//! The listener of the API, and the way of a request through it: who sent it, what it asks, whether that may be.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use futures_util::FutureExt as _;
use hyper::body::Bytes;
use hyper::{Request, Response};
use serde_json::{Map, Value};
use tokio::sync::watch;
use tracing::{debug, error, info};
use uuid::Uuid;

use super::actions::{self, Action, Effect};
use super::call::Call;
use super::envelope::envelope;
use super::error::ApiError;
use super::rates::{self, Rates};
use super::request::Received;
use super::signature::{Judge, wall_clock};
use super::turns::Turns;
use crate::config::Config;
use crate::credentials::{Access, Credentials};
use crate::follow::Followed;
use crate::gateway::{GatewayError, Handle};
use crate::http::{self, Body, Limits, Peer, Server, Service, Tls, Unread};

/// A bound address.
#[derive(Debug)]
pub struct Listener(http::Listener);

impl Listener {
    /// Binds the configured address, if there is one. Connections wait until they are served.
    pub async fn bind(config: &Config) -> Result<Option<Listener>> {
        let Some(address) = config.api_listen else { return Ok(None) };
        let listener = http::Listener::bind(address, "the API", "api_listen").await?;
        Ok(Some(Listener(listener)))
    }

    /// Where it is; the port is known only now where 0 was configured.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Serves connections from now on, those that waited included.
    pub fn serve(
        self,
        tls: Option<Tls>,
        credentials: Followed<Credentials>,
        handle: Handle,
        configuration: watch::Receiver<Arc<Config>>,
    ) -> Server {
        let scheme = if tls.is_some() { "https" } else { "http" };
        info!("the API is at {scheme}://{}", self.0.address());
        let door = Door { credentials, handle, configuration, rates: Rates::default(), turns: Turns::default() };
        self.0.serve(Limits::default(), tls, door)
    }
}

/// Where requests come in.
pub(super) struct Door {
    pub(super) credentials: Followed<Credentials>,
    pub(super) handle: Handle,
    pub(super) configuration: watch::Receiver<Arc<Config>>,
    pub(super) rates: Rates,
    pub(super) turns: Turns,
}

impl Service for Door {
    async fn answer(&self, request: Request<Bytes>, peer: Peer) -> Response<Body> {
        let request_id = Uuid::new_v4().to_string();
        let outcome = outlived(self.perform(&request, peer, &request_id), &request_id).await;
        envelope(outcome, &request_id)
    }

    fn refuse(&self, unread: Unread) -> Response<Body> {
        let code = match unread {
            Unread::TooLong(_) => "RequestSizeLimitExceeded",
            Unread::TooSlow(_) | Unread::Broken => "InvalidRequest",
            Unread::TooMany => "RequestLimitExceeded",
        };
        refuse(ApiError::new(code, unread.to_string()))
    }

    fn panicked(&self) -> Response<Body> {
        refuse(GatewayError::Defect.into())
    }
}

impl Door {
    async fn perform(
        &self,
        request: &Request<Bytes>,
        peer: Peer,
        request_id: &str,
    ) -> Result<Map<String, Value>, ApiError> {
        let config = Arc::clone(&self.configuration.borrow());
        let address = peer.address;
        let (secret_id, call) = self.identify(request, &config, request_id).inspect_err(|error| {
            debug!(%address, request_id, code = %error.code, "a request to the API was refused: {}", error.message);
        })?;
        let (account, name) = (call.account.clone(), call.action.clone());
        let action = self.judge(&call, &config, Instant::now());
        let changes = matches!(action, Ok(Action { effect: Effect::Write, .. }));
        let outcome = match action {
            Ok(_) => actions::dispatch(call, &self.handle, &config, &self.turns).await,
            Err(error) => Err(error),
        };
        match &outcome {
            Err(error) => {
                let ApiError { code, message } = error;
                info!(%address, %account, secret_id, request_id, %code, "{name:?} failed: {message}");
            }
            Ok(_) if changes => info!(%address, %account, secret_id, request_id, "{name}"),
            Ok(_) => debug!(%address, %account, secret_id, request_id, "{name}"),
        }
        outcome
    }

    /// The call in the request, and the id of the credential that signed it.
    fn identify(
        &self,
        request: &Request<Bytes>,
        config: &Config,
        request_id: &str,
    ) -> Result<(String, Call), ApiError> {
        let received = Received::new(request)?;
        let credentials = self.credentials.latest();
        let judge = Judge { credentials: &credentials, now: wall_clock(), weak: config.api_weak_signatures };
        let signed = judge.identify(&received)?;
        Ok((signed.credential.secret_id.clone(), received.call(&signed, request_id)?))
    }

    /// The action that the call names, if this sender may have it done now.
    fn judge(&self, call: &Call, config: &Config, now: Instant) -> Result<&'static Action, ApiError> {
        let action = actions::offered(&call.action)?;
        admit(action, call, config)?;
        let most = match action.effect {
            Effect::Write => config.api_changes_per_second,
            Effect::Read => config.api_reads_per_second,
        };
        let per_second = rates::of_action(action.name, most);
        if self.rates.admit(&call.account, action.name, per_second, now) {
            return Ok(action);
        }
        let message =
            format!("account {} may call {} {per_second} times a second; try again", call.account, action.name);
        Err(ApiError::new("RequestLimitExceeded", message))
    }
}

/// Whether the call could be made at all.
pub(super) fn admit(action: &Action, call: &Call, config: &Config) -> Result<(), ApiError> {
    if !action.versions.contains(&call.version.as_str()) {
        let known = action.versions.join(", ");
        let message = format!("{} has no version {:?}; there is {known}", action.name, call.version);
        return Err(ApiError::new("NoSuchVersion", message));
    }
    if let Some(region) = call.region.as_ref().filter(|region| **region != config.region) {
        let message = format!("there is no region {region:?} here; this is {}", config.region);
        return Err(ApiError::new("UnsupportedRegion", message));
    }
    if action.effect == Effect::Write && call.access == Access::ReadOnly {
        let message = format!("this SecretId may only look, and {} changes something", action.name);
        return Err(ApiError::new("AuthFailure.UnauthorizedOperation", message));
    }
    Ok(())
}

/// What comes of a request, also where answering it panics: the log then says so by the id that the client is told.
async fn outlived(
    performing: impl Future<Output = Result<Map<String, Value>, ApiError>>,
    request_id: &str,
) -> Result<Map<String, Value>, ApiError> {
    AssertUnwindSafe(performing).catch_unwind().await.unwrap_or_else(|_| {
        error!(request_id, "answering a request to the API panicked");
        Err(GatewayError::Defect.into())
    })
}

fn refuse(error: ApiError) -> Response<Body> {
    envelope(Err(error), &Uuid::new_v4().to_string())
}

#[cfg(test)]
mod tests {
    use super::super::call::Language;
    use super::*;

    fn call(action: &str) -> Call {
        Call {
            service_hint: None,
            account: "alice".parse().unwrap(),
            access: Access::ReadWrite,
            action: action.into(),
            version: "2017-03-12".into(),
            region: None,
            language: Language::English,
            params: Value::Null,
            request_id: "request-1".into(),
        }
    }

    #[test]
    fn an_account_has_its_calls_of_each_action_as_often_as_the_cloud_allows() {
        let config = Config { api_changes_per_second: 10, api_reads_per_second: 30, ..Config::default() };
        let (handle, _) = Handle::new();
        let (_, configuration) = watch::channel(Arc::new(config.clone()));
        let credentials = Followed::fixed(Credentials::default());
        let door = Door { credentials, handle, configuration, rates: Rates::default(), turns: Turns::default() };
        let now = Instant::now();
        for (action, per_second) in [
            ("AssociateAddress", 10),
            ("DisassociateAddress", 10),
            ("ReleaseAddresses", 10),
            ("AdjustPublicAddress", 20),
            ("DescribeAddresses", 30),
        ] {
            let told: Vec<_> = (0..50).map(|_| door.judge(&call(action), &config, now)).collect();
            let (let_in, limited) = told.split_at(per_second);
            assert!(let_in.iter().all(Result::is_ok), "{action}: {let_in:?}");
            let said = format!("may call {action} {per_second} times a second");
            let is_limited = |error: &ApiError| error.code == "RequestLimitExceeded" && error.message.contains(&said);
            assert!(limited.iter().all(|told| told.as_ref().is_err_and(is_limited)), "{action}: {limited:?}");
        }
    }

    #[test]
    fn what_cannot_be_called_at_all_is_told_why() {
        let config = Config::default();
        let (here, elsewhere) = (Some(config.region.clone()), Some("ap-nowhere".to_owned()));
        let reader = |action| Call { access: Access::ReadOnly, ..call(action) };
        for (call, code) in [
            (call("ReleaseAddresses"), None),
            (Call { region: here, ..call("ReleaseAddresses") }, None),
            (Call { region: elsewhere, ..call("ReleaseAddresses") }, Some("UnsupportedRegion")),
            (Call { version: "2016-01-01".into(), ..call("ReleaseAddresses") }, Some("NoSuchVersion")),
            (reader("DescribeAddresses"), None),
            (reader("ReleaseAddresses"), Some("AuthFailure.UnauthorizedOperation")),
        ] {
            let action = actions::offered(&call.action).unwrap();
            let refused = admit(action, &call, &config).err();
            assert_eq!(refused.as_ref().map(|error| error.code.as_ref()), code, "{call:?}");
        }
    }

    #[tokio::test]
    async fn a_defect_on_the_way_of_a_request_is_an_internal_error_with_its_id() {
        let answered = outlived(async { panic!("a defect") }, "request-1").await;
        let response = envelope(answered, "request-1");
        let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
        let said: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(said["Response"]["Error"]["Code"], "InternalError");
        assert_eq!(said["Response"]["RequestId"], "request-1");
    }
}
