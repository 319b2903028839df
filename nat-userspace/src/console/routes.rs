//! Which request is for which page.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::{Method, StatusCode};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::{info, warn};

use super::addresses::{self, Quota};
use super::deeds::{self, Complaint, Deed};
use super::detail::{self, Beside, Health, LATEST, Tab};
use super::frame::{ICON, SCRIPT, STYLE, Viewer, sentence};
use super::instances;
use super::live;
use super::login;
use super::request::{Asked, Fields, local};
use super::response::{self, Answer};
use super::rows;
use super::serve::{Console, Known};
use super::session::Secret;
use super::words::{Language, Word};
use crate::address::{Event, InstanceId};
use crate::gateway::{GatewayError, Operations};
use crate::store::{Reader, StoreError};

/// How long the gateway may take to answer a question. It works off large imports in one piece.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long a choice of language lasts, in seconds.
const A_YEAR: u32 = 365 * 24 * 3600;

/// Why a question was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unanswered {
    Busy,
    Stopping,
    Defect,
}

impl From<GatewayError> for Unanswered {
    fn from(error: GatewayError) -> Self {
        match error {
            GatewayError::Defect => Unanswered::Defect,
            _ => Unanswered::Stopping,
        }
    }
}

impl Unanswered {
    fn word(self) -> Word {
        match self {
            Unanswered::Busy => Word::Busy,
            Unanswered::Stopping => Word::Stopping,
            Unanswered::Defect => Word::Defect,
        }
    }
}

impl Console {
    /// Asks the gateway, and waits only so long.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut dyn Operations) -> T + Send + 'static,
    ) -> Result<T, Unanswered> {
        let answered = timeout(PATIENCE, self.handle.ask(question)).await;
        Ok(answered.map_err(|_| Unanswered::Busy)??)
    }
}

/// The answer to a request that may be answered.
pub(super) async fn answer(console: &Console, asked: &Asked, language: Language, secure: bool) -> Answer {
    let stranger = Viewer { language, place: asked.place().to_owned(), who: None };
    let posted = asked.method == Method::POST;
    match (posted, asked.path()) {
        (false, "/style.css") => return response::asset("text/css; charset=utf-8", STYLE),
        (false, "/script.js") => return response::asset("text/javascript; charset=utf-8", SCRIPT),
        (false, "/icon.svg") => return response::asset("image/svg+xml", ICON),
        (false, "/language") => return choose_language(asked, secure),
        (false, "/login") => return response::page(StatusCode::OK, login::page(&stranger, asked, None)),
        (true, "/login") => return login::log_in(console, asked, &stranger, secure),
        _ => {}
    }
    let Some(known) = console.known(asked, secure, Instant::now()) else {
        let place = login::first(asked, secure);
        return if asked.wants_fragment() { response::go_to(&place) } else { response::see_other(&place) };
    };
    let answered = if posted {
        post(console, asked, language, &known, secure).await
    } else {
        get(console, asked, language, &known).await
    };
    answered.unwrap_or_else(|why| unanswered(&known.viewer(asked, language, None), asked, why))
}

fn choose_language(asked: &Asked, secure: bool) -> Answer {
    let place = response::see_other(asked.query.get("back").map_or("/", local));
    match asked.query.get("to").and_then(Language::of_tag) {
        Some(language) => response::with_cookie(place, "language", language.tag(), Some(A_YEAR), secure),
        None => place,
    }
}

/// Says that the gateway did not answer. The script makes no trouble of its own of a fragment that says so.
fn unanswered(viewer: &Viewer, asked: &Asked, why: Unanswered) -> Answer {
    if asked.wants_fragment() {
        return response::page(StatusCode::OK, deeds::trouble(viewer, &Complaint::Ours(why.word())));
    }
    let again = Some((asked.place(), Word::TryAgain)).filter(|_| asked.method == Method::GET);
    response::page(StatusCode::SERVICE_UNAVAILABLE, sentence(viewer, Word::TryAgain, viewer.say(why.word()), again))
}

fn not_found(viewer: &Viewer, said: &str, list: &str) -> Answer {
    let way_on = Some((list, Word::BackToList));
    response::page(StatusCode::NOT_FOUND, sentence(viewer, Word::NotFound, said, way_on))
}

