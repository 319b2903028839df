//! Metrics for Prometheus: one page over HTTP that says how the gateway is, in figures whose number is bounded.
//!
//! What the gateway's task knows is asked of it and waited for only so long; what the kernel counts is read beside it. A
//! gateway that is busy is therefore neither kept from its work nor does it look dead.

mod page;
mod plain;
mod scrape;
mod serve;
#[cfg(test)]
mod tests;

pub use self::serve::Listener;
