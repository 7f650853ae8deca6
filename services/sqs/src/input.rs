//! Members of a request. The older protocol sends numbers as text, so both are read.

use std::collections::BTreeMap;

use cumulet_wire::call::Call;
use cumulet_wire::error::ApiError;
use serde_json::{Map, Value};

use crate::errors;
use crate::model::Place;

pub fn as_u64(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

pub fn text<'a>(input: &'a Map<String, Value>, member: &str) -> Option<&'a str> {
    input.get(member).and_then(Value::as_str)
}

pub fn required<'a>(input: &'a Map<String, Value>, member: &str) -> Result<&'a str, ApiError> {
    text(input, member).ok_or_else(|| errors::missing(member))
}

/// A whole number between two bounds, where it was given.
pub fn number(input: &Map<String, Value>, member: &str, min: u64, max: u64) -> Result<Option<u64>, ApiError> {
    let Some(value) = input.get(member).filter(|v| !v.is_null()) else { return Ok(None) };
    let within = as_u64(value).filter(|n| (min..=max).contains(n)).ok_or_else(|| {
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        errors::invalid(format!(
            "Value {shown} for parameter {member} is invalid. Reason: Must be between {min} and {max}, if provided."
        ))
    })?;
    Ok(Some(within))
}

pub fn texts(input: &Map<String, Value>, member: &str) -> Vec<String> {
    let list = input.get(member).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

pub fn pairs(input: &Map<String, Value>, member: &str) -> Result<BTreeMap<String, String>, ApiError> {
    match input.get(member) {
        None | Some(Value::Null) => Ok(BTreeMap::new()),
        Some(value) => {
            serde_json::from_value(value.clone()).map_err(|e| ApiError::serialization(&format!("{member}: {e}")))
        }
    }
}

/// The queue a call names by its URL, of which only account and name count.
pub fn place(call: &Call) -> Result<Place, ApiError> {
    place_of_url(call, required(&call.input, "QueueUrl")?)
}

pub fn place_of_url(call: &Call, url: &str) -> Result<Place, ApiError> {
    let mut parts = url.trim_end_matches('/').rsplit('/');
    let (name, account) = (parts.next().unwrap_or_default(), parts.next().unwrap_or(call.context.account()));
    if name.is_empty() || account != call.context.account() {
        return Err(errors::no_queue());
    }
    Ok(here(call, name))
}

/// The queue an operation is about, where it is about one.
pub fn place_of(call: &Call) -> Option<Place> {
    let named = text(&call.input, "QueueName").map(|name| here(call, name));
    let by_arn = || Place::from_arn(text(&call.input, "SourceArn")?);
    let by_handle = || Place::from_arn(&crate::operations::moves::source_of(text(&call.input, "TaskHandle")?)?.0);
    named.or_else(|| place(call).ok()).or_else(by_arn).or_else(by_handle)
}

/// A queue of the caller's account and region.
pub fn here(call: &Call, name: &str) -> Place {
    Place { account: call.context.account().to_owned(), region: call.context.region.clone(), name: name.to_owned() }
}

pub fn url(call: &Call, name: &str) -> String {
    format!("http://{}/{}/{name}", call.context.host, call.context.account())
}
