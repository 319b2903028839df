//! The settings that are about what instances can ask.

use serde::Deserialize;

/// Whether an instance that asks about itself needs a session token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetadataToken {
    /// It may have one, which is judged then.
    Optional,
    /// Without one it is told nothing.
    Required,
}
