//! Conversations with a listener, by its socket.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::*;

/// Panics at every second request.
#[derive(Default)]
struct Fragile(AtomicUsize);

impl Service for Fragile {
    async fn answer(&self, _: Request<Bytes>, _: Peer) -> Response<Body> {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        assert!(number.is_multiple_of(2), "a defect");
        plain(StatusCode::OK, format!("answer {number}\n"))
    }
}

#[tokio::test]
async fn a_request_whose_answer_panics_is_answered_and_the_next_one_too() {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), "a test", "nothing").await.unwrap();
    let address = listener.address();
    let _server = listener.serve(Limits::default(), None, Fragile::default());
    let mut stream = TcpStream::connect(address).await.unwrap();
    let one = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";
    let last = "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
    stream.write_all([one, one, last].concat().as_bytes()).await.unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    let order = ["answer 0", "because of a defect", "answer 2"].map(|words| said.find(words));
    assert!(order.iter().all(Option::is_some) && order.is_sorted(), "{said}");
}

/// Always says the same.
struct Steady;

impl Service for Steady {
    async fn answer(&self, _: Request<Bytes>, _: Peer) -> Response<Body> {
        plain(StatusCode::OK, "still here\n")
    }
}

#[tokio::test]
async fn a_connection_has_its_time_however_often_it_asks() {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), "a test", "nothing").await.unwrap();
    let address = listener.address();
    let limits = Limits { connection: Duration::from_millis(300), ..Limits::default() };
    let _server = listener.serve(limits, None, Steady);
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut answers = 0;
    let asking = async {
        let mut answer = [0; 4096];
        while stream.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").await.is_ok() {
            match stream.read(&mut answer).await {
                Ok(0) | Err(_) => break,
                Ok(_) => answers += 1,
            }
        }
    };
    timeout(Duration::from_secs(20), asking).await.expect("it ends");
    assert!(answers > 0);
}
