//! The task that keeps what is known of the network current.
//!
//! Notices are hints and a dump is the truth: a notice has the kind of thing it is about read again. Only neighbours are
//! taken from the notices themselves, because each of thousands is asked again every half minute; a dump now and then
//! is the truth there too.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures_util::stream::BoxStream;
use futures_util::{FutureExt as _, StreamExt as _};
use netlink_packet_route::RouteNetlinkMessage;
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::sys::{AsyncSocket as _, AsyncSocketExt as _, SocketAddr, TokioSocket};
use rtnetlink::{Handle, MulticastGroup};
use tokio::runtime;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep_until;

use super::placed::{self, Placing};
use super::{NextHop, Topology, connect, kept, links, neighbours, policy, read, routes};

/// How long after one full reading the next one comes, at least.
const READ_EVERY: Duration = Duration::from_secs(1);
/// At most this part of the time goes into full readings, however long the tables are.
const SHARE: u32 = 20;
/// How long after a reading that failed the next one comes: so much at first, and more from one to the next.
const TRY_AGAIN: Duration = Duration::from_millis(5);
/// Notices taken at a time, so that a flood of them cannot hold up what they tell.
const BURST: usize = 4096;
/// Room for notices in bytes, as many as come while a long table is read.
const QUEUE: usize = 8 << 20;

type Notices = BoxStream<'static, (NetlinkMessage<RouteNetlinkMessage>, SocketAddr)>;

/// Follows the network. Dropped, it stops.
pub struct Watch {
    /// The latest topology.
    pub topology: watch::Receiver<Topology>,
    /// Next hops the kernel is asked to keep resolved.
    pub wanted: watch::Sender<BTreeSet<NextHop>>,
    /// Addresses to be put on interfaces, and to be taken off.
    pub placing: watch::Sender<Placing>,
    again: mpsc::Sender<oneshot::Sender<()>>,
    _thread: Thread,
}

/// A thread for all of it, which ends with its owner: whoever else is busy with long answers does not hold up what the
/// network tells.
struct Thread {
    runtime: runtime::Handle,
    _end: oneshot::Sender<Infallible>,
}

impl Thread {
    fn start() -> Result<Thread> {
        let own = runtime::Builder::new_current_thread().enable_all().build().context("starting a runtime")?;
        let (runtime, (end, ended)) = (own.handle().clone(), oneshot::channel());
        let run = move || drop(own.block_on(ended));
        thread::Builder::new().name("network".into()).spawn(run).context("starting a thread")?;
        Ok(Thread { runtime, _end: end })
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
    everything: bool,
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
            // The kernel takes routes and neighbours away with an interface or an address and tells nobody.
            _ => self.everything = true,
        }
    }
}

/// The network as it is now, and whatever is told of it from here on.
pub struct Subscription {
    now: Topology,
    handle: Handle,
    notices: Notices,
    settings: TokioSocket,
    thread: Thread,
}

/// Has the kernel tell of the network from here on, and reads what is there now.
pub async fn subscribe() -> Result<Subscription> {
    let thread = Thread::start()?;
    let (now, handle, notices, settings) = thread.runtime.spawn(listen()).await.context("reading the network")??;
    Ok(Subscription { now, handle, notices, settings, thread })
}

async fn listen() -> Result<(Topology, Handle, Notices, TokioSocket)> {
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
    tokio::spawn(connection);
    let (handle, _) = connect()?;
    Ok((read(&handle).await?, handle, notices.boxed(), settings))
}

impl Subscription {
    /// The network as it was read.
    pub fn topology(&self) -> &Topology {
        &self.now
    }

