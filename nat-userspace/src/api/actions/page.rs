//! Offsets, limits and filters, which every list has.

use super::super::error::ApiError;
use super::params::Params;
use crate::address::Tags;

const MOST_SHOWN: i64 = 100;
const MOST_FILTERS: usize = 10;

/// Which part of a list is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    pub(super) offset: usize,
    pub(super) limit: usize,
}

impl Page {
    pub(super) fn of(params: Params<'_>) -> Result<Page, ApiError> {
        let offset = params.number("Offset")?.unwrap_or(0);
        let limit = params.number("Limit")?.unwrap_or(20);
        let Ok(offset) = usize::try_from(offset) else {
            return Err(ApiError::new("InvalidParameterValue", "Offset must not be below 0"));
        };
        match usize::try_from(limit) {
            Ok(limit) if (1..=MOST_SHOWN as usize).contains(&limit) => Ok(Page { offset, limit }),
            _ => {
                let message = format!("Limit must be 1 to {MOST_SHOWN}; ask for more by Offset");
                Err(ApiError::new("InvalidParameterValue.LimitExceeded", message))
            }
        }
    }

    /// That part of what is counted as it goes by.
    pub(super) fn cut<T>(self, all: impl Iterator<Item = T>) -> (usize, Vec<T>) {
        let (mut total, mut shown) = (0, Vec::new());
        for item in all {
            if total >= self.offset && shown.len() < self.limit {
                shown.push(item);
            }
            total += 1;
        }
        (total, shown)
    }
}

/// Conditions of which all must hold, each by one of its values.
#[derive(Debug, Default)]
pub(super) struct Filters(Vec<(String, Vec<String>)>);

/// What a service says about filters.
pub(super) struct Dialect {
    /// The names it knows, beside `tag-key`, `tag-value` and `tag:KEY`.
    pub(super) names: &'static [&'static str],
    pub(super) most_values: usize,
    pub(super) unknown: &'static str,
    pub(super) too_many: &'static str,
}

impl Filters {
    pub(super) fn of(params: Params<'_>, dialect: &Dialect) -> Result<Filters, ApiError> {
        let given = params.objects("Filters")?;
        if given.len() > MOST_FILTERS {
            return Err(ApiError::new(dialect.too_many, format!("there must be at most {MOST_FILTERS} Filters")));
        }
        let filters = given.into_iter().map(|filter| {
            let (name, values) = (filter.needed_text("Name")?, filter.texts("Values")?);
            let tagged = name == "tag-key" || name == "tag-value" || name.starts_with("tag:");
            if !tagged && !dialect.names.contains(&name.as_str()) {
                return Err(ApiError::new(dialect.unknown, format!("there is no filter {name:?} here")));
            }
            if values.is_empty() {
                return Err(ApiError::new(dialect.unknown, format!("the filter {name:?} has no Values")));
            }
            if values.len() > dialect.most_values {
                let message = format!("the filter {name:?} must have at most {} Values", dialect.most_values);
                return Err(ApiError::new(dialect.too_many, message));
            }
            Ok((name, values))
        });
        Ok(Filters(filters.collect::<Result<_, _>>()?))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there are no others than of these names, and each of them once at most.
    pub(super) fn are_only(&self, names: &[&str]) -> bool {
        let counted = |name: &&str| self.0.iter().filter(|(other, _)| other == name).count();
        names.iter().all(|name| counted(name) <= 1) && names.iter().map(counted).sum::<usize>() == self.0.len()
    }

    /// Whether the first filter of this name lets this value through.
    pub(super) fn admit(&self, name: &str, value: &str) -> bool {
        self.values(name).is_none_or(|values| values.iter().any(|other| other == value))
    }

    /// The values of the first filter of this name.
    pub(super) fn values(&self, name: &str) -> Option<&[String]> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, values)| values.as_slice())
    }

    /// Whether all hold, of which `has_one` judges those about no tags.
    pub(super) fn hold(&self, tags: &Tags, has_one: impl Fn(&str, &[String]) -> bool) -> bool {
        self.0.iter().all(|(name, values)| match (name.as_str(), name.strip_prefix("tag:")) {
            ("tag-key", _) => values.iter().any(|value| tags.contains_key(value)),
            ("tag-value", _) => tags.values().any(|value| values.contains(value)),
            (_, Some(key)) => tags.get(key).is_some_and(|value| values.contains(value)),
            (name, None) => has_one(name, values),
        })
    }
}

/// `Tags` as calls write them.
pub(super) fn tags(params: &[Params<'_>]) -> Result<Tags, ApiError> {
    let key = |tag: &Params<'_>| Ok::<_, ApiError>(tag.text("Key")?.or(tag.text("TagKey")?));
    let value = |tag: &Params<'_>| Ok::<_, ApiError>(tag.text("Value")?.or(tag.text("TagValue")?).unwrap_or_default());
    let pairs = params.iter().map(|tag| {
        let key = key(tag)?.ok_or_else(|| super::params::missing("Tags.Key"))?;
        Ok::<_, ApiError>((key, value(tag)?))
    });
    let tags: Tags = pairs.collect::<Result<_, _>>()?;
    let too_long = |(key, value): (&String, &String)| key.len() > 127 * 4 || value.len() > 255 * 4;
    if tags.len() > 50 || tags.iter().any(too_long) {
        return Err(ApiError::new("InvalidParameterValue", "an object has at most 50 tags of 127 and 255 characters"));
    }
    Ok(tags)
}
