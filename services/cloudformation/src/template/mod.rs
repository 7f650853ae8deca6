//! Templates: text to sections, and their parameters to values. Nothing is resolved here and nothing is known of resource types.

pub mod language;
pub mod macros;
mod parameters;
mod pattern;
pub mod rules;
pub mod yaml;

use std::collections::{BTreeMap, BTreeSet};

use cumulet_base::limits;
use serde_json::{Map, Value};

use crate::errors::Error;

pub use parameters::{Given, Parameter, is_true, texts};

/// A template by its sections; `resources` in the order of the text.
#[derive(Clone, Debug, Default)]
pub struct Template {
    pub description: Option<String>,
    pub transforms: Vec<String>,
    pub parameters: BTreeMap<String, Parameter>,
    pub mappings: Map<String, Value>,
    pub conditions: Map<String, Value>,
    pub rules: Map<String, Value>,
    pub resources: Vec<Resource>,
    pub outputs: Vec<Output>,
}

/// What becomes of a resource that a stack has no more use for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Fate {
    #[default]
    Delete,
    Retain,
    /// Retained, but for what the operation made that is being taken back.
    RetainExceptOnCreate,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    pub logical_id: String,
    pub kind: String,
    pub properties: Value,
    pub depends_on: Vec<String>,
    pub condition: Option<String>,
    pub on_deletion: Fate,
    /// Whether the template says so itself.
    pub has_deletion_policy: bool,
    pub on_replacement: Fate,
    /// How many signals it waits for, and how long.
    pub creation_policy: Option<Value>,
    /// How it is changed in place.
    pub update_policy: Option<Value>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    pub key: String,
    pub value: Value,
    pub description: Option<String>,
    pub export: Option<Value>,
    pub condition: Option<String>,
}

fn malformed(why: impl Into<String>) -> Error {
    Error::Template(why.into())
}

/// The text as a value: JSON when it begins with a brace, or else YAML.
pub fn parse(text: &str) -> Result<Value, Error> {
    match parse_any(text)? {
        value @ Value::Object(_) => Ok(value),
        _ => Err(malformed("unsupported structure.")),
    }
}

/// The same of a part of a template, which may be anything.
fn parse_any(text: &str) -> Result<Value, Error> {
    if text.len() > limits::TEMPLATE_BYTES_MAX {
        return Err(Error::Validation(format!(
            "Member must have length less than or equal to {}",
            limits::TEMPLATE_BYTES_MAX
        )));
    }
    // Macros also answer with texts, lists and numbers, all of which are JSON.
    let json = serde_json::from_str(text).map_err(|e| e.to_string());
    let value = match (text.trim_start().starts_with('{'), json) {
        (true, json) => json.or_else(|why| yaml::parse(text).map_err(|_| why)),
        (false, Ok(value)) => Ok(value),
        (false, Err(_)) => yaml::parse(text),
    };
    value.map_err(malformed)
}

/// Names of the transforms a template declares.
pub fn transforms(template: &Value) -> Vec<String> {
    macros::declared(template).into_iter().map(|(name, _)| name).collect()
}

impl Template {
    /// From a value without transforms left to be done.
    pub fn from_value(template: &Value) -> Result<Template, Error> {
        let section = |name: &str| match template.get(name) {
            None | Some(Value::Null) => Ok(Map::new()),
            Some(Value::Object(map)) => Ok(map.clone()),
            Some(_) => Err(malformed(format!("[/{name}] {name} must be an object"))),
        };
        const SECTIONS: [&str; 10] = [
            "AWSTemplateFormatVersion",
            "Description",
            "Metadata",
            "Parameters",
            "Rules",
            "Mappings",
            "Conditions",
            "Transform",
            "Resources",
            "Outputs",
        ];
        if let Some(members) = template.as_object() {
            for name in members.keys() {
                if !SECTIONS.contains(&name.as_str()) {
                    return Err(Error::Validation(format!("Invalid template property or properties [{name}]")));
                }
            }
        }
        let mut parsed = Template {
            description: template.get("Description").and_then(Value::as_str).map(str::to_owned),
            transforms: transforms(template),
            mappings: section("Mappings")?,
            conditions: section("Conditions")?,
            rules: section("Rules")?,
            ..Template::default()
        };
        for (name, value) in section("Parameters")? {
            parsed.parameters.insert(name.clone(), Parameter::from_value(&name, &value)?);
        }
        for (logical_id, value) in section("Resources")? {
            parsed.resources.push(resource(logical_id, &value)?);
        }
        if parsed.resources.is_empty() {
            return Err(malformed("At least one Resources member must be defined."));
        }
        if parsed.resources.len() > limits::STACK_RESOURCES_MAX {
            return Err(malformed(format!(
                "Number of resources, {}, is greater than maximum allowed, {}",
                parsed.resources.len(),
                limits::STACK_RESOURCES_MAX
            )));
        }
        for (key, value) in section("Outputs")? {
            parsed.outputs.push(output(key, &value)?);
        }
        parsed.check_references()?;
        Ok(parsed)
    }

