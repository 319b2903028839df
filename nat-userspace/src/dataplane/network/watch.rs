//! The task that keeps what is known of the network current.
//!
//! Notices are hints and a dump is the truth: a notice has the kind of thing it is about read again. Only neighbours are
//! taken from the notices themselves, because each of thousands is asked again every half minute; a dump now and then
//! is the truth there too.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use netlink_packet_route::RouteNetlinkMessage;
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::sys::{AsyncSocket as _, AsyncSocketExt as _, SocketAddr, TokioSocket};
use rtnetlink::{Handle, MulticastGroup};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::placed::{self, Placing};
use super::{NextHop, Topology, connect, kept, links, neighbours, policy, read, routes};

/// How long after one full reading the next one comes, at least.
const READ_EVERY: Duration = Duration::from_secs(1);
/// At most this part of the time goes into full readings, however long the tables are.
const SHARE: u32 = 20;
/// Notices taken at a time, so that a flood of them cannot hold up what they tell.
const BURST: usize = 4096;
/// Room for notices in bytes, as many as come while a long table is read.
const QUEUE: usize = 8 << 20;

/// Follows the network. Dropped, it stops.
pub struct Watch {
    /// The latest topology.
    pub topology: watch::Receiver<Topology>,
    /// Next hops the kernel is asked to keep resolved.
    pub wanted: watch::Sender<BTreeSet<NextHop>>,
    /// Addresses to be put on interfaces, and to be taken off.
    pub placing: watch::Sender<Placing>,
    again: mpsc::Sender<oneshot::Sender<()>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Watch {
    /// Has everything read again and waits until that is published, or for a second. Putting a program on an interface
    /// is told to nobody, so whoever did it asks. A reading under way may be older than what was done, so the next one
    /// is waited for.
    pub async fn refresh(&self) {
        let (done, published) = oneshot::channel();
        let _ = tokio::time::timeout(Duration::from_secs(1), async {
            if self.again.send(done).await.is_ok() {
                let _ = published.await;
            }
        })
        .await;
    }
}

/// What has to be read again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Stale {
    /// The kernel takes routes and neighbours away with an interface or an address and tells nobody, so these mean
    /// everything.
    links: bool,
    settings: bool,
    routes: bool,
    rules: bool,
}

impl Stale {
    fn add(&mut self, message: &RouteNetlinkMessage) {
        match message {
            RouteNetlinkMessage::NewRoute(_) | RouteNetlinkMessage::DelRoute(_) => self.routes = true,
            RouteNetlinkMessage::NewRule(_) | RouteNetlinkMessage::DelRule(_) => self.rules = true,
            RouteNetlinkMessage::NewNeighbour(_) | RouteNetlinkMessage::DelNeighbour(_) => {}
            _ => self.links = true,
        }
    }
}

/// Starts to follow the network, beginning with what is there now.
pub async fn watch() -> Result<Watch> {
    let groups = [
        MulticastGroup::Link,
        MulticastGroup::Ipv4Ifaddr,
        MulticastGroup::Ipv4Route,
        MulticastGroup::Ipv4Rule,
        MulticastGroup::Neigh,
    ];
    // Two sockets: what a socket changes itself is not told to it.
    let (mut connection, _, notices) =
        rtnetlink::new_multicast_connection(&groups).context("subscribing to netlink notices")?;
    // Too little room is no more than a reason to read everything again.
    let _ = connection.socket_mut().socket_mut().set_rx_buf_sz(QUEUE);
    let settings = settings_socket().context("subscribing to notices of network settings")?;
    let listener = tokio::spawn(connection);
    let (handle, questions) = connect()?;
    let now = read(&handle).await?;
    let (publish, topology) = watch::channel(now.clone());
    let (wanted, wishes) = watch::channel(BTreeSet::new());
    let (placing, places) = watch::channel(Placing::default());
    let (again, asked) = mpsc::channel(1);
    let keeper = tokio::spawn(kept::keep(handle.clone(), wishes, topology.clone()));
    let placer = tokio::spawn(placed::place(handle.clone(), places, topology.clone()));
    let follower = Follower { handle, notices, settings, asked, now, publish };
    let follower = tokio::spawn(follower.follow());
    Ok(Watch { topology, wanted, placing, again, tasks: vec![listener, questions, keeper, placer, follower] })
}

