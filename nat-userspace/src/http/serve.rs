//! Conversations: each connection has a task of its own, which ends with the listener.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue, TRANSFER_ENCODING};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, error, warn};

use super::body::{self, LARGE};
use super::places::{Place, Places};
use super::{Body, Limits, Listener, Peer, Service, Tls, plain};

/// Pause after an accept that failed, as when file descriptors have run out.
const BACK_OFF: Duration = Duration::from_millis(100);
/// How long the last answer of a connection whose time is over may take.
const LAST_ANSWER: Duration = Duration::from_secs(30);

/// What the conversations of one listener share.
struct Shared<S> {
    what: &'static str,
    limits: Limits,
    tls: Option<Tls>,
    service: Arc<S>,
    large: Semaphore,
    closed: watch::Receiver<bool>,
}

pub(super) async fn accept<S: Service>(
    listener: Listener,
    limits: Limits,
    tls: Option<Tls>,
    service: Arc<S>,
    mut closed: watch::Receiver<bool>,
    alive: mpsc::Sender<()>,
) {
    let Listener { socket, what, .. } = listener;
    let places = Places::new(limits.places());
    let large = Semaphore::new(LARGE);
    let shared = Arc::new(Shared { what, limits, tls, service, large, closed: closed.clone() });
    // They end with this task.
    let mut conversations = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            _ = closed.changed() => break,
            Some(_) = conversations.join_next() => continue,
        };
        match accepted {
            Ok((stream, address)) => {
                let place = tokio::select! {
                    place = places.take(address.ip()) => place,
                    _ = closed.changed() => break,
                };
                conversations.spawn(converse(stream, address, Arc::clone(&shared), place, alive.clone()));
            }
            Err(error) => {
                warn!("cannot accept a connection to {what}: {error}");
                places.give_up_one();
                sleep(BACK_OFF).await;
            }
        }
    }
    drop((socket, alive));
    while conversations.join_next().await.is_some() {}
}

async fn converse<S: Service>(
    stream: TcpStream,
    address: SocketAddr,
    shared: Arc<Shared<S>>,
    place: Place,
    _alive: mpsc::Sender<()>,
) {
    // Answers are small and written in one piece.
    let _ = stream.set_nodelay(true);
    let Ok(local) = stream.local_addr() else { return };
    let peer = Peer { address, local, secure: shared.tls.is_some() };
    let place = Arc::new(place);
    let speaking = async {
        let Some(tls) = &shared.tls else { return speak(stream, peer, &shared, &place).await };
        match timeout(shared.limits.head, tls.accept(stream)).await {
            Ok(Ok(stream)) => speak(stream, peer, &shared, &place).await,
            Ok(Err(error)) => debug!(%address, "no TLS with a client of {}: {error}", shared.what),
            Err(_) => debug!(%address, "no TLS in time with a client of {}", shared.what),
        }
    };
    tokio::select! {
        () = speaking => {}
        () = place.given_up() => debug!(%address, "a connection to {} made room for another", shared.what),
    }
}

async fn speak<S: Service>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    shared: &Arc<Shared<S>>,
    place: &Arc<Place>,
) {
    let service = service_fn(|request| {
        let (shared, place) = (Arc::clone(shared), Arc::clone(place));
        async move { Ok::<_, Infallible>(answer(request, peer, &shared, &place).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(shared.limits.head)
        .max_buf_size(shared.limits.head_bytes)
        .half_close(false);
    let mut closed = shared.closed.clone();
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = sleep(shared.limits.connection) => None,
        _ = closed.wait_for(|closed| *closed) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            timeout(LAST_ANSWER, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        debug!(address = %peer.address, "a connection to {} ended: {error}", shared.what);
    }
}

async fn answer<S: Service>(
    request: Request<Incoming>,
    peer: Peer,
    shared: &Shared<S>,
    place: &Place,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    // By chunks and by a length beside them a body ends in two places, and a program between us and the client may have
    // gone by the other one. Nothing that follows is then believed to be a request.
    let mut last = head.headers.contains_key(TRANSFER_ENCODING);
    // Still waiting: a body that comes in drops gives up its place like a head does.
    let mut response = match body::read(body, &shared.limits, &shared.large).await {
        // Good or bad, an answer of success would mean that the way to somebody else is open.
        Ok(_) if head.method == Method::CONNECT => plain(StatusCode::METHOD_NOT_ALLOWED, "this is no proxy\n"),
        Ok(body) => {
            place.answer();
            let answering = shared.service.answer(Request::from_parts(head, body), peer);
            AssertUnwindSafe(answering).catch_unwind().await.unwrap_or_else(|_| {
                error!(address = %peer.address, "answering a request to {} panicked", shared.what);
                shared.service.panicked()
            })
        }
        Err(unread) => {
            // What is left of the body would be read as the next request.
            last = true;
            shared.service.refuse(unread)
        }
    };
    if last {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    place.wait();
    response
}
