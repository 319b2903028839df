//! Where the pages are served, and what every request must pass before anything is looked up for it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use hyper::body::Bytes;
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::watch;
use tracing::{error, info};

use super::attempts::Attempts;
use super::frame::{Viewer, Who, sentence};
use super::request::{Asked, is_own_host, local};
use super::response::{self, Answer};
use super::routes;
use super::session::{Session, Sessions};
use super::words::{Language, Word};
use crate::config::Config;
use crate::credentials::{Access, Credential, Credentials};
use crate::follow::Followed;
use crate::gateway::Handle;
use crate::http::{self, Body, Limits, Peer, Server, Service, Tls, Unread};

/// Forms are small, and a browser keeps a few connections open.
const LIMITS: Limits = Limits {
    connections: 256,
    head: Duration::from_secs(75),
    body: Duration::from_secs(10),
    connection: Duration::from_secs(1800),
    head_bytes: 16 << 10,
    body_bytes: 16 << 10,
};

/// A bound address.
#[derive(Debug)]
pub struct Listener(http::Listener);

impl Listener {
    /// Binds the configured address, if there is one. Connections wait until they are served.
    pub async fn bind(config: &Config) -> Result<Option<Listener>> {
        let Some(address) = config.console_listen else { return Ok(None) };
        Ok(Some(Listener(http::Listener::bind(address, "the console", "console_listen").await?)))
    }

    /// Where it is; the port is known only now where 0 was configured.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Serves connections from now on, those that waited included.
    pub fn serve(
        self,
        tls: Option<Tls>,
        credentials: Followed<Credentials>,
        handle: Handle,
        configuration: watch::Receiver<Arc<Config>>,
    ) -> Server {
        let scheme = if tls.is_some() { "https" } else { "http" };
        info!("the console is at {scheme}://{}/", self.address());
        self.0.serve(LIMITS, tls, Console::new(credentials, handle, configuration))
    }
}

/// What all requests share.
pub(super) struct Console {
    pub(super) credentials: Followed<Credentials>,
    pub(super) handle: Handle,
    pub(super) configuration: watch::Receiver<Arc<Config>>,
    sessions: Mutex<Sessions>,
    attempts: Mutex<Attempts>,
    pub(super) began: Instant,
}

/// Who asks, as far as that is known.
pub(super) struct Known {
    /// The session's id and the session.
    pub(super) session: (String, Session),
    /// What its credential may do now.
    pub(super) access: Access,
}

impl Console {
    fn new(credentials: Followed<Credentials>, handle: Handle, configuration: watch::Receiver<Arc<Config>>) -> Console {
        Console {
            credentials,
            handle,
            configuration,
            sessions: Mutex::default(),
            attempts: Mutex::default(),
            began: Instant::now(),
        }
    }

    /// They are changed in single steps, so one that panicked has left nothing half done.
    pub(super) fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn attempts(&self) -> MutexGuard<'_, Attempts> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session of a request. One whose credential is gone, or has another key or owner by now, is over.
    pub(super) fn known(&self, asked: &Asked, secure: bool, now: Instant) -> Option<Known> {
        let id = asked.cookie(cookie_name(secure))?;
        // What a page asks by itself does not keep its session alive.
        let session =
            if asked.is_background() { self.sessions().find(id, now)? } else { self.sessions().use_it(id, now)? };
        let credentials = self.credentials.latest();
        let holds =
            |credential: &&Credential| credential.account == session.account && credential.is_key(&session.secret_key);
        let Some(credential) = credentials.find(&session.secret_id).filter(holds) else {
            self.sessions().end(id);
            return None;
        };
        Some(Known { access: credential.access, session: (id.to_owned(), session) })
    }

    async fn judge(&self, asked: &Asked, secure: bool) -> Answer {
        let language = language(asked);
        let stranger = Viewer { language, place: asked.place().to_owned(), who: None };
        let forbid = |why: Word| {
            response::page(StatusCode::FORBIDDEN, sentence(&stranger, Word::Forbidden, stranger.say(why), None))
        };
        let own_names = self.configuration.borrow().console_names.clone();
        if !asked.host().is_some_and(|host| is_own_host(host, &own_names)) {
            return forbid(Word::StrangeHost);
        }
        let scheme = if secure { "https" } else { "http" };
        if asked.method == Method::POST && !asked.is_from_here(scheme) {
            return forbid(Word::StrangeOrigin);
        }
        if !matches!(asked.method, Method::GET | Method::HEAD | Method::POST) {
            return response::page(
                StatusCode::METHOD_NOT_ALLOWED,
                sentence(&stranger, Word::NotFound, stranger.say(Word::NoSuchPage), None),
            );
        }
        routes::answer(self, asked, language, secure).await
    }
}

