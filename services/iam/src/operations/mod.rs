//! The operations by what they are about, and what several of them read alike. Query members are text, whatever their type.

pub mod create_role;
pub mod policies;
pub mod policies_of;
pub mod profiles;
pub mod roles;
pub mod tags;
pub mod update_assume_role_policy;
pub mod users;

use std::collections::BTreeMap;

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;
use serde_json::{Value, json};

use crate::entities::{Entity, Policy};
use crate::{Iam, errors, managed};

const PAGE_DEFAULT: usize = 100;
const PAGE_MAX: usize = 1000;
const TAGS_MAX: usize = 50;

fn account(call: &Call) -> &str {
    call.context.account()
}

/// One page of all of a kind, by name.
async fn page<T: Entity>(iam: &Iam, call: &Call, member: &str) -> Result<Answer, ApiError> {
    let limit = page_size(call)?;
    let prefix = optional(call, "PathPrefix").unwrap_or("/");
    let mut found: Vec<T> = iam.storage.list(account(call), optional(call, "Marker"), prefix, limit + 1).await?;
    let is_truncated = found.len() > limit;
    found.truncate(limit);
    let shapes: Vec<Value> = found.iter().map(T::shape).collect();
    let mut shape = json!({ member: shapes, "IsTruncated": is_truncated });
    if let Some(last) = found.last().filter(|_| is_truncated) {
        shape["Marker"] = last.name().into();
    }
    Answer::json(shape)
}

/// Whether a managed policy is there, of AWS or the account.
async fn attachable(iam: &Iam, account: &str, arn: &str) -> Result<(), ApiError> {
    if managed::find(arn).is_some() {
        return Ok(());
    }
    let name = arn.rsplit('/').next().unwrap_or_default();
    let own: Option<Policy> = iam.storage.find(account, name).await?;
    match own.filter(|policy| policy.arn() == arn) {
        Some(_) => Ok(()),
        None => Err(errors::no_such_entity(format!("Policy {arn} does not exist or is not attachable."))),
    }
}

fn optional<'a>(call: &'a Call, member: &str) -> Option<&'a str> {
    call.input.get(member).and_then(Value::as_str)
}

fn required<'a>(call: &'a Call, member: &str) -> Result<&'a str, ApiError> {
    let value = optional(call, member).filter(|text| !text.is_empty());
    let mut name = member.to_owned();
    name[..1].make_ascii_lowercase();
    let mut checks = Validation::new();
    checks.required(&name, value.as_ref());
    checks.finish("ValidationError")?;
    Ok(value.unwrap_or_default())
}

fn check_name(member: &str, name: &str, max: usize) -> Result<(), ApiError> {
    let mut checks = Validation::new();
    checks.length(member, Some(name), 1, max).pattern(member, Some(name), "[\\w+=,.@-]+", |text| {
        text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b))
    });
    checks.finish("ValidationError")
}

/// `Tags` as a list of `Key` and `Value`.
fn read_tags(call: &Call) -> Result<BTreeMap<String, String>, ApiError> {
    let list = call.input.get("Tags").and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .map(|tag| {
            let text = |member: &str| tag[member].as_str().map(str::to_owned);
            text("Key")
                .map(|key| (key, text("Value").unwrap_or_default()))
                .ok_or_else(|| errors::invalid_input("A tag has no Key."))
        })
        .collect()
}

fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), ApiError> {
    if tags.len() > TAGS_MAX {
        return Err(errors::limit_exceeded(format!("The number of tags has exceeded the limit of {TAGS_MAX}.")));
    }
    for (key, value) in tags {
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            return Err(errors::invalid_input(format!(
                "The tag `{key}` has a key of more than 128 or a value of more than 256 characters, or no key."
            )));
        }
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(errors::invalid_input("Tag keys that begin with aws: are reserved."));
        }
    }
    Ok(())
}

/// `MaxItems`.
fn page_size(call: &Call) -> Result<usize, ApiError> {
    let Some(value) = call.input.get("MaxItems").filter(|v| !v.is_null()) else {
        return Ok(PAGE_DEFAULT);
    };
    value
        .as_u64()
        .or_else(|| value.as_str()?.parse().ok())
        .and_then(|n| usize::try_from(n).ok())
        .filter(|n| (1..=PAGE_MAX).contains(n))
        .ok_or_else(|| {
            ApiError::new(
                400,
                "ValidationError",
                format!("Value '{value}' at 'maxItems' failed to satisfy constraint: Member must be between 1 and {PAGE_MAX}"),
            )
        })
}
