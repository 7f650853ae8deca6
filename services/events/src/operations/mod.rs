//! The operations, grouped by what they are about.

pub mod archives;
pub mod buses;
pub mod connections;
pub mod destinations;
pub mod permissions;
pub mod put_events;
pub mod replays;
pub mod rules;
pub mod tags;
pub mod targets;

use cumulet_base::limits;
use cumulet_wire::error::ApiError;
use cumulet_wire::event_pattern::Pattern;
use serde_json::{Map, Value};

use crate::errors;
use crate::input;

/// An event pattern that was given, if it is one.
fn pattern(given: &Map<String, Value>) -> Result<Option<String>, ApiError> {
    let Some(text) = input::text(given, "EventPattern").filter(|text| !text.is_empty()) else { return Ok(None) };
    if text.len() > limits::EVENTS_PATTERN_BYTES_MAX {
        return Err(errors::pattern("The pattern is too long."));
    }
    Pattern::parse(text).map_err(|error| errors::pattern(&error.to_string()))?;
    Ok(Some(text.to_owned()))
}

/// With what is there, under its name.
fn put(output: &mut Value, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        output[name] = value.into();
    }
}
