//! PutMetricData, ListMetrics
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html>).

use cumulet_base::limits;
use cumulet_wire::auth::Principal;
use cumulet_wire::call::{Answer, Call, time_ms};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{number, offset, text, whole};
use crate::metrics::aggregate::Aggregate;
use crate::metrics::writer::Datum;
use crate::metrics::{DAY_S, Place, Series, query};
use crate::{CloudWatch, errors};

const PAGE: usize = 500;
const PAST_S_MAX: u64 = 14 * DAY_S;
const AHEAD_S_MAX: u64 = 2 * 3600;
/// Larger values are refused: 2 to the power of 360.
const VALUE_MAX: f64 = 2.348_542_582_773_833_4e108;
const RECENT_S: u64 = 3 * 3600;

fn value(given: &Value, member: &str) -> Result<f64, ApiError> {
    let refused = || errors::invalid(format!("The value for parameter MetricData.{member} is not a number in range."));
    number(given).filter(|value| value.abs() <= VALUE_MAX).ok_or_else(refused)
}

fn count(given: &Value, member: &str) -> Result<f64, ApiError> {
    match value(given, member)? {
        count if count >= 0.0 => Ok(count),
        _ => Err(errors::invalid(format!("The value for parameter MetricData.{member} is negative."))),
    }
}

/// `None`: nothing was counted.
fn values(datum: &Value) -> Result<Option<Aggregate>, ApiError> {
    let has = |member: &str| !datum[member].is_null();
    match (has("Value"), has("StatisticValues"), has("Values")) {
        (true, false, false) => Ok(Some(Aggregate::of(value(&datum["Value"], "Value")?, 1.0))),
        (false, true, false) => {
            let set = &datum["StatisticValues"];
            let part = |member: &str| value(&set[member], member);
            let (sum, min, max) = (part("Sum")?, part("Minimum")?, part("Maximum")?);
            let count = count(&set["SampleCount"], "SampleCount")?;
            match min <= max {
                _ if count == 0.0 => Ok(None),
                true => Ok(Some(Aggregate::set(count, sum, min, max))),
                false => Err(errors::combination("The parameter Maximum must be greater than or equal to Minimum.")),
            }
        }
        (false, false, true) => {
            let list = datum["Values"].as_array().map(Vec::as_slice).unwrap_or_default();
            let counts = datum["Counts"].as_array();
            if list.is_empty() || list.len() > limits::METRIC_VALUES_MAX {
                return Err(errors::invalid("The collection Values must have 1 to 150 values."));
            }
            if counts.is_some_and(|counts| counts.len() != list.len()) {
                return Err(errors::combination(
                    "The parameters Values and Counts must have the same number of elements.",
                ));
            }
            let mut all: Option<Aggregate> = None;
            for (at, one) in list.iter().enumerate() {
                let times = counts.map_or(Ok(1.0), |counts| count(&counts[at], "Counts"))?;
                if times > 0.0 {
                    let new = Aggregate::of(value(one, "Values")?, times);
                    match &mut all {
                        Some(sum) => sum.merge(&new),
                        None => all = Some(new),
                    }
                }
            }
            Ok(all)
        }
        (false, false, false) => Err(errors::missing("MetricData.member.1.Value or StatisticValues or Values")),
        _ => Err(errors::combination("The parameters Value, Values and StatisticValues are mutually exclusive.")),
    }
}