    /// Follows the network. `first` is told of each change before it is published, and dropped when nobody follows the
    /// network any more.
    pub fn follow(self, first: impl FnMut(&Topology) + Send + 'static) -> Watch {
        let Subscription { now, handle, notices, settings, thread } = self;
        let (publish, topology) = watch::channel(now.clone());
        let (wanted, wishes) = watch::channel(BTreeSet::new());
        let (placing, places) = watch::channel(Placing::default());
        let (again, asked) = mpsc::channel(1);
        let keeper = kept::keep(handle.clone(), wishes, topology.clone());
        let placer = placed::place(handle.clone(), places, topology.clone());
        let read = async move |stale, now| read_again(&handle, stale, now).await;
        let (stale, askers, first) = (Stale::default(), Vec::new(), Box::new(first));
        let follower = Follower { read, notices, settings, asked, askers, stale, now, first, publish };
        thread.runtime.spawn(keeper);
        thread.runtime.spawn(placer);
        thread.runtime.spawn(follower.follow());
        Watch { topology, wanted, placing, again, _thread: thread }
    }
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

struct Follower<R> {
    /// Reads what is stale again.
    read: R,
    notices: Notices,
    settings: TokioSocket,
    asked: mpsc::Receiver<oneshot::Sender<()>>,
    /// Those who wait for the next reading.
    askers: Vec<oneshot::Sender<()>>,
    /// What has to be read again, and has not been yet.
    stale: Stale,
    now: Topology,
    /// Told of each change before it is published. Dropped before `publish`, by which the others learn of the end.
    first: Box<dyn FnMut(&Topology) + Send>,
    publish: watch::Sender<Topology>,
}

impl<R: AsyncFnMut(Stale, Topology) -> Result<Topology>> Follower<R> {
    async fn follow(mut self) {
        let mut next = tokio::time::Instant::now() + READ_EVERY;
        // Only after a reading that failed.
        let (mut again, mut pause) = (next, Duration::ZERO);
        loop {
            let mut ignored = Vec::with_capacity(4096);
            tokio::select! {
                notice = self.notices.next() => match notice {
                    Some((message, _)) => self.take(message.payload),
                    None => return,
                },
                heard = self.settings.recv(&mut ignored) => match heard {
                    Ok(()) => (self.stale.settings, self.stale.routes) = (true, true),
                    // Overrun: what was lost is unknown.
                    Err(_) => self.stale.everything = true,
                },
                Some(done) = self.asked.recv() => {
                    self.askers.push(done);
                    self.stale.everything = true;
                }
                // Now and then without a notice too: the kernel tells nobody of an XDP program that comes or goes.
                () = sleep_until(next) => self.stale.everything = true,
                () = sleep_until(again), if !pause.is_zero() => {}
            }
            // A burst of notices asks for one reading, not for one each.
            for _ in 0..BURST {
                let Some((message, _)) = self.notices.next().now_or_never().flatten() else { break };
                self.take(message.payload);
            }
            let started = Instant::now();
            let result = (self.read)(self.stale, self.now.clone()).await;
            if self.stale.everything {
                next = tokio::time::Instant::now() + READ_EVERY.max(started.elapsed() * SHARE);
            }
            match result {
                Ok(fresh) => {
                    (self.now, self.stale, pause) = (fresh, Stale::default(), Duration::ZERO);
                    self.publish();
                    for asker in self.askers.drain(..) {
                        // Who asked may have given up.
                        let _ = asker.send(());
                    }
                }
                Err(error) => {
                    pause = (pause * 2).clamp(TRY_AGAIN, READ_EVERY);
                    again = tokio::time::Instant::now() + pause;
                    tracing::warn!("the network could not be read, trying again in {pause:?}: {error:#}");
                    // What the notices themselves have told is true all the same.
                    self.publish();
                }
            }
        }
    }

    fn publish(&mut self) {
        if *self.publish.borrow() != self.now {
            (self.first)(&self.now);
            self.publish.send_replace(self.now.clone());
        }
    }

