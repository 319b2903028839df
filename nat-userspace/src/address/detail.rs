//! What people and their clients want remembered about an object, and what changes no packet: kept apart, so that the
//! many objects of which nothing of it was ever said cost nothing.

use std::collections::BTreeMap;

use super::decide::check_name;
use super::{AccountId, Fact, Instance, InstanceId, Ledger, Package, PackageId, Refusal, Time};

/// The image of an instance of which none was said.
pub const DEFAULT_IMAGE: &str = "img-00000000";
/// What kind an instance is of which nothing was said.
const DEFAULT_INSTANCE_TYPE: &str = "S5.MEDIUM2";
/// The subnet of an instance of which none was said.
const DEFAULT_SUBNET: &str = "subnet-default";

/// Labels, by key.
pub type Tags = BTreeMap<String, String>;

/// What is remembered of an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the cloud API's own, which says what each is")]
pub struct InstanceDetail {
    pub zone: Option<String>,
    pub image: Option<String>,
    pub instance_type: Option<String>,
    pub subnet: Option<String>,
    pub security_groups: Vec<String>,
    pub host_name: Option<String>,
    pub tags: Tags,
    pub uuid: Option<String>,
    /// As it was given, in base64.
    pub user_data: Option<String>,
    /// Not to be terminated by way of the API.
    pub protected: bool,
    /// What was done to it last.
    pub operation: Option<Operation>,
}

/// What was done to an instance, and by which request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The API's name of it.
    pub name: String,
    /// The id of the request that asked for it.
    pub request: String,
}

/// What is remembered of an EIP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EipDetail {
    /// Labels.
    pub tags: Tags,
    /// Whose lines it is on, where that is not all of them.
    pub provider: Option<String>,
    /// How often its charge type was changed.
    pub charge_changes: u32,
    /// How it is paid for in advance, where it is.
    pub prepaid: Option<Prepaid>,
}

/// Bandwidth paid for in advance. Nothing is billed here: this is what was agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prepaid {
    /// Up to when.
    pub until: Time,
    /// What becomes of it then.
    pub renewal: Renewal,
}

/// What becomes at its end of something paid for in advance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// It is paid for once more.
    Automatic,
    /// Its owner is told, and may pay.
    Manual,
    /// It ends, and nobody is told.
    Never,
}

impl Renewal {
    /// The cloud API's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Renewal::Automatic => "NOTIFY_AND_AUTO_RENEW",
            Renewal::Manual => "NOTIFY_AND_MANUAL_RENEW",
            Renewal::Never => "DISABLE_NOTIFY_AND_MANUAL_RENEW",
        }
    }
}

/// What is remembered of a bandwidth package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackageDetail {
    /// The API's name of the kind of lines it is for.
    pub network: Option<String>,
    /// The API's name of how it is charged.
    pub charge: Option<String>,
    /// Labels.
    pub tags: Tags,
}

/// What a [`Command::AlterInstance`](super::Command::AlterInstance) asks to be different; what it does not name stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "named like what they change")]
pub struct InstanceChanges {
    pub name: Option<String>,
    pub security_groups: Option<Vec<String>>,
    pub host_name: Option<String>,
    pub user_data: Option<String>,
    pub tags: Option<Tags>,
    pub protected: Option<bool>,
    pub operation: Option<Operation>,
}

/// What a [`Command::ModifyPackage`](super::Command::ModifyPackage) asks to be different; what it does not name stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "named like what they change")]
pub struct PackageChanges {
    pub name: Option<String>,
    /// None inside is no limit.
    pub bandwidth_mbps: Option<Option<u32>>,
    pub charge: Option<String>,
    pub tags: Option<Tags>,
}

/// Nothing, where what is said is nothing.
pub(super) fn remembered<D: Default + PartialEq>(detail: Option<Box<D>>) -> Option<Box<D>> {
    detail.filter(|detail| **detail != D::default())
}

