//! Instance profiles: names for roles, kept because templates have them. There are no machines here that could have one
//! (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateInstanceProfile.html> and its neighbours).

use cumulet_base::id;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::roles::check_named;
use super::{account, check_tags, optional, read_tags, required};
use crate::entities::{Entity, Profile};
use crate::model::{FORMAT, Role};
use crate::{Iam, errors};

async fn shape(iam: &Iam, profile: &Profile) -> Result<Value, ApiError> {
    let mut shape = profile.shape();
    if let Some(name) = &profile.role
        && let Some(role) = iam.storage.find::<Role>(&profile.account, name).await?
    {
        shape["Roles"] = json!([role.shape(false)]);
    }
    Ok(shape)
}

pub async fn create(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let (name, path) = check_named(&call, "InstanceProfileName", 128)?;
    let tags = read_tags(&call)?;
    check_tags(&tags)?;
    let profile = Profile {
        v: FORMAT,
        account: account(&call).to_owned(),
        name,
        path,
        id: format!("AIPA{}", id::upper(17)),
        created_ms: call.context.now_ms,
        tags,
        role: None,
    };
    iam.storage.create(&profile).await?;
    Answer::json(json!({ "InstanceProfile": profile.shape() }))
}

pub async fn get(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let profile: Profile = iam.storage.require(account(&call), required(&call, "InstanceProfileName")?).await?;
    Answer::json(json!({ "InstanceProfile": shape(iam, &profile).await? }))
}

/// ListInstanceProfiles and ListInstanceProfilesForRole, on one page.
pub async fn list(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let role = optional(&call, "RoleName");
    if let Some(name) = role {
        iam.storage.require::<Role>(account(&call), name).await?;
    }
    let prefix = optional(&call, "PathPrefix").unwrap_or("/");
    let mut shapes = Vec::new();
    for profile in iam.storage.all::<Profile>(account(&call)).await? {
        let is_meant = role.is_none_or(|role| profile.role.as_deref() == Some(role));
        if is_meant && profile.path.starts_with(prefix) {
            shapes.push(shape(iam, &profile).await?);
        }
    }
    Answer::json(json!({ "InstanceProfiles": shapes, "IsTruncated": false }))
}

pub async fn delete(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    iam.storage
        .delete(account(&call), required(&call, "InstanceProfileName")?, |profile: &Profile| match profile.role {
            Some(_) => {
                Err(errors::delete_conflict("Cannot delete entity, must remove roles from instance profile first."))
            }
            None => Ok(()),
        })
        .await?;
    Ok(Answer::empty())
}

pub async fn add_role(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let role: Role = iam.storage.require(account(&call), required(&call, "RoleName")?).await?;
    iam.storage
        .update(account(&call), required(&call, "InstanceProfileName")?, |profile: &mut Profile| {
            if profile.role.is_some() {
                return Err(errors::limit_exceeded("Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1"));
            }
            profile.role = Some(role.name.clone());
            Ok(())
        })
        .await?;
    Ok(Answer::empty())
}

pub async fn remove_role(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let role = required(&call, "RoleName")?;
    iam.storage
        .update(account(&call), required(&call, "InstanceProfileName")?, |profile: &mut Profile| {
            match profile.role.take_if(|name| name == role) {
                Some(_) => Ok(()),
                None => Err(Role::not_found(role)),
            }
        })
        .await?;
    Ok(Answer::empty())
}
