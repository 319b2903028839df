//! Conversations: each connection has a task of its own, so one that is slow keeps only itself waiting.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Serialize;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf, UCred};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use crate::gateway::{GatewayError, Handle, Operations};

use super::answer::{Answer, answer};
use super::events::PATIENCE;
use super::import::Imports;
use super::lines::{IDLE, Line, encode_line, next_line};
use super::wire::{Complaint, LONGEST_REQUEST, Reply, Request};
use super::{Listener, events, past};

/// How long the end waits for replies to be taken.
const FAREWELL: Duration = Duration::from_secs(1);
/// Pause after an accept that failed, as when file descriptors have run out.
const BACK_OFF: Duration = Duration::from_millis(100);

/// The socket being served.
pub struct Server {
    closing: watch::Sender<bool>,
    /// Every conversation holds the other end, so this ends when the last of them has.
    conversations: mpsc::Receiver<()>,
    listener: Listener,
}

impl Listener {
    /// Serves connections from now on, those that waited included.
    pub fn serve(self, handle: Handle) -> Result<Server> {
        let socket = self.socket.try_clone().context("cannot duplicate the admin socket")?;
        socket.set_nonblocking(true).context("cannot configure the admin socket")?;
        let socket = UnixListener::from_std(socket).context("cannot watch the admin socket")?;
        let (closing, closed) = watch::channel(false);
        let (alive, conversations) = mpsc::channel(1);
        tokio::spawn(accept(socket, handle, Imports::new(self.most_pairs), closed, alive));
        Ok(Server { closing, conversations, listener: self })
    }
}

impl Server {
    /// Takes the socket away, lets replies under way be taken, and ends.
    pub async fn close(self) {
        let Server { closing, mut conversations, listener } = self;
        drop(listener);
        // Nobody listens if every conversation has ended.
        let _ = closing.send(true);
        let _ = timeout(FAREWELL, conversations.recv()).await;
    }
}

async fn accept(
    socket: UnixListener,
    handle: Handle,
    imports: Imports,
    mut closed: watch::Receiver<bool>,
    alive: mpsc::Sender<()>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            _ = closed.changed() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let (handle, imports, closed, alive) = (handle.clone(), imports.clone(), closed.clone(), alive.clone());
                tokio::spawn(async move {
                    if let Err(error) = converse(stream, handle, imports, closed).await {
                        debug!("a connection to the admin socket ended: {error:#}");
                    }
                    drop(alive);
                });
            }
            Err(error) => {
                warn!("cannot accept a connection to the admin socket: {error}");
                sleep(BACK_OFF).await;
            }
        }
    }
}

async fn converse(stream: UnixStream, handle: Handle, imports: Imports, closed: watch::Receiver<bool>) -> Result<()> {
    let peer = stream.peer_cred().context("the peer is unknown")?;
    let (read, write) = stream.into_split();
    let mut conversation = Conversation { peer, read: BufReader::new(read), write, handle, imports, closed };
    loop {
        let line = tokio::select! {
            line = timeout(IDLE, next_line(&mut conversation.read, LONGEST_REQUEST)) => line.context("idle")??,
            _ = conversation.closed.changed() => return Ok(()),
        };
        let said = match line {
            Line::Whole(text) => match decode(&text) {
                Ok(request) => conversation.answer(request).await?,
                Err(complaint) => Some(Said { reply: Err(complaint), last: false }),
            },
            Line::TooLong => {
                let message = format!("a request must not be longer than {LONGEST_REQUEST} bytes");
                Some(Said { reply: Err(Complaint::invalid_request(message)), last: true })
            }
            Line::End => None,
        };
        let Some(Said { reply, last }) = said else { return Ok(()) };
        timeout(IDLE, conversation.write.write_all(&encode(reply))).await.context("the reply was not taken")??;
        if last {
            return Ok(());
        }
    }
}

/// A connection, and what its requests are answered by.
struct Conversation {
    peer: UCred,
    read: BufReader<OwnedReadHalf>,
    write: OwnedWriteHalf,
    handle: Handle,
    imports: Imports,
    closed: watch::Receiver<bool>,
}

/// A reply, and whether it ends the conversation.
struct Said {
    reply: Result<Answer, Complaint>,
    last: bool,
}

impl Conversation {
    /// What the request is answered with, noted in the log; none where the socket was closed meanwhile.
    async fn answer(&mut self, request: Request) -> Result<Option<Said>> {
        let (name, changes) = (request.name(), request.changes());
        let Some(said) = self.carry_out(request).await? else { return Ok(None) };
        let (uid, pid) = (self.peer.uid(), self.peer.pid().unwrap_or_default());
        match &said.reply {
            Err(complaint) => info!(uid, pid, code = complaint.code, "{name} failed: {}", complaint.message),
            Ok(_) if changes => info!(uid, pid, "{name}"),
            Ok(_) => debug!(uid, pid, "{name}"),
        }
        Ok(Some(said))
    }

    async fn carry_out(&mut self, request: Request) -> Result<Option<Said>> {
        let Conversation { read, write, handle, imports, closed, .. } = self;
        let reply = match request {
            Request::Import(import) => {
                let imported = tokio::select! {
                    imported = imports.serve(import, read, write, handle) => imported?,
                    _ = closed.changed() => return Ok(None),
                };
                // Pairs that nobody will read may still be under way.
                let last = imported.is_err();
                return Ok(Some(Said { reply: imported.map(Answer::Imported), last }));
            }
            Request::Events { since, follow } => {
                let told = tokio::select! {
                    told = events::serve(since, follow, read, write, handle, PATIENCE) => told?,
                    _ = closed.changed() => Err(GatewayError::Stopping.into()),
                };
                let last = told.is_err();
                return Ok(Some(Said { reply: told.map(Answer::EventsEnd), last }));
            }
            Request::History { account, of, at } => past::history(account, of, at, handle).await.map(Answer::History),
            Request::HistoryPrune { before } => past::prune(before, handle).await.map(Answer::Pruned),
            request => {
                let changes = request.changes();
                let work = move |operations: &mut dyn Operations| answer(request, operations);
                let answered = if changes { handle.change(work).await } else { handle.ask(work).await };
                answered.map_err(Complaint::from).flatten()
            }
        };
        Ok(Some(Said { reply, last: false }))
    }
}

fn decode(text: &[u8]) -> Result<Request, Complaint> {
    serde_json::from_slice(text).map_err(|error| Complaint::invalid_request(format!("not a request: {error}")))
}

fn encode(reply: Result<impl Serialize, Complaint>) -> Vec<u8> {
    encode_line(&match reply {
        Ok(answer) => Reply::Ok(answer),
        Err(complaint) => Reply::Error(complaint),
    })
}
