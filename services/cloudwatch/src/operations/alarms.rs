//! Alarms (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html>).

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};

use super::{bool_of, number, offset, required, tags, text, texts, whole};
use crate::alarms::evaluate::Watch;
use crate::alarms::rule::Rule;
use crate::metrics::query::What;
use crate::metrics::{Place, query};
use crate::model::{Alarm, FORMAT, History, State};
use crate::storage::ALARM;
use crate::{CloudWatch, errors};

const NAME_CHARS_MAX: usize = 255;
const ALARMS_MAX: usize = 5000;
/// Actions of each list.
const ACTIONS_MAX: usize = 5;
const ATTEMPTS_MAX: usize = 16;
const NUMBERS: &[&str] = &["Period", "EvaluationPeriods", "DatapointsToAlarm"];

/// Members in the types of the model: the query protocol has texts only.
fn typed(mut members: Map<String, Value>) -> Map<String, Value> {
    for (name, value) in &mut members {
        let new = match name.as_str() {
            "Threshold" => number(value).map(Value::from),
            "ActionsEnabled" => bool_of(value).map(Value::from),
            name if NUMBERS.contains(&name) => whole(value).map(Value::from),
            "Metrics" => {
                for query in value.as_array_mut().into_iter().flatten() {
                    if let Some(is) = query.get("ReturnData").and_then(bool_of) {
                        query["ReturnData"] = is.into();
                    }
                    for period in ["/Period", "/MetricStat/Period"] {
                        if let Some(period) = query.pointer_mut(period)
                            && let Some(seconds) = whole(period)
                        {
                            *period = seconds.into();
                        }
                    }
                }
                None
            }
            _ => None,
        };
        if let Some(new) = new {
            *value = new;
        }
    }
    members
}

fn check_actions(call: &Call) -> Result<(), ApiError> {
    for list in ["OKActions", "AlarmActions", "InsufficientDataActions"] {
        let actions = texts(call, list);
        if actions.len() > ACTIONS_MAX {
            return Err(errors::validation(format!("{list} has more than 5 actions")));
        }
        if let Some(bad) = actions.iter().find(|action| !action.starts_with("arn:")) {
            return Err(errors::validation(format!("Invalid arn syntax: {bad}")));
        }
    }
    Ok(())
}

async fn check_composite(watch: &CloudWatch, call: &Call, name: &str) -> Result<(), ApiError> {
    if text(call, "ActionsSuppressor").is_some() {
        return Err(ApiError::not_implemented("cloudwatch", "PutCompositeAlarm with ActionsSuppressor"));
    }
    let rule = Rule::parse(required(call, "AlarmRule")?)?;
    for child in rule.names() {
        let found = watch.storage.get::<Alarm>(&Place::of(&call.context), ALARM, child).await?;
        if found.is_none() || child == name {
            return Err(errors::validation(format!(
                "AlarmRule must not contain any non-existent alarms and not itself: {child}"
            )));
        }
    }
    Ok(())
}

pub async fn put(watch: &CloudWatch, call: &Call, is_composite: bool) -> Result<Answer, ApiError> {
    let name = required(call, "AlarmName")?;
    if name.chars().count() > NAME_CHARS_MAX {
        return Err(errors::validation("AlarmName has more than 255 characters"));
    }
    check_actions(call)?;
    let place = &Place::of(&call.context);
    let mut members: Map<String, Value> = typed(call.input.clone());
    members.retain(|name, value| !value.is_null() && name != "AlarmName" && name != "Tags");
    members.entry("ActionsEnabled").or_insert_with(|| true.into());
    for absent in ["ThresholdMetricId", "EvaluationCriteria"] {
        if members.contains_key(absent) {
            return Err(ApiError::not_implemented("cloudwatch", &format!("PutMetricAlarm with {absent}")));
        }
    }
    match is_composite {
        true => check_composite(watch, call, name).await?,
        false => check(&members)?,
    }
    let given = tags::given(call)?;
    let now_ms = call.context.now_ms;
    let known: Vec<Alarm> = watch.storage.list(place, ALARM).await?;
    if known.len() >= ALARMS_MAX && !known.iter().any(|alarm| alarm.name == name) {
        return Err(errors::limit("There are as many alarms as there may be"));
    }
    for _ in 0..ATTEMPTS_MAX {
        let found = watch.storage.get_row::<Alarm>(place, ALARM, name).await?;
        let (old, seen) = found.map_or((None, None), |(alarm, rev)| (Some(alarm), Some(rev)));
        if old.as_ref().is_some_and(|old| old.is_composite != is_composite) {
            return Err(errors::validation(format!("There is an alarm {name} of the other kind")));
        }
        let verb = if old.is_some() { "updated" } else { "created" };
        // Tags are only those of the first call; the state stays until the alarm is looked at.
        let (tags, created_ms, state) = match old {
            Some(old) => (old.tags, old.created_ms, old.state),
            None => (given.clone(), now_ms, State::initial(now_ms)),
        };
        let (name, members) = (name.to_owned(), members.clone());
        let alarm = Alarm { v: FORMAT, name, is_composite, members, created_ms, updated_ms: now_ms, tags, state };
        let what = if verb == "created" { "Create" } else { "Update" };
        let data = json!({ "version": "1.0", "type": what });
        let item =
            History::new(&alarm, "ConfigurationUpdate", now_ms, format!("Alarm \"{}\" {verb}", alarm.name), &data);
        if watch.storage.put_alarm(place, &alarm, seen, &[item], &[]).await? {
            watch.watcher.look(place, &alarm.name);
            return Ok(Answer::empty());
        }
    }
    Err(errors::busy())
}