impl Instance {
    /// What is remembered of it; most is as if nothing were known where nothing was said.
    pub fn detail(&self) -> InstanceDetail {
        self.detail.as_deref().cloned().unwrap_or_default()
    }

    /// The zone that was said, if one was.
    pub fn zone(&self) -> Option<&str> {
        self.said(|detail| detail.zone.as_deref())
    }

    /// What it runs.
    pub fn image(&self) -> &str {
        self.said(|detail| detail.image.as_deref()).unwrap_or(DEFAULT_IMAGE)
    }

    /// What kind it is.
    pub fn instance_type(&self) -> &str {
        self.said(|detail| detail.instance_type.as_deref()).unwrap_or(DEFAULT_INSTANCE_TYPE)
    }

    /// The part of its VPC it is in.
    pub fn subnet(&self) -> &str {
        self.said(|detail| detail.subnet.as_deref()).unwrap_or(DEFAULT_SUBNET)
    }

    /// The security groups it is in; the gateway does nothing about them.
    pub fn security_groups(&self) -> &[String] {
        self.said(|detail| Some(detail.security_groups.as_slice())).unwrap_or_default()
    }

    /// Unique over all there is.
    pub fn uuid(&self) -> Option<&str> {
        self.said(|detail| detail.uuid.as_deref())
    }

    /// What it is to be told as it was given, in base64.
    pub fn user_data(&self) -> Option<&str> {
        self.said(|detail| detail.user_data.as_deref())
    }

    fn said<'a, T: ?Sized>(&'a self, what: impl FnOnce(&'a InstanceDetail) -> Option<&'a T>) -> Option<&'a T> {
        self.detail.as_deref().and_then(what)
    }
}

impl Ledger {
    pub(super) fn alter_instance_detail(
        &self,
        account: &AccountId,
        id: &InstanceId,
        changes: InstanceChanges,
    ) -> Result<Vec<Fact>, Refusal> {
        let instance = self.owned_instance(account, id)?;
        if let Some(name) = changes.name.as_deref().filter(|name| instance.name.as_deref() != Some(*name)) {
            super::decide::check_instance_name(name)?;
        }
        let name = changes.name.or_else(|| instance.name.clone());
        let present = instance.detail();
        let detail = InstanceDetail {
            security_groups: changes.security_groups.unwrap_or(present.security_groups),
            host_name: changes.host_name.or(present.host_name),
            user_data: changes.user_data.or(present.user_data),
            tags: changes.tags.unwrap_or(present.tags),
            protected: changes.protected.unwrap_or(present.protected),
            operation: changes.operation.or(present.operation),
            zone: present.zone,
            image: present.image,
            instance_type: present.instance_type,
            subnet: present.subnet,
            uuid: present.uuid,
        };
        if name == instance.name && detail == instance.detail() {
            return Ok(vec![]);
        }
        Ok(vec![Fact::InstanceAltered { instance: id.clone(), name, detail: remembered(Some(Box::new(detail))) }])
    }

    pub(super) fn modify_package(
        &self,
        account: &AccountId,
        id: &PackageId,
        changes: PackageChanges,
    ) -> Result<Vec<Fact>, Refusal> {
        let present = self.find_package(account, id.as_str())?;
        changes.name.as_deref().map_or(Ok(()), check_name)?;
        let bandwidth_mbps = changes.bandwidth_mbps.unwrap_or(present.bandwidth_mbps);
        if bandwidth_mbps == Some(0) {
            return Err(Refusal::BandwidthNeeded);
        }
        let mut package = Package { bandwidth_mbps, ..present.clone() };
        package.name = changes.name.or(package.name);
        if changes.charge.is_some() || changes.tags.is_some() {
            let detail = package.detail.get_or_insert_default();
            detail.charge = changes.charge.or(detail.charge.take());
            detail.tags = changes.tags.unwrap_or(std::mem::take(&mut detail.tags));
            package.detail = remembered(package.detail);
        }
        Ok(if package == *present { vec![] } else { vec![Fact::PackageChanged(package)] })
    }
}
