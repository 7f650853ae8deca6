//! The delivery of one event to one target: attempts until it is taken, the retry policy is exhausted, or the target is
//! no longer there; what is not taken goes to the dead letter queue, where there is one.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cumulet_base::arn::Arn;
use cumulet_base::{id, limits};
use cumulet_delivery::retry::Verdict;
use cumulet_delivery::target::{self, Parcel};
use cumulet_delivery::{Handler, Next, Task, dead_letter};
use cumulet_wire::auth::Caller;
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use crate::core::{Core, LaneName, PRINCIPAL};
use crate::envelope::{Event, iso_s};
use crate::errors;
use crate::model::{Place, Target};
use crate::route::{RouteRule, RouteTarget};
use crate::transform::About;

const BURY_PAUSE_MS: u64 = 10_000;

pub struct Deliver(pub Arc<Core>);

#[async_trait]
impl Handler for Deliver {
    async fn handle(&self, task: Task) -> Next {
        let core = &self.0;
        let (Some(lane), Some(event)) = (LaneName::read(&task.lane), Event::from_body(&task.body)) else {
            tracing::error!(lane = task.lane, "an event's delivery cannot be read and is dropped");
            return Next::Done;
        };
        let place = Place { account: lane.account.to_owned(), region: lane.region.to_owned() };
        let route = match core.route(&place, lane.bus).await {
            Ok(route) => route,
            Err(_) => return Next::Retry { due_ms: core.now_ms() + limits::DELIVERY_PAUSE_MS, body: None },
        };
        let Some(rule) = route.as_ref().and_then(|route| route.rule(lane.rule)) else { return Next::Done };
        // One that was taken off gets nothing more, also of what matched before.
        let Some(to) = rule.targets.iter().find(|to| to.target.id == lane.target) else { return Next::Done };
        let payload = to.input.apply(
            &String::from_utf8_lossy(&event.text),
            &event.value,
            &About { rule_arn: &rule.arn, rule_name: &rule.name, ingested: &iso_s(event.ingested_ms) },
        );
        match hand_over(core, &place, rule, to, &event, payload).await {
            Ok(()) => Next::Done,
            Err(error) => after_failure(core, &place, rule, &to.target, &event, &task, &error).await,
        }
    }
}

/// Who a rule acts as at a target: the target's role, and else the service in the rule's name.
fn caller(place: &Place, rule: &RouteRule, target: &Target) -> Result<Caller, ApiError> {
    match &target.role_arn {
        Some(role) => {
            Caller::role(role, &id::hex(32)).ok_or_else(|| errors::invalid(format!("{role} is not the ARN of a role.")))
        }
        None => Ok(Caller::service(&place.account, PRINCIPAL, &rule.arn)),
    }
}

async fn hand_over(
    core: &Core,
    place: &Place,
    rule: &RouteRule,
    to: &RouteTarget,
    event: &Event,
    payload: String,
) -> Result<(), ApiError> {
    let target = &to.target;
    let caller = caller(place, rule, target)?;
    let arn: Arn = target.arn.parse().map_err(|_| errors::invalid(format!("{} is not an ARN.", target.arn)))?;
    match arn.service.as_str() {
        "events" if arn.resource.starts_with("api-destination/") => {
            let parameters = target.http_parameters.clone().unwrap_or_default();
            core.destinations.call(core, &arn, &parameters, payload).await
        }
        "events" => forward(core, &caller, &arn, event).await,
        "logs" => write_log(core, &caller, &arn, rule, &payload).await,
        _ => {
            let mut parcel = Parcel::new(Bytes::from(payload));
            parcel.group = target.sqs_parameters.as_ref().and_then(|given| given.message_group_id.clone());
            target::deliver(&core.client, &caller, &target.arn, &parcel).await.map(drop)
        }
    }
}