/// # Errors
/// What [`Watch::of`] has against it, and a metric that is named twice over.
fn check(members: &Map<String, Value>) -> Result<(), ApiError> {
    if members.contains_key("Metrics") {
        let both = ["MetricName", "Namespace", "Statistic", "ExtendedStatistic", "Dimensions", "Period", "Unit"];
        if let Some(member) = both.iter().find(|member| members.contains_key(**member)) {
            return Err(errors::combination(format!("Metrics and {member} cannot be both")));
        }
    }
    Watch::of(members).map(drop)
}

pub async fn describe(watch: &CloudWatch, call: &Call) -> Result<Answer, ApiError> {
    let (names, prefix) = (texts(call, "AlarmNames"), text(call, "AlarmNamePrefix"));
    if !names.is_empty() && prefix.is_some() {
        return Err(errors::combination("AlarmNames and AlarmNamePrefix cannot be both"));
    }
    let place = &Place::of(&call.context);
    let mut all: Vec<Alarm> = watch.storage.list(place, ALARM).await?;
    relatives(call, &mut all)?;
    let kinds = texts(call, "AlarmTypes");
    let max = call.input.get("MaxRecords").and_then(whole).unwrap_or(50).clamp(1, 100) as usize;
    let is_wanted = |alarm: &Alarm| {
        let kind = if alarm.is_composite { "CompositeAlarm" } else { "MetricAlarm" };
        // Composite alarms are shown to those who ask for them.
        let is_asked = !alarm.is_composite || text(call, "ParentsOfAlarmName").is_some();
        let by_kind = if kinds.is_empty() { is_asked } else { kinds.contains(&kind) };
        let actions = ["OKActions", "AlarmActions", "InsufficientDataActions"];
        let has_action = |prefix: &str| {
            let all = actions.iter().filter_map(|list| alarm.members.get(*list)?.as_array());
            all.flatten().filter_map(Value::as_str).any(|action| action.starts_with(prefix))
        };
        by_kind
            && (names.is_empty() || names.contains(&alarm.name.as_str()))
            && prefix.is_none_or(|prefix| alarm.name.starts_with(prefix))
            && text(call, "StateValue").is_none_or(|state| state == alarm.state.value)
            && text(call, "ActionPrefix").is_none_or(has_action)
    };
    let offset = offset(call)?;
    let mut rest = all.into_iter().filter(is_wanted).skip(offset);
    let taken: Vec<Alarm> = rest.by_ref().take(max).collect();
    let shown = |is_composite: bool| -> Value {
        let of = taken.iter().filter(|alarm| alarm.is_composite == is_composite);
        of.map(|alarm| alarm.shown(&alarm.arn(place))).collect()
    };
    let mut answer = json!({ "MetricAlarms": shown(false), "CompositeAlarms": shown(true) });
    if rest.next().is_some() {
        answer["NextToken"] = (offset + max).to_string().into();
    }
    Answer::json(answer)
}

/// Only those that a composite alarm names, or that name an alarm.
fn relatives(call: &Call, all: &mut Vec<Alarm>) -> Result<(), ApiError> {
    let names_of = |alarm: &Alarm| -> Vec<String> {
        let rule = alarm.members.get("AlarmRule").and_then(Value::as_str).and_then(|rule| Rule::parse(rule).ok());
        rule.map(|rule| rule.names().into_iter().map(str::to_owned).collect()).unwrap_or_default()
    };
    if let Some(parent) = text(call, "ChildrenOfAlarmName") {
        let parent = all.iter().find(|alarm| alarm.name == parent).ok_or_else(|| errors::no_alarm(parent))?;
        let names = names_of(parent);
        all.retain(|alarm| names.contains(&alarm.name));
    }
    if let Some(child) = text(call, "ParentsOfAlarmName") {
        all.retain(|alarm| names_of(alarm).iter().any(|name| name == child));
    }
    Ok(())
}

/// Alarms on one metric, with the statistics and period given.
pub async fn for_metric(watch: &CloudWatch, call: &Call) -> Result<Answer, ApiError> {
    let member = |name: &str| call.input.get(name).cloned().unwrap_or_default();
    let metric = json!({ "Namespace": member("Namespace"), "MetricName": member("MetricName"), "Dimensions": member("Dimensions") });
    let wanted = query::series(&metric)?;
    let place = &Place::of(&call.context);
    let all: Vec<Alarm> = watch.storage.list(place, ALARM).await?;
    let is_on = |alarm: &&Alarm| {
        let same = ["Statistic", "ExtendedStatistic", "Unit"].iter().all(|name| {
            text(call, name).is_none_or(|value| alarm.members.get(*name).and_then(Value::as_str) == Some(value))
        });
        let period_s = whole(&member("Period"));
        let watch = Watch::of(&alarm.members).ok().filter(|_| !alarm.is_composite && same);
        watch.is_some_and(|watch| {
            watch.queries.iter().any(|query| match &query.what {
                What::Metric(stat) => {
                    stat.series == wanted && period_s.is_none_or(|period_s| period_s == stat.period_s)
                }
                What::Expression(_) => false,
            })
        })
    };
    let shown: Vec<Value> = all.iter().filter(is_on).map(|alarm| alarm.shown(&alarm.arn(place))).collect();
    Answer::json(json!({ "MetricAlarms": shown }))
}

/// All of them, or none.
pub async fn delete(watch: &CloudWatch, call: &Call) -> Result<Answer, ApiError> {
    let names = texts(call, "AlarmNames");
    let place = &Place::of(&call.context);
    for name in &names {
        if watch.storage.get::<Alarm>(place, ALARM, name).await?.is_none() {
            return Err(errors::no_alarm(name));
        }
    }
    watch.storage.delete(place, ALARM, &names).await?;
    for name in &names {
        watch.watcher.look(place, name);
        watch.watcher.changed_state(place, name);
    }
    Ok(Answer::empty())
}
