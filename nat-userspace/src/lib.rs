//! eipgate: the daemon that owns every public address and keeps the packet path equal to it.

pub mod address;
pub mod admin;
pub mod api;
pub mod cli;
pub mod config;
pub mod console;
pub mod credentials;
pub mod dataplane;
pub mod follow;
pub mod gateway;
pub mod http;
pub mod metadata;
pub mod metrics;
pub mod store;

pub use dataplane::OBJECT as PROGRAM;
