//! Amazon SQS: standard queues, with messages in the order of the time they become visible.
//! Deliberately absent: FIFO queues, permissions, redrive tasks, encryption by KMS, the Query protocol.

mod attributes;
mod digest;
mod errors;
#[doc(hidden)]
pub mod fuzz;
mod input;
mod model;
mod operations;
mod storage;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use cumulet_base::clock::Clock;
use cumulet_store::Store;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::operation::{Operation, Protocol, Service, ServiceModel};

use storage::Storage;

#[rustfmt::skip]
const OPERATIONS: &[Operation] = &[
    Operation::rpc("CreateQueue"),
    Operation::rpc("GetQueueUrl"),
    Operation::rpc("ListQueues"),
    Operation::rpc("ListDeadLetterSourceQueues"),
    Operation::rpc("DeleteQueue"),
    Operation::rpc("PurgeQueue"),
    Operation::rpc("GetQueueAttributes"),
    Operation::rpc("SetQueueAttributes"),
    Operation::rpc("TagQueue"),
    Operation::rpc("UntagQueue"),
    Operation::rpc("ListQueueTags"),
    Operation::rpc("SendMessage"),
    Operation::rpc("SendMessageBatch").action("sqs:SendMessage"),
    Operation::rpc("ReceiveMessage"),
    Operation::rpc("DeleteMessage"),
    Operation::rpc("DeleteMessageBatch").action("sqs:DeleteMessage"),
    Operation::rpc("ChangeMessageVisibility"),
    Operation::rpc("ChangeMessageVisibilityBatch").action("sqs:ChangeMessageVisibility"),
];

const ABSENT: &[Operation] = &[
    Operation::rpc("AddPermission"),
    Operation::rpc("RemovePermission"),
    Operation::rpc("StartMessageMoveTask"),
    Operation::rpc("ListMessageMoveTasks"),
    Operation::rpc("CancelMessageMoveTask"),
];

pub const MODEL: ServiceModel = ServiceModel {
    name: "sqs",
    protocol: Protocol::Json10,
    target: "AmazonSQS",
    xmlns: "http://queue.amazonaws.com/doc/2012-11-05/",
    operations: OPERATIONS,
    absent: ABSENT,
};

/// What the process knows of a queue besides what is stored: who waits, and what is being handed out.
#[derive(Default)]
struct Lane {
    arrived: tokio::sync::Notify,
    /// One receiver at a time chooses; the commit of its choice goes on beside the next one's.
    choosing: tokio::sync::Mutex<()>,
    claimed: Mutex<HashSet<u64>>,
}

pub struct Sqs {
    storage: Storage,
    clock: Arc<dyn Clock>,
    lanes: Mutex<HashMap<String, Arc<Lane>>>,
}

impl Sqs {
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Sqs {
        Sqs { storage: Storage::new(store), clock, lanes: Mutex::default() }
    }

    fn lane(&self, queue: &model::Queue) -> Arc<Lane> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.entry(queue.id.clone()).or_default().clone()
    }

    fn forget(&self, queue: &model::Queue) {
        let lane = self.lanes.lock().unwrap_or_else(PoisonError::into_inner).remove(&queue.id);
        if let Some(lane) = lane {
            lane.arrived.notify_waiters();
        }
    }
}

#[async_trait]
impl Service for Sqs {
    fn model(&self) -> &'static ServiceModel {
        &MODEL
    }

    fn resource(&self, call: &Call) -> String {
        let named = input::text(&call.input, "QueueName").map(|name| input::here(call, name));
        named.or_else(|| input::place(call).ok()).map_or_else(|| "*".to_owned(), |place| place.arn())
    }

    async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        use operations::{queues, receive, send, settle, tags};
        match call.operation.name {
            "CreateQueue" => queues::create(self, &call).await,
            "GetQueueUrl" => queues::url(self, &call).await,
            "ListQueues" => queues::list(self, &call).await,
            "ListDeadLetterSourceQueues" => queues::list_sources(self, &call).await,
            "DeleteQueue" => queues::delete(self, &call).await,
            "PurgeQueue" => queues::purge(self, &call).await,
            "GetQueueAttributes" => queues::attributes(self, &call).await,
            "SetQueueAttributes" => queues::set_attributes(self, &call).await,
            "TagQueue" => tags::tag(self, &call).await,
            "UntagQueue" => tags::untag(self, &call).await,
            "ListQueueTags" => tags::list(self, &call).await,
            "SendMessage" => send::one(self, &call).await,
            "SendMessageBatch" => send::batch(self, &call).await,
            "ReceiveMessage" => receive::run(self, &call).await,
            "DeleteMessage" => settle::delete(self, &call).await,
            "DeleteMessageBatch" => settle::delete_batch(self, &call).await,
            "ChangeMessageVisibility" => settle::change(self, &call).await,
            "ChangeMessageVisibilityBatch" => settle::change_batch(self, &call).await,
            other => Err(ApiError::not_implemented("sqs", other)),
        }
    }
}

#[cfg(test)]
mod tests;