    pub fn resource(&self, logical_id: &str) -> Option<&Resource> {
        self.resources.iter().find(|r| r.logical_id == logical_id)
    }

    fn check_references(&self) -> Result<(), Error> {
        let known: BTreeSet<&str> = self
            .resources
            .iter()
            .map(|r| r.logical_id.as_str())
            .chain(self.parameters.keys().map(String::as_str))
            .collect();
        let check = |found: &BTreeSet<String>, block: &str| {
            let unknown: Vec<&str> = found
                .iter()
                .map(String::as_str)
                .filter(|name| !name.starts_with("AWS::") && !known.contains(name))
                .collect();
            match unknown.is_empty() {
                true => Ok(()),
                false => Err(malformed(format!(
                    "Unresolved resource dependencies [{}] in the {block} block of the template",
                    unknown.join(", ")
                ))),
            }
        };
        for resource in &self.resources {
            check(&resource.references(), "Resources")?;
            if let Some(condition) = &resource.condition
                && !self.conditions.contains_key(condition)
            {
                return Err(malformed(format!("Unresolved condition {condition} in resource {}", resource.logical_id)));
            }
        }
        for output in &self.outputs {
            check(&references(&output.value), "Outputs")?;
        }
        Ok(())
    }

    /// Logical ids that a resource has to come after.
    pub fn dependencies(&self, resource: &Resource) -> BTreeSet<String> {
        let mut found = resource.references();
        found.retain(|name| self.resource(name).is_some());
        found
    }
}

impl Resource {
    /// Whatever it refers to or says to come after.
    fn references(&self) -> BTreeSet<String> {
        let mut found = references(&self.properties);
        for policy in [&self.creation_policy, &self.update_policy].into_iter().flatten() {
            found.append(&mut references(policy));
        }
        found.extend(self.depends_on.iter().cloned());
        found
    }
}

fn resource(logical_id: String, value: &Value) -> Result<Resource, Error> {
    let is_name =
        !logical_id.is_empty() && logical_id.len() <= 255 && logical_id.bytes().all(|b| b.is_ascii_alphanumeric());
    if !is_name {
        return Err(malformed(format!("Resource name {logical_id} is non alphanumeric.")));
    }
    let kind = value.get("Type").and_then(Value::as_str).ok_or_else(|| {
        malformed(format!("[/Resources/{logical_id}] Every Resources object must contain a Type member."))
    })?;
    let depends_on = match value.get("DependsOn") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(name)) => vec![name.clone()],
        Some(Value::Array(names)) => names.iter().filter_map(|n| n.as_str().map(str::to_owned)).collect(),
        Some(_) => {
            return Err(malformed(format!("[/Resources/{logical_id}/DependsOn] must be text or a list of texts")));
        }
    };
    let properties = match value.get("Properties") {
        None | Some(Value::Null) => Value::Object(Map::new()),
        Some(properties @ Value::Object(_)) => properties.clone(),
        Some(_) => {
            return Err(malformed(format!("[/Resources/{logical_id}/Properties] must be an object")));
        }
    };
    let fate = |member: &str| match value.get(member) {
        None | Some(Value::Null) => Ok(Fate::Delete),
        Some(Value::String(text)) => match text.as_str() {
            "Delete" => Ok(Fate::Delete),
            "Retain" => Ok(Fate::Retain),
            "RetainExceptOnCreate" if member == "DeletionPolicy" => Ok(Fate::RetainExceptOnCreate),
            "Snapshot" => Err(Error::NotBuilt(format!("{member} Snapshot of {logical_id}"))),
            other => Err(malformed(format!("Unrecognized {member} {other} for resource {logical_id}"))),
        },
        Some(_) => Err(malformed(format!("Every {member} member must be a string."))),
    };
    Ok(Resource {
        creation_policy: policy(&logical_id, kind, value, &CREATION)?,
        update_policy: policy(&logical_id, kind, value, &UPDATE)?,
        kind: kind.to_owned(),
        properties,
        depends_on,
        condition: value.get("Condition").and_then(Value::as_str).map(str::to_owned),
        on_deletion: fate("DeletionPolicy")?,
        has_deletion_policy: value.get("DeletionPolicy").is_some(),
        on_replacement: fate("UpdateReplacePolicy")?,
        logical_id,
    })
}

