//! Doing it: from the form's fields to a command, and from its change to a sentence.

use std::fmt::Display;
use std::net::Ipv4Addr;

use super::super::request::Fields;
use super::super::words::{Language, Word};
use super::{Deed, called};
use crate::address::{
    AccountId, Change, ChargeType, ClientToken, Command, EipChanges, EipId, Fact, Instance, InstanceChanges,
    InstanceId, Made, NewEip, PackageId, Reallocate,
};
use crate::gateway::{GatewayError, Operations};

/// What was done, to be told in any language.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::console) struct Done {
    word: Word,
    with: Vec<String>,
}

impl Done {
    fn new(word: Word, with: &[&dyn Display]) -> Done {
        Done { word, with: with.iter().map(ToString::to_string).collect() }
    }

    pub(in crate::console) fn tell(&self, language: Language) -> String {
        let with: Vec<&dyn Display> = self.with.iter().map(|text| text as &dyn Display).collect();
        language.tell(self.word, &with)
    }
}

/// Why it was not done.
#[derive(Debug)]
pub(in crate::console) enum Trouble {
    /// The form does not say enough, or nothing that can be meant.
    Form(Word),
    /// The gateway refused.
    Refused(GatewayError),
}

impl From<GatewayError> for Trouble {
    fn from(error: GatewayError) -> Self {
        Trouble::Refused(error)
    }
}

/// Does what the form asks, for the account.
pub(in crate::console) fn perform(
    deed: Deed,
    operations: &mut dyn Operations,
    account: &AccountId,
    form: &Fields,
) -> Result<Done, Trouble> {
    match deed {
        Deed::Allocate => allocate(operations, account, form),
        Deed::Bind => bind(operations, account, form),
        Deed::Unbind => unbind(operations, account, form),
        Deed::Release => release(operations, account, form),
        Deed::Convert => convert(operations, account, form),
        Deed::Bandwidth => change_bandwidth(operations, account, form),
        Deed::Rename => rename(operations, account, form),
    }
}

fn required<'a>(form: &'a Fields, name: &str) -> Result<&'a str, Trouble> {
    form.get(name).ok_or(Trouble::Form(Word::NothingChosen))
}

fn bandwidth(form: &Fields) -> Result<u32, Trouble> {
    required(form, "bandwidth")?.parse().map_err(|_| Trouble::Form(Word::NoNumber))
}

/// How the form wants it charged: by a package where it names one.
fn charge(form: &Fields) -> Result<Option<(ChargeType, Option<PackageId>)>, Trouble> {
    let Some(text) = form.get("charge") else { return Ok(None) };
    let unknown = Trouble::Form(Word::NothingChosen);
    match text.strip_prefix("package:") {
        Some(package) => match package.parse() {
            Ok(package) => Ok(Some((ChargeType::BandwidthPackage, Some(package)))),
            Err(_) => Err(unknown),
        },
        None => text.parse().map(|charge_type| Some((charge_type, None))).map_err(|_| unknown),
    }
}

fn eip(operations: &dyn Operations, account: &AccountId, selector: &str) -> Result<(EipId, Ipv4Addr), GatewayError> {
    let eip = operations.ledger().find_eip(account, selector)?;
    Ok((eip.id.clone(), eip.address))
}

fn instance<'a>(
    operations: &'a dyn Operations,
    account: &AccountId,
    selector: &str,
) -> Result<&'a Instance, GatewayError> {
    Ok(operations.ledger().find_instance(account, selector, None)?)
}

fn name_of(operations: &dyn Operations, id: &InstanceId) -> String {
    operations.ledger().instance(id).map_or_else(|| id.to_string(), |instance| called(instance.name.as_ref(), id))
}

fn allocate(operations: &mut dyn Operations, account: &AccountId, form: &Fields) -> Result<Done, Trouble> {
    let mut new = NewEip::new(operations.new_eip_id(), account.clone());
    new.bandwidth_mbps = bandwidth(form)?;
    new.name = form.get("name").map(str::to_owned);
    if let Some((charge_type, package)) = charge(form)? {
        (new.charge_type, new.package) = (charge_type, package);
    }
    // Sent twice, as by an impatient second click, it gives one EIP.
    let token: Option<ClientToken> = form.get("token").and_then(|token| token.parse().ok());
    new.token = token.clone();
    let drawn = new.id.clone();
    operations.perform(Command::AllocateEip(new))?;
    let made = token.and_then(|token| operations.ledger().made_with(account, &token));
    let id = match made {
        Some(Made::Eip(id)) => id.clone(),
        _ => drawn,
    };
    let address = operations.ledger().eip(&id).map_or_else(String::new, |eip| eip.address.to_string());
    Ok(Done::new(Word::Allocated, &[&address, &id]))
}

