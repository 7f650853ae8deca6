//! The transform `AWS::Serverless-2016-10-31`: functions with their roles, versions, aliases, URLs, destinations and
//! events, layers, REST and HTTP APIs, simple tables, and applications at an address
//! (<https://github.com/aws/serverless-application-model/blob/master/versions/2016-10-31.md>). Pure.
//! Logical ids are those of AWS's translator, so that updates do not replace what is there; a test compares the two.
//! HTTP APIs become Api, Stage, Integration and Route resources instead of an OpenAPI body (`docs/decisions/sam-http-apis.md`).
//! Everything else of SAM is refused by name.

mod api;
mod connector;
mod deployment;
mod domain;
mod events;
mod function;
mod hash;
mod http_api;
mod http_document;
mod layer;
mod policies;
mod requests;
mod simple_table;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::errors::Error;

/// Resources that come of the transform, and what they are made of.
struct Out<'a> {
    resources: Map<String, Value>,
    needs_implicit_api: bool,
    /// Logical ids that got an end of their own, by those of the template.
    renamed: BTreeMap<String, String>,
    notifications: Vec<events::Notification>,
    /// Of routes of HTTP APIs: the API, the key of the route, and what its stage says of it.
    route_settings: Vec<(Value, String, Value)>,
    /// Of REST APIs.
    methods: Vec<api::Method>,
    preferences: Vec<deployment::Preference>,
    /// The resources of the template.
    source: &'a Map<String, Value>,
    /// Values of the template's parameters.
    values: &'a BTreeMap<String, Value>,
    globals: &'a Map<String, Value>,
}

/// Types of what comes of others that take tags over.
const TAGGED: &[&str] = &[
    "AWS::ApiGateway::ApiKey",
    "AWS::ApiGateway::DomainName",
    "AWS::ApiGateway::RestApi",
    "AWS::ApiGateway::Stage",
    "AWS::ApiGateway::UsagePlan",
    "AWS::IAM::Role",
    "AWS::Lambda::Function",
    "AWS::SNS::Topic",
    "AWS::SQS::Queue",
];

