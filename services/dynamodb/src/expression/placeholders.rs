//! `ExpressionAttributeNames` and `ExpressionAttributeValues` of one request, and which of them its expressions use.

use std::collections::BTreeMap;
use std::sync::Arc;

use cumulet_base::limits;
use serde_json::{Map, Value as Json};

use crate::value::{Invalid, Value};

#[derive(Debug, Default)]
pub struct Placeholders {
    names: BTreeMap<String, Entry<str>>,
    values: BTreeMap<String, Entry<Value>>,
}

/// Large contents may stand in many places of an expression: they are shared.

#[derive(Debug)]
struct Entry<T: ?Sized> {
    content: Arc<T>,
    is_used: bool,
}

impl Placeholders {
    /// Of a request's input, whose parameters that are expressions are `expressions` and whose older ones of the same
    /// purpose are `legacy`. Both kinds together, and placeholders without expressions, are refused.
    pub fn of_request(input: &Json, expressions: &[&str], legacy: &[&str]) -> Result<Placeholders, Invalid> {
        let given = |name: &&&str| input.get(**name).is_some_and(|value| !value.is_null());
        let has_expressions: Vec<&str> = expressions.iter().filter(given).copied().collect();
        let has_legacy: Vec<&str> = legacy.iter().filter(given).copied().collect();
        if !has_expressions.is_empty() && !has_legacy.is_empty() {
            return Err(Invalid::new(format!(
                "Can not use both expression and non-expression parameters in the same request: \
                 Non-expression parameters: {{{}}} Expression parameters: {{{}}}",
                has_legacy.join(", "),
                has_expressions.join(", ")
            )));
        }
        if given(&&"ExpressionAttributeNames") && has_expressions.is_empty() {
            return Err(Invalid::new("ExpressionAttributeNames can only be specified when using expressions"));
        }
        let with_values: Vec<&str> = expressions.iter().filter(|e| **e != "ProjectionExpression").copied().collect();
        let without = with_values.iter().all(|name| !has_expressions.contains(name));
        if given(&&"ExpressionAttributeValues") && !with_values.is_empty() && without {
            return Err(Invalid::new(format!(
                "ExpressionAttributeValues can only be specified when using expressions: {} {} null",
                with_values.join(" and "),
                if with_values.len() > 1 { "are" } else { "is" }
            )));
        }
        let field = |name: &str| input.get(name).filter(|value| !value.is_null());
        Placeholders::new(field("ExpressionAttributeNames"), field("ExpressionAttributeValues"))
    }

    pub fn new(names: Option<&Json>, values: Option<&Json>) -> Result<Placeholders, Invalid> {
        let mut placeholders = Placeholders::default();
        if let Some(names) = names {
            for (key, name) in entries(names, "ExpressionAttributeNames", '#')? {
                let Some(name) = name.as_str() else {
                    return Err(Invalid::Serialization("Unexpected field type".to_owned()));
                };
                if name.is_empty() || name.len() > limits::DYNAMODB_ATTRIBUTE_NAME_BYTES_MAX {
                    return Err(Invalid::new(format!(
                        "ExpressionAttributeNames contains invalid value: Member must have length greater than or \
                         equal to 1 and less than or equal to {}; for key {key}",
                        limits::DYNAMODB_ATTRIBUTE_NAME_BYTES_MAX
                    )));
                }
                placeholders.names.insert(key.clone(), Entry { content: name.into(), is_used: false });
            }
        }
        if let Some(values) = values {
            let mut size = 0;
            for (key, value) in entries(values, "ExpressionAttributeValues", ':')? {
                let value = Value::from_json(value).map_err(|error| match error {
                    Invalid::Validation(message) => Invalid::new(format!(
                        "ExpressionAttributeValues contains invalid value: {message} for key {key}"
                    )),
                    serialization => serialization,
                })?;
                size += key.len() + value.size_bytes();
                placeholders.values.insert(key.clone(), Entry { content: Arc::new(value), is_used: false });
            }
            if size > limits::DYNAMODB_PLACEHOLDER_BYTES_MAX {
                return Err(Invalid::new("ExpressionAttributeValues exceeds max size"));
            }
        }
        Ok(placeholders)
    }

    /// The name that an alias (`#a`) stands for.
    pub(super) fn name(&mut self, alias: &str) -> Result<Arc<str>, String> {
        taken(&mut self.names, alias).ok_or_else(|| {
            format!("An expression attribute name used in the document path is not defined; attribute name: {alias}")
        })
    }

    /// The value that a placeholder (`:a`) stands for.
    pub(super) fn value(&mut self, name: &str) -> Result<Arc<Value>, String> {
        taken(&mut self.values, name).ok_or_else(|| {
            format!("An expression attribute value used in expression is not defined; attribute value: {name}")
        })
    }

    /// To be called when all expressions of the request are read: what none of them uses is refused.
    pub fn finish(&self) -> Result<(), Invalid> {
        unused(&self.names, "ExpressionAttributeNames")?;
        unused(&self.values, "ExpressionAttributeValues")
    }
}

fn taken<T: ?Sized>(entries: &mut BTreeMap<String, Entry<T>>, key: &str) -> Option<Arc<T>> {
    let entry = entries.get_mut(key)?;
    entry.is_used = true;
    Some(entry.content.clone())
}

fn unused<T: ?Sized>(entries: &BTreeMap<String, Entry<T>>, parameter: &str) -> Result<(), Invalid> {
    let keys: Vec<&str> = entries.iter().filter(|(_, entry)| !entry.is_used).map(|(key, _)| key.as_str()).collect();
    if keys.is_empty() {
        return Ok(());
    }
    Err(Invalid::new(format!("Value provided in {parameter} unused in expressions: keys: {{{}}}", keys.join(", "))))
}

/// The map of a parameter, its keys checked.
fn entries<'a>(json: &'a Json, parameter: &str, sign: char) -> Result<&'a Map<String, Json>, Invalid> {
    let Some(map) = json.as_object() else {
        return Err(Invalid::Serialization("Unexpected field type".to_owned()));
    };
    if map.is_empty() {
        return Err(Invalid::new(format!("{parameter} must not be empty")));
    }
    let mut size = 0;
    for key in map.keys() {
        let name = key.strip_prefix(sign).unwrap_or_default();
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(Invalid::new(format!("{parameter} contains invalid key: Syntax error; key: \"{key}\"")));
        }
        if key.len() > limits::DYNAMODB_PLACEHOLDER_NAME_BYTES_MAX {
            return Err(Invalid::new(format!(
                "{parameter} contains invalid key: The expression attribute map contains a key that is too long; key: \"{key}\""
            )));
        }
        size += key.len() + map[key].as_str().map_or(0, str::len);
    }
    if size > limits::DYNAMODB_PLACEHOLDER_BYTES_MAX {
        return Err(Invalid::new(format!("{parameter} exceeds max size")));
    }
    Ok(map)
}
