//! What is said while the gateway does not answer, or has nothing to answer from.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::*;

/// What answers a request that the gateway has not answered: a page of its own, and a sentence in a dialog.
async fn is_told(client: &Client<'_>, title: &str, sentence: &str) {
    let (visit, cookie, more) = (client.visit, client.cookie.clone(), client.more.clone() + "X-Fragment: 1\r\n");
    let script = Client { visit, cookie, more };
    let (page, dialog) = tokio::join!(client.get("/instances?q=web"), script.get("/do/allocate"));
    assert_eq!(page.status, 503, "{}", page.body);
    assert!(page.body.contains(&format!("<h1>{title}</h1>")) && page.body.contains(sentence), "{}", page.body);
    assert!(page.body.contains("href=\"/instances?q=web\""), "the way to try again: {}", page.body);
    // The browser would complain of an error that the dialog tells of anyway.
    assert_eq!(dialog.status, 200);
    assert!(dialog.body.contains("role=\"alert\"") && dialog.body.contains(sentence), "{}", dialog.body);
    assert!(dialog.body.contains("data-close") && !dialog.body.contains("<html"), "{}", dialog.body);
}

#[tokio::test]
async fn a_gateway_that_stops_is_said_to() {
    during(async |visit| {
        let mut client = visit.enter("AKIDwriter").await;
        let csrf = client.get("/instances").await.hidden("csrf");
        visit.stop_gateway();
        while visit.handle.ask(|_| ()).await.is_ok() {}
        let sentence = "The gateway is stopping. Traffic goes on; come back in a moment.";
        let form = [("csrf", csrf.as_str()), ("bandwidth", "1")];
        let posted = client.post("/do/allocate", &form).await;
        assert!(posted.status == 503 && posted.body.contains(sentence), "{}", posted.body);
        assert!(!posted.body.contains("href=\"/do/allocate\""), "what was sent is not sent again by a link");
        is_told(&client, "Try again", sentence).await;
        client.more = "Accept-Language: zh-CN\r\n".into();
        is_told(&client, "重试", "网关正在停止，流量不受影响，请稍后再来。").await;
    })
    .await;
}

#[tokio::test]
async fn a_gateway_that_is_busy_is_said_to_be() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let listener = Listener::bind(&config).await.unwrap().unwrap();
    let address = listener.address();
    // Nobody takes up what is asked.
    let (handle, _jobs) = Handle::new();
    let (_kept, configuration) = watch::channel(Arc::new(config));
    let _server = listener.serve(None, Followed::fixed(credentials()), handle.clone(), configuration);
    let visit = Visit { address, handle, state_dir: directory.path().to_owned(), stop: Mutex::default() };
    let client = visit.enter("AKIDwriter").await;
    let began = Instant::now();
    is_told(&client, "Try again", "The gateway is busy and did not answer in time.").await;
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_history_that_cannot_be_read_is_said_to_be_so() {
    during(async |visit| {
        let client = visit.enter("AKIDwriter").await;
        let log = "/instances/ins-web?tab=log";
        assert!(client.get(log).await.body.contains("Ordinary public IP assigned"));
        // The gateway goes on with the file it has open.
        let (state, away) = (visit.state_dir.join("state.db"), visit.state_dir.join("away.db"));
        fs::rename(&state, &away).unwrap();
        fs::create_dir(&state).unwrap();
        for (place, subject) in [(log, "ins-web"), ("/addresses/eip-one?tab=log", "eip-one")] {
            let page = client.get(place).await;
            assert!(page.status == 200 && page.body.contains(subject), "{}", page.body);
            assert!(page.body.contains("The history cannot be read at present."), "{}", page.body);
            assert!(!page.body.contains("Nothing is recorded"), "{}", page.body);
        }
        // Everything else goes on.
        assert!(client.get("/instances").await.body.contains("ins-web"));
        fs::remove_dir(&state).unwrap();
        fs::rename(&away, &state).unwrap();
        assert!(client.get(log).await.body.contains("Ordinary public IP assigned"));
    })
    .await;
}
