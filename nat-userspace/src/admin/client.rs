//! The other end of the admin socket, for the command line.

use std::io::{self, BufRead as _, BufReader, BufWriter, ErrorKind, Write};
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::wire::{Complaint, EventRow, EventsEnd, ImportRequest, Imported, PairRow, ProgressRow, Reply, Request};

/// A daemon that says nothing for so long is taken for stuck.
const PATIENCE: Duration = Duration::from_secs(30);

/// So many pairs are sent between two words about how many are.
const TELL_EVERY: usize = 4096;

/// Where the daemon is to be asked.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// A client of the daemon behind this socket; it connects for each request.
    pub fn new(socket: impl Into<PathBuf>) -> Client {
        Client { socket: socket.into() }
    }

    /// The daemon's socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Asks, and waits for the answer. `T` is the row that [`Request`] says.
    pub fn ask<T: DeserializeOwned>(&self, request: &Request) -> Result<T, ClientError> {
        let stream = self.connect()?;
        // A daemon that has had enough answers and closes; its answer is worth more than the broken pipe.
        let sent = write_line(&stream, request);
        self.answer(&stream, sent, &mut |_| {})
    }

    /// Has pairs imported, telling `sent` now and then how many are sent and `told` what the daemon says of its progress.
    pub fn import<'a>(
        &self,
        request: ImportRequest,
        pairs: impl Iterator<Item = &'a PairRow>,
        sent: &mut dyn FnMut(usize),
        told: &mut dyn FnMut(ProgressRow),
    ) -> Result<Imported, ClientError> {
        let stream = self.connect()?;
        let outcome = send_import(&stream, request, pairs, sent);
        self.answer(&stream, outcome, told)
    }

    /// Has events told, until there are no more or, where they are followed, until `tell` says that it was enough.
    pub fn events(
        &self,
        since: Option<u64>,
        follow: bool,
        tell: &mut dyn FnMut(EventRow) -> ControlFlow<()>,
    ) -> Result<(), ClientError> {
        let stream = self.connect()?;
        if follow {
            // Nothing happens for as long as nothing happens.
            stream.set_read_timeout(None).map_err(|error| self.broken(error))?;
        }
        write_line(&stream, &Request::Events { since, follow }).map_err(|error| self.broken(error))?;
        let mut last = since;
        for line in BufReader::new(&stream).lines() {
            let line = line.map_err(|error| self.cut_off(last, &error))?;
            match serde_json::from_str(&line).map_err(ClientError::Misunderstood)? {
                Reply::Event(event) => {
                    last = Some(event.revision);
                    if tell(*event).is_break() {
                        return Ok(());
                    }
                }
                Reply::Ok(EventsEnd { .. }) => return Ok(()),
                Reply::Error(complaint) => return Err(ClientError::Refused(complaint)),
                Reply::Progress(_) => {}
            }
        }
        Err(self.cut_off(last, &ErrorKind::UnexpectedEof.into()))
    }

    fn cut_off(&self, last: Option<u64>, error: &io::Error) -> ClientError {
        let go_on = last.map_or_else(String::new, |last| format!("; go on with `--since {last}`"));
        ClientError::CutOff { socket: self.socket.clone(), cause: error.to_string(), go_on }
    }

    fn connect(&self) -> Result<UnixStream, ClientError> {
        let stream = UnixStream::connect(&self.socket).map_err(|error| unreachable(&self.socket, &error))?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(|error| self.broken(error))?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(|error| self.broken(error))?;
        Ok(stream)
    }

    fn answer<T: DeserializeOwned>(
        &self,
        stream: &UnixStream,
        sent: io::Result<()>,
        told: &mut dyn FnMut(ProgressRow),
    ) -> Result<T, ClientError> {
        let mut read = BufReader::new(stream);
        let mut sent = Some(sent);
        loop {
            let mut reply = String::new();
            read.read_line(&mut reply).map_err(|error| self.broken(error))?;
            if !reply.ends_with('\n') {
                let unsent = sent.take().and_then(Result::err);
                return Err(self.broken(unsent.unwrap_or_else(|| ErrorKind::UnexpectedEof.into())));
            }
            match serde_json::from_str(&reply) {
                Ok(Reply::Ok(answer)) => return Ok(answer),
                Ok(Reply::Error(complaint)) => return Err(ClientError::Refused(complaint)),
                Ok(Reply::Progress(progress)) => told(progress),
                // Only who asks for events gets any, and reads them in `events`.
                Ok(Reply::Event(_)) => {}
                Err(error) => return Err(ClientError::Misunderstood(error)),
            }
        }
    }

    fn broken(&self, error: io::Error) -> ClientError {
        ClientError::Broken { socket: self.socket.clone(), error }
    }
}

fn send_import<'a>(
    stream: &UnixStream,
    request: ImportRequest,
    pairs: impl Iterator<Item = &'a PairRow>,
    sent: &mut dyn FnMut(usize),
) -> io::Result<()> {
    let mut write = BufWriter::with_capacity(1 << 16, stream);
    write_line(&mut write, &Request::Import(request))?;
    for (number, pair) in pairs.enumerate() {
        if number.is_multiple_of(TELL_EVERY) {
            sent(number);
        }
        write_line(&mut write, pair)?;
    }
    write.flush()
}

fn write_line(mut write: impl Write, line: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(line).expect("requests and rows have string keys only");
    text.push(b'\n');
    write.write_all(&text)
}

fn unreachable(socket: &Path, error: &io::Error) -> ClientError {
    let socket = socket.to_owned();
    let mend = match error.kind() {
        ErrorKind::PermissionDenied => "use sudo, or join the socket's group",
        _ => "is `eipgate run` running, and is this its --socket?",
    };
    ClientError::Unreachable { socket, cause: error.to_string(), mend }
}

/// Why there is no answer to show.
#[derive(Debug, Error)]
pub enum ClientError {
    /// No daemon could be asked.
    #[error("cannot reach the daemon at {} ({cause}); {mend}", socket.display())]
    Unreachable {
        /// Where it was looked for.
        socket: PathBuf,
        /// What the system said.
        cause: String,
        /// What may help.
        mend: &'static str,
    },
    /// It was asked, but whether it did what was asked is not known.
    #[error("the daemon at {} did not answer ({error}); what was asked may have been done or not", socket.display())]
    Broken {
        /// Where it is.
        socket: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// The daemon told events and then no more.
    #[error("the daemon at {} tells no more events ({cause}){go_on}", socket.display())]
    CutOff {
        /// Where it is.
        socket: PathBuf,
        /// What happened.
        cause: String,
        /// How to miss nothing.
        go_on: String,
    },
    /// The daemon said no.
    #[error("{}", .0.message)]
    Refused(Complaint),
    /// The daemon speaks otherwise.
    #[error("the daemon's answer makes no sense to this version of eipgate: {0}")]
    Misunderstood(serde_json::Error),
}
