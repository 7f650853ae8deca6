//! From a template and what a stack has to the actions that lead from one to the other. Pure.
//! What a resource will only have once it is made stands in planned properties as a placeholder, so that properties can be compared before anything runs.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::errors::Error;
use crate::intrinsics::{Pseudo, Scope, UNKNOWN};
use crate::resources::{self, Tags};
use crate::template::{Output, Resource, Template};

/// A resource that a stack has.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Existing {
    pub kind: String,
    /// Properties with placeholders, as they were planned.
    pub planned: Value,
    pub depends_on: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Create,
    Update,
    /// Made anew, because a property changed that cannot be changed in place.
    Replace,
    Delete,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    pub kind: Kind,
    pub logical_id: String,
    pub resource_type: String,
    /// `None` for deletions.
    pub resource: Option<Resource>,
    pub planned: Value,
    pub depends_on: BTreeSet<String>,
    pub changed: Vec<Change>,
}

/// A property that is another than before, or may be.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub property: String,
    /// What a resource that changes too says of itself, where that is why: `Resource` or `Resource.Attribute`. Whether
    /// it is another will only be known then.
    pub because_of: Option<String>,
}

/// Actions in the order they are carried out: first what is made or changed, dependencies before dependents;
/// then what is deleted, dependents before dependencies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub actions: Vec<Action>,
    /// Names of the exports that are made use of.
    pub imports: BTreeSet<String>,
}

fn placeholder(resource: &str, attribute: Option<&str>) -> String {
    format!("{UNKNOWN}{resource}.{}{UNKNOWN}", attribute.unwrap_or("Ref"))
}

/// The resources and outputs whose condition holds.
pub fn active<'a>(
    template: &'a Template,
    conditions: &'a BTreeMap<String, bool>,
) -> (impl Iterator<Item = &'a Resource>, impl Iterator<Item = &'a Output>) {
    let holds = move |condition: &Option<String>| {
        condition.as_ref().is_none_or(|name| conditions.get(name).copied().unwrap_or(false))
    };
    (
        template.resources.iter().filter(move |r| holds(&r.condition)),
        template.outputs.iter().filter(move |o| holds(&o.condition)),
    )
}

/// What has to be done; an error names what the template asks for and is not built or wrong.
pub fn plan(
    template: &Template,
    parameters: &BTreeMap<String, Value>,
    conditions: &BTreeMap<String, bool>,
    pseudo: &Pseudo,
    exports: &BTreeMap<String, String>,
    tags: &BTreeMap<String, String>,
    existing: &BTreeMap<String, Existing>,
) -> Result<Plan, Error> {
    let wanted: Vec<&Resource> = active(template, conditions).0.collect();
    let mut unknown: Vec<&str> =
        wanted.iter().map(|r| r.kind.as_str()).filter(|kind| !resources::is_known(kind)).collect();
    unknown.sort_unstable();
    unknown.dedup();
    if !unknown.is_empty() {
        return Err(Error::NotBuilt(format!("resource types: [{}]", unknown.join(", "))));
    }
    let names: BTreeSet<&str> = wanted.iter().map(|r| r.logical_id.as_str()).collect();
    let lookup = |resource: &str, attribute: Option<&str>| -> Result<Value, Error> {
        if !names.contains(resource) {
            return Err(Error::Template(format!(
                "Unresolved resource dependencies [{resource}]: its condition does not hold"
            )));
        }
        Ok(placeholder(resource, attribute).into())
    };
    let scope = Scope { template, parameters, pseudo, conditions, exports, resources: &lookup };
    let mut plan = Plan { imports: imports(&scope)?, ..Plan::default() };
    // Of those made anew everything is new; of those changed in place only what they answer with.
    let mut replaced: BTreeSet<String> = BTreeSet::new();
    let mut answering: BTreeSet<String> = BTreeSet::new();
    for resource in ordered(template, &wanted)? {
        let planned = match scope.resolve(&resource.properties)? {
            Some(Value::Object(properties)) => with_tags(&resource.kind, properties, tags).into(),
            _ => with_tags(&resource.kind, Map::new(), tags).into(),
        };
        let depends_on: BTreeSet<String> =
            template.dependencies(resource).into_iter().filter(|name| names.contains(name.as_str())).collect();
        let (kind, changed) = match existing.get(&resource.logical_id) {
            None => (Kind::Create, Vec::new()),
            Some(old) if old.kind != resource.kind => {
                return Err(Error::Validation(format!(
                    "Update of resource type is not permitted. The new template modifies resource type of the following resources: [{}]",
                    resource.logical_id
                )));
            }
            Some(old) => {
                let mut changed: Vec<Change> = changed_properties(&old.planned, &planned)
                    .into_iter()
                    .map(|property| Change { property, because_of: None })
                    .collect();
                for (property, value) in planned.as_object().into_iter().flatten() {
                    let because_of = placeholders(value).into_iter().find(|(resource, attribute)| {
                        replaced.contains(resource) || (attribute != "Ref" && answering.contains(resource))
                    });
                    if let Some((resource, attribute)) = because_of
                        && changed.iter().all(|c| c.property != *property)
                    {
                        let because_of = match attribute.as_str() {
                            "Ref" => resource,
                            attribute => format!("{resource}.{attribute}"),
                        };
                        changed.push(Change { property: property.clone(), because_of: Some(because_of) });
                    }
                }
                if changed.is_empty() {
                    continue;
                }
                let must_replace = changed.iter().any(|c| resources::replaces(&resource.kind, &c.property));
                match must_replace {
                    true => (Kind::Replace, changed),
                    false => (Kind::Update, changed),
                }
            }
        };
        match kind {
            Kind::Replace => drop(replaced.insert(resource.logical_id.clone())),
            Kind::Update if resources::answers(&resource.kind) => {
                answering.insert(resource.logical_id.clone());
            }
            _ => {}
        }
        plan.actions.push(Action {
            kind,
            logical_id: resource.logical_id.clone(),
            resource_type: resource.kind.clone(),
            resource: Some(resource.clone()),
            planned,
            depends_on,
            changed,
        });
    }
    let removed: BTreeMap<&String, &Existing> =
        existing.iter().filter(|(name, _)| !names.contains(name.as_str())).collect();
    for logical_id in deletion_order(&removed) {
        let old = &existing[&logical_id];
        plan.actions.push(Action {
            kind: Kind::Delete,
            resource_type: old.kind.clone(),
            resource: None,
            planned: old.planned.clone(),
            depends_on: old.depends_on.clone(),
            changed: Vec::new(),
            logical_id,
        });
    }
    Ok(plan)
}

