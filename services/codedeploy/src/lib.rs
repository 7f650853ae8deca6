//! AWS CodeDeploy for functions: the traffic of an alias shifted from one version to another at once, in two steps or in
//! many, with hooks before and after, and back again when a hook or an alarm says so. A deployment under way is one task of
//! `delivery`: it is woken when its next step is due, and goes on after a crash.
//! Deliberately absent: servers and containers, revisions in buckets or repositories, AppSpec files in YAML,
//! gates of deployment groups other than alarms.

mod absent;
mod errors;
mod model;
mod operations;
mod shift;
mod storage;
#[cfg(test)]
mod tests;
mod triggers;
mod work;

use std::sync::Arc;

use async_trait::async_trait;
use cumulet_base::clock::Clock;
use cumulet_delivery::Delivery;
use cumulet_delivery::notice::Notices;
use cumulet_store::{Rev, Store};
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::client::Client;
use cumulet_wire::error::ApiError;
use cumulet_wire::operation::{Changes, Operation, Protocol, Service, ServiceModel};
use serde_json::Value;
use tokio::sync::watch;

use model::Place;
use storage::Storage;

const OPERATIONS: &[Operation] = &[
    Operation::rpc("BatchGetDeployments"),
    Operation::rpc("CreateApplication"),
    Operation::rpc("CreateDeployment"),
    Operation::rpc("CreateDeploymentConfig"),
    Operation::rpc("CreateDeploymentGroup"),
    Operation::rpc("DeleteApplication"),
    Operation::rpc("DeleteDeploymentConfig"),
    Operation::rpc("DeleteDeploymentGroup"),
    Operation::rpc("GetApplication"),
    Operation::rpc("GetDeployment"),
    Operation::rpc("GetDeploymentConfig"),
    Operation::rpc("GetDeploymentGroup"),
    Operation::rpc("GetDeploymentTarget"),
    Operation::rpc("ListApplications"),
    Operation::rpc("ListDeploymentConfigs"),
    Operation::rpc("ListDeploymentGroups"),
    Operation::rpc("ListDeploymentTargets"),
    Operation::rpc("ListDeployments"),
    Operation::rpc("ListTagsForResource"),
    Operation::rpc("PutLifecycleEventHookExecutionStatus"),
    Operation::rpc("StopDeployment"),
    Operation::rpc("TagResource"),
    Operation::rpc("UntagResource"),
    Operation::rpc("UpdateApplication"),
    Operation::rpc("UpdateDeploymentGroup"),
];

pub const MODEL: ServiceModel = ServiceModel {
    name: "codedeploy",
    protocol: Protocol::Json11,
    target: "CodeDeploy_20141006",
    xmlns: "",
    operations: OPERATIONS,
    absent: absent::ABSENT,
};

/// The service roles have to trust.
const PRINCIPAL: &str = "codedeploy.amazonaws.com";

struct Core {
    storage: Storage,
    clock: Arc<dyn Clock>,
    client: Client,
    delivery: Arc<Delivery>,
}

pub struct CodeDeploy {
    core: Arc<Core>,
}

impl CodeDeploy {
    /// To be made before `delivery` is started: it goes on with deployments.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, client: Client, delivery: Arc<Delivery>) -> CodeDeploy {
        let core = Arc::new(Core { storage: Storage::new(store), clock, client, delivery });
        core.delivery.register(work::OWNER, Arc::new(work::Works(core.clone())));
        let notices = Notices { client: core.client.clone(), clock: core.clock.clone() };
        core.delivery.register(triggers::OWNER, Arc::new(notices));
        CodeDeploy { core }
    }
}

/// Commits where deployments are.
struct Commits {
    seen: watch::Receiver<Rev>,
    is_first: bool,
}

#[async_trait]
impl Changes for Commits {
    async fn changed(&mut self) {
        if std::mem::take(&mut self.is_first) {
            return;
        }
        if self.seen.changed().await.is_err() {
            // The store is closed: nothing will come any more.
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Service for CodeDeploy {
    fn model(&self) -> &'static ServiceModel {
        &MODEL
    }

    fn resource(&self, call: &Call) -> String {
        let text = |member: &str| call.input.get(member).and_then(Value::as_str);
        let application = text("applicationName");
        let group = text("deploymentGroupName").or_else(|| text("currentDeploymentGroupName"));
        let named = match (call.operation.name, application, group) {
            (name, ..) if name.ends_with("DeploymentConfig") => {
                format!("deploymentconfig:{}", text("deploymentConfigName").unwrap_or("*"))
            }
            (_, Some(application), Some(group)) => format!("deploymentgroup:{application}/{group}"),
            (_, Some(application), None) => format!("application:{application}"),
            _ => return text("ResourceArn").unwrap_or("*").to_owned(),
        };
        call.context.arn("codedeploy", named)
    }

    fn changes(&self, arn: &str) -> Option<Box<dyn Changes>> {
        let arn: cumulet_base::arn::Arn = arn.parse().ok()?;
        let place = Place { account: arn.account, region: arn.region };
        Some(Box::new(Commits { seen: self.core.storage.watch(&place), is_first: true }))
    }

    async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        operations::operate(&self.core, &call).await.map(|output| Answer { output, ..Answer::default() })
    }
}
