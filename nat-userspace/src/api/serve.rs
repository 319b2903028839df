//! The listener of the API, and the way of a request through it.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use hyper::body::Bytes;
use hyper::{Request, Response};
use tokio::sync::watch;
use tracing::info;
use uuid::Uuid;

use super::envelope::envelope;
use super::error::ApiError;
use crate::config::Config;
use crate::credentials::Credentials;
use crate::follow::Followed;
use crate::gateway::Handle;
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
        let door = Door { _credentials: credentials, _handle: handle, _configuration: configuration };
        self.0.serve(Limits::default(), tls, door)
    }
}

/// Where requests come in.
struct Door {
    _credentials: Followed<Credentials>,
    _handle: Handle,
    _configuration: watch::Receiver<Arc<Config>>,
}

impl Service for Door {
    async fn answer(&self, _request: Request<Bytes>, _peer: Peer) -> Response<Body> {
        refuse(ApiError::new("InvalidAction", "there are no actions yet"))
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
        refuse(ApiError::new("InternalError", "the request could not be answered because of a defect in the gateway"))
    }
}

fn refuse(error: ApiError) -> Response<Body> {
    envelope(Err(error), &Uuid::new_v4().to_string())
}
