//! What is printed of fences, pools, history and events.

use std::net::Ipv4Addr;

use super::super::*;
use super::fence;
use crate::admin::wire::*;

#[test]
fn fences_and_pools_are_told_with_their_effect() {
    let unbound = FenceRow { instance_id: None, ..fence() };
    let free = FenceRow { held_by: None, reason: None, ..unbound.clone() };
    assert_eq!(address::fenced(&fence()), "fenced 8.8.8.1: the traffic of instance ins-11111111 is cut");
    assert_eq!(address::fenced(&unbound), "fenced 8.8.8.1: it stays with EIP eip-22222222, bound to nothing");
    assert_eq!(address::unfenced(&free), "unfenced 8.8.8.1: nobody holds it");
    assert_eq!(
        address::list(&[fence(), free]),
        "\
ADDRESS  FENCED SINCE          HELD BY           WITHOUT TRAFFIC  REASON
8.8.8.1  2026-11-20T11:43:00Z  EIP eip-22222222  ins-11111111     abuse
8.8.8.1  2026-11-20T11:43:00Z  -                 -                -"
    );
    let pool = PoolRow {
        prefix: "9.9.9.0/29".into(),
        kind: PoolRowKind::Routed,
        state: PoolRowState::Serving,
        origin: PoolRowOrigin::Configured,
        members: 8,
        held: 0,
        cooling_down: 0,
        free: 8,
        set_aside: 0,
        withheld: 0,
    };
    assert_eq!(pool::added(&pool), "pool 9.9.9.0/29 serves: routed, 8 of 8 addresses free");
    assert_eq!(pool::drained(&pool), "pool 9.9.9.0/29 drains, and is empty: it can be removed");
    assert_eq!(pool::removed(&pool), "removed pool 9.9.9.0/29; it stays away although the configuration has it");
    let added = PoolRow { origin: PoolRowOrigin::Added, held: 3, ..pool };
    assert_eq!(pool::drained(&added), "pool 9.9.9.0/29 drains: 3 addresses are still held");
    assert_eq!(pool::removed(&added), "removed pool 9.9.9.0/29");
}

#[test]
fn the_history_is_told_to_people() {
    let tenure = TenureRow {
        address: Ipv4Addr::new(8, 8, 8, 1),
        public_ip_kind: Some(PublicIpKind::Eip),
        fenced: false,
        account: Some("default".into()),
        instance_id: Some("ins-1".into()),
        instance_name: Some("web".into()),
        vpc: Some("vpc-default".into()),
        private_ip: Some(Ipv4Addr::new(10, 0, 0, 5)),
        eip_id: Some("eip-1".into()),
        from: "2026-11-17T09:00:00Z".into(),
        came: "eip_bound".into(),
        from_revision: 7,
        until: None,
        went: None,
        until_revision: None,
        reason: None,
    };
    let report = HistoryReport { tenures: vec![tenure], pruned_before: Some("2026-01-01T00:00:00Z".into()) };
    assert_eq!(
        history::page(&report, "8.8.8.1", None),
        "\
ADDRESS  FROM                  UNTIL  KIND       INSTANCE  NAME  PRIVATE IP  ACCOUNT  CAME       WENT
8.8.8.1  2026-11-17T09:00:00Z  now    EIP eip-1  ins-1     web   10.0.0.5    default  eip_bound  -
note: what ended before 2026-01-01T00:00:00Z was pruned and may be missing"
    );
    let nothing = HistoryReport { tenures: vec![], pruned_before: None };
    assert_eq!(
        history::page(&nothing, "8.8.8.1", Some("2026-11-17T10:00:00Z")),
        "nothing is known of 8.8.8.1 at 2026-11-17T10:00:00Z: nobody held it then"
    );
    let event = EventRow {
        revision: 7,
        at: "2026-11-17T09:00:00Z".into(),
        event: "address_fenced".into(),
        address: Some(Ipv4Addr::new(8, 8, 8, 1)),
        account: None,
        instance_id: None,
        instance_name: None,
        vpc: None,
        private_ip: None,
        eip_id: None,
        pool: None,
        reason: Some("too much".into()),
        state: None,
        detail: None,
    };
    let line = "7 2026-11-17T09:00:00Z address_fenced address=8.8.8.1 reason=\"too much\"";
    assert_eq!(events::line(&event), line);
}

#[test]
fn a_time_is_read_as_people_write_it() {
    for good in ["2026-11-17T10:00:00Z", "2026-11-17T10:00:00+08:00", "2026-11-17 10:00", "2026-11-17"] {
        history::moment(good).unwrap();
    }
    assert!(history::moment("Tuesday").unwrap_err().contains("write 2026-11-17T10:00:00Z"));
}