/// Under TLS the cookie has a name that browsers take from this very host only.
pub(super) fn cookie_name(secure: bool) -> &'static str {
    if secure { "__Host-eipgate" } else { "eipgate" }
}

/// The language chosen here, or what the browser prefers.
fn language(asked: &Asked) -> Language {
    let chosen = asked.cookie("language").and_then(Language::of_tag);
    chosen.or_else(|| Language::accepted(&asked.headers)).unwrap_or_default()
}

impl Known {
    pub(super) fn may_change(&self) -> bool {
        self.access == Access::ReadWrite
    }

    /// Who looks; on a whole page also what the last form did.
    pub(super) fn viewer(&self, asked: &Asked, language: Language, notice: Option<String>) -> Viewer {
        let (_, session) = &self.session;
        // What a form led to is not to be asked for again.
        let sent = asked.method == Method::POST;
        let place = if sent { asked.form.get("back").map_or("/", local) } else { asked.place() };
        Viewer {
            language,
            place: place.to_owned(),
            who: Some(Who {
                account: session.account.to_string(),
                may_change: self.may_change(),
                csrf: session.csrf.as_str().to_owned(),
                notice,
            }),
        }
    }
}

impl Service for Console {
    async fn answer(&self, request: Request<Bytes>, peer: Peer) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let asked = Asked::new(parts, &body, peer.address.ip());
        self.judge(&asked, peer.secure).await
    }

    fn refuse(&self, unread: Unread) -> Response<Body> {
        response::text(unread.status(), format!("{unread}\n"))
    }

    fn panicked(&self) -> Response<Body> {
        error!("a page of the console could not be made because of a defect");
        let said = "This page could not be made because of a defect. The gateway and its traffic go on.\n";
        response::text(StatusCode::INTERNAL_SERVER_ERROR, said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "a-key-of-16-letters-or-more";

    fn console() -> Console {
        let account = "acme".parse().unwrap();
        let one = Credential::new("AKIDone".into(), KEY.into(), account, Access::ReadWrite).unwrap();
        let (handle, _) = Handle::new();
        let (_, configuration) = watch::channel(Arc::new(Config::default()));
        Console::new(Followed::fixed(Credentials::new([one]).unwrap()), handle, configuration)
    }

    /// A request with the cookie of a session that began with this key for this account.
    fn asked(console: &Console, key: &str, account: &str, now: Instant) -> Asked {
        let id = console.sessions().begin("AKIDone", key, &account.parse().unwrap(), now).unwrap();
        let request = Request::get("/").header("cookie", format!("eipgate={}", id.as_str())).body(()).unwrap();
        Asked::new(request.into_parts().0, &Bytes::new(), [127, 0, 0, 1].into())
    }

    #[test]
    fn a_session_is_of_the_key_and_the_account_that_began_it() {
        let (console, now) = (console(), Instant::now());
        let known = |key, account| console.known(&asked(&console, key, account, now), false, now).is_some();
        assert!(known(KEY, "acme"));
        assert!(!known("the-key-of-another-day", "acme"));
        assert!(!known(KEY, "other"), "whose the credential was before");
        let asked = asked(&console, KEY, "other", now);
        assert!(console.known(&asked, false, now).is_none());
        let id = asked.cookie("eipgate").unwrap();
        assert!(console.sessions().find(id, now).is_none(), "it does not come back with the account");
    }

    #[test]
    fn what_a_page_asks_by_itself_keeps_no_session_alive() {
        let (console, begin) = (console(), Instant::now());
        for (background, lives) in [(false, true), (true, false)] {
            let mut asked = asked(&console, KEY, "acme", begin);
            let later = |minutes: u64| begin + Duration::from_secs(60 * minutes);
            if background {
                asked.headers.insert("x-background", "1".parse().unwrap());
            }
            assert!(console.known(&asked, false, later(20)).is_some());
            assert_eq!(console.known(&asked, false, later(40)).is_some(), lives);
        }
    }
}
