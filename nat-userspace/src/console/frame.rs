//! What is around every page.

use maud::{DOCTYPE, Markup, html};

use super::request::link;
use super::words::{Language, Word};

/// The one style sheet and the one script, with what makes their names change with them.
pub(super) const STYLE: &str = include_str!("style.css");
pub(super) const SCRIPT: &str = include_str!("script.js");
pub(super) const ICON: &str = include_str!("icon.svg");

/// FNV-1a, so that a browser that kept an earlier version asks for this one.
pub(super) const fn version(text: &str) -> u32 {
    let (bytes, mut at, mut hash) = (text.as_bytes(), 0, 0x811c_9dc5_u32);
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    hash
}

const STYLE_VERSION: u32 = version(STYLE);
const SCRIPT_VERSION: u32 = version(SCRIPT);

/// Who looks, and at what.
pub(super) struct Viewer {
    pub(super) language: Language,
    /// The page's own place, for coming back to it.
    pub(super) place: String,
    /// Unless nobody is logged in.
    pub(super) who: Option<Who>,
}

/// Who is logged in.
pub(super) struct Who {
    pub(super) account: String,
    pub(super) may_change: bool,
    pub(super) csrf: String,
    /// What the last form did, to be told once.
    pub(super) notice: Option<String>,
}

impl Viewer {
    pub(super) fn say(&self, word: Word) -> &'static str {
        self.language.say(word)
    }

    pub(super) fn may_change(&self) -> bool {
        self.who.as_ref().is_some_and(|who| who.may_change)
    }
}

/// A page of the main navigation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Instances,
    PublicIps,
    None,
}

/// The whole document.
pub(super) fn frame(viewer: &Viewer, section: Section, title: &str, content: Markup) -> Markup {
    let language = viewer.language;
    html! {
        (DOCTYPE)
        html lang=(language.tag()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · eipgate" }
                link rel="icon" type="image/svg+xml" href=(format!("/icon.svg?v={:08x}", version(ICON)));
                link rel="stylesheet" href=(format!("/style.css?v={STYLE_VERSION:08x}"));
                script src=(format!("/script.js?v={SCRIPT_VERSION:08x}")) defer {}
            }
            body data-copied=(language.say(Word::Copied)) data-not-copied=(language.say(Word::NotCopied))
                data-unreachable=(language.say(Word::Unreachable)) data-session-over=(language.say(Word::SessionOver))
                data-no-answer=(language.say(Word::NoAnswer)) data-outcome-unknown=(language.say(Word::OutcomeUnknown))
                data-loading=(language.say(Word::Loading)) data-working=(language.say(Word::Working))
                data-close=(language.say(Word::Close)) {
                a.skip href="#main" { (language.say(Word::SkipToContent)) }
                (header(viewer, section))
                main #main tabindex="-1" {
                    div #trouble.notice.bad role="status" aria-live="polite" hidden {}
                    @if let Some(notice) = viewer.who.as_ref().and_then(|who| who.notice.as_ref()) {
                        div.notice.good role="status" { (notice) }
                    }
                    (content)
                }
                div #said.visually-hidden role="status" aria-live="polite" {}
                @if viewer.who.is_some() {
                    dialog #dialog aria-labelledby="dialog-title" {}
                }
            }
        }
    }
}

fn header(viewer: &Viewer, section: Section) -> Markup {
    let language = viewer.language;
    let current = |this: Section| (this == section).then_some("page");
    html! {
        header.bar {
            a.brand href="/" {
                svg viewBox="0 0 24 24" width="22" height="22" aria-hidden="true" focusable="false" {
                    rect x="1.5" y="4.5" width="21" height="15" rx="3.5" fill="none" stroke="currentColor" stroke-width="1.6" {}
                    path d="M6 10h9.5m-3-3 3 3-3 3M18 14H8.5m3-3-3 3 3 3" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round" {}
                }
                span { "eipgate" }
            }
            @if viewer.who.is_some() {
                nav aria-label=(language.say(Word::MainNavigation)) {
                    a href="/instances" aria-current=[current(Section::Instances)] { (language.say(Word::Instances)) }
                    a href="/addresses" aria-current=[current(Section::PublicIps)] { (language.say(Word::PublicIps)) }
                }
            }
            div.who {
                @for other in Language::ALL.into_iter().filter(|other| *other != language) {
                    a.language lang=(other.tag()) hreflang=(other.tag())
                        href=(link("/language", &[("to", Some(other.tag())), ("back", Some(&viewer.place))])) {
                        (other.own_name())
                    }
                }
                @if let Some(who) = &viewer.who {
                    span.account title=(language.say(Word::Account)) { (who.account) }
                    @if !who.may_change {
                        span.badge title=(language.say(Word::ReadOnlyExplained)) { (language.say(Word::ReadOnly)) }
                    }
                    form method="post" action="/logout" {
                        input type="hidden" name="csrf" value=(who.csrf);
                        button.plain type="submit" { (language.say(Word::LogOut)) }
                    }
                }
            }
        }
    }
}

/// A page that only says something.
pub(super) fn sentence(viewer: &Viewer, title: Word, said: &str, way_on: Option<(&str, Word)>) -> Markup {
    let content = html! {
        div.panel.narrow {
            h1 { (viewer.say(title)) }
            p { (said) }
            @if let Some((place, label)) = way_on { p { a.button href=(place) { (viewer.say(label)) } } }
        }
    };
    frame(viewer, Section::None, viewer.say(title), content)
}
