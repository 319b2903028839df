//! What is remembered of objects beside what the gateway needs: one text for each object of which anything is.

use std::collections::BTreeMap;

use rusqlite::Row;
use serde::{Deserialize, Serialize};
use serde_json::Error;

use super::read::Unreadable;
use crate::address::{EipDetail, InstanceDetail, Operation, PackageDetail, Prepaid, Renewal, Time};

/// Version 5. Each text is a JSON object, of which what is empty is left out.
pub(super) const STEP: &str = "
ALTER TABLE instances ADD COLUMN detail TEXT;
ALTER TABLE eips ADD COLUMN detail TEXT;
ALTER TABLE packages ADD COLUMN detail TEXT;
";

/// Version 6: an EIP's text may say what becomes of it when it is paid for no more. The tables are the same, but no
/// earlier version reads that.
pub(super) const RENEWALS: &str = "";

/// A detail as it is stored.
pub(super) trait Stored: Sized {
    /// Its text; none where there is nothing to remember.
    fn text(&self) -> Option<String>;

    /// What the text says.
    fn parsed(text: &str) -> Result<Self, Error>;
}

#[derive(Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct StoredInstance {
    #[serde(skip_serializing_if = "Option::is_none")]
    zone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subnet: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    security_groups: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host_name: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uuid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_data: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    protected: bool,
    /// Its name and its request.
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<(String, String)>,
}

#[derive(Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct StoredEip {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
    #[serde(skip_serializing_if = "is_zero")]
    charge_changes: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    paid_until_ms: Option<u64>,
    /// Absent where the owner is told and may pay.
    #[serde(skip_serializing_if = "Option::is_none")]
    renewal: Option<StoredRenewal>,
}

#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredRenewal {
    Automatic,
    Never,
}

#[derive(Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct StoredPackage {
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    charge: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn text(stored: &impl Serialize) -> Option<String> {
    let text = serde_json::to_string(stored).expect("texts, numbers and maps by text are JSON");
    Some(text).filter(|text| text != "{}")
}

impl Stored for InstanceDetail {
    fn text(&self) -> Option<String> {
        let detail = self.clone();
        text(&StoredInstance {
            zone: detail.zone,
            image: detail.image,
            instance_type: detail.instance_type,
            subnet: detail.subnet,
            security_groups: detail.security_groups,
            host_name: detail.host_name,
            tags: detail.tags,
            uuid: detail.uuid,
            user_data: detail.user_data,
            protected: detail.protected,
            operation: detail.operation.map(|operation| (operation.name, operation.request)),
        })
    }

    fn parsed(text: &str) -> Result<Self, Error> {
        let stored: StoredInstance = serde_json::from_str(text)?;
        Ok(InstanceDetail {
            zone: stored.zone,
            image: stored.image,
            instance_type: stored.instance_type,
            subnet: stored.subnet,
            security_groups: stored.security_groups,
            host_name: stored.host_name,
            tags: stored.tags,
            uuid: stored.uuid,
            user_data: stored.user_data,
            protected: stored.protected,
            operation: stored.operation.map(|(name, request)| Operation { name, request }),
        })
    }
}

impl Stored for EipDetail {
    fn text(&self) -> Option<String> {
        let EipDetail { tags, provider, charge_changes, prepaid } = self.clone();
        let renewal = prepaid.and_then(|prepaid| match prepaid.renewal {
            Renewal::Automatic => Some(StoredRenewal::Automatic),
            Renewal::Manual => None,
            Renewal::Never => Some(StoredRenewal::Never),
        });
        let paid_until_ms = prepaid.map(|prepaid| prepaid.until.0);
        text(&StoredEip { tags, provider, charge_changes, paid_until_ms, renewal })
    }

    fn parsed(text: &str) -> Result<Self, Error> {
        let StoredEip { tags, provider, charge_changes, paid_until_ms, renewal } = serde_json::from_str(text)?;
        let renewal = match renewal {
            Some(StoredRenewal::Automatic) => Renewal::Automatic,
            Some(StoredRenewal::Never) => Renewal::Never,
            None => Renewal::Manual,
        };
        let prepaid = paid_until_ms.map(|until| Prepaid { until: Time(until), renewal });
        Ok(EipDetail { tags, provider, charge_changes, prepaid })
    }
}

impl Stored for PackageDetail {
    fn text(&self) -> Option<String> {
        let PackageDetail { network, charge, tags } = self.clone();
        text(&StoredPackage { network, charge, tags })
    }

    fn parsed(text: &str) -> Result<Self, Error> {
        let StoredPackage { network, charge, tags } = serde_json::from_str(text)?;
        Ok(PackageDetail { network, charge, tags })
    }
}

/// The text of what is remembered, if anything is.
pub(super) fn column<D: Stored>(detail: Option<&D>) -> Option<String> {
    detail.and_then(Stored::text)
}

/// What is remembered, if anything is.
pub(super) fn detail<D: Stored>(row: &Row<'_>, column: usize) -> Result<Option<Box<D>>, Unreadable> {
    let text = row.get_ref(column)?.as_str_or_null()?;
    let parsed = text.map(D::parsed).transpose().map_err(|problem| Unreadable::Value(problem.to_string()))?;
    Ok(parsed.map(Box::new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_an_eip_is_renewed_is_kept_and_was_by_its_owner_before_it_was_told() {
        for (renewal, written) in [
            (Renewal::Automatic, r#"{"paid_until_ms":7,"renewal":"automatic"}"#),
            (Renewal::Manual, r#"{"paid_until_ms":7}"#),
            (Renewal::Never, r#"{"paid_until_ms":7,"renewal":"never"}"#),
        ] {
            let detail = EipDetail { prepaid: Some(Prepaid { until: Time(7), renewal }), ..EipDetail::default() };
            assert_eq!(detail.text().as_deref(), Some(written));
            assert_eq!(EipDetail::parsed(written).unwrap(), detail);
        }
    }
}
