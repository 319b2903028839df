//! The admin socket: newline-delimited JSON over a unix socket, one reply line to each request line.
//!
//! A request is an object whose `command` names what to do; a reply is `{"ok": …}` or `{"error": {"kind", "code",
//! "message"}}`. A connection may carry any number of requests, answered in order. Who may connect is decided by the
//! socket's mode and group; who did is known from the kernel (`SO_PEERCRED`) and logged.

mod answer;
pub mod client;
mod events;
mod import;
mod lines;
mod listener;
mod past;
mod rows;
mod serve;
#[cfg(test)]
mod tests;
pub mod wire;

pub use self::listener::Listener;
pub use self::serve::Server;
