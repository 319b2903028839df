//! ARP on uplinks beyond the answers of the program: announcing an address when it is bound, asking whether a pool
//! address is in use elsewhere before it is handed out, and noticing who else claims one (RFC 5227).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::sync::mpsc;

use super::sys::ArpSocket;
use crate::address::Prefix;

/// Time between the two announcements of an address (RFC 5227 1.1, ANNOUNCE_INTERVAL).
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);
/// Time between two questions whether a duplicate is still there.
const PROBE_INTERVAL: Duration = Duration::from_secs(30);
/// A duplicate that has not been heard of for this long is gone.
const FORGET_AFTER: Duration = Duration::from_secs(100);
/// Addresses asked for in one turn, so that a large pool does not flood the link: 100 turns a second at most.
const PROBES_A_TURN: usize = 4;
const TURN_MILLISECONDS: i32 = 10;
/// Announcements a second where nobody asked for another rate: a switch takes them all, and a thousand addresses are
/// known again after five seconds.
pub const ANNOUNCEMENTS_PER_SECOND: u32 = 200;

/// Somebody else on the link claims a pool address, or has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// This MAC answered for it.
    Duplicate(Ipv4Addr, [u8; 6]),
    /// Nobody does any more.
    Gone(Ipv4Addr),
}

/// An uplink as ARP needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its interface.
    pub ifindex: u32,
    /// Its MAC.
    pub mac: [u8; 6],
    /// Its VLAN ids, outermost first.
    pub tags: Vec<u16>,
    /// The pools on this link.
    pub pools: Vec<Prefix>,
}

/// An address to be told about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Announcement {
    address: Ipv4Addr,
    /// Time to leave behind it.
    pause: Duration,
    /// Whether it is to be told once more.
    again: bool,
}

#[derive(Default)]
struct State {
    ports: Vec<Port>,
    /// Announcements to be made, one after the other.
    queue: VecDeque<Announcement>,
    /// When the next of them may be made.
    next: Option<Instant>,
    /// Second announcements and when they are due.
    later: VecDeque<(Instant, Announcement)>,
    /// Addresses still to be asked for, with the interface.
    questions: Vec<(u32, std::ops::RangeInclusive<u32>)>,
    /// When each duplicate was last heard.
    duplicates: BTreeMap<Ipv4Addr, Instant>,
}

/// Speaks and listens. Dropped, it stops.
pub struct Arp {
    socket: Arc<ArpSocket>,
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// What others claim.
    pub claims: mpsc::UnboundedReceiver<Claim>,
}

impl Drop for Arp {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Its loop holds no lock while it waits, and waits no longer than a turn.
            let _ = thread.join();
        }
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // The state is plain data, consistent after each statement, so a panic elsewhere does not spoil it.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Arp {
    /// Opens the socket and starts to listen.
    pub fn start() -> Result<Arp> {
        let socket = Arc::new(ArpSocket::open().context("opening a packet socket for ARP; it takes CAP_NET_RAW")?);
        let state = Arc::new(Mutex::new(State::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, claims) = mpsc::unbounded_channel();
        let thread = std::thread::Builder::new()
            .name("arp".into())
            .spawn({
                let (socket, state, stop) = (socket.clone(), state.clone(), stop.clone());
                move || listen(&socket, &state, &stop, &sender)
            })
            .context("starting the ARP thread")?;
        Ok(Arp { socket, state, stop, thread: Some(thread), claims })
    }

    /// Tells which uplinks there are. Pools that are new on an uplink are asked for, address by address.
    pub fn set_ports(&self, ports: Vec<Port>) {
        let mut state = locked(&self.state);
        if state.ports == ports {
            return;
        }
        let known: BTreeSet<(u32, Prefix)> =
            state.ports.iter().flat_map(|port| port.pools.iter().map(|pool| (port.ifindex, *pool))).collect();
        for port in &ports {
            for pool in port.pools.iter().filter(|pool| !known.contains(&(port.ifindex, **pool))) {
                state.questions.push((port.ifindex, u32::from(pool.first())..=u32::from(pool.last())));
            }
        }
        // What others claim of a range that is no more concerns nobody.
        let in_a_pool =
            |address: &Ipv4Addr| ports.iter().any(|port| port.pools.iter().any(|pool| pool.contains(*address)));
        state.duplicates.retain(|address, _| in_a_pool(address));
        state.ports = ports;
    }

    /// Tells the link that these addresses are here now, once and once more later, so many a second; the first at once.
    /// Answers how many of them are on-link, which are those it tells about.
    pub fn announce(&self, addresses: &[Ipv4Addr], per_second: u32) -> usize {
        let pause = Duration::from_secs(1) / per_second.max(1);
        let mut state = locked(&self.state);
        let before = state.queue.len();
        let on_link: Vec<Ipv4Addr> = addresses.iter().copied().filter(|address| state.is_on_link(*address)).collect();
        state.queue.extend(on_link.into_iter().map(|address| Announcement { address, pause, again: true }));
        let added = state.queue.len() - before;
        announce_due(&mut state, Instant::now(), |port, frame| send(&self.socket, port, frame));
        added
    }
}

