//! The parameters of a call, read leniently in one place: what comes flattened in a query has only texts for leaves, and
//! clients of different languages write yes and no differently.

use serde_json::{Map, Value};

use super::super::error::ApiError;

/// No list is longer; most are allowed to be less long than that.
const MOST_ITEMS: usize = 500;

/// The members of an object of parameters. Null and the empty text are as good as nothing.
#[derive(Clone, Copy)]
pub(super) struct Params<'a>(Option<&'a Map<String, Value>>);

impl<'a> Params<'a> {
    pub(super) fn new(value: &'a Value) -> Self {
        Params(value.as_object())
    }

    fn get(self, name: &str) -> Option<&'a Value> {
        self.0?.get(name).filter(|value| !value.is_null() && value.as_str() != Some(""))
    }

    pub(super) fn has(self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(super) fn text(self, name: &str) -> Result<Option<String>, ApiError> {
        self.get(name).map(|value| text(value).ok_or_else(|| wrong(name, "a text"))).transpose()
    }

    /// A text that can be given up: the empty one means that there is to be none.
    pub(super) fn text_or_none(self, name: &str) -> Result<Option<Option<String>>, ApiError> {
        let empty = self.0.is_some_and(|fields| fields.get(name).and_then(Value::as_str) == Some(""));
        if empty { Ok(Some(None)) } else { Ok(self.text(name)?.map(Some)) }
    }

    pub(super) fn needed_text(self, name: &str) -> Result<String, ApiError> {
        self.text(name)?.ok_or_else(|| missing(name))
    }

    pub(super) fn number(self, name: &str) -> Result<Option<i64>, ApiError> {
        let number = |value: &Value| match value {
            Value::String(text) => text.parse().ok(),
            other => other.as_i64(),
        };
        self.get(name).map(|value| number(value).ok_or_else(|| wrong(name, "a whole number"))).transpose()
    }

    pub(super) fn flag(self, name: &str) -> Result<Option<bool>, ApiError> {
        let flag = |value: &Value| match value {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) if text.eq_ignore_ascii_case("true") || text == "1" => Some(true),
            Value::String(text) if text.eq_ignore_ascii_case("false") || text == "0" => Some(false),
            _ => None,
        };
        self.get(name).map(|value| flag(value).ok_or_else(|| wrong(name, "true or false"))).transpose()
    }

    pub(super) fn texts(self, name: &str) -> Result<Vec<String>, ApiError> {
        let Some(value) = self.get(name) else { return Ok(Vec::new()) };
        let items = value.as_array().ok_or_else(|| wrong(name, "a list of texts"))?;
        bounded(name, items)?;
        items.iter().map(|item| text(item).ok_or_else(|| wrong(name, "a list of texts"))).collect()
    }

    pub(super) fn needed_texts(self, name: &str) -> Result<Vec<String>, ApiError> {
        let texts = self.texts(name)?;
        if texts.is_empty() { Err(missing(name)) } else { Ok(texts) }
    }

    /// A member that is an object; an empty one where there is none.
    pub(super) fn object(self, name: &str) -> Result<Params<'a>, ApiError> {
        let object = |value: &'a Value| value.as_object().ok_or_else(|| wrong(name, "an object"));
        self.get(name).map(object).transpose().map(Params)
    }

    pub(super) fn objects(self, name: &str) -> Result<Vec<Params<'a>>, ApiError> {
        let Some(value) = self.get(name) else { return Ok(Vec::new()) };
        let items = value.as_array().ok_or_else(|| wrong(name, "a list of objects"))?;
        bounded(name, items)?;
        items
            .iter()
            .map(|item| item.as_object().map(|map| Params(Some(map))))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| wrong(name, "a list of objects"))
    }
}

fn bounded(name: &str, items: &[Value]) -> Result<(), ApiError> {
    if items.len() > MOST_ITEMS {
        let message = format!("{name} must have at most {MOST_ITEMS} items");
        return Err(ApiError::new("InvalidParameterValue.LimitExceeded", message));
    }
    Ok(())
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

fn wrong(name: &str, what: &str) -> ApiError {
    ApiError::new("InvalidParameter", format!("{name} must be {what}"))
}

pub(super) fn missing(name: &str) -> ApiError {
    ApiError::new("MissingParameter", format!("{name} is missing"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn leaves_may_be_texts() {
        let value =
            json!({"A": "True", "B": "false", "C": "20", "D": 20, "E": "", "F": null, "G": ["x", 1], "H": {"I": "1"}});
        let params = Params::new(&value);
        assert_eq!((params.flag("A").unwrap(), params.flag("B").unwrap()), (Some(true), Some(false)));
        assert_eq!((params.number("C").unwrap(), params.number("D").unwrap()), (Some(20), Some(20)));
        assert!(!params.has("E") && !params.has("F") && !params.has("Z"));
        assert_eq!((params.text_or_none("E").unwrap(), params.text_or_none("F").unwrap()), (Some(None), None));
        assert_eq!(params.text_or_none("D").unwrap(), Some(Some("20".into())));
        assert_eq!(params.texts("G").unwrap(), ["x", "1"]);
        assert_eq!(params.object("H").unwrap().number("I").unwrap(), Some(1));
        assert_eq!(params.number("A").unwrap_err().message, "A must be a whole number");
        assert_eq!(params.needed_text("Z").unwrap_err().code, "MissingParameter");
    }
}
