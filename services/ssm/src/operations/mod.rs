//! The operations by what they are about, and what several of them read alike.

pub mod delete;
pub mod describe;
pub mod get;
pub mod labels;
pub mod put;
pub mod tags;

use cumulet_wire::call::Call;
use cumulet_wire::error::ApiError;
use serde_json::Value;

use crate::Ssm;
use crate::errors;
use crate::model::{Parameter, Place, SECURE, Version};
use crate::names::{self, Selected};

/// Parameters that one request names.
pub const NAMES_MAX: usize = 10;

fn text<'a>(call: &'a Call, member: &str) -> Option<&'a str> {
    call.input.get(member).and_then(Value::as_str)
}

fn required<'a>(call: &'a Call, member: &str) -> Result<&'a str, ApiError> {
    text(call, member).ok_or_else(|| {
        let mut name = member.to_owned();
        name[..1].make_ascii_lowercase();
        errors::invalid(format!(
            "1 validation error detected: Value null at '{name}' failed to satisfy constraint: Member must not be null"
        ))
    })
}

fn flag(call: &Call, member: &str) -> bool {
    call.input.get(member).and_then(Value::as_bool).unwrap_or_default()
}

fn texts<'a>(call: &'a Call, member: &str) -> Vec<&'a str> {
    call.input.get(member).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The names of a request that has one to ten of them.
fn names_of(call: &Call) -> Result<Vec<&str>, ApiError> {
    let names = texts(call, "Names");
    match (1..=NAMES_MAX).contains(&names.len()) {
        true => Ok(names),
        false => Err(errors::invalid(format!(
            "1 validation error detected: Value at 'names' failed to satisfy constraint: Member must have length less than or equal to {NAMES_MAX} and at least 1"
        ))),
    }
}

fn page_size(call: &Call, default: usize, max: usize) -> Result<usize, ApiError> {
    match call.input.get("MaxResults").filter(|value| !value.is_null()) {
        None => Ok(default),
        Some(value) => {
            let number = value.as_u64().and_then(|n| usize::try_from(n).ok());
            number
                .filter(|n| (1..=max).contains(n))
                .ok_or_else(|| errors::invalid(format!("MaxResults must be between 1 and {max}")))
        }
    }
}

fn place(call: &Call, name: &str) -> Place {
    let context = &call.context;
    Place { account: context.account().to_owned(), region: context.region.clone(), name: name.to_owned() }
}

impl Ssm {
    /// A parameter and the version that a name with a selector means.
    async fn selected<'a>(
        &self,
        call: &Call,
        given: &'a str,
    ) -> Result<(Place, Parameter, Version, Selected<'a>), ApiError> {
        let selected = names::selected(given).ok_or_else(|| errors::not_found(given))?;
        let mut place = place(call, selected.name);
        let mut found = self.storage.find(&place).await?;
        if found.is_none() && given.starts_with("arn:") && !place.name.starts_with('/') {
            // The ARN does not say whether the name begins with a stroke.
            place.name = format!("/{}", place.name);
            found = self.storage.find(&place).await?;
        }
        let parameter = found.ok_or_else(|| errors::not_found(given))?;
        let number = match selected.selector {
            None => parameter.last.number,
            Some(selector) => selector
                .parse::<u64>()
                .ok()
                .or_else(|| parameter.labels.get(selector).copied())
                .ok_or_else(|| errors::version_not_found(given))?,
        };
        let version = self.storage.version(&place, &parameter, number).await?;
        let version = version.ok_or_else(|| errors::version_not_found(given))?;
        Ok((place, parameter, version, selected))
    }

    /// A value as the caller asked to see it: of a secure string the text, or what it is encrypted to.
    fn seen(&self, place: &Place, version: &Version, is_decrypted: bool) -> Result<String, ApiError> {
        match version.kind == SECURE && is_decrypted {
            true => self.secrets.open(&version.value, &place.binding(version.number)),
            false => Ok(version.value.clone()),
        }
    }
}
