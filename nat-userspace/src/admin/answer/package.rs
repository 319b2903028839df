//! Requests about bandwidth packages.

use super::{Answer, rows};
use crate::address::{AccountId, ChargeType, Command, Member, Package, PackageId, Time, UnknownChargeType};
use crate::admin::wire::{Complaint, PackageRow, Request};
use crate::gateway::{GatewayError, Operations};

pub(super) fn answer(request: Request, gateway: &mut dyn Operations) -> Result<Answer, Complaint> {
    match request {
        Request::PackageCreate { account, name, bandwidth_mbps } => {
            let id = gateway.new_package_id();
            let account = account.parse()?;
            let package =
                Package { id: id.clone(), account, name, bandwidth_mbps, created: Time::default(), detail: None };
            gateway.perform(Command::CreatePackage(package))?;
            Ok(Answer::Package(row(gateway, &id)))
        }
        Request::PackageList { account } => {
            let account: AccountId = account.parse()?;
            let ledger = gateway.ledger();
            let owned = ledger.packages().filter(|package| package.account == account);
            Ok(Answer::Packages(owned.map(|package| rows::package(ledger, package)).collect()))
        }
        Request::PackageShow { account, package } => {
            let id = package_id(gateway, &account.parse()?, &package)?;
            Ok(Answer::Package(row(gateway, &id)))
        }
        Request::PackageDelete { account, package } => {
            let account: AccountId = account.parse()?;
            let package = package_id(gateway, &account, &package)?;
            let before = row(gateway, &package);
            gateway.perform(Command::DeletePackage { account, package })?;
            Ok(Answer::Package(before))
        }
        Request::PackageAdd { account, package, member } => {
            let (account, package, member) = named(gateway, &account, &package, &member)?;
            gateway.perform(Command::AddMember { account, package: package.clone(), member })?;
            Ok(Answer::Package(row(gateway, &package)))
        }
        Request::PackageRemove { account, package, member } => {
            let (account, package, member) = named(gateway, &account, &package, &member)?;
            gateway.perform(Command::RemoveMember { account, package: package.clone(), member })?;
            Ok(Answer::Package(row(gateway, &package)))
        }
        other => unreachable!("{} is answered elsewhere", other.name()),
    }
}

/// The charge type asked for; where none is, a package says it.
pub(super) fn charge_type(
    asked: Option<String>,
    package: Option<&PackageId>,
    otherwise: ChargeType,
) -> Result<ChargeType, UnknownChargeType> {
    match (asked, package) {
        (Some(text), _) => text.parse(),
        (None, Some(_)) => Ok(ChargeType::BandwidthPackage),
        (None, None) => Ok(otherwise),
    }
}

fn named(
    gateway: &dyn Operations,
    account: &str,
    package: &str,
    member: &str,
) -> Result<(AccountId, PackageId, Member), Complaint> {
    let account: AccountId = account.parse()?;
    let package = package_id(gateway, &account, package)?;
    let member = gateway.ledger().find_member(&account, member).map_err(GatewayError::from)?;
    Ok((account, package, member))
}

fn package_id(gateway: &dyn Operations, account: &AccountId, selector: &str) -> Result<PackageId, Complaint> {
    Ok(gateway.ledger().find_package(account, selector).map_err(GatewayError::from)?.id.clone())
}

fn row(gateway: &dyn Operations, id: &PackageId) -> PackageRow {
    let ledger = gateway.ledger();
    rows::package(ledger, ledger.package(id).expect("the package was found or made just now"))
}
