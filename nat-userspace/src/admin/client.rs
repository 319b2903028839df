//! The other end of the admin socket, for the command line.

use std::io::{self, BufRead as _, BufReader, ErrorKind, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use thiserror::Error;

use super::wire::{Complaint, Reply, Request};

/// A daemon that says nothing for so long is taken for stuck.
const PATIENCE: Duration = Duration::from_secs(30);

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

    /// Asks, and waits for the answer. `T` is the row that [`Request`] says.
    pub fn ask<T: DeserializeOwned>(&self, request: &Request) -> Result<T, ClientError> {
        let reply = self.exchange(request)?;
        match serde_json::from_str(&reply) {
            Ok(Reply::Ok(answer)) => Ok(answer),
            Ok(Reply::Error(complaint)) => Err(ClientError::Refused(complaint)),
            Err(error) => Err(ClientError::Misunderstood(error)),
        }
    }

    fn exchange(&self, request: &Request) -> Result<String, ClientError> {
        let stream = UnixStream::connect(&self.socket).map_err(|error| unreachable(&self.socket, &error))?;
        let broken = |error| ClientError::Broken { socket: self.socket.clone(), error };
        stream.set_read_timeout(Some(PATIENCE)).map_err(broken)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(broken)?;
        let mut line = serde_json::to_vec(request).expect("a request has string keys only");
        line.push(b'\n');
        // A daemon that has had enough answers and closes; its answer is worth more than the broken pipe.
        let sent = (&stream).write_all(&line);
        let mut reply = String::new();
        BufReader::new(&stream).read_line(&mut reply).map_err(broken)?;
        sent.map_err(broken)?;
        if !reply.ends_with('\n') {
            return Err(broken(ErrorKind::UnexpectedEof.into()));
        }
        Ok(reply)
    }
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
    /// The daemon said no.
    #[error("{}", .0.message)]
    Refused(Complaint),
    /// The daemon speaks otherwise.
    #[error("the daemon's answer makes no sense to this version of eipgate: {0}")]
    Misunderstood(serde_json::Error),
}
