//! Members of requests. Those of paths and queries come as texts.

use std::collections::BTreeMap;

use cumulet_wire::call::Call;
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;
use serde_json::{Map, Value};

use crate::model::{DEFAULT, Place};

pub const PAGE_MAX: usize = 100;
const CODE: &str = "ValidationException";

pub fn text<'a>(input: &'a Map<String, Value>, member: &str) -> Option<&'a str> {
    input.get(member).and_then(Value::as_str)
}

pub fn owned(input: &Map<String, Value>, member: &str) -> Option<String> {
    text(input, member).map(str::to_owned)
}

pub fn here(call: &Call) -> Place {
    Place { account: call.context.account().to_owned(), region: call.context.region.clone() }
}

fn is_name(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

fn checked<'a>(at: &str, value: Option<&'a str>) -> Result<&'a str, ApiError> {
    Validation::new()
        .required(at, value.as_ref())
        .length(at, value, 1, 64)
        .pattern(at, value, "^[0-9a-zA-Z-_.]+$", is_name)
        .finish(CODE)?;
    Ok(value.unwrap_or_default())
}

pub fn name(call: &Call) -> Result<&str, ApiError> {
    checked("name", text(&call.input, "Name"))
}

/// The group that is named, or the default one.
pub fn group(call: &Call) -> Result<&str, ApiError> {
    checked("groupName", text(&call.input, "GroupName").or(Some(DEFAULT)))
}

pub fn token(call: &Call) -> Result<Option<String>, ApiError> {
    let token = text(&call.input, "ClientToken");
    let is_allowed = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    Validation::new()
        .length("clientToken", token, 1, 64)
        .pattern("clientToken", token, "^[a-zA-Z0-9-_]+$", is_allowed)
        .finish(CODE)?;
    Ok(token.map(str::to_owned))
}

/// How many a list may answer.
pub fn limit(call: &Call) -> Result<usize, ApiError> {
    let given = call.input.get("MaxResults");
    let given = given.and_then(|value| value.as_i64().or_else(|| value.as_str()?.parse().ok()));
    Validation::new().between("maxResults", given, 1, PAGE_MAX as i64).finish(CODE)?;
    Ok(given.and_then(|max| usize::try_from(max).ok()).unwrap_or(PAGE_MAX))
}

pub fn tags(call: &Call) -> BTreeMap<String, String> {
    let list = call.input.get("Tags").and_then(Value::as_array);
    let tag = |tag: &Value| Some((tag["Key"].as_str()?.to_owned(), tag["Value"].as_str()?.to_owned()));
    list.into_iter().flatten().filter_map(tag).collect()
}
