//! Managed policies: the account's own with up to five versions, and AWS's, which cannot be changed
//! (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreatePolicy.html> and its neighbours).

use cumulet_base::id;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::roles::check_named;
use super::{account, check_tags, optional, page_size, read_tags, required};
use crate::entities::{Entity, Group, Holder, Policy, PolicyVersion, User};
use crate::managed::{self, Managed};
use crate::model::{FORMAT, Role};
use crate::policy::{self, Kind};
use crate::{Iam, errors, model};

const VERSIONS_MAX: usize = 5;
const CHARACTERS_MAX: usize = 6144;
/// The one version every policy of AWS has here.
const VERSION: &str = "v1";

fn document(call: &Call) -> Result<&str, ApiError> {
    let document = required(call, "PolicyDocument")?;
    policy::check(document, Kind::Identity)?;
    if document.chars().filter(|c| !c.is_whitespace()).count() > CHARACTERS_MAX {
        return Err(errors::limit_exceeded(format!("Cannot exceed quota for PolicySize: {CHARACTERS_MAX}")));
    }
    Ok(document)
}

/// A policy of the account's own by its ARN.
fn own_name<'a>(call: &'a Call, arn: &'a str) -> Result<&'a str, ApiError> {
    let missing = || Policy::not_found(arn);
    if managed::find(arn).is_some() {
        return Err(errors::access_denied(
            &call.context.caller.arn,
            &format!("iam:{}", call.operation.name),
            arn,
            false,
        ));
    }
    let (_, name) = arn.split_once(&format!("::{}:policy/", account(call))).ok_or_else(missing)?;
    Ok(name.rsplit('/').next().unwrap_or_default())
}

async fn own(iam: &Iam, call: &Call, arn: &str) -> Result<Policy, ApiError> {
    let found: Option<Policy> = iam.storage.find(account(call), own_name(call, arn)?).await?;
    found.filter(|policy| policy.arn() == arn).ok_or_else(|| Policy::not_found(arn))
}

pub async fn create(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let (name, path) = check_named(&call, "PolicyName", 128)?;
    let document = document(&call)?;
    let tags = read_tags(&call)?;
    check_tags(&tags)?;
    let now_ms = call.context.now_ms;
    let policy = Policy {
        v: FORMAT,
        account: account(&call).to_owned(),
        name,
        path,
        id: format!("ANPA{}", id::upper(17)),
        description: optional(&call, "Description").map(str::to_owned),
        created_ms: now_ms,
        updated_ms: now_ms,
        tags,
        versions: vec![PolicyVersion { id: VERSION.to_owned(), document: document.to_owned(), created_ms: now_ms }],
        default: VERSION.to_owned(),
        next_version: 2,
    };
    iam.storage.create(&policy).await?;
    let mut shape = policy.shape();
    shape["AttachmentCount"] = 0.into();
    Answer::json(json!({ "Policy": shape }))
}

fn aws_shape(policy: &Managed) -> Value {
    json!({
        "PolicyName": policy.name(),
        "PolicyId": policy.id,
        "Arn": policy.arn,
        "Path": policy.path(),
        "DefaultVersionId": VERSION,
        "AttachmentCount": 0,
        "PermissionsBoundaryUsageCount": 0,
        "IsAttachable": true,
        "Description": policy.description,
        "CreateDate": model::iso_s(0),
        "UpdateDate": model::iso_s(0),
    })
}

/// Names of those a policy is attached to, or bounds.
async fn users_of<T: Holder>(iam: &Iam, account: &str, arn: &str) -> Result<Vec<T>, ApiError> {
    let mut all: Vec<T> = iam.storage.all(account).await?;
    all.retain(|holder| holder.policies().1.iter().any(|attached| attached == arn));
    Ok(all)
}

async fn attachments(iam: &Iam, account: &str, arn: &str) -> Result<usize, ApiError> {
    Ok(users_of::<Role>(iam, account, arn).await?.len()
        + users_of::<User>(iam, account, arn).await?.len()
        + users_of::<Group>(iam, account, arn).await?.len())
}

pub async fn get(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let arn = required(&call, "PolicyArn")?;
    let mut shape = match managed::find(arn) {
        Some(policy) => aws_shape(policy),
        None => own(iam, &call, arn).await?.shape(),
    };
    shape["AttachmentCount"] = attachments(iam, account(&call), arn).await?.into();
    Answer::json(json!({ "Policy": shape }))
}

pub async fn list(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let limit = page_size(&call)?;
    let scope = optional(&call, "Scope").unwrap_or("All");
    let prefix = optional(&call, "PathPrefix").unwrap_or("/");
    let is_attached_only = call.input.get("OnlyAttached").is_some_and(|v| v == "true" || v == true);
    let mut shapes = Vec::new();
    if scope != "AWS" {
        shapes.extend(iam.storage.all::<Policy>(account(&call)).await?.iter().map(Policy::shape));
    }
    if scope != "Local" {
        shapes.extend(managed::all().map(aws_shape));
    }
    let mut found = Vec::new();
    let after = optional(&call, "Marker");
    let mut is_after = after.is_none();
    for mut shape in shapes {
        let arn = shape["Arn"].as_str().unwrap_or_default().to_owned();
        if !is_after {
            is_after = after == Some(arn.as_str());
            continue;
        }
        if shape["Path"].as_str().is_none_or(|path| !path.starts_with(prefix)) {
            continue;
        }
        let count = attachments(iam, account(&call), &arn).await?;
        if is_attached_only && count == 0 {
            continue;
        }
        shape["AttachmentCount"] = count.into();
        found.push(shape);
        if found.len() > limit {
            break;
        }
    }
    let is_truncated = found.len() > limit;
    found.truncate(limit);
    let mut answer = json!({ "Policies": found, "IsTruncated": is_truncated });
    if is_truncated {
        answer["Marker"] = found_marker(&answer);
    }
    Answer::json(answer)
}