impl State {
    fn is_on_link(&self, address: Ipv4Addr) -> bool {
        self.ports.iter().any(|port| port.pools.iter().any(|pool| pool.contains(address)))
    }
}

/// Makes the announcements that are due. What a late turn has missed is made up for, as far as one turn goes: the rate is
/// never exceeded by more than that.
fn announce_due(state: &mut State, now: Instant, send: impl Fn(&Port, &[u8])) {
    while let Some((_, announcement)) = state.later.pop_front_if(|(due, _)| *due <= now) {
        state.queue.push_back(announcement);
    }
    const TURN: Duration = Duration::from_millis(TURN_MILLISECONDS as u64);
    let mut next = state.next.unwrap_or(now).max(now.checked_sub(TURN).unwrap_or(now));
    while next <= now
        && let Some(announcement) = state.queue.pop_front()
    {
        let Announcement { address, pause, again } = announcement;
        for port in state.ports.iter().filter(|port| port.pools.iter().any(|pool| pool.contains(address))) {
            send(port, &request(port, address, address));
        }
        if again {
            state.later.push_back((now + ANNOUNCE_INTERVAL, Announcement { again: false, ..announcement }));
        }
        next += pause;
    }
    state.next = Some(next);
}

fn send(socket: &ArpSocket, port: &Port, frame: &[u8]) {
    if let Err(error) = socket.send(port.ifindex, frame) {
        tracing::debug!("an announcement could not be made on interface {}: {error}", port.ifindex);
    }
}

/// A request from `sender` for `target`: an announcement where they are the same, a probe where the sender is 0.0.0.0.
fn request(port: &Port, sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let mut frame = Vec::with_capacity(60);
    frame.extend([0xff; 6]);
    frame.extend(port.mac);
    for (position, tag) in port.tags.iter().enumerate() {
        let outer_of_two = port.tags.len() == 2 && position == 0;
        frame.extend(if outer_of_two { [0x88, 0xa8] } else { [0x81, 0x00] });
        frame.extend(tag.to_be_bytes());
    }
    frame.extend([0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1]);
    frame.extend(port.mac);
    frame.extend(sender.octets());
    frame.extend([0; 6]);
    frame.extend(target.octets());
    frame.resize(frame.len().max(60), 0);
    frame
}

fn listen(socket: &ArpSocket, state: &Mutex<State>, stop: &AtomicBool, claims: &mpsc::UnboundedSender<Claim>) {
    let mut buffer = [0; 128];
    let mut next_probe = Instant::now() + PROBE_INTERVAL;
    while !stop.load(Ordering::Relaxed) {
        // Errors such as a link going down pass; the next turn tries again.
        if let Ok(Some(seen)) = socket.receive(&mut buffer, TURN_MILLISECONDS)
            && !seen.outgoing
        {
            hear(&buffer[..seen.length.min(buffer.len())], seen.ifindex, &mut locked(state), claims);
        }
        let mut state = locked(state);
        let now = Instant::now();
        announce_due(&mut state, now, |port, frame| send(socket, port, frame));
        if now >= next_probe {
            next_probe = now + PROBE_INTERVAL;
            reconsider(&mut state, now, claims);
        }
        for _ in 0..PROBES_A_TURN {
            ask(socket, &mut state);
        }
    }
}

/// Asks for the next address that nobody has asked for yet.
fn ask(socket: &ArpSocket, state: &mut State) {
    let Some((ifindex, range)) = state.questions.last_mut() else { return };
    let (ifindex, next) = (*ifindex, range.next());
    let Some(next) = next else {
        state.questions.pop();
        return;
    };
    if let Some(port) = state.ports.iter().find(|port| port.ifindex == ifindex) {
        let probe = request(port, Ipv4Addr::UNSPECIFIED, Ipv4Addr::from(next));
        let _ = socket.send(ifindex, &probe);
    }
}

/// Lets go of duplicates not heard of for long and asks for the others again.
fn reconsider(state: &mut State, now: Instant, claims: &mpsc::UnboundedSender<Claim>) {
    let gone: Vec<Ipv4Addr> = state
        .duplicates
        .iter()
        .filter(|(_, heard)| now.duration_since(**heard) > FORGET_AFTER)
        .map(|(address, _)| *address)
        .collect();
    for address in gone {
        state.duplicates.remove(&address);
        let _ = claims.send(Claim::Gone(address));
    }
    for address in state.duplicates.keys().copied().collect::<Vec<_>>() {
        let ports = state.ports.iter().filter(|port| port.pools.iter().any(|pool| pool.contains(address)));
        let again: Vec<_> = ports.map(|port| (port.ifindex, u32::from(address)..=u32::from(address))).collect();
        state.questions.extend(again);
    }
}

