//! Bodies of requests: taken in full before anybody looks at them, or not at all.

use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::StatusCode;
use hyper::body::{Body as _, Bytes, Incoming};
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::Limits;

/// A body up to here is taken whatever else is under way.
pub(super) const SMALL: usize = 16 << 10;
/// Larger bodies of one listener under way at one time, which bounds the memory that strangers can fill.
pub(super) const LARGE: usize = 32;

/// Why a body was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unread {
    /// Longer than allowed.
    #[error("the request's body is longer than {0} bytes")]
    TooLong(usize),
    /// Not here in time.
    #[error("the request's body did not arrive within {} s", .0.as_secs_f64())]
    TooSlow(Duration),
    /// Too many long ones at this moment.
    #[error("too many long requests are under way; try again")]
    TooMany,
    /// Broken off, or not encoded as its head says.
    #[error("the request's body could not be read")]
    Broken,
}

impl Unread {
    /// The status that says so.
    pub fn status(self) -> StatusCode {
        match self {
            Unread::TooLong(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Unread::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            Unread::TooMany => StatusCode::SERVICE_UNAVAILABLE,
            Unread::Broken => StatusCode::BAD_REQUEST,
        }
    }
}

/// The whole body. What its head claims is judged before a byte of it is asked for.
pub(super) async fn read(body: Incoming, limits: &Limits, large: &Semaphore) -> Result<Bytes, Unread> {
    let most = limits.body_bytes;
    if body.size_hint().lower() > most as u64 {
        return Err(Unread::TooLong(most));
    }
    timeout(limits.body, collect(body, most, large)).await.unwrap_or(Err(Unread::TooSlow(limits.body)))
}

async fn collect(mut body: Incoming, most: usize, large: &Semaphore) -> Result<Bytes, Unread> {
    let mut taken = Vec::new();
    let mut place = None;
    while let Some(frame) = body.frame().await {
        // Trailers say nothing that anybody here asks.
        let Ok(data) = frame.map_err(|_| Unread::Broken)?.into_data() else { continue };
        let length = taken.len() + data.len();
        if length > most {
            return Err(Unread::TooLong(most));
        }
        if length > SMALL && place.is_none() {
            place = Some(large.try_acquire().map_err(|_| Unread::TooMany)?);
        }
        taken.extend_from_slice(&data);
    }
    Ok(taken.into())
}
