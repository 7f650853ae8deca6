//! Asynchronous invocation (<https://docs.aws.amazon.com/lambda/latest/dg/invocation-async.html>): an event is durable
//! before it is accepted, and then run until it succeeds, has failed as often as it may, or is too old. What became of it
//! goes to the function's destinations and its dead-letter queue, each as a task of its own that is put in with the end of
//! the event. The queue itself is `delivery`'s: a lane a function, so that no function's backlog holds up another's.

mod destination;
mod event;
pub mod lineage;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cumulet_base::clock::Clock;
use cumulet_base::limits;
use cumulet_delivery::{Delivery, Handler, Lane, NewTask, Next, Task};
use cumulet_engine::catalog::{Access, Invoker, Target};
use cumulet_engine::invocation::{Invocation, InvokeError, Outcome};
use cumulet_wire::client::Client;
use cumulet_wire::error::ApiError;

use crate::functions::Functions;
use crate::model::{EventInvoke, Function};
use crate::names::Named;
use destination::Destinations;
pub use event::Event;
use event::{Ended, record};

pub const OWNER: &str = "lambda-async";

const RETRIES_DEFAULT: u32 = 2;
const AGE_S_DEFAULT: u32 = 21_600;
/// How long an event waits that met a throttle or a failing platform, at first and at most
/// (<https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html>).
const BACKOFF_MS: u64 = 1_000;
const BACKOFF_MS_MAX: u64 = 300_000;

/// What asynchronous invocation works with.
pub struct Ports {
    pub functions: Arc<Functions>,
    pub invoker: Arc<dyn Invoker>,
    pub client: Client,
    pub delivery: Arc<Delivery>,
    pub clock: Arc<dyn Clock>,
    /// How long an event waits before it is tried a second and a third time after the function failed.
    pub retry_ms: [u64; 2],
}

/// Accepts events and carries them out.
#[derive(Clone)]
pub struct Events(Arc<Ports>);

impl Events {
    /// Registers with the delivery, which must not have been started.
    pub fn new(ports: Ports) -> Events {
        let events = Events(Arc::new(ports));
        events.0.delivery.register(OWNER, Arc::new(events.clone()));
        let destinations = Destinations { client: events.0.client.clone(), clock: events.0.clock.clone() };
        events.0.delivery.register(destination::OWNER, Arc::new(destinations));
        events
    }

    /// Durable when it returns.
    pub async fn accept(&self, target: &Target, invocation: Invocation) -> Result<(), ApiError> {
        let event = Event::new(target, invocation, self.0.clock.now_ms());
        self.0.delivery.send(vec![self.task(&event)]).await
    }

    /// What never ran because it was part of a loop, or could not be: its end is the same as of one that failed.
    pub async fn refuse(
        &self,
        target: &Target,
        invocation: Invocation,
        condition: &'static str,
    ) -> Result<(), ApiError> {
        let event = Event::new(target, invocation, self.0.clock.now_ms());
        let ended = Ended { condition, outcome: None, error: Some(condition.to_owned()), status: 400 };
        let tasks = self.end(&event, &ended).await?;
        self.0.delivery.send(tasks).await
    }

    fn task(&self, event: &Event) -> NewTask {
        let target = Target { qualifier: None, ..event.target.clone() };
        NewTask { owner: OWNER, lane: target.arn(), due_ms: self.0.clock.now_ms(), body: event.encode() }
    }

