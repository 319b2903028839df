//! What the gateway knows of the way to an instance, and what it does not.

use maud::{Markup, html};

use crate::address::InstanceState;
use crate::console::frame::Viewer;
use crate::console::parts::dot;
use crate::console::rows::InstanceRow;
use crate::console::words::Word;
use crate::gateway::{Traffic, Vitals};

/// The findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::console) struct Health {
    uplinks: bool,
    /// Unless the VPC has no downlink of its own.
    downlink: Option<bool>,
    in_step: bool,
    /// What the address carried, where that is known.
    traffic: Option<Traffic>,
}

impl Health {
    pub(in crate::console) fn new(vitals: &Vitals, vpc: &str, traffic: Option<Traffic>) -> Health {
        let status = &vitals.status;
        let attached = |of: &dyn Fn(&str, Option<&str>) -> bool| {
            let mut links = status.plane.links.iter().filter(|link| of(&link.side, link.vpc.as_deref())).peekable();
            links.peek().is_some().then(|| links.all(|link| link.attached && link.up))
        };
        Health {
            uplinks: attached(&|side, _| side == "uplink").unwrap_or(false),
            downlink: attached(&|side, of| side == "downlink" && of == Some(vpc)),
            in_step: !status.dirty,
            traffic,
        }
    }
}

pub(super) fn health(viewer: &Viewer, row: &InstanceRow, health: &Health) -> Markup {
    let carried = |of: &dyn Fn(&Traffic) -> u64| health.traffic.as_ref().map(|traffic| of(traffic) > 0);
    let in_service = row.public.as_ref().map(|public| !public.fenced);
    let on_downlink = viewer.language.tell(Word::CheckDownlink, &[&row.vpc]);
    let checks: [(&str, Option<bool>); 8] = [
        (viewer.say(Word::CheckState), Some(row.state == InstanceState::Running)),
        (viewer.say(Word::CheckPublic), Some(row.public.is_some())),
        (viewer.say(Word::CheckService), in_service),
        (viewer.say(Word::CheckUplinks), Some(health.uplinks)),
        (&on_downlink, health.downlink),
        (viewer.say(Word::CheckMaps), Some(health.in_step)),
        (viewer.say(Word::CheckIn), carried(&|traffic| traffic.packets_in)),
        (viewer.say(Word::CheckOut), carried(&|traffic| traffic.packets_out)),
    ];
    let finding = |found: Option<bool>| match found {
        Some(true) => dot("good", viewer.say(Word::Yes)),
        Some(false) => dot("bad", viewer.say(Word::No)),
        None => dot("off", viewer.say(Word::Unknown)),
    };
    html! {
        p.quiet { (viewer.say(Word::HealthExplained)) }
        table.checks {
            caption.visually-hidden { (viewer.say(Word::Health)) }
            tbody { @for (what, found) in checks { tr { th scope="row" { (what) } td { (finding(found)) } } } }
        }
    }
}

/// What stands in the place of security groups. `named` are those that its owner has named for it all the same.
pub(super) fn security(viewer: &Viewer, named: &[String]) -> Markup {
    let always = [Word::SecuritySpoofed, Word::SecurityMartian, Word::SecurityUnbound, Word::SecurityPrivate];
    html! {
        p { (viewer.say(Word::SecurityExplained)) }
        @if !named.is_empty() { p { (viewer.language.tell(Word::SecurityNamed, &[&named.join(", ")])) } }
        h2 { (viewer.say(Word::SecurityAlways)) }
        ul { @for one in always { li { (viewer.say(one)) } } }
    }
}
