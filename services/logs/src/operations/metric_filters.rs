//! PutMetricFilter, DescribeMetricFilters, DeleteMetricFilter
//! (<https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutMetricFilter.html>).

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;
use serde_json::{Map, Value, json};

use super::{limit, place, required};
use crate::model::{Group, MetricFilter, Place, Transformation};
use crate::pattern::Pattern;
use crate::{Logs, errors};

/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html>
const FILTERS_MAX: usize = 100;
const DIMENSIONS_MAX: usize = 3;
const PAGE: usize = 200;

fn text<'a>(call: &'a Call, member: &str) -> Option<&'a str> {
    call.input.get(member).and_then(Value::as_str)
}

fn transformation(given: &Value, pattern: &Pattern) -> Result<Transformation, ApiError> {
    let refused = |why: &str| errors::invalid(format!("Invalid metric transformation: {why}"));
    let part = |member: &str, chars_max: usize| {
        let text = given[member].as_str().filter(|text| (1..=chars_max).contains(&text.chars().count()));
        let is_good = |text: &&str| !text.contains([':', '*', '$']) || member == "metricValue";
        text.filter(is_good).map(str::to_owned).ok_or_else(|| refused(member))
    };
    let dimensions = given["dimensions"].as_object().cloned().unwrap_or_default();
    let of = |(name, value): (String, Value)| Some((name, value.as_str()?.to_owned()));
    let dimensions = dimensions.into_iter().map(of).collect::<Option<_>>().ok_or_else(|| refused("dimensions"))?;
    let made = Transformation {
        metric_name: part("metricName", 255)?,
        metric_namespace: part("metricNamespace", 255)?,
        metric_value: part("metricValue", 100)?,
        default_value: given["defaultValue"].as_f64(),
        dimensions,
        unit: given["unit"].as_str().filter(|unit| *unit != "None").map(str::to_owned),
    };
    if made.dimensions.len() > DIMENSIONS_MAX {
        return Err(refused("there are at most 3 dimensions"));
    }
    if !made.dimensions.is_empty() && (made.default_value.is_some() || matches!(pattern, Pattern::Terms(_))) {
        return Err(refused("dimensions need a pattern of JSON or columns, and no default value"));
    }
    if !made.metric_value.starts_with('$') && made.metric_value.parse::<f64>().is_err() {
        return Err(refused("metricValue is neither a number nor a field"));
    }
    Ok(made)
}

pub async fn put(logs: &Logs, call: &Call) -> Result<Answer, ApiError> {
    let place = place(call)?;
    let name = required("filterName", text(call, "filterName"))?;
    let pattern = required("filterPattern", text(call, "filterPattern"))?;
    Validation::new()
        .length("filterName", Some(name), 1, 512)
        .pattern("filterName", Some(name), "[^:*]*", |text| !text.contains([':', '*']))
        .length("filterPattern", Some(pattern), 0, 1024)
        .finish("InvalidParameterException")?;
    let read = Pattern::parse(pattern)?;
    for member in ["applyOnTransformedLogs", "emitSystemFieldDimensions", "fieldSelectionCriteria"] {
        if call.input.get(member).is_some_and(|value| !matches!(value, Value::Null | Value::Bool(false))) {
            return Err(errors::not_built(member));
        }
    }
    let given = call.input.get("metricTransformations").and_then(Value::as_array);
    let given = required("metricTransformations", given)?;
    if given.len() != 1 {
        return Err(errors::invalid("metricTransformations has exactly one element."));
    }
    let transformations =
        given.iter().map(|one| transformation(one, &read)).collect::<Result<Vec<Transformation>, ApiError>>()?;
    logs.storage.group(&place).await?.ok_or_else(errors::group_not_found)?;
    let filter = MetricFilter {
        name: name.to_owned(),
        pattern: pattern.to_owned(),
        transformations,
        created_ms: call.context.now_ms,
    };
    logs.storage
        .update_group(&place, |group| {
            group.metric_filters.retain(|known| known.name != name);
            if group.metric_filters.len() >= FILTERS_MAX {
                return Err(errors::limit());
            }
            group.metric_filters.push(filter.clone());
            group.metric_filters.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(())
        })
        .await?;
    Ok(Answer::empty())
}

