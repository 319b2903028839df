//! What an address carries, drawn large. The script keeps it moving.

use std::net::Ipv4Addr;

use maud::{Markup, html};

use crate::console::frame::Viewer;
use crate::console::words::Word;

pub(super) fn monitor(viewer: &Viewer, address: Option<Ipv4Addr>, counting: bool) -> Markup {
    let Some(address) = address else { return html! { p.quiet { (viewer.say(Word::NothingToMeasure)) } } };
    if !counting {
        return html! { p.quiet { (viewer.say(Word::NotCounted)) } };
    }
    html! {
        p.quiet { (viewer.say(Word::LastMinutes)) }
        div.monitor data-live=(address) {
            (figure(viewer, Word::BandwidthPlot, "bytes"))
            (figure(viewer, Word::PacketsPlot, "packets"))
            table.totals {
                caption { (viewer.say(Word::SinceBound)) }
                thead { tr {
                    td {}
                    th scope="col" { (viewer.say(Word::Inbound)) }
                    th scope="col" { (viewer.say(Word::Outbound)) }
                } }
                tbody {
                    tr {
                        th scope="row" { (viewer.say(Word::Packets)) }
                        td data-total="packets-in" { "–" } td data-total="packets-out" { "–" }
                    }
                    tr {
                        th scope="row" { (viewer.say(Word::Bytes)) }
                        td data-total="bytes-in" { "–" } td data-total="bytes-out" { "–" }
                    }
                }
            }
        }
    }
}

fn figure(viewer: &Viewer, title: Word, of: &str) -> Markup {
    let rate = |side: &str| format!("{of}-{side}");
    html! {
        figure {
            figcaption {
                strong { (viewer.say(title)) }
                span.rate.in { (viewer.say(Word::Inbound)) " " span data-rate=(rate("in")) { "–" } }
                span.rate.out { (viewer.say(Word::Outbound)) " " span data-rate=(rate("out")) { "–" } }
                span.quiet { (viewer.say(Word::Peak)) " " span data-peak=(of) { "–" } }
            }
            svg.plot.large viewBox="0 0 600 120" preserveAspectRatio="none" role="img" data-plot=(of)
                aria-label=(viewer.say(title)) {
                line x1="0" y1="40" x2="600" y2="40" {}
                line x1="0" y1="80" x2="600" y2="80" {}
                polyline.in points="" {}
                polyline.out points="" {}
            }
        }
    }
}
