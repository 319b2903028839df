//! The pages over a real socket, of a gateway without a kernel.

mod deeds;
mod entry;
mod refusals;
mod scale;
mod unanswered;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::*;
use crate::address::{Command, NewEip, NewInstance, Time};
use crate::config::Config;
use crate::credentials::{Access, Credential, Credentials};
use crate::dataplane::Environment;
use crate::follow::Followed;
use crate::gateway::{Detached, Handle, Opened, Outside};

const KEY: &str = "a-key-of-16-letters-or-more";

fn config(state_dir: &Path) -> Config {
    Config {
        uplinks: vec!["eth0".parse().unwrap()],
        downlinks: vec!["eth1".parse().unwrap()],
        pools: vec!["8.8.8.0/26".parse().unwrap()],
        state_dir: state_dir.to_owned(),
        credentials: Some(state_dir.join("credentials.toml")),
        console_listen: Some("127.0.0.1:0".parse().unwrap()),
        console_names: vec!["console.example".into()],
        ..Config::default()
    }
}

fn credential(id: &str, account: &str, access: Access) -> Credential {
    Credential::new(id.into(), KEY.into(), account.parse().unwrap(), access).unwrap()
}

fn credentials() -> Credentials {
    let credentials = [
        credential("AKIDwriter", "acme", Access::ReadWrite),
        credential("AKIDreader", "acme", Access::ReadOnly),
        credential("AKIDother", "other", Access::ReadWrite),
    ];
    Credentials::new(credentials).unwrap()
}

/// A console, and a way around it.
struct Visit {
    address: SocketAddr,
    handle: Handle,
    state_dir: PathBuf,
    /// Ends the gateway, and not its console.
    stop: Mutex<Option<oneshot::Sender<()>>>,
}

/// A gateway with instances `ins-web` and `ins-spare` and EIP `eip-one` of account `acme`, and `ins-other` and
/// `eip-other` of account `other`, and its console, while `visit` runs.
async fn during<R>(visit: impl AsyncFnOnce(&Visit) -> R) -> R {
    during_with(|_| {}, visit).await
}

/// The same with another configuration.
async fn during_with<R>(alter: impl FnOnce(&mut Config), visit: impl AsyncFnOnce(&Visit) -> R) -> R {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    alter(&mut config);
    let mut drawn = 0_u64;
    let chance = move || {
        drawn += 1;
        drawn.to_be_bytes().map(|byte| byte.wrapping_mul(7))
    };
    let outside = Outside::new(|| Time(1_795_174_980_000), chance);
    let opened = Opened::new(&config, &Environment::default()).unwrap();
    let gateway = opened.take_over(Detached::default(), outside).await.unwrap();
    let listener = Listener::bind(&config).await.unwrap().unwrap();
    let address = listener.address();
    let (handle, jobs) = Handle::new();
    let server = listener.serve(None, Followed::fixed(credentials()), handle.clone(), gateway.configuration());
    let (stop, stopped) = oneshot::channel::<()>();
    let run = tokio::spawn(gateway.run(jobs, async { drop(stopped.await) }));
    let visited = Visit { address, handle, state_dir: config.state_dir.clone(), stop: Mutex::new(Some(stop)) };
    visited.populate().await;
    let seen = visit(&visited).await;
    visited.stop_gateway();
    run.await.unwrap().unwrap();
    drop(server);
    seen
}

impl Visit {
    async fn perform(&self, command: Command) {
        self.handle.ask(move |operations| operations.perform(command).map(drop)).await.unwrap().unwrap();
    }

    async fn populate(&self) {
        for (id, account, last, bandwidth_mbps) in
            [("web", "acme", 1, 5), ("spare", "acme", 2, 0), ("other", "other", 3, 5)]
        {
            let instance = format!("ins-{id}").parse().unwrap();
            let private = [10, 0, 0, last].into();
            let new = NewInstance::new(instance, account.parse().unwrap(), "vpc-default".parse().unwrap(), private);
            self.perform(Command::CreateInstance(NewInstance { name: Some(id.into()), bandwidth_mbps, ..new })).await;
        }
        for (id, account) in [("eip-one", "acme"), ("eip-other", "other")] {
            let new = NewEip::new(id.parse().unwrap(), account.parse().unwrap());
            self.perform(Command::AllocateEip(new)).await;
        }
    }