fn found_marker(answer: &Value) -> Value {
    let last = answer["Policies"].as_array().and_then(|list| list.last());
    last.map(|policy| policy["Arn"].clone()).unwrap_or_default()
}

pub async fn get_version(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let arn = required(&call, "PolicyArn")?;
    let version = required(&call, "VersionId")?;
    let missing =
        || errors::no_such_entity(format!("Policy {arn} version {version} does not exist or is not attachable."));
    let shape = match managed::find(arn) {
        Some(policy) if version == VERSION => json!({
            "Document": model::encode(policy.document),
            "VersionId": VERSION,
            "IsDefaultVersion": true,
            "CreateDate": model::iso_s(0),
        }),
        Some(_) => return Err(missing()),
        None => {
            let policy = own(iam, &call, arn).await?;
            let found = policy.versions.iter().find(|found| found.id == version).ok_or_else(missing)?;
            policy.version_shape(found, true)
        }
    };
    Answer::json(json!({ "PolicyVersion": shape }))
}

pub async fn list_versions(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let arn = required(&call, "PolicyArn")?;
    let versions: Vec<Value> = match managed::find(arn) {
        Some(_) => vec![json!({ "VersionId": VERSION, "IsDefaultVersion": true, "CreateDate": model::iso_s(0) })],
        None => {
            let policy = own(iam, &call, arn).await?;
            policy.versions.iter().rev().map(|version| policy.version_shape(version, false)).collect()
        }
    };
    Answer::json(json!({ "Versions": versions, "IsTruncated": false }))
}

pub async fn create_version(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let arn = required(&call, "PolicyArn")?;
    let document = document(&call)?;
    own(iam, &call, arn).await?;
    let is_default = call.input.get("SetAsDefault").is_some_and(|v| v == "true" || v == true);
    let now_ms = call.context.now_ms;
    let policy = iam
        .storage
        .update(account(&call), own_name(&call, arn)?, |policy: &mut Policy| {
            if policy.versions.len() >= VERSIONS_MAX {
                return Err(errors::limit_exceeded(format!(
                    "A managed policy can have up to {VERSIONS_MAX} versions. Before you create a new version, you must delete an existing version."
                )));
            }
            let id = format!("v{}", policy.next_version);
            policy.next_version += 1;
            if is_default {
                policy.default.clone_from(&id);
            }
            policy.updated_ms = now_ms;
            policy.versions.push(PolicyVersion { id, document: document.to_owned(), created_ms: now_ms });
            Ok(())
        })
        .await?;
    let last = policy.versions.last().map(|version| policy.version_shape(version, false));
    Answer::json(json!({ "PolicyVersion": last }))
}

/// DeletePolicyVersion and SetDefaultPolicyVersion.
pub async fn change_version(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let arn = required(&call, "PolicyArn")?;
    let version = required(&call, "VersionId")?;
    own(iam, &call, arn).await?;
    let is_deletion = call.operation.name == "DeletePolicyVersion";
    iam.storage
        .update(account(&call), own_name(&call, arn)?, |policy: &mut Policy| {
            if policy.versions.iter().all(|found| found.id != version) {
                return Err(errors::no_such_entity(format!(
                    "Policy {arn} version {version} does not exist or is not attachable."
                )));
            }
            if !is_deletion {
                version.clone_into(&mut policy.default);
                return Ok(());
            }
            if policy.default == version {
                return Err(errors::delete_conflict("Cannot delete the default version of a policy."));
            }
            policy.versions.retain(|found| found.id != version);
            Ok(())
        })
        .await?;
    Ok(Answer::empty())
}

pub async fn delete(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let arn = required(&call, "PolicyArn")?;
    own(iam, &call, arn).await?;
    let count = attachments(iam, account(&call), arn).await?;
    iam.storage
        .delete(account(&call), own_name(&call, arn)?, |policy: &Policy| {
            if count > 0 {
                return Err(errors::delete_conflict("Cannot delete a policy attached to entities."));
            }
            if policy.versions.len() > 1 {
                return Err(errors::delete_conflict(
                    "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.",
                ));
            }
            Ok(())
        })
        .await?;
    Ok(Answer::empty())
}

pub async fn list_entities(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let arn = required(&call, "PolicyArn")?;
    if managed::find(arn).is_none() {
        own(iam, &call, arn).await?;
    }
    let account = account(&call);
    let roles = users_of::<Role>(iam, account, arn).await?;
    let users = users_of::<User>(iam, account, arn).await?;
    let groups = users_of::<Group>(iam, account, arn).await?;
    let roles: Vec<Value> = roles.iter().map(|r| json!({ "RoleName": r.name, "RoleId": r.id })).collect();
    let users: Vec<Value> = users.iter().map(|u| json!({ "UserName": u.name, "UserId": u.id })).collect();
    let groups: Vec<Value> = groups.iter().map(|g| json!({ "GroupName": g.name, "GroupId": g.id })).collect();
    let shape = json!({
        "PolicyRoles": roles,
        "PolicyUsers": users,
        "PolicyGroups": groups,
        "IsTruncated": false,
    });
    Answer::json(shape)
}
