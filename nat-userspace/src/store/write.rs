//! Facts as SQL: each becomes the few rows it is about.

use rusqlite::{Error, Params, Transaction, params};

use super::{details, history, ranges};
use crate::address::{
    Billing, Change, ChargeType, Daily, Eip, EipId, EipTerms, Fact, Instance, InstanceId, InstanceState, Package,
    Standing, StopMode, Time, UsedToken,
};

/// Writes every fact, in order, and what the history tells of it.
pub(super) fn change(transaction: &Transaction<'_>, change: &Change) -> Result<(), Error> {
    let rows = Rows(transaction);
    change.facts.iter().try_for_each(|fact| {
        history::record(transaction, fact, change.at)?;
        rows.write(fact)
    })
}

struct Rows<'a>(&'a Transaction<'a>);

impl Rows<'_> {
    fn write(&self, fact: &Fact) -> Result<(), Error> {
        match fact {
            Fact::InstanceCreated(instance) => self.insert_instance(instance),
            Fact::InstanceTerminated { instance } => {
                self.one("DELETE FROM instances WHERE id = ?", [instance.as_str()])
            }
            Fact::OrdinaryAssigned { instance, address } => {
                self.not_released(address.to_bits())?;
                self.one(
                    "UPDATE instances SET ordinary = ? WHERE id = ?",
                    params![address.to_bits(), instance.as_str()],
                )
            }
            Fact::OrdinaryReleased { instance, address, at } => {
                self.one(
                    "UPDATE instances SET ordinary = NULL, last_ordinary = ? WHERE id = ?",
                    params![address.to_bits(), instance.as_str()],
                )?;
                self.released(address.to_bits(), *at)
            }
            Fact::InstanceMoved { instance, state, owed, at } => self.one(
                "UPDATE instances SET state = ?, owed = ?, since_ms = ? WHERE id = ?",
                params![state_number(*state), owed, at.0, instance.as_str()],
            ),
            Fact::InstanceRenewed { instance, until } => {
                self.one("UPDATE instances SET paid_until_ms = ? WHERE id = ?", params![until.0, instance.as_str()])
            }
            Fact::InstanceTerms { instance, bandwidth_mbps, charge_type, package } => self.one(
                "UPDATE instances SET bandwidth_mbps = ?, charge_type = ?, package = ? WHERE id = ?",
                params![
                    bandwidth_mbps,
                    charge_number(*charge_type),
                    package.as_ref().map(|package| package.as_str()),
                    instance.as_str()
                ],
            ),
            Fact::OrdinaryConverted { instance, eip } => {
                self.one("UPDATE instances SET ordinary = NULL WHERE id = ?", [instance.as_str()])?;
                self.insert_eip(eip)
            }
            Fact::InstanceAltered { instance, name, detail } => self.one(
                "UPDATE instances SET name = ?, detail = ? WHERE id = ?",
                params![name, details::column(detail.as_deref()), instance.as_str()],
            ),
            Fact::EipAllocated(eip) => self.insert_eip(eip),
            Fact::EipChanged { eip, terms } => {
                let EipTerms { name, bandwidth_mbps, charge_type, package, blocked, arrears, detail } = terms;
                self.one(
                    "UPDATE eips SET name = ?, bandwidth_mbps = ?, charge_type = ?, package = ?, blocked = ?, \
                     arrears = ?, detail = ? WHERE id = ?",
                    params![
                        name,
                        bandwidth_mbps,
                        charge_number(*charge_type),
                        package.as_ref().map(|package| package.as_str()),
                        blocked,
                        arrears,
                        details::column(detail.as_deref()),
                        eip.as_str()
                    ],
                )
            }
            Fact::EipBound { eip, instance } => {
                self.one("UPDATE eips SET bound_to = ? WHERE id = ?", [instance.as_str(), eip.as_str()])
            }
            Fact::EipUnbound { eip, .. } => self.one("UPDATE eips SET bound_to = NULL WHERE id = ?", [eip.as_str()]),
            Fact::EipReleased { eip, address, at } => {
                self.one("DELETE FROM eips WHERE id = ?", [eip.as_str()])?;
                self.released(address.to_bits(), *at)
            }
            Fact::PackageCreated(package) => self.insert_package(package),
            Fact::PackageChanged(package) => self.one(
                "UPDATE packages SET name = ?, bandwidth_mbps = ?, detail = ? WHERE id = ?",
                params![
                    package.name,
                    package.bandwidth_mbps,
                    details::column(package.detail.as_deref()),
                    package.id.as_str()
                ],
            ),
            Fact::PackageDeleted { package } => self.one("DELETE FROM packages WHERE id = ?", [package.as_str()]),
            Fact::DayCounted(counted) => self.one(
                "INSERT OR REPLACE INTO days (account, what, day, count) VALUES (?, ?, ?, ?)",
                params![counted.account.as_str(), daily_number(counted.what), counted.day, counted.count],
            ),
            Fact::TokenUsed(used) => self.insert_token(used),
            Fact::TokenForgotten { account, token } => {
                self.one("DELETE FROM tokens WHERE account = ? AND token = ?", [account.as_str(), token.as_str()])
            }
            Fact::DuplicateMarked { address } => {
                self.one("INSERT INTO duplicates (address) VALUES (?)", [address.to_bits()])
            }
            Fact::DuplicateCleared { address } => {
                self.one("DELETE FROM duplicates WHERE address = ?", [address.to_bits()])
            }
            Fact::AddressFenced { address, fence } => ranges::fence(self.0, *address, fence),
            Fact::AddressUnfenced { address } => ranges::unfence(self.0, *address),
            Fact::PoolAdded { range } => ranges::stand(self.0, range.prefix(), Some(Standing::Added)),
            Fact::PoolDrained { prefix, standing } => ranges::stand(self.0, *prefix, Some(*standing)),
            Fact::PoolResumed { prefix, standing } | Fact::PoolRemoved { prefix, standing } => {
                ranges::stand(self.0, *prefix, *standing)
            }
        }
    }

    fn insert_instance(&self, instance: &Instance) -> Result<(), Error> {
        if let Some(address) = instance.ordinary {
            self.not_released(address.to_bits())?;
        }
        self.one(
            "INSERT INTO instances (id, account, vpc, private, name, bandwidth_mbps, charge_type, ordinary, \
             last_ordinary, created_ms, package, paid_until_ms, state, since_ms, owed, detail) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                instance.id.as_str(),
                instance.account.as_str(),
                instance.vpc.as_str(),
                instance.private.to_bits(),
                instance.name,
                instance.bandwidth_mbps,
                charge_number(instance.charge_type),
                instance.ordinary.map(|address| address.to_bits()),
                instance.last_ordinary.map(|address| address.to_bits()),
                instance.created.0,
                instance.package.as_ref().map(|package| package.as_str()),
                match instance.billing {
                    Billing::Postpaid => None,
                    Billing::Prepaid { until } => Some(until.0),
                },
                state_number(instance.state),
                instance.since.0,
                instance.owed,
                details::column(instance.detail.as_deref()),
            ],
        )
    }

    fn insert_eip(&self, eip: &Eip) -> Result<(), Error> {
        self.not_released(eip.address.to_bits())?;
        self.one(
            "INSERT INTO eips (id, account, address, name, bound_to, created_ms, bandwidth_mbps, charge_type, package, \
             blocked, arrears, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                eip.id.as_str(),
                eip.account.as_str(),
                eip.address.to_bits(),
                eip.terms.name,
                eip.bound_to.as_ref().map(|instance| instance.as_str()),
                eip.created.0,
                eip.terms.bandwidth_mbps,
                charge_number(eip.terms.charge_type),
                eip.terms.package.as_ref().map(|package| package.as_str()),
                eip.terms.blocked,
                eip.terms.arrears,
                details::column(eip.terms.detail.as_deref()),
            ],
        )
    }

    fn insert_package(&self, package: &Package) -> Result<(), Error> {
        self.one(
            "INSERT INTO packages (id, account, name, bandwidth_mbps, created_ms, detail) VALUES (?, ?, ?, ?, ?, ?)",
            params![
                package.id.as_str(),
                package.account.as_str(),
                package.name,
                package.bandwidth_mbps,
                package.created.0,
                details::column(package.detail.as_deref())
            ],
        )
    }

    fn insert_token(&self, used: &UsedToken) -> Result<(), Error> {
        let beside = |ids: Vec<&str>| (!ids.is_empty()).then(|| ids.join(" "));
        let instance = beside(used.made.instances().iter().map(InstanceId::as_str).collect());
        let eip = beside(used.made.eips().iter().map(EipId::as_str).collect());
        self.one(
            "INSERT OR REPLACE INTO tokens (account, token, request, instance, eip, at_ms) VALUES (?, ?, ?, ?, ?, ?)",
            params![used.account.as_str(), used.token.as_str(), used.request, instance, eip, used.at.0],
        )
    }

    fn released(&self, address: u32, at: Time) -> Result<(), Error> {
        self.one("INSERT INTO released (address, at_ms) VALUES (?, ?)", params![address, at.0])
    }

    /// An address in use does not rest; most were never used before.
    fn not_released(&self, address: u32) -> Result<(), Error> {
        self.0.prepare_cached("DELETE FROM released WHERE address = ?")?.execute([address]).map(drop)
    }

    /// A statement that concerns one row exactly: a fact about an object that is not stored contradicts the store.
    fn one(&self, sql: &str, values: impl Params) -> Result<(), Error> {
        match self.0.prepare_cached(sql)?.execute(values)? {
            1 => Ok(()),
            other => Err(Error::StatementChangedRows(other)),
        }
    }
}

/// The number that stands for a charge type, for good.
pub(super) fn charge_number(charge_type: ChargeType) -> u8 {
    match charge_type {
        ChargeType::BandwidthPostpaidByHour => 1,
        ChargeType::TrafficPostpaidByHour => 2,
        ChargeType::BandwidthPackage => 3,
        ChargeType::BandwidthPrepaid => 4,
    }
}

/// The number that stands for a state, for good.
pub(super) fn state_number(state: InstanceState) -> u8 {
    match state {
        InstanceState::Pending => 1,
        InstanceState::Running => 2,
        InstanceState::Stopped(StopMode::KeepCharging) => 3,
        InstanceState::Stopped(StopMode::StopCharging) => 4,
        InstanceState::Shutdown => 5,
    }
}

/// The number that stands for what is counted by the day, for good.
pub(super) fn daily_number(what: Daily) -> u8 {
    match what {
        Daily::Applications => 1,
        Daily::Reallocations => 2,
    }
}
