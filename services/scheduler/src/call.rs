//! Invocations: one tick's call of its target under the schedule's role, until it is taken or the retry policy is
//! exhausted; what is not taken goes to the dead letter queue, where there is one.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cumulet_base::arn::Arn;
use cumulet_base::{clock, id};
use cumulet_delivery::retry::Verdict;
use cumulet_delivery::target::{self, Parcel};
use cumulet_delivery::{Handler, NewTask, Next, Task, dead_letter, role};
use cumulet_wire::auth::Caller;
use cumulet_wire::error::ApiError;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::core::{CALL, Core};
use crate::errors;
use crate::model::{Place, Target};
use crate::storage;
use crate::universal::Universal;

const BURY_PAUSE_MS: u64 = 10_000;

pub struct Calls(pub Arc<Core>);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Invocation {
    pub v: u8,
    pub place: Place,
    pub group: String,
    pub name: String,
    pub ticking: String,
    /// When it was scheduled for.
    pub at_ms: u64,
    pub execution: String,
    /// As it was when the tick was due; `None`: too late to be called.
    pub target: Option<Target>,
    /// The schedule is to be deleted after it.
    pub is_last: bool,
}

impl Invocation {
    fn arn(&self) -> String {
        self.place.schedule_arn(&self.group, &self.name)
    }

    fn scheduled(&self) -> String {
        let mut text = clock::iso_ms(self.at_ms);
        text.truncate(19);
        text.push('Z');
        text
    }
}

/// A lane of its own for each schedule: none waits for another's target.
pub fn task(invocation: &Invocation, due_ms: u64) -> Result<NewTask, ApiError> {
    let body = serde_json::to_vec(invocation).map_err(|e| ApiError::internal(format!("writing a task: {e}")))?;
    Ok(NewTask { owner: CALL, lane: invocation.arn(), due_ms, body: body.into() })
}

/// A text with the context attributes filled in
/// (<https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html>).
pub fn filled(text: &str, invocation: &Invocation, attempt: u32) -> String {
    text.replace("<aws.scheduler.schedule-arn>", &invocation.arn())
        .replace("<aws.scheduler.scheduled-time>", &invocation.scheduled())
        .replace("<aws.scheduler.execution-id>", &invocation.execution)
        .replace("<aws.scheduler.attempt-number>", &attempt.to_string())
}

/// What a target gets that was given no input.
fn default_input(invocation: &Invocation) -> String {
    json!({
        "version": "0",
        "id": invocation.execution,
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": invocation.place.account,
        "time": invocation.scheduled(),
        "region": invocation.place.region,
        "resources": [invocation.arn()],
        "detail": "{}",
    })
    .to_string()
}

#[async_trait]
impl Handler for Calls {
    async fn handle(&self, task: Task) -> Next {
        let core = &self.0;
        let Ok(invocation) = serde_json::from_slice::<Invocation>(&task.body) else {
            tracing::error!(lane = task.lane, "an invocation cannot be read and is dropped");
            return Next::Done;
        };
        if let Some(target) = &invocation.target {
            let called = call(core, &invocation, target, task.attempts + 1).await;
            if let Err(error) = called
                && let Some(next) = after_failure(core, &invocation, target, &task, &error).await
            {
                return next;
            }
        }
        if invocation.is_last && complete(core, &invocation).await.is_err() {
            // Once more, without the call.
            let body = serde_json::to_vec(&Invocation { target: None, ..invocation }).ok().map(Bytes::from);
            return Next::Retry { due_ms: core.now_ms() + cumulet_base::limits::DELIVERY_PAUSE_MS, body };
        }
        Next::Done
    }
}

/// Deletes a schedule that is over, if it is still the same.
async fn complete(core: &Core, at: &Invocation) -> Result<(), ApiError> {
    let found = core.storage.schedule(&at.place, &at.group, &at.name).await?;
    if let Some((_, rev)) = found.filter(|(schedule, _)| schedule.ticking == at.ticking) {
        let txn = storage::begin(&at.place);
        core.storage.commit(storage::delete_schedule(txn, &at.place, (&at.group, &at.name), rev)).await?;
    }
    Ok(())
}