    /// Takes what a notice says.
    fn take(&mut self, payload: NetlinkPayload<RouteNetlinkMessage>) {
        let NetlinkPayload::InnerMessage(message) = payload else {
            self.stale.everything = true;
            return;
        };
        self.stale.add(&message);
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
    }
}

/// The network with what is stale read again.
async fn read_again(handle: &Handle, stale: Stale, mut now: Topology) -> Result<Topology> {
    if stale.everything {
        let fresh = read(handle).await?;
        keep_same(&mut now.interfaces, fresh.interfaces);
        keep_same(&mut now.addresses, fresh.addresses);
        keep_same(&mut now.routes, fresh.routes);
        keep_same(&mut now.neighbours, fresh.neighbours);
        now.policy = fresh.policy;
        return Ok(now);
    }
    if stale.settings {
        keep_same(&mut now.interfaces, links::read(handle).await?.into());
    }
    if stale.routes {
        keep_same(&mut now.routes, routes::read(handle).await?.into());
    }
    if stale.rules || stale.settings {
        now.policy = policy::read(handle).await?;
    }
    Ok(now)
}

/// What has not changed stays the same thing, so that comparing it again costs nothing.
fn keep_same<T: Eq>(now: &mut Arc<T>, fresh: Arc<T>) {
    if *now != fresh {
        *now = fresh;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::stream;
    use netlink_packet_route::AddressFamily;
    use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage};
    use netlink_packet_route::route::RouteMessage;
    use rtnetlink::packet_core::NetlinkHeader;

    use super::*;

    /// A follower of these notices that reads the network by `read`, and where it publishes.
    fn follower<R>(read: R, notices: Notices, first: impl FnMut(&Topology) + Send + 'static) -> (Follower<R>, Watched) {
        let (publish, topology) = watch::channel(Topology::default());
        let (again, asked) = mpsc::channel(1);
        let follower = Follower {
            read,
            notices,
            settings: settings_socket().unwrap(),
            asked,
            askers: Vec::new(),
            stale: Stale::default(),
            now: Topology::default(),
            first: Box::new(first),
            publish,
        };
        (follower, Watched { topology, _again: again })
    }

    struct Watched {
        topology: watch::Receiver<Topology>,
        _again: mpsc::Sender<oneshot::Sender<()>>,
    }

    async fn changed(topology: &mut watch::Receiver<Topology>) -> Result<(), watch::error::RecvError> {
        tokio::time::timeout(Duration::from_secs(20), topology.changed()).await.unwrap()
    }

    #[tokio::test]
    async fn what_could_not_be_read_is_read_again() {
        let notice = RouteNetlinkMessage::NewRoute(RouteMessage::default());
        let notices = notices_of(NetlinkPayload::InnerMessage(notice));
        let (readings, heard) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let (noted, told) = (Arc::clone(&readings), Arc::clone(&heard));
        let read = async move |stale: Stale, now: Topology| {
            noted.lock().unwrap().push(stale);
            anyhow::ensure!(noted.lock().unwrap().len() > 2, "no room for an answer");
            Ok(Topology { policy: policy::Policy::Rules, ..now })
        };
        let (follower, mut watched) = follower(read, notices, move |now| told.lock().unwrap().push(now.clone()));
        let follower = tokio::spawn(follower.follow());
        changed(&mut watched.topology).await.unwrap();
        let new = Topology { policy: policy::Policy::Rules, ..Topology::default() };
        assert_eq!(*watched.topology.borrow(), new);
        assert_eq!(*heard.lock().unwrap(), [new]);
        let routes = Stale { routes: true, ..Stale::default() };
        assert_eq!(readings.lock().unwrap()[..3], [routes; 3], "what the notice was about, until it could be read");
        follower.abort();
    }

    fn notices_of(payload: NetlinkPayload<RouteNetlinkMessage>) -> Notices {
        let notice = NetlinkMessage::new(NetlinkHeader::default(), payload);
        stream::iter([(notice, SocketAddr::new(0, 0))]).chain(stream::pending()).boxed()
    }

    #[tokio::test]
    async fn a_neighbour_that_goes_is_gone_without_another_reading() {
        let place: NextHop = (7, [10, 0, 0, 11].into());
        let mut message = NeighbourMessage::default();
        (message.header.family, message.header.ifindex) = (AddressFamily::Inet, place.0);
        message.attributes.push(NeighbourAttribute::Destination(NeighbourAddress::Inet(place.1)));
        let gone = NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelNeighbour(message));
        let read = async |_: Stale, now: Topology| Ok(now);
        let (mut follower, mut watched) = follower(read, notices_of(gone), |_| {});
        follower.now.neighbours = Arc::new([(place, neighbours::Neighbour::default())].into());
        follower.publish.send_replace(follower.now.clone());
        watched.topology.mark_unchanged();
        let follower = tokio::spawn(follower.follow());
        changed(&mut watched.topology).await.unwrap();
        assert!(watched.topology.borrow().neighbours.is_empty());
        follower.abort();
    }

    #[tokio::test]
    async fn where_notices_were_lost_everything_is_read() {
        let (tell, mut told) = mpsc::unbounded_channel();
        let read = async move |stale: Stale, now: Topology| {
            tell.send(stale).unwrap();
            Ok(now)
        };
        let (follower, _watched) = follower(read, notices_of(NetlinkPayload::Overrun(Vec::new())), |_| {});
        let follower = tokio::spawn(follower.follow());
        let first = tokio::time::timeout(Duration::from_secs(20), told.recv()).await.unwrap().unwrap();
        assert!(first.everything, "{first:?}");
        follower.abort();
    }

    #[test]
    fn the_network_is_followed_while_whoever_asked_for_that_does_something_else() {
        let runtime = || runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let busy = runtime();
        let watch = busy.block_on(subscribe()).unwrap().follow(|_| {});
        // Nobody runs the tasks of that one any more.
        runtime().block_on(async {
            let (done, published) = oneshot::channel();
            watch.again.send(done).await.unwrap();
            tokio::time::timeout(Duration::from_secs(20), published).await.unwrap().unwrap();
        });
    }

    #[tokio::test]
    async fn whoever_is_told_first_learns_of_the_end_first() {
        struct Gone(Arc<Mutex<bool>>);
        impl Drop for Gone {
            fn drop(&mut self) {
                *self.0.lock().unwrap() = true;
            }
        }
        let gone = Arc::new(Mutex::new(false));
        let first = Gone(Arc::clone(&gone));
        let unread = async |_: Stale, now: Topology| Ok(now);
        let (follower, mut watched) = follower(unread, stream::empty().boxed(), move |_| drop(first.0.lock().unwrap()));
        tokio::spawn(follower.follow());
        assert!(changed(&mut watched.topology).await.is_err());
        assert!(*gone.lock().unwrap());
    }
}
