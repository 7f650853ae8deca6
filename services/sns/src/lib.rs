//! Amazon SNS: topics, standard and FIFO; subscriptions of functions, queues and web endpoints; filter policies; retries and
//! dead letters. What is published is durable, with a task for each subscription that wants it, before the answer.
//! Deliberately absent: e-mail, text messages and mobile push, archives and replays of FIFO topics, data protection
//! policies, delivery logs, encryption by KMS (whose attribute is kept and shown), the rate of `throttlePolicy`.

mod absent;
mod deliver;
mod envelope;
mod errors;
mod filter;
#[doc(hidden)]
pub mod fuzz;
mod input;
mod model;
mod operations;
mod plane;
mod retry;
mod signing;
mod storage;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use cumulet_base::clock::Clock;
use cumulet_delivery::Delivery;
use cumulet_store::Store;
use cumulet_wire::auth::{Authorizer, Principal};
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::client::Client;
use cumulet_wire::error::ApiError;
use cumulet_wire::operation::{Operation, Protocol, Service, ServiceModel};
use cumulet_wire::policy;
use cumulet_wire::query::{Flat, Older};

use deliver::Courier;
pub use plane::Links;
use signing::Signer;
use storage::Storage;

#[rustfmt::skip]
const OPERATIONS: &[Operation] = &[
    Operation::rpc("CreateTopic"),
    Operation::rpc("DeleteTopic"),
    Operation::rpc("ListTopics"),
    Operation::rpc("GetTopicAttributes"),
    Operation::rpc("SetTopicAttributes"),
    Operation::rpc("AddPermission"),
    Operation::rpc("RemovePermission"),
    Operation::rpc("Subscribe"),
    Operation::rpc("ConfirmSubscription"),
    Operation::rpc("Unsubscribe"),
    Operation::rpc("ListSubscriptions"),
    Operation::rpc("ListSubscriptionsByTopic"),
    Operation::rpc("GetSubscriptionAttributes"),
    Operation::rpc("SetSubscriptionAttributes"),
    Operation::rpc("Publish"),
    Operation::rpc("PublishBatch").action("sns:Publish"),
    Operation::rpc("TagResource"),
    Operation::rpc("UntagResource"),
    Operation::rpc("ListTagsForResource"),
];

pub const MODEL: ServiceModel = ServiceModel {
    name: "sns",
    protocol: Protocol::Query,
    target: "",
    xmlns: "http://sns.amazonaws.com/doc/2010-03-31/",
    operations: OPERATIONS,
    absent: absent::ABSENT,
};

/// Who publishes for alarms.
const ALARMS: &str = "cloudwatch.amazonaws.com";

/// Maps are written as entries.
const FORMS: Older = Older {
    flat: &[Flat::list("entry", "entry")],
    silent: &[
        "AddPermission",
        "DeleteTopic",
        "RemovePermission",
        "SetSubscriptionAttributes",
        "SetTopicAttributes",
        "Unsubscribe",
    ],
    errors: &[],
    path_member: "",
    times: &[],
};

pub struct Sns {
    storage: Arc<Storage>,
    clock: Arc<dyn Clock>,
    delivery: Arc<Delivery>,
    signer: Arc<Signer>,
    /// FIFO topics being published to: one message after the other, so that their order is that of their numbers.
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<u64>>>>,
}

impl Sns {
    /// Messages on their way are tasks of `delivery`, which is not to be started before.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, delivery: Arc<Delivery>, client: Client) -> Sns {
        let storage = Arc::new(Storage::new(store));
        let signer = Arc::new(Signer::default());
        let courier = Courier { storage: storage.clone(), signer: signer.clone(), clock: clock.clone(), client };
        delivery.register(deliver::OWNER, Arc::new(courier));
        Sns { storage, clock, delivery, signer, turns: Mutex::default() }
    }

    /// What the links in messages lead to.
    pub fn links(&self) -> Links {
        Links { storage: self.storage.clone(), signer: self.signer.clone() }
    }

    fn turn(&self, topic: &model::Place) -> Arc<tokio::sync::Mutex<u64>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.entry(topic.arn()).or_default().clone()
    }
}

#[async_trait]
impl Service for Sns {
    fn model(&self) -> &'static ServiceModel {
        &MODEL
    }

    fn older(&self) -> Option<&'static Older> {
        Some(&FORMS)
    }

    async fn authorize(&self, authorizer: &dyn Authorizer, call: &Call) -> Result<(), ApiError> {
        let action = call.operation.action_of(&MODEL);
        let place = input::place_of(call);
        let topic = match &place {
            Some(place) => self.storage.find(place).await?.map(|(topic, _)| topic),
            None => None,
        };
        let given = topic.as_ref().and_then(|topic| topic.attributes.get("Policy")).map(String::as_str);
        // Alarms are told apart by their account, which the policy that topics are made with asks for.
        let is_alarm = matches!(&call.context.caller.kind, Principal::Service { name, .. } if name == ALARMS);
        let own = place.as_ref().filter(|_| is_alarm && given.is_none() && topic.is_some());
        let own = own.map(|place| operations::topics::default_policy(place).to_string());
        let document = given.or(own.as_deref());
        let resource = place.map_or_else(|| "*".to_owned(), |place| place.arn());
        let asked = policy::guard(authorizer, &call.context.caller, &action, &resource, document).await;
        asked.map_err(|error| match error.code.as_str() {
            "AccessDeniedException" => errors::not_authorized(&error.message),
            _ => error,
        })
    }

    async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        use operations::{permissions, publish, subscriptions, tags, topics};
        match call.operation.name {
            "CreateTopic" => topics::create(self, &call).await,
            "DeleteTopic" => topics::delete(self, &call).await,
            "ListTopics" => topics::list(self, &call).await,
            "GetTopicAttributes" => topics::attributes(self, &call).await,
            "SetTopicAttributes" => topics::set_attributes(self, &call).await,
            "AddPermission" => permissions::add(self, &call).await,
            "RemovePermission" => permissions::remove(self, &call).await,
            "Subscribe" => subscriptions::subscribe(self, &call).await,
            "ConfirmSubscription" => subscriptions::confirm(self, &call).await,
            "Unsubscribe" => subscriptions::unsubscribe(self, &call).await,
            "ListSubscriptions" => subscriptions::list(self, &call).await,
            "ListSubscriptionsByTopic" => subscriptions::list_by_topic(self, &call).await,
            "GetSubscriptionAttributes" => subscriptions::attributes(self, &call).await,
            "SetSubscriptionAttributes" => subscriptions::set_attributes(self, &call).await,
            "Publish" => publish::one(self, &call).await,
            "PublishBatch" => publish::batch(self, &call).await,
            "TagResource" => tags::tag(self, &call).await,
            "UntagResource" => tags::untag(self, &call).await,
            "ListTagsForResource" => tags::list(self, &call).await,
            other => Err(ApiError::not_implemented("sns", other)),
        }
    }
}

#[cfg(test)]
mod tests;
