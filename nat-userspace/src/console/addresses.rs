//! The list of public IPs: EIPs, and the ordinary ones of instances.

use maud::{Markup, html};

use super::frame::{Section, Viewer, frame};
use super::instances;
use super::pager::{EFFORT, HITS, Page, pager};
use super::parts::{charge_type, copyable, deed, dot, empty, fence_mark, number, plot};
use super::request::{Fields, link};
use super::rows::{self, EipRow, InstanceRow, PublicKind};
use super::words::Word;
use crate::address::{AccountId, Daily, Ledger, Time};

pub(super) const PATH: &str = "/addresses";

/// Which public IPs are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Eips,
    Ordinary,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub(super) struct View {
    kind: Kind,
    search: Option<String>,
    from: usize,
}

/// What was found, of either kind.
#[derive(Debug)]
pub(super) enum Listed {
    Eips(Page<EipRow>),
    Ordinary(Page<InstanceRow>),
}

/// How much of what an account may have is used up; no limit where there is none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quota {
    eips: u32,
    limit: Option<u32>,
    today: u32,
    a_day: Option<u32>,
}

impl Quota {
    pub(super) fn of(ledger: &Ledger, account: &AccountId, now: Time) -> Quota {
        Quota {
            eips: ledger.eips_of_account(account),
            limit: ledger.policy().eips_per_account,
            today: ledger.used_today(account, Daily::Applications, now),
            a_day: ledger.policy().applications_per_day(),
        }
    }
}

impl View {
    pub(super) fn read(query: &Fields) -> View {
        View {
            kind: if query.get("kind") == Some("ordinary") { Kind::Ordinary } else { Kind::Eips },
            search: query.get("q").map(|text| text.chars().take(128).collect()),
            from: query.get("from").and_then(|from| from.parse().ok()).unwrap_or(0),
        }
    }

    /// Finds its page, at the cost of the page.
    pub(super) fn look(&self, ledger: &Ledger, account: &AccountId) -> Listed {
        let from = self.from;
        match (self.kind, &self.search) {
            (Kind::Eips, None) => {
                let all = ledger.eips_from(account, from).map(|eip| rows::eip(ledger, eip));
                Listed::Eips(Page::of_a_list(all, from, ledger.eips_of_account(account) as usize))
            }
            (Kind::Eips, Some(text)) => {
                let found = ledger.search_eips(account, text, HITS, EFFORT);
                let hits = found.items.iter().filter_map(|id| ledger.eip(id)).map(|eip| rows::eip(ledger, eip));
                Listed::Eips(Page::hits(hits.collect(), found.cut_short))
            }
            (Kind::Ordinary, None) => {
                let all = ledger.with_ordinary_from(account, from).map(|instance| rows::instance(ledger, instance));
                Listed::Ordinary(Page::of_a_list(all, from, ledger.ordinary_count(account)))
            }
            (Kind::Ordinary, Some(text)) => {
                let found = ledger.search_instances(account, text, HITS, EFFORT);
                let hits = found.items.iter().filter_map(|id| ledger.instance(id));
                let hits = hits.filter(|instance| instance.ordinary.is_some());
                let hits = hits.map(|instance| rows::instance(ledger, instance)).collect();
                Listed::Ordinary(Page::hits(hits, found.cut_short))
            }
        }
    }
}

pub(super) fn page(viewer: &Viewer, view: &View, listed: &Listed, quota: Quota) -> Markup {
    let language = viewer.language;
    let fields = [("kind", (view.kind == Kind::Ordinary).then_some("ordinary")), ("q", view.search.as_deref())];
    let content = html! {
        div.heading {
            h1 { (viewer.say(Word::PublicIps)) }
            span.quiet { (quota_line(viewer, quota)) }
            @if viewer.may_change() {
                (deed(language, "allocate", &[("back", Some(PATH))], Word::Allocate, "button primary"))
            }
        }
        (tabs(viewer, view.kind))
        (search(viewer, view))
        @match listed {
            Listed::Eips(page) => {
                @if page.rows.is_empty() && !page.cut_short { (no_eips(viewer, view)) }
                @else { (eips(viewer, &page.rows)) }
                (pager(viewer, page, PATH, &fields))
            }
            Listed::Ordinary(page) => {
                @if page.rows.is_empty() && !page.cut_short { (no_ordinary(viewer, view)) }
                @else { (ordinary(viewer, &page.rows)) }
                (pager(viewer, page, PATH, &fields))
            }
        }
    };
    frame(viewer, Section::PublicIps, viewer.say(Word::PublicIps), content)
}

