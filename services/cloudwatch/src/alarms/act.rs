//! What follows when an alarm changes its state: an entry of its history, an event on the default bus, and its actions.
//! These are tasks of the commit that holds the new state. Deliberately absent: actions of EC2, Auto Scaling and Systems
//! Manager; the history says that they were not carried out.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cumulet_base::clock::{self, Clock};
use cumulet_base::id;
use cumulet_delivery::retry::{RetryPolicy, Verdict};
use cumulet_delivery::target::{self, Parcel};
use cumulet_delivery::{Handler, NewTask, Next, Task};
use cumulet_wire::auth::Caller;
use cumulet_wire::client::Client;
use cumulet_wire::error::ApiError;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{ALARM, OK};
use crate::metrics::Place;
use crate::model::{Alarm, FORMAT, History, State};
use crate::storage::Storage;

pub const OWNER: &str = "cloudwatch-action";
const PRINCIPAL: &str = "cloudwatch.amazonaws.com";
const FUNCTIONS_PRINCIPAL: &str = "lambda.alarms.cloudwatch.amazonaws.com";

#[derive(Debug, Serialize, Deserialize)]
struct Deed {
    v: u32,
    account: String,
    region: String,
    alarm: String,
    is_composite: bool,
    /// What it is done to; the default bus's ARN for the event.
    target: String,
    subject: String,
    payload: String,
}

/// A change of state and what is to follow from it.
pub struct Change {
    pub history: Vec<History>,
    pub tasks: Vec<NewTask>,
}

fn state_of(state: &State) -> Value {
    let mut shown = json!({
        "value": state.value,
        "reason": state.reason,
        "timestamp": clock::iso_ms_offset(state.updated_ms),
    });
    if let Some(data) = &state.reason_data {
        shown["reasonData"] = data.as_str().into();
    }
    shown
}

