//! The parameters that were before expressions: `Expected`, `AttributeUpdates`, `KeyConditions`, `QueryFilter`,
//! `ScanFilter`, `ConditionalOperator`, `AttributesToGet`. They become what expressions become.
//! Source: "Legacy DynamoDB conditional parameters" of the DynamoDB Developer Guide; the messages are AWS's.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use crate::expression::{
    Action, Comparator, Condition, KeyCondition, KeyNames, Operand, Path, Projection, RangeCondition, SetValue, Source,
    Test, Update,
};
use crate::value::{Invalid, Value};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Compare(Comparator),
    Null,
    NotNull,
    Contains,
    NotContains,
    BeginsWith,
    In,
    Between,
}

/// All names, in the order in which AWS's message lists them.
#[rustfmt::skip]
const OPERATORS: [(&str, Operator); 13] = [
    ("IN", Operator::In), ("NULL", Operator::Null), ("BETWEEN", Operator::Between),
    ("LT", Operator::Compare(Comparator::Less)), ("NOT_CONTAINS", Operator::NotContains),
    ("EQ", Operator::Compare(Comparator::Equal)), ("GT", Operator::Compare(Comparator::Greater)),
    ("NOT_NULL", Operator::NotNull), ("NE", Operator::Compare(Comparator::NotEqual)),
    ("LE", Operator::Compare(Comparator::LessOrEqual)), ("BEGINS_WITH", Operator::BeginsWith),
    ("GE", Operator::Compare(Comparator::GreaterOrEqual)), ("CONTAINS", Operator::Contains),
];

/// Reads `Expected` and `ConditionalOperator` of a request's input.
pub fn expected(input: &Json) -> Result<Option<Condition>, Invalid> {
    let tests = entries(input, "Expected")?.map(|entries| {
        entries.iter().map(|(name, expected)| expected_test(name, structure(expected)?)).collect::<Result<Vec<_>, _>>()
    });
    joined(input, tests.transpose()?)
}

/// Reads `QueryFilter` or `ScanFilter`, and `ConditionalOperator`, of a request's input.
pub fn filter(input: &Json, parameter: &str) -> Result<Option<Condition>, Invalid> {
    let tests = entries(input, parameter)?.map(|entries| {
        let read = entries.iter().map(|(name, condition)| {
            let (operator, values) = condition_parts(parameter, name, structure(condition)?)?;
            Ok(test(name, operator, values))
        });
        read.collect::<Result<Vec<_>, Invalid>>()
    });
    joined(input, tests.transpose()?)
}

/// Reads `AttributeUpdates` of a request's input; `None` where it is absent.
pub fn update(input: &Json) -> Result<Option<Update>, Invalid> {
    let Some(entries) = entries(input, "AttributeUpdates")? else { return Ok(None) };
    let actions = entries.iter().map(|(name, update)| action(name, structure(update)?));
    Ok(Some(Update::of_attribute_updates(actions.collect::<Result<_, _>>()?)))
}

/// Reads `KeyConditions` of a request's input; `None` where it is absent.
pub fn key_conditions(input: &Json, names: KeyNames<'_>) -> Result<Option<KeyCondition>, Invalid> {
    let Some(entries) = entries(input, "KeyConditions")? else { return Ok(None) };
    let mut parts = Vec::new();
    for (name, condition) in entries {
        let (operator, values) = condition_parts("KeyConditions", name, structure(condition)?)?;
        parts.push((name.clone(), key_test(operator, values)?));
    }
    if parts.is_empty() {
        return Err(Invalid::new("Conditions can be of length 1 or 2 only"));
    }
    KeyCondition::of_parts(parts, names).map(Some)
}

/// Reads `AttributesToGet` of a request's input; `None` where it is absent.
pub fn projection(input: &Json) -> Result<Option<Projection>, Invalid> {
    let Some(list) = input.get("AttributesToGet").filter(|list| !list.is_null()) else { return Ok(None) };
    let Some(list) = list.as_array() else { return Err(not_a_shape()) };
    if list.is_empty() {
        return Err(constraint("[]", "attributesToGet", "Member must have length greater than or equal to 1"));
    }
    let mut names = BTreeSet::new();
    for name in list {
        let name = name.as_str().ok_or_else(not_a_shape)?;
        if !names.insert(name.to_owned()) {
            return Err(Invalid::parameter(format!("Duplicate value in attribute name: {name}")));
        }
    }
    Ok(Some(Projection::of_attributes(names)))
}

fn entries<'a>(input: &'a Json, parameter: &str) -> Result<Option<&'a Map<String, Json>>, Invalid> {
    let Some(entries) = input.get(parameter).filter(|entries| !entries.is_null()) else { return Ok(None) };
    entries.as_object().map(Some).ok_or_else(not_a_shape)
}

fn structure(json: &Json) -> Result<&Map<String, Json>, Invalid> {
    json.as_object().ok_or_else(not_a_shape)
}

fn not_a_shape() -> Invalid {
    Invalid::Serialization("Unexpected field type".to_owned())
}