fn quota_line(viewer: &Viewer, quota: Quota) -> String {
    let Quota { eips, limit, today, a_day } = quota;
    match limit.zip(a_day) {
        Some((limit, a_day)) => viewer.language.tell(Word::QuotaUsed, &[&eips, &limit, &today, &a_day]),
        None => viewer.language.tell(Word::CountEips, &[&number(eips as usize)]),
    }
}

fn tabs(viewer: &Viewer, present: Kind) -> Markup {
    let tab = |kind: Kind, of: Option<&str>, word: Word| {
        html! {
            a href=(link(PATH, &[("kind", of)])) aria-current=[(kind == present).then_some("page")] {
                (viewer.say(word))
            }
        }
    };
    html! {
        nav.tabs aria-label=(viewer.say(Word::Kind)) {
            (tab(Kind::Eips, None, Word::Eips))
            (tab(Kind::Ordinary, Some("ordinary"), Word::OrdinaryIps))
        }
    }
}

fn search(viewer: &Viewer, view: &View) -> Markup {
    let kind = (view.kind == Kind::Ordinary).then_some("ordinary");
    html! {
        form.search role="search" method="get" action=(PATH) {
            @if let Some(kind) = kind { input type="hidden" name="kind" value=(kind); }
            div.field.grow {
                label for="q" { (viewer.say(Word::SearchAddresses)) }
                input #q type="search" name="q" maxlength="128" autocomplete="off" spellcheck="false"
                    placeholder=(viewer.say(Word::SearchHint)) value=[view.search.as_deref()];
            }
            button type="submit" { (viewer.say(Word::Search)) }
            @if view.search.is_some() { a.button href=(link(PATH, &[("kind", kind)])) { (viewer.say(Word::ClearSearch)) } }
        }
    }
}

fn no_eips(viewer: &Viewer, view: &View) -> Markup {
    if view.search.is_some() {
        return instances::nothing_matches(viewer, PATH);
    }
    let allocate = deed(viewer.language, "allocate", &[("back", Some(PATH))], Word::Allocate, "button primary");
    empty(viewer.say(Word::NoEips), viewer.say(Word::NoEipsExplained), viewer.may_change().then_some(allocate))
}

fn no_ordinary(viewer: &Viewer, view: &View) -> Markup {
    if view.search.is_some() {
        return instances::nothing_matches(viewer, &link(PATH, &[("kind", Some("ordinary"))]));
    }
    empty(viewer.say(Word::NoOrdinary), viewer.say(Word::NoOrdinaryExplained), None)
}

const COLUMNS: [Word; 9] = [
    Word::IdAndName,
    Word::State,
    Word::Address,
    Word::Kind,
    Word::Bandwidth,
    Word::ChargeType,
    Word::BoundTo,
    Word::Traffic,
    Word::Actions,
];

fn list(viewer: &Viewer, caption: Word, body: &Markup) -> Markup {
    html! {
        div.table-wrap data-list {
            table.list {
                caption.visually-hidden { (viewer.say(caption)) }
                thead { tr { @for column in COLUMNS { th scope="col" { (viewer.say(column)) } } } }
                tbody { (body) }
            }
        }
    }
}

fn eips(viewer: &Viewer, rows: &[EipRow]) -> Markup {
    let language = viewer.language;
    let row = |row: &EipRow| {
        html! {
            tr data-eip=(row.id) {
                th scope="row" data-label=(viewer.say(Word::IdAndName)) {
                    a href=(format!("{PATH}/{}", row.id)) { (row.id) }
                    div.name { (row.name.as_deref().unwrap_or(viewer.say(Word::Unnamed))) }
                }
                td data-label=(viewer.say(Word::State)) { (state(viewer, row)) }
                td data-label=(viewer.say(Word::Address)) { (copyable(language, row.address)) }
                td data-label=(viewer.say(Word::Kind)) { (viewer.say(Word::Eip)) }
                td data-label=(viewer.say(Word::Bandwidth)) { (language.tell(Word::Mbps, &[&row.bandwidth_mbps])) }
                td data-label=(viewer.say(Word::ChargeType)) {
                    (charge_type(language, row.charge_type, row.package.as_ref()))
                }
                td data-label=(viewer.say(Word::BoundTo)) { (bound_to(viewer, row)) }
                td data-label=(viewer.say(Word::Traffic)) {
                    @if row.bound_to.is_some() { (plot(language, row.address)) } @else { span.quiet { "–" } }
                }
                td.actions data-label=(viewer.say(Word::Actions)) { (actions(viewer, row)) }
            }
        }
    };
    list(viewer, Word::Eips, &html! { @for one in rows { (row(one)) } })
}

