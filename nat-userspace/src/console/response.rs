//! Answers, each with the headers that keep a browser from doing what these pages never ask for.

use hyper::body::Bytes;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, LOCATION, REFERRER_POLICY, RETRY_AFTER,
    SET_COOKIE, VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::{Response, StatusCode};
use maud::Markup;

use crate::http::{Body, say};

/// An answer of the console.
pub(super) type Answer = Response<Body>;

/// Where the script goes when a form in a dialog has done its work.
const GO_TO: HeaderName = HeaderName::from_static("x-go-to");

const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// On every answer.
const ALWAYS: [(HeaderName, &str); 8] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    // Without any, browsers send no origin with a form either.
    (REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    (VARY, "Cookie, Accept-Language"),
];

fn answer(status: StatusCode, kind: &'static str, caching: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = say(status, kind, body);
    let headers = answer.headers_mut();
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    answer
}

/// A page, or a piece of one.
pub(super) fn page(status: StatusCode, markup: Markup) -> Answer {
    answer(status, "text/html; charset=utf-8", "no-store", markup.into_string())
}

/// Something for the script.
pub(super) fn json(value: &serde_json::Value) -> Answer {
    answer(StatusCode::OK, "application/json", "no-store", value.to_string())
}

/// A file that stays the same as long as it is asked for under the same name.
pub(super) fn asset(kind: &'static str, text: &'static str) -> Answer {
    answer(StatusCode::OK, kind, "public, max-age=31536000, immutable", text)
}

/// Go there and ask for it.
pub(super) fn see_other(place: &str) -> Answer {
    let mut answer = answer(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", "no-store", "");
    // A place that is none leads to the beginning.
    let place = HeaderValue::from_str(place).unwrap_or(HeaderValue::from_static("/"));
    answer.headers_mut().insert(LOCATION, place);
    answer
}

/// The same, for the script.
pub(super) fn go_to(place: &str) -> Answer {
    let mut answer = answer(StatusCode::NO_CONTENT, "text/plain; charset=utf-8", "no-store", "");
    answer.headers_mut().insert(GO_TO, HeaderValue::from_str(place).unwrap_or(HeaderValue::from_static("/")));
    answer
}

/// With a cookie that lasts so many seconds, or as long as the browser is open. Scripts do not see it, and no other site
/// makes the browser send it.
pub(super) fn with_cookie(mut answer: Answer, name: &str, value: &str, seconds: Option<u32>, secure: bool) -> Answer {
    let lasting = seconds.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
    let secure = if secure { "; Secure" } else { "" };
    let cookie = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{lasting}{secure}");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        answer.headers_mut().append(SET_COOKIE, cookie);
    }
    answer
}

/// With the advice to come back after so many seconds.
pub(super) fn retry_after(mut answer: Answer, seconds: u16) -> Answer {
    answer.headers_mut().insert(RETRY_AFTER, seconds.into());
    answer
}

/// A sentence without a page around it.
pub(super) fn text(status: StatusCode, sentence: impl Into<Bytes>) -> Answer {
    answer(status, "text/plain; charset=utf-8", "no-store", sentence)
}

/// With the wish that the browser forgets the pages it has kept.
pub(super) fn forget_pages(mut answer: Answer) -> Answer {
    answer.headers_mut().insert(CLEAR_SITE_DATA, HeaderValue::from_static("\"cache\", \"storage\""));
    answer
}
