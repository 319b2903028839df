//! Logging in and out.

use std::time::Instant;

use hyper::StatusCode;
use maud::{Markup, html};
use tracing::{info, warn};

use super::frame::{Section, Viewer, frame};
use super::request::{Asked, link, local};
use super::response::{self, Answer};
use super::serve::{Console, Known, cookie_name};
use super::words::Word;

/// Advice to whoever tried too often.
const PAUSE: u16 = 60;

/// The form, with what was wrong with it the last time.
pub(super) fn page(viewer: &Viewer, asked: &Asked, wrong: Option<Word>) -> Markup {
    let back = asked.query.get("back").or(asked.form.get("back")).map(local);
    let said = match asked.query.get("said") {
        Some("out") => Some(Word::LoggedOut),
        Some("over") => Some(Word::SessionOver),
        _ => None,
    };
    let content = html! {
        div.panel.narrow.login {
            h1 { (viewer.say(Word::LogIn)) }
            p.quiet { (viewer.say(Word::LogInExplained)) }
            @if let Some(wrong) = wrong {
                div.notice.bad role="alert" { (viewer.say(wrong)) }
            } @else if let Some(said) = said {
                div.notice role="status" { (viewer.say(said)) }
            }
            form method="post" action="/login" {
                @if let Some(back) = back { input type="hidden" name="back" value=(back); }
                div.field {
                    label for="secret-id" { (viewer.say(Word::SecretId)) }
                    input #secret-id.mono type="text" name="secret_id" required autofocus autocomplete="username"
                        autocapitalize="none" spellcheck="false" maxlength="128" value=[asked.form.get("secret_id")];
                }
                div.field {
                    label for="secret-key" { (viewer.say(Word::SecretKey)) }
                    input #secret-key.mono type="password" name="secret_key" required maxlength="128"
                        autocomplete="current-password";
                }
                button.primary.wide type="submit" { (viewer.say(Word::LogIn)) }
            }
        }
    };
    frame(viewer, Section::None, viewer.say(Word::LogIn), content)
}

/// Begins a session, where the key is right.
pub(super) fn log_in(console: &Console, asked: &Asked, viewer: &Viewer, secure: bool) -> Answer {
    let (secret_id, secret_key) = (asked.form.get("secret_id"), asked.form.get("secret_key"));
    let (Some(secret_id), Some(secret_key)) = (secret_id, secret_key) else {
        return response::page(StatusCode::UNPROCESSABLE_ENTITY, page(viewer, asked, Some(Word::WrongCredential)));
    };
    let now = Instant::now();
    if !console.attempts().may_try(asked.from, secret_id, now) {
        warn!(from = %asked.from, "too many log-ins to the console failed; this one is not looked at");
        let refusal = response::page(StatusCode::TOO_MANY_REQUESTS, page(viewer, asked, Some(Word::TooManyAttempts)));
        return response::retry_after(refusal, PAUSE);
    }
    let credentials = console.credentials.latest();
    let Some(credential) = credentials.find(secret_id).filter(|credential| credential.is_key(secret_key)) else {
        console.attempts().failed(asked.from, secret_id, now);
        warn!(from = %asked.from, "a log-in to the console failed");
        return response::page(StatusCode::FORBIDDEN, page(viewer, asked, Some(Word::WrongCredential)));
    };
    let begun = console.sessions().begin(secret_id, secret_key, &credential.account, now);
    let Ok(id) = begun else {
        return response::text(StatusCode::SERVICE_UNAVAILABLE, "The system gives out no random numbers.\n");
    };
    info!(from = %asked.from, account = %credential.account, secret_id, "logged in to the console");
    let place = asked.form.get("back").map_or("/", local);
    response::with_cookie(response::see_other(place), cookie_name(secure), id.as_str(), None, secure)
}

/// Ends the session.
pub(super) fn log_out(console: &Console, known: &Known, secure: bool) -> Answer {
    let (id, session) = &known.session;
    console.sessions().end(id);
    info!(account = %session.account, secret_id = session.secret_id, "logged out of the console");
    let place = response::forget_pages(response::see_other("/login?said=out"));
    response::with_cookie(place, cookie_name(secure), "", Some(0), secure)
}

/// Where whoever is not logged in is sent, to come back here afterwards. A cookie that is of no use any more says that
/// there was a session.
pub(super) fn first(asked: &Asked, secure: bool) -> String {
    let over = asked.cookie(cookie_name(secure)).is_some().then_some("over");
    let back = Some(asked.place()).filter(|place| *place != "/" && asked.method == hyper::Method::GET);
    link("/login", &[("said", over), ("back", back)])
}
