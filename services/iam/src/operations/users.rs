//! Users, their access keys, and the groups they are in
//! (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateUser.html> and its neighbours). Passwords, MFA devices and
//! certificates are absent: there is no console to sign in to.

use std::collections::{BTreeMap, BTreeSet};

use cumulet_base::id;
use cumulet_wire::auth::Principal;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::roles::check_named;
use super::{account, attachable, check_tags, optional, page, read_tags, required};
use crate::entities::{AccessKey, Entity, Group, User};
use crate::model::{FORMAT, iso_s};
use crate::sessions::user_secret;
use crate::{Iam, errors};

const KEYS_MAX: usize = 2;
const GROUPS_MAX: usize = 10;

/// The user named, or who calls.
fn user_name(call: &Call) -> Result<String, ApiError> {
    match (optional(call, "UserName"), &call.context.caller.kind) {
        (Some(name), _) => Ok(name.to_owned()),
        (None, Principal::User) => Ok(call.context.caller.arn.rsplit('/').next().unwrap_or_default().to_owned()),
        (None, _) => required(call, "UserName").map(str::to_owned),
    }
}

pub async fn create(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let (name, path) = check_named(&call, "UserName", 64)?;
    let tags = read_tags(&call)?;
    check_tags(&tags)?;
    let boundary = optional(&call, "PermissionsBoundary");
    if let Some(arn) = boundary {
        attachable(iam, account(&call), arn).await?;
    }
    let user = User {
        v: FORMAT,
        account: account(&call).to_owned(),
        name,
        path,
        id: format!("AIDA{}", id::upper(17)),
        created_ms: call.context.now_ms,
        tags,
        inline: BTreeMap::new(),
        attached: Vec::new(),
        boundary: boundary.map(str::to_owned),
        groups: BTreeSet::new(),
        keys: BTreeSet::new(),
    };
    iam.storage.create(&user).await?;
    Answer::json(json!({ "User": user.shape() }))
}

pub async fn get(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    if optional(&call, "UserName").is_none() && call.context.caller.kind == Principal::Owner {
        let caller = &call.context.caller;
        return Answer::json(json!({ "User": {
            "Path": "/", "UserId": caller.account, "Arn": caller.arn, "CreateDate": iso_s(0),
        } }));
    }
    let user: User = iam.storage.require(account(&call), &user_name(&call)?).await?;
    Answer::json(json!({ "User": user.shape() }))
}

pub async fn list(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    page::<User>(iam, &call, "Users").await
}

pub async fn delete(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    iam.storage
        .delete(account(&call), required(&call, "UserName")?, |user: &User| {
            if !user.keys.is_empty() {
                return Err(errors::delete_conflict("Cannot delete entity, must delete access keys first."));
            }
            if !user.groups.is_empty() {
                return Err(errors::delete_conflict("Cannot delete entity, must remove users from group first."));
            }
            super::policies_of::check_bare(user)
        })
        .await?;
    Ok(Answer::empty())
}

/// PutUserPermissionsBoundary and DeleteUserPermissionsBoundary.
pub async fn bound(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let boundary = match call.operation.name {
        "PutUserPermissionsBoundary" => {
            let arn = required(&call, "PermissionsBoundary")?;
            attachable(iam, account(&call), arn).await?;
            Some(arn.to_owned())
        }
        _ => None,
    };
    iam.storage
        .update(account(&call), required(&call, "UserName")?, |user: &mut User| {
            user.boundary.clone_from(&boundary);
            Ok(())
        })
        .await?;
    Ok(Answer::empty())
}

pub async fn create_key(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let key = AccessKey {
        v: FORMAT,
        account: account(&call).to_owned(),
        name: format!("AKIA{}", id::upper(16)),
        path: "/".to_owned(),
        user: user_name(&call)?,
        is_active: true,
        created_ms: call.context.now_ms,
    };
    iam.storage.create_key(&key, KEYS_MAX).await?;
    let mut shape = key.shape();
    shape["SecretAccessKey"] = user_secret(&iam.storage.session_secret().await?, &key.name).into();
    Answer::json(json!({ "AccessKey": shape }))
}

