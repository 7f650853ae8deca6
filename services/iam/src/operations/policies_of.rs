//! Policies of roles, users and groups, inline and attached: the same operations three times, under three names
//! (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutRolePolicy.html>,
//! <https://docs.aws.amazon.com/IAM/latest/APIReference/API_AttachRolePolicy.html> and their neighbours).

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{account, attachable, check_name, required};
use crate::entities::Holder;
use crate::policy::{self, Kind};
use crate::{Iam, errors, model};

const ATTACHED_MAX: usize = 20;

pub async fn put<T: Holder>(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let name = required(&call, T::MEMBER)?;
    let policy_name = required(&call, "PolicyName")?;
    check_name("policyName", policy_name, 128)?;
    let document = required(&call, "PolicyDocument")?;
    policy::check(document, Kind::Identity)?;
    iam.storage
        .update(account(&call), name, |holder: &mut T| {
            let inline = holder.inline();
            inline.insert(policy_name.to_owned(), document.to_owned());
            let characters: usize =
                inline.values().map(|text| text.chars().filter(|c| !c.is_whitespace()).count()).sum();
            if characters > T::INLINE_CHARACTERS_MAX {
                return Err(errors::limit_exceeded(format!(
                    "Maximum policy size of {} bytes exceeded for {} {name}",
                    T::INLINE_CHARACTERS_MAX,
                    T::NOUN
                )));
            }
            Ok(())
        })
        .await?;
    Ok(Answer::empty())
}

pub async fn get<T: Holder>(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let name = required(&call, T::MEMBER)?;
    let policy_name = required(&call, "PolicyName")?;
    let holder: T = iam.storage.require(account(&call), name).await?;
    let document =
        holder.policies().0.get(policy_name).ok_or_else(|| errors::inline_policy_not_found(T::NOUN, policy_name))?;
    Answer::json(json!({
        T::MEMBER: name,
        "PolicyName": policy_name,
        "PolicyDocument": model::encode(document),
    }))
}

pub async fn delete<T: Holder>(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let name = required(&call, T::MEMBER)?;
    let policy_name = required(&call, "PolicyName")?;
    iam.storage
        .update(account(&call), name, |holder: &mut T| match holder.inline().remove(policy_name) {
            Some(_) => Ok(()),
            None => Err(errors::inline_policy_not_found(T::NOUN, policy_name)),
        })
        .await?;
    Ok(Answer::empty())
}

/// All on one page, as there are few.
pub async fn list<T: Holder>(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let holder: T = iam.storage.require(account(&call), required(&call, T::MEMBER)?).await?;
    let names: Vec<&String> = holder.policies().0.keys().collect();
    Answer::json(json!({ "PolicyNames": names, "IsTruncated": false }))
}

pub async fn attach<T: Holder>(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let name = required(&call, T::MEMBER)?;
    let arn = required(&call, "PolicyArn")?;
    attachable(iam, account(&call), arn).await?;
    iam.storage
        .update(account(&call), name, |holder: &mut T| {
            let attached = holder.attached();
            if !attached.iter().any(|other| other == arn) {
                if attached.len() >= ATTACHED_MAX {
                    return Err(errors::limit_exceeded(format!(
                        "Cannot exceed quota for PoliciesPer{}: {ATTACHED_MAX}",
                        T::MEMBER.trim_end_matches("Name")
                    )));
                }
                attached.push(arn.to_owned());
            }
            Ok(())
        })
        .await?;
    Ok(Answer::empty())
}

pub async fn detach<T: Holder>(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let name = required(&call, T::MEMBER)?;
    let arn = required(&call, "PolicyArn")?;
    iam.storage
        .update(account(&call), name, |holder: &mut T| {
            let attached = holder.attached();
            let before = attached.len();
            attached.retain(|other| other != arn);
            match attached.len() == before {
                true => Err(errors::no_such_entity(format!("Policy {arn} was not found."))),
                false => Ok(()),
            }
        })
        .await?;
    Ok(Answer::empty())
}

pub async fn attached<T: Holder>(iam: &Iam, call: Call) -> Result<Answer, ApiError> {
    let holder: T = iam.storage.require(account(&call), required(&call, T::MEMBER)?).await?;
    let shape = |arn: &String| json!({ "PolicyName": arn.rsplit('/').next(), "PolicyArn": arn });
    let list: Vec<Value> = holder.policies().1.iter().map(shape).collect();
    Answer::json(json!({ "AttachedPolicies": list, "IsTruncated": false }))
}

/// Whoever has policies is not deleted.
pub fn check_bare<T: Holder>(holder: &T) -> Result<(), ApiError> {
    let (inline, attached) = holder.policies();
    if !attached.is_empty() {
        return Err(errors::delete_conflict("Cannot delete entity, must detach all policies first."));
    }
    if !inline.is_empty() {
        return Err(errors::delete_conflict("Cannot delete entity, must delete policies first."));
    }
    Ok(())
}