fn ordinary(viewer: &Viewer, rows: &[InstanceRow]) -> Markup {
    let language = viewer.language;
    let row = |row: &InstanceRow| {
        html! {
            @if let Some(public) = row.public.as_ref().filter(|public| public.kind == PublicKind::Ordinary) {
                tr data-instance=(row.id) {
                    th scope="row" data-label=(viewer.say(Word::IdAndName)) { span.quiet { "–" } }
                    td data-label=(viewer.say(Word::State)) {
                        (dot("good", viewer.say(Word::Assigned))) (fence_mark(language, public.fenced))
                    }
                    td data-label=(viewer.say(Word::Address)) { (copyable(language, public.address)) }
                    td data-label=(viewer.say(Word::Kind)) { (viewer.say(Word::Ordinary)) }
                    td data-label=(viewer.say(Word::Bandwidth)) {
                        (language.tell(Word::Mbps, &[&public.bandwidth_mbps]))
                    }
                    td data-label=(viewer.say(Word::ChargeType)) {
                        (charge_type(language, public.charge_type, public.package.as_ref()))
                    }
                    td data-label=(viewer.say(Word::BoundTo)) {
                        a href=(format!("{}/{}", instances::PATH, row.id)) { (row.called()) }
                        div.quiet.mono { (row.private) }
                    }
                    td data-label=(viewer.say(Word::Traffic)) { (plot(language, public.address)) }
                    td.actions data-label=(viewer.say(Word::Actions)) { (instances::actions(viewer, row)) }
                }
            }
        }
    };
    list(viewer, Word::OrdinaryIps, &html! { @for one in rows { (row(one)) } })
}

/// Whether an EIP is bound, and what keeps it from being so.
pub(super) fn state(viewer: &Viewer, row: &EipRow) -> Markup {
    let (class, word) = if row.bound_to.is_some() { ("good", Word::IsBound) } else { ("off", Word::IsUnbound) };
    html! {
        (dot(class, viewer.say(word)))
        @if row.blocked { " " span.badge.bad title=(viewer.say(Word::BlockedExplained)) { (viewer.say(Word::Blocked)) } }
        @if row.arrears { " " span.badge.bad title=(viewer.say(Word::ArrearsExplained)) { (viewer.say(Word::Arrears)) } }
        (fence_mark(viewer.language, row.fenced))
    }
}

/// The instance an EIP serves.
pub(super) fn bound_to(viewer: &Viewer, row: &EipRow) -> Markup {
    html! {
        @match &row.bound_to {
            Some(bound) => {
                a href=(format!("{}/{}", instances::PATH, bound.id)) { (bound.called()) }
                div.quiet.mono { (bound.private) }
            }
            None => span.quiet { (viewer.say(Word::None)) },
        }
    }
}

/// What can be done with an EIP.
pub(super) fn actions(viewer: &Viewer, row: &EipRow) -> Markup {
    let language = viewer.language;
    if !viewer.may_change() {
        return html! { span.quiet { (viewer.say(Word::ReadOnly)) } };
    }
    let of = [("eip", Some(row.id.as_str())), ("back", Some(viewer.place.as_str()))];
    // A released EIP has no page to come back to.
    let of_release = [("eip", Some(row.id.as_str())), ("back", Some(PATH))];
    html! {
        div.deeds {
            @if row.bound_to.is_some() {
                (deed(language, "unbind", &of, Word::Unbind, "deed"))
            } @else {
                (deed(language, "bind", &of, Word::Bind, "deed"))
                (deed(language, "release", &of_release, Word::Release, "deed danger"))
            }
            (deed(language, "bandwidth", &of, Word::AdjustBandwidth, "deed"))
            (deed(language, "rename", &of, Word::Rename, "deed"))
        }
    }
}
