//! What may be agreed on about public bandwidth: how much, how it is charged, and the package that shares it.

use super::{AccountId, ChargeType, Eip, EipTerms, Instance, Ledger, PackageId, Refusal};

/// How an EIP is charged may be changed so often.
const MOST_CHARGE_CHANGES: u32 = 2;

/// Bandwidth as it is agreed on, or as somebody wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Agreement<'a> {
    pub(super) mbps: u32,
    pub(super) charge_type: ChargeType,
    pub(super) package: Option<&'a PackageId>,
}

impl Instance {
    pub(super) fn agreement(&self) -> Agreement<'_> {
        let (mbps, charge_type) = (self.bandwidth_mbps, self.charge_type);
        Agreement { mbps, charge_type, package: self.package.as_ref() }
    }
}

impl EipTerms {
    pub(super) fn agreement(&self) -> Agreement<'_> {
        let (mbps, charge_type) = (self.bandwidth_mbps, self.charge_type);
        Agreement { mbps, charge_type, package: self.package.as_ref() }
    }
}

impl Ledger {
    /// Refuses what cannot be agreed on. What is agreed on already is not judged again: an import, or an earlier version,
    /// may have agreed on more.
    pub(super) fn check_agreement(
        &self,
        account: &AccountId,
        wanted: Agreement<'_>,
        present: Option<Agreement<'_>>,
    ) -> Result<(), Refusal> {
        if present == Some(wanted) {
            return Ok(());
        }
        let Agreement { mbps, charge_type, package } = wanted;
        match package {
            Some(package) => {
                self.find_package(account, package.as_str())?;
                if charge_type != ChargeType::BandwidthPackage {
                    return Err(Refusal::PackageChargeType { package: package.clone(), charge_type });
                }
            }
            None if charge_type == ChargeType::BandwidthPackage => return Err(Refusal::PackageNeeded),
            None => {}
        }
        if mbps > charge_type.most_mbps() {
            return Err(Refusal::BandwidthOutOfRange { mbps, charge_type });
        }
        Ok(())
    }
}

/// Refuses to change once more how an EIP is charged.
pub(super) fn check_charge_change(eip: &Eip) -> Result<(), Refusal> {
    let changes = eip.terms.detail.as_ref().map_or(0, |detail| detail.charge_changes);
    if changes < MOST_CHARGE_CHANGES {
        return Ok(());
    }
    Err(Refusal::ChargeChangesSpent { eip: eip.id.clone(), limit: MOST_CHARGE_CHANGES })
}
