//! The transform `AWS::Serverless-2016-10-31`: functions with their roles, URLs and HTTP API events, HTTP APIs, and
//! simple tables
//! (<https://github.com/aws/serverless-application-model/blob/master/versions/2016-10-31.md>). Pure.
//! HTTP APIs become Api, Stage, Integration and Route resources instead of an OpenAPI body (`docs/decisions/sam-http-apis.md`).
//! Everything else of SAM is refused by name.

mod function;
mod http_api;
mod simple_table;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::errors::Error;

/// Resources that come of the transform.
struct Out {
    resources: Map<String, Value>,
    needs_implicit_api: bool,
}

impl Out {
    fn add(&mut self, logical_id: &str, resource: Value) -> Result<(), Error> {
        if self.resources.contains_key(logical_id) {
            return Err(invalid(format!("the logical id {logical_id} would stand twice")));
        }
        self.resources.insert(logical_id.to_owned(), resource);
        Ok(())
    }
}

fn invalid(why: impl std::fmt::Display) -> Error {
    Error::Validation(format!(
        "Transform AWS::Serverless-2016-10-31 failed with: Invalid Serverless Application Specification document. {why}"
    ))
}

fn not_built(what: impl std::fmt::Display) -> Error {
    Error::NotBuilt(format!("transform AWS::Serverless-2016-10-31: {what}"))
}

/// The template without SAM resources.
pub fn transform(template: &Value, _values: &BTreeMap<String, Value>) -> Result<Value, Error> {
    let Some(sections) = template.as_object() else {
        return Err(invalid("not an object"));
    };
    let empty = Map::new();
    let section = |name: &str| sections.get(name).and_then(Value::as_object).unwrap_or(&empty);
    let globals = section("Globals");
    if let Some(name) = globals.keys().find(|name| !["Function", "HttpApi", "SimpleTable"].contains(&name.as_str())) {
        return Err(not_built(format!("Globals.{name}")));
    }
    let mut out = Out { resources: Map::new(), needs_implicit_api: false };
    for (logical_id, resource) in section("Resources") {
        let kind = resource.get("Type").and_then(Value::as_str).unwrap_or_default();
        let of = |name: &str| with_globals(globals.get(name), resource.get("Properties"));
        match kind {
            "AWS::Serverless::Function" => {
                function::transform(logical_id, resource, &of("Function")?, &mut out)?;
            }
            "AWS::Serverless::HttpApi" => {
                http_api::transform(logical_id, resource, &of("HttpApi")?, &mut out)?;
            }
            "AWS::Serverless::SimpleTable" => {
                simple_table::transform(logical_id, resource, &of("SimpleTable")?, &mut out)?;
            }
            other if other.starts_with("AWS::Serverless::") => {
                return Err(not_built(format!("resource type {other} ({logical_id})")));
            }
            _ => out.add(logical_id, resource.clone())?,
        }
    }
    if out.needs_implicit_api && !section("Resources").contains_key(http_api::IMPLICIT) {
        let properties = with_globals(globals.get("HttpApi"), None)?;
        http_api::transform(http_api::IMPLICIT, &json!({}), &properties, &mut out)?;
    }
    let mut sections = sections.clone();
    sections.remove("Globals");
    sections.insert("Resources".into(), out.resources.into());
    Ok(sections.into())
}

/// Properties of a resource over those of `Globals`: maps are merged, lists joined, anything else replaced.
fn with_globals(globals: Option<&Value>, own: Option<&Value>) -> Result<Map<String, Value>, Error> {
    let mut merged = globals.cloned().unwrap_or_else(|| json!({}));
    merge(&mut merged, own.unwrap_or(&json!({})));
    match merged {
        Value::Object(map) => Ok(map),
        _ => Err(invalid("Properties and Globals must be objects")),
    }
}

fn is_intrinsic(map: &Map<String, Value>) -> bool {
    map.len() == 1 && map.keys().all(|key| key == "Ref" || key.starts_with("Fn::"))
}

fn merge(into: &mut Value, over: &Value) {
    match (into, over) {
        (Value::Object(into), Value::Object(over)) if !is_intrinsic(into) && !is_intrinsic(over) => {
            for (key, value) in over {
                match into.get_mut(key) {
                    Some(old) => merge(old, value),
                    None => drop(into.insert(key.clone(), value.clone())),
                }
            }
        }
        (Value::Array(into), Value::Array(over)) => into.extend(over.iter().cloned()),
        (into, over) => *into = over.clone(),
    }
}

fn only(logical_id: &str, properties: &Map<String, Value>, known: &[&str]) -> Result<(), Error> {
    match properties.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(not_built(format!("property {name} of {logical_id}"))),
    }
}

/// A resource of plain CloudFormation, under the same condition as the one it comes of.
fn resource(kind: &str, of: &Value, properties: Value) -> Value {
    let mut made = json!({ "Type": kind, "Properties": properties });
    if let Some(condition) = of.get("Condition") {
        made["Condition"] = condition.clone();
    }
    made
}

/// Tags as a list, as most resource types take them.
fn tag_list(tags: Option<&Value>, created_by: &str) -> Value {
    let mut list = vec![json!({ "Key": created_by, "Value": "SAM" })];
    if let Some(Value::Object(tags)) = tags {
        list.extend(tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })));
    }
    list.into()
}

#[cfg(test)]
pub(crate) mod tests;
