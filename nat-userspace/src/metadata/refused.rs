//! Why a question is not answered, and with which status that is said.

use hyper::header::{ALLOW, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use thiserror::Error;

use super::token::LONGEST;
use crate::http::{Body, plain};

/// Where a token is given.
pub(super) const TOKEN_PATH: &str = "/latest/api/token";

/// Why a question is not answered.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum Refused {
    #[error("there is no instance of that address")]
    Nobody,
    #[error("not found")]
    NotFound,
    #[error("this is another host than the one you ask for")]
    AnotherHost,
    #[error("a request with {0} is not answered")]
    PassedOn(HeaderName),
    #[error("the header {0} is not one text")]
    NotOneText(HeaderName),
    #[error("get a token by PUT {TOKEN_PATH} and send it")]
    TokenNeeded,
    #[error("say in {0} how long it is to be good, 1 to {longest} seconds", longest = LONGEST.as_secs())]
    NoLife(HeaderName),
    #[error("what an instance is told can only be read")]
    ReadOnly {
        /// Whether a token is given at that path.
        gives_tokens: bool,
    },
    #[error("too many questions; ask again in a second")]
    TooOften,
    #[error("the gateway is busy; try again")]
    Busy,
}

impl Refused {
    fn status(&self) -> StatusCode {
        match self {
            Refused::Nobody | Refused::NotFound => StatusCode::NOT_FOUND,
            Refused::AnotherHost | Refused::PassedOn(_) => StatusCode::FORBIDDEN,
            Refused::NotOneText(_) | Refused::NoLife(_) => StatusCode::BAD_REQUEST,
            Refused::TokenNeeded => StatusCode::UNAUTHORIZED,
            Refused::ReadOnly { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Refused::TooOften => StatusCode::TOO_MANY_REQUESTS,
            Refused::Busy => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The answer that says so.
    pub(super) fn response(&self) -> Response<Body> {
        let mut response = plain(self.status(), format!("{self}\n"));
        let header = match self {
            Refused::ReadOnly { gives_tokens: true } => Some((ALLOW, "GET, HEAD, PUT")),
            Refused::ReadOnly { gives_tokens: false } => Some((ALLOW, "GET, HEAD")),
            Refused::TooOften | Refused::Busy => Some((RETRY_AFTER, "1")),
            _ => None,
        };
        if let Some((name, value)) = header {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}
