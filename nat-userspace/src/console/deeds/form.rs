//! The forms.

use maud::{Markup, html};

use super::super::frame::{Section, Viewer, frame};
use super::super::parts::charge_word;
use super::super::request::Fields;
use super::super::rows::{EipRow, InstanceRow, PublicKind};
use super::super::words::Word;
use super::perform::Trouble;
use super::{CHARGES, Deed, Offer, Subject, called, may_have_ordinary, refused};
use crate::address::{ChargeType, PackageId};
use crate::gateway::GatewayError;

/// What is wrong, as a form says it.
pub(in crate::console) enum Complaint {
    /// In the page's language.
    Ours(Word),
    /// The gateway has refused.
    Gateways(GatewayError),
}

impl From<Trouble> for Complaint {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Form(word) => Complaint::Ours(word),
            Trouble::Refused(error) => Complaint::Gateways(error),
        }
    }
}

/// What a form is filled with.
struct Filled<'a> {
    viewer: &'a Viewer,
    fields: &'a Fields,
    token: &'a str,
}

impl Filled<'_> {
    fn say(&self, word: Word) -> &'static str {
        self.viewer.say(word)
    }

    fn tell(&self, word: Word, with: &[&dyn std::fmt::Display]) -> String {
        self.viewer.language.tell(word, with)
    }
}

/// What makes a form of a deed.
struct Form {
    title: Word,
    submit: Word,
    dangerous: bool,
    body: Markup,
}

/// The form as it stands in a dialog. `token` makes it safe to send it twice.
pub(in crate::console) fn dialog(
    viewer: &Viewer,
    deed: Deed,
    subject: &Subject,
    fields: &Fields,
    token: &str,
    complaint: Option<&Complaint>,
) -> Markup {
    let filled = Filled { viewer, fields, token };
    let form = form(&filled, deed, subject);
    let csrf = viewer.who.as_ref().map(|who| who.csrf.as_str());
    let back = fields.get("back").unwrap_or("/");
    html! {
        form.deed-form method="post" action=(format!("/do/{}", deed.name())) data-deed=(deed.name()) {
            h2 #dialog-title { (viewer.say(form.title)) }
            @if let Some(complaint) = complaint { (complain(viewer, complaint)) }
            input type="hidden" name="csrf" value=[csrf];
            input type="hidden" name="back" value=(back);
            (form.body)
            div.buttons {
                a.button href=(back) data-close { (viewer.say(Word::Cancel)) }
                button.primary.danger[form.dangerous] type="submit" { (viewer.say(form.submit)) }
            }
        }
    }
}

/// The form as a page of its own.
pub(in crate::console) fn page(viewer: &Viewer, dialog: Markup) -> Markup {
    let content = html! { div.panel.narrow.alone { (dialog) } };
    frame(viewer, Section::None, "eipgate", content)
}

/// What stands in the place of a form that there cannot be.
pub(in crate::console) fn trouble(viewer: &Viewer, complaint: &Complaint) -> Markup {
    html! {
        div.deed-form {
            h2 #dialog-title { (viewer.say(Word::Forbidden)) }
            (complain(viewer, complaint))
            div.buttons { a.button href="/" data-close { (viewer.say(Word::Close)) } }
        }
    }
}

/// A sentence about what is wrong.
fn complain(viewer: &Viewer, complaint: &Complaint) -> Markup {
    html! {
        div.notice.bad role="alert" tabindex="-1" data-focus {
            @match complaint {
                Complaint::Ours(word) => (viewer.say(*word)),
                Complaint::Gateways(error) => {
                    strong { (viewer.say(Word::Refused)) }
                    @match refused::told(viewer.language, error) {
                        // A Chinese colon has its blank in itself.
                        Some(sentence) => (sentence),
                        None => { " " span lang="en" { (error) } },
                    }
                }
            }
        }
    }
}

