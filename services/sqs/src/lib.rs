//! Amazon SQS over both of its protocols: standard queues, with messages in the order of the time they become visible as far
//! as no message group takes more than its share, and FIFO queues, whose message groups are received in turn.
//! Deliberately absent: encryption by KMS (its attributes are kept and shown), the pause after a queue was deleted.

mod attributes;
mod digest;
mod errors;
#[doc(hidden)]
pub mod fuzz;
mod input;
mod jobs;
mod lanes;
mod model;
mod operations;
mod storage;
mod tenants;

use std::sync::Arc;

use async_trait::async_trait;
use cumulet_base::clock::Clock;
use cumulet_delivery::Delivery;
use cumulet_store::Store;
use cumulet_wire::auth::Authorizer;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::operation::{Operation, Protocol, Service, ServiceModel};
use cumulet_wire::policy;
use cumulet_wire::query::{Flat, Older};

use jobs::Jobs;
use lanes::{Lane, Lanes};
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
    absent: &[],
};

/// How the older query protocol calls things
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/Welcome.html>).
const OLDER: Older = Older {
    flat: &[
        Flat::list("AWSAccountId", "AWSAccountIds"),
        Flat::list("ActionName", "Actions"),
        Flat::list("AttributeName", "AttributeNames"),
        Flat::list("MessageAttributeName", "MessageAttributeNames"),
        Flat::list("MessageSystemAttributeName", "MessageSystemAttributeNames"),
        Flat::list("TagKey", "TagKeys"),
        Flat::list("*RequestEntry", "Entries"),
        Flat::list("*ResultEntry", "Successful"),
        Flat::list("BatchResultErrorEntry", "Failed"),
        Flat::list("Message", "Messages"),
        Flat::list("QueueUrl", "QueueUrls"),
        Flat::list("QueueUrl", "queueUrls"),
        Flat::list("ListMessageMoveTasksResultEntry", "Results"),
        Flat::map("Attribute", "Attributes", "Name", "Value"),
        Flat::map("MessageAttribute", "MessageAttributes", "Name", "Value"),
        Flat::map("MessageSystemAttribute", "MessageSystemAttributes", "Name", "Value"),
        Flat::map("Tag", "Tags", "Key", "Value"),
    ],
    silent: &[
        "AddPermission",
        "ChangeMessageVisibility",
        "DeleteMessage",
        "DeleteQueue",
        "PurgeQueue",
        "RemovePermission",
        "SetQueueAttributes",
        "TagQueue",
        "UntagQueue",
    ],
    errors: errors::OLDER,
    path_member: "QueueUrl",
    times: &[],
};

pub struct Sqs {
    storage: Arc<Storage>,
    clock: Arc<dyn Clock>,
    delivery: Arc<Delivery>,
    lanes: Arc<Lanes>,
}

impl Sqs {
    /// What it does in the background is a task of `delivery`, which is not to be started before.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, delivery: Arc<Delivery>) -> Sqs {
        let storage = Arc::new(Storage::new(store));
        let lanes = Arc::new(Lanes::default());
        delivery.register(jobs::OWNER, Arc::new(Jobs::new(storage.clone(), clock.clone(), lanes.clone())));
        Sqs { storage, clock, delivery, lanes }
    }

    fn lane(&self, queue: &model::Queue) -> Arc<Lane> {
        self.lanes.of(queue)
    }
}

#[async_trait]
impl Service for Sqs {
    fn model(&self) -> &'static ServiceModel {
        &MODEL
    }

    fn older(&self) -> Option<&'static Older> {
        Some(&OLDER)
    }

    async fn authorize(&self, authorizer: &dyn Authorizer, call: &Call) -> Result<(), ApiError> {
        let action = call.operation.action_of(&MODEL);
        let place = input::place_of(call);
        let queue = match &place {
            Some(place) => self.storage.find(place).await?.map(|(queue, _)| queue),
            None => None,
        };
        let document = queue.as_ref().and_then(|queue| queue.attributes.get("Policy")).map(String::as_str);
        let resource = place.map_or_else(|| "*".to_owned(), |place| place.arn());
        policy::guard(authorizer, &call.context.caller, &action, &resource, document).await
    }

    async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        use operations::{moves, permissions, queues, receive, send, settle, tags};
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
            "AddPermission" => permissions::add(self, &call).await,
            "RemovePermission" => permissions::remove(self, &call).await,
            "StartMessageMoveTask" => moves::start(self, &call).await,
            "ListMessageMoveTasks" => moves::list(self, &call).await,
            "CancelMessageMoveTask" => moves::cancel(self, &call).await,
            other => Err(ApiError::not_implemented("sqs", other)),
        }
    }
}

#[cfg(test)]
mod tests;
