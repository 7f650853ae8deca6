//! GetBill, Cumulet's own: what each function and each resource of a service used on each day, and what that costs.

use std::collections::BTreeMap;

use cumulet_base::clock;
use cumulet_engine::record::Ending;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{days, storage};
use crate::Meter;

#[derive(Default)]
struct Sum {
    invocations: u64,
    errors: u64,
    billed_ms: u64,
    /// Megabytes times milliseconds: whole numbers, so that sums are exact.
    mb_ms: u128,
    cpu_us: u64,
}

pub async fn run(meter: &Meter, call: Call) -> Result<Answer, ApiError> {
    let text = |member: &str| call.input.get(member).and_then(Value::as_str);
    let today = clock::day(call.context.now_ms);
    let from = text("from").unwrap_or(&today);
    let to = text("to").unwrap_or(&today);
    let place = (call.context.account(), call.context.region.as_str());
    let mut rows = Vec::new();
    let mut usage = Vec::new();
    let mut total = 0.0;
    for day in days(from, to)? {
        let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
        meter
            .storage
            .of_day(place, &day, text("function"), false, |record| {
                let sum = sums.entry(record.function).or_default();
                sum.invocations += 1;
                sum.errors += u64::from(record.ending != Ending::Success);
                sum.billed_ms += record.billed_ms;
                sum.mb_ms += u128::from(record.memory_mb) * u128::from(record.billed_ms);
                sum.cpu_us += record.cpu_us;
                true
            })
            .await
            .map_err(|e| storage(&e))?;
        for (function, sum) in sums {
            let gb_seconds = sum.mb_ms as f64 / 1024.0 / 1000.0;
            let requests = meter.prices.requests(sum.invocations);
            let compute = meter.prices.compute(gb_seconds);
            total += requests + compute;
            rows.push(json!({
                "day": day,
                "function": function,
                "invocations": sum.invocations,
                "errors": sum.errors,
                "billedMs": sum.billed_ms,
                "gbSeconds": gb_seconds,
                "cpuMs": sum.cpu_us as f64 / 1000.0,
                "requestsCost": requests,
                "computeCost": compute,
                "total": requests + compute,
            }));
        }
        if text("function").is_some() {
            continue;
        }
        for (service, resource, unit, micro) in meter.storage.usage(place, &day).await.map_err(|e| storage(&e))? {
            let quantity = micro as f64 / 1e6;
            let cost = meter.prices.usage(&service, &unit, quantity);
            total += cost.unwrap_or(0.0);
            usage.push(json!({
                "day": day,
                "service": service,
                "resource": resource,
                "unit": unit,
                "quantity": quantity,
                "total": cost,
            }));
        }
    }
    Answer::json(json!({"from": from, "to": to, "rows": rows, "usage": usage, "total": total, "prices": meter.prices}))
}