fn bind(operations: &mut dyn Operations, account: &AccountId, form: &Fields) -> Result<Done, Trouble> {
    let (eip, address) = eip(operations, account, required(form, "eip")?)?;
    let found = instance(operations, account, required(form, "instance")?)?;
    let (instance, called) = (found.id.clone(), called(found.name.as_ref(), &found.id));
    let change = operations.perform(Command::BindEip { account: account.clone(), eip, instance })?;
    let released = change.facts.iter().find_map(|fact| match fact {
        Fact::OrdinaryReleased { address, .. } => Some(*address),
        _ => None,
    });
    Ok(match released {
        Some(released) => Done::new(Word::BoundReleasing, &[&address, &called, &released]),
        None => Done::new(Word::Bound, &[&address, &called]),
    })
}

fn unbind(operations: &mut dyn Operations, account: &AccountId, form: &Fields) -> Result<Done, Trouble> {
    let (eip, address) = eip(operations, account, required(form, "eip")?)?;
    let reallocate = if form.get("reallocate").is_some() { Reallocate::Yes } else { Reallocate::No };
    let served = operations.ledger().eip(&eip).and_then(|eip| eip.bound_to.clone());
    let change = operations.perform(Command::UnbindEip { account: account.clone(), eip, reallocate })?;
    let called = served.map_or_else(String::new, |id| name_of(operations, &id));
    Ok(match assigned(&change) {
        Some(assigned) => Done::new(Word::UnboundAssigning, &[&address, &called, &assigned]),
        None => Done::new(Word::Unbound, &[&address, &called]),
    })
}

fn assigned(change: &Change) -> Option<Ipv4Addr> {
    change.facts.iter().find_map(|fact| match fact {
        Fact::OrdinaryAssigned { address, .. } => Some(*address),
        _ => None,
    })
}

fn release(operations: &mut dyn Operations, account: &AccountId, form: &Fields) -> Result<Done, Trouble> {
    let (eip, address) = eip(operations, account, required(form, "eip")?)?;
    let change = operations.perform(Command::ReleaseEip { account: account.clone(), eip })?;
    let until = change.at.after(operations.ledger().pool().cool_down());
    Ok(Done::new(Word::Released, &[&address, &until]))
}

fn convert(operations: &mut dyn Operations, account: &AccountId, form: &Fields) -> Result<Done, Trouble> {
    let found = instance(operations, account, required(form, "instance")?)?;
    let (instance, address) = (found.id.clone(), found.ordinary);
    let (id, name) = (operations.new_eip_id(), form.get("name").map(str::to_owned));
    operations.perform(Command::ConvertOrdinary { id: id.clone(), account: account.clone(), instance, name })?;
    let address = address.map_or_else(String::new, |address| address.to_string());
    Ok(Done::new(Word::ConvertedNow, &[&address, &id]))
}

fn change_bandwidth(operations: &mut dyn Operations, account: &AccountId, form: &Fields) -> Result<Done, Trouble> {
    let mbps = bandwidth(form)?;
    let charge_type = charge(form)?.map(|(charge_type, _)| charge_type);
    if form.get("of") == Some("instance") {
        let found = instance(operations, account, required(form, "instance")?)?;
        let (instance, called) = (found.id.clone(), called(found.name.as_ref(), &found.id));
        let bandwidth_mbps = Some(mbps).filter(|mbps| *mbps != found.bandwidth_mbps);
        let charge_type = charge_type.filter(|it| *it != found.charge_type);
        if bandwidth_mbps.is_some() || charge_type.is_some() {
            let account = account.clone();
            operations.perform(Command::ModifyInstance { account, instance, bandwidth_mbps, charge_type })?;
        }
        return Ok(Done::new(Word::Saved, &[&called]));
    }
    let found = operations.ledger().find_eip(account, required(form, "eip")?).map_err(GatewayError::from)?;
    let (eip, address) = (found.id.clone(), found.address);
    let bandwidth_mbps = Some(mbps).filter(|mbps| *mbps != found.terms.bandwidth_mbps);
    let charge_type = charge_type.filter(|it| *it != found.terms.charge_type);
    if bandwidth_mbps.is_some() || charge_type.is_some() {
        let changes = EipChanges { bandwidth_mbps, charge_type, ..EipChanges::default() };
        operations.perform(Command::ModifyEip { account: account.clone(), eip, changes })?;
    }
    Ok(Done::new(Word::Saved, &[&address]))
}

fn rename(operations: &mut dyn Operations, account: &AccountId, form: &Fields) -> Result<Done, Trouble> {
    if form.get("of") == Some("instance") {
        let instance = instance(operations, account, required(form, "instance")?)?.id.clone();
        let name = required(form, "name")?.to_owned();
        let changes = InstanceChanges { name: Some(name.clone()), ..InstanceChanges::default() };
        operations.perform(Command::AlterInstance { account: account.clone(), instance, changes })?;
        return Ok(Done::new(Word::Saved, &[&name]));
    }
    let (eip, address) = eip(operations, account, required(form, "eip")?)?;
    let changes = EipChanges { name: Some(Some(required(form, "name")?.to_owned())), ..EipChanges::default() };
    operations.perform(Command::ModifyEip { account: account.clone(), eip, changes })?;
    Ok(Done::new(Word::Saved, &[&address]))
}
