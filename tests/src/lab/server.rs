//! Small servers and clients on real sockets, each in a namespace, that say whom they talked to.

use std::io::{ErrorKind, PipeReader, PipeWriter, Read as _, Write as _, pipe};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::namespace::Namespace;
use super::wait::{self, Watched};

/// A thread that serves until this is dropped.
pub struct Server {
    /// Who has talked to it, in order.
    peers: Arc<Watched<Vec<SocketAddrV4>>>,
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Sends back what each connection sends, to its end.
    pub fn tcp_echo(namespace: &Namespace, port: u16) -> Result<Self> {
        let listener = namespace.run(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)))?;
        listener.set_nonblocking(true)?;
        Self::serve(listener, |listener, peers| {
            if let Ok((stream, SocketAddr::V4(peer))) = listener.accept() {
                peers.change(|peers| peers.push(peer));
                // Each connection in a thread of its own; one whose client is gone ends by its timeout.
                thread::spawn(move || echo(stream));
            }
        })
    }

    /// Answers one request of each connection with a page that names the peer, as the server sees it.
    pub fn http(namespace: &Namespace, port: u16) -> Result<Self> {
        let listener = namespace.run(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)))?;
        listener.set_nonblocking(true)?;
        Self::serve(listener, |listener, peers| {
            if let Ok((stream, SocketAddr::V4(peer))) = listener.accept() {
                peers.change(|peers| peers.push(peer));
                thread::spawn(move || answer_http(stream, *peer.ip()));
            }
        })
    }

    /// Sends back every datagram.
    pub fn udp_echo(namespace: &Namespace, port: u16) -> Result<Self> {
        let socket = namespace.run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)))?;
        socket.set_nonblocking(true)?;
        Self::serve(socket, |socket, peers| {
            let mut buffer = vec![0; 1 << 16];
            while let Ok((length, SocketAddr::V4(peer))) = socket.recv_from(&mut buffer) {
                peers.change(|peers| peers.push(peer));
                let _ = socket.send_to(&buffer[..length], peer);
            }
        })
    }

    fn serve<S: AsFd + Send + 'static>(
        socket: S,
        work: impl Fn(&S, &Watched<Vec<SocketAddrV4>>) + Send + 'static,
    ) -> Result<Self> {
        let peers = Arc::new(Watched::default());
        let (reader, stop) = pipe()?;
        let heard = Arc::clone(&peers);
        let thread = thread::spawn(move || until_stopped(&socket, &reader, |socket| work(socket, &heard)));
        Ok(Self { peers, stop: Some(stop), thread: Some(thread) })
    }

    pub fn peers(&self) -> Vec<SocketAddrV4> {
        self.peers.read().clone()
    }

    /// Who talked to it last; waits for the first one.
    pub fn last_peer(&self) -> Result<SocketAddrV4> {
        self.peers.wait(wait::SOON, |peers| peers.last().copied()).context("nobody has talked to the server")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn until_stopped<S: AsFd>(socket: &S, stop: &PipeReader, work: impl Fn(&S)) {
    loop {
        let [ready, stopped] = wait::readable([socket.as_fd(), stop.as_fd()], None);
        if stopped {
            return;
        }
        if ready {
            work(socket);
        }
    }
}

fn echo(mut stream: TcpStream) {
    let _ = stream.set_nonblocking(false);
    let _ = stream.set_read_timeout(Some(wait::SOON));
    let mut buffer = [0; 1 << 14];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..length]).is_err() {
            return;
        }
    }
    let _ = stream.shutdown(Shutdown::Write);
}

fn answer_http(mut stream: TcpStream, peer: Ipv4Addr) {
    let _ = stream.set_nonblocking(false);
    let _ = stream.set_read_timeout(Some(wait::SOON));
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(length @ 1..) => request.extend_from_slice(&buffer[..length]),
            _ => return,
        }
    }
    let body = format!("you are {peer}\n");
    let length = body.len();
    let head = format!("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n");
    let _ = stream.write_all((head + &body).as_bytes());
}

/// Connects, sends bytes both ways and compares them; returns the connection's own end.
pub fn tcp_exchange(from: &Namespace, to: SocketAddrV4, bytes: usize) -> Result<SocketAddr> {
    let stream = from.run(|| TcpStream::connect_timeout(&to.into(), wait::SOON));
    let mut stream = stream.with_context(|| format!("{} cannot connect to {to}", from.name))?;
    stream.set_read_timeout(Some(wait::SOON))?;
    stream.set_write_timeout(Some(wait::SOON))?;
    let sent: Vec<u8> = (0..bytes).map(|index| (index * 31 + index / 251) as u8).collect();
    let own = stream.local_addr()?;
    let mut writer = stream.try_clone()?;
    let mut back = Vec::new();
    thread::scope(|scope| {
        let writing = scope.spawn(|| writer.write_all(&sent).and_then(|()| writer.shutdown(Shutdown::Write)));
        stream.read_to_end(&mut back).with_context(|| format!("no echo of {bytes} bytes from {to}"))?;
        writing.join().expect("it returns its errors").with_context(|| format!("cannot send to {to}"))
    })?;
    ensure!(back == sent, "{to} sent back {} bytes of {bytes}, or other ones", back.len());
    Ok(own)
}

/// Sends a datagram until it comes back, for lost ones are UDP's business; returns the socket's own port.
pub fn udp_exchange(from: &Namespace, to: SocketAddrV4, data: &[u8]) -> Result<u16> {
    let socket = from.run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))?;
    udp_exchange_on(&socket, to, data)?;
    Ok(socket.local_addr()?.port())
}

pub fn udp_exchange_on(socket: &UdpSocket, to: SocketAddrV4, data: &[u8]) -> Result<()> {
    socket.connect(to)?;
    socket.set_read_timeout(Some(Duration::from_millis(300)))?;
    let mut buffer = vec![0; 1 << 16];
    for _ in 0..20 {
        socket.send(data)?;
        match socket.recv(&mut buffer) {
            Ok(length) if buffer[..length] == *data => return Ok(()),
            Ok(length) => bail!("{to} sent back {length} other bytes"),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error).with_context(|| format!("{to} refused a datagram")),
        }
    }
    bail!("no answer from {to} to {} bytes", data.len())
}
