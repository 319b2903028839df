//! What can be done here: for each deed a form that says what will come of it, and what comes of it.
//!
//! A form is a dialog over the page where the script runs, and a page of its own where it does not. What the gateway
//! refuses is said in the form, in the page's language, and what was typed stays.

mod form;
mod perform;
mod refused;

use crate::address::{AccountId, ChargeType, EipId, InstanceId, OnUnbind, PackageId};
use crate::gateway::{GatewayError, Operations};

use super::request::Fields;
use super::rows::{self, BoundTo, EipRow, InstanceRow};

pub(super) use self::form::{Complaint, dialog, page, trouble};
pub(super) use self::perform::perform;

/// EIPs offered as a list; of more, the one meant is written.
const OFFERED: usize = 100;
/// Packages offered.
const PACKAGES: usize = 100;

/// Something that can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Allocate,
    Bind,
    Unbind,
    Release,
    Convert,
    Bandwidth,
    Rename,
}

impl Deed {
    pub(super) const ALL: [Deed; 7] =
        [Deed::Allocate, Deed::Bind, Deed::Unbind, Deed::Release, Deed::Convert, Deed::Bandwidth, Deed::Rename];

    pub(super) fn name(self) -> &'static str {
        match self {
            Deed::Allocate => "allocate",
            Deed::Bind => "bind",
            Deed::Unbind => "unbind",
            Deed::Release => "release",
            Deed::Convert => "convert",
            Deed::Bandwidth => "bandwidth",
            Deed::Rename => "rename",
        }
    }

    pub(super) fn of_path(path: &str) -> Option<Deed> {
        let name = path.strip_prefix("/do/")?;
        Deed::ALL.into_iter().find(|deed| deed.name() == name)
    }
}

/// What a form is about, as it is when the form is shown.
pub(super) enum Subject {
    /// Nothing yet, and these packages to choose from.
    New(Vec<(PackageId, Option<String>)>),
    /// An EIP, and whether its instance gets an ordinary public IP when nobody says.
    Eip(EipRow, bool),
    /// An instance, and the EIPs it could have; `None` of them where they are too many to list.
    Instance(InstanceRow, Option<Vec<Offer>>),
}

/// An EIP that is not bound.
pub(super) struct Offer {
    id: EipId,
    address: std::net::Ipv4Addr,
    name: Option<String>,
}

/// Looks up what a form is about.
pub(super) fn subject(
    deed: Deed,
    operations: &mut dyn Operations,
    account: &AccountId,
    fields: &Fields,
) -> Result<Subject, GatewayError> {
    let ledger = operations.ledger();
    if deed == Deed::Allocate {
        let packages = ledger.packages_from(account, 0).take(PACKAGES);
        return Ok(Subject::New(packages.map(|package| (package.id.clone(), package.name.clone())).collect()));
    }
    let about_eip = match deed {
        Deed::Unbind | Deed::Release => true,
        Deed::Convert => false,
        _ => fields.get("of").map_or(fields.get("eip").is_some(), |of| of == "eip"),
    };
    if !about_eip {
        let instance = ledger.find_instance(account, fields.get("instance").unwrap_or_default(), None)?;
        let row = rows::instance(ledger, instance);
        let unbound = ledger.bound_count(account, false);
        let offer = |eip: &crate::address::Eip| Offer {
            id: eip.id.clone(),
            address: eip.address,
            name: eip.terms.name.clone(),
        };
        let offers = ledger.bound_from(account, false, 0).take(OFFERED).map(offer);
        return Ok(Subject::Instance(row, (unbound <= OFFERED).then(|| offers.collect())));
    }
    let eip = ledger.find_eip(account, fields.get("eip").unwrap_or_default())?;
    let assigns = ledger.policy().on_unbind == OnUnbind::NewOrdinary;
    Ok(Subject::Eip(rows::eip(ledger, eip), assigns))
}

/// The charge types a form offers where no package is meant.
const CHARGES: [ChargeType; 2] = [ChargeType::TrafficPostpaidByHour, ChargeType::BandwidthPostpaidByHour];

/// An instance as its owner calls it.
fn called(name: Option<&String>, id: &InstanceId) -> String {
    name.cloned().unwrap_or_else(|| id.to_string())
}

/// Whether an instance could have an ordinary public IP.
fn may_have_ordinary(bound: &BoundTo) -> bool {
    bound.bandwidth_mbps > 0
}