fn shown(group: &str, filter: &MetricFilter) -> Value {
    let transformations = filter.transformations.iter().map(|one| {
        let mut shown = Map::new();
        shown.insert("metricName".into(), one.metric_name.as_str().into());
        shown.insert("metricNamespace".into(), one.metric_namespace.as_str().into());
        shown.insert("metricValue".into(), one.metric_value.as_str().into());
        if let Some(value) = one.default_value {
            shown.insert("defaultValue".into(), value.into());
        }
        if !one.dimensions.is_empty() {
            shown.insert("dimensions".into(), json!(one.dimensions));
        }
        shown.insert("unit".into(), one.unit.as_deref().unwrap_or("None").into());
        Value::Object(shown)
    });
    json!({
        "filterName": filter.name,
        "filterPattern": filter.pattern,
        "metricTransformations": transformations.collect::<Vec<Value>>(),
        "creationTime": filter.created_ms,
        "logGroupName": group,
        "applyOnTransformedLogs": false,
    })
}

/// Those that have filters.
async fn all_groups(logs: &Logs, place: &Place) -> Result<Vec<(String, Group)>, ApiError> {
    let mut all: Vec<(String, Group)> = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = logs.storage.groups(place, "", after.as_deref(), PAGE).await?;
        let Some((last, _)) = page.last() else { return Ok(all) };
        after = Some(last.clone());
        all.extend(page.into_iter().filter(|(_, group)| !group.metric_filters.is_empty()));
    }
}

/// Of one group, or of all; by the metric they make, where that is asked for.
pub async fn describe(logs: &Logs, call: &Call) -> Result<Answer, ApiError> {
    let max = limit(call.input.get("limit").and_then(Value::as_i64), 50, 50)?;
    let prefix = text(call, "filterNamePrefix").unwrap_or_default();
    let (metric, namespace) = (text(call, "metricName"), text(call, "metricNamespace"));
    if metric.is_some() != namespace.is_some() {
        return Err(errors::invalid("metricName and metricNamespace are given together."));
    }
    let groups = match text(call, "logGroupName") {
        Some(_) => {
            let place = place(call)?;
            let group = logs.storage.group(&place).await?.ok_or_else(errors::group_not_found)?;
            vec![(place.group, group)]
        }
        None => {
            let of = Place {
                account: call.context.account().to_owned(),
                region: call.context.region.clone(),
                group: String::new(),
            };
            all_groups(logs, &of).await?
        }
    };
    let is_wanted = |filter: &&MetricFilter| {
        let made = |one: &Transformation| {
            metric.is_none_or(|name| name == one.metric_name) && namespace.is_none_or(|of| of == one.metric_namespace)
        };
        filter.name.starts_with(prefix) && filter.transformations.iter().any(made)
    };
    let all: Vec<Value> = groups
        .iter()
        .flat_map(|(name, group)| group.metric_filters.iter().filter(is_wanted).map(move |filter| shown(name, filter)))
        .collect();
    let offset = match text(call, "nextToken") {
        None => 0,
        Some(token) => token.parse::<usize>().map_err(|_| errors::invalid("The specified nextToken is invalid."))?,
    };
    let mut output = json!({"metricFilters": all.iter().skip(offset).take(max).collect::<Vec<_>>()});
    if all.len() > offset + max {
        output["nextToken"] = (offset + max).to_string().into();
    }
    Answer::json(output)
}

pub async fn delete(logs: &Logs, call: &Call) -> Result<Answer, ApiError> {
    let name = required("filterName", text(call, "filterName"))?;
    logs.storage
        .update_group(&place(call)?, |group| {
            let before = group.metric_filters.len();
            group.metric_filters.retain(|filter| filter.name != name);
            if group.metric_filters.len() == before { Err(errors::filter_not_found("metric filter")) } else { Ok(()) }
        })
        .await?;
    Ok(Answer::empty())
}