    async fn attempt(&self, event: &mut Event) -> Result<Next, ApiError> {
        let settings = self.settings(event).await?;
        let now_ms = self.0.clock.now_ms();
        let age_ms_max = u64::from(settings.age_s_max.unwrap_or(AGE_S_DEFAULT)) * 1000;
        if now_ms.saturating_sub(event.accepted_ms) > age_ms_max {
            let ended = Ended { condition: "EventAgeExceeded", outcome: None, error: None, status: 200 };
            return self.end(event, &ended).await.map(Next::Replace);
        }
        let outcome = self.0.invoker.invoke(&event.target, &Access::Authorised, event.invocation()).await;
        let now_ms = self.0.clock.now_ms();
        match outcome {
            Ok(outcome) if outcome.function_error.is_none() => {
                event.attempts += 1;
                let ended = Ended { condition: "Success", outcome: Some(outcome), error: None, status: 200 };
                self.end(event, &ended).await.map(Next::Replace)
            }
            Ok(outcome) => {
                event.attempts += 1;
                let retries = settings.retries_max.unwrap_or(RETRIES_DEFAULT);
                if event.attempts > retries {
                    let error = message_of(&outcome);
                    let ended = Ended {
                        condition: "RetriesExhausted",
                        outcome: Some(outcome),
                        error: Some(error),
                        status: 200,
                    };
                    return self.end(event, &ended).await.map(Next::Replace);
                }
                event.backoffs = 0;
                let wait_ms = self.0.retry_ms[(event.attempts as usize - 1).min(1)];
                Ok(Next::Retry { due_ms: now_ms + wait_ms, body: Some(event.encode()) })
            }
            Err(InvokeError::NotFound { .. }) => {
                tracing::debug!(function = event.target.name, "an event of a function that is gone");
                Ok(Next::Done)
            }
            Err(InvokeError::TooLarge { .. } | InvokeError::Tenant { .. } | InvokeError::AccessDenied { .. }) => {
                let ended = Ended { condition: "RetriesExhausted", outcome: None, error: None, status: 400 };
                self.end(event, &ended).await.map(Next::Replace)
            }
            Err(error) => {
                tracing::debug!(function = event.target.name, %error, "an event waits");
                let wait_ms = (BACKOFF_MS << event.backoffs.min(16)).min(BACKOFF_MS_MAX);
                event.backoffs += 1;
                // No later than the moment at which it is too old: its end is due then.
                let too_old_ms = event.accepted_ms + age_ms_max + 1;
                let due_ms = (now_ms + wait_ms).min(too_old_ms.max(now_ms + BACKOFF_MS));
                Ok(Next::Retry { due_ms, body: Some(event.encode()) })
            }
        }
    }

    async fn settings(&self, event: &Event) -> Result<EventInvoke, ApiError> {
        let found = self.0.functions.require(&named(&event.target)).await;
        match found {
            Ok(known) => Ok(known.attached().event_invoke.clone().unwrap_or_default()),
            Err(error) if error.status == 404 => Ok(EventInvoke::default()),
            Err(error) => Err(error),
        }
    }

    /// What is to be sent because an event has ended.
    async fn end(&self, event: &Event, ended: &Ended) -> Result<Vec<NewTask>, ApiError> {
        let settings = self.settings(event).await?;
        let function = self.function(event, ended).await?;
        let Some(function) = function else { return Ok(Vec::new()) };
        let is_success = ended.condition == "Success";
        let destination = if is_success { &settings.on_success } else { &settings.on_failure };
        let now_ms = self.0.clock.now_ms();
        let mut tasks = Vec::new();
        if let Some(arn) = destination {
            let record = record(event, ended, &function, now_ms);
            tasks.push(destination::of_record(event, &function, arn, is_success, record, now_ms));
        }
        if let (Some(arn), false) = (&function.dead_letter, is_success) {
            tasks.push(destination::of_dead_letter(event, ended, &function, arn, now_ms));
        }
        Ok(tasks)
    }

    /// The version that ran, or would have.
    async fn function(&self, event: &Event, ended: &Ended) -> Result<Option<Function>, ApiError> {
        let mut named = named(&event.target);
        if let Some(outcome) = &ended.outcome {
            named.qualifier = Some(outcome.executed_version.clone());
        }
        match self.0.functions.function(&named).await {
            Ok(function) => Ok(Some(function)),
            Err(error) if error.status == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn named(target: &Target) -> Named {
    Named {
        account: target.account.clone(),
        region: target.region.clone(),
        name: target.name.clone(),
        qualifier: target.qualifier.clone(),
    }
}

fn message_of(outcome: &Outcome) -> String {
    let object: serde_json::Value = serde_json::from_slice(&outcome.payload).unwrap_or_default();
    object["errorMessage"]
        .as_str()
        .map_or_else(|| String::from_utf8_lossy(&outcome.payload).into_owned(), str::to_owned)
}

#[async_trait]
impl Handler for Events {
    fn lane(&self, _: &str) -> Lane {
        Lane { concurrency: limits::FUNCTION_EVENTS_CONCURRENCY, is_ordered: false }
    }

    async fn handle(&self, task: Task) -> Next {
        let Some(mut event) = Event::decode(&task.body) else {
            tracing::error!(lane = task.lane, "an event that cannot be read is let go");
            return Next::Done;
        };
        match self.attempt(&mut event).await {
            Ok(next) => next,
            Err(error) => {
                tracing::error!(lane = task.lane, %error, "an event could not be carried out; it is tried again");
                Next::Retry { due_ms: self.0.clock.now_ms() + BACKOFF_MS, body: None }
            }
        }
    }
}

/// An event's body may be any JSON; what is not is shown as text.
fn json_of(payload: &Bytes) -> serde_json::Value {
    serde_json::from_slice(payload).unwrap_or_else(|_| String::from_utf8_lossy(payload).into_owned().into())
}

#[cfg(test)]
mod tests;
