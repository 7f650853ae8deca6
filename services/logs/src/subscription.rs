//! Subscriptions: events that match are handed to functions in CloudWatch Logs' compressed form
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html>). The tasks are part of the
//! transaction that stores the events.

use std::io::Write;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cumulet_base::arn::Arn;
use cumulet_base::clock::Clock;
use cumulet_base::id;
use cumulet_delivery::retry::{RetryPolicy, Verdict};
use cumulet_delivery::target::{self, Parcel};
use cumulet_delivery::{Handler, NewTask, Next, Task};
use cumulet_wire::auth::Caller;
use cumulet_wire::client::Client;
use cumulet_wire::error::ApiError;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::model::{Chunk, FORMAT, Place, Position, Subscription};
use crate::pattern::Pattern;

pub const OWNER: &str = "logs-subscription";
pub const PRINCIPAL: &str = "logs.amazonaws.com";

pub struct Deliver {
    pub client: Client,
    pub clock: Arc<dyn Clock>,
}

/// Events of one stream on their way to one function.
#[derive(Debug, Serialize, Deserialize)]
struct Batch {
    v: u8,
    account: String,
    region: String,
    group: String,
    stream: String,
    filter: String,
    destination: String,
    /// Id, time in milliseconds and message.
    events: Vec<(String, u64, String)>,
}

pub fn group_arn(place: &Place) -> String {
    Arn::new("logs", &place.region, &place.account, format!("log-group:{}:*", place.group)).to_string()
}

/// What a chunk of events leads to.
pub fn tasks(
    place: &Place,
    subscriptions: &[Subscription],
    chunk: &Chunk,
    sequence: u64,
) -> Result<Vec<NewTask>, ApiError> {
    let mut tasks = Vec::new();
    for subscription in subscriptions {
        // What was accepted can be read; otherwise nothing matches.
        let Ok(pattern) = Pattern::parse(&subscription.pattern) else { continue };
        let matching = chunk.events.iter().enumerate().filter(|(_, (_, message))| pattern.matches(message));
        let events: Vec<(String, u64, String)> = matching
            .map(|(index, (timestamp_ms, message))| {
                let index = u32::try_from(index).unwrap_or(u32::MAX);
                let position = Position { timestamp_ms: *timestamp_ms, sequence, index };
                (position.text(), *timestamp_ms, message.clone())
            })
            .collect();
        if events.is_empty() {
            continue;
        }
        let batch = Batch {
            v: FORMAT,
            account: place.account.clone(),
            region: place.region.clone(),
            group: place.group.clone(),
            stream: chunk.stream.clone(),
            filter: subscription.name.clone(),
            destination: subscription.destination_arn.clone(),
            events,
        };
        let body = serde_json::to_vec(&batch).map_err(|e| ApiError::internal(format!("writing a task: {e}")))?;
        let lane = format!("{}/{}/{}/{}", place.account, place.region, place.group, subscription.name);
        tasks.push(NewTask { owner: OWNER, lane, due_ms: 0, body: body.into() });
    }
    Ok(tasks)
}

impl Batch {
    /// `{"awslogs": {"data": …}}`, with the base64 of what gzip made of the message.
    fn payload(&self) -> std::io::Result<String> {
        let event = |(id, timestamp, message): &(String, u64, String)| json!({"id": id, "timestamp": timestamp, "message": message});
        let message = json!({
            "messageType": "DATA_MESSAGE",
            "owner": self.account,
            "logGroup": self.group,
            "logStream": self.stream,
            "subscriptionFilters": [self.filter],
            "logEvents": self.events.iter().map(event).collect::<Vec<_>>(),
        });
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(message.to_string().as_bytes())?;
        Ok(json!({"awslogs": {"data": STANDARD.encode(gzip.finish()?)}}).to_string())
    }
}

#[async_trait]
impl Handler for Deliver {
    async fn handle(&self, task: Task) -> Next {
        let Ok(batch) = serde_json::from_slice::<Batch>(&task.body) else {
            tracing::error!(lane = task.lane, "events of a subscription cannot be read and are dropped");
            return Next::Done;
        };
        let place = Place { account: batch.account.clone(), region: batch.region.clone(), group: batch.group.clone() };
        let caller = Caller::service(&place.account, PRINCIPAL, &group_arn(&place));
        let sent = match batch.payload() {
            Ok(payload) => target::deliver(&self.client, &caller, &batch.destination, &Parcel::new(payload)).await,
            Err(error) => Err(ApiError::internal(format!("compressing: {error}"))),
        };
        let Err(error) = sent else { return Next::Done };
        let jitter = u64::from_be_bytes(id::random());
        match RetryPolicy::default().decide(&error, task.attempts, task.created_ms, self.clock.now_ms(), jitter) {
            Verdict::Again { due_ms } => Next::Retry { due_ms, body: None },
            Verdict::Over { .. } => {
                let (filter, destination) = (&batch.filter, &batch.destination);
                tracing::warn!(group = place.group, filter, destination, %error, "events were not taken and are dropped");
                Next::Done
            }
        }
    }
}

#[cfg(test)]
#[path = "subscription_tests.rs"]
mod tests;
