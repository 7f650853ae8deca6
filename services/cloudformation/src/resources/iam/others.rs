//! Policies, users, groups, instance profiles and access keys.

use std::collections::BTreeSet;

use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};

use super::{document, inline, managed};
use crate::resources::{Made, Whereabouts, copied, gone_is_done, invalid, only, required, required_text, text};

/// To whom a policy is attached: the property, the member of the call, and the noun in the calls' names.
const HOLDERS: [(&str, &str, &str); 3] =
    [("Roles", "RoleName", "Role"), ("Users", "UserName", "User"), ("Groups", "GroupName", "Group")];

const POLICY: &[&str] = &["PolicyName", "PolicyDocument", "Roles", "Users", "Groups"];
/// The types of a policy of one holder.
const INLINE: [(&str, &str, &str); 3] = [
    ("AWS::IAM::RolePolicy", "RoleName", "Roles"),
    ("AWS::IAM::UserPolicy", "UserName", "Users"),
    ("AWS::IAM::GroupPolicy", "GroupName", "Groups"),
];
const MANAGED: &[&str] = &["ManagedPolicyName", "PolicyDocument", "Path", "Description", "Roles", "Users", "Groups"];
const USER: &[&str] = &["UserName", "Path", "Policies", "ManagedPolicyArns", "Groups", "PermissionsBoundary", "Tags"];
const GROUP: &[&str] = &["GroupName", "Path", "Policies", "ManagedPolicyArns"];
const PROFILE: &[&str] = &["InstanceProfileName", "Path", "Roles"];
const KEY: &[&str] = &["UserName", "Serial", "Status"];

async fn call(at: &Whereabouts, operation: &str, input: Value) -> Result<Value, ApiError> {
    at.client.call("iam", operation, input).await
}

fn listed(properties: &Map<String, Value>, name: &str) -> BTreeSet<String> {
    properties.get(name).and_then(Value::as_array).into_iter().flatten().map(text).collect()
}

/// A policy of one holder as one of several.
fn as_policy(kind: &str, properties: &Map<String, Value>) -> Result<Option<Map<String, Value>>, ApiError> {
    let Some((_, holder, plural)) = INLINE.iter().find(|(inline, _, _)| *inline == kind) else { return Ok(None) };
    only(properties, &["PolicyName", "PolicyDocument", holder])?;
    let mut policy = copied(properties, &["PolicyName", "PolicyDocument"]);
    policy.insert((*plural).to_owned(), json!([required_text(properties, holder)?]));
    Ok(Some(policy))
}

pub async fn create(at: &Whereabouts, kind: &str, properties: &Map<String, Value>) -> Result<Made, ApiError> {
    if let Some(policy) = as_policy(kind, properties)? {
        let name = required_text(&policy, "PolicyName")?;
        put_inline(at, &name, &Map::new(), &policy).await?;
        let holder = properties.iter().find(|(name, _)| name.ends_with("Name") && *name != "PolicyName");
        return Ok(Made::new(format!("{name}|{}", holder.map(|(_, holder)| text(holder)).unwrap_or_default())));
    }
    match kind {
        "AWS::IAM::Policy" => {
            only(properties, POLICY)?;
            let name = required_text(properties, "PolicyName")?;
            put_inline(at, &name, &Map::new(), properties).await?;
            Ok(Made::new(name.clone()).with("Id", &name.into()))
        }
        "AWS::IAM::ManagedPolicy" => create_managed(at, properties).await,
        "AWS::IAM::User" => create_user(at, properties).await,
        "AWS::IAM::Group" => create_group(at, properties).await,
        "AWS::IAM::InstanceProfile" => {
            only(properties, PROFILE)?;
            let name = properties.get("InstanceProfileName").map_or_else(|| at.name(128), text);
            let mut input = copied(properties, &["Path"]);
            input.insert("InstanceProfileName".into(), name.clone().into());
            let answer = call(at, "CreateInstanceProfile", input.into()).await?;
            let made = Made::new(name).with("Arn", &answer["InstanceProfile"]["Arn"]);
            profile_roles(at, &made.physical_id, &BTreeSet::new(), &listed(properties, "Roles")).await?;
            Ok(made)
        }
        "AWS::IAM::AccessKey" => {
            only(properties, KEY)?;
            let user = required_text(properties, "UserName")?;
            let answer = call(at, "CreateAccessKey", json!({ "UserName": user })).await?;
            let key = &answer["AccessKey"];
            let made = Made::new(text(&key["AccessKeyId"])).with("SecretAccessKey", &key["SecretAccessKey"]);
            set_status(at, &made, properties).await?;
            Ok(made)
        }
        other => Err(invalid(format!("not implemented: resource type {other}"))),
    }
}

