//! Where the ends of events go: a function, queue, topic, bus or bucket as a destination, a queue or topic as the place of
//! dead letters, under the function's role. A delivery is a task of its own, tried again while its target is only busy.

use std::sync::Arc;

use async_trait::async_trait;
use cumulet_base::clock::Clock;
use cumulet_delivery::target::{Parcel, deliver, is_worth_another};
use cumulet_delivery::{Handler, NewTask, Next, Task};
use cumulet_wire::auth::Caller;
use cumulet_wire::call::Context;
use cumulet_wire::client::Client;
use cumulet_wire::error::ApiError;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::event::{Ended, Event};
use crate::bucket;
use crate::model::Function;

pub const OWNER: &str = "lambda-destination";
const FORMAT: u8 = 1;
const ATTEMPTS_MAX: u32 = 12;
const BACKOFF_MS: u64 = 1_000;
const BACKOFF_MS_MAX: u64 = 300_000;
/// Of an error's message in a dead letter.
const ERROR_BYTES_MAX: usize = 1024;

/// A delivery as it is stored.
#[derive(Serialize, Deserialize)]
struct Letter {
    v: u8,
    role: String,
    function: String,
    function_arn: String,
    arn: String,
    payload: String,
    trace: String,
    attributes: Option<Value>,
    detail_type: String,
}

fn task(function: &Function, arn: &str, letter: &Letter, now_ms: u64) -> NewTask {
    let body = serde_json::to_vec(letter).expect("texts have a JSON form");
    NewTask { owner: OWNER, lane: format!("{} {arn}", function.arn()), due_ms: now_ms, body: body.into() }
}

pub fn of_record(
    event: &Event,
    function: &Function,
    arn: &str,
    is_success: bool,
    record: Value,
    now_ms: u64,
) -> NewTask {
    let end = if is_success { "Success" } else { "Failure" };
    let letter = Letter {
        v: FORMAT,
        role: function.role.clone(),
        function: function.name.clone(),
        function_arn: format!("{}:{}", function.arn(), function.version),
        arn: arn.to_owned(),
        payload: record.to_string(),
        trace: event.trace.clone(),
        attributes: None,
        detail_type: format!("Lambda Function Invocation Result - {end}"),
    };
    task(function, arn, &letter, now_ms)
}

/// The event as it came, with attributes that tell why
/// (<https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html#invocation-dlq>).
pub fn of_dead_letter(event: &Event, ended: &Ended, function: &Function, arn: &str, now_ms: u64) -> NewTask {
    let error = ended.error.as_deref().unwrap_or(ended.condition);
    let error = &error[..error.floor_char_boundary(ERROR_BYTES_MAX)];
    let text = |kind: &str, value: &str| json!({"DataType": kind, "StringValue": value});
    let mut attributes = json!({
        "RequestID": text("String", &event.request_id),
        "ErrorCode": text("Number", &ended.status.to_string()),
    });
    if !error.is_empty() {
        attributes["ErrorMessage"] = text("String", error);
    }
    let letter = Letter {
        v: FORMAT,
        role: function.role.clone(),
        function: function.name.clone(),
        function_arn: function.arn(),
        arn: arn.to_owned(),
        payload: String::from_utf8_lossy(&event.payload).into_owned(),
        trace: event.trace.clone(),
        attributes: Some(attributes),
        detail_type: String::new(),
    };
    task(function, arn, &letter, now_ms)
}

/// Carries deliveries out.
pub struct Destinations {
    pub client: Client,
    pub clock: Arc<dyn Clock>,
}

impl Destinations {
    async fn send(&self, letter: &Letter) -> Result<(), ApiError> {
        let caller = Caller::role(&letter.role, &letter.function)
            .ok_or_else(|| ApiError::new(400, "InvalidParameterValue", "The function's role is not one."))?;
        if let Some(bucket) = bucket::of(&letter.arn) {
            return self.put(letter, &caller, &bucket).await;
        }
        let parcel = Parcel {
            payload: letter.payload.clone().into(),
            trace: Some(letter.trace.clone()),
            attributes: letter.attributes.clone(),
            event: Some(("lambda".to_owned(), letter.detail_type.clone())),
            resources: vec![letter.function_arn.clone(), letter.arn.clone()],
            ..Parcel::default()
        };
        deliver(&self.client, &caller, &letter.arn, &parcel).await.map(|_| ())
    }

    async fn put(&self, letter: &Letter, caller: &Caller, bucket: &str) -> Result<(), ApiError> {
        let stamp = bucket::stamp(self.clock.now_ms());
        let folder = stamp[..10].replace('-', "/");
        let key = format!("aws/lambda/async/{}/{folder}/{stamp}", letter.function);
        let region = letter.function_arn.split(':').nth(3).unwrap_or_default();
        let context = Context { trace: Some(letter.trace.clone()), ..Client::context(caller, region) };
        bucket::put(&self.client, context, bucket, &key, letter.payload.clone().into()).await
    }
}

#[async_trait]
impl Handler for Destinations {
    async fn handle(&self, task: Task) -> Next {
        let letter: Letter = match serde_json::from_slice(&task.body) {
            Ok(letter) => letter,
            Err(error) => {
                tracing::error!(lane = task.lane, %error, "a delivery that cannot be read is let go");
                return Next::Done;
            }
        };
        match self.send(&letter).await {
            Ok(()) => Next::Done,
            Err(error) if is_worth_another(&error) && task.attempts < ATTEMPTS_MAX => {
                let wait_ms = (BACKOFF_MS << task.attempts.min(16)).min(BACKOFF_MS_MAX);
                Next::Retry { due_ms: self.clock.now_ms() + wait_ms, body: None }
            }
            Err(error) => {
                // As on AWS, where a metric counts it.
                tracing::warn!(function = letter.function, target = letter.arn, %error, "the end of an event was not delivered");
                Next::Done
            }
        }
    }
}
