//! The operations, one file each, and what several of them read alike. Query members are text, whatever their type.

pub mod attach_role_policy;
pub mod create_role;
pub mod delete_role;
pub mod delete_role_policy;
pub mod detach_role_policy;
pub mod get_policy;
pub mod get_policy_version;
pub mod get_role;
pub mod get_role_policy;
pub mod list_attached_role_policies;
pub mod list_instance_profiles_for_role;
pub mod list_role_policies;
pub mod list_role_tags;
pub mod list_roles;
pub mod put_role_policy;
pub mod tag_role;
pub mod untag_role;
pub mod update_assume_role_policy;

use std::collections::BTreeMap;

use cumulet_wire::call::Call;
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;
use serde_json::Value;

use crate::errors;

const PAGE_DEFAULT: usize = 100;
const PAGE_MAX: usize = 1000;
const TAGS_MAX: usize = 50;

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
