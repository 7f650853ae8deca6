//! Members of requests, and the names in them.

use cumulet_base::arn::Arn;
use cumulet_wire::call::{self, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;
use serde_json::{Map, Value};

use crate::errors;
use crate::model::{DEFAULT, Place, Tags};

pub const PAGE_MAX: usize = 100;

pub fn text<'a>(input: &'a Map<String, Value>, member: &str) -> Option<&'a str> {
    input.get(member).and_then(Value::as_str)
}

pub fn texts(input: &Map<String, Value>, member: &str) -> Vec<String> {
    let list = input.get(member).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

pub fn owned(input: &Map<String, Value>, member: &str) -> Option<String> {
    text(input, member).map(str::to_owned)
}

fn small(member: &str) -> String {
    let mut chars = member.chars();
    chars.next().map_or_else(String::new, |first| first.to_ascii_lowercase().to_string() + chars.as_str())
}

pub fn required<'a>(input: &'a Map<String, Value>, member: &str) -> Result<&'a str, ApiError> {
    let value = text(input, member);
    Validation::new().required(&small(member), value.as_ref()).finish("ValidationException")?;
    Ok(value.unwrap_or_default())
}

/// A name of what is made, within its length and alphabet.
pub fn name<'a>(input: &'a Map<String, Value>, member: &str, max: usize) -> Result<&'a str, ApiError> {
    let value = required(input, member)?;
    let is_allowed = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    let at = small(member);
    Validation::new()
        .length(&at, Some(value), 1, max)
        .pattern(&at, Some(value), r"[\.\-_A-Za-z0-9]+", is_allowed)
        .finish("ValidationException")?;
    Ok(value)
}

/// Texts that have a greatest length.
pub fn bounded(input: &Map<String, Value>, members: &[(&str, usize)]) -> Result<(), ApiError> {
    let mut validation = Validation::new();
    for (member, max) in members {
        validation.length(&small(member), text(input, member), 0, *max);
    }
    validation.finish("ValidationException")
}

pub fn time_ms(input: &Map<String, Value>, member: &str) -> Option<u64> {
    call::time_ms(input.get(member)?)
}

pub fn here(call: &Call) -> Place {
    Place { account: call.context.account().to_owned(), region: call.context.region.clone() }
}

/// The bus that is named by its name or ARN, or the default one.
pub fn bus(call: &Call, member: &str) -> Result<(Place, String), ApiError> {
    bus_of(&here(call), text(&call.input, member))
}

pub fn bus_of(here: &Place, named: Option<&str>) -> Result<(Place, String), ApiError> {
    let Some(named) = named.filter(|named| !named.is_empty()) else { return Ok((here.clone(), DEFAULT.to_owned())) };
    let (place, name) = match named.parse::<Arn>() {
        Ok(arn) => {
            let name = arn.resource.strip_prefix("event-bus/").filter(|_| arn.service == "events");
            let name =
                name.ok_or_else(|| errors::parameter("EventBusName", "Must be a valid event bus name or ARN."))?;
            (Place { account: arn.account.clone(), region: arn.region.clone() }, name.to_owned())
        }
        Err(_) => (here.clone(), named.to_owned()),
    };
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"/._-".contains(&b);
    if name.len() > 256 || !name.bytes().all(is_allowed) {
        let mut validation = Validation::new();
        validation.pattern("eventBusName", Some(named), r"[/\.\-_A-Za-z0-9]+", |_| false);
        return Err(validation.finish("ValidationException").err().unwrap_or_else(|| errors::no_bus(named)));
    }
    Ok((place, name))
}

pub fn tags(input: &Map<String, Value>) -> Result<Tags, ApiError> {
    let list = input.get("Tags").and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .map(|tag| match (tag["Key"].as_str(), tag["Value"].as_str()) {
            (Some(key), Some(value)) if !key.is_empty() && key.len() <= 128 && value.len() <= 256 => {
                Ok((key.to_owned(), value.to_owned()))
            }
            _ => {
                Err(errors::parameter("Tags", "Each tag has a key of 1 to 128 and a value of at most 256 characters."))
            }
        })
        .collect()
}

/// How many a list may answer, and after which name.
pub fn page(input: &Map<String, Value>) -> Result<(usize, Option<&str>), ApiError> {
    let limit = input.get("Limit").and_then(Value::as_i64);
    Validation::new().between("limit", limit, 1, PAGE_MAX as i64).finish("ValidationException")?;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE_MAX);
    Ok((limit, text(input, "NextToken")))
}

/// Cuts a list that was asked for with one more than the limit, and answers the token of the next.
pub fn cut<T>(mut found: Vec<(String, T)>, limit: usize) -> (Vec<(String, T)>, Option<String>) {
    if found.len() <= limit {
        return (found, None);
    }
    found.truncate(limit);
    let token = found.last().map(|(name, _)| name.clone());
    (found, token)
}
