//! The list of instances.

use maud::{Markup, html};

use super::frame::{Section, Viewer, frame};
use super::pager::{EFFORT, HITS, Page, pager};
use super::parts::{self, both_addresses, charge_type, deed, empty, number};
use super::request::Fields;
use super::rows::{self, InstanceRow, PublicKind};
use super::words::Word;
use crate::address::{AccountId, Ledger};

pub(super) const PATH: &str = "/instances";

/// Which instances are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Show {
    All,
    WithEip,
    WithOrdinary,
    Without,
}

impl Show {
    const ALL: [Show; 4] = [Show::All, Show::WithEip, Show::WithOrdinary, Show::Without];

    fn name(self) -> &'static str {
        match self {
            Show::All => "all",
            Show::WithEip => "eip",
            Show::WithOrdinary => "ordinary",
            Show::Without => "none",
        }
    }

    fn word(self) -> Word {
        match self {
            Show::All => Word::ShowAll,
            Show::WithEip => Word::ShowWithEip,
            Show::WithOrdinary => Word::ShowWithOrdinary,
            Show::Without => Word::ShowWithout,
        }
    }

    fn takes(self, row: &InstanceRow) -> bool {
        match (self, row.public.as_ref().map(|public| &public.kind)) {
            (Show::All, _) | (Show::Without, None) => true,
            (Show::WithEip, Some(kind)) => matches!(kind, PublicKind::Eip(_)),
            (Show::WithOrdinary, Some(kind)) => matches!(kind, PublicKind::Ordinary),
            _ => false,
        }
    }
}

/// What is asked for.
#[derive(Clone, Debug)]
pub(super) struct View {
    search: Option<String>,
    show: Show,
    from: usize,
}

impl View {
    pub(super) fn read(query: &Fields) -> View {
        let show = Show::ALL.into_iter().find(|show| Some(show.name()) == query.get("show"));
        View {
            search: query.get("q").map(|text| text.chars().take(128).collect()),
            show: show.unwrap_or(Show::All),
            from: query.get("from").and_then(|from| from.parse().ok()).unwrap_or(0),
        }
    }

    /// Finds its page. Costs what the page costs, and never the whole list.
    pub(super) fn look(&self, ledger: &Ledger, account: &AccountId) -> Page<InstanceRow> {
        let row = |instance| rows::instance(ledger, instance);
        if let Some(text) = &self.search {
            let found = ledger.search_instances(account, text, HITS, EFFORT);
            let hits = found.items.iter().filter_map(|id| ledger.instance(id)).map(row);
            return Page::hits(hits.filter(|row| self.show.takes(row)).collect(), found.cut_short);
        }
        let from = self.from;
        match self.show {
            Show::All => {
                let all = ledger.instances_from(account, from).map(row);
                Page::of_a_list(all, from, ledger.instance_count(account))
            }
            Show::WithOrdinary => {
                let with = ledger.with_ordinary_from(account, from).map(row);
                Page::of_a_list(with, from, ledger.ordinary_count(account))
            }
            Show::WithEip => {
                let bound = ledger.bound_from(account, true, from);
                let served = bound.filter_map(|eip| ledger.instance(eip.bound_to.as_ref()?)).map(row);
                Page::of_a_list(served, from, ledger.bound_count(account, true))
            }
            Show::Without => {
                let without = |instance| Some(row(instance)).filter(|row| row.public.is_none());
                Page::chosen(ledger.instances_from(account, from), from, without)
            }
        }
    }
}

/// The page. `count` is how many instances the account has altogether.
pub(super) fn page(viewer: &Viewer, view: &View, page: &Page<InstanceRow>, count: usize) -> Markup {
    let language = viewer.language;
    let counted = match count {
        1 => viewer.say(Word::CountOneInstance).to_owned(),
        count => language.tell(Word::CountInstances, &[&number(count)]),
    };
    let shown = (view.show != Show::All).then(|| view.show.name());
    let content = html! {
        div.heading { h1 { (viewer.say(Word::Instances)) } span.quiet { (counted) } }
        (search(viewer, view))
        @if page.rows.is_empty() && !page.cut_short {
            @if count == 0 {
                (empty(viewer.say(Word::NoInstances), viewer.say(Word::NoInstancesExplained), None))
            } @else {
                (nothing_matches(viewer, PATH))
            }
        } @else {
            (table(viewer, &page.rows))
        }
        (pager(viewer, page, PATH, &[("q", view.search.as_deref()), ("show", shown)]))
    };
    frame(viewer, Section::Instances, viewer.say(Word::Instances), content)
}