fn datum(namespace: &Value, given: &Value, now_s: u64) -> Result<Option<Datum>, ApiError> {
    let (namespace, name) = query::names(namespace, &given["MetricName"])?;
    let series = Series::new(&namespace, &name, query::dimensions(&given["Dimensions"])?);
    let at_s = match &given["Timestamp"] {
        Value::Null => now_s,
        time => time_ms(time).ok_or_else(|| errors::invalid("The parameter Timestamp is not a time"))? / 1000,
    };
    if at_s + PAST_S_MAX < now_s {
        return Err(errors::invalid(
            "The parameter MetricData.member.1.Timestamp must specify a time within the past two weeks.",
        ));
    }
    if at_s > now_s + AHEAD_S_MAX {
        return Err(errors::invalid(
            "The parameter MetricData.member.1.Timestamp must specify a time no more than two hours in the future.",
        ));
    }
    let is_high = match &given["StorageResolution"] {
        Value::Null => false,
        resolution => match whole(resolution) {
            Some(1) => true,
            Some(60) => false,
            _ => return Err(errors::invalid("The parameter StorageResolution must be 1 or 60.")),
        },
    };
    let unit = query::unit(&given["Unit"])?.unwrap_or_default();
    Ok(values(given)?.map(|values| Datum { series, unit, at_s, is_high, values }))
}

fn is_service(call: &Call) -> bool {
    matches!(call.context.caller.kind, Principal::Service { .. })
}

pub async fn put(watch: &CloudWatch, call: &Call) -> Result<Answer, ApiError> {
    let namespace = call.input.get("Namespace").cloned().unwrap_or_default();
    if namespace.as_str().is_some_and(|name| name.starts_with("AWS/")) && !is_service(call) {
        return Err(errors::invalid("The value AWS/ for parameter Namespace is invalid."));
    }
    let list = |member: &str| call.input.get(member).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    // Entities are not told apart here; their data is.
    let of_entities = list("EntityMetricData").iter().filter_map(|entity| entity["MetricData"].as_array()).flatten();
    let given: Vec<&Value> = list("MetricData").iter().chain(of_entities).collect();
    if given.is_empty() {
        return Err(errors::missing("MetricData"));
    }
    if given.len() > limits::METRIC_DATA_MAX {
        return Err(errors::invalid("The collection MetricData must not have a size greater than 1000."));
    }
    let now_s = call.context.now_ms / 1000;
    let mut data = Vec::new();
    for one in given {
        data.extend(datum(&namespace, one, now_s)?);
    }
    if !data.is_empty() {
        watch.writer.write(&Place::of(&call.context), data).await?;
    }
    Ok(Answer::empty())
}

/// Those with data of the last two weeks.
pub async fn list(watch: &CloudWatch, call: &Call) -> Result<Answer, ApiError> {
    let filters = call.input.get("Dimensions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if filters.len() > 10 {
        return Err(errors::invalid("The collection Dimensions must not have a size greater than 10."));
    }
    let since_s = match text(call, "RecentlyActive") {
        None => PAST_S_MAX,
        Some("PT3H") => RECENT_S,
        Some(other) => return Err(errors::invalid(format!("RecentlyActive {other} is not known"))),
    };
    let now_s = call.context.now_ms / 1000;
    let all =
        watch.metrics.catalog(&Place::of(&call.context), text(call, "Namespace"), text(call, "MetricName")).await?;
    let offset = offset(call)?;
    let is_wanted = |series: &Series| {
        filters.iter().all(|filter| {
            let mut named = series.dimensions.iter().filter(|(name, _)| Some(name.as_str()) == filter["Name"].as_str());
            named.any(|(_, value)| filter["Value"].as_str().is_none_or(|wanted| wanted == value))
        })
    };
    // The last value is known within an hour.
    let is_recent = |last_s: u64| last_s + since_s + limits::METRIC_SEEN_S >= now_s;
    let mut rest = all.iter().filter(|entry| is_wanted(&entry.series) && is_recent(entry.last_s)).skip(offset);
    let shown: Vec<Value> = rest
        .by_ref()
        .take(PAGE)
        .map(|entry| {
            let dimensions = entry.series.dimensions.iter().map(|(name, value)| json!({"Name": name, "Value": value}));
            json!({
                "Namespace": entry.series.namespace,
                "MetricName": entry.series.name,
                "Dimensions": dimensions.collect::<Vec<Value>>(),
            })
        })
        .collect();
    let mut answer = json!({ "Metrics": shown });
    if rest.next().is_some() {
        answer["NextToken"] = (offset + PAGE).to_string().into();
    }
    Answer::json(answer)
}
