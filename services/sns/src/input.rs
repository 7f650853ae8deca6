//! Members of a request. The query protocol writes maps as entries; callers inside the cloud give them as they are.

use std::collections::BTreeMap;

use cumulet_wire::call::Call;
use cumulet_wire::error::ApiError;
use serde_json::{Map, Value};

use crate::errors;
use crate::model::Place;

pub fn text<'a>(input: &'a Map<String, Value>, member: &str) -> Option<&'a str> {
    input.get(member).and_then(Value::as_str)
}

pub fn required<'a>(input: &'a Map<String, Value>, member: &str) -> Result<&'a str, ApiError> {
    text(input, member).ok_or_else(|| errors::invalid(member))
}

pub fn flag(input: &Map<String, Value>, member: &str) -> bool {
    input.get(member).is_some_and(|value| value == true || value == "true")
}

/// A map whose values are whatever they are.
pub fn map(input: &Map<String, Value>, member: &str) -> BTreeMap<String, Value> {
    let Some(Value::Object(given)) = input.get(member) else { return BTreeMap::new() };
    let Some(Value::Array(entries)) = given.get("entry") else { return given.clone().into_iter().collect() };
    let pair = |entry: &Value| {
        let name = entry.get("key").or_else(|| entry.get("Name"))?.as_str()?;
        let value = entry.get("value").or_else(|| entry.get("Value")).cloned().unwrap_or_default();
        Some((name.to_owned(), value))
    };
    entries.iter().filter_map(pair).collect()
}

/// A map of texts.
pub fn pairs(input: &Map<String, Value>, member: &str) -> Result<BTreeMap<String, String>, ApiError> {
    let text = |(name, value): (String, Value)| match value {
        Value::String(text) => Ok((name, text)),
        Value::Null => Ok((name, String::new())),
        Value::Bool(_) | Value::Number(_) => Ok((name, value.to_string())),
        _ => Err(errors::invalid(format!("{member}: {name}"))),
    };
    map(input, member).into_iter().map(text).collect()
}

/// As answers write a map.
pub fn entries(pairs: impl IntoIterator<Item = (String, String)>) -> Value {
    let entry = |(key, value): (String, String)| serde_json::json!({"key": key, "value": value});
    serde_json::json!({"entry": pairs.into_iter().map(entry).collect::<Vec<_>>()})
}

pub fn list<'a>(input: &'a Map<String, Value>, member: &str) -> impl Iterator<Item = &'a Value> {
    input.get(member).and_then(Value::as_array).into_iter().flatten()
}

pub fn tags(input: &Map<String, Value>) -> BTreeMap<String, String> {
    let pair =
        |tag: &Value| Some((tag["Key"].as_str()?.to_owned(), tag["Value"].as_str().unwrap_or_default().to_owned()));
    list(input, "Tags").filter_map(pair).collect()
}

/// The topic that the call names by its ARN.
pub fn topic(call: &Call, member: &str) -> Result<Place, ApiError> {
    let arn = required(&call.input, member)?;
    Place::from_arn(arn)
        .ok_or_else(|| errors::invalid(format!("{member} Reason: An ARN must have at least 6 elements")))
}

/// Topic and id of the subscription that the call names.
pub fn subscription(call: &Call) -> Result<(Place, String), ApiError> {
    Place::of_subscription(required(&call.input, "SubscriptionArn")?).ok_or_else(|| errors::invalid("SubscriptionArn"))
}

/// What a call is about: the topic, where there is one.
pub fn place_of(call: &Call) -> Option<Place> {
    let input = &call.input;
    let by_arn = ["TopicArn", "TargetArn", "ResourceArn"].into_iter().find_map(|member| text(input, member));
    by_arn
        .and_then(Place::from_arn)
        .or_else(|| Place::of_subscription(text(input, "SubscriptionArn")?).map(|(place, _)| place))
        .or_else(|| Some(here(call, text(input, "Name")?)))
}

/// A topic of the caller's account and region.
pub fn here(call: &Call, name: &str) -> Place {
    Place { account: call.context.account().to_owned(), region: call.context.region.clone(), name: name.to_owned() }
}
