//! What the edges that speak HTTP may be told.

use std::net::SocketAddr;

use anyhow::{Result, ensure};

use super::Config;

/// The longest name of a region or zone.
const LONGEST_NAME: usize = 64;

pub(super) fn check(config: &Config) -> Result<()> {
    for (setting, name) in [("region", &config.region), ("zone", &config.zone)] {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        ensure!(
            (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(plain),
            "{setting} {name:?} is not 1 to {LONGEST_NAME} of the characters a-z A-Z 0-9 -"
        );
    }
    ensure!(
        config.tls_certificate.is_some() == config.tls_key.is_some(),
        "tls_certificate and tls_key are of use only together; set both or neither"
    );
    if let Some(address) = config.api_listen {
        reachable(config, "api_listen", address, "api_anywhere", config.api_anywhere)?;
    }
    if let Some(address) = config.console_listen {
        reachable(config, "console_listen", address, "console_anywhere", config.console_anywhere)?;
    }
    for name in &config.console_names {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        ensure!(
            !name.is_empty() && name.bytes().all(plain),
            "console_names has {name:?}, which is no host name; write it like \"console.example.com\", without a port"
        );
    }
    Ok(())
}

/// What takes credentials needs some, and does not send them over a network in the open unless told to.
fn reachable(config: &Config, setting: &str, address: SocketAddr, consent: &str, given: bool) -> Result<()> {
    ensure!(config.credentials.is_some(), "{setting} without credentials serves nobody; name the file of credentials");
    ensure!(
        address.ip().is_loopback() || config.tls_certificate.is_some() || given,
        "{setting} {address} can be reached from other hosts and is not encrypted; set tls_certificate and tls_key, take \
         an address of the loopback, like 127.0.0.1:{}, or set {consent} = true",
        address.port()
    );
    Ok(())
}
