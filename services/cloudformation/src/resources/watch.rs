//! Alarms and dashboards.

use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};

use super::{Made, Whereabouts, copied, gone_is_done, only, required_text, text, typed};

type Properties = Map<String, Value>;

const ACTIONS: &[&str] =
    &["AlarmDescription", "ActionsEnabled", "AlarmActions", "OKActions", "InsufficientDataActions"];
const METRIC: &[&str] = &[
    "ComparisonOperator",
    "DatapointsToAlarm",
    "Dimensions",
    "EvaluateLowSampleCountPercentile",
    "EvaluationPeriods",
    "ExtendedStatistic",
    "MetricName",
    "Metrics",
    "Namespace",
    "Period",
    "Statistic",
    "Threshold",
    "ThresholdMetricId",
    "TreatMissingData",
    "Unit",
];
const COMPOSITE: &[&str] =
    &["AlarmRule", "ActionsSuppressor", "ActionsSuppressorWaitPeriod", "ActionsSuppressorExtensionPeriod"];

async fn call(at: &Whereabouts, operation: &str, input: Value) -> Result<Value, ApiError> {
    at.client.call("cloudwatch", operation, input).await
}

fn members_of(kind: &str) -> &'static [&'static str] {
    if kind == "AWS::CloudWatch::Alarm" { METRIC } else { COMPOSITE }
}

/// Numbers and truths that templates write as texts.
fn value(name: &str, value: &Value) -> Value {
    match (name, value) {
        ("ActionsEnabled" | "DatapointsToAlarm" | "EvaluationPeriods" | "Period", value) => typed(value),
        ("Threshold", Value::String(text)) => text.parse::<f64>().map_or_else(|_| value.clone(), Value::from),
        ("Metrics", Value::Array(items)) => {
            let of = |item: &Value| match item {
                Value::Object(item) => {
                    item.iter().map(|(n, v)| (n.clone(), self::value(n, v))).collect::<Map<_, _>>().into()
                }
                other => other.clone(),
            };
            items.iter().map(of).collect()
        }
        ("ReturnData", value) => typed(value),
        ("MetricStat", Value::Object(stat)) => {
            stat.iter().map(|(n, v)| (n.clone(), self::value(n, v))).collect::<Map<_, _>>().into()
        }
        (name, value) if name.starts_with("ActionsSuppressor") && name.ends_with("Period") => typed(value),
        (_, value) => value.clone(),
    }
}

async fn put(at: &Whereabouts, kind: &str, name: &str, properties: &Properties) -> Result<(), ApiError> {
    if kind == "AWS::CloudWatch::Dashboard" {
        only(properties, &["DashboardName", "DashboardBody"])?;
        let body = required_text(properties, "DashboardBody")?;
        let input = json!({ "DashboardName": name, "DashboardBody": body });
        return call(at, "PutDashboard", input).await.map(drop);
    }
    let members = [ACTIONS, members_of(kind)].concat();
    only(properties, &[&members[..], &["AlarmName", "Tags"]].concat())?;
    let mut input: Properties =
        copied(properties, &members).into_iter().map(|(name, given)| (name.clone(), value(&name, &given))).collect();
    input.insert("AlarmName".into(), name.into());
    input.insert("Tags".into(), at.tag_list(properties));
    let operation = if kind == "AWS::CloudWatch::Alarm" { "PutMetricAlarm" } else { "PutCompositeAlarm" };
    call(at, operation, input.into()).await.map(drop)
}

fn name_member(kind: &str) -> &'static str {
    if kind == "AWS::CloudWatch::Dashboard" { "DashboardName" } else { "AlarmName" }
}

pub async fn create(at: &Whereabouts, kind: &str, properties: &Properties) -> Result<Made, ApiError> {
    let name = properties.get(name_member(kind)).map_or_else(|| at.name(255), text);
    put(at, kind, &name, properties).await?;
    let mut made = Made::new(name.clone());
    if kind != "AWS::CloudWatch::Dashboard" {
        made = made.with("Arn", &at.client.context.arn("cloudwatch", format!("alarm:{name}")).into());
    }
    Ok(made)
}

pub async fn update(
    at: &Whereabouts,
    kind: &str,
    made: &Made,
    old: &Properties,
    new: &Properties,
) -> Result<Made, ApiError> {
    put(at, kind, &made.physical_id, new).await?;
    let (gone, changed) = at.tag_changes(old, new);
    let arn = at.client.context.arn("cloudwatch", format!("alarm:{}", made.physical_id));
    if !gone.is_empty() {
        call(at, "UntagResource", json!({ "ResourceARN": arn, "TagKeys": gone })).await?;
    }
    if let Some(tags) = changed {
        call(at, "TagResource", json!({ "ResourceARN": arn, "Tags": tags })).await?;
    }
    Ok(made.clone())
}

pub async fn delete(at: &Whereabouts, kind: &str, made: &Made) -> Result<(), ApiError> {
    let answer = match kind {
        "AWS::CloudWatch::Dashboard" => {
            call(at, "DeleteDashboards", json!({ "DashboardNames": [made.physical_id] })).await
        }
        _ => call(at, "DeleteAlarms", json!({ "AlarmNames": [made.physical_id] })).await,
    };
    gone_is_done(answer)
}
