//! What a plan looks like to who asks for a change set
//! (<https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ResourceChange.html>). Pure.

use serde_json::{Map, Value, json};

use crate::plan::{Action, Kind};
use crate::prepared::Prepared;
use crate::resources;
use crate::stack::Stack;
use crate::template::Fate;

/// With all values; [`without_values`] takes them away.
pub fn described(prepared: &Prepared, stack: &Stack) -> Vec<Value> {
    prepared.plan.actions.iter().map(|action| change(prepared, stack, action)).collect()
}

fn change(prepared: &Prepared, stack: &Stack, action: &Action) -> Value {
    let old = stack.resources.get(&action.logical_id);
    let is_dynamic_only = action.kind == Kind::Replace
        && action
            .changed
            .iter()
            .filter(|c| resources::replaces(&action.resource_type, &c.property))
            .all(|c| c.because_of.is_some());
    let (name, replacement) = match action.kind {
        Kind::Create => ("Add", None),
        Kind::Update => ("Modify", Some("False")),
        Kind::Replace if is_dynamic_only => ("Modify", Some("Conditional")),
        Kind::Replace => ("Modify", Some("True")),
        Kind::Delete => ("Remove", None),
    };
    let policy = match (&action.kind, old) {
        (Kind::Delete, Some(old)) if old.on_deletion != Fate::Delete => Some("Retain"),
        (Kind::Delete, _) => Some("Delete"),
        (Kind::Replace, _) => match action.resource.as_ref().map(|r| r.on_replacement) {
            Some(Fate::Delete) | None => Some("ReplaceAndDelete"),
            Some(_) => Some("ReplaceAndRetain"),
        },
        _ => None,
    };
    let before = old.map(|old| shown(prepared, &old.existing.planned));
    let after = (action.kind != Kind::Delete).then(|| shown(prepared, &action.planned));
    let details = details(action, before.as_ref(), after.as_ref());
    let scope: Vec<&str> = if details.is_empty() { vec![] } else { vec!["Properties"] };
    let context = |value: Option<Value>| value.map(|value| json!({ "Properties": value }).to_string());
    json!({
        "Type": "Resource",
        "ResourceChange": {
            "PolicyAction": policy,
            "Action": name,
            "LogicalResourceId": action.logical_id,
            "PhysicalResourceId": old.map(|r| &r.made.physical_id),
            "ResourceType": action.resource_type,
            "Replacement": replacement,
            "Scope": scope,
            "Details": details,
            "BeforeContext": context(before),
            "AfterContext": context(after),
        }
    })
}

fn details(action: &Action, before: Option<&Value>, after: Option<&Value>) -> Vec<Value> {
    let value = |of: Option<&Value>, name: &str| {
        of.and_then(|value| value.get(name)).map(|value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    };
    let of = |change: &crate::plan::Change| {
        let name = &change.property;
        let recreation = match resources::replaces(&action.resource_type, name) {
            true => "Always",
            false => "Never",
        };
        let (old, new) = (value(before, name), value(after, name));
        let kind = match (&old, &new) {
            (None, _) => "Add",
            (_, None) => "Remove",
            _ => "Modify",
        };
        let source = match &change.because_of {
            None => "DirectModification",
            Some(cause) if cause.contains('.') => "ResourceAttribute",
            Some(_) => "ResourceReference",
        };
        json!({
            "Target": {
                "Attribute": "Properties",
                "Name": name,
                "RequiresRecreation": recreation,
                "Path": format!("/Properties/{name}"),
                "BeforeValue": old,
                "AfterValue": new,
                "AttributeChangeType": kind,
            },
            "Evaluation": if change.because_of.is_some() { "Dynamic" } else { "Static" },
            "ChangeSource": source,
            "CausingEntity": change.because_of,
        })
    };
    action.changed.iter().map(of).collect()
}

/// Planned properties as they may be shown: what is known later is said so, and secret parameters are asterisks.
fn shown(prepared: &Prepared, planned: &Value) -> Value {
    let secrets: Vec<&str> = prepared
        .template
        .parameters
        .iter()
        .filter(|(_, parameter)| parameter.is_secret)
        .filter_map(|(name, _)| prepared.wish.parameters.get(name))
        .map(String::as_str)
        .filter(|text| !text.is_empty())
        .collect();
    shown_value(&secrets, planned)
}

fn shown_value(secrets: &[&str], value: &Value) -> Value {
    match value {
        Value::String(text) => {
            let mut text = text
                .split('\u{1}')
                .enumerate()
                .map(|(i, part)| if i % 2 == 1 { "{{changeSet:KNOWN_AFTER_APPLY}}" } else { part })
                .collect::<String>();
            for secret in secrets {
                text = text.replace(secret, "****");
            }
            text.into()
        }
        Value::Array(items) => items.iter().map(|item| shown_value(secrets, item)).collect(),
        Value::Object(map) => {
            map.iter().map(|(name, value)| (name.clone(), shown_value(secrets, value))).collect::<Map<_, _>>().into()
        }
        other => other.clone(),
    }
}

/// The same without the values of properties, which are only shown to who asks for them.
pub fn without_values(mut change: Value) -> Value {
    if let Some(resource) = change.get_mut("ResourceChange").and_then(Value::as_object_mut) {
        resource.remove("BeforeContext");
        resource.remove("AfterContext");
        for detail in resource.get_mut("Details").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(target) = detail.get_mut("Target").and_then(Value::as_object_mut) {
                for name in ["Path", "BeforeValue", "AfterValue", "AttributeChangeType"] {
                    target.remove(name);
                }
            }
        }
    }
    change
}