/// As events name a metric of an alarm.
fn metric(query: &Value) -> Value {
    let mut shown = json!({ "id": query["Id"], "returnData": query["ReturnData"].as_bool().unwrap_or(true) });
    if query["Expression"].is_string() {
        shown["expression"] = query["Expression"].clone();
        shown["label"] = query["Label"].clone();
        return shown;
    }
    let stat = &query["MetricStat"];
    let pairs = stat["Metric"]["Dimensions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let dimensions: Map<String, Value> = pairs
        .iter()
        .map(|pair| (pair["Name"].as_str().unwrap_or_default().to_owned(), pair["Value"].clone()))
        .collect();
    shown["metricStat"] = json!({
        "metric": { "namespace": stat["Metric"]["Namespace"], "name": stat["Metric"]["MetricName"], "dimensions": dimensions },
        "period": stat["Period"],
        "stat": stat["Stat"],
    });
    shown
}

/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html>
fn configuration(alarm: &Alarm) -> Value {
    let member = |name: &str| alarm.members.get(name).cloned().unwrap_or_default();
    let mut shown = json!({});
    if let Some(description) = member("AlarmDescription").as_str() {
        shown["description"] = description.into();
    }
    if alarm.is_composite {
        shown["alarmRule"] = member("AlarmRule");
        return shown;
    }
    let queries = match member("Metrics") {
        Value::Array(queries) => queries,
        _ => {
            let stat = if member("Statistic").is_null() { member("ExtendedStatistic") } else { member("Statistic") };
            vec![json!({ "Id": id::uuid(), "ReturnData": true, "MetricStat": {
                "Metric": { "Namespace": member("Namespace"), "MetricName": member("MetricName"), "Dimensions": member("Dimensions") },
                "Period": member("Period"), "Stat": stat } })]
        }
    };
    shown["metrics"] = queries.iter().map(metric).collect();
    shown
}

/// What a topic's subscribers read
/// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html>).
fn message(place: &Place, alarm: &Alarm, arn: &str, (old, new): (&State, &State)) -> Value {
    let member = |name: &str| alarm.members.get(name).cloned().unwrap_or_default();
    let list = |name: &str| if member(name).is_null() { json!([]) } else { member(name) };
    let mut message = json!({
        "AlarmName": alarm.name,
        "AlarmDescription": member("AlarmDescription"),
        "AWSAccountId": place.account,
        "AlarmConfigurationUpdatedTimestamp": clock::iso_ms_offset(alarm.updated_ms),
        "NewStateValue": new.value,
        "NewStateReason": new.reason,
        "StateChangeTime": clock::iso_ms_offset(new.updated_ms),
        "Region": place.region,
        "AlarmArn": arn,
        "OldStateValue": old.value,
        "OKActions": list("OKActions"),
        "AlarmActions": list("AlarmActions"),
        "InsufficientDataActions": list("InsufficientDataActions"),
    });
    if alarm.is_composite {
        message["AlarmRule"] = member("AlarmRule");
        return message;
    }
    let mut trigger = json!({
        "Period": member("Period"),
        "EvaluationPeriods": member("EvaluationPeriods"),
        "DatapointsToAlarm": if member("DatapointsToAlarm").is_null() { member("EvaluationPeriods") } else { member("DatapointsToAlarm") },
        "ComparisonOperator": member("ComparisonOperator"),
        "Threshold": member("Threshold"),
        "TreatMissingData": if member("TreatMissingData").is_null() { "missing".into() } else { member("TreatMissingData") },
        "EvaluateLowSampleCountPercentile": member("EvaluateLowSampleCountPercentile").as_str().unwrap_or_default(),
    });
    if member("Metrics").is_array() {
        trigger["Metrics"] = member("Metrics");
    } else {
        let pairs = member("Dimensions").as_array().cloned().unwrap_or_default();
        let dimensions: Vec<Value> = pairs.iter().map(|p| json!({"value": p["Value"], "name": p["Name"]})).collect();
        trigger["MetricName"] = member("MetricName");
        trigger["Namespace"] = member("Namespace");
        trigger["Unit"] = member("Unit");
        trigger["Dimensions"] = dimensions.into();
        match member("Statistic").as_str() {
            Some(statistic) => {
                trigger["StatisticType"] = "Statistic".into();
                trigger["Statistic"] = statistic.to_uppercase().into();
            }
            None => {
                trigger["StatisticType"] = "ExtendedStatistic".into();
                trigger["ExtendedStatistic"] = member("ExtendedStatistic");
            }
        }
    }
    message["Trigger"] = trigger;
    message
}

/// What follows from an alarm that was in a state and is in the one it now has.
pub fn change(place: &Place, alarm: &Alarm, old: &State) -> Result<Change, ApiError> {
    let new = &alarm.state;
    let arn = alarm.arn(place);
    let reading = |state: &State| {
        let data = state.reason_data.as_deref().and_then(|data| serde_json::from_str::<Value>(data).ok());
        json!({"stateValue": state.value, "stateReason": state.reason, "stateReasonData": data})
    };
    let data = json!({"version": "1.0", "oldState": reading(old), "newState": reading(new)});
    let summary = format!("Alarm updated from {} to {}", old.value, new.value);
    let history = vec![History::new(alarm, "StateUpdate", new.updated_ms, summary, &data)];
    let deed = |target: &str, payload: &Value| -> Result<NewTask, ApiError> {
        let deed = Deed {
            v: FORMAT,
            account: place.account.clone(),
            region: place.region.clone(),
            alarm: alarm.name.clone(),
            is_composite: alarm.is_composite,
            target: target.to_owned(),
            subject: format!("{}: \"{}\" in {}", new.value, alarm.name, place.region).chars().take(100).collect(),
            payload: payload.to_string(),
        };
        let body = serde_json::to_vec(&deed).map_err(|e| ApiError::internal(format!("writing a task: {e}")))?;
        Ok(NewTask { owner: OWNER, lane: arn.clone(), due_ms: 0, body: body.into() })
    };
    let (configuration, is, was) = (configuration(alarm), state_of(new), state_of(old));
    let bus = format!("arn:aws:events:{}:{}:event-bus/default", place.region, place.account);
    let detail = json!({"alarmName": alarm.name, "configuration": configuration, "state": is, "previousState": was});
    let mut tasks = vec![deed(&bus, &detail)?];
    let list = match new.value.as_str() {
        ALARM => "AlarmActions",
        OK => "OKActions",
        _ => "InsufficientDataActions",
    };
    let is_enabled = alarm.members.get("ActionsEnabled").and_then(Value::as_bool).unwrap_or(true);
    let actions = alarm.members.get(list).and_then(Value::as_array).filter(|_| is_enabled);
    for action in actions.into_iter().flatten().filter_map(Value::as_str) {
        let payload = match action.starts_with("arn:aws:lambda:") {
            false => message(place, alarm, &arn, (old, new)),
            true => json!({
                "source": "aws.cloudwatch",
                "alarmArn": arn,
                "accountId": place.account,
                "time": clock::iso_ms_offset(new.updated_ms),
                "region": place.region,
                "alarmData": { "alarmName": alarm.name, "state": is, "previousState": was, "configuration": configuration },
            }),
        };
        tasks.push(deed(action, &payload)?);
    }
    Ok(Change { history, tasks })
}

/// Carries actions out, and tries again where that may help.
pub struct Act {
    pub client: Client,
    pub clock: Arc<dyn Clock>,
    pub storage: Storage,
}

#[async_trait]
impl Handler for Act {
    async fn handle(&self, task: Task) -> Next {
        let Ok(deed) = serde_json::from_slice::<Deed>(&task.body) else {
            tracing::error!(lane = task.lane, "an action of an alarm cannot be read and is dropped");
            return Next::Done;
        };
        let done = self.carry_out(&deed, &task.lane).await;
        let now_ms = self.clock.now_ms();
        if let Err(error) = &done {
            let jitter = u64::from_be_bytes(id::random());
            if let Verdict::Again { due_ms } =
                RetryPolicy::default().decide(error, task.attempts, task.created_ms, now_ms, jitter)
            {
                return Next::Retry { due_ms, body: None };
            }
            tracing::warn!(alarm = deed.alarm, target = deed.target, %error, "an action of an alarm was not taken");
        }
        if !deed.target.contains(":event-bus/") {
            self.tell(&deed, &done, now_ms).await;
        }
        Next::Done
    }
}

impl Act {
    async fn carry_out(&self, deed: &Deed, alarm_arn: &str) -> Result<(), ApiError> {
        let kind = deed.target.split(':').nth(2).unwrap_or_default();
        let region = deed.target.split(':').nth(3).unwrap_or(&deed.region);
        let principal = if kind == "lambda" { FUNCTIONS_PRINCIPAL } else { PRINCIPAL };
        let caller = Caller::service(&deed.account, principal, alarm_arn);
        match kind {
            "sns" => {
                let input = json!({"TopicArn": deed.target, "Subject": deed.subject, "Message": deed.payload});
                self.client.call(&caller, region, "sns", "Publish", input, Bytes::new()).await.map(drop)
            }
            "lambda" | "events" => {
                let mut parcel = Parcel::new(deed.payload.clone());
                parcel.event = Some(("aws.cloudwatch".to_owned(), "CloudWatch Alarm State Change".to_owned()));
                parcel.resources = vec![alarm_arn.to_owned()];
                target::deliver(&self.client, &caller, &deed.target, &parcel).await.map(drop)
            }
            other => Err(ApiError::not_implemented("cloudwatch", &format!("alarm actions to {other}"))),
        }
    }

    async fn tell(&self, deed: &Deed, done: &Result<(), ApiError>, now_ms: u64) {
        let (summary, error) = match done {
            Ok(()) => (format!("Successfully executed action {}", deed.target), Value::Null),
            Err(error) => (format!("Failed to execute action {}", deed.target), error.to_string().into()),
        };
        let state = if done.is_ok() { "Succeeded" } else { "Failed" };
        let data = json!({"actionState": state, "notificationResource": deed.target, "error": error});
        let place = Place { account: deed.account.clone(), region: deed.region.clone() };
        let item = History {
            v: FORMAT,
            is_composite: deed.is_composite,
            kind: "Action".to_owned(),
            at_ms: now_ms,
            summary: summary.chars().take(255).collect(),
            data: data.to_string(),
        };
        if let Err(error) = self.storage.add_history(&place, &deed.alarm, &item).await {
            tracing::warn!(alarm = deed.alarm, %error, "an action is not in the history");
        }
    }
}