fn constraint(value: &str, place: &str, rule: &str) -> Invalid {
    let value = if value == "null" { value.to_owned() } else { format!("'{value}'") };
    Invalid::new(format!(
        "1 validation error detected: Value {value} at '{place}' failed to satisfy constraint: {rule}"
    ))
}

/// Tests, under the `ConditionalOperator` of the input.
fn joined(input: &Json, tests: Option<Vec<Test>>) -> Result<Option<Condition>, Invalid> {
    let operator = input.get("ConditionalOperator").filter(|operator| !operator.is_null());
    let Some(operator) = operator else {
        return Ok(tests.filter(|tests| !tests.is_empty()).map(|tests| Condition::new(Test::All(tests))));
    };
    let operator = operator.as_str().ok_or_else(not_a_shape)?;
    if !["OR", "AND"].contains(&operator) {
        let rule = "Member must satisfy enum value set: [OR, AND]";
        return Err(constraint(operator, "conditionalOperator", rule));
    }
    match tests {
        None => Err(Invalid::parameter("ConditionalOperator cannot be used without Filter or Expected")),
        Some(tests) if tests.len() < 2 => Err(Invalid::parameter(
            "ConditionalOperator can only be used when Filter or Expected has two or more elements",
        )),
        Some(tests) if operator == "OR" => Ok(Some(Condition::new(Test::Any(tests)))),
        Some(tests) => Ok(Some(Condition::new(Test::All(tests)))),
    }
}

fn field<'a>(fields: &'a Map<String, Json>, name: &str) -> Option<&'a Json> {
    fields.get(name).filter(|value| !value.is_null())
}

fn expected_test(name: &str, fields: &Map<String, Json>) -> Result<Test, Invalid> {
    let value = field(fields, "Value");
    let list = field(fields, "AttributeValueList");
    let exists = field(fields, "Exists").map(|exists| exists.as_bool().ok_or_else(not_a_shape)).transpose()?;
    let refused = |message: String| Err(Invalid::parameter(format!("{message} for Attribute: {name}")));
    if value.is_some() && list.is_some() {
        return refused("Value and AttributeValueList cannot be used together".to_owned());
    }
    if field(fields, "ComparisonOperator").is_some() {
        if exists.is_some() {
            return refused("Exists and ComparisonOperator cannot be used together".to_owned());
        }
        let (text, operator) = operator("Expected", name, fields)?;
        if !matches!(operator, Operator::Null | Operator::NotNull) && value.is_none() && list.is_none() {
            return refused(format!("Value or AttributeValueList must be used with ComparisonOperator: {text}"));
        }
        let values = match value {
            Some(value) => vec![Value::from_json(value)?],
            None => listed(fields)?,
        };
        return Ok(test(name, operator, checked(text, operator, values)?));
    }
    if list.is_some() {
        return refused("AttributeValueList can only be used with a ComparisonOperator".to_owned());
    }
    match (exists, value) {
        (Some(false), None) => Ok(Test::NotExists(Path::attribute(name))),
        (Some(false), Some(_)) => refused("Value cannot be used when Exists is false".to_owned()),
        (_, Some(value)) => {
            let values = vec![Value::from_json(value)?];
            Ok(test(name, Operator::Compare(Comparator::Equal), values))
        }
        (exists, None) => {
            let exists = if exists.is_some() { "true" } else { "null" };
            refused(format!("Value must be provided when Exists is {exists}"))
        }
    }
}

/// Operator and values of one member of `KeyConditions`, `QueryFilter` or `ScanFilter`.
fn condition_parts(parameter: &str, name: &str, fields: &Map<String, Json>) -> Result<(Operator, Vec<Value>), Invalid> {
    let (text, operator) = operator(parameter, name, fields)?;
    Ok((operator, checked(text, operator, listed(fields)?)?))
}

fn operator<'a>(parameter: &str, name: &str, fields: &'a Map<String, Json>) -> Result<(&'a str, Operator), Invalid> {
    let place = || {
        let (first, rest) = parameter.split_at(1);
        format!("{}{rest}.{name}.member.comparisonOperator", first.to_ascii_lowercase())
    };
    let Some(text) = field(fields, "ComparisonOperator") else {
        return Err(constraint("null", &place(), "Member must not be null"));
    };
    let text = text.as_str().ok_or_else(not_a_shape)?;
    match OPERATORS.iter().find(|(known, _)| *known == text) {
        Some((_, operator)) => Ok((text, *operator)),
        None => {
            let names: Vec<&str> = OPERATORS.iter().map(|(name, _)| *name).collect();
            let rule = format!("Member must satisfy enum value set: [{}]", names.join(", "));
            Err(constraint(text, &place(), &rule))
        }
    }
}

fn listed(fields: &Map<String, Json>) -> Result<Vec<Value>, Invalid> {
    let Some(list) = field(fields, "AttributeValueList") else { return Ok(Vec::new()) };
    list.as_array().ok_or_else(not_a_shape)?.iter().map(Value::from_json).collect()
}