    /// Has the gateway end, if it has not yet.
    fn stop_gateway(&self) {
        if let Some(stop) = self.stop.lock().unwrap().take() {
            stop.send(()).unwrap();
        }
    }

    /// The public address of an instance.
    async fn public_of(&self, instance: &str) -> Option<Ipv4Addr> {
        let id = instance.parse().unwrap();
        self.handle.ask(move |operations| Some(operations.ledger().association_of(&id)?.public)).await.unwrap()
    }

    /// How many EIPs there are.
    async fn eips(&self) -> usize {
        self.handle.ask(|operations| operations.ledger().eips().len()).await.unwrap()
    }

    async fn send(&self, request: &str) -> Reply {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Reply { status, head: head.to_owned(), body: body.to_owned() }
    }

    fn client(&self) -> Client<'_> {
        Client { visit: self, cookie: String::new(), more: String::new() }
    }

    /// Somebody who has logged in.
    async fn enter(&self, secret_id: &str) -> Client<'_> {
        let mut client = self.client();
        let reply = client.post("/login", &[("secret_id", secret_id), ("secret_key", KEY)]).await;
        assert_eq!(reply.status, 303, "{}", reply.body);
        client.cookie = reply.cookie().split(';').next().unwrap().to_owned();
        client
    }
}

struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    fn cookie(&self) -> &str {
        self.header("set-cookie").unwrap()
    }

    /// The value of a hidden field.
    fn hidden(&self, name: &str) -> String {
        let mark = format!("type=\"hidden\" name=\"{name}\" value=\"");
        let (_, rest) = self.body.split_once(&mark).unwrap_or_else(|| panic!("no {name} in {}", self.body));
        rest.split_once('"').unwrap().0.to_owned()
    }
}

/// Somebody with a browser.
struct Client<'a> {
    visit: &'a Visit,
    cookie: String,
    /// More lines of each head.
    more: String,
}

impl Client<'_> {
    async fn ask(&self, method: &str, place: &str, body: &str) -> Reply {
        let Client { visit, cookie, more } = self;
        let host = visit.address;
        let origin = if method == "POST" && !more.contains("Origin") {
            format!("Origin: http://{host}\r\n")
        } else {
            String::new()
        };
        let host = if more.contains("Host") { String::new() } else { format!("Host: {host}\r\n") };
        let length = body.len();
        let head = format!(
            "{method} {place} HTTP/1.1\r\n{host}{origin}{more}Cookie: {cookie}\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n"
        );
        visit.send(&(head + body)).await
    }

    async fn get(&self, place: &str) -> Reply {
        self.ask("GET", place, "").await
    }

    async fn post(&self, place: &str, fields: &[(&str, &str)]) -> Reply {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.ask("POST", place, &body).await
    }

    /// Opens the form of a deed, fills it in and sends it.
    async fn act(&self, deed: &str, of: &str, fields: &[(&str, &str)]) -> Reply {
        let form = self.get(&format!("/do/{deed}?{of}")).await;
        assert_eq!(form.status, 200, "{}", form.body);
        let csrf = form.hidden("csrf");
        self.post(&format!("/do/{deed}"), &[&[("csrf", csrf.as_str())], fields].concat()).await
    }

    /// The same, where it is done; answers what the next page says.
    async fn done(&self, deed: &str, of: &str, fields: &[(&str, &str)]) -> String {
        let reply = self.act(deed, of, fields).await;
        assert_eq!(reply.status, 303, "{}", reply.body);
        let page = self.get(reply.header("location").unwrap()).await;
        let page = if page.status == 303 { self.get(page.header("location").unwrap()).await } else { page };
        let (_, said) = page.body.split_once("<div class=\"notice good\" role=\"status\">").expect("a notice");
        said.split_once("</div>").unwrap().0.to_owned()
    }
}