fn form(filled: &Filled<'_>, deed: Deed, subject: &Subject) -> Form {
    let of = |title, submit, body| Form { title, submit, dangerous: false, body };
    match (deed, subject) {
        (Deed::Allocate, Subject::New(packages)) => of(Word::Allocate, Word::Allocate, allocate(filled, packages)),
        (Deed::Bind, Subject::Eip(eip, _)) => of(Word::BindEip, Word::Bind, bind_eip(filled, eip)),
        (Deed::Bind, Subject::Instance(row, offers)) => {
            of(Word::BindEip, Word::Bind, bind_instance(filled, row, offers.as_deref()))
        }
        (Deed::Unbind, Subject::Eip(eip, assigns)) => {
            Form { dangerous: true, ..of(Word::UnbindEip, Word::Unbind, unbind(filled, eip, *assigns)) }
        }
        (Deed::Release, Subject::Eip(eip, _)) => {
            let body = html! {
                p { (filled.tell(Word::ReleaseExplained, &[&eip.address])) }
                input type="hidden" name="eip" value=(eip.id);
            };
            Form { dangerous: true, ..of(Word::ReleaseEip, Word::Release, body) }
        }
        (Deed::Convert, Subject::Instance(row, _)) => of(Word::Convert, Word::Convert, convert(filled, row)),
        (Deed::Rename, Subject::Eip(eip, _)) => of(Word::Rename, Word::Save, rename_eip(filled, eip)),
        (Deed::Rename, Subject::Instance(row, _)) => of(Word::Rename, Word::Save, rename_instance(filled, row)),
        (_, Subject::Eip(eip, _)) => of(Word::AdjustBandwidth, Word::Save, eip_bandwidth(filled, eip)),
        (_, Subject::Instance(row, _)) => of(Word::AdjustBandwidth, Word::Save, instance_bandwidth(filled, row)),
        (_, Subject::New(packages)) => of(Word::Allocate, Word::Allocate, allocate(filled, packages)),
    }
}

fn allocate(filled: &Filled<'_>, packages: &[(PackageId, Option<String>)]) -> Markup {
    let present = filled.fields.get("charge").unwrap_or(ChargeType::OF_EIPS.as_str());
    html! {
        p { (filled.say(Word::AllocateExplained)) }
        input type="hidden" name="token" value=(filled.fields.get("token").unwrap_or(filled.token));
        (name(filled, filled.fields.get("name"), false))
        div.field {
            label for="charge" { (filled.say(Word::ChargeType)) }
            select #charge name="charge" {
                @for charge in CHARGES {
                    option value=(charge) selected[charge.as_str() == present] { (filled.say(charge_word(charge))) }
                }
                @for (id, name) in packages {
                    option value=(format!("package:{id}")) selected[present.strip_prefix("package:") == Some(id.as_str())] {
                        (filled.tell(Word::InPackage, &[id])) @if let Some(name) = name { " (" (name) ")" }
                    }
                }
            }
        }
        (bandwidth(filled, filled.fields.get("bandwidth").unwrap_or("1"), 1))
    }
}

fn name(filled: &Filled<'_>, value: Option<&str>, needed: bool) -> Markup {
    html! {
        div.field {
            label for="name" {
                (filled.say(Word::Name)) @if !needed { " " span.quiet { "(" (filled.say(Word::Optional)) ")" } }
            }
            input #name type="text" name="name" maxlength="128" autocomplete="off" value=[value] required[needed] autofocus;
        }
    }
}

fn bandwidth(filled: &Filled<'_>, value: &str, least: u32) -> Markup {
    html! {
        div.field {
            label for="bandwidth" { (filled.say(Word::BandwidthMbps)) }
            input #bandwidth type="number" name="bandwidth" min=(least) step="1" inputmode="numeric" required
                value=(value) aria-describedby="bandwidth-hint";
            p.hint #bandwidth-hint { (filled.say(Word::BandwidthOnlyRecorded)) }
        }
    }
}

fn bind_eip(filled: &Filled<'_>, eip: &EipRow) -> Markup {
    html! {
        p { strong.mono { (eip.address) } " (" (eip.id) ")" }
        p { (filled.say(Word::BindExplained)) }
        input type="hidden" name="of" value="eip";
        input type="hidden" name="eip" value=(eip.id);
        div.field {
            label for="instance" { (filled.say(Word::WhichInstance)) }
            input #instance type="text" name="instance" required autofocus autocomplete="off" spellcheck="false"
                list="instances" data-choices="/choices" aria-describedby="instance-hint"
                value=[filled.fields.get("instance")];
            datalist #instances {}
            p.hint #instance-hint { (filled.say(Word::WhichInstanceHint)) }
        }
    }
}

