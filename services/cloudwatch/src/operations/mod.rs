//! The operations by what they are about, and what several of them read alike.

pub mod alarms;
pub mod dashboards;
pub mod tags;

use cumulet_wire::call::Call;
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
