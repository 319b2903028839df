//! Why a call was not done, in the cloud's words.

use std::borrow::Cow;

/// Why a call was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// The cloud's code, like `InvalidParameterValue.Range`; clients decide by it.
    pub code: Cow<'static, str>,
    /// What happened, to which object, and what to do.
    pub message: String,
}

impl ApiError {
    /// With that code.
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> ApiError {
        ApiError { code: code.into(), message: message.into() }
    }
}