pub async fn list_keys(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let user: User = iam.storage.require(account(&call), &user_name(&call)?).await?;
    let mut shapes = Vec::new();
    for id in &user.keys {
        if let Some(key) = iam.storage.find::<AccessKey>("", id).await? {
            shapes.push(key.shape());
        }
    }
    Answer::json(json!({ "AccessKeyMetadata": shapes, "IsTruncated": false }))
}

/// The id of a key that is the user's.
async fn own_key(iam: &Iam, call: &Call, user: &str) -> Result<String, ApiError> {
    let id = required(call, "AccessKeyId")?;
    let user: User = iam.storage.require(account(call), user).await?;
    match user.keys.contains(id) {
        true => Ok(id.to_owned()),
        false => Err(AccessKey::not_found(id)),
    }
}

pub async fn update_key(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let id = own_key(iam, &call, &user_name(&call)?).await?;
    let is_active = match required(&call, "Status")? {
        "Active" => true,
        "Inactive" => false,
        other => return Err(errors::invalid_input(format!("{other} is no status of an access key"))),
    };
    iam.storage
        .update("", &id, |key: &mut AccessKey| {
            key.is_active = is_active;
            Ok(())
        })
        .await?;
    Ok(Answer::empty())
}

pub async fn delete_key(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let user = user_name(&call)?;
    let id = own_key(iam, &call, &user).await?;
    iam.storage.delete_key(account(&call), &user, &id).await?;
    Ok(Answer::empty())
}

pub async fn create_group(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let (name, path) = check_named(&call, "GroupName", 128)?;
    let group = Group {
        v: FORMAT,
        account: account(&call).to_owned(),
        name,
        path,
        id: format!("AGPA{}", id::upper(17)),
        created_ms: call.context.now_ms,
        inline: BTreeMap::new(),
        attached: Vec::new(),
    };
    iam.storage.create(&group).await?;
    Answer::json(json!({ "Group": group.shape() }))
}

async fn members(iam: &Iam, account: &str, group: &str) -> Result<Vec<User>, ApiError> {
    let mut users: Vec<User> = iam.storage.all(account).await?;
    users.retain(|user| user.groups.contains(group));
    Ok(users)
}

pub async fn get_group(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let group: Group = iam.storage.require(account(&call), required(&call, "GroupName")?).await?;
    let users: Vec<Value> = members(iam, account(&call), &group.name).await?.iter().map(User::shape).collect();
    Answer::json(json!({ "Group": group.shape(), "Users": users, "IsTruncated": false }))
}

pub async fn list_groups(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    page::<Group>(iam, &call, "Groups").await
}

pub async fn groups_of(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let user: User = iam.storage.require(account(&call), required(&call, "UserName")?).await?;
    let mut shapes = Vec::new();
    for name in &user.groups {
        if let Some(group) = iam.storage.find::<Group>(account(&call), name).await? {
            shapes.push(group.shape());
        }
    }
    Answer::json(json!({ "Groups": shapes, "IsTruncated": false }))
}

pub async fn delete_group(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let name = required(&call, "GroupName")?;
    let has_members = !members(iam, account(&call), name).await?.is_empty();
    iam.storage
        .delete(account(&call), name, |group: &Group| {
            if has_members {
                return Err(errors::delete_conflict("Cannot delete entity, must remove users from group first."));
            }
            super::policies_of::check_bare(group)
        })
        .await?;
    Ok(Answer::empty())
}

pub async fn join(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let group: Group = iam.storage.require(account(&call), required(&call, "GroupName")?).await?;
    iam.storage
        .update(account(&call), required(&call, "UserName")?, |user: &mut User| {
            user.groups.insert(group.name.clone());
            match user.groups.len() > GROUPS_MAX {
                true => Err(errors::limit_exceeded(format!("Cannot exceed quota for GroupsPerUser: {GROUPS_MAX}"))),
                false => Ok(()),
            }
        })
        .await?;
    Ok(Answer::empty())
}

pub async fn leave(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let group: Group = iam.storage.require(account(&call), required(&call, "GroupName")?).await?;
    iam.storage
        .update(account(&call), required(&call, "UserName")?, |user: &mut User| {
            user.groups.remove(&group.name);
            Ok(())
        })
        .await?;
    Ok(Answer::empty())
}
