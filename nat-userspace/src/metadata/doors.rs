//! A door on every downlink: sockets that hear what comes by that downlink, and answer by it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{IpFreebind, Ipv4Ttl};
use tokio::net::TcpSocket;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tracing::{info, warn};

use super::answer::{Desk, Door};
use super::rate::Rate;
use super::token::Tokens;
use crate::address::VpcId;
use crate::config::Config;
use crate::gateway::{ASKED_AT, Downlink, Handle};
use crate::http::{self, Limits};

const PORT: u16 = 80;
/// Connections that wait to be taken.
const BACKLOG: u32 = 256;
/// How long until a door that could not be opened is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// Questions are short and answers too.
const LIMITS: Limits = Limits {
    connections: 256,
    head: Duration::from_secs(5),
    body: Duration::from_secs(5),
    connection: Duration::from_secs(60),
    head_bytes: 8192,
    body_bytes: 0,
};

/// All doors; dropping it closes them.
#[derive(Debug)]
pub struct Server(JoinHandle<()>);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Answers instances from now on, where the configuration says so, at each downlink that is there or comes later.
///
/// # Errors
/// No source of chance for the key of the tokens.
pub fn serve(
    handle: Handle,
    configuration: watch::Receiver<Arc<Config>>,
    downlinks: watch::Receiver<Vec<Downlink>>,
) -> Result<Option<Server>> {
    let hop_limit = {
        let config = configuration.borrow();
        if !config.metadata {
            return Ok(None);
        }
        config.metadata_hop_limit
    };
    let mut key = [0; 32];
    let mut random = File::open("/dev/urandom").context("opening /dev/urandom")?;
    random.read_exact(&mut key).context("reading /dev/urandom")?;
    let (tokens, rate) = (Tokens::new(key), Rate::new());
    let desk = Desk { handle, configuration, downlinks: downlinks.clone(), tokens, rate };
    Ok(Some(Server(tokio::spawn(follow(Arc::new(desk), downlinks, hop_limit)))))
}

/// An interface of that index is the same for as long as it lives, whatever it is called.
type Place = (u32, VpcId, Ipv4Addr);

async fn follow(desk: Arc<Desk>, mut downlinks: watch::Receiver<Vec<Downlink>>, hop_limit: u8) {
    let mut open: BTreeMap<Place, http::Server> = BTreeMap::new();
    let mut complaints: BTreeMap<Place, String> = BTreeMap::new();
    loop {
        let wanted = downlinks.borrow_and_update().clone();
        let is_wanted = |(index, vpc, _): &Place| wanted.iter().any(|link| link.index == *index && link.vpc == *vpc);
        open.retain(|place, _| is_wanted(place));
        complaints.retain(|place, _| is_wanted(place));
        for (link, address) in wanted.iter().flat_map(|link| ASKED_AT.map(|address| (link, address))) {
            let place = (link.index, link.vpc.clone(), address);
            if open.contains_key(&place) {
                continue;
            }
            match listen(link, address, hop_limit) {
                Ok(listener) => {
                    let door = Door { desk: Arc::clone(&desk), vpc: link.vpc.clone(), index: link.index };
                    info!(vpc = %link.vpc, "instances on {} can ask about themselves at {address}", link.interface);
                    complaints.remove(&place);
                    open.insert(place, listener.serve(LIMITS, None, door));
                }
                Err(error) => {
                    let complaint = format!("{error:#}");
                    if complaints.get(&place) != Some(&complaint) {
                        warn!("tried again every second: {complaint}");
                    }
                    complaints.insert(place, complaint);
                }
            }
        }
        tokio::select! {
            changed = downlinks.changed() => if changed.is_err() { return },
            () = sleep(AGAIN), if !complaints.is_empty() => {}
        }
    }
}

/// A socket that only what comes by this downlink reaches. It need not wait for its address to be there.
fn listen(link: &Downlink, address: Ipv4Addr, hop_limit: u8) -> Result<http::Listener> {
    let place = || format!("cannot serve metadata at {address}:{PORT} on {}", link.interface);
    let listen = || -> Result<_> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind_device(Some(link.interface.as_bytes()))?;
        setsockopt(&socket, IpFreebind, &true)?;
        setsockopt(&socket, Ipv4Ttl, &i32::from(hop_limit))?;
        socket.bind(SocketAddr::from((address, PORT)))?;
        http::Listener::on(socket.listen(BACKLOG)?, "metadata")
    };
    listen().with_context(place)
}
