//! Facts as lines of the log.

use crate::address::{Fact, InstanceState};

/// What a fact says to people. None for what is kept for the ledger's own use.
pub(super) fn describe(fact: &Fact) -> Option<String> {
    Some(match fact {
        Fact::InstanceCreated(new) => format!("instance {} created: {} in {}", new.id, new.private, new.vpc),
        Fact::InstanceTerminated { instance } => format!("instance {instance} terminated"),
        Fact::InstanceMoved { instance, state: InstanceState::Shutdown, .. } => {
            format!("instance {instance} went to the recycle bin")
        }
        Fact::InstanceMoved { instance, state, .. } => format!("instance {instance} is {state}"),
        Fact::InstanceRenewed { instance, until } => format!("instance {instance} is paid for until {until}"),
        Fact::InstanceTerms { instance, bandwidth_mbps, charge_type, package } => {
            let package = package.as_ref().map(|package| format!(", in package {package}")).unwrap_or_default();
            format!("instance {instance} has {bandwidth_mbps} Mbit/s, charged as {charge_type}{package}")
        }
        Fact::InstanceAltered { instance, detail, .. } => {
            match detail.as_ref().and_then(|detail| detail.operation.as_ref()) {
                Some(operation) => format!("instance {instance}: {} by request {}", operation.name, operation.request),
                None => format!("instance {instance} has other attributes"),
            }
        }
        Fact::OrdinaryAssigned { instance, address } => format!("instance {instance} got ordinary public IP {address}"),
        Fact::OrdinaryReleased { instance, address, .. } => {
            format!("instance {instance} gave up ordinary public IP {address}")
        }
        Fact::OrdinaryConverted { instance, eip } => {
            format!("ordinary public IP {} of instance {instance} is EIP {} now", eip.address, eip.id)
        }
        Fact::EipAllocated(eip) => format!("EIP {} allocated: {}", eip.id, eip.address),
        Fact::EipChanged { eip, terms } => {
            let package = terms.package.as_ref().map(|package| format!(", in package {package}")).unwrap_or_default();
            let blocked = if terms.blocked { ", blocked" } else { "" };
            let arrears = if terms.arrears { ", in arrears" } else { "" };
            let (mbps, charge_type) = (terms.bandwidth_mbps, terms.charge_type);
            format!("EIP {eip} has {mbps} Mbit/s, charged as {charge_type}{package}{blocked}{arrears}")
        }
        Fact::EipBound { eip, instance } => format!("EIP {eip} bound to instance {instance}"),
        Fact::EipUnbound { eip, instance } => format!("EIP {eip} unbound from instance {instance}"),
        Fact::EipReleased { eip, address, .. } => format!("EIP {eip} released: {address}"),
        Fact::PackageCreated(package) => format!("package {} created", package.id),
        Fact::PackageChanged(package) => match package.bandwidth_mbps {
            Some(mbps) => format!("package {} has {mbps} Mbit/s", package.id),
            None => format!("package {} has no limit", package.id),
        },
        Fact::PackageDeleted { package } => format!("package {package} deleted"),
        Fact::DuplicateMarked { address } => format!("{address} set aside"),
        Fact::DuplicateCleared { address } => format!("{address} no longer set aside"),
        Fact::AddressFenced { address, fence } => match &fence.reason {
            Some(reason) => format!("{address} fenced: {reason}"),
            None => format!("{address} fenced"),
        },
        Fact::AddressUnfenced { address } => format!("{address} no longer fenced"),
        Fact::PoolAdded { range } => format!("pool {} added", range.prefix()),
        Fact::PoolDrained { prefix, .. } => format!("pool {prefix} drains"),
        Fact::PoolResumed { prefix, .. } => format!("pool {prefix} drains no more"),
        Fact::PoolRemoved { prefix, .. } => format!("pool {prefix} removed"),
        Fact::DayCounted(_) | Fact::TokenUsed(_) | Fact::TokenForgotten { .. } => return None,
    })
}
