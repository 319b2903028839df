//! Lines on the socket: so long and no longer, and each in its time.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

use super::wire::Reply;

/// A connection on which nothing moves for so long is closed.
pub(super) const IDLE: Duration = Duration::from_secs(60);

/// What a client sent.
pub(super) enum Line {
    Whole(Vec<u8>),
    TooLong,
    /// Also where a line stops in the middle: half a request is none.
    End,
}

/// The next line of at most `longest` bytes.
pub(super) async fn next_line(read: &mut (impl AsyncBufRead + Unpin), longest: usize) -> Result<Line> {
    let mut line = Vec::new();
    read.take(longest as u64 + 1).read_until(b'\n', &mut line).await?;
    Ok(match line.last() {
        Some(b'\n') => Line::Whole(line),
        _ if line.len() > longest => Line::TooLong,
        _ => Line::End,
    })
}

/// A reply as it goes over the socket.
pub(super) fn encode_line(reply: &Reply<impl Serialize>) -> Vec<u8> {
    let mut text = serde_json::to_vec(reply).expect("rows have string keys only and never fail to serialize");
    text.push(b'\n');
    text
}
