//! Alarms (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html>).

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};

use super::{offset, required, tags, text, texts};
use crate::model::{Alarm, FORMAT};
use crate::storage::ALARM;
use crate::{CloudWatch, errors};

const NAME_CHARS_MAX: usize = 255;
const ALARMS_MAX: usize = 5000;
const COMPARISONS: &[&str] = &[
    "GreaterThanOrEqualToThreshold",
    "GreaterThanThreshold",
    "LessThanThreshold",
    "LessThanOrEqualToThreshold",
    "LessThanLowerOrGreaterThanUpperThreshold",
    "LessThanLowerThreshold",
    "GreaterThanUpperThreshold",
];
const MISSING_DATA: &[&str] = &["breaching", "notBreaching", "ignore", "missing"];

fn check(call: &Call) -> Result<(), ApiError> {
    let has = |member: &str| call.input.get(member).is_some_and(|value| !value.is_null());
    let comparison = required(call, "ComparisonOperator")?;
    if !COMPARISONS.contains(&comparison) {
        return Err(errors::validation(format!("ComparisonOperator {comparison} is not known")));
    }
    if call.input.get("EvaluationPeriods").and_then(Value::as_u64).is_none_or(|periods| periods == 0) {
        return Err(errors::missing("EvaluationPeriods"));
    }
    if let Some(kind) = text(call, "TreatMissingData")
        && !MISSING_DATA.contains(&kind)
    {
        return Err(errors::validation(format!("TreatMissingData {kind} is not known")));
    }
    if has("Metrics") {
        let both = ["MetricName", "Namespace", "Statistic", "ExtendedStatistic", "Dimensions", "Period", "Unit"];
        return match both.iter().find(|member| has(member)) {
            Some(member) => Err(errors::combination(format!("Metrics and {member} cannot be both"))),
            None => Ok(()),
        };
    }
    for member in ["MetricName", "Namespace"] {
        required(call, member)?;
    }
    if !has("Period") {
        return Err(errors::missing("Period"));
    }
    match (has("Statistic"), has("ExtendedStatistic")) {
        (true, true) => Err(errors::combination("Statistic and ExtendedStatistic cannot be both")),
        (false, false) => Err(errors::missing("Statistic")),
        _ if !has("Threshold") => Err(errors::missing("Threshold")),
        _ => Ok(()),
    }
}

pub async fn put(watch: &CloudWatch, call: &Call, is_composite: bool) -> Result<Answer, ApiError> {
    let name = required(call, "AlarmName")?;
    if name.chars().count() > NAME_CHARS_MAX {
        return Err(errors::validation("AlarmName has more than 255 characters"));
    }
    match is_composite {
        true => drop(required(call, "AlarmRule")?),
        false => check(call)?,
    }
    let given = tags::given(call)?;
    let (ctx, now_ms) = (&call.context, call.context.now_ms);
    let known: Vec<Alarm> = watch.storage.list(ctx, ALARM).await?;
    if known.len() >= ALARMS_MAX && !known.iter().any(|alarm| alarm.name == name) {
        return Err(errors::limit("There are as many alarms as there may be"));
    }
    let mut members: Map<String, Value> = call.input.clone();
    members.retain(|name, value| !value.is_null() && name != "AlarmName" && name != "Tags");
    members.entry("ActionsEnabled").or_insert_with(|| true.into());
    watch
        .storage
        .update(ctx, (ALARM, name), |old: Option<Alarm>| {
            if old.as_ref().is_some_and(|old| old.is_composite != is_composite) {
                return Err(errors::validation(format!("There is an alarm {name} of the other kind")));
            }
            // Tags are only those of the first call.
            let tags = old.as_ref().map_or_else(|| given.clone(), |old| old.tags.clone());
            let created_ms = old.map_or(now_ms, |old| old.created_ms);
            let members = members.clone();
            Ok(Some(Alarm {
                v: FORMAT,
                name: name.to_owned(),
                is_composite,
                members,
                created_ms,
                updated_ms: now_ms,
                tags,
            }))
        })
        .await?;
    Ok(Answer::empty())
}

pub async fn describe(watch: &CloudWatch, call: &Call) -> Result<Answer, ApiError> {
    let (names, prefix) = (texts(call, "AlarmNames"), text(call, "AlarmNamePrefix"));
    if !names.is_empty() && prefix.is_some() {
        return Err(errors::combination("AlarmNames and AlarmNamePrefix cannot be both"));
    }
    for member in ["ChildrenOfAlarmName", "ParentsOfAlarmName"] {
        if text(call, member).is_some() {
            return Err(ApiError::not_implemented("cloudwatch", &format!("DescribeAlarms with {member}")));
        }
    }
    let kinds = texts(call, "AlarmTypes");
    let max = call.input.get("MaxRecords").and_then(Value::as_u64).unwrap_or(50).clamp(1, 100) as usize;
    let is_wanted = |alarm: &Alarm| {
        let kind = if alarm.is_composite { "CompositeAlarm" } else { "MetricAlarm" };
        // Composite alarms are shown to those who ask for them.
        let by_kind = if kinds.is_empty() { !alarm.is_composite } else { kinds.contains(&kind) };
        let actions = ["OKActions", "AlarmActions", "InsufficientDataActions"];
        let has_action = |prefix: &str| {
            let all = actions.iter().filter_map(|list| alarm.members.get(*list)?.as_array());
            all.flatten().filter_map(Value::as_str).any(|action| action.starts_with(prefix))
        };
        by_kind
            && (names.is_empty() || names.contains(&alarm.name.as_str()))
            && prefix.is_none_or(|prefix| alarm.name.starts_with(prefix))
            && text(call, "StateValue").is_none_or(|state| state == "INSUFFICIENT_DATA")
            && text(call, "ActionPrefix").is_none_or(has_action)
    };
    let all: Vec<Alarm> = watch.storage.list(&call.context, ALARM).await?;
    let offset = offset(call)?;
    let mut rest = all.into_iter().filter(is_wanted).skip(offset);
    let taken: Vec<Alarm> = rest.by_ref().take(max).collect();
    let shown = |is_composite: bool| -> Value {
        let of = taken.iter().filter(|alarm| alarm.is_composite == is_composite);
        of.map(|alarm| alarm.shown(&call.context.arn("cloudwatch", format!("alarm:{}", alarm.name)))).collect()
    };
    let mut answer = json!({ "MetricAlarms": shown(false), "CompositeAlarms": shown(true) });
    if rest.next().is_some() {
        answer["NextToken"] = (offset + max).to_string().into();
    }
    Answer::json(answer)
}

/// All of them, or none.
pub async fn delete(watch: &CloudWatch, call: &Call) -> Result<Answer, ApiError> {
    let names = texts(call, "AlarmNames");
    for name in &names {
        if watch.storage.get::<Alarm>(&call.context, ALARM, name).await?.is_none() {
            return Err(errors::not_found(&format!("Alarm {name}")));
        }
    }
    watch.storage.delete(&call.context, ALARM, &names).await?;
    Ok(Answer::empty())
}

pub async fn enable(watch: &CloudWatch, call: &Call, is_enabled: bool) -> Result<Answer, ApiError> {
    for name in texts(call, "AlarmNames") {
        watch
            .storage
            .update(&call.context, (ALARM, name), |alarm: Option<Alarm>| {
                Ok(alarm.map(|mut alarm| {
                    alarm.members.insert("ActionsEnabled".into(), is_enabled.into());
                    alarm
                }))
            })
            .await?;
    }
    Ok(Answer::empty())
}
