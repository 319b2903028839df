//! One question and its answer: who may ask, how, and where.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::body::Bytes;
use hyper::header::{CACHE_CONTROL, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, VIA};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::debug;

use super::about::About;
use super::document::{self, Surroundings};
use super::rate::Rate;
use super::refused::{Refused, TOKEN_PATH};
use super::token::{LONGEST, Tokens};
use crate::address::VpcId;
use crate::config::{Config, MetadataToken};
use crate::gateway::{ASKED_AT, Downlink, Handle};
use crate::http::{Body, Peer, Service, plain};

/// By what the cloud's instances know it.
const NAME: &str = "metadata.tencentyun.com";
const PORT: &str = "80";
// As clients of clouds that have tokens send them.
const TTL: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");
const TOKEN: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token");
/// Headers of requests that somebody passed on for somebody else. An instance asks by itself.
const PASSED_ON: [HeaderName; 5] = [
    FORWARDED,
    VIA,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-real-ip"),
];
/// How long the gateway may take to say who somebody is.
const PATIENCE: Duration = Duration::from_secs(2);

/// What all doors share.
pub(super) struct Desk {
    pub(super) handle: Handle,
    pub(super) configuration: watch::Receiver<Arc<Config>>,
    pub(super) downlinks: watch::Receiver<Vec<Downlink>>,
    pub(super) tokens: Tokens,
    /// By the interface they ask by and their address.
    pub(super) rate: Rate<(u32, Ipv4Addr)>,
}

/// Answers whoever comes by one downlink.
pub(super) struct Door {
    pub(super) desk: Arc<Desk>,
    pub(super) vpc: VpcId,
    /// Of the downlink's interface.
    pub(super) index: u32,
}

impl Service for Door {
    async fn answer(&self, request: Request<Bytes>, peer: Peer) -> Response<Body> {
        let mut response = self.judge(&request, peer).await.unwrap_or_else(|refused| {
            debug!(vpc = %self.vpc, from = %peer.address, "a question to the metadata is refused: {refused}");
            refused.response()
        });
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

impl Door {
    async fn judge(&self, request: &Request<Bytes>, peer: Peer) -> Result<Response<Body>, Refused> {
        let IpAddr::V4(private) = peer.address.ip() else { return Err(Refused::Nobody) };
        let per_second = self.desk.configuration.borrow().metadata_per_second;
        if !self.desk.rate.admit((self.index, private), per_second, Instant::now()) {
            return Err(Refused::TooOften);
        }
        asks_us(request)?;
        asks_by_itself(request.headers())?;
        let path = request.uri().path();
        match *request.method() {
            Method::GET | Method::HEAD => self.tell(private, path, request.headers()).await,
            Method::PUT if path == TOKEN_PATH => self.give_token(private, request.headers()).await,
            _ => Err(Refused::ReadOnly { gives_tokens: path == TOKEN_PATH }),
        }
    }

    async fn tell(&self, private: Ipv4Addr, path: &str, headers: &HeaderMap) -> Result<Response<Body>, Refused> {
        let about = self.about(private).await?;
        let required = self.desk.configuration.borrow().metadata_token == MetadataToken::Required;
        let good = match one(headers, &TOKEN)? {
            Some(token) => self.desk.tokens.is_good(token, &about.instance, Instant::now()),
            None => !required,
        };
        if !good {
            return Err(Refused::TokenNeeded);
        }
        let found = document::find(&about, &self.surroundings(), path);
        found.map(|found| plain(StatusCode::OK, found)).ok_or(Refused::NotFound)
    }

    async fn give_token(&self, private: Ipv4Addr, headers: &HeaderMap) -> Result<Response<Body>, Refused> {
        let asked = one(headers, &TTL)?.and_then(|text| text.parse().ok()).map(Duration::from_secs);
        let Some(life) = asked.filter(|life| !life.is_zero() && *life <= LONGEST) else {
            return Err(Refused::NoLife(TTL));
        };
        let about = self.about(private).await?;
        let mut response = plain(StatusCode::OK, self.desk.tokens.issue(&about.instance, life, Instant::now()));
        response.headers_mut().insert(TTL, life.as_secs().into());
        Ok(response)
    }

    /// Who asks, as it is at this moment.
    async fn about(&self, private: Ipv4Addr) -> Result<About, Refused> {
        let vpc = self.vpc.clone();
        let asked = self.desk.handle.ask(move |gateway| About::of(gateway, &vpc, private));
        match timeout(PATIENCE, asked).await {
            Ok(Ok(Some(about))) => Ok(about),
            Ok(Ok(None)) => Err(Refused::Nobody),
            Ok(Err(_)) | Err(_) => Err(Refused::Busy),
        }
    }

    fn surroundings(&self) -> Surroundings {
        let config = self.desk.configuration.borrow();
        let downlinks = self.desk.downlinks.borrow();
        let link = downlinks.iter().find(|link| link.index == self.index);
        let networks = link.map(|link| link.networks.clone()).unwrap_or_default();
        Surroundings { region: config.region.clone(), zone: config.zone.clone(), networks }
    }
}

/// Refuses questions that were meant for somebody else, as from a browser whose name service was made to lead here.
fn asks_us(request: &Request<Bytes>) -> Result<(), Refused> {
    let host = one(request.headers(), &HOST)?.ok_or(Refused::AnotherHost)?;
    let target = request.uri().authority().map_or(host, |authority| authority.as_str());
    if is_ours(host) && is_ours(target) { Ok(()) } else { Err(Refused::AnotherHost) }
}

fn is_ours(host: &str) -> bool {
    let (name, port) = host.split_once(':').unwrap_or((host, PORT));
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_address = || ASKED_AT.iter().any(|address| address.to_string() == name);
    port == PORT && (name.eq_ignore_ascii_case(NAME) || is_address())
}

fn asks_by_itself(headers: &HeaderMap) -> Result<(), Refused> {
    let passed_on = PASSED_ON.into_iter().find(|name| headers.contains_key(name));
    passed_on.map_or(Ok(()), |name| Err(Refused::PassedOn(name)))
}

/// The header's one value. Of two, nobody can tell which is meant.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Refused> {
    let twice = || Refused::NotOneText(name.clone());
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| twice()),
        (Some(_), Some(_)) => Err(twice()),
    }
}
