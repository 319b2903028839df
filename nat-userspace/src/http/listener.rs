//! A bound address, and the conversations at it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::serve::accept;
use super::{Limits, Service, Tls};

/// How long the end waits for answers to be taken.
const FAREWELL: Duration = Duration::from_secs(1);

/// A bound address.
#[derive(Debug)]
pub struct Listener {
    pub(super) socket: TcpListener,
    address: SocketAddr,
    pub(super) what: &'static str,
}

/// An address being served; dropping it ends that at once.
#[derive(Debug)]
pub struct Server {
    accepting: JoinHandle<()>,
    closing: watch::Sender<bool>,
    /// Every conversation holds the other end, so this ends when the last of them has.
    conversations: mpsc::Receiver<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Server {
    /// Takes no more connections, lets answers under way be taken, and ends.
    pub async fn close(mut self) {
        // Nobody listens if every conversation has ended.
        let _ = self.closing.send(true);
        let _ = timeout(FAREWELL, self.conversations.recv()).await;
    }
}

impl Listener {
    /// Binds an address to serve `what` there, as the setting says. Connections wait until they are served.
    pub async fn bind(address: SocketAddr, what: &'static str, setting: &'static str) -> Result<Listener> {
        let socket = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot serve {what} at {address}; free it or change {setting}"))?;
        Listener::on(socket, what)
    }

    /// On a socket that listens already.
    pub fn on(socket: TcpListener, what: &'static str) -> Result<Listener> {
        let address = socket.local_addr().with_context(|| format!("the socket of {what} has no address"))?;
        Ok(Listener { socket, address, what })
    }

    /// Where it is; the port is known only now where 0 was configured.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves connections from now on, those that waited included.
    pub fn serve(self, limits: Limits, tls: Option<Tls>, service: impl Service) -> Server {
        let (closing, closed) = watch::channel(false);
        let (alive, conversations) = mpsc::channel(1);
        let accepting = tokio::spawn(accept(self, limits, tls, Arc::new(service), closed, alive));
        Server { accepting, closing, conversations }
    }
}