fn bind_instance(filled: &Filled<'_>, row: &InstanceRow, offers: Option<&[Offer]>) -> Markup {
    let ordinary = row.public.as_ref().filter(|public| public.kind == PublicKind::Ordinary);
    let present = filled.fields.get("eip");
    html! {
        p { strong { (row.called()) } " " span.mono { (row.private) } }
        @match ordinary {
            Some(public) => p { (filled.tell(Word::BindLoses, &[&row.called(), &public.address])) },
            None => p { (filled.say(Word::BindAtOnce)) },
        }
        input type="hidden" name="of" value="instance";
        input type="hidden" name="instance" value=(row.id);
        div.field {
            label for="eip" { (filled.say(Word::WhichEip)) }
            @match offers {
                Some(offers) if !offers.is_empty() => {
                    select #eip name="eip" required autofocus {
                        @for offer in offers {
                            option value=(offer.id) selected[present == Some(offer.id.as_str())] {
                                (offer.address) " · " (offer.name.as_deref().unwrap_or(offer.id.as_str()))
                            }
                        }
                    }
                }
                _ => {
                    input #eip type="text" name="eip" required autofocus autocomplete="off" spellcheck="false"
                        aria-describedby="eip-hint" value=[present];
                    p.hint #eip-hint { (filled.say(Word::WhichEipHint)) }
                }
            }
        }
    }
}

fn unbind(filled: &Filled<'_>, eip: &EipRow, assigns: bool) -> Markup {
    let served = eip.bound_to.as_ref();
    let possible = served.is_some_and(may_have_ordinary);
    let hint = if possible { Word::ReallocateExplained } else { Word::ReallocateImpossible };
    let instance = served.map_or_else(String::new, |bound| called(bound.name.as_ref(), &bound.id));
    html! {
        p { (filled.tell(Word::UnbindExplained, &[&eip.address, &instance])) }
        input type="hidden" name="eip" value=(eip.id);
        div.field.choice {
            input #reallocate type="checkbox" name="reallocate" value="yes" checked[possible && assigns]
                disabled[!possible] aria-describedby="reallocate-hint";
            label for="reallocate" { (filled.say(Word::Reallocate)) }
            p.hint #reallocate-hint { (filled.say(hint)) }
        }
    }
}

fn convert(filled: &Filled<'_>, row: &InstanceRow) -> Markup {
    let address = row.public.as_ref().map_or_else(String::new, |public| public.address.to_string());
    html! {
        p { (filled.tell(Word::ConvertExplained, &[&address, &row.called()])) }
        input type="hidden" name="instance" value=(row.id);
        (name(filled, filled.fields.get("name"), false))
    }
}

fn rename_instance(filled: &Filled<'_>, row: &InstanceRow) -> Markup {
    html! {
        p { strong { (row.called()) } " " span.mono { (row.private) } }
        input type="hidden" name="of" value="instance";
        input type="hidden" name="instance" value=(row.id);
        (name(filled, filled.fields.get("name").or(row.name.as_deref()), true))
    }
}

fn rename_eip(filled: &Filled<'_>, eip: &EipRow) -> Markup {
    html! {
        p { strong.mono { (eip.address) } " (" (eip.id) ")" }
        input type="hidden" name="of" value="eip";
        input type="hidden" name="eip" value=(eip.id);
        (name(filled, filled.fields.get("name").or(eip.name.as_deref()), true))
    }
}

fn charge(filled: &Filled<'_>, present: ChargeType, package: Option<&PackageId>) -> Markup {
    if let Some(package) = package {
        return html! { p.quiet { (filled.tell(Word::BandwidthOfPackage, &[package])) } };
    }
    let wanted = filled.fields.get("charge").and_then(|text| text.parse().ok()).unwrap_or(present);
    let offered = CHARGES.into_iter().chain((!CHARGES.contains(&present)).then_some(present));
    html! {
        div.field {
            label for="charge" { (filled.say(Word::ChargeType)) }
            select #charge name="charge" {
                @for charge in offered {
                    option value=(charge) selected[charge == wanted] { (filled.say(charge_word(charge))) }
                }
            }
        }
    }
}

fn eip_bandwidth(filled: &Filled<'_>, eip: &EipRow) -> Markup {
    let mbps = eip.bandwidth_mbps.to_string();
    html! {
        p { strong.mono { (eip.address) } " (" (eip.id) ")" }
        input type="hidden" name="of" value="eip";
        input type="hidden" name="eip" value=(eip.id);
        (bandwidth(filled, filled.fields.get("bandwidth").unwrap_or(&mbps), 1))
        (charge(filled, eip.charge_type, eip.package.as_ref()))
    }
}

fn instance_bandwidth(filled: &Filled<'_>, row: &InstanceRow) -> Markup {
    let mbps = row.bandwidth_mbps.to_string();
    html! {
        p { strong { (row.called()) } " " span.mono { (row.private) } }
        input type="hidden" name="of" value="instance";
        input type="hidden" name="instance" value=(row.id);
        (bandwidth(filled, filled.fields.get("bandwidth").unwrap_or(&mbps), 0))
        (charge(filled, row.charge_type, row.package.as_ref()))
    }
}
