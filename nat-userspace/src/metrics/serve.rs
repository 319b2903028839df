//! The HTTP side: few connections, each with little time, and one page.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, ALLOW, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::watch;
use tracing::info;

use super::page::page;
use super::plain::plain;
use super::scrape::Scraper;
use crate::config::Config;
use crate::gateway::Handle;
use crate::http::{self, Body, Limits, Peer, Server, Service, full, say};

/// Few scrape, and each of them may keep its connection from one scrape to the next.
const LIMITS: Limits = Limits {
    connections: 16,
    head: Duration::from_secs(120),
    body: Duration::from_secs(5),
    connection: Duration::from_secs(600),
    head_bytes: 16 << 10,
    body_bytes: 0,
};

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A bound address.
#[derive(Debug)]
pub struct Listener(http::Listener);

impl Listener {
    /// Binds the configured address, if there is one. Connections wait until they are served.
    pub async fn bind(config: &Config) -> Result<Option<Listener>> {
        let Some(address) = config.metrics_listen else { return Ok(None) };
        Ok(Some(Listener(http::Listener::bind(address, "metrics", "metrics_listen").await?)))
    }

    /// Where it is; the port is known only now where 0 was configured.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Serves connections from now on, those that waited included.
    pub fn serve(self, handle: Handle, configuration: watch::Receiver<Arc<Config>>) -> Server {
        info!("metrics are at http://{}/metrics", self.address());
        self.0.serve(LIMITS, None, Scraper::new(handle, configuration))
    }
}

impl Service for Scraper {
    async fn answer(&self, request: Request<Bytes>, _: Peer) -> Response<Body> {
        let head = *request.method() == Method::HEAD;
        let mut response = match (request.method(), request.uri().path()) {
            (&Method::GET | &Method::HEAD, "/metrics") => {
                let text = page(self.sample().await);
                let (text, kind) =
                    if wants_openmetrics(&request) { (text, OPENMETRICS) } else { (plain(&text), PLAIN) };
                say(StatusCode::OK, kind, text)
            }
            (_, "/metrics") => {
                let mut refusal = http::plain(StatusCode::METHOD_NOT_ALLOWED, "metrics can only be read\n");
                refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
                refusal
            }
            _ => http::plain(StatusCode::NOT_FOUND, "there is only /metrics here\n"),
        };
        if head {
            *response.body_mut() = full(Bytes::new());
        }
        response
    }
}

fn wants_openmetrics(request: &Request<Bytes>) -> bool {
    let accepted = request.headers().get_all(ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|kind| {
        kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/openmetrics-text"))
    })
}
