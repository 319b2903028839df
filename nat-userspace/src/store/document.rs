//! The JSON document of version 1, and the domain's snapshot it stands for.

use std::net::Ipv4Addr;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::address::{Eip, IdError, Instance, Snapshot, Time};

use super::StoreError;

const VERSION: u64 = 1;

/// All that is read before the version is known.
#[derive(Deserialize)]
struct Header {
    version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u64,
    instances: Vec<StoredInstance>,
    eips: Vec<StoredEip>,
    released: Vec<StoredRelease>,
    duplicates: Vec<Ipv4Addr>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredInstance {
    id: String,
    account: String,
    vpc: String,
    private: Ipv4Addr,
    name: Option<String>,
    bandwidth_mbps: u32,
    charge_type: String,
    ordinary: Option<Ipv4Addr>,
    last_ordinary: Option<Ipv4Addr>,
    created_ms: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredEip {
    id: String,
    account: String,
    address: Ipv4Addr,
    name: Option<String>,
    bound_to: Option<String>,
    created_ms: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredRelease {
    address: Ipv4Addr,
    at_ms: u64,
}

/// Why text is not a document this version can use.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    Corrupt(String),
    Newer(u64),
}

impl Unreadable {
    pub(super) fn at(self, path: &Path) -> StoreError {
        let path = path.to_owned();
        match self {
            Unreadable::Corrupt(problem) => StoreError::Corrupt { path, problem },
            Unreadable::Newer(found) => StoreError::Newer { path, found, known: VERSION },
        }
    }
}

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Self {
        Unreadable::Corrupt(error.to_string())
    }
}

impl From<IdError> for Unreadable {
    fn from(error: IdError) -> Self {
        Unreadable::Corrupt(error.to_string())
    }
}

pub(super) fn write(content: &Snapshot) -> Vec<u8> {
    let document = Document {
        version: VERSION,
        instances: content.instances.iter().map(StoredInstance::from).collect(),
        eips: content.eips.iter().map(StoredEip::from).collect(),
        released: content
            .released
            .iter()
            .map(|(address, at)| StoredRelease { address: *address, at_ms: at.0 })
            .collect(),
        duplicates: content.duplicates.clone(),
    };
    serde_json::to_vec(&document).expect("the document has string keys only and its parts never fail to serialize")
}

pub(super) fn read(text: &[u8]) -> Result<Snapshot, Unreadable> {
    let Header { version } = serde_json::from_slice(text)?;
    match version {
        VERSION => {}
        0 => return Err(Unreadable::Corrupt("format version 0 never existed".into())),
        newer => return Err(Unreadable::Newer(newer)),
    }
    let document: Document = serde_json::from_slice(text)?;
    Ok(Snapshot {
        instances: document.instances.into_iter().map(Instance::try_from).collect::<Result<_, _>>()?,
        eips: document.eips.into_iter().map(Eip::try_from).collect::<Result<_, _>>()?,
        released: document.released.into_iter().map(|release| (release.address, Time(release.at_ms))).collect(),
        duplicates: document.duplicates,
    })
}

impl From<&Instance> for StoredInstance {
    fn from(instance: &Instance) -> Self {
        StoredInstance {
            id: instance.id.to_string(),
            account: instance.account.to_string(),
            vpc: instance.vpc.to_string(),
            private: instance.private,
            name: instance.name.clone(),
            bandwidth_mbps: instance.bandwidth_mbps,
            charge_type: instance.charge_type.to_string(),
            ordinary: instance.ordinary,
            last_ordinary: instance.last_ordinary,
            created_ms: instance.created.0,
        }
    }
}

impl TryFrom<StoredInstance> for Instance {
    type Error = Unreadable;

    fn try_from(stored: StoredInstance) -> Result<Self, Unreadable> {
        let charge_type = stored.charge_type.parse();
        Ok(Instance {
            id: stored.id.parse()?,
            account: stored.account.parse()?,
            vpc: stored.vpc.parse()?,
            private: stored.private,
            name: stored.name,
            bandwidth_mbps: stored.bandwidth_mbps,
            charge_type: charge_type
                .map_err(|error: crate::address::UnknownChargeType| Unreadable::Corrupt(error.to_string()))?,
            ordinary: stored.ordinary,
            last_ordinary: stored.last_ordinary,
            created: Time(stored.created_ms),
        })
    }
}

impl From<&Eip> for StoredEip {
    fn from(eip: &Eip) -> Self {
        StoredEip {
            id: eip.id.to_string(),
            account: eip.account.to_string(),
            address: eip.address,
            name: eip.name.clone(),
            bound_to: eip.bound_to.as_ref().map(ToString::to_string),
            created_ms: eip.created.0,
        }
    }
}

impl TryFrom<StoredEip> for Eip {
    type Error = Unreadable;

    fn try_from(stored: StoredEip) -> Result<Self, Unreadable> {
        Ok(Eip {
            id: stored.id.parse()?,
            account: stored.account.parse()?,
            address: stored.address,
            name: stored.name,
            bound_to: stored.bound_to.map(|id| id.parse()).transpose()?,
            created: Time(stored.created_ms),
        })
    }
}
