//! GetRecords, Cumulet's own: the latest records of a function on a day, the newest first.

use cumulet_base::clock;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{days, invalid, storage};
use crate::Meter;

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1000;

pub async fn run(meter: &Meter, call: Call) -> Result<Answer, ApiError> {
    let text = |member: &str| call.input.get(member).and_then(Value::as_str);
    let function = text("function").ok_or_else(|| invalid("`function` is missing"))?;
    let today = clock::day(call.context.now_ms);
    let day = text("day").unwrap_or(&today);
    days(day, day)?;
    let limit = match text("limit") {
        None => LIMIT_DEFAULT,
        Some(number) => number
            .parse()
            .ok()
            .filter(|n| (1..=LIMIT_MAX).contains(n))
            .ok_or_else(|| invalid(format!("`limit` is not between 1 and {LIMIT_MAX}")))?,
    };
    let place = (call.context.account(), call.context.region.as_str());
    let mut records = Vec::new();
    meter
        .storage
        .of_day(place, day, Some(function), true, |record| {
            records.push(record);
            records.len() < limit
        })
        .await
        .map_err(|e| storage(&e))?;
    Answer::json(json!({"day": day, "function": function, "records": records}))
}
