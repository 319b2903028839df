//! What an instance can ask about itself: HTTP at two link-local addresses of the gateway's, on every downlink.
//!
//! Who asks follows from the downlink a connection came by and from its source address, and from nothing that a request
//! says. The packet path lets only instances reach these addresses, and an answer goes back by the downlink the question
//! came by, so whoever asks in another's name hears nothing.

mod about;
mod answer;
mod document;
mod doors;
mod rate;
mod refused;
#[cfg(test)]
mod tests;
mod token;

pub use self::doors::{Server, serve};