/// A socket that hears of changed settings of interfaces and of next-hop objects, in messages that the library for the
/// others does not know.
fn settings_socket() -> std::io::Result<TokioSocket> {
    let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
    socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
    for group in [MulticastGroup::Ipv4Netconf, MulticastGroup::Nexthop] {
        socket.socket_mut().add_membership(group as u32)?;
    }
    Ok(socket)
}

struct Follower<N> {
    handle: Handle,
    notices: N,
    settings: TokioSocket,
    asked: mpsc::Receiver<oneshot::Sender<()>>,
    now: Topology,
    publish: watch::Sender<Topology>,
}

impl<N: Stream<Item = (NetlinkMessage<RouteNetlinkMessage>, SocketAddr)> + Unpin> Follower<N> {
    async fn follow(mut self) {
        let mut next = tokio::time::Instant::now() + READ_EVERY;
        loop {
            let (mut stale, mut everything, mut asker) = (Stale::default(), false, None);
            let mut ignored = Vec::with_capacity(4096);
            tokio::select! {
                notice = self.notices.next() => match notice {
                    Some((message, _)) => everything |= self.take(message.payload, &mut stale),
                    None => return,
                },
                heard = self.settings.recv(&mut ignored) => match heard {
                    Ok(()) => (stale.settings, stale.routes) = (true, true),
                    // Overrun: what was lost is unknown.
                    Err(_) => everything = true,
                },
                Some(done) = self.asked.recv() => (asker, everything) = (Some(done), true),
                // Now and then without a notice too: the kernel tells nobody of an XDP program that comes or goes.
                () = tokio::time::sleep_until(next) => everything = true,
            }
            // A burst of notices asks for one reading, not for one each.
            for _ in 0..BURST {
                let Some((message, _)) = self.notices.next().now_or_never().flatten() else { break };
                everything |= self.take(message.payload, &mut stale);
            }
            let started = Instant::now();
            if let Err(error) = self.read(stale, everything).await {
                tracing::warn!("the network could not be read, will try again: {error:#}");
            }
            if everything {
                next = tokio::time::Instant::now() + READ_EVERY.max(started.elapsed() * SHARE);
            }
            self.publish.send_if_modified(|last| {
                let changed = *last != self.now;
                if changed {
                    last.clone_from(&self.now);
                }
                changed
            });
            // Who asked may have given up.
            let _ = asker.map(|done| done.send(()));
        }
    }

    /// Takes what a notice says; answers whether anything may have changed.
    fn take(&mut self, payload: NetlinkPayload<RouteNetlinkMessage>, stale: &mut Stale) -> bool {
        let NetlinkPayload::InnerMessage(message) = payload else { return true };
        stale.add(&message);
        match message {
            RouteNetlinkMessage::NewNeighbour(message) => {
                if let Some((place, neighbour)) = neighbours::neighbour(&message)
                    && self.now.neighbours.get(&place) != Some(&neighbour)
                {
                    Arc::make_mut(&mut self.now.neighbours).insert(place, neighbour);
                }
            }
            RouteNetlinkMessage::DelNeighbour(message) => {
                if let Some((place, _)) = neighbours::neighbour(&message)
                    && self.now.neighbours.contains_key(&place)
                {
                    Arc::make_mut(&mut self.now.neighbours).remove(&place);
                }
            }
            _ => {}
        }
        false
    }

    async fn read(&mut self, stale: Stale, everything: bool) -> Result<()> {
        if everything || stale.links {
            let fresh = read(&self.handle).await?;
            keep_same(&mut self.now.interfaces, fresh.interfaces);
            keep_same(&mut self.now.addresses, fresh.addresses);
            keep_same(&mut self.now.routes, fresh.routes);
            keep_same(&mut self.now.neighbours, fresh.neighbours);
            self.now.policy = fresh.policy;
            return Ok(());
        }
        if stale.settings {
            keep_same(&mut self.now.interfaces, links::read(&self.handle).await?.into());
        }
        if stale.routes {
            keep_same(&mut self.now.routes, routes::read(&self.handle).await?.into());
        }
        if stale.rules || stale.settings {
            self.now.policy = policy::read(&self.handle).await?;
        }
        Ok(())
    }
}

/// What has not changed stays the same thing, so that comparing it again costs nothing.
fn keep_same<T: Eq>(now: &mut Arc<T>, fresh: Arc<T>) {
    if *now != fresh {
        *now = fresh;
    }
}
