//! Tests of the generator and the shrinker.

use super::*;
use std::collections::BTreeMap;

use crate::reference::{VERDICTS, judge};
use crate::standard::standard_world;

#[test]
fn reaches_every_verdict_often() {
    let (world, mut generator) = (standard_world(), Generator::new(7));
    let mut seen: BTreeMap<_, u32> = VERDICTS.into_iter().map(|verdict| (verdict, 0)).collect();
    for _ in 0..400_000 {
        let (ingress, frame) = generator.next(&world);
        assert!((14..=3500).contains(&frame.len()));
        *seen.entry(judge(&world, ingress, &frame).verdict).or_default() += 1;
    }
    println!("{seen:#?}");
    assert!(seen.values().all(|count| *count >= 100), "{seen:#?}");
}

#[test]
fn the_same_seed_gives_the_same_frames() {
    let world = standard_world();
    let (mut a, mut b) = (Generator::new(3), Generator::new(3));
    assert!((0..2000).all(|_| a.next(&world) == b.next(&world)));
}

#[test]
fn checksums_land_on_zero_on_either_side() {
    let (world, mut generator) = (standard_world(), Generator::new(5));
    let mut seen = BTreeMap::<_, u32>::new();
    for _ in 0..400_000 {
        let (ingress, frame) = generator.next(&world);
        let judged = judge(&world, ingress, &frame);
        let Some(leaving) = judged.frame.filter(|_| matches!(judged.verdict, "inbound" | "outbound" | "hairpin"))
        else {
            continue;
        };
        for (when, bytes) in [("before", &frame), ("after", &leaving)] {
            for field in frames::fields(bytes).into_iter().filter(|field| field.name.ends_with("checksum")) {
                let value = &bytes[field.at..field.at + field.length];
                if matches!(value, [0, 0] | [0xff, 0xff]) {
                    *seen.entry((when, field.within, field.name, value[0])).or_default() += 1;
                }
            }
        }
    }
    println!("{seen:#?}");
    for name in ["ip checksum", "tcp checksum", "icmp checksum", "dccp checksum"] {
        assert!(seen[&("before", "", name, 0)] > 20 && seen[&("after", "", name, 0)] > 20, "{name}");
    }
    assert!(seen[&("after", "", "udp checksum", 0xff)] > 20 && seen[&("after", "", "udp-lite checksum", 0xff)] > 20);
}

#[test]
fn shrinks_to_the_heart_of_the_matter() {
    let (world, mut generator) = (standard_world(), Generator::new(11));
    for verdict in ["hairpin", "quotation-mismatch", "source-route", "outbound", "too-big-reply"] {
        let (ingress, frame) = loop {
            let (ingress, frame) = generator.next(&world);
            if judge(&world, ingress, &frame).verdict == verdict && frame.len() > 200 {
                break (ingress, frame);
            }
        };
        let mut asked = 0;
        let small = shrink(&frame, |candidate| {
            asked += 1;
            judge(&world, ingress, candidate).verdict == verdict
        });
        assert_eq!(judge(&world, ingress, &small).verdict, verdict);
        assert!(asked <= SHRINK_ATTEMPTS);
        if verdict != "too-big-reply" {
            assert!(small.len() <= 14 + 8 + 20 + 40 + 20, "{}", frames::explain(&small));
        }
    }
}
