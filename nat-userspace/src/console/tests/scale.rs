//! Pages of long lists. `EIPGATE_PAIRS` is how long; a million is a gateway that is full.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use super::super::pager::PAGE;
use super::super::request::Fields;
use super::super::{addresses, instances};
use super::*;
use crate::address::{
    AccountId, Capacity, Import, Ledger, NewPair, Pool, PoolDefinition, PoolKind, PublicAs, ReservedRanges,
};

/// An account with so many instances, every second of which has an EIP, and the others ordinary public IPs.
fn full(pairs: u32) -> Ledger {
    let pool = PoolDefinition { prefix: "9.0.0.0/8".parse().unwrap(), kind: PoolKind::Routed };
    let mut ledger = Ledger::new(Pool::new([pool], &[], ReservedRanges::Refuse, Duration::ZERO).unwrap());
    let pair = |number: u32| NewPair {
        instance: format!("ins-{number:07}").parse().unwrap(),
        vpc: "vpc-default".parse().unwrap(),
        private: Ipv4Addr::from_bits(0x0a00_0000 + number),
        name: Some(format!("name-{number:07}")),
        public: Ipv4Addr::from_bits(0x0900_0000 + number),
        public_as: match number % 2 {
            0 => PublicAs::Ordinary,
            _ => PublicAs::Eip(format!("eip-{number:07}").parse().unwrap()),
        },
    };
    let import = Import { account: "acme".parse().unwrap(), pairs: (0..pairs).map(pair).collect(), bandwidth_mbps: 1 };
    let change = ledger.decide(Command::ImportPairs(import), Time(1), Capacity::UNLIMITED).unwrap();
    ledger.apply(&change);
    ledger
}

/// The time that this thread has had a processor for itself: what other tests do meanwhile does not count.
fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

#[test]
fn a_page_of_a_long_list_is_found_at_once() {
    let pairs: u32 = std::env::var("EIPGATE_PAIRS").map_or(100_000, |number| number.parse().unwrap());
    let (ledger, account) = (full(pairs), "acme".parse::<AccountId>().unwrap());
    let (middle, end) = (pairs / 2, pairs - PAGE as u32);
    let time = |what: &str, look: &dyn Fn(&Fields) -> usize, rows: usize| {
        let fields = Fields::read(what.as_bytes());
        let began = processor_time();
        assert_eq!(look(&fields), rows, "{what}");
        let took = processor_time() - began;
        println!("{what:<24} {took:?}");
        // Unoptimised; a walk over the list takes many times as long.
        assert!(took < Duration::from_millis(100), "{what}: {took:?}");
    };
    let listed = |fields: &Fields| instances::View::read(fields).look(&ledger, &account).rows.len();
    for (what, rows) in [
        (String::new(), PAGE),
        (format!("from={middle}"), PAGE),
        (format!("from={end}"), PAGE),
        (format!("show=eip&from={}", pairs / 4), PAGE),
        (format!("show=ordinary&from={}", pairs / 4), PAGE),
        (format!("q={}", Ipv4Addr::from_bits(0x0900_0000 + middle)), 1),
        ("q=10.0.77.7".to_owned(), 11),
        ("q=name-0000077".to_owned(), 1),
        ("q=ins-00".to_owned(), 100),
        ("q=nothing".to_owned(), 0),
    ] {
        time(&what, &listed, rows);
    }
    let held = |fields: &Fields| match addresses::View::read(fields).look(&ledger, &account) {
        addresses::Listed::Eips(page) => page.rows.len(),
        addresses::Listed::Ordinary(page) => page.rows.len(),
    };
    for (what, rows) in [
        (format!("from={}", pairs / 4), PAGE),
        (format!("kind=ordinary&from={}", pairs / 4), PAGE),
        ("q=eip-0000077".to_owned(), 1),
        ("q=9.0.".to_owned(), 100),
    ] {
        time(&what, &held, rows);
    }
    // Where nothing is of the kind, the search ends all the same, and says so.
    let page = instances::View::read(&Fields::read(b"show=none")).look(&ledger, &account);
    assert!(page.rows.is_empty() && page.cut_short);
}
