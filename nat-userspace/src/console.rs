//! The web page: what an account has, and the cloud console's dialogs to change it, for people.
//!
//! Pages are made here, complete, and work without a script; the one script makes dialogs of forms, copies addresses and
//! keeps the plots moving. Everything is asked of the gateway on behalf of the account whose credential was used to log
//! in, and of no other.

mod addresses;
mod attempts;
mod deeds;
mod detail;
mod frame;
mod instances;
mod live;
mod login;
mod pager;
mod parts;
mod request;
mod response;
mod routes;
mod rows;
mod serve;
mod session;
#[cfg(test)]
mod tests;
mod words;

pub use self::serve::Listener;
