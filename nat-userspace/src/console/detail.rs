//! One instance or one EIP by itself, with its tabs.

mod health;
mod log;
mod monitor;

use maud::{Markup, html};

use super::addresses;
use super::frame::{Section, Viewer, frame};
use super::instances;
use super::parts::{self, charge_type, copyable, fence_mark, moment};
use super::request::link;
use super::rows::{EipRow, InstanceRow, PublicKind};
use super::words::Word;
use crate::address::{Billing, Event, InstanceDetail};

pub(super) use self::health::Health;
pub(super) use self::log::MOST as LATEST;

/// A tab of a detail page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tab {
    Parameters,
    Monitoring,
    Health,
    Security,
    Log,
}

impl Tab {
    const OF_AN_INSTANCE: [Tab; 5] = [Tab::Parameters, Tab::Monitoring, Tab::Health, Tab::Security, Tab::Log];
    const OF_AN_EIP: [Tab; 3] = [Tab::Parameters, Tab::Monitoring, Tab::Log];

    fn name(self) -> &'static str {
        match self {
            Tab::Parameters => "parameters",
            Tab::Monitoring => "monitoring",
            Tab::Health => "health",
            Tab::Security => "security",
            Tab::Log => "log",
        }
    }

    fn word(self) -> Word {
        match self {
            Tab::Parameters => Word::Parameters,
            Tab::Monitoring => Word::Monitoring,
            Tab::Health => Word::Health,
            Tab::Security => Word::SecurityGroup,
            Tab::Log => Word::OperationLog,
        }
    }

    pub(super) fn of_an_instance(name: Option<&str>) -> Tab {
        Tab::OF_AN_INSTANCE.into_iter().find(|tab| Some(tab.name()) == name).unwrap_or(Tab::Parameters)
    }

    pub(super) fn of_an_eip(name: Option<&str>) -> Tab {
        Tab::OF_AN_EIP.into_iter().find(|tab| Some(tab.name()) == name).unwrap_or(Tab::Parameters)
    }
}

/// What a tab needs beside the object itself.
pub(super) enum Beside {
    Nothing,
    /// Whether addresses are counted at all.
    Counting(bool),
    Health(Health),
    /// The latest events, newest first; none where they cannot be read.
    Events(Option<Vec<Event>>),
}

pub(super) fn instance_page(
    viewer: &Viewer,
    row: &InstanceRow,
    detail: &InstanceDetail,
    tab: Tab,
    beside: &Beside,
) -> Markup {
    let place = format!("{}/{}", instances::PATH, row.id);
    let public = row.public.as_ref().map(|public| public.address);
    let content = html! {
        (crumbs(viewer, instances::PATH, Word::Instances))
        div.heading {
            h1 { (row.called()) }
            span { (parts::state(viewer.language, row.state)) }
            (instances::actions(viewer, row))
        }
        (tabs(viewer, &place, &Tab::OF_AN_INSTANCE, tab))
        section.panel aria-label=(viewer.say(tab.word())) {
            @match (tab, beside) {
                (Tab::Security, _) => (health::security(viewer, &detail.security_groups)),
                (_, Beside::Counting(counting)) => (monitor::monitor(viewer, public, *counting)),
                (_, Beside::Health(health)) => (health::health(viewer, row, health)),
                (_, Beside::Events(events)) => (log::log(viewer, events.as_deref())),
                _ => { (instance_parameters(viewer, row)) (remembered(viewer, detail)) }
            }
        }
    };
    frame(viewer, Section::Instances, &row.called(), content)
}

pub(super) fn eip_page(viewer: &Viewer, row: &EipRow, tab: Tab, beside: &Beside) -> Markup {
    let place = format!("{}/{}", addresses::PATH, row.id);
    let title = row.name.clone().unwrap_or_else(|| row.address.to_string());
    let bound = row.bound_to.as_ref().map(|_| row.address);
    let content = html! {
        (crumbs(viewer, addresses::PATH, Word::PublicIps))
        div.heading {
            h1 { (title) }
            span { (addresses::state(viewer, row)) }
            (addresses::actions(viewer, row))
        }
        (tabs(viewer, &place, &Tab::OF_AN_EIP, tab))
        section.panel aria-label=(viewer.say(tab.word())) {
            @match beside {
                Beside::Counting(counting) => (monitor::monitor(viewer, bound, *counting)),
                Beside::Events(events) => (log::log(viewer, events.as_deref())),
                _ => (eip_parameters(viewer, row)),
            }
        }
    };
    frame(viewer, Section::PublicIps, &title, content)
}

fn crumbs(viewer: &Viewer, path: &str, word: Word) -> Markup {
    html! { p.crumbs { a href=(path) { "← " (viewer.say(word)) } } }
}