async fn get(console: &Console, asked: &Asked, language: Language, known: &Known) -> Result<Answer, Unanswered> {
    let account = known.session.1.account.clone();
    let viewer = || {
        // A page that is looked at in the background is not the one to say it.
        let notice = (!asked.is_background()).then(|| console.sessions().take_notice(&known.session.0)).flatten();
        known.viewer(asked, language, notice)
    };
    if let Some(deed) = Deed::of_path(asked.path()) {
        return form(console, asked, known, &known.viewer(asked, language, None), deed).await;
    }
    match asked.path() {
        "/" => Ok(response::see_other(instances::PATH)),
        "/live" => live::counters(console, asked, known).await,
        "/choices" => live::choices(console, asked, known).await,
        instances::PATH => {
            let view = instances::View::read(&asked.query);
            let wanted = view.clone();
            let (page, count) = console
                .ask(move |operations| {
                    let ledger = operations.ledger();
                    (wanted.look(ledger, &account), ledger.instance_count(&account))
                })
                .await?;
            Ok(response::page(StatusCode::OK, instances::page(&viewer(), &view, &page, count)))
        }
        addresses::PATH => {
            let view = addresses::View::read(&asked.query);
            let wanted = view.clone();
            let (listed, quota) = console
                .ask(move |operations| {
                    let now = operations.now();
                    let ledger = operations.ledger();
                    (wanted.look(ledger, &account), Quota::of(ledger, &account, now))
                })
                .await?;
            Ok(response::page(StatusCode::OK, addresses::page(&viewer(), &view, &listed, quota)))
        }
        path => match path.split('/').collect::<Vec<_>>()[..] {
            ["", "instances", id] => instance(console, asked, known, viewer(), id).await,
            ["", "addresses", id] => eip(console, asked, known, viewer(), id).await,
            _ => Ok(not_found(&viewer(), language.say(Word::NoSuchPage), instances::PATH)),
        },
    }
}

async fn instance(
    console: &Console,
    asked: &Asked,
    known: &Known,
    viewer: Viewer,
    id: &str,
) -> Result<Answer, Unanswered> {
    let (account, wanted) = (known.session.1.account.clone(), id.to_owned());
    let owner = account.clone();
    let found = console
        .ask(move |operations| {
            let ledger = operations.ledger();
            let id: InstanceId = wanted.parse().ok()?;
            let instance = ledger.instance(&id).filter(|instance| instance.account == owner)?;
            let (row, detail) = (rows::instance(ledger, instance), instance.detail());
            Some((row, detail, operations.vitals(), operations.past()))
        })
        .await?;
    let Some((row, detail, vitals, past)) = found else {
        return Ok(not_found(&viewer, &viewer.language.tell(Word::NoSuchInstance, &[&id]), instances::PATH));
    };
    let tab = Tab::of_an_instance(asked.query.get("tab"));
    let beside = match tab {
        Tab::Monitoring => Beside::Counting(console.configuration.borrow().counters),
        Tab::Health => {
            let addresses = row.public.iter().map(|public| public.address).collect();
            let carried = live::traffic(console, account, addresses).await?;
            let counted = console.configuration.borrow().counters;
            let traffic = carried.first().map(|(_, traffic)| *traffic).filter(|_| counted);
            Beside::Health(Health::new(&vitals, row.vpc.as_str(), traffic))
        }
        Tab::Log => {
            let id = row.id.to_string();
            Beside::Events(events(past, move |reader| reader.latest_of_instance(&account, &id, LATEST)).await)
        }
        Tab::Parameters | Tab::Security => Beside::Nothing,
    };
    Ok(response::page(StatusCode::OK, detail::instance_page(&viewer, &row, &detail, tab, &beside)))
}

async fn eip(console: &Console, asked: &Asked, known: &Known, viewer: Viewer, id: &str) -> Result<Answer, Unanswered> {
    let (account, wanted) = (known.session.1.account.clone(), id.to_owned());
    let owner = account.clone();
    let found = console
        .ask(move |operations| {
            let ledger = operations.ledger();
            let eip = ledger.find_eip(&owner, &wanted).ok()?;
            Some((rows::eip(ledger, eip), operations.past()))
        })
        .await?;
    let Some((row, past)) = found else {
        return Ok(not_found(&viewer, &viewer.language.tell(Word::NoSuchEip, &[&id]), addresses::PATH));
    };
    let tab = Tab::of_an_eip(asked.query.get("tab"));
    let beside = match tab {
        Tab::Monitoring => Beside::Counting(console.configuration.borrow().counters),
        Tab::Log => {
            let id = row.id.to_string();
            Beside::Events(events(past, move |reader| reader.latest_of_eip(&account, &id, LATEST)).await)
        }
        _ => Beside::Nothing,
    };
    Ok(response::page(StatusCode::OK, detail::eip_page(&viewer, &row, tab, &beside)))
}

