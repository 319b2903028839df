//! HTTP as every edge serves it: so many connections and no more, little time for each, bodies and heads of bounded size,
//! and TLS where the configuration names a certificate.
//!
//! A client is never trusted to send what it began. While it is waited for, its connection may be taken away: when a
//! deadline has passed, or when all places are taken and somebody new asks. The one given up then is the one that has
//! been waited for longest, and for a tenth of a second at least, among those of the address with the most: a client that
//! sends its request at once is served however many others dawdle.

mod body;
mod limits;
mod listener;
mod places;
mod serve;
#[cfg(test)]
mod tests;
mod tls;

use std::convert::Infallible;
use std::net::SocketAddr;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};

pub use self::body::Unread;
pub use self::limits::Limits;
pub use self::listener::{Listener, Server};
pub use self::tls::Tls;

/// What is sent in answer.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Where from.
    pub address: SocketAddr,
    /// To which address of ours.
    pub local: SocketAddr,
    /// Whether by TLS.
    pub secure: bool,
}

/// What answers the requests of one listener.
pub trait Service: Send + Sync + 'static {
    /// The answer to a request whose body is here in full.
    fn answer(&self, request: Request<Bytes>, peer: Peer) -> impl Future<Output = Response<Body>> + Send;

    /// The answer to a request whose body was not taken. The connection ends after it.
    fn refuse(&self, unread: Unread) -> Response<Body> {
        plain(unread.status(), format!("{unread}\n"))
    }

    /// The answer where answering panicked.
    fn panicked(&self) -> Response<Body> {
        plain(StatusCode::INTERNAL_SERVER_ERROR, "this request could not be answered because of a defect\n")
    }
}

/// A body that is here in full.
pub fn full(content: impl Into<Bytes>) -> Body {
    Full::new(content.into()).boxed_unsync()
}

/// An answer of that kind.
pub fn say(status: StatusCode, kind: &'static str, content: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(full(content));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// A sentence for people.
pub fn plain(status: StatusCode, sentence: impl Into<Bytes>) -> Response<Body> {
    say(status, "text/plain; charset=utf-8", sentence)
}
