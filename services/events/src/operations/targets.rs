//! PutTargets, RemoveTargets: what a rule's events go to.

use cumulet_base::arn::Arn;
use cumulet_base::limits;
use cumulet_delivery::target::is_target;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;
use serde_json::{Value, json};

use crate::model::{Place, Rule, Target};
use crate::route::all;
use crate::storage::{self, Kind};
use crate::transform::Input;
use crate::{Events, errors, input};

const REQUEST_MAX: usize = 100;
/// Parameters of targets that this cloud does not have.
const ABSENT: [&str; 8] = [
    "KinesisParameters",
    "RunCommandParameters",
    "EcsParameters",
    "BatchParameters",
    "RedshiftDataParameters",
    "SageMakerPipelineParameters",
    "AppSyncParameters",
    "StateMachineParameters",
];

fn read(value: &Value, at: usize) -> Result<Target, ApiError> {
    let text = |member: &str| value[member].as_str();
    let is_allowed = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    let member = |name: &str| format!("targets.{}.member.{name}", at + 1);
    Validation::new()
        .required(&member("id"), text("Id").as_ref())
        .length(&member("id"), text("Id"), 1, 64)
        .pattern(&member("id"), text("Id"), r"[\.\-_A-Za-z0-9]+", is_allowed)
        .required(&member("arn"), text("Arn").as_ref())
        .length(&member("arn"), text("Arn"), 1, 1600)
        .length(&member("input"), text("Input"), 0, 8192)
        .length(&member("inputPath"), text("InputPath"), 0, 256)
        .length(&member("inputTransformer.inputTemplate"), value["InputTransformer"]["InputTemplate"].as_str(), 1, 8192)
        .finish("ValidationException")?;
    if let Some(name) = ABSENT.iter().find(|name| value.get(**name).is_some_and(|given| !given.is_null())) {
        return Err(errors::not_built(&format!("{name} of targets")));
    }
    let target: Target =
        serde_json::from_value(value.clone()).map_err(|e| ApiError::serialization(&format!("Targets: {e}")))?;
    if let Some(policy) = &target.retry_policy
        && let Err((name, value, min, max)) = policy.check()
    {
        let mut validation = Validation::new();
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        validation.between(&member(&format!("retryPolicy.{name}")), Some(value), min as i64, max as i64);
        validation.finish("ValidationException")?;
    }
    Input::new(&target)?;
    Ok(target)
}

/// Where a target may not be of the rule, for the entry's failure.
fn refusal(place: &Place, target: &Target) -> Option<(&'static str, String)> {
    let Ok(arn) = target.arn.parse::<Arn>() else {
        return Some((
            "ValidationException",
            format!("Parameter {} is not valid. Reason: Provided Arn is not in correct format.", target.arn),
        ));
    };
    let is_known = is_target(&target.arn)
        || arn.service == "events" && arn.resource.starts_with("api-destination/")
        || arn.service == "logs" && arn.resource.starts_with("log-group:");
    if !is_known {
        return Some(("NotImplemented", format!("not implemented: events: targets of the service {}", arn.service)));
    }
    if arn.service == "sqs" && arn.resource.ends_with(".fifo") {
        let has_group = target.sqs_parameters.as_ref().is_some_and(|given| given.message_group_id.is_some());
        if !has_group {
            let text = format!("Parameter(s) SqsParameters must be specified for target: {}.", target.id);
            return Some(("ValidationException", text));
        }
    }
    if let Some(queue) = target.dead_letter_config.as_ref().and_then(|config| config.arn.as_deref()) {
        let is_queue = queue.parse::<Arn>().is_ok_and(|arn| arn.service == "sqs" && arn.region == place.region);
        if !is_queue {
            let text = format!("Parameter {queue} is not valid. Reason: Must be an SQS queue in the rule's region.");
            return Some(("ValidationException", text));
        }
    }
    None
}

pub async fn put(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    let core = &events.core;
    let rule = input::required(&call.input, "Rule")?;
    let (place, bus) = input::bus(call, "EventBusName")?;
    let list = call.input.get("Targets").and_then(Value::as_array);
    Validation::new().required("targets", list).finish("ValidationException")?;
    let list: &[Value] = list.map_or(&[], Vec::as_slice);
    if list.is_empty() || list.len() > REQUEST_MAX {
        return Err(errors::invalid(format!(
            "1 validation error detected: Value at 'targets' failed to satisfy constraint: Member must have length \
             between 1 and {REQUEST_MAX}"
        )));
    }
    let targets: Result<Vec<Target>, ApiError> = list.iter().enumerate().map(|(at, one)| read(one, at)).collect();
    let targets = targets?;
    let mut known: std::collections::BTreeSet<String> =
        all::<Target>(&core.storage, Kind::Target, &place, &[&bus, rule])
            .await?
            .into_iter()
            .map(|(id, _)| id)
            .collect();
    let mut failed = Vec::new();
    let mut txn = storage::exists(storage::begin(&place), Kind::Rule, &place, &[&bus, rule]);
    for target in &targets {
        if let Some((code, message)) = refusal(&place, target) {
            failed.push(json!({"TargetId": target.id, "ErrorCode": code, "ErrorMessage": message}));
            continue;
        }
        known.insert(target.id.clone());
        txn = storage::overwrite(txn, Kind::Target, &place, &[&bus, rule, &target.id], target)?;
    }
    if known.len() > limits::EVENTS_TARGETS_MAX {
        return Err(errors::limit("The requested resource exceeds the maximum number allowed."));
    }
    if !core.storage.commit(txn).await? {
        return Err(errors::no_rule(rule, &bus));
    }
    core.routes.forget(&place, &bus);
    Answer::json(json!({"FailedEntryCount": failed.len(), "FailedEntries": failed}))
}

pub async fn remove(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    let core = &events.core;
    let rule = input::required(&call.input, "Rule")?;
    let (place, bus) = input::bus(call, "EventBusName")?;
    let ids = input::texts(&call.input, "Ids");
    Validation::new().required("ids", call.input.get("Ids")).finish("ValidationException")?;
    if core.storage.get::<Rule>(Kind::Rule, &place, &[&bus, rule]).await?.is_none() {
        return Err(errors::no_rule(rule, &bus));
    }
    let known = all::<Target>(&core.storage, Kind::Target, &place, &[&bus, rule]).await?;
    let mut failed = Vec::new();
    let mut txn = storage::begin(&place);
    for id in &ids {
        if known.iter().any(|(known, _)| known == id) {
            txn = storage::delete(txn, Kind::Target, &place, &[&bus, rule, id]);
        } else {
            let message = format!("Target {id} does not exist on rule {rule}.");
            failed.push(json!({"TargetId": id, "ErrorCode": "ResourceNotFoundException", "ErrorMessage": message}));
        }
    }
    core.storage.commit(txn).await?;
    core.routes.forget(&place, &bus);
    Answer::json(json!({"FailedEntryCount": failed.len(), "FailedEntries": failed}))
}
