//! Roles with their inline and managed policies; [`others`] has the rest of IAM.

pub mod others;

use std::collections::{BTreeMap, BTreeSet};

use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};

use super::{Made, Whereabouts, copied, gone_is_done, only, required, text, typed};

const KNOWN: &[&str] = &[
    "RoleName",
    "AssumeRolePolicyDocument",
    "Policies",
    "ManagedPolicyArns",
    "Path",
    "Description",
    "MaxSessionDuration",
    "PermissionsBoundary",
    "Tags",
];

/// A policy document as text: services take it so, templates mostly write it as an object.
fn document(value: &Value) -> String {
    text(value)
}

fn inline(properties: &Map<String, Value>) -> BTreeMap<String, String> {
    let policies = properties.get("Policies").and_then(Value::as_array);
    policies
        .into_iter()
        .flatten()
        .filter_map(|policy| {
            let name = policy.get("PolicyName").map(text)?;
            Some((name, document(policy.get("PolicyDocument")?)))
        })
        .collect()
}

fn managed(properties: &Map<String, Value>) -> BTreeSet<String> {
    let arns = properties.get("ManagedPolicyArns").and_then(Value::as_array);
    arns.into_iter().flatten().map(text).collect()
}

pub async fn create_role(at: &Whereabouts, properties: &Map<String, Value>) -> Result<Made, ApiError> {
    only(properties, KNOWN)?;
    let name = match properties.get("RoleName") {
        Some(name) => text(name),
        None => at.name(64),
    };
    let mut input = copied(properties, &["Path", "Description", "PermissionsBoundary"]);
    input.insert("RoleName".into(), name.clone().into());
    input.insert("AssumeRolePolicyDocument".into(), document(required(properties, "AssumeRolePolicyDocument")?).into());
    if let Some(seconds) = properties.get("MaxSessionDuration") {
        input.insert("MaxSessionDuration".into(), typed(seconds));
    }
    let tags = at.tag_list(properties);
    if tags.as_array().is_some_and(|t| !t.is_empty()) {
        input.insert("Tags".into(), tags);
    }
    let answer = at.client.call("iam", "CreateRole", input.into()).await?;
    let member = |name: &str| answer["Role"][name].clone();
    let made = Made::new(name).with("Arn", &member("Arn")).with("RoleId", &member("RoleId"));
    if let Err(error) = put_policies(at, &made, &Map::new(), properties).await {
        // Otherwise a role would stay behind that no stack knows.
        delete_role(at, &made, properties).await?;
        return Err(error);
    }
    Ok(made)
}

async fn put_policies(
    at: &Whereabouts,
    made: &Made,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
) -> Result<(), ApiError> {
    let role = &made.physical_id;
    let (before, after) = (inline(old), inline(new));
    for (name, document) in &after {
        if before.get(name) != Some(document) {
            let input = json!({ "RoleName": role, "PolicyName": name, "PolicyDocument": document });
            at.client.call("iam", "PutRolePolicy", input).await?;
        }
    }
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        let input = json!({ "RoleName": role, "PolicyName": name });
        gone_is_done(at.client.call("iam", "DeleteRolePolicy", input).await)?;
    }
    let (before, after) = (managed(old), managed(new));
    for arn in after.difference(&before) {
        let input = json!({ "RoleName": role, "PolicyArn": arn });
        at.client.call("iam", "AttachRolePolicy", input).await?;
    }
    for arn in before.difference(&after) {
        let input = json!({ "RoleName": role, "PolicyArn": arn });
        gone_is_done(at.client.call("iam", "DetachRolePolicy", input).await)?;
    }
    Ok(())
}

pub async fn update_role(
    at: &Whereabouts,
    made: &Made,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
) -> Result<Made, ApiError> {
    only(new, KNOWN)?;
    let role = &made.physical_id;
    let trust = "AssumeRolePolicyDocument";
    if old.get(trust) != new.get(trust) {
        let input = json!({ "RoleName": role, "PolicyDocument": document(required(new, trust)?) });
        at.client.call("iam", "UpdateAssumeRolePolicy", input).await?;
    }
    if ["Description", "MaxSessionDuration"].iter().any(|name| old.get(*name) != new.get(*name)) {
        let input = json!({
            "RoleName": role,
            "Description": new.get("Description").map(text).unwrap_or_default(),
            "MaxSessionDuration": new.get("MaxSessionDuration").map_or(json!(3600), typed),
        });
        at.client.call("iam", "UpdateRole", input).await?;
    }
    let (removed, changed) = at.tag_changes(old, new);
    if !removed.is_empty() {
        let input = json!({ "RoleName": role, "TagKeys": removed });
        at.client.call("iam", "UntagRole", input).await?;
    }
    if let Some(tags) = changed {
        let input = json!({ "RoleName": role, "Tags": tags });
        at.client.call("iam", "TagRole", input).await?;
    }
    if old.get("PermissionsBoundary") != new.get("PermissionsBoundary") {
        let (operation, input) = match new.get("PermissionsBoundary") {
            Some(arn) => ("PutRolePermissionsBoundary", json!({ "RoleName": role, "PermissionsBoundary": text(arn) })),
            None => ("DeleteRolePermissionsBoundary", json!({ "RoleName": role })),
        };
        at.client.call("iam", operation, input).await?;
    }
    put_policies(at, made, old, new).await?;
    Ok(made.clone())
}

pub async fn delete_role(at: &Whereabouts, made: &Made, properties: &Map<String, Value>) -> Result<(), ApiError> {
    match put_policies(at, made, properties, &Map::new()).await {
        Err(error) if super::is_gone(&error) => return Ok(()),
        other => other?,
    }
    let input = json!({ "RoleName": made.physical_id });
    gone_is_done(at.client.call("iam", "DeleteRole", input).await)
}
