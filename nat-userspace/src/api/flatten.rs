//! Parameters flattened into a query or form: `Filters.0.Values.1=…` is one leaf of nested lists and objects.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::error::ApiError;

/// Most fields of one request. A hundred ids with ten filters of a hundred values are far less.
const MOST_FIELDS: usize = 4096;
/// The deepest nesting of the API is half of this.
const DEEPEST: usize = 16;

/// The decoded fields in their order. What is not UTF-8 when decoded is refused: replaced letters would be somebody
/// else's name.
pub(super) fn fields(text: &[u8]) -> Result<Vec<(String, String)>, ApiError> {
    let most = text.split(|byte| *byte == b'&').count();
    if most > MOST_FIELDS {
        return Err(wrong(format!("the request has more than {MOST_FIELDS} parameters")));
    }
    let mut fields: Vec<(String, String)> = Vec::new();
    for field in text.split(|byte| *byte == b'&').filter(|field| !field.is_empty()) {
        let mut halves = field.splitn(2, |byte| *byte == b'=');
        let mut half = || decode(halves.next().unwrap_or_default());
        fields.push((half()?, half()?));
    }
    let mut names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(wrong(format!("the parameter {} is there twice", shown(twice[0]))));
    }
    Ok(fields)
}

fn decode(half: &[u8]) -> Result<String, ApiError> {
    let blanks: Vec<u8> = half.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    let decoded: Vec<u8> = percent_encoding::percent_decode(&blanks).collect();
    String::from_utf8(decoded).map_err(|_| wrong("a parameter is not UTF-8".into()))
}

/// The nested object, with every leaf a string.
pub(super) fn nest<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Value, ApiError> {
    let mut root = Node::default();
    for (name, value) in fields {
        root.insert(name, value)?;
    }
    Ok(root.object())
}

/// A leaf, or what the names below it lead to.
#[derive(Default)]
struct Node<'a> {
    leaf: Option<&'a str>,
    below: BTreeMap<&'a str, Node<'a>>,
}

impl<'a> Node<'a> {
    fn insert(&mut self, name: &'a str, value: &'a str) -> Result<(), ApiError> {
        let mut node = self;
        for (depth, part) in name.split('.').enumerate() {
            if part.is_empty() || depth >= DEEPEST {
                return Err(wrong(format!("{} is no name of a parameter", shown(name))));
            }
            node = node.below.entry(part).or_default();
            if node.leaf.is_some() {
                return Err(wrong(format!("{} is given both as a value and with parts of its own", shown(name))));
            }
        }
        if !node.below.is_empty() {
            return Err(wrong(format!("{} is given both as a value and with parts of its own", shown(name))));
        }
        node.leaf = Some(value);
        Ok(())
    }

    fn value(self) -> Value {
        if let Some(leaf) = self.leaf {
            return Value::String(leaf.to_owned());
        }
        let numbers: Option<Vec<u32>> = self.below.keys().map(|part| number(part)).collect();
        let Some(numbers) = numbers else { return self.object() };
        // Clients count from 0 or from 1, and the order of the names is not that of the numbers.
        let mut items: Vec<(u32, Node<'a>)> = numbers.into_iter().zip(self.below.into_values()).collect();
        items.sort_by_key(|(number, _)| *number);
        Value::Array(items.into_iter().map(|(_, node)| node.value()).collect())
    }

    fn object(self) -> Value {
        let members = self.below.into_iter().map(|(name, node)| (name.to_owned(), node.value()));
        Value::Object(members.collect::<Map<String, Value>>())
    }
}

/// The place in a list, written in the one way that is not another place's.
fn number(part: &str) -> Option<u32> {
    let plain = part.bytes().all(|byte| byte.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
    part.parse().ok().filter(|_| plain)
}

fn shown(name: &str) -> String {
    name.chars().take(64).collect()
}

fn wrong(message: String) -> ApiError {
    ApiError::new("InvalidParameter", message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn nested(query: &str) -> Result<Value, ApiError> {
        let fields = fields(query.as_bytes())?;
        nest(fields.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }

    #[test]
    fn lists_and_objects_come_back() {
        let query =
            "AddressIds.0=eip-a&AddressIds.1=eip-b&Filters.0.Name=address-status&Filters.0.Values.0=BIND&Limit=20";
        let expected = json!({
            "AddressIds": ["eip-a", "eip-b"],
            "Filters": [{ "Name": "address-status", "Values": ["BIND"] }],
            "Limit": "20",
        });
        assert_eq!(nested(query).unwrap(), expected);
        assert_eq!(nested("").unwrap(), json!({}));
        assert_eq!(nested("A.B=%E4%BD%A0+%26&E=").unwrap(), json!({ "A": { "B": "你 &" }, "E": "" }));
        // By number, not by name; from 1 as well.
        let many: Vec<String> = (1..=12).map(|number| format!("A.{number}={number}")).collect();
        let list: Vec<String> = (1..=12).map(|number| number.to_string()).collect();
        assert_eq!(nested(&many.join("&")).unwrap(), json!({ "A": list }));
        // A huge place costs nothing.
        assert_eq!(nested("A.4000000000=x").unwrap(), json!({ "A": ["x"] }));
        assert_eq!(nested("A.00=x&A.0=y").unwrap(), json!({ "A": { "0": "y", "00": "x" } }));
    }

    #[test]
    fn what_cannot_be_nested_is_refused() {
        let deep = "A".to_owned() + &".B".repeat(DEEPEST) + "=1";
        let wide: String = (0..=MOST_FIELDS).map(|number| format!("A.{number}=&")).collect();
        for query in ["A=1&A.B=2", "A.B=2&A=1", "A=1&A=2", ".=1", "A..B=1", "=1", "A=%ff", "%c0%80=1", &deep, &wide] {
            assert_eq!(nested(query).map_err(|error| error.code), Err("InvalidParameter".into()), "{query}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_object_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(fields) = fields(&bytes)
                && let Ok(value) = nest(fields.iter().map(|(name, value)| (name.as_str(), value.as_str())))
            {
                prop_assert!(value.is_object());
            }
        }

        #[test]
        fn any_names_are_an_object_or_refused(query in "([AB01.%=&+]|%41|%ff){0,60}") {
            if let Ok(value) = nested(&query) {
                prop_assert!(value.is_object());
            }
        }
    }
}
