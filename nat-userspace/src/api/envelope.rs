//! The envelope of every answer: `Response` with the fields or an error, and the id of the request.

use hyper::{Response, StatusCode};
use serde_json::{Map, Value, json};

use super::error::ApiError;
use crate::http::{Body, say};

/// Byte for byte: with a charset behind it, the Python SDK takes an error for success.
const JSON: &str = "application/json";

/// The answer. Errors have status 200 too; with any other, SDKs lose the code.
pub(super) fn envelope(outcome: Result<Map<String, Value>, ApiError>, request_id: &str) -> Response<Body> {
    let mut fields = outcome.unwrap_or_else(|error| {
        let mut fields = Map::new();
        fields.insert("Error".into(), json!({ "Code": error.code, "Message": error.message }));
        fields
    });
    fields.insert("RequestId".into(), request_id.into());
    // Not by `json!`, which would write every field of it anew first.
    let text = Value::Object(Map::from_iter([("Response".to_owned(), Value::Object(fields))])).to_string();
    say(StatusCode::OK, JSON, text)
}
