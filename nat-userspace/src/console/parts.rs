//! Pieces that several pages are made of.

use std::fmt::Display;
use std::net::Ipv4Addr;

use maud::{Markup, html};

use super::request::link;
use super::rows::{InstanceRow, PublicKind, PublicPart};
use super::words::{Language, Word};
use crate::address::{ChargeType, InstanceState, PackageId, StopMode, Time};

/// Text with a button that copies it.
pub(super) fn copyable(language: Language, text: impl Display) -> Markup {
    let text = text.to_string();
    html! {
        span.copyable {
            span.mono { (text) }
            button.copy type="button" data-copy=(text) aria-label=(language.tell(Word::Copy, &[&text])) {
                svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true" focusable="false" {
                    rect x="5.5" y="5.5" width="8" height="8" rx="1.5" fill="none" stroke="currentColor" {}
                    path d="M10.5 3.5v-.5a1 1 0 0 0-1-1h-6a1 1 0 0 0-1 1v6a1 1 0 0 0 1 1h.5" fill="none" stroke="currentColor" {}
                }
            }
        }
    }
}

/// Both addresses of an instance, one below the other.
pub(super) fn both_addresses(language: Language, row: &InstanceRow) -> Markup {
    html! {
        @match &row.public {
            Some(public) => div.address {
                (copyable(language, public.address)) " " span.side { "(" (language.say(Word::Public)) ")" }
                (fence_mark(language, public.fenced))
            },
            None => div.address.quiet { (language.say(Word::NoPublicIp)) },
        }
        div.address { (copyable(language, row.private)) " " span.side { "(" (language.say(Word::Private)) ")" } }
    }
}

/// Says that an address is out of service.
pub(super) fn fence_mark(language: Language, fenced: bool) -> Markup {
    html! {
        @if fenced {
            " " span.badge.bad title=(language.say(Word::FencedExplained)) { (language.say(Word::Fenced)) }
        }
    }
}

/// How far an instance is in its life.
pub(super) fn state(language: Language, state: InstanceState) -> Markup {
    let class = match state {
        InstanceState::Pending => "wait",
        InstanceState::Running => "good",
        InstanceState::Stopped(_) => "off",
        InstanceState::Shutdown => "bad",
    };
    dot(class, language.say(state_word(state)))
}

pub(super) fn state_word(state: InstanceState) -> Word {
    match state {
        InstanceState::Pending => Word::Pending,
        InstanceState::Running => Word::Running,
        InstanceState::Stopped(StopMode::KeepCharging) => Word::Stopped,
        InstanceState::Stopped(StopMode::StopCharging) => Word::StoppedFree,
        InstanceState::Shutdown => Word::Shutdown,
    }
}

/// A coloured dot beside the word that says the same.
pub(super) fn dot(class: &str, word: &str) -> Markup {
    html! { span.state { span.dot.(class) aria-hidden="true" {} (word) } }
}

pub(super) fn charge_type(language: Language, charge_type: ChargeType, package: Option<&PackageId>) -> Markup {
    html! {
        (language.say(charge_word(charge_type)))
        @if let Some(package) = package { div.quiet { (language.tell(Word::InPackage, &[package])) } }
    }
}

pub(super) fn charge_word(charge_type: ChargeType) -> Word {
    match charge_type {
        ChargeType::BandwidthPostpaidByHour => Word::ByBandwidth,
        ChargeType::TrafficPostpaidByHour => Word::ByTraffic,
        ChargeType::BandwidthPackage => Word::ByPackage,
        ChargeType::BandwidthPrepaid => Word::ByMonth,
    }
}

pub(super) fn kind(public: &PublicPart) -> Word {
    match public.kind {
        PublicKind::Eip(_) => Word::Eip,
        PublicKind::Ordinary => Word::Ordinary,
    }
}

/// A small plot of what an address carries, which the script keeps moving.
pub(super) fn plot(language: Language, address: Ipv4Addr) -> Markup {
    html! {
        div.live data-live=(address) {
            svg.plot viewBox="0 0 120 28" preserveAspectRatio="none" role="img"
                aria-label=(language.tell(Word::TrafficOf, &[&address])) {
                polyline.in points="" {}
                polyline.out points="" {}
            }
            div.rates {
                span.rate.in { abbr title=(language.say(Word::Inbound)) { "↓" } " " span data-rate="in" { "–" } }
                span.rate.out { abbr title=(language.say(Word::Outbound)) { "↑" } " " span data-rate="out" { "–" } }
            }
        }
    }
}

/// A moment, in UTC, which is for others to say.
pub(super) fn moment(time: Time) -> Markup {
    let text = time.to_string();
    let shown = text.split('.').next().unwrap_or(&text).trim_end_matches('Z').replace('T', " ");
    html! { time datetime=(text) { (shown) } }
}

/// A button that opens a dialog; without the script, the dialog as a page.
pub(super) fn deed(language: Language, deed: &str, of: &[(&str, Option<&str>)], label: Word, class: &str) -> Markup {
    html! { a.(class) href=(link(&format!("/do/{deed}"), of)) data-dialog { (language.say(label)) } }
}

/// What stands where there is nothing to list. The script looks whether there is by now.
pub(super) fn empty(title: &str, explained: &str, way_on: Option<Markup>) -> Markup {
    html! {
        div.empty data-list {
            svg viewBox="0 0 64 48" width="72" height="54" aria-hidden="true" focusable="false" {
                rect x="4" y="10" width="56" height="28" rx="4" fill="none" stroke="currentColor" stroke-width="1.5" stroke-dasharray="4 3" {}
                circle cx="18" cy="24" r="4" fill="none" stroke="currentColor" stroke-width="1.5" {}
                path d="M22 24h20m-5-5 5 5-5 5" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round" {}
            }
            h2 { (title) }
            p { (explained) }
            @if let Some(way_on) = way_on { div.way-on { (way_on) } }
        }
    }
}

/// A whole number with its thousands apart.
pub(super) fn number(number: usize) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        let shown = [0, 7, 999, 1000, 65_536, 1_000_000].map(number);
        assert_eq!(shown, ["0", "7", "999", "1,000", "65,536", "1,000,000"]);
    }

    #[test]
    fn what_comes_from_outside_is_escaped() {
        let copied = copyable(Language::English, "<b>\"'&").into_string();
        assert!(!copied.contains("<b>") && copied.contains("&lt;b&gt;&quot;"), "{copied}");
    }
}
