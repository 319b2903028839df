//! The HTTP side: few connections, each with little time, and one page.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use super::page::page;
use super::plain::plain;
use super::scrape::Scraper;
use crate::config::Config;
use crate::gateway::Handle;

/// Connections served at one time; more wait.
const CONNECTIONS: usize = 16;
/// A client that sends no request for so long is left.
const REQUEST: Duration = Duration::from_secs(30);
/// No connection lasts longer: those who wait get their turn.
const CONNECTION: Duration = Duration::from_secs(600);
/// Pause after an accept that failed, as when file descriptors have run out.
const BACK_OFF: Duration = Duration::from_millis(100);

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A bound address.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

/// The page being served; dropping it ends that.
#[derive(Debug)]
pub struct Server(JoinHandle<()>);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Listener {
    /// Binds the configured address, if there is one. Connections wait until they are served.
    pub async fn bind(config: &Config) -> Result<Option<Listener>> {
        let Some(address) = config.metrics_listen else { return Ok(None) };
        let socket = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot serve metrics at {address}; free it or change metrics_listen"))?;
        let address = socket.local_addr().context("the socket of the metrics has no address")?;
        Ok(Some(Listener { socket, address }))
    }

    /// Where it is; the port is known only now where 0 was configured.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves connections from now on, those that waited included.
    pub fn serve(self, handle: Handle, configuration: watch::Receiver<Arc<Config>>) -> Server {
        info!("metrics are at http://{}/metrics", self.address);
        Server(tokio::spawn(accept(self.socket, Arc::new(Scraper::new(handle, configuration)))))
    }
}

async fn accept(socket: TcpListener, scraper: Arc<Scraper>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match socket.accept().await {
            Ok((stream, _)) => {
                let scraper = Arc::clone(&scraper);
                tokio::spawn(async move {
                    converse(stream, scraper).await;
                    drop(place);
                });
            }
            Err(error) => {
                warn!("cannot accept a connection to the metrics: {error}");
                sleep(BACK_OFF).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, scraper: Arc<Scraper>) {
    let service = service_fn(move |request| answer(request, Arc::clone(&scraper)));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(REQUEST);
    match timeout(CONNECTION, http.serve_connection(TokioIo::new(stream), service)).await {
        Ok(Ok(())) | Err(_) => {}
        Ok(Err(error)) => debug!("a connection to the metrics ended: {error}"),
    }
}

async fn answer(request: Request<Incoming>, scraper: Arc<Scraper>) -> Result<Response<Full<Bytes>>, Infallible> {
    let head = *request.method() == Method::HEAD;
    let mut response = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => {
            let text = page(scraper.sample().await);
            if wants_openmetrics(&request) { say(text, OPENMETRICS) } else { say(plain(&text), PLAIN) }
        }
        (_, "/metrics") => {
            let mut refusal = refuse(StatusCode::METHOD_NOT_ALLOWED, "metrics can only be read\n");
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            refusal
        }
        _ => refuse(StatusCode::NOT_FOUND, "there is only /metrics here\n"),
    };
    if head {
        *response.body_mut() = Full::default();
    }
    Ok(response)
}

fn wants_openmetrics(request: &Request<Incoming>) -> bool {
    let accepted = request.headers().get_all(ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|kind| {
        kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/openmetrics-text"))
    })
}

fn say(text: String, kind: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn refuse(status: StatusCode, sentence: &'static str) -> Response<Full<Bytes>> {
    let mut response = say(sentence.to_owned(), "text/plain; charset=utf-8");
    *response.status_mut() = status;
    response
}
