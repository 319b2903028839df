//! Session tokens, which keep a program that can be made to fetch addresses from fetching these: it can rarely be made to
//! ask by PUT first and to send what it got in a header.
//!
//! A token says until when it is good, and is signed together with whose it is by a key that lives as long as the daemon.
//! So there is nothing to store, and one of another instance, of a former holder of the same address, or of before a
//! restart is none.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::address::Instance;

/// Longest life of a token: six hours.
pub(super) const LONGEST: Duration = Duration::from_secs(6 * 3600);

/// Bytes of the end of a token's life, in front of its signature.
const END: usize = 8;

/// Makes and judges tokens.
pub(super) struct Tokens {
    key: Hmac<Sha256>,
    /// Tokens count time from here, so the wall clock may jump.
    began: Instant,
}

impl Tokens {
    /// With a key nobody knows.
    pub(super) fn new(key: [u8; 32]) -> Self {
        let key = Hmac::new_from_slice(&key).expect("HMAC takes keys of any length");
        Tokens { key, began: Instant::now() }
    }

    /// A token for this instance.
    pub(super) fn issue(&self, whose: &Instance, life: Duration, now: Instant) -> String {
        let end = (self.since(now) + life.min(LONGEST)).as_secs().to_be_bytes();
        let signature = self.signed(&end, whose).finalize().into_bytes();
        hex::encode(end) + &hex::encode(signature)
    }

    /// Whether this is a token of this instance's, and good.
    pub(super) fn is_good(&self, token: &str, whose: &Instance, now: Instant) -> bool {
        let Ok(bytes) = hex::decode(token) else { return false };
        let Some((end, signature)) = bytes.split_first_chunk::<END>() else { return false };
        self.signed(end, whose).verify_slice(signature).is_ok()
            && self.since(now) < Duration::from_secs(u64::from_be_bytes(*end))
    }

    fn signed(&self, end: &[u8; END], whose: &Instance) -> Hmac<Sha256> {
        let private: Ipv4Addr = whose.private;
        let mut mac = self.key.clone();
        mac.update(end);
        mac.update(&private.octets());
        // Neither contains the byte that stands between them.
        mac.update(whose.vpc.as_str().as_bytes());
        mac.update(&[0]);
        mac.update(whose.id.as_str().as_bytes());
        mac
    }

    fn since(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.began)
    }
}