impl Out<'_> {
    fn add(&mut self, logical_id: &str, resource: Value) -> Result<(), Error> {
        if self.resources.contains_key(logical_id) {
            return Err(invalid(format!("the logical id {logical_id} would stand twice")));
        }
        self.resources.insert(logical_id.to_owned(), resource);
        Ok(())
    }

    /// The value with the values of parameters in place of references to them.
    fn resolved(&self, value: &Value) -> Value {
        match value {
            Value::Object(map) => match map.get("Ref").and_then(Value::as_str).filter(|_| map.len() == 1) {
                Some(name) if self.values.contains_key(name) => self.values[name].clone(),
                _ => map.iter().map(|(name, value)| (name.clone(), self.resolved(value))).collect::<Map<_, _>>().into(),
            },
            Value::Array(items) => items.iter().map(|item| self.resolved(item)).collect(),
            other => other.clone(),
        }
    }

    fn names(&self) -> BTreeSet<String> {
        self.resources.keys().cloned().collect()
    }

    /// Gives the tags of a resource to all that came of it, where it says so (`PropagateTags`).
    fn propagate(&mut self, before: &BTreeSet<String>, properties: &Map<String, Value>) {
        let tags = properties.get("Tags").filter(|tags| tags.as_object().is_some_and(|tags| !tags.is_empty()));
        let Some(tags) = tags.filter(|_| properties.get("PropagateTags").is_some_and(crate::template::is_true)) else {
            return;
        };
        let of_it = self.resources.iter_mut().filter(|(name, _)| !before.contains(*name));
        for (_, resource) in of_it {
            if resource["Type"].as_str().is_some_and(|kind| TAGGED.contains(&kind)) {
                resource["Properties"]["Tags"] = tag_list(Some(tags), "");
            }
        }
    }

    /// Whether the template has such a resource.
    fn has(&self, logical_id: &str) -> bool {
        self.source.contains_key(logical_id)
    }

    /// A property of a resource of the template.
    fn property(&self, logical_id: &str, name: &str) -> Option<Value> {
        Some(self.resolved(self.source.get(logical_id)?.get("Properties")?.get(name)?))
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
pub fn transform(template: &Value, values: &BTreeMap<String, Value>) -> Result<Value, Error> {
    let Some(sections) = template.as_object() else {
        return Err(invalid("not an object"));
    };
    let empty = Map::new();
    let section = |name: &str| sections.get(name).and_then(Value::as_object).unwrap_or(&empty);
    let globals = section("Globals");
    if let Some(name) = globals
        .keys()
        .find(|name| !["Function", "Api", "HttpApi", "SimpleTable", "LayerVersion"].contains(&name.as_str()))
    {
        return Err(not_built(format!("Globals.{name}")));
    }
    let source = connector::unfolded(section("Resources"))?;
    let mut out = Out {
        resources: Map::new(),
        needs_implicit_api: false,
        renamed: BTreeMap::new(),
        notifications: Vec::new(),
        route_settings: Vec::new(),
        methods: Vec::new(),
        preferences: Vec::new(),
        source: &source,
        values,
        globals,
    };
    for (logical_id, resource) in &source {
        let kind = resource.get("Type").and_then(Value::as_str).unwrap_or_default();
        let of = |name: &str| with_globals(globals.get(name), resource.get("Properties"));
        match kind {
            "AWS::Serverless::Function" => {
                let (properties, before) = (of("Function")?, out.names());
                function::transform(logical_id, resource, &properties, &mut out)?;
                out.propagate(&before, &properties);
            }
            "AWS::Serverless::HttpApi" => {
                http_api::transform(logical_id, resource, &of("HttpApi")?, &mut out)?;
            }
            // After the functions, whose events say what is in it, and after everything.
            "AWS::Serverless::Api" | connector::KIND => {}
            "AWS::Serverless::LayerVersion" => {
                layer::transform(logical_id, resource, &of("LayerVersion")?, &mut out)?;
            }
            "AWS::Serverless::Application" => {
                layer::application(logical_id, resource, &of("Application")?, &mut out)?;
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
    if out.needs_implicit_api && !source.contains_key(http_api::IMPLICIT) {
        let properties = with_globals(globals.get("HttpApi"), None)?;
        http_api::transform(http_api::IMPLICIT, &json!({}), &properties, &mut out)?;
    }
    for (logical_id, resource) in &source {
        if resource.get("Type").and_then(Value::as_str) == Some("AWS::Serverless::Api") {
            let properties = with_globals(globals.get("Api"), resource.get("Properties"))?;
            let before = out.names();
            api::transform(logical_id, resource, &properties, &mut out)?;
            out.propagate(&before, &properties);
        }
    }
    if api::needs_implicit(&out) {
        api::implicit(&with_globals(globals.get("Api"), None)?, &mut out)?;
    }
    let conditions = deployment::apply(&mut out)?;
    http_api::settle_routes(&mut out)?;
    for notification in std::mem::take(&mut out.notifications) {
        notification.apply(&mut out.resources)?;
    }
    for (logical_id, resource) in &source {
        if resource.get("Type").and_then(Value::as_str) == Some(connector::KIND) {
            let properties = with_globals(None, resource.get("Properties"))?;
            connector::transform(logical_id, resource, &properties, &mut out)?;
        }
    }
    let renamed = out.renamed;
    let mut sections = sections.clone();
    sections.remove("Globals");
    sections.insert("Resources".into(), out.resources.into());
    if !conditions.is_empty() {
        let section = sections.entry("Conditions").or_insert_with(|| json!({}));
        section.as_object_mut().into_iter().for_each(|section| section.extend(conditions.clone()));
    }
    if renamed.is_empty() {
        return Ok(sections.into());
    }
    for name in ["Resources", "Outputs"] {
        if let Some(section) = sections.get_mut(name) {
            *section = rereferred(section, &renamed);
        }
    }
    Ok(sections.into())
}

/// References to logical ids that got another end, or that ask a function for its version or alias.
fn rereferred(value: &Value, renamed: &BTreeMap<String, String>) -> Value {
    match value {
        Value::Object(map) => {
            let only = map.iter().next().filter(|_| map.len() == 1);
            match only {
                Some((function, Value::String(name))) if function == "Ref" && renamed.contains_key(name) => {
                    json!({ "Ref": renamed[name] })
                }
                Some((function, Value::Array(parts))) if function == "Fn::GetAtt" => {
                    let mut parts = parts.clone();
                    if let Some(name) = parts.first().and_then(Value::as_str).and_then(|name| renamed.get(name)) {
                        parts[0] = name.clone().into();
                    }
                    json!({ "Fn::GetAtt": parts })
                }
                Some((function, Value::String(text))) if function == "Fn::Sub" => {
                    json!({ "Fn::Sub": resubstituted(text, renamed) })
                }
                Some((function, Value::Array(parts))) if function == "Fn::Sub" => {
                    let mut parts: Vec<Value> = parts.iter().map(|part| rereferred(part, renamed)).collect();
                    if let Some(Value::String(text)) = parts.first() {
                        parts[0] = resubstituted(text, renamed).into();
                    }
                    json!({ "Fn::Sub": parts })
                }
                _ => map
                    .iter()
                    .map(|(name, value)| {
                        let value = match (name.as_str(), value) {
                            ("DependsOn", Value::String(one)) => renamed.get(one).unwrap_or(one).clone().into(),
                            ("DependsOn", Value::Array(list)) => list
                                .iter()
                                .map(|one| match one.as_str().and_then(|one| renamed.get(one)) {
                                    Some(name) => name.clone().into(),
                                    None => one.clone(),
                                })
                                .collect(),
                            _ => rereferred(value, renamed),
                        };
                        (name.clone(), value)
                    })
                    .collect::<Map<_, _>>()
                    .into(),
            }
        }
        Value::Array(items) => items.iter().map(|item| rereferred(item, renamed)).collect(),
        other => other.clone(),
    }
}

fn resubstituted(text: &str, renamed: &BTreeMap<String, String>) -> String {
    renamed.iter().fold(text.to_owned(), |text, (from, to)| {
        text.replace(&format!("${{{from}}}"), &format!("${{{to}}}"))
            .replace(&format!("${{{from}."), &format!("${{{to}."))
    })
}

/// `s3://BUCKET/KEY` or the same as an object, as the place of code.
fn place(logical_id: &str, property: &str, uri: &Value) -> Result<Value, Error> {
    let bad = || {
        invalid(format!(
            "Resource with id [{logical_id}] is invalid. '{property}' is not a valid S3 Uri of the form 's3://bucket/key' with optional versionId query parameter."
        ))
    };
    match uri {
        Value::String(text) => {
            let (rest, query) =
                text.strip_prefix("s3://").ok_or_else(bad).map(|rest| rest.split_once('?').unwrap_or((rest, "")))?;
            let (bucket, key) = rest.split_once('/').filter(|(b, k)| !b.is_empty() && !k.is_empty()).ok_or_else(bad)?;
            let mut code = json!({ "S3Bucket": bucket, "S3Key": key });
            if let Some(version) = query.split('&').find_map(|pair| pair.strip_prefix("versionId=")) {
                code["S3ObjectVersion"] = version.into();
            }
            Ok(code)
        }
        Value::Object(place) if place.contains_key("Bucket") && place.contains_key("Key") => {
            let mut code = json!({ "S3Bucket": place.get("Bucket"), "S3Key": place.get("Key") });
            if let Some(version) = place.get("Version") {
                code["S3ObjectVersion"] = version.clone();
            }
            Ok(code)
        }
        _ => Err(bad()),
    }
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

/// A resource of plain CloudFormation, with the condition and the policies of the one it comes of.
fn resource(kind: &str, of: &Value, properties: Value) -> Value {
    let mut made = json!({ "Type": kind, "Properties": properties });
    for attribute in ["Condition", "DeletionPolicy", "UpdateReplacePolicy"] {
        if let Some(value) = of.get(attribute) {
            made[attribute] = value.clone();
        }
    }
    made
}

/// Tags as a list, as most resource types take them.
fn tag_list(tags: Option<&Value>, created_by: &str) -> Value {
    let mut list = Vec::new();
    if !created_by.is_empty() {
        list.push(json!({ "Key": created_by, "Value": "SAM" }));
    }
    if let Some(Value::Object(tags)) = tags {
        list.extend(tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })));
    }
    list.into()
}

#[cfg(test)]
pub(crate) mod tests;