/// What stands where a search or a choice has found nothing.
pub(super) fn nothing_matches(viewer: &Viewer, all: &str) -> Markup {
    let way_on = html! { a.button href=(all) { (viewer.say(Word::ClearSearch)) } };
    empty(viewer.say(Word::NothingMatches), viewer.say(Word::NothingMatchesExplained), Some(way_on))
}

fn search(viewer: &Viewer, view: &View) -> Markup {
    html! {
        form.search role="search" method="get" action=(PATH) {
            div.field.grow {
                label for="q" { (viewer.say(Word::SearchInstances)) }
                input #q type="search" name="q" maxlength="128" autocomplete="off" spellcheck="false"
                    placeholder=(viewer.say(Word::SearchHint)) value=[view.search.as_deref()];
            }
            div.field {
                label for="show" { (viewer.say(Word::Show)) }
                select #show name="show" {
                    @for show in Show::ALL {
                        option value=(show.name()) selected[show == view.show] { (viewer.say(show.word())) }
                    }
                }
            }
            button type="submit" { (viewer.say(Word::Search)) }
            @if view.search.is_some() || view.show != Show::All {
                a.button href=(PATH) { (viewer.say(Word::ClearSearch)) }
            }
        }
    }
}

fn table(viewer: &Viewer, rows: &[InstanceRow]) -> Markup {
    let columns = [
        Word::IdAndName,
        Word::State,
        Word::PrimaryIpv4,
        Word::Bandwidth,
        Word::ChargeType,
        Word::Traffic,
        Word::Actions,
    ];
    html! {
        div.table-wrap data-list {
            table.list {
                caption.visually-hidden { (viewer.say(Word::Instances)) }
                thead { tr { @for column in columns { th scope="col" { (viewer.say(column)) } } } }
                tbody { @for row in rows { (table_row(viewer, row)) } }
            }
        }
    }
}

fn table_row(viewer: &Viewer, row: &InstanceRow) -> Markup {
    let language = viewer.language;
    let (mbps, charge, package) = match &row.public {
        Some(public) => (public.bandwidth_mbps, public.charge_type, public.package.as_ref()),
        None => (row.bandwidth_mbps, row.charge_type, row.package.as_ref()),
    };
    html! {
        tr data-instance=(row.id) {
            th scope="row" data-label=(viewer.say(Word::IdAndName)) {
                a href=(format!("{PATH}/{}", row.id)) { (row.id) }
                div.name { (row.name.as_deref().unwrap_or(viewer.say(Word::Unnamed))) }
            }
            td data-label=(viewer.say(Word::State)) { (parts::state(language, row.state)) }
            td data-label=(viewer.say(Word::PrimaryIpv4)) { (both_addresses(language, row)) }
            td data-label=(viewer.say(Word::Bandwidth)) { (language.tell(Word::Mbps, &[&mbps])) }
            td data-label=(viewer.say(Word::ChargeType)) { (charge_type(language, charge, package)) }
            td data-label=(viewer.say(Word::Traffic)) {
                @match &row.public {
                    Some(public) => (parts::plot(language, public.address)),
                    None => span.quiet { "–" },
                }
            }
            td.actions data-label=(viewer.say(Word::Actions)) { (actions(viewer, row)) }
        }
    }
}

/// What can be done with an instance's public address.
pub(super) fn actions(viewer: &Viewer, row: &InstanceRow) -> Markup {
    let language = viewer.language;
    if !viewer.may_change() {
        return html! { span.quiet { (viewer.say(Word::ReadOnly)) } };
    }
    let back = ("back", Some(viewer.place.as_str()));
    let instance = ("instance", Some(row.id.as_str()));
    let kind = row.public.as_ref().map(|public| &public.kind);
    html! {
        div.deeds {
            @match kind {
                Some(PublicKind::Eip(eip)) => {
                    (deed(language, "unbind", &[("eip", Some(eip.as_str())), back], Word::UnbindEip, "deed"))
                    (deed(language, "bandwidth", &[("eip", Some(eip.as_str())), back], Word::AdjustBandwidth, "deed"))
                }
                _ => {
                    (deed(language, "bind", &[instance, back], Word::BindEip, "deed"))
                    @if kind.is_some() { (deed(language, "convert", &[instance, back], Word::Convert, "deed")) }
                    (deed(language, "bandwidth", &[instance, back], Word::AdjustBandwidth, "deed"))
                }
            }
            (deed(language, "rename", &[instance, back], Word::Rename, "deed"))
        }
    }
}