/// The values, as many and of such types as the operator takes.
fn checked(text: &str, operator: Operator, values: Vec<Value>) -> Result<Vec<Value>, Invalid> {
    let fits = match operator {
        Operator::Null | Operator::NotNull => values.is_empty(),
        Operator::Between => values.len() == 2,
        Operator::In => !values.is_empty(),
        _ => values.len() == 1,
    };
    if !fits {
        return Err(Invalid::parameter(format!("Invalid number of argument(s) for the {text} ComparisonOperator")));
    }
    let one_type = values.windows(2).all(|pair| pair[0].type_name() == pair[1].type_name());
    if !one_type {
        return Err(Invalid::parameter("AttributeValues inside AttributeValueList must be of same type"));
    }
    let takes: &[&str] = match operator {
        Operator::Compare(Comparator::Equal | Comparator::NotEqual) | Operator::Null | Operator::NotNull => &[],
        Operator::BeginsWith => &["S", "B"],
        _ => &["S", "N", "B"],
    };
    let wrong = values.iter().find(|value| !takes.is_empty() && !takes.contains(&value.type_name()));
    if let Some(value) = wrong {
        let kind = value.type_name();
        let message = format!("ComparisonOperator {text} is not valid for {kind} AttributeValue type");
        return Err(Invalid::parameter(message));
    }
    if operator == Operator::Between && is_before(&values[1], &values[0]) {
        return Err(Invalid::new(
            "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound",
        ));
    }
    Ok(values)
}

fn is_before(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::S(one), Value::S(other)) => one < other,
        (Value::N(one), Value::N(other)) => one < other,
        (Value::B(one), Value::B(other)) => one < other,
        _ => false,
    }
}

/// What an attribute is asked for; the values are as many as the operator takes.
fn test(name: &str, operator: Operator, values: Vec<Value>) -> Test {
    let path = Path::attribute(name);
    let of = Operand::Path(path.clone());
    let mut values = values.into_iter().map(|value| Operand::Value(Arc::new(value)));
    let mut next = || values.next().unwrap_or_else(|| Operand::Value(Arc::new(Value::Null)));
    match operator {
        Operator::Compare(comparator) => Test::Compare(comparator, of, next()),
        Operator::Null => Test::NotExists(path),
        Operator::NotNull => Test::Exists(path),
        Operator::Contains => Test::Contains(of, next()),
        // An attribute that is not there contains nothing, and does not pass either.
        Operator::NotContains => Test::All(vec![Test::Exists(path), Test::Not(Box::new(Test::Contains(of, next())))]),
        Operator::BeginsWith => Test::BeginsWith(of, next()),
        Operator::Between => Test::Between(of, next(), next()),
        Operator::In => Test::In(of, values.collect()),
    }
}

fn key_test(operator: Operator, values: Vec<Value>) -> Result<RangeCondition, Invalid> {
    let mut values = values.into_iter();
    let mut next = || values.next().unwrap_or(Value::Null);
    Ok(match operator {
        Operator::Compare(Comparator::Equal) => RangeCondition::Equal(next()),
        Operator::Compare(Comparator::Less) => RangeCondition::Less(next()),
        Operator::Compare(Comparator::LessOrEqual) => RangeCondition::LessOrEqual(next()),
        Operator::Compare(Comparator::Greater) => RangeCondition::Greater(next()),
        Operator::Compare(Comparator::GreaterOrEqual) => RangeCondition::GreaterOrEqual(next()),
        Operator::BeginsWith => RangeCondition::BeginsWith(next()),
        Operator::Between => RangeCondition::Between(next(), next()),
        _ => return Err(Invalid::new("Attempted conditional constraint is not an indexable operation")),
    })
}

fn action(name: &str, fields: &Map<String, Json>) -> Result<Action, Invalid> {
    let path = Path::attribute(name);
    let value = field(fields, "Value").map(Value::from_json).transpose()?;
    let action = match field(fields, "Action") {
        None => "PUT",
        Some(action) => action.as_str().ok_or_else(not_a_shape)?,
    };
    match (action, value) {
        ("DELETE", None) => Ok(Action::Remove(path)),
        ("PUT" | "ADD", None) => {
            Err(Invalid::parameter("Only DELETE action is allowed when no attribute value is specified"))
        }
        ("PUT", Some(value)) => Ok(Action::Set(path, SetValue::Operand(Source::Value(Arc::new(value))))),
        ("ADD", Some(value)) => match value.type_name() {
            "N" | "SS" | "NS" | "BS" | "L" => Ok(Action::Add(path, Arc::new(value))),
            kind => Err(Invalid::parameter(format!("ADD action is not supported for the type {kind}"))),
        },
        ("DELETE", Some(value)) => match value.type_name() {
            "SS" | "NS" | "BS" => Ok(Action::Delete(path, Arc::new(value))),
            kind => Err(Invalid::parameter(format!("DELETE action with value is not supported for the type {kind}"))),
        },
        (other, _) => {
            let place = format!("attributeUpdates.{name}.member.action");
            Err(constraint(other, &place, "Member must satisfy enum value set: [ADD, PUT, DELETE]"))
        }
    }
}

#[cfg(test)]
mod tests;
