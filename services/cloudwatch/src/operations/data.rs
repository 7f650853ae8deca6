//! GetMetricData, GetMetricStatistics
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html>).

use cumulet_base::limits;
use cumulet_wire::call::{Answer, Call, seconds};
use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};

use super::{offset, range_s, text, texts, whole};
use crate::metrics::stat::Stat;
use crate::metrics::{Place, query, unit_name};
use crate::{CloudWatch, errors};

const STATISTICS: &[&str] = &["SampleCount", "Average", "Sum", "Minimum", "Maximum"];

/// Pages are of data points: the token counts those that were answered.
pub async fn get(watch: &CloudWatch, call: &Call) -> Result<Answer, ApiError> {
    let queries = query::parse(call.input.get("MetricDataQueries").unwrap_or(&Value::Null))?;
    if queries.is_empty() {
        return Err(errors::missing("MetricDataQueries"));
    }
    let range = range_s(call)?;
    let is_ascending = match text(call, "ScanBy") {
        None | Some("TimestampDescending") => false,
        Some("TimestampAscending") => true,
        Some(other) => return Err(errors::validation(format!("ScanBy {other} is not known"))),
    };
    let max = match call.input.get("MaxDatapoints").filter(|max| !max.is_null()) {
        None => limits::METRIC_POINTS_MAX,
        Some(max) => {
            let max = whole(max).and_then(|max| usize::try_from(max).ok());
            let is_good = |max: &usize| (1..=limits::METRIC_POINTS_MAX).contains(max);
            max.filter(is_good).ok_or_else(|| errors::validation("MaxDatapoints must be between 1 and 100800"))?
        }
    };
    let place = Place::of(&call.context);
    let found = query::run(&watch.metrics, &place, &queries, range, call.context.now_ms / 1000).await?;
    let begin = offset(call)?;
    let (mut at, mut left, mut is_more) = (0, max, false);
    let mut results: Vec<Value> = Vec::new();
    for one in found {
        let count = one.points.len();
        let mut points: Vec<(u64, f64)> = one.points.into_iter().collect();
        if !is_ascending {
            points.reverse();
        }
        let from = begin.saturating_sub(at).min(count);
        let page: Vec<&(u64, f64)> = points[from..].iter().take(left).collect();
        let is_whole = from + page.len() == count;
        // Pages after the first have what is new of each.
        if (at + count > begin || begin == 0) && !is_more {
            results.push(json!({
                "Id": one.id,
                "Label": one.label,
                "Timestamps": page.iter().map(|(at_s, _)| seconds(at_s * 1000)).collect::<Vec<Value>>(),
                "Values": page.iter().map(|(_, value)| *value).collect::<Vec<f64>>(),
                "StatusCode": if is_whole { "Complete" } else { "PartialData" },
            }));
        }
        left -= page.len();
        is_more |= !is_whole;
        at += count;
    }
    let mut answer = json!({ "MetricDataResults": results, "Messages": [] });
    if is_more {
        answer["NextToken"] = (begin + max).to_string().into();
    }
    Answer::json(answer)
}

pub async fn statistics(watch: &CloudWatch, call: &Call) -> Result<Answer, ApiError> {
    let member = |name: &str| call.input.get(name).unwrap_or(&Value::Null);
    let metric = json!({
        "Namespace": member("Namespace"), "MetricName": member("MetricName"), "Dimensions": member("Dimensions"),
    });
    let series = query::series(&metric)?;
    let (period_s, unit) = (query::period(member("Period"))?, query::unit(member("Unit"))?);
    let (start_s, end_s) = range_s(call)?;
    let points = (end_s - start_s).div_ceil(period_s);
    if points > limits::METRIC_STATISTICS_POINTS_MAX {
        return Err(errors::combination(format!(
            "You have requested up to {points} datapoints, which exceeds the limit of 1,440. You may reduce the datapoints requested by increasing Period, or decreasing the time range."
        )));
    }
    let (plain, extended) = (texts(call, "Statistics"), texts(call, "ExtendedStatistics"));
    if plain.is_empty() && extended.is_empty() {
        return Err(errors::missing("Statistics or ExtendedStatistics"));
    }
    if let Some(unknown) = plain.iter().find(|name| !STATISTICS.contains(name)) {
        return Err(errors::invalid(format!("The parameter Statistics has {unknown}, which is none.")));
    }
    let all: Vec<(&str, Stat)> =
        plain.iter().chain(&extended).map(|name| Ok((*name, Stat::parse(name)?))).collect::<Result<_, ApiError>>()?;
    let now_s = call.context.now_ms / 1000;
    let start_s = query::begin(start_s, period_s, now_s);
    let place = Place::of(&call.context);
    let found = query::read(&watch.metrics, &place, (&series, unit), period_s, (start_s, end_s)).await?;
    let datapoints: Vec<Value> = found
        .iter()
        .map(|((at_s, unit), values)| {
            let mut point = json!({ "Timestamp": seconds(at_s * 1000), "Unit": unit_name(*unit) });
            let mut more = Map::new();
            for (name, stat) in &all {
                match (stat.of(values), STATISTICS.contains(name)) {
                    (Some(value), true) => point[*name] = value.into(),
                    (Some(value), false) => drop(more.insert((*name).to_owned(), value.into())),
                    (None, _) => {}
                }
            }
            if !more.is_empty() {
                point["ExtendedStatistics"] = more.into();
            }
            point
        })
        .collect();
    Answer::json(json!({ "Label": series.name, "Datapoints": datapoints }))
}