async fn set_status(at: &Whereabouts, made: &Made, properties: &Map<String, Value>) -> Result<(), ApiError> {
    let status = properties.get("Status").map_or_else(|| "Active".to_owned(), text);
    let user = required_text(properties, "UserName")?;
    let input = json!({ "UserName": user, "AccessKeyId": made.physical_id, "Status": status });
    call(at, "UpdateAccessKey", input).await.map(drop)
}

/// An inline policy at all who are to have it, and at nobody else.
async fn put_inline(
    at: &Whereabouts,
    name: &str,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
) -> Result<(), ApiError> {
    let text = new.get("PolicyDocument").map(document);
    for (property, member, noun) in HOLDERS {
        let (before, after) = (listed(old, property), listed(new, property));
        for holder in &after {
            let text = text.clone().ok_or_else(|| invalid("required property [PolicyDocument] not found"))?;
            let input = json!({ member: holder, "PolicyName": name, "PolicyDocument": text });
            call(at, &format!("Put{noun}Policy"), input).await?;
        }
        for holder in before.difference(&after) {
            let input = json!({ member: holder, "PolicyName": name });
            gone_is_done(call(at, &format!("Delete{noun}Policy"), input).await)?;
        }
    }
    Ok(())
}

async fn create_managed(at: &Whereabouts, properties: &Map<String, Value>) -> Result<Made, ApiError> {
    only(properties, MANAGED)?;
    let name = properties.get("ManagedPolicyName").map_or_else(|| at.name(128), text);
    let mut input = copied(properties, &["Path", "Description"]);
    input.insert("PolicyName".into(), name.into());
    input.insert("PolicyDocument".into(), document(required(properties, "PolicyDocument")?).into());
    let answer = call(at, "CreatePolicy", input.into()).await?;
    let policy = &answer["Policy"];
    let arn = text(&policy["Arn"]);
    let made = Made::new(arn.clone())
        .with("PolicyArn", &arn.clone().into())
        .with("PolicyId", &policy["PolicyId"])
        .with("DefaultVersionId", &policy["DefaultVersionId"]);
    if let Err(error) = attach(at, &arn, &Map::new(), properties).await {
        // Otherwise a policy would stay behind that no stack knows.
        delete(at, "AWS::IAM::ManagedPolicy", &made, properties).await?;
        return Err(error);
    }
    Ok(made)
}

async fn attach(
    at: &Whereabouts,
    arn: &str,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
) -> Result<(), ApiError> {
    for (property, member, noun) in HOLDERS {
        let (before, after) = (listed(old, property), listed(new, property));
        for holder in after.difference(&before) {
            call(at, &format!("Attach{noun}Policy"), json!({ member: holder, "PolicyArn": arn })).await?;
        }
        for holder in before.difference(&after) {
            let input = json!({ member: holder, "PolicyArn": arn });
            gone_is_done(call(at, &format!("Detach{noun}Policy"), input).await)?;
        }
    }
    Ok(())
}

/// Inline and attached policies of a user or a group.
async fn put_policies(
    at: &Whereabouts,
    (member, noun): (&str, &str),
    holder: &str,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
) -> Result<(), ApiError> {
    let (before, after) = (inline(old), inline(new));
    for (name, document) in after.iter().filter(|(name, document)| before.get(*name) != Some(document)) {
        let input = json!({ member: holder, "PolicyName": name, "PolicyDocument": document });
        call(at, &format!("Put{noun}Policy"), input).await?;
    }
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        let input = json!({ member: holder, "PolicyName": name });
        gone_is_done(call(at, &format!("Delete{noun}Policy"), input).await)?;
    }
    let (before, after) = (managed(old), managed(new));
    for arn in after.difference(&before) {
        call(at, &format!("Attach{noun}Policy"), json!({ member: holder, "PolicyArn": arn })).await?;
    }
    for arn in before.difference(&after) {
        let input = json!({ member: holder, "PolicyArn": arn });
        gone_is_done(call(at, &format!("Detach{noun}Policy"), input).await)?;
    }
    Ok(())
}