fn tabs(viewer: &Viewer, place: &str, all: &[Tab], present: Tab) -> Markup {
    html! {
        nav.tabs aria-label=(viewer.say(Word::Detail)) {
            @for tab in all {
                a href=(link(place, &[("tab", (*tab != Tab::Parameters).then(|| tab.name()))]))
                    aria-current=[(*tab == present).then_some("page")] { (viewer.say(tab.word())) }
            }
        }
    }
}

fn list(viewer: &Viewer, rows: &[(Word, Markup)]) -> Markup {
    html! {
        dl.parameters {
            @for (word, value) in rows { div { dt { (viewer.say(*word)) } dd { (value) } } }
        }
    }
}

fn instance_parameters(viewer: &Viewer, row: &InstanceRow) -> Markup {
    let language = viewer.language;
    let public = |of: &dyn Fn(&super::rows::PublicPart) -> Markup| match &row.public {
        Some(public) => of(public),
        None => html! { span.quiet { (viewer.say(Word::NoPublicIp)) } },
    };
    let mbps = |mbps: u32| html! { (language.tell(Word::Mbps, &[&mbps])) };
    let kind = |public: &super::rows::PublicPart| {
        html! {
            (viewer.say(parts::kind(public)))
            @if let PublicKind::Eip(id) = &public.kind { " " a href=(format!("{}/{id}", addresses::PATH)) { (id) } }
        }
    };
    let billing = match row.billing {
        Billing::Postpaid => viewer.say(Word::Postpaid).to_owned(),
        Billing::Prepaid { until } => language.tell(Word::Prepaid, &[&until]),
    };
    list(
        viewer,
        &[
            (Word::Id, copyable(language, &row.id)),
            (Word::Name, html! { (row.name.as_deref().unwrap_or(viewer.say(Word::Unnamed))) }),
            (Word::State, parts::state(language, row.state)),
            (Word::Since, html! { (moment(row.since)) " UTC" }),
            (
                Word::PublicIpv4,
                public(&|public| html! { (copyable(language, public.address)) (fence_mark(language, public.fenced)) }),
            ),
            (Word::PublicKind, public(&kind)),
            (Word::PrivateIpv4, copyable(language, row.private)),
            (Word::Vpc, html! { (row.vpc) }),
            (Word::Bandwidth, public(&|public| mbps(public.bandwidth_mbps))),
            (Word::ChargeType, public(&|public| charge_type(language, public.charge_type, public.package.as_ref()))),
            (Word::InstanceBandwidth, mbps(row.bandwidth_mbps)),
            (Word::Billing, html! { (billing) }),
            (Word::Created, html! { (moment(row.created)) " UTC" }),
        ],
    )
}

/// What its owner has said of it by way of the API, where anything was said.
fn remembered(viewer: &Viewer, detail: &InstanceDetail) -> Markup {
    let tags: Vec<String> = detail.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let operation = detail.operation.as_ref().map(|it| format!("{} ({})", it.name, it.request));
    let said: [(Word, Option<String>); 7] = [
        (Word::Zone, detail.zone.clone()),
        (Word::InstanceType, detail.instance_type.clone()),
        (Word::Image, detail.image.clone()),
        (Word::Subnet, detail.subnet.clone()),
        (Word::HostName, detail.host_name.clone()),
        (Word::Tags, (!tags.is_empty()).then(|| tags.join(", "))),
        (Word::LatestOperation, operation),
    ];
    let said: Vec<(Word, Markup)> =
        said.into_iter().filter_map(|(word, text)| Some((word, html! { (text?) }))).collect();
    html! {
        @if !said.is_empty() {
            h2 { (viewer.say(Word::Remembered)) }
            (list(viewer, &said))
        }
    }
}

fn eip_parameters(viewer: &Viewer, row: &EipRow) -> Markup {
    let language = viewer.language;
    list(
        viewer,
        &[
            (Word::Id, copyable(language, &row.id)),
            (Word::Name, html! { (row.name.as_deref().unwrap_or(viewer.say(Word::Unnamed))) }),
            (Word::State, addresses::state(viewer, row)),
            (Word::Address, html! { (copyable(language, row.address)) (fence_mark(language, row.fenced)) }),
            (Word::BoundTo, addresses::bound_to(viewer, row)),
            (Word::Bandwidth, html! { (language.tell(Word::Mbps, &[&row.bandwidth_mbps])) }),
            (Word::ChargeType, charge_type(language, row.charge_type, row.package.as_ref())),
            (Word::Created, html! { (moment(row.created)) " UTC" }),
        ],
    )
}
