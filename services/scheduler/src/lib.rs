//! Amazon EventBridge Scheduler: schedules and their groups, called on time under a role. A schedule is one tick in the
//! store, in the lane of its group in the order it is due: a million of them cost no scan.
//! Deliberately absent: targets of services that this cloud does not have, encryption by KMS (which is taken and has no
//! effect), inputs beyond 48 KiB.

mod call;
mod core;
mod errors;
#[doc(hidden)]
pub mod fuzz;
mod input;
mod model;
mod operations;
mod storage;
mod tick;
mod universal;

use std::sync::Arc;

use async_trait::async_trait;
use cumulet_base::clock::Clock;
use cumulet_delivery::Delivery;
use cumulet_store::Store;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::client::Client;
use cumulet_wire::error::ApiError;
use cumulet_wire::operation::{Operation, Protocol, Service, ServiceModel};

use crate::core::Core;
use model::DEFAULT;
use storage::Storage;

#[rustfmt::skip]
const OPERATIONS: &[Operation] = &[
    Operation::rest("CreateSchedule", "POST", "/schedules/{Name}", 200),
    Operation::rest("GetSchedule", "GET", "/schedules/{Name}", 200).query(&[("groupName", "GroupName")]),
    Operation::rest("UpdateSchedule", "PUT", "/schedules/{Name}", 200),
    Operation::rest("DeleteSchedule", "DELETE", "/schedules/{Name}", 200)
        .query(&[("clientToken", "ClientToken"), ("groupName", "GroupName")]),
    Operation::rest("ListSchedules", "GET", "/schedules", 200).query(&[
        ("ScheduleGroup", "GroupName"),
        ("MaxResults", "MaxResults"),
        ("NamePrefix", "NamePrefix"),
        ("NextToken", "NextToken"),
        ("State", "State"),
    ]),
    Operation::rest("CreateScheduleGroup", "POST", "/schedule-groups/{Name}", 200),
    Operation::rest("GetScheduleGroup", "GET", "/schedule-groups/{Name}", 200),
    Operation::rest("DeleteScheduleGroup", "DELETE", "/schedule-groups/{Name}", 200)
        .query(&[("clientToken", "ClientToken")]),
    Operation::rest("ListScheduleGroups", "GET", "/schedule-groups", 200)
        .query(&[("MaxResults", "MaxResults"), ("NamePrefix", "NamePrefix"), ("NextToken", "NextToken")]),
    Operation::rest("TagResource", "POST", "/tags/{ResourceArn+}", 200),
    Operation::rest("UntagResource", "DELETE", "/tags/{ResourceArn+}", 200).query(&[("TagKeys", "TagKeys[]")]),
    Operation::rest("ListTagsForResource", "GET", "/tags/{ResourceArn+}", 200),
];

pub const MODEL: ServiceModel = ServiceModel {
    name: "scheduler",
    protocol: Protocol::RestJson,
    target: "",
    xmlns: "",
    operations: OPERATIONS,
    absent: &[],
};

pub struct Scheduler {
    core: Arc<Core>,
}

impl Scheduler {
    /// To be made before `delivery` is started: it wakes the schedules up.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, client: Client, delivery: Arc<Delivery>) -> Scheduler {
        let core = Arc::new(Core { storage: Storage::new(store), clock, client, delivery });
        core.delivery.register(core::TICK, Arc::new(tick::Ticks(core.clone())));
        core.delivery.register(core::CALL, Arc::new(call::Calls(core.clone())));
        core.delivery.register(core::CLEAR, Arc::new(tick::Clearing(core.clone())));
        Scheduler { core }
    }
}

#[async_trait]
impl Service for Scheduler {
    fn model(&self) -> &'static ServiceModel {
        &MODEL
    }

    fn resource(&self, call: &Call) -> String {
        let text = |member: &str| input::text(&call.input, member);
        let place = input::here(call);
        match (call.operation.name, text("Name")) {
            ("ListSchedules", _) => place.schedule_arn(text("GroupName").unwrap_or("*"), "*"),
            (name, Some(named)) if name.ends_with("Group") => place.group_arn(named),
            (_, Some(named)) => place.schedule_arn(text("GroupName").unwrap_or(DEFAULT), named),
            (_, None) => text("ResourceArn").map_or_else(|| place.group_arn("*"), str::to_owned),
        }
    }

    async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        use operations::{groups, schedules, tags};
        match call.operation.name {
            "CreateSchedule" => schedules::create(self, &call).await,
            "GetSchedule" => schedules::get(self, &call).await,
            "UpdateSchedule" => schedules::update(self, &call).await,
            "DeleteSchedule" => schedules::delete(self, &call).await,
            "ListSchedules" => schedules::list(self, &call).await,
            "CreateScheduleGroup" => groups::create(self, &call).await,
            "GetScheduleGroup" => groups::get(self, &call).await,
            "DeleteScheduleGroup" => groups::delete(self, &call).await,
            "ListScheduleGroups" => groups::list(self, &call).await,
            "TagResource" => tags::tag(self, &call).await,
            "UntagResource" => tags::untag(self, &call).await,
            "ListTagsForResource" => tags::list(self, &call).await,
            other => Err(ApiError::not_implemented("scheduler", other)),
        }
    }
}

#[cfg(test)]
mod tests;