async fn create_user(at: &Whereabouts, properties: &Map<String, Value>) -> Result<Made, ApiError> {
    only(properties, USER)?;
    let name = properties.get("UserName").map_or_else(|| at.name(64), text);
    let mut input = copied(properties, &["Path", "PermissionsBoundary"]);
    input.insert("UserName".into(), name.clone().into());
    if !at.tags(properties).is_empty() {
        input.insert("Tags".into(), at.tag_list(properties));
    }
    let answer = call(at, "CreateUser", input.into()).await?;
    let made = Made::new(name).with("Arn", &answer["User"]["Arn"]);
    if let Err(error) = set_user(at, &made.physical_id, &Map::new(), properties).await {
        delete(at, "AWS::IAM::User", &made, properties).await?;
        return Err(error);
    }
    Ok(made)
}

async fn set_user(
    at: &Whereabouts,
    name: &str,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
) -> Result<(), ApiError> {
    put_policies(at, ("UserName", "User"), name, old, new).await?;
    let (before, after) = (listed(old, "Groups"), listed(new, "Groups"));
    for group in after.difference(&before) {
        call(at, "AddUserToGroup", json!({ "UserName": name, "GroupName": group })).await?;
    }
    for group in before.difference(&after) {
        let input = json!({ "UserName": name, "GroupName": group });
        gone_is_done(call(at, "RemoveUserFromGroup", input).await)?;
    }
    Ok(())
}

async fn create_group(at: &Whereabouts, properties: &Map<String, Value>) -> Result<Made, ApiError> {
    only(properties, GROUP)?;
    let name = properties.get("GroupName").map_or_else(|| at.name(128), text);
    let mut input = copied(properties, &["Path"]);
    input.insert("GroupName".into(), name.clone().into());
    let answer = call(at, "CreateGroup", input.into()).await?;
    let made = Made::new(name).with("Arn", &answer["Group"]["Arn"]);
    if let Err(error) = put_policies(at, ("GroupName", "Group"), &made.physical_id, &Map::new(), properties).await {
        delete(at, "AWS::IAM::Group", &made, properties).await?;
        return Err(error);
    }
    Ok(made)
}

async fn profile_roles(
    at: &Whereabouts,
    profile: &str,
    before: &BTreeSet<String>,
    after: &BTreeSet<String>,
) -> Result<(), ApiError> {
    for role in before.difference(after) {
        let input = json!({ "InstanceProfileName": profile, "RoleName": role });
        gone_is_done(call(at, "RemoveRoleFromInstanceProfile", input).await)?;
    }
    for role in after.difference(before) {
        call(at, "AddRoleToInstanceProfile", json!({ "InstanceProfileName": profile, "RoleName": role })).await?;
    }
    Ok(())
}

pub async fn update(
    at: &Whereabouts,
    kind: &str,
    made: &Made,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
) -> Result<Made, ApiError> {
    let id = &made.physical_id;
    if let Some(policy) = as_policy(kind, new)? {
        put_inline(at, &required_text(&policy, "PolicyName")?, &Map::new(), &policy).await?;
        return Ok(made.clone());
    }
    match kind {
        "AWS::IAM::Policy" => {
            only(new, POLICY)?;
            let name = required_text(new, "PolicyName")?;
            put_inline(at, &name, old, new).await?;
            if name != *id {
                put_inline(at, id, old, &Map::new()).await?;
            }
            return Ok(Made::new(name.clone()).with("Id", &name.into()));
        }
        "AWS::IAM::ManagedPolicy" => {
            only(new, MANAGED)?;
            if old.get("PolicyDocument") != new.get("PolicyDocument") {
                renew(at, id, &document(required(new, "PolicyDocument")?)).await?;
            }
            attach(at, id, old, new).await?;
        }
        "AWS::IAM::User" => {
            only(new, USER)?;
            for property in ["Path", "PermissionsBoundary"] {
                if old.get(property) != new.get(property) {
                    return Err(invalid(format!("not implemented: change of {property} of {kind}")));
                }
            }
            set_user(at, id, old, new).await?;
            let (removed, changed) = at.tag_changes(old, new);
            if !removed.is_empty() {
                call(at, "UntagUser", json!({ "UserName": id, "TagKeys": removed })).await?;
            }
            if let Some(tags) = changed {
                call(at, "TagUser", json!({ "UserName": id, "Tags": tags })).await?;
            }
        }
        "AWS::IAM::Group" => {
            only(new, GROUP)?;
            if old.get("Path") != new.get("Path") {
                return Err(invalid(format!("not implemented: change of Path of {kind}")));
            }
            put_policies(at, ("GroupName", "Group"), id, old, new).await?;
        }
        "AWS::IAM::InstanceProfile" => {
            only(new, PROFILE)?;
            profile_roles(at, id, &listed(old, "Roles"), &listed(new, "Roles")).await?;
        }
        "AWS::IAM::AccessKey" => set_status(at, made, new).await?,
        other => return Err(invalid(format!("not implemented: change of {other}"))),
    }
    Ok(made.clone())
}