/// The resources and attributes of the placeholders in a value.
fn placeholders(value: &Value) -> Vec<(String, String)> {
    match value {
        Value::String(text) => text
            .split(UNKNOWN)
            .skip(1)
            .step_by(2)
            .filter_map(|inner| inner.split_once('.'))
            .map(|(resource, attribute)| (resource.to_owned(), attribute.to_owned()))
            .collect(),
        Value::Array(items) => items.iter().flat_map(placeholders).collect(),
        Value::Object(map) => map.values().flat_map(placeholders).collect(),
        _ => Vec::new(),
    }
}

/// Names of the exports that the resources and outputs import whose conditions hold.
fn imports(scope: &Scope<'_>) -> Result<BTreeSet<String>, Error> {
    let mut names = BTreeSet::new();
    let (resources, outputs) = active(scope.template, scope.conditions);
    for resource in resources {
        collect_imports(scope, &resource.properties, &mut names)?;
    }
    for output in outputs {
        collect_imports(scope, &output.value, &mut names)?;
    }
    Ok(names)
}

fn collect_imports(scope: &Scope<'_>, value: &Value, names: &mut BTreeSet<String>) -> Result<(), Error> {
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| collect_imports(scope, item, names)),
        Value::Object(map) => match map.iter().next().filter(|_| map.len() == 1) {
            Some((function, argument)) if function == "Fn::ImportValue" => {
                if let Some(Value::String(name)) = scope.resolve(argument)? {
                    names.insert(name);
                }
                Ok(())
            }
            Some((function, Value::Array(parts))) if function == "Fn::If" && parts.len() == 3 => {
                let holds = parts[0].as_str().and_then(|name| scope.conditions.get(name)).copied().unwrap_or_default();
                collect_imports(scope, if holds { &parts[1] } else { &parts[2] }, names)
            }
            _ => map.values().try_for_each(|value| collect_imports(scope, value, names)),
        },
        _ => Ok(()),
    }
}

/// Properties with the tags of the stack; those of the resource itself count more.
pub fn with_tags(
    kind: &str,
    mut properties: Map<String, Value>,
    tags: &BTreeMap<String, String>,
) -> Map<String, Value> {
    let form = resources::tags_of(kind);
    if tags.is_empty() || form == Tags::None {
        return properties;
    }
    match (form, properties.get_mut("Tags")) {
        (Tags::List, Some(Value::Array(own))) => {
            let own_keys: BTreeSet<String> =
                own.iter().filter_map(|tag| tag["Key"].as_str().map(str::to_owned)).collect();
            let more = tags.iter().filter(|(key, _)| !own_keys.contains(*key));
            own.extend(more.map(|(key, value)| json!({ "Key": key, "Value": value })));
        }
        (Tags::Map, Some(Value::Object(own))) => {
            for (key, value) in tags {
                own.entry(key).or_insert_with(|| value.clone().into());
            }
        }
        (Tags::List, None) => {
            let list: Vec<Value> = tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
            properties.insert("Tags".into(), list.into());
        }
        (Tags::Map, None) => drop(properties.insert("Tags".into(), json!(tags))),
        _ => {}
    }
    properties
}

pub fn changed_properties(old: &Value, new: &Value) -> Vec<String> {
    let empty = Default::default();
    let (old, new) = (old.as_object().unwrap_or(&empty), new.as_object().unwrap_or(&empty));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    names.into_iter().filter(|name| old.get(*name) != new.get(*name)).cloned().collect()
}

