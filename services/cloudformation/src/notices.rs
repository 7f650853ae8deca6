//! What topics are told of a stack's events (`NotificationARNs`): one message for each event, committed together with it and
//! published in the order of the events, with the permissions of who works on the stack.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cumulet_base::arn::Arn;
use cumulet_base::clock::Clock;
use cumulet_base::{id, limits};
use cumulet_delivery::retry::{RetryPolicy, Verdict};
use cumulet_delivery::{Handler, Lane, NewTask, Next, Task};
use cumulet_wire::auth::Caller;
use cumulet_wire::client::Client;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::errors::Error;
use crate::stack::{Event, Notified};
use crate::storage::Owner;

pub const OWNER: &str = "cloudformation";
const SUBJECT: &str = "AWS CloudFormation Notification";
/// A topic that is not there for so long is not told.
const AGE_S_MAX: u64 = 3600;

/// The body of a task.
#[derive(Serialize, Deserialize)]
struct Notice {
    topic: String,
    region: String,
    caller: Caller,
    message: String,
}

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
                message: message(owner, &notified.caller, event),
            };
            let body = serde_json::to_vec(&notice).map_err(|e| Error::Row(e.to_string()))?;
            let stack_id = event.stack_id.rsplit('/').next().unwrap_or_default();
            let lane = format!("{stack_id} {topic}");
            tasks.push(NewTask { owner: OWNER, lane, due_ms: 0, body: body.into() });
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

/// Publishes them.
pub struct Notices {
    pub client: Client,
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl Handler for Notices {
    fn lane(&self, _: &str) -> Lane {
        Lane { is_ordered: true, ..Lane::default() }
    }

    async fn handle(&self, task: Task) -> Next {
        let notice: Notice = match serde_json::from_slice(&task.body) {
            Ok(notice) => notice,
            Err(error) => {
                tracing::error!(%error, "a notice of a stack cannot be read");
                return Next::Done;
            }
        };
        let input = json!({ "TopicArn": notice.topic, "Subject": SUBJECT, "Message": notice.message });
        let told = self.client.call(&notice.caller, &notice.region, "sns", "Publish", input, Bytes::new()).await;
        let Err(error) = told else { return Next::Done };
        let policy = RetryPolicy { maximum_event_age_in_seconds: Some(AGE_S_MAX), ..RetryPolicy::default() };
        let now_ms = self.clock.now_ms();
        let jitter = u64::from_be_bytes(id::random());
        match policy.decide(&error, task.attempts, task.created_ms, now_ms, jitter) {
            Verdict::Again { due_ms } => Next::Retry { due_ms, body: None },
            Verdict::Over { .. } => {
                tracing::warn!(topic = notice.topic, code = error.code, "a topic was not told of a stack's event");
                Next::Done
            }
        }
    }
}