/// Reads the history where nobody waits for the disk.
async fn events(
    past: crate::gateway::Past,
    read: impl FnOnce(&Reader) -> Result<Vec<Event>, StoreError> + Send + 'static,
) -> Option<Vec<Event>> {
    let reading = spawn_blocking(move || match past.history.open()? {
        Some(reader) => read(&reader),
        None => Ok(Vec::new()),
    });
    match reading.await {
        Ok(Ok(events)) => Some(events),
        Ok(Err(error)) => {
            warn!("the console cannot read the history: {error}");
            None
        }
        Err(error) => {
            warn!("reading the history was broken off: {error}");
            None
        }
    }
}

/// The form of a deed, as it is asked for.
async fn form(
    console: &Console,
    asked: &Asked,
    known: &Known,
    viewer: &Viewer,
    deed: Deed,
) -> Result<Answer, Unanswered> {
    if !known.may_change() {
        return Ok(forbid(viewer, asked, Word::MayNotChange));
    }
    filled_in(console, asked, known, viewer, deed, None).await
}

/// The form of a deed with what was typed, and why it was not done.
async fn filled_in(
    console: &Console,
    asked: &Asked,
    known: &Known,
    viewer: &Viewer,
    deed: Deed,
    complaint: Option<Complaint>,
) -> Result<Answer, Unanswered> {
    let account = known.session.1.account.clone();
    let fields = if asked.method == Method::POST { &asked.form } else { &asked.query };
    let fields = Arc::new(Fields::with_local_back(fields));
    let asked_with = Arc::clone(&fields);
    let subject = console.ask(move |operations| deeds::subject(deed, operations, &account, &asked_with)).await?;
    let subject = match subject {
        Ok(subject) => subject,
        // What it was about is gone: what was wrong first says more.
        Err(error) => {
            let complaint = complaint.unwrap_or(Complaint::Gateways(error));
            return Ok(trouble(viewer, asked, &complaint));
        }
    };
    let token = Secret::draw().map(|secret| secret.as_str().chars().take(32).collect()).unwrap_or_default();
    let token: String = token;
    let dialog = deeds::dialog(viewer, deed, &subject, &fields, &token, complaint.as_ref());
    if asked.wants_fragment() {
        return Ok(response::page(StatusCode::OK, dialog));
    }
    let status = if complaint.is_some() { StatusCode::CONFLICT } else { StatusCode::OK };
    Ok(response::page(status, deeds::page(viewer, dialog)))
}

fn trouble(viewer: &Viewer, asked: &Asked, complaint: &Complaint) -> Answer {
    let said = deeds::trouble(viewer, complaint);
    if asked.wants_fragment() {
        return response::page(StatusCode::OK, said);
    }
    response::page(StatusCode::CONFLICT, deeds::page(viewer, said))
}

fn forbid(viewer: &Viewer, asked: &Asked, why: Word) -> Answer {
    let said = deeds::trouble(viewer, &Complaint::Ours(why));
    if asked.wants_fragment() {
        return response::page(StatusCode::OK, said);
    }
    response::page(StatusCode::FORBIDDEN, deeds::page(viewer, said))
}

async fn post(
    console: &Console,
    asked: &Asked,
    language: Language,
    known: &Known,
    secure: bool,
) -> Result<Answer, Unanswered> {
    let viewer = known.viewer(asked, language, None);
    let (id, session) = &known.session;
    if !asked.form.get("csrf").is_some_and(|told| session.csrf.is(told)) {
        warn!(from = %asked.from, account = %session.account, "a form without its token was refused");
        return Ok(forbid(&viewer, asked, Word::Stale));
    }
    if asked.path() == "/logout" {
        return Ok(login::log_out(console, known, secure));
    }
    let Some(deed) = Deed::of_path(asked.path()) else {
        return Ok(not_found(&viewer, viewer.say(Word::NoSuchPage), instances::PATH));
    };
    if !known.may_change() {
        return Ok(forbid(&viewer, asked, Word::MayNotChange));
    }
    let (account, form) = (session.account.clone(), Arc::new(asked.form.clone()));
    info!(from = %asked.from, %account, secret_id = session.secret_id, deed = deed.name(), "asked in the console");
    // Once begun it is done, so it is waited for: an answer that came early would be a lie.
    let done = console.handle.change(move |operations| deeds::perform(deed, operations, &account, &form)).await?;
    match done {
        Ok(done) => {
            console.sessions().note(id, done.tell(language));
            let place = asked.form.get("back").map_or("/", local);
            Ok(if asked.wants_fragment() { response::go_to(place) } else { response::see_other(place) })
        }
        Err(trouble) => filled_in(console, asked, known, &viewer, deed, Some(trouble.into())).await,
    }
}