/// Dependencies first; otherwise in the order of the template.
fn ordered<'a>(template: &Template, wanted: &[&'a Resource]) -> Result<Vec<&'a Resource>, Error> {
    let names: BTreeSet<&str> = wanted.iter().map(|r| r.logical_id.as_str()).collect();
    let mut left: Vec<(&Resource, BTreeSet<String>)> = wanted
        .iter()
        .map(|r| {
            let mut needs = template.dependencies(r);
            needs.retain(|name| names.contains(name.as_str()));
            (*r, needs)
        })
        .collect();
    let mut done: BTreeSet<String> = BTreeSet::new();
    let mut order = Vec::with_capacity(wanted.len());
    while !left.is_empty() {
        let (ready, waiting): (Vec<_>, Vec<_>) = left.into_iter().partition(|(_, needs)| needs.is_subset(&done));
        if ready.is_empty() {
            let names: Vec<&str> = waiting.iter().map(|(r, _)| r.logical_id.as_str()).collect();
            return Err(Error::Template(format!("Circular dependency between resources: [{}]", names.join(", "))));
        }
        for (resource, _) in ready {
            done.insert(resource.logical_id.clone());
            order.push(resource);
        }
        left = waiting;
    }
    Ok(order)
}

/// Dependents before what they depend on. Of resources that a damaged record makes depend on each other, any order will do.
pub fn deletion_order(existing: &BTreeMap<&String, &Existing>) -> Vec<String> {
    let mut left: BTreeSet<String> = existing.keys().map(|name| (*name).clone()).collect();
    let mut order = Vec::new();
    while !left.is_empty() {
        let needed: BTreeSet<&String> =
            left.iter().filter_map(|name| existing.get(name)).flat_map(|e| &e.depends_on).collect();
        let mut free: Vec<String> = left.iter().filter(|name| !needed.contains(name)).cloned().collect();
        if free.is_empty() {
            free = left.iter().cloned().collect();
        }
        left.retain(|name| !free.contains(name));
        order.extend(free);
    }
    order
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn planned(resources: Value, existing: &BTreeMap<String, Existing>) -> Result<Plan, Error> {
        let template = Template::from_value(&json!({ "Resources": resources }))?;
        plan(
            &template,
            &BTreeMap::new(),
            &BTreeMap::new(),
            &Pseudo::default(),
            &BTreeMap::new(),
            &BTreeMap::new(),
            existing,
        )
    }

    fn shown(plan: &Plan) -> Vec<String> {
        plan.actions
            .iter()
            .map(|a| {
                let changed: Vec<&str> = a.changed.iter().map(|c| c.property.as_str()).collect();
                format!("{:?} {} {}", a.kind, a.logical_id, changed.join(","))
            })
            .map(|text| text.trim().to_owned())
            .collect()
    }

    fn after(plan: &Plan) -> BTreeMap<String, Existing> {
        plan.actions
            .iter()
            .map(|a| {
                let existing = Existing {
                    kind: a.resource_type.clone(),
                    planned: a.planned.clone(),
                    depends_on: a.depends_on.clone(),
                };
                (a.logical_id.clone(), existing)
            })
            .collect()
    }

    fn resources(role_name: &str, memory: u32) -> Value {
        json!({
            "F": {"Type": "AWS::Lambda::Function", "Properties": {"Role": {"Fn::GetAtt": ["R", "Arn"]}, "MemorySize": memory}},
            "P": {"Type": "AWS::Lambda::Permission", "Properties": {"FunctionName": {"Ref": "F"}}},
            "R": {"Type": "AWS::IAM::Role", "Properties": {"RoleName": role_name}}
        })
    }

    #[test]
    fn creation_change_replacement_and_deletion() {
        let first = planned(resources("a", 128), &BTreeMap::new()).unwrap();
        assert_eq!(shown(&first), ["Create R", "Create F", "Create P"]);
        let existing = after(&first);
        assert!(planned(resources("a", 128), &existing).unwrap().actions.is_empty());
        assert_eq!(shown(&planned(resources("a", 256), &existing).unwrap()), ["Update F MemorySize"]);
        assert_eq!(shown(&planned(resources("b", 128), &existing).unwrap()), ["Replace R RoleName", "Update F Role"]);
        let only_role = json!({"R": {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "a"}}});
        assert_eq!(shown(&planned(only_role, &existing).unwrap()), ["Delete P", "Delete F"]);
    }

    #[test]
    fn what_cannot_be_planned() {
        let circle = json!({
            "A": {"Type": "AWS::IAM::Role", "DependsOn": "B"},
            "B": {"Type": "AWS::IAM::Role", "DependsOn": "A"}
        });
        let error = planned(circle, &BTreeMap::new()).unwrap_err().to_string();
        assert!(error.contains("Circular dependency between resources: [A, B]"), "{error}");
        let unknown = json!({"A": {"Type": "AWS::EC2::Instance"}});
        let error = planned(unknown, &BTreeMap::new()).unwrap_err().to_string();
        assert!(error.contains("AWS::EC2::Instance"), "{error}");
        assert!(planned(json!({"A": {"Type": "AWS::IAM::Role", "DependsOn": "X"}}), &BTreeMap::new()).is_err());
    }
}
