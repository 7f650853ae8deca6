//! Amazon EventBridge: buses, rules with patterns and schedules, targets, archives and replays, connections and API
//! destinations. What is accepted is durable together with a task for each target it goes to, before the answer.
//! Deliberately absent: partner event sources, global endpoints, schema discovery, pipes, targets of services that this
//! cloud does not have, encryption by KMS (which is taken and has no effect).

mod core;
mod deliver;
mod destination;
mod envelope;
mod errors;
#[doc(hidden)]
pub mod fuzz;
mod input;
mod model;
mod operations;
mod path;
mod replay;
mod route;
mod storage;
mod tick;
mod transform;

use std::collections::BTreeSet;
use std::sync::Arc;

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
use serde_json::Value;

use crate::core::Core;
use storage::Storage;

#[rustfmt::skip]
const OPERATIONS: &[Operation] = &[
    Operation::rpc("CreateEventBus"),
    Operation::rpc("DescribeEventBus"),
    Operation::rpc("UpdateEventBus"),
    Operation::rpc("ListEventBuses"),
    Operation::rpc("DeleteEventBus"),
    Operation::rpc("PutPermission"),
    Operation::rpc("RemovePermission"),
    Operation::rpc("PutRule"),
    Operation::rpc("DescribeRule"),
    Operation::rpc("ListRules"),
    Operation::rpc("ListRuleNamesByTarget"),
    Operation::rpc("EnableRule"),
    Operation::rpc("DisableRule"),
    Operation::rpc("DeleteRule"),
    Operation::rpc("PutTargets"),
    Operation::rpc("ListTargetsByRule"),
    Operation::rpc("RemoveTargets"),
    Operation::rpc("PutEvents"),
    Operation::rpc("TestEventPattern"),
    Operation::rpc("CreateArchive"),
    Operation::rpc("DescribeArchive"),
    Operation::rpc("UpdateArchive"),
    Operation::rpc("ListArchives"),
    Operation::rpc("DeleteArchive"),
    Operation::rpc("StartReplay"),
    Operation::rpc("DescribeReplay"),
    Operation::rpc("ListReplays"),
    Operation::rpc("CancelReplay"),
    Operation::rpc("CreateConnection"),
    Operation::rpc("DescribeConnection"),
    Operation::rpc("UpdateConnection"),
    Operation::rpc("DeauthorizeConnection"),
    Operation::rpc("ListConnections"),
    Operation::rpc("DeleteConnection"),
    Operation::rpc("CreateApiDestination"),
    Operation::rpc("DescribeApiDestination"),
    Operation::rpc("UpdateApiDestination"),
    Operation::rpc("ListApiDestinations"),
    Operation::rpc("DeleteApiDestination"),
    Operation::rpc("TagResource"),
    Operation::rpc("UntagResource"),
    Operation::rpc("ListTagsForResource"),
];

const ABSENT: &[Operation] = &[
    Operation::rpc("ActivateEventSource"),
    Operation::rpc("CreateEndpoint"),
    Operation::rpc("CreatePartnerEventSource"),
    Operation::rpc("DeactivateEventSource"),
    Operation::rpc("DeleteEndpoint"),
    Operation::rpc("DeletePartnerEventSource"),
    Operation::rpc("DescribeEndpoint"),
    Operation::rpc("DescribeEventSource"),
    Operation::rpc("DescribePartnerEventSource"),
    Operation::rpc("ListEndpoints"),
    Operation::rpc("ListEventSources"),
    Operation::rpc("ListPartnerEventSourceAccounts"),
    Operation::rpc("ListPartnerEventSources"),
    Operation::rpc("PutPartnerEvents"),
    Operation::rpc("UpdateEndpoint"),
];

pub const MODEL: ServiceModel = ServiceModel {
    name: "events",
    protocol: Protocol::Json11,
    target: "AWSEvents",
    xmlns: "",
    operations: OPERATIONS,
    absent: ABSENT,
};

pub struct Events {
    core: Arc<Core>,
}