/// Looks for a pool address as the sender of somebody else's ARP packet.
fn hear(frame: &[u8], ifindex: u32, state: &mut State, claims: &mpsc::UnboundedSender<Claim>) {
    const ETHERNET_IPV4: [u8; 8] = [0x08, 0x06, 0, 1, 0x08, 0, 6, 4];
    let Some((head, arp)) = frame.split_at_checked(22) else { return };
    if head[12..20] != ETHERNET_IPV4 || arp.len() < 10 {
        return;
    }
    let mac = [arp[0], arp[1], arp[2], arp[3], arp[4], arp[5]];
    let sender = Ipv4Addr::new(arp[6], arp[7], arp[8], arp[9]);
    let ours = |port: &Port| port.mac == mac;
    let port = state.ports.iter().find(|port| port.ifindex == ifindex);
    let Some(port) = port.filter(|port| port.pools.iter().any(|pool| pool.contains(sender))) else { return };
    if ours(port) || state.ports.iter().any(ours) {
        return;
    }
    if state.duplicates.insert(sender, Instant::now()).is_none() {
        let _ = claims.send(Claim::Duplicate(sender, mac));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port() -> Port {
        let pools = vec!["198.51.100.64/27".parse().unwrap()];
        Port { ifindex: 7, mac: [2, 0, 0, 0, 0, 1], tags: vec![], pools }
    }

    #[test]
    fn another_mac_with_a_pool_address_is_a_duplicate_told_once() {
        let (sender, mut claims) = mpsc::unbounded_channel();
        let mut state = State { ports: vec![port()], ..State::default() };
        let rogue = Port { mac: [2, 0, 0, 0, 0, 9], ..port() };
        let address = Ipv4Addr::new(198, 51, 100, 70);
        let frame = request(&rogue, address, Ipv4Addr::new(198, 51, 100, 1));
        hear(&frame, 7, &mut state, &sender);
        hear(&frame, 7, &mut state, &sender);
        hear(&frame, 8, &mut state, &sender);
        assert_eq!(claims.try_recv(), Ok(Claim::Duplicate(address, rogue.mac)));
        assert!(claims.try_recv().is_err());
    }

    #[test]
    fn many_announcements_are_paced_and_each_is_made_twice() {
        let start = Instant::now();
        let pause = Duration::from_secs(1) / 100;
        let address = |last: u8| Ipv4Addr::new(198, 51, 100, 64 + last);
        let queue = (0..30).map(|last| Announcement { address: address(last), pause, again: true }).collect();
        let mut state = State { ports: vec![port()], queue, ..State::default() };
        let sent = std::cell::RefCell::new(Vec::new());
        let mut at = start;
        while at < start + Duration::from_secs(4) {
            announce_due(&mut state, at, |_, frame| sent.borrow_mut().push((at - start, frame[41])));
            at += Duration::from_millis(7);
        }
        let sent = sent.into_inner();
        assert_eq!(sent[0], (Duration::ZERO, 64), "the first at once");
        for (count, (at, _)) in sent.iter().enumerate().take(30) {
            let paced = pause * count as u32;
            assert!(
                *at + Duration::from_millis(10) >= paced && *at <= paced + Duration::from_millis(20),
                "{count}: {at:?}"
            );
        }
        let of = |last: u8| sent.iter().filter(|(_, other)| *other == 64 + last).map(|(at, _)| *at).collect::<Vec<_>>();
        for last in 0..30 {
            let [first, second] = of(last)[..] else { panic!("{last}: {:?}", of(last)) };
            assert!(second - first >= ANNOUNCE_INTERVAL, "{first:?} {second:?}");
        }
    }

    #[test]
    fn a_turn_that_comes_late_makes_no_burst() {
        let start = Instant::now();
        let announcement = |last: u8| {
            let address = Ipv4Addr::new(198, 51, 100, 64 + last);
            Announcement { address, pause: Duration::from_secs(1) / 200, again: false }
        };
        let queue = (0..30).map(announcement).collect();
        let mut state = State { ports: vec![port()], queue, next: Some(start), ..State::default() };
        let sent = std::cell::Cell::new(0);
        announce_due(&mut state, start + Duration::from_secs(5), |_, _| sent.set(sent.get() + 1));
        assert_eq!(sent.get(), 3, "as many as one turn is long, and the one that is due");
    }

    #[test]
    fn our_own_announcement_and_addresses_outside_the_pool_are_no_duplicates() {
        let (sender, mut claims) = mpsc::unbounded_channel();
        let mut state = State { ports: vec![port()], ..State::default() };
        let address = Ipv4Addr::new(198, 51, 100, 70);
        hear(&request(&port(), address, address), 7, &mut state, &sender);
        let rogue = Port { mac: [2, 0, 0, 0, 0, 9], ..port() };
        hear(&request(&rogue, Ipv4Addr::new(198, 51, 100, 1), address), 7, &mut state, &sender);
        hear(&[0; 30], 7, &mut state, &sender);
        assert!(claims.try_recv().is_err());
    }
}
