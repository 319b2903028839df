//! A call whose sender is known, whatever way it came.

use serde_json::Value;

use crate::address::AccountId;
use crate::credentials::Access;

/// A call whose sender is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The service that the client signed for, like `vpc`; some clients sign for something else.
    pub service_hint: Option<String>,
    /// The account it is made for.
    pub account: AccountId,
    /// What the sender may do.
    pub access: Access,
    /// Its name, like `DescribeAddresses`.
    pub action: String,
    /// The version of the action's form, like `2017-03-12`.
    pub version: String,
    /// The region asked; absent for calls that are about none.
    pub region: Option<String>,
    /// In which language messages are wanted.
    pub language: Language,
    /// The parameters, always an object. Where they came flattened in a query, every leaf is a string.
    pub params: Value,
    /// The id that the answer carries, for what remembers the call.
    pub request_id: String,
}

/// In which language messages are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// `zh-CN`, which is what clients say when nobody chose.
    Chinese,
    /// `en-US`, and where nothing is said.
    #[default]
    English,
}