/// Another version becomes the default; the oldest that is not makes room for it.
async fn renew(at: &Whereabouts, arn: &str, document: &str) -> Result<(), ApiError> {
    const VERSIONS_MAX: usize = 5;
    let answer = call(at, "ListPolicyVersions", json!({ "PolicyArn": arn })).await?;
    let versions = answer["Versions"].as_array().cloned().unwrap_or_default();
    if versions.len() >= VERSIONS_MAX {
        let others = versions.iter().filter(|version| version["IsDefaultVersion"] != true);
        let number = |version: &&Value| text(&version["VersionId"]).trim_start_matches('v').parse::<u64>().unwrap_or(0);
        if let Some(oldest) = others.min_by_key(number) {
            let input = json!({ "PolicyArn": arn, "VersionId": oldest["VersionId"] });
            call(at, "DeletePolicyVersion", input).await?;
        }
    }
    let input = json!({ "PolicyArn": arn, "PolicyDocument": document, "SetAsDefault": true });
    call(at, "CreatePolicyVersion", input).await.map(drop)
}

pub async fn delete(
    at: &Whereabouts,
    kind: &str,
    made: &Made,
    properties: &Map<String, Value>,
) -> Result<(), ApiError> {
    let id = &made.physical_id;
    let gone = |result: Result<(), ApiError>| gone_is_done(result.map(|()| Value::Null));
    if let Some(policy) = as_policy(kind, properties)? {
        return put_inline(at, &required_text(&policy, "PolicyName")?, &policy, &Map::new()).await;
    }
    match kind {
        "AWS::IAM::Policy" => put_inline(at, id, properties, &Map::new()).await,
        "AWS::IAM::ManagedPolicy" => {
            gone(attach(at, id, properties, &Map::new()).await)?;
            let versions = match call(at, "ListPolicyVersions", json!({ "PolicyArn": id })).await {
                Err(error) if crate::resources::is_gone(&error) => return Ok(()),
                other => other?["Versions"].as_array().cloned().unwrap_or_default(),
            };
            for version in versions.iter().filter(|version| version["IsDefaultVersion"] != true) {
                let input = json!({ "PolicyArn": id, "VersionId": version["VersionId"] });
                gone_is_done(call(at, "DeletePolicyVersion", input).await)?;
            }
            gone_is_done(call(at, "DeletePolicy", json!({ "PolicyArn": id })).await)
        }
        "AWS::IAM::User" => {
            gone(set_user(at, id, properties, &Map::new()).await)?;
            gone_is_done(call(at, "DeleteUser", json!({ "UserName": id })).await)
        }
        "AWS::IAM::Group" => {
            gone(put_policies(at, ("GroupName", "Group"), id, properties, &Map::new()).await)?;
            gone_is_done(call(at, "DeleteGroup", json!({ "GroupName": id })).await)
        }
        "AWS::IAM::InstanceProfile" => {
            gone(profile_roles(at, id, &listed(properties, "Roles"), &BTreeSet::new()).await)?;
            gone_is_done(call(at, "DeleteInstanceProfile", json!({ "InstanceProfileName": id })).await)
        }
        "AWS::IAM::AccessKey" => {
            let input = json!({ "UserName": required_text(properties, "UserName")?, "AccessKeyId": id });
            gone_is_done(call(at, "DeleteAccessKey", input).await)
        }
        other => Err(invalid(format!("not implemented: resource type {other}"))),
    }
}
