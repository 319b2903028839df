//! A conversation that notices every packet it loses.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use lab::lab::wait::RaisedAtEnd;
use lab::lab::{Namespace, SOON, at, wait};

/// Sends a datagram, waits for its echo, and so on until told to stop: a packet lost anywhere is a timeout.
pub(crate) struct PingPong {
    stop: AtomicBool,
    answered: AtomicU64,
}

impl PingPong {
    /// Runs `during` while datagrams go to and fro; answers how many came back and how many did not.
    pub(crate) fn during<R>(from: &Namespace, to: Ipv4Addr, during: impl FnOnce(&PingPong) -> R) -> (u64, u64, R) {
        let pingpong = PingPong { stop: AtomicBool::new(false), answered: AtomicU64::new(0) };
        let socket = from.run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))).unwrap();
        socket.connect(at(to, 7)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        thread::scope(|scope| {
            let sender = scope.spawn(|| pingpong.run(&socket));
            let ended = RaisedAtEnd(&pingpong.stop);
            let result = during(&pingpong);
            drop(ended);
            let lost = sender.join().unwrap();
            (pingpong.answered.load(Ordering::SeqCst), lost, result)
        })
    }

    fn run(&self, socket: &UdpSocket) -> u64 {
        let (mut lost, mut number, mut buffer) = (0, 0u64, [0; 8]);
        while !self.stop.load(Ordering::SeqCst) {
            number += 1;
            socket.send(&number.to_be_bytes()).unwrap();
            match socket.recv(&mut buffer) {
                Ok(8) if buffer == number.to_be_bytes() => drop(self.answered.fetch_add(1, Ordering::SeqCst)),
                _ => lost += 1,
            }
        }
        lost
    }

    /// Waits until this many more have been answered.
    pub(crate) fn wait_for(&self, more: u64) {
        let wanted = self.answered.load(Ordering::SeqCst) + more;
        wait::until("datagrams to be answered", SOON, || {
            (self.answered.load(Ordering::SeqCst) >= wanted).then_some(())
        })
        .unwrap();
    }
}
