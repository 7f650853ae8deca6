//! Key conditions: the one value of the partition key, and the part of the sort key, that a query asks for.
//! Source: "Key condition expressions" of the DynamoDB Developer Guide.

use std::sync::Arc;

use super::condition::{Condition, Operand, Test};
use super::parse::Comparator;
use super::path::Path;
use crate::value::{Invalid, Value};

/// The names of the keys of a table or an index.
#[derive(Clone, Copy, Debug)]
pub struct KeyNames<'a> {
    pub hash: &'a str,
    pub range: Option<&'a str>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct KeyCondition {
    pub hash: Value,
    pub range: Option<RangeCondition>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum RangeCondition {
    Equal(Value),
    Less(Value),
    LessOrEqual(Value),
    Greater(Value),
    GreaterOrEqual(Value),
    /// Both bounds are within.
    Between(Value, Value),
    BeginsWith(Value),
}

impl RangeCondition {
    /// The values that the condition names, to be checked against the type of the key.
    pub fn values(&self) -> Vec<&Value> {
        match self {
            RangeCondition::Between(low, high) => vec![low, high],
            RangeCondition::Equal(value)
            | RangeCondition::Less(value)
            | RangeCondition::LessOrEqual(value)
            | RangeCondition::Greater(value)
            | RangeCondition::GreaterOrEqual(value)
            | RangeCondition::BeginsWith(value) => vec![value],
        }
    }
}

/// One key and what is asked of it.
type Part = (String, RangeCondition);

impl KeyCondition {
    pub(super) fn of(condition: Condition, names: KeyNames<'_>) -> Result<KeyCondition, Invalid> {
        let mut parts = Vec::new();
        collect(condition.into_root(), &mut parts)?;
        let attributes = 1 + usize::from(names.range.is_some());
        if parts.len() > attributes {
            return Err(Invalid::new(format!(
                "The number of query conditions ({}) exceeds the number of key attributes defined in the schema \
                 ({attributes})",
                parts.len()
            )));
        }
        KeyCondition::of_parts(parts, names)
    }

    /// Of at most one condition a key, in whatever order.
    pub(crate) fn of_parts(parts: Vec<Part>, names: KeyNames<'_>) -> Result<KeyCondition, Invalid> {
        if parts.len() > 2 {
            return Err(Invalid::new("Conditions can be of length 1 or 2 only"));
        }
        let count = parts.len();
        let mut hash = None;
        let mut range = None;
        for (name, condition) in parts {
            if name == names.hash {
                hash = Some(condition);
            } else if names.range == Some(name.as_str()) {
                range = Some(condition);
            }
        }
        let Some(hash) = hash else {
            return Err(Invalid::new(format!("Query condition missed key schema element: {}", names.hash)));
        };
        if count == 2 && range.is_none() {
            return Err(match names.range {
                Some(range) => Invalid::new(format!("Query condition missed key schema element: {range}")),
                None => Invalid::new("Query key condition not supported"),
            });
        }
        match hash {
            RangeCondition::Equal(hash) => Ok(KeyCondition { hash, range }),
            _ => Err(Invalid::new("Query key condition not supported")),
        }
    }
}

fn collect(test: Test, parts: &mut Vec<Part>) -> Result<(), Invalid> {
    let (path, condition) = match test {
        Test::All(tests) => return tests.into_iter().try_for_each(|test| collect(test, parts)),
        Test::Any(_) => return Err(operator("OR")),
        Test::Not(_) => return Err(operator("NOT")),
        Test::In(..) => return Err(operator("IN")),
        Test::Exists(_) => return Err(operator("attribute_exists")),
        Test::NotExists(_) => return Err(operator("attribute_not_exists")),
        Test::IsType(..) => return Err(operator("attribute_type")),
        Test::Contains(..) => return Err(operator("contains")),
        Test::Compare(comparator, left, right) => comparison(comparator, left, right)?,
        Test::Between(key, low, high) => {
            let path = first(key, "BETWEEN")?;
            (path, RangeCondition::Between(value(low)?, value(high)?))
        }
        Test::BeginsWith(key, prefix) => (first(key, "begins_with")?, RangeCondition::BeginsWith(value(prefix)?)),
    };
    if path.is_nested() {
        return Err(invalid("KeyConditionExpressions cannot have conditions on nested attributes"));
    }
    if parts.iter().any(|(name, _)| name == path.head()) {
        return Err(invalid("KeyConditionExpressions must only contain one condition per key"));
    }
    parts.push((path.head().to_owned(), condition));
    Ok(())
}

fn comparison(comparator: Comparator, left: Operand, right: Operand) -> Result<(Path, RangeCondition), Invalid> {
    let (path, comparator, value) = match (left, right) {
        (Operand::Path(_), Operand::Path(_)) => return Err(several_names()),
        (Operand::Path(path), right) => (path, comparator, value(right)?),
        (left, Operand::Path(path)) => (path, comparator.mirrored(), value(left)?),
        (left, right) => {
            value(left)?;
            value(right)?;
            return Err(Invalid::new("Invalid condition in KeyConditionExpression: No key attribute specified"));
        }
    };
    let condition = match comparator {
        Comparator::Equal => RangeCondition::Equal(value),
        Comparator::Less => RangeCondition::Less(value),
        Comparator::LessOrEqual => RangeCondition::LessOrEqual(value),
        Comparator::Greater => RangeCondition::Greater(value),
        Comparator::GreaterOrEqual => RangeCondition::GreaterOrEqual(value),
        Comparator::NotEqual => return Err(operator("<>")),
    };
    Ok((path, condition))
}

fn first(operand: Operand, operator: &str) -> Result<Path, Invalid> {
    match operand {
        Operand::Path(path) => Ok(path),
        _ => Err(Invalid::new(format!(
            "Invalid condition in KeyConditionExpression: {operator} operator must have the key attribute as its first \
             operand"
        ))),
    }
}

fn value(operand: Operand) -> Result<Value, Invalid> {
    match operand {
        Operand::Value(value) => Ok(Arc::unwrap_or_clone(value)),
        Operand::Path(_) => Err(several_names()),
        Operand::Size(_) => Err(invalid("KeyConditionExpressions cannot contain nested operations")),
    }
}

fn invalid(message: &str) -> Invalid {
    Invalid::new(format!("Invalid KeyConditionExpression: {message}"))
}

fn several_names() -> Invalid {
    Invalid::new("Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition")
}

fn operator(name: &str) -> Invalid {
    Invalid::new(format!("Invalid operator used in KeyConditionExpression: {name}"))
}
