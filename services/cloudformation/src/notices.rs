//! What topics are told of a stack's events (`NotificationARNs`): one message for each event, committed together with it and
//! published in the order of the events, with the permissions of who works on the stack.

use cumulet_base::arn::Arn;
use cumulet_base::limits;
use cumulet_delivery::NewTask;
use cumulet_delivery::notice::Notice;
use cumulet_wire::auth::Caller;
use serde_json::Value;

use crate::errors::Error;
use crate::stack::{Event, Notified};
use crate::storage::Owner;

pub const OWNER: &str = "cloudformation";
const SUBJECT: &str = "AWS CloudFormation Notification";

/// The topics that a request names, if they are names of topics.
pub fn topics(value: Option<&Value>, before: &[String]) -> Result<Vec<String>, Error> {
    let list = match value {
        None | Some(Value::Null) => return Ok(before.to_vec()),
        // How the query protocol writes an empty list.
        Some(Value::String(text)) if text.is_empty() => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(Error::Validation("NotificationARNs must be a list".into())),
    };
    if list.len() > limits::STACK_TOPICS_MAX {
        return Err(Error::Validation(format!(
            "1 validation error detected: Value at 'notificationARNs' failed to satisfy constraint: Member must have length less than or equal to {}",
            limits::STACK_TOPICS_MAX
        )));
    }
    let is_topic = |arn: &str| arn.parse::<Arn>().is_ok_and(|arn| arn.service == "sns" && !arn.resource.contains(':'));
    list.iter()
        .map(|arn| match arn.as_str() {
            Some(arn) if is_topic(arn) => Ok(arn.to_owned()),
            _ => Err(Error::Validation(format!("Invalid parameter: TopicArn Reason: {arn} is not the ARN of a topic"))),
        })
        .collect()
}

/// The tasks that tell a stack's topics of its events.
pub fn tasks(owner: &Owner, notified: &Notified, events: &[Event]) -> Result<Vec<NewTask>, Error> {
    let mut tasks = Vec::new();
    for event in events {
        for topic in &notified.topics {
            let notice = Notice {
                topic: topic.clone(),
                region: owner.region.clone(),
                caller: notified.caller.clone(),
                subject: Some(SUBJECT.to_owned()),
                message: message(owner, &notified.caller, event),
            };
            let stack_id = event.stack_id.rsplit('/').next().unwrap_or_default();
            let task = notice.task(OWNER, format!("{stack_id} {topic}"));
            tasks.push(task.map_err(|e| Error::Row(e.to_string()))?);
        }
    }
    Ok(tasks)
}

/// A line for each member, as AWS writes them.
fn message(owner: &Owner, caller: &Caller, event: &Event) -> String {
    let lines = [
        ("StackId", event.stack_id.as_str()),
        ("Timestamp", &event.timestamp),
        ("EventId", &event.event_id),
        ("LogicalResourceId", &event.logical_resource_id),
        ("Namespace", &owner.account),
        ("PhysicalResourceId", &event.physical_resource_id),
        ("PrincipalId", &caller.user_id),
        ("ResourceProperties", event.resource_properties.as_deref().unwrap_or("null")),
        ("ResourceStatus", &event.resource_status),
        ("ResourceStatusReason", event.resource_status_reason.as_deref().unwrap_or_default()),
        ("ResourceType", &event.resource_type),
        ("StackName", &event.stack_name),
        ("ClientRequestToken", event.client_request_token.as_deref().unwrap_or("null")),
    ];
    lines.iter().map(|(name, value)| format!("{name}='{value}'\n")).collect()
}
