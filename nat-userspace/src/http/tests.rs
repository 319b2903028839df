//! Conversations with a listener, by its socket.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

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
