//! Triggers of a deployment group: topics that are told of what becomes of its deployments
//! (<https://docs.aws.amazon.com/codedeploy/latest/userguide/monitoring-sns-event-notifications-json-format.html>), with the
//! permissions of the group's role. Those on instances are kept, and never come: functions have none.

use cumulet_delivery::Wake;
use cumulet_delivery::notice::Notice;
use cumulet_store::Txn;
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use crate::Core;
use crate::model::{Deployment, Place};

pub const OWNER: &str = "codedeploy-notices";

/// What SNS takes.
const SUBJECT_CHARS_MAX: usize = 99;

pub const EVENTS: [&str; 10] = [
    "DeploymentStart",
    "DeploymentSuccess",
    "DeploymentFailure",
    "DeploymentStop",
    "DeploymentRollback",
    "DeploymentReady",
    "InstanceStart",
    "InstanceSuccess",
    "InstanceFailure",
    "InstanceReady",
];

/// What has just become of a deployment, if that is something to be told of.
fn event(deployment: &Deployment) -> Option<&'static str> {
    let is_way_back = deployment.rolled_back.as_ref().is_some_and(|back| back.triggering.is_some());
    match deployment.status.as_str() {
        _ if is_way_back => Some("DeploymentRollback"),
        "Created" => Some("DeploymentStart"),
        "Succeeded" => Some("DeploymentSuccess"),
        "Failed" => Some("DeploymentFailure"),
        "Stopped" => Some("DeploymentStop"),
        _ => None,
    }
}

/// Adds the messages that tell of a deployment that has just come to its status.
pub fn tell(core: &Core, mut txn: Txn, place: &Place, deployment: &Deployment) -> Result<(Txn, Vec<Wake>), ApiError> {
    let mut wakes = Vec::new();
    let Some((event, caller)) = event(deployment).zip(deployment.caller()) else { return Ok((txn, wakes)) };
    for trigger in deployment.triggers.iter().filter(|trigger| trigger.trigger_events.iter().any(|one| one == event)) {
        let notice = Notice {
            topic: trigger.trigger_target_arn.clone(),
            region: place.region.clone(),
            caller: caller.clone(),
            subject: Some(subject(place, deployment)),
            message: message(place, &trigger.trigger_name, deployment).to_string(),
        };
        let lane = format!("{}/{} {}", deployment.application, deployment.group, trigger.trigger_target_arn);
        let task = notice.task(OWNER, lane).map_err(|e| ApiError::internal(format!("writing a notice: {e}")))?;
        let (with_task, wake) = core.delivery.add(txn, &task)?;
        txn = with_task;
        wakes.push(wake);
    }
    Ok((txn, wakes))
}

/// Names of applications may be longer than a subject.
fn subject(place: &Place, deployment: &Deployment) -> String {
    let status = deployment.status.to_uppercase();
    let application = &deployment.application;
    let whole = format!("{status}: AWS CodeDeploy {} in {} to {application}", deployment.id, place.region);
    whole.chars().take(SUBJECT_CHARS_MAX).collect()
}

fn message(place: &Place, trigger: &str, deployment: &Deployment) -> Value {
    let at = |ms: u64| format!("{}.{:03}", ms / 1000, ms % 1000);
    let overview = crate::operations::overview(deployment);
    let counts = ["Failed", "InProgress", "Pending", "Skipped", "Succeeded"];
    let counts = counts.map(|name| (name.to_owned(), Value::from(overview[name].to_string())));
    let mut message = json!({
        "region": place.region,
        "accountId": place.account,
        "eventTriggerName": trigger,
        "applicationName": deployment.application,
        "deploymentId": deployment.id,
        "deploymentGroupName": deployment.group,
        "createTime": at(deployment.created_ms),
        "completeTime": deployment.completed_ms.map(at),
        "deploymentOverview": serde_json::Map::from_iter(counts),
        "status": deployment.status,
    });
    if let Some((code, why)) = &deployment.error {
        message["errorInformation"] = json!({ "ErrorCode": code, "ErrorMessage": why });
    }
    message
}
