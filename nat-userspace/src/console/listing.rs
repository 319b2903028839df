//! What an account owns, in the order of ids, from the n-th on.

use crate::address::{AccountId, Eip, Instance, Ledger, Package};

pub(super) fn instances<'a>(
    ledger: &'a Ledger,
    account: &'a AccountId,
    from: usize,
) -> impl Iterator<Item = &'a Instance> {
    ledger.instances().filter(move |instance| instance.account == *account).skip(from)
}

pub(super) fn instance_count(ledger: &Ledger, account: &AccountId) -> usize {
    instances(ledger, account, 0).count()
}

/// Those with an ordinary public IP.
pub(super) fn ordinary<'a>(
    ledger: &'a Ledger,
    account: &'a AccountId,
    from: usize,
) -> impl Iterator<Item = &'a Instance> {
    instances(ledger, account, 0).filter(|instance| instance.ordinary.is_some()).skip(from)
}

pub(super) fn ordinary_count(ledger: &Ledger, account: &AccountId) -> usize {
    ordinary(ledger, account, 0).count()
}

pub(super) fn eips<'a>(ledger: &'a Ledger, account: &'a AccountId, from: usize) -> impl Iterator<Item = &'a Eip> {
    ledger.eips().filter(move |eip| eip.account == *account).skip(from)
}

/// Those that are bound, or those that are not.
pub(super) fn bound<'a>(
    ledger: &'a Ledger,
    account: &'a AccountId,
    bound: bool,
    from: usize,
) -> impl Iterator<Item = &'a Eip> {
    eips(ledger, account, 0).filter(move |eip| eip.bound_to.is_some() == bound).skip(from)
}

pub(super) fn bound_count(ledger: &Ledger, account: &AccountId, is_bound: bool) -> usize {
    bound(ledger, account, is_bound, 0).count()
}

pub(super) fn packages<'a>(ledger: &'a Ledger, account: &'a AccountId) -> impl Iterator<Item = &'a Package> {
    ledger.packages().filter(move |package| package.account == *account)
}
