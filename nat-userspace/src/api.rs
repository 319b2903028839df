//! The cloud's API 3.0, as its own clients speak it.

pub mod actions;
pub mod call;
mod envelope;
pub mod error;
mod flatten;
mod rates;
mod request;
mod serve;
mod signature;
mod turns;

pub use self::serve::Listener;
