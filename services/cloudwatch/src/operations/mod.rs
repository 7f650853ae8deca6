//! The operations by what they are about, and what several of them read alike.

pub mod alarms;
pub mod dashboards;
pub mod data;
pub mod history;
pub mod metrics;
pub mod states;
pub mod tags;

use cumulet_wire::call::{self, Call};
use cumulet_wire::error::ApiError;
use serde_json::Value;

use crate::errors;

fn text<'a>(call: &'a Call, member: &str) -> Option<&'a str> {
    call.input.get(member).and_then(Value::as_str)
}

fn required<'a>(call: &'a Call, member: &str) -> Result<&'a str, ApiError> {
    text(call, member).filter(|text| !text.is_empty()).ok_or_else(|| errors::missing(member))
}

fn texts<'a>(call: &'a Call, member: &str) -> Vec<&'a str> {
    let list = call.input.get(member).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Where a page begins; tokens are the offset of the next item.
fn offset(call: &Call) -> Result<usize, ApiError> {
    text(call, "NextToken").map_or(Ok(0), |token| token.parse().map_err(|_| errors::token()))
}

/// A number as any protocol brings it; the query protocol has texts only.
pub fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok()).filter(|number| number.is_finite())
}

pub fn whole(value: &Value) -> Option<u64> {
    number(value).filter(|number| number.fract() == 0.0 && (0.0..1e15).contains(number)).map(|number| number as u64)
}

pub fn bool_of(value: &Value) -> Option<bool> {
    value.as_bool().or_else(|| value.as_str()?.parse().ok())
}

/// Seconds since 1970.
fn time_s(call: &Call, member: &str) -> Result<Option<u64>, ApiError> {
    match call.input.get(member).filter(|value| !value.is_null()) {
        None => Ok(None),
        Some(value) => match call::time_ms(value) {
            Some(ms) => Ok(Some(ms / 1000)),
            None => Err(errors::invalid(format!("The parameter {member} is not a time"))),
        },
    }
}

/// Both ends of what is asked for.
fn range_s(call: &Call) -> Result<(u64, u64), ApiError> {
    let start_s = time_s(call, "StartTime")?.ok_or_else(|| errors::missing("StartTime"))?;
    let end_s = time_s(call, "EndTime")?.ok_or_else(|| errors::missing("EndTime"))?;
    match start_s < end_s {
        true => Ok((start_s, end_s)),
        false => Err(errors::validation("The parameter EndTime must be greater than StartTime.")),
    }
}
