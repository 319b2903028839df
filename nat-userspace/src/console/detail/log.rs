//! What happened to an instance or an EIP, as the history has it.

use maud::{Markup, html};

use crate::address::{Event, EventKind};
use crate::console::frame::Viewer;
use crate::console::parts::moment;
use crate::console::words::Word;

/// Events shown.
pub(in crate::console) const MOST: usize = 200;

pub(super) fn log(viewer: &Viewer, events: Option<&[Event]>) -> Markup {
    let Some(events) = events else { return html! { p.quiet { (viewer.say(Word::HistoryUnreadable)) } } };
    if events.is_empty() {
        return html! {
            h2 { (viewer.say(Word::NoHistory)) }
            p.quiet { (viewer.say(Word::NoHistoryExplained)) }
        };
    }
    let columns = [Word::When, Word::What, Word::Address, Word::Eip, Word::Detail, Word::Revision];
    let or_dash = |text: Option<String>| html! { @match text { Some(text) => (text), None => span.quiet { "–" } } };
    let row = |event: &Event| {
        html! {
            tr {
                td data-label=(viewer.say(Word::When)) { (moment(event.at)) }
                th scope="row" data-label=(viewer.say(Word::What)) { (viewer.say(word(event.kind))) }
                td.mono data-label=(viewer.say(Word::Address)) { (or_dash(event.address.map(|it| it.to_string()))) }
                td.mono data-label=(viewer.say(Word::Eip)) { (or_dash(event.eip.as_ref().map(ToString::to_string))) }
                td data-label=(viewer.say(Word::Detail)) { (or_dash(event.detail.clone())) }
                td.mono data-label=(viewer.say(Word::Revision)) { (event.revision) }
            }
        }
    };
    html! {
        @if events.len() >= MOST { p.quiet { (viewer.language.tell(Word::LatestOnly, &[&MOST])) } }
        div.table-wrap {
            table.list.log {
                caption.visually-hidden { (viewer.say(Word::OperationLog)) }
                thead { tr { @for column in columns { th scope="col" { (viewer.say(column)) } } } }
                tbody { @for event in events { (row(event)) } }
            }
        }
    }
}

fn word(kind: EventKind) -> Word {
    match kind {
        EventKind::InstanceCreated => Word::InstanceCreated,
        EventKind::InstanceTerminated => Word::InstanceTerminated,
        EventKind::InstanceMoved => Word::InstanceMoved,
        EventKind::InstanceRenewed => Word::InstanceRenewed,
        EventKind::InstanceChanged => Word::InstanceChanged,
        EventKind::OrdinaryAssigned => Word::OrdinaryAssigned,
        EventKind::OrdinaryReleased => Word::OrdinaryReleased,
        EventKind::EipAllocated => Word::EipAllocated,
        EventKind::EipBound => Word::EipBound,
        EventKind::EipUnbound => Word::EipUnbound,
        EventKind::EipReleased => Word::EipReleased,
        EventKind::Imported => Word::Imported,
        EventKind::Converted => Word::Converted,
        EventKind::EipChanged => Word::EipChanged,
        EventKind::Recorded => Word::Recorded,
        EventKind::AddressFenced => Word::AddressFenced,
        EventKind::AddressUnfenced => Word::AddressUnfenced,
        _ => Word::OtherEvent,
    }
}
