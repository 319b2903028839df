//! Next hops between one who hears of the network and one who is busy with something else.

use std::time::Duration;

use tokio::time::timeout;

use super::super::network::{Route, Topology};
use super::super::routing::tests::{HOST, RED, ROUTER, UPLINK, UPSTREAM, out, plan, red, route, routes, topology};
use super::*;

/// Behind the router.
const FAR: Ipv4Addr = Ipv4Addr::new(10, 1, 7, 7);

/// The usual network's next hops, settled: the default and the one towards [`FAR`], whose element is answered.
fn settled() -> (SharedHops, Doubter, u32) {
    let network = Arc::new(Routing::new(&plan(), &topology(routes()), &Routing::default()));
    let mut hops = Hops::over(Elements::in_memory(64), 64, Arc::clone(&network));
    let far = hops.towards(red(), FAR).unwrap();
    assert_eq!(hops.elements.read(far).state, HOP_ASK, "the tables do not stand yet");
    hops.settle(&network);
    assert_eq!((hops.elements.read(DEFAULT_HOP).state, hops.elements.read(far).state), (HOP_READY, HOP_READY));
    let hops = SharedHops::new(hops);
    let doubter = hops.doubter(&plan());
    (hops, doubter, far)
}

fn states(hops: &SharedHops, far: u32) -> (u32, u32) {
    let hops = hops.lock();
    (hops.elements.read(DEFAULT_HOP).state, hops.elements.read(far).state)
}

/// Settles by the newest network, until nothing has to come to rest.
async fn settle(hops: &SharedHops) {
    let mut rested = hops.lock().rested();
    loop {
        let network = Arc::clone(hops.lock().routing());
        hops.lock().settle(&network);
        let nothing_left = hops.lock().status().not_ready.iter().all(|hop| hop.reason != "it is about to be ready");
        if nothing_left {
            return;
        }
        timeout(Duration::from_secs(20), rested.changed()).await.unwrap().unwrap();
    }
}

fn with(more: Route) -> Topology {
    topology(routes().into_iter().chain([more]).collect())
}

#[tokio::test]
async fn what_is_heard_is_doubted_at_once_and_made_ready_by_no_older_knowledge() {
    let (hops, doubter, far) = settled();
    let older = Arc::clone(hops.lock().routing());
    let mut moved = topology(routes());
    Arc::make_mut(&mut moved.neighbours).get_mut(&(UPLINK, UPSTREAM)).unwrap().mac = Some([2, 9, 9, 9, 9, 9]);
    doubter.hear(&moved);
    assert_eq!(states(&hops, far), (HOP_ASK, HOP_READY), "the other's neighbour is where it was");
    // The one who was busy goes by what it knew when it began.
    hops.lock().settle(&older);
    assert_eq!(states(&hops, far), (HOP_ASK, HOP_READY));
    settle(&hops).await;
    let default = hops.lock().elements.read(DEFAULT_HOP);
    assert_eq!((default.state, &default.macs[..6]), (HOP_READY, &[2, 9, 9, 9, 9, 9][..]));
    // So with the neighbour of an instance's next hop.
    Arc::make_mut(&mut moved.neighbours).get_mut(&(RED, ROUTER)).unwrap().mac = Some([2, 8, 8, 8, 8, 8]);
    doubter.hear(&moved);
    assert_eq!(states(&hops, far), (HOP_READY, HOP_ASK));
    settle(&hops).await;
    let hop = hops.lock().elements.read(far);
    assert_eq!((hop.state, &hop.macs[..6]), (HOP_READY, &[2, 8, 8, 8, 8, 8][..]));
}

#[tokio::test]
async fn an_element_given_up_is_anothers_only_when_no_packet_can_be_reading_it() {
    let network = Arc::new(Routing::new(&plan(), &topology(routes()), &Routing::default()));
    // Room for the VPC's own element and one more.
    let capacity = DEFAULT_HOP + 3;
    let mut hops = Hops::over(Elements::in_memory(capacity), capacity, network);
    let far = hops.towards(red(), FAR).unwrap();
    hops.release(far);
    let mut rested = hops.rested();
    let own = hops.towards(red(), HOST).unwrap();
    assert_ne!(own, far, "a packet on its way may still go by what stood there");
    hops.begin_rest();
    timeout(Duration::from_secs(20), rested.changed()).await.unwrap().unwrap();
    assert_eq!(hops.towards(red(), HOST).unwrap(), far);
}

#[tokio::test]
async fn a_route_that_is_not_marked_yet_takes_the_default_back() {
    let (hops, doubter, far) = settled();
    let older = Arc::clone(hops.lock().routing());
    doubter.hear(&with(route([192, 0, 2, 0], 24, 0, out(RED, Some(ROUTER)))));
    assert_eq!(states(&hops, far).0, HOP_ASK);
    hops.lock().settle(&older);
    assert_eq!(states(&hops, far).0, HOP_ASK, "those marks are older than the route");
    settle(&hops).await;
    assert_eq!(states(&hops, far), (HOP_READY, HOP_READY));
    // A mark too many does no harm.
    doubter.hear(&topology(routes()));
    assert_eq!(states(&hops, far).0, HOP_READY);
}

#[tokio::test]
async fn links_that_forward_no_more_use_no_next_hop() {
    let (hops, doubter, far) = settled();
    let mut stopped = topology(routes());
    Arc::make_mut(&mut stopped.interfaces).get_mut(&UPLINK).unwrap().forwarding = false;
    doubter.hear(&stopped);
    assert_eq!(states(&hops, far), (HOP_ASK, HOP_ASK));
    // The links' own flags say it once they are written.
    settle(&hops).await;
    assert_eq!(states(&hops, far), (HOP_READY, HOP_READY));
}

#[tokio::test]
async fn instances_that_may_have_moved_are_asked_about_until_they_are_led_anew() {
    let (hops, doubter, far) = settled();
    doubter.hear(&with(route([10, 1, 7, 0], 24, 0, out(RED, Some(HOST)))));
    assert_eq!(states(&hops, far).1, HOP_ASK);
    assert!(hops.lock().moved().has(red(), FAR) && !hops.lock().leads(far, red(), FAR));
    // An element that is new is not ready beside tables that are old.
    let new = hops.lock().towards(red(), FAR).unwrap();
    assert_eq!(hops.lock().elements.read(new).state, HOP_ASK);
    hops.lock().release(far);
    settle(&hops).await;
    assert!(hops.lock().moved().is_empty());
}

#[tokio::test]
async fn when_nobody_hears_of_the_network_any_more_the_kernel_is_asked_for_good() {
    let (hops, doubter, far) = settled();
    drop(doubter);
    assert_eq!(states(&hops, far), (HOP_ASK, HOP_ASK));
    settle_once_more(&hops);
    assert_eq!(states(&hops, far), (HOP_ASK, HOP_ASK));
    let near = hops.lock().towards(red(), HOST).unwrap();
    assert_eq!(hops.lock().elements.read(near).state, HOP_ASK);
}

fn settle_once_more(hops: &SharedHops) {
    let network = Arc::clone(hops.lock().routing());
    hops.lock().settle(&network);
}

#[test]
fn what_is_learned_anew_is_what_stands_there() {
    let (hops, _doubter, far) = settled();
    let mut hops = hops.lock();
    hops.learn();
    assert_eq!(hops.elements.read(far).state, HOP_READY, "packets go on using it");
    assert!(hops.adopt(far, FAR) && !hops.adopt(far, HOST));
    hops.drop_unused();
    assert_eq!((hops.elements.read(far).state, hops.status().ready), (HOP_READY, 2));
}
