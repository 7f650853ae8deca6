//! From a template and what a stack has to the actions that lead from one to the other. Pure.
//! What a resource will only have once it is made stands in planned properties as a placeholder, so that properties can be compared before anything runs.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::errors::Error;
use crate::intrinsics::{Pseudo, Scope};
use crate::resources;
use crate::template::{Output, Resource, Template};

/// A resource that a stack has.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
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
    /// Names of the properties that changed.
    pub changed: Vec<String>,
}

/// Actions in the order they are carried out: first what is made or changed, dependencies before dependents;
/// then what is deleted, dependents before dependencies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub actions: Vec<Action>,
}

fn placeholder(resource: &str, attribute: Option<&str>) -> String {
    format!("\u{1}{resource}.{}\u{1}", attribute.unwrap_or("Ref"))
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
    let scope = Scope { template, parameters, pseudo, conditions, resources: &lookup };
    let mut plan = Plan::default();
    let mut replaced: BTreeSet<String> = BTreeSet::new();
    for resource in ordered(template, &wanted)? {
        let planned = scope.resolve(&resource.properties)?.unwrap_or_else(|| Value::Object(Default::default()));
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
                let mut changed = changed_properties(&old.planned, &planned);
                for (name, value) in planned.as_object().into_iter().flatten() {
                    let text = value.to_string();
                    let refers = replaced.iter().any(|r| text.contains(&format!("\\u0001{r}.")));
                    if refers && !changed.contains(name) {
                        changed.push(name.clone());
                    }
                }
                if changed.is_empty() {
                    continue;
                }
                let must_replace = changed.iter().any(|name| resources::replaces(&resource.kind, name));
                match must_replace {
                    true => (Kind::Replace, changed),
                    false => (Kind::Update, changed),
                }
            }
        };
        if kind == Kind::Replace {
            replaced.insert(resource.logical_id.clone());
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

fn changed_properties(old: &Value, new: &Value) -> Vec<String> {
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

    use serde_json::json;

    use super::*;

    fn planned(resources: Value, existing: &BTreeMap<String, Existing>) -> Result<Plan, Error> {
        let template = Template::from_value(&json!({ "Resources": resources }))?;
        plan(&template, &BTreeMap::new(), &BTreeMap::new(), &Pseudo::default(), existing)
    }

    fn shown(plan: &Plan) -> Vec<String> {
        plan.actions
            .iter()
            .map(|a| format!("{:?} {} {}", a.kind, a.logical_id, a.changed.join(",")))
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
