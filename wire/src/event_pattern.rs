//! Event patterns: which JSON events are wanted
//! (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html>). One language for rules of
//! buses, filter policies of topics and filter criteria of event sources; what each of them limits further is theirs.
//! A pattern is compiled once; matching neither fails nor allocates for more than what ignores case.

use std::net::IpAddr;

use serde_json::{Map, Number, Value};

mod compile;

/// A compiled pattern.
#[derive(Clone, Debug)]
pub struct Pattern(Fields);

/// Why a text is no pattern; one sentence for whoever wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(String);

/// Fields that all have to match, and alternatives of which one each has to.
#[derive(Clone, Debug, Default)]
struct Fields {
    fields: Vec<(String, Field)>,
    alternatives: Vec<Vec<Fields>>,
}

#[derive(Clone, Debug)]
enum Field {
    Nested(Fields),
    Values(Vec<Matcher>),
}

#[derive(Clone, Debug)]
enum Matcher {
    Is(Value),
    Prefix(Text),
    Suffix(Text),
    AnyCase(String),
    Wildcard(Wildcard),
    Numeric(Range),
    Cidr(Net),
    Exists(bool),
    AnythingBut(Vec<Matcher>),
}

#[derive(Clone, Debug)]
enum Text {
    Exact(String),
    /// In lower case.
    AnyCase(String),
}

/// What stands between the stars.
#[derive(Clone, Debug)]
struct Wildcard(Vec<String>);

#[derive(Clone, Copy, Debug, Default)]
struct Range {
    /// The bound, and whether it belongs to the range.
    low: Option<(f64, bool)>,
    high: Option<(f64, bool)>,
}

#[derive(Clone, Copy, Debug)]
struct Net {
    address: IpAddr,
    bits: u32,
}

/// Numbers beyond this are not compared.
const NUMBER_MAX: f64 = 5.0e9;

impl Pattern {
    /// # Errors
    /// When the text is not JSON or not a pattern.
    pub fn parse(text: &str) -> Result<Pattern, PatternError> {
        let value: Value =
            serde_json::from_str(text).map_err(|error| PatternError(format!("The pattern is not JSON: {error}")))?;
        Pattern::new(&value)
    }

    /// # Errors
    /// When the value is not a pattern.
    pub fn new(pattern: &Value) -> Result<Pattern, PatternError> {
        compile::root(pattern).map(Pattern)
    }

    /// Whether the event is wanted. What is no object has no fields.
    pub fn matches(&self, event: &Value) -> bool {
        self.0.matches(event.as_object())
    }
}

impl Fields {
    fn matches(&self, event: Option<&Map<String, Value>>) -> bool {
        let matches = |(name, field): &(String, Field)| field.matches(event.and_then(|event| event.get(name)));
        self.fields.iter().all(matches)
            && self.alternatives.iter().all(|any| any.iter().any(|fields| fields.matches(event)))
    }
}

impl Field {
    fn matches(&self, value: Option<&Value>) -> bool {
        match self {
            // Of a list, one and the same element has to have all that is asked for.
            Field::Nested(fields) => match value {
                Some(Value::Array(list)) if !list.is_empty() => list.iter().any(|one| self.matches(Some(one))),
                other => fields.matches(other.and_then(Value::as_object)),
            },
            Field::Values(matchers) => match value {
                Some(value) if has_leaf(value) => matchers.iter().any(|matcher| matcher.matches_any(value)),
                // Also an object and an empty list are no values.
                _ => matchers.iter().any(|matcher| matches!(matcher, Matcher::Exists(false))),
            },
        }
    }
}

fn has_leaf(value: &Value) -> bool {
    match value {
        Value::Array(list) => list.iter().any(has_leaf),
        Value::Object(_) => false,
        _ => true,
    }
}

impl Matcher {
    /// Whether one of the values, in lists however nested, matches.
    fn matches_any(&self, value: &Value) -> bool {
        match value {
            Value::Array(list) => list.iter().any(|one| self.matches_any(one)),
            Value::Object(_) => false,
            leaf => self.matches(leaf),
        }
    }

    fn matches(&self, leaf: &Value) -> bool {
        let text = leaf.as_str();
        match self {
            Matcher::Is(value) => value == leaf,
            Matcher::Prefix(Text::Exact(prefix)) => text.is_some_and(|text| text.starts_with(prefix)),
            Matcher::Prefix(Text::AnyCase(prefix)) => text.is_some_and(|text| text.to_lowercase().starts_with(prefix)),
            Matcher::Suffix(Text::Exact(suffix)) => text.is_some_and(|text| text.ends_with(suffix)),
            Matcher::Suffix(Text::AnyCase(suffix)) => text.is_some_and(|text| text.to_lowercase().ends_with(suffix)),
            Matcher::AnyCase(wanted) => text.is_some_and(|text| text.to_lowercase() == *wanted),
            Matcher::Wildcard(wildcard) => text.is_some_and(|text| wildcard.matches(text)),
            Matcher::Numeric(range) => {
                leaf.as_number().and_then(Number::as_f64).is_some_and(|number| range.contains(number))
            }
            Matcher::Cidr(net) => text.and_then(|text| text.parse().ok()).is_some_and(|address| net.contains(address)),
            Matcher::Exists(exists) => *exists,
            Matcher::AnythingBut(unwanted) => !unwanted.iter().any(|matcher| matcher.matches(leaf)),
        }
    }
}

impl Wildcard {
    /// Each piece where it is first found: what is left for the later ones is never less.
    fn matches(&self, text: &str) -> bool {
        let Some((first, rest)) = self.0.split_first() else { return false };
        let Some((last, middle)) = rest.split_last() else { return text == first };
        let Some(mut left) = text.strip_prefix(first.as_str()) else { return false };
        for piece in middle {
            let Some((_, after)) = left.split_once(piece.as_str()) else { return false };
            left = after;
        }
        left.ends_with(last.as_str())
    }
}

impl Range {
    fn contains(&self, number: f64) -> bool {
        number.abs() <= NUMBER_MAX
            && self.low.is_none_or(|(low, is_in)| number > low || (is_in && number >= low))
            && self.high.is_none_or(|(high, is_in)| number < high || (is_in && number <= high))
    }
}

impl Net {
    fn contains(&self, address: IpAddr) -> bool {
        let (ours, theirs, length) = match (self.address, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()), u128::from(b.to_bits()), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
            _ => return false,
        };
        // A shift by all bits is none.
        (ours ^ theirs).checked_shr(length - self.bits).unwrap_or(0) == 0
    }
}

#[cfg(test)]
mod tests;