/// The event as it is goes to another bus; its id, account and region stay.
async fn forward(core: &Core, caller: &Caller, bus: &Arn, event: &Event) -> Result<(), ApiError> {
    if event.hops >= limits::EVENTS_HOPS_MAX {
        return Err(errors::invalid("The event has come through too many buses: rules lead in a circle."));
    }
    let word = core.lend(Event { hops: event.hops + 1, ..event.clone() });
    let entry = json!({"EventBusName": bus.to_string(), "Forward": word});
    let input = json!({"Entries": [entry]});
    let answer = core.client.call(caller, &bus.region, "events", "PutEvents", input, Bytes::new()).await;
    // Not taken, when the call was refused before.
    core.borrow(&word);
    let answer = answer?;
    match &answer.output["Entries"][0] {
        Value::Object(entry) if entry.contains_key("ErrorCode") => Err(ApiError::new(
            400,
            entry["ErrorCode"].as_str().unwrap_or_default(),
            entry.get("ErrorMessage").and_then(Value::as_str).unwrap_or_default(),
        )),
        _ => Ok(()),
    }
}

/// A log event in a stream of the rule's; `{"timestamp": …, "message": …}` says both of them itself.
async fn write_log(core: &Core, caller: &Caller, arn: &Arn, rule: &RouteRule, payload: &str) -> Result<(), ApiError> {
    let group = arn.resource.strip_prefix("log-group:").unwrap_or(&arn.resource);
    let group = group.strip_suffix(":*").unwrap_or(group);
    let call = |operation, input| core.client.call(caller, &arn.region, "logs", operation, input, Bytes::new());
    let own = serde_json::from_str::<Value>(payload).unwrap_or_default();
    let (timestamp, message) = match (own["timestamp"].as_u64(), own["message"].as_str()) {
        (Some(timestamp), Some(message)) if own.as_object().is_some_and(|own| own.len() == 2) => {
            (timestamp, message.to_owned())
        }
        _ => (core.now_ms(), payload.to_owned()),
    };
    let event = json!({"timestamp": timestamp, "message": message});
    let put = json!({"logGroupName": group, "logStreamName": rule.name, "logEvents": [event]});
    match call("PutLogEvents", put.clone()).await {
        Err(error) if error.code == "ResourceNotFoundException" => {
            let made = call("CreateLogStream", json!({"logGroupName": group, "logStreamName": rule.name})).await;
            match made {
                Err(error) if error.code != "ResourceAlreadyExistsException" => Err(error),
                _ => call("PutLogEvents", put).await.map(drop),
            }
        }
        answer => answer.map(drop),
    }
}

async fn after_failure(
    core: &Core,
    place: &Place,
    rule: &RouteRule,
    target: &Target,
    event: &Event,
    task: &Task,
    error: &ApiError,
) -> Next {
    let policy = target.retry_policy.unwrap_or_default();
    let now_ms = core.now_ms();
    let jitter = u64::from_be_bytes(id::random());
    let exhausted = match policy.decide(error, task.attempts, task.created_ms, now_ms, jitter) {
        Verdict::Again { due_ms } => return Next::Retry { due_ms, body: None },
        Verdict::Over { exhausted } => exhausted,
    };
    let Some(queue) = target.dead_letter_config.as_ref().and_then(|config| config.arn.as_deref()) else {
        tracing::warn!(rule = rule.arn, target = target.arn, %error, "an event was not taken and is dropped");
        return Next::Done;
    };
    let attributes = [
        ("RULE_ARN", rule.arn.clone()),
        ("TARGET_ARN", target.arn.clone()),
        ("EXHAUSTED_RETRY_CONDITION", exhausted.unwrap_or_default().to_owned()),
        ("RETRY_ATTEMPTS", task.attempts.to_string()),
    ];
    let caller = Caller::service(&place.account, PRINCIPAL, &rule.arn);
    let body = String::from_utf8_lossy(&event.text);
    match dead_letter::bury(&core.client, &caller, queue, &body, error, &attributes).await {
        Ok(()) => Next::Done,
        Err(refusal) if target::is_worth_another(&refusal) => {
            Next::Retry { due_ms: now_ms + BURY_PAUSE_MS, body: None }
        }
        Err(refusal) => {
            tracing::error!(rule = rule.arn, queue, %error, %refusal, "an event and its dead letter are dropped");
            Next::Done
        }
    }
}