/// An attribute of resources of one type, and the one member of it that has a meaning for the type.
struct Policy {
    attribute: &'static str,
    kind: &'static str,
    member: &'static str,
}

const CREATION: Policy =
    Policy { attribute: "CreationPolicy", kind: "AWS::CloudFormation::WaitCondition", member: "ResourceSignal" };
const UPDATE: Policy =
    Policy { attribute: "UpdatePolicy", kind: "AWS::Lambda::Alias", member: "CodeDeployLambdaAliasUpdate" };

fn policy(logical_id: &str, kind: &str, resource: &Value, known: &Policy) -> Result<Option<Value>, Error> {
    let Some(value) = resource.get(known.attribute).filter(|value| !value.is_null()) else { return Ok(None) };
    let is_known = |members: &Map<String, Value>| members.keys().all(|member| member == known.member);
    match value.as_object() {
        Some(members) if kind == known.kind && is_known(members) => Ok(Some(value.clone())),
        Some(_) => Err(Error::NotBuilt(format!("{} of {logical_id}, which is a {kind}", known.attribute))),
        None => Err(malformed(format!("[/Resources/{logical_id}/{}] must be an object", known.attribute))),
    }
}

fn output(key: String, value: &Value) -> Result<Output, Error> {
    let text = |member: &str| value.get(member).and_then(Value::as_str).map(str::to_owned);
    Ok(Output {
        value: value
            .get("Value")
            .cloned()
            .ok_or_else(|| malformed(format!("[/Outputs/{key}] Every Outputs member must contain a Value object")))?,
        description: text("Description"),
        export: value.get("Export").and_then(|e| e.get("Name")).cloned(),
        condition: text("Condition"),
        key,
    })
}

/// Every name that is referred to by `Ref`, `Fn::GetAtt` or within `Fn::Sub`.
fn references(value: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    collect(value, &mut found);
    found
}

fn collect(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(map) => {
            if map.len() == 1
                && let Some((name, argument)) = map.iter().next()
            {
                match (name.as_str(), argument) {
                    // What refers to parameters only, whatever it contains.
                    ("Fn::Transform", _) => {}
                    ("Ref", Value::String(name)) => drop(found.insert(name.clone())),
                    ("Fn::GetAtt", _) => {
                        if let Some((resource, _)) = get_att(argument) {
                            found.insert(resource);
                        }
                    }
                    ("Fn::Sub", Value::String(text)) => found.extend(sub_names(text, None)),
                    ("Fn::Sub", Value::Array(parts)) => {
                        if let Some(text) = parts.first().and_then(Value::as_str) {
                            found.extend(sub_names(text, parts.get(1)));
                        }
                    }
                    _ => {}
                }
            }
            map.values().for_each(|value| collect(value, found));
        }
        _ => {}
    }
}

/// Resource and attribute of a `Fn::GetAtt`, in either of its forms.
pub fn get_att(argument: &Value) -> Option<(String, String)> {
    match argument {
        Value::String(text) => {
            let (resource, attribute) = text.split_once('.')?;
            Some((resource.to_owned(), attribute.to_owned()))
        }
        Value::Array(parts) => match parts.as_slice() {
            [Value::String(resource), Value::String(attribute)] => Some((resource.clone(), attribute.clone())),
            _ => None,
        },
        _ => None,
    }
}

fn sub_names(text: &str, own: Option<&Value>) -> Vec<String> {
    crate::intrinsics::sub_pieces(text)
        .into_iter()
        .filter_map(|piece| match piece {
            crate::intrinsics::Piece::Variable(name) => Some(name),
            crate::intrinsics::Piece::Text(_) => None,
        })
        .filter(|name| own.is_none_or(|own| own.get(name).is_none()))
        .map(|name| match name.split_once('.') {
            Some((resource, _)) => resource.to_owned(),
            None => name,
        })
        .collect()
}