impl Events {
    /// To be made before `delivery` is started: it carries out what events lead to.
    /// `secret`: the installation's own; what authorises connections is encrypted with a key that follows from it.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        client: Client,
        delivery: Arc<Delivery>,
        secret: &[u8; 32],
    ) -> Events {
        let core = Arc::new(Core::new(Storage::new(store, secret), clock, client, delivery));
        core.delivery.register(core::DELIVER, Arc::new(deliver::Deliver(core.clone())));
        core.delivery.register(core::TICK, Arc::new(tick::Ticks(core.clone())));
        core.delivery.register(core::REPLAY, Arc::new(replay::Replays(core.clone())));
        core.delivery.register(core::EXPIRE, Arc::new(replay::Expiry(core.clone())));
        Events { core }
    }

    /// Each bus that entries are for, once.
    async fn authorize_put(&self, authorizer: &dyn Authorizer, call: &Call) -> Result<(), ApiError> {
        let entries = call.input.get("Entries").and_then(Value::as_array);
        let named: BTreeSet<Option<&str>> =
            entries.into_iter().flatten().map(|entry| entry["EventBusName"].as_str()).collect();
        let caller = &call.context.caller;
        for named in named {
            let (place, bus) = input::bus_of(&input::here(call), named)?;
            // Services put what happened in an account onto its buses, as a part of the cloud.
            if matches!(caller.kind, Principal::Service { .. }) && caller.account == place.account {
                continue;
            }
            let route = self.core.route(&place, &bus).await?;
            let document = route.as_ref().and_then(|route| route.bus.policy.as_deref());
            policy::guard(authorizer, caller, "events:PutEvents", &place.bus_arn(&bus), document).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Service for Events {
    fn model(&self) -> &'static ServiceModel {
        &MODEL
    }

    fn resource(&self, call: &Call) -> String {
        let text = |member: &str| input::text(&call.input, member);
        let here = input::here(call);
        let operation = call.operation.name;
        let bus = |member: &str| input::bus(call, member).unwrap_or_else(|_| (here.clone(), String::new()));
        if let Some(arn) = text("ResourceARN") {
            return arn.to_owned();
        }
        match operation {
            name if name.ends_with("EventBus") => {
                let (place, bus) = bus("Name");
                place.bus_arn(&bus)
            }
            "PutPermission" | "RemovePermission" => {
                let (place, bus) = bus("EventBusName");
                place.bus_arn(&bus)
            }
            name if name.contains("Rule") || name.contains("Targets") => match text("Rule").or(text("Name")) {
                Some(rule) => {
                    let (place, bus) = bus("EventBusName");
                    place.rule_arn(&bus, rule)
                }
                None => "*".to_owned(),
            },
            name if name.contains("Archive") => {
                text("ArchiveName").map_or_else(|| "*".to_owned(), |name| here.arn(&format!("archive/{name}")))
            }
            name if name.contains("Replay") => {
                text("ReplayName").map_or_else(|| "*".to_owned(), |name| here.arn(&format!("replay/{name}")))
            }
            name if name.ends_with("Connection") => {
                text("Name").map_or_else(|| "*".to_owned(), |name| here.arn(&format!("connection/{name}/*")))
            }
            name if name.ends_with("ApiDestination") => {
                text("Name").map_or_else(|| "*".to_owned(), |name| here.arn(&format!("api-destination/{name}/*")))
            }
            _ => "*".to_owned(),
        }
    }

    async fn authorize(&self, authorizer: &dyn Authorizer, call: &Call) -> Result<(), ApiError> {
        if call.operation.name == "PutEvents" {
            return self.authorize_put(authorizer, call).await;
        }
        let action = call.operation.action_of(&MODEL);
        authorizer.authorize(&call.context.caller, &action, &self.resource(call)).await
    }

    async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        use operations::{
            archives, buses, connections, destinations, permissions, put_events, replays, rules, tags, targets,
        };
        match call.operation.name {
            "CreateEventBus" => buses::create(self, &call).await,
            "DescribeEventBus" => buses::describe(self, &call).await,
            "UpdateEventBus" => buses::update(self, &call).await,
            "ListEventBuses" => buses::list(self, &call).await,
            "DeleteEventBus" => buses::delete(self, &call).await,
            "PutPermission" => permissions::put(self, &call).await,
            "RemovePermission" => permissions::remove(self, &call).await,
            "PutRule" => rules::put(self, &call).await,
            "DescribeRule" => rules::describe(self, &call).await,
            "ListRules" => rules::list(self, &call).await,
            "ListRuleNamesByTarget" => rules::list_names_by_target(self, &call).await,
            "EnableRule" => rules::enable(self, &call).await,
            "DisableRule" => rules::disable(self, &call).await,
            "DeleteRule" => rules::delete(self, &call).await,
            "PutTargets" => targets::put(self, &call).await,
            "ListTargetsByRule" => rules::list_targets(self, &call).await,
            "RemoveTargets" => targets::remove(self, &call).await,
            "PutEvents" => put_events::run(self, &call).await,
            "TestEventPattern" => rules::test_pattern(&call),
            "CreateArchive" => archives::create(self, &call).await,
            "DescribeArchive" => archives::describe(self, &call).await,
            "UpdateArchive" => archives::update(self, &call).await,
            "ListArchives" => archives::list(self, &call).await,
            "DeleteArchive" => archives::delete(self, &call).await,
            "StartReplay" => replays::start(self, &call).await,
            "DescribeReplay" => replays::describe(self, &call).await,
            "ListReplays" => replays::list(self, &call).await,
            "CancelReplay" => replays::cancel(self, &call).await,
            "CreateConnection" => connections::create(self, &call).await,
            "DescribeConnection" => connections::describe(self, &call).await,
            "UpdateConnection" => connections::update(self, &call).await,
            "DeauthorizeConnection" => connections::deauthorize(self, &call).await,
            "ListConnections" => connections::list(self, &call).await,
            "DeleteConnection" => connections::delete(self, &call).await,
            "CreateApiDestination" => destinations::create(self, &call).await,
            "DescribeApiDestination" => destinations::describe(self, &call).await,
            "UpdateApiDestination" => destinations::update(self, &call).await,
            "ListApiDestinations" => destinations::list(self, &call).await,
            "DeleteApiDestination" => destinations::delete(self, &call).await,
            "TagResource" => tags::tag(self, &call).await,
            "UntagResource" => tags::untag(self, &call).await,
            "ListTagsForResource" => tags::list(self, &call).await,
            other => Err(ApiError::not_implemented("events", other)),
        }
    }
}

#[cfg(test)]
mod tests;
