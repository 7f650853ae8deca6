//! Roles read, listed, changed and deleted
//! (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRole.html> and its neighbours).

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;
use serde_json::{Value, json};

use super::{account, attachable, check_name, optional, page, required};
use crate::entities::Profile;
use crate::model::Role;
use crate::{Iam, errors};

pub async fn get(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let role: Role = iam.storage.require(account(&call), required(&call, "RoleName")?).await?;
    Answer::json(json!({ "Role": role.shape(true) }))
}

pub async fn list(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    page::<Role>(iam, &call, "Roles").await
}

/// Refused while the role has policies or is in a profile.
pub async fn delete(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let name = required(&call, "RoleName")?;
    let profiles: Vec<Profile> = iam.storage.all(account(&call)).await?;
    let is_used = profiles.iter().any(|profile| profile.role.as_deref() == Some(name));
    iam.storage
        .delete(account(&call), name, |role: &Role| {
            if is_used {
                return Err(errors::delete_conflict(
                    "Cannot delete entity, must remove roles from instance profile first.",
                ));
            }
            super::policies_of::check_bare(role)
        })
        .await?;
    Ok(Answer::empty())
}

/// UpdateRole and UpdateRoleDescription: what is not given stays.
pub async fn update(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let name = required(&call, "RoleName")?;
    let description = optional(&call, "Description");
    let duration = match call.input.get("MaxSessionDuration") {
        None | Some(Value::Null) => None,
        Some(value) => Some(value.as_i64().or_else(|| value.as_str()?.parse().ok()).unwrap_or(-1)),
    };
    let mut checks = Validation::new();
    checks.length("description", description, 0, 1000).between("maxSessionDuration", duration, 3600, 43_200);
    checks.finish("ValidationError")?;
    let role = iam
        .storage
        .update(account(&call), name, |role: &mut Role| {
            if let Some(description) = description {
                role.description = Some(description.to_owned());
            }
            if let Some(seconds) = duration.and_then(|seconds| u32::try_from(seconds).ok()) {
                role.max_session_s = seconds;
            }
            Ok(())
        })
        .await?;
    match call.operation.name {
        "UpdateRoleDescription" => Answer::json(json!({ "Role": role.shape(false) })),
        _ => Ok(Answer::empty()),
    }
}

/// PutRolePermissionsBoundary and DeleteRolePermissionsBoundary.
pub async fn bound(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let name = required(&call, "RoleName")?;
    let boundary = match call.operation.name {
        "PutRolePermissionsBoundary" => {
            let arn = required(&call, "PermissionsBoundary")?;
            attachable(iam, account(&call), arn).await?;
            Some(arn.to_owned())
        }
        _ => None,
    };
    iam.storage
        .update(account(&call), name, |role: &mut Role| {
            role.boundary.clone_from(&boundary);
            Ok(())
        })
        .await?;
    Ok(Answer::empty())
}

/// A name and its path, as users, groups, policies and profiles have them.
pub fn check_named(call: &Call, member: &str, length_max: usize) -> Result<(String, String), ApiError> {
    let name = required(call, member)?;
    let mut shown = member.to_owned();
    shown[..1].make_ascii_lowercase();
    check_name(&shown, name, length_max)?;
    let path = optional(call, "Path").unwrap_or("/");
    super::create_role::check_path(path)?;
    Ok((name.to_owned(), path.to_owned()))
}
