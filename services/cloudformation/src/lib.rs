//! CloudFormation: templates to stacks, by calls of the other services under the caller's own permissions.
//! Absent: nested stacks, stack sets, drift, imports, macros other than SAM, service roles, custom resources,
//! templates by URL, and resuming what a crash interrupted.

mod client;
mod errors;
mod executor;
#[doc(hidden)]
pub mod fuzz;
mod intrinsics;
mod model;
mod operations;
mod plan;
mod prepared;
mod resources;
mod sam;
mod stack;
mod storage;
pub mod template;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use cumulet_base::clock::Clock;
use cumulet_base::limits;
use cumulet_store::Store;
use cumulet_wire::auth::Authorizer;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::operation::{Registry, Service, ServiceModel};
use tokio::sync::Semaphore;

pub use model::MODEL;

struct Link {
    registry: Registry,
    authorizer: Arc<dyn Authorizer>,
}

pub struct CloudFormation {
    storage: storage::Storage,
    clock: Arc<dyn Clock>,
    link: OnceLock<Link>,
    running: Arc<Semaphore>,
}

impl CloudFormation {
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> CloudFormation {
        CloudFormation {
            storage: storage::Storage::new(store),
            clock,
            link: OnceLock::new(),
            running: Arc::new(Semaphore::new(limits::STACKS_RUNNING_MAX)),
        }
    }

    /// Gives the service the others, and who decides what callers may do there. Has to come before the first call;
    /// a second time changes nothing.
    pub fn connect(&self, registry: Registry, authorizer: Arc<dyn Authorizer>) {
        let _first_stays = self.link.set(Link { registry, authorizer });
    }

    /// Marks stacks as failed that were being worked on when the process last ended. To be called once, before serving.
    pub async fn recover(&self) -> Result<(), ApiError> {
        Ok(executor::recover(&self.storage, self.clock.now_ms()).await?)
    }
}

#[async_trait]
impl Service for CloudFormation {
    fn model(&self) -> &'static ServiceModel {
        &MODEL
    }

    /// `arn:aws:cloudformation:REGION:ACCOUNT:stack/NAME/*`, or the stack's ARN where the caller gave it.
    fn resource(&self, call: &Call) -> String {
        match call.input.get("StackName").and_then(|v| v.as_str()) {
            Some(arn) if arn.starts_with("arn:") => arn.to_owned(),
            Some(name) => call.context.arn("cloudformation", format!("stack/{name}/*")),
            None => "*".to_owned(),
        }
    }

    async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        self.operate(&call).await
    }
}