async fn call(core: &Core, invocation: &Invocation, target: &Target, attempt: u32) -> Result<(), ApiError> {
    let session = invocation.execution.replace('-', "");
    let caller = Caller::role(&target.role_arn, &session).ok_or_else(errors::role)?;
    let given = target.input.as_deref().map(|input| filled(input, invocation, attempt));
    if let Some(universal) = Universal::parse(&target.arn) {
        let (input, payload) = universal.input(given.as_deref().unwrap_or("{}"))?;
        let (service, region) = (universal.service, &invocation.place.region);
        let answer = core.client.call(&caller, region, service, &universal.operation, input, payload).await;
        return answer.map(drop);
    }
    let arn: Arn = target.arn.parse().map_err(|_| errors::invalid(format!("{} is not an ARN.", target.arn)))?;
    let mut parcel = Parcel::new(given.unwrap_or_else(|| match arn.service.as_str() {
        "events" => "{}".to_owned(),
        _ => default_input(invocation),
    }));
    parcel.group = target.sqs_parameters.as_ref().and_then(|given| given.message_group_id.clone());
    if arn.service == "sqs" && arn.resource.ends_with(".fifo") {
        // A repeated attempt is no second message.
        parcel.deduplication = Some(invocation.execution.clone());
    }
    parcel.event =
        target.event_bridge_parameters.as_ref().map(|given| (given.source.clone(), given.detail_type.clone()));
    target::deliver(&core.client, &caller, &target.arn, &parcel).await.map(drop)
}

/// `None`: it is over.
async fn after_failure(
    core: &Core,
    invocation: &Invocation,
    target: &Target,
    task: &Task,
    error: &ApiError,
) -> Option<Next> {
    let policy = target.retry_policy.unwrap_or_default();
    let now_ms = core.now_ms();
    let jitter = u64::from_be_bytes(id::random());
    let exhausted = match policy.decide(error, task.attempts, invocation.at_ms, now_ms, jitter) {
        Verdict::Again { due_ms } => return Some(Next::Retry { due_ms, body: None }),
        Verdict::Over { exhausted } => exhausted,
    };
    let Some(queue) = target.dead_letter_config.as_ref().and_then(|config| config.arn.as_deref()) else {
        tracing::warn!(schedule = invocation.arn(), target = target.arn, %error, "a tick was not taken and is dropped");
        return None;
    };
    let attributes = [
        ("EXECUTION_ID", invocation.execution.clone()),
        ("EXHAUSTED_RETRY_CONDITION", exhausted.unwrap_or_default().to_owned()),
        ("IS_PAYLOAD_TRUNCATED", "false".to_owned()),
        ("RETRY_ATTEMPTS", task.attempts.to_string()),
        ("SCHEDULED_TIME", invocation.scheduled()),
        ("SCHEDULE_ARN", invocation.arn()),
        ("TARGET_ARN", target.arn.clone()),
    ];
    let body = target.input.as_deref().map(|input| filled(input, invocation, task.attempts + 1));
    let body = body.unwrap_or_else(|| default_input(invocation));
    // Under the schedule's role, which has to allow it.
    let caller = Caller::role(&target.role_arn, &invocation.execution.replace('-', ""))?;
    match dead_letter::bury(&core.client, &caller, queue, &body, error, &attributes).await {
        Ok(()) => None,
        Err(refusal) if target::is_worth_another(&refusal) => {
            Some(Next::Retry { due_ms: now_ms + BURY_PAUSE_MS, body: None })
        }
        Err(refusal) => {
            let schedule = invocation.arn();
            tracing::error!(schedule, queue, %error, %refusal, "a tick and its dead letter are dropped");
            None
        }
    }
}

/// Whether a role is there and trusts this service.
pub async fn check_role(core: &Core, place: &Place, group: &str, role_arn: &str) -> Result<(), ApiError> {
    let caller = Caller::service(&place.account, crate::core::PRINCIPAL, &place.group_arn(group));
    match role::is_trusting(&core.client, &place.region, &caller, role_arn).await? {
        true => Ok(()),
        false => Err(errors::role()),
    }
}
