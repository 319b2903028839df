//! The benchmark's rig: it makes packets, sees them arrive, and notices what is wrong with them. No figure is judged.

use std::time::Duration;

use lab::bench::addresses::Pairs;
use lab::bench::changes;
use lab::bench::gateway::{self, Ends, Kind};
use lab::bench::kit::{Kit, cpus};
use lab::bench::meter::{self, Place};
use lab::bench::traffic::Traffic;
use lab::bench::verify::{self, Expected, Work};
use lab::bench::wires::{HAIRPIN, INBOUND, OUTBOUND};
use lab::lab::remains::Undo;

const PAIRS: u32 = 200;

/// Sends a packet of each pair through a gateway and says what is wrong with those that arrive, if something is.
fn sweep(kind: Kind, traffic: Traffic, work: Work) -> Result<(), String> {
    let undo = Undo::default();
    let mut kit = Kit::load().unwrap();
    let standing = gateway::put_up(&undo, &mut kit, kind, traffic.pairs, Ends::Sinks).unwrap();
    let [from, _] = standing.site.ends(traffic.direction);
    let place = Place { port: from, cpu: cpus() - 1, program: "generate" };
    let expected = Expected::at(&standing.site, traffic, work);
    let result = verify::sweep(&mut kit, place, &standing.site, &expected, PAIRS).unwrap();
    drop(standing);
    undo.take().unwrap().remove().unwrap();
    result
}

#[test]
fn benchmark_sees_what_it_sends() {
    let traffic = Traffic::new(INBOUND, Pairs::clustered(PAIRS));
    assert_eq!(sweep(Kind::Static, traffic, Work::Carry), Ok(()));
    let long = Traffic { length: 1400, ..Traffic::new(OUTBOUND, Pairs::clustered(PAIRS)) };
    assert_eq!(sweep(Kind::Static, long, Work::Carry), Ok(()));
    assert_eq!(sweep(Kind::Hash, traffic, Work::Translate), Ok(()));
    assert_eq!(sweep(Kind::NftStateful, traffic, Work::Translate), Ok(()));
}

#[test]
fn benchmark_voids_what_is_not_translated() {
    let traffic = Traffic::new(INBOUND, Pairs::clustered(PAIRS));
    let wrong = sweep(Kind::Static, traffic, Work::Translate).unwrap_err();
    assert_eq!(wrong, "TTL 64 instead of 63");
    let wrong = sweep(Kind::Forward, traffic, Work::Translate).unwrap_err();
    assert!(wrong.contains("the destination is wrong"), "{wrong}");
    let wrong = sweep(Kind::Drop, traffic, Work::Carry).unwrap_err();
    assert!(wrong.contains(" 0 arrived"), "{wrong}");
    // It translates one direction only; what it does not know, it drops.
    let hairpin = Traffic::new(HAIRPIN, Pairs::clustered(PAIRS));
    assert!(sweep(Kind::Hash, hairpin, Work::Translate).is_err());
}

#[test]
fn benchmark_sees_a_pair_that_was_rebound() {
    let undo = Undo::default();
    let mut kit = Kit::load().unwrap();
    let pairs = Pairs::clustered(PAIRS);
    let mut standing = gateway::put_up(&undo, &mut kit, Kind::Hash, pairs, Ends::Sinks).unwrap();
    let mut rebind = changes::rebinder(&mut standing).unwrap();
    rebind.rebind(7, pairs.private(8)).unwrap();
    let expected = Expected::at(&standing.site, Traffic::new(INBOUND, pairs), Work::Translate);
    let place = Place { port: &standing.site.gen0, cpu: cpus() - 1, program: "generate" };
    let wrong = verify::sweep(&mut kit, place, &standing.site, &expected, PAIRS).unwrap().unwrap_err();
    assert!(wrong.starts_with("pair 7: "), "{wrong}");
    rebind.rebind(7, pairs.private(7)).unwrap();
    assert_eq!(verify::sweep(&mut kit, place, &standing.site, &expected, PAIRS).unwrap(), Ok(()));
    let run = meter::run(&mut kit, place, standing.site.stream(&expected.traffic), 1000).unwrap();
    assert_eq!((run.sent, run.arrived), (1000, 1000));
    drop(standing);
    undo.take().unwrap().remove().unwrap();
}

#[test]
fn benchmark_of_changes_sees_no_loss_beside_them() {
    let undo = Undo::default();
    let mut kit = Kit::load().unwrap();
    let mut standing = gateway::put_up(&undo, &mut kit, Kind::Eipgate, Pairs::clustered(PAIRS), Ends::Sinks).unwrap();
    let mut rebind = changes::rebinder(&mut standing).unwrap();
    let found = changes::measure(&mut kit, &standing, &mut *rebind, 2, Duration::from_millis(50)).unwrap();
    assert!(!found.latencies_us.is_empty() && found.sampled > 0, "{found:?}");
    assert_eq!((found.lost_beside, found.wrong), (0, 0));
    drop((rebind, standing));
    undo.take().unwrap().remove().unwrap();
}
