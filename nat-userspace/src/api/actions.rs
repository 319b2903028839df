//! What each action does.

use serde_json::{Map, Value};

use super::call::Call;
use super::error::ApiError;
use crate::config::Config;
use crate::gateway::Handle;

/// An action of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    /// Its name, like `DescribeAddresses`.
    pub name: &'static str,
    /// The versions of its form that are understood.
    pub versions: &'static [&'static str],
    /// Whether it changes anything.
    pub effect: Effect,
}

/// Whether an action changes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// It only tells.
    Read,
    /// It changes what the account has.
    Write,
}

/// Every action there is.
pub const ACTIONS: &[Action] = &[];

/// Does what a call asks and answers with the fields of its response. The sender's right to it, its version and its rate
/// have been judged.
pub async fn dispatch(call: Call, _handle: &Handle, _config: &Config) -> Result<Map<String, Value>, ApiError> {
    Err(ApiError::new("InvalidAction", format!("there is no action {} here", call.action)))
}
