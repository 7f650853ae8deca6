//! CloudFormation: templates to stacks, by calls of the other services under the deployer's own permissions, or those of
//! the role it names. Nested stacks, custom resources, exports, change sets, stack policies; what a crash interrupts goes
//! on at the next start. Absent: stack sets, macros other than SAM and the language extensions, hooks.

mod attributes;
mod changes;
mod client;
mod custom;
mod drift;
mod dynamic;
mod errors;
mod executor;
#[doc(hidden)]
pub mod fuzz;
mod intrinsics;
mod model;
mod notices;
mod operations;
mod plan;
mod prepared;
mod resources;
mod sam;
mod signals;
mod stack;
mod storage;
pub mod template;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use cumulet_base::clock::Clock;
use cumulet_base::limits;
use cumulet_delivery::Delivery;
use cumulet_delivery::notice::Notices;
use cumulet_store::Store;
use cumulet_wire::auth::{Authorizer, Caller};
use cumulet_wire::call::{Answer, Call, Context};
use cumulet_wire::client::Client as Wire;
use cumulet_wire::error::ApiError;
use cumulet_wire::operation::{Registry, Service, ServiceModel};
use tokio::sync::{Semaphore, watch};

pub use custom::ReplyPlane;
pub use model::MODEL;
pub use signals::SignalPlane;

use errors::Error;
use stack::Texts;
use storage::Owner;

struct Link {
    registry: Registry,
    authorizer: Arc<dyn Authorizer>,
}

/// A handle; clones are the same service.
#[derive(Clone)]
pub struct CloudFormation {
    storage: storage::Storage,
    clock: Arc<dyn Clock>,
    wire: Wire,
    link: Arc<OnceLock<Link>>,
    running: Arc<Semaphore>,
    /// Stacks whose update is to be given up, by id.
    cancelled: watch::Sender<BTreeSet<String>>,
    replies: custom::Replies,
}

impl CloudFormation {
    /// `functions_endpoint`: where functions reach this cloud, such as `http://127.0.0.1:4566`.
    /// Messages on events are tasks of `delivery`, which is not to be started before.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        delivery: Arc<Delivery>,
        wire: Wire,
        functions_endpoint: &str,
    ) -> CloudFormation {
        let notices = Notices { client: wire.clone(), clock: clock.clone() };
        delivery.register(notices::OWNER, Arc::new(notices));
        CloudFormation {
            storage: storage::Storage::new(store, delivery),
            clock,
            wire,
            link: Arc::default(),
            running: Arc::new(Semaphore::new(limits::STACKS_RUNNING_MAX)),
            cancelled: watch::Sender::default(),
            replies: custom::Replies::new(functions_endpoint),
        }
    }

    /// Gives the service the others, and who decides what callers may do there. Has to come before the first call;
    /// a second time changes nothing.
    pub fn connect(&self, registry: Registry, authorizer: Arc<dyn Authorizer>) {
        let _first_stays = self.link.set(Link { registry, authorizer });
    }

    /// The plane to which functions send what became of custom resources.
    pub fn reply_plane(&self) -> ReplyPlane {
        ReplyPlane::new(self.replies.clone())
    }

    /// The plane to which signals for wait conditions are sent.
    pub fn signal_plane(&self) -> SignalPlane {
        SignalPlane::new(self.clone())
    }

    /// Goes on with stacks that were being worked on when the process last ended. To be called once, before serving.
    pub async fn recover(&self) -> Result<(), ApiError> {
        Ok(self.resume().await?)
    }

    fn link(&self) -> Result<&Link, Error> {
        self.link.get().ok_or_else(|| Error::Row("the other services are not connected yet".into()))
    }

    fn client_of(&self, caller: &Caller, region: &str, host: &str) -> Result<client::Client, Error> {
        let context = Context {
            caller: caller.clone(),
            region: region.to_owned(),
            request_id: cumulet_base::id::uuid(),
            host: host.to_owned(),
            now_ms: self.clock.now_ms(),
            trace: None,
        };
        Ok(client::Client { wire: self.wire.clone(), context })
    }

    /// What all stacks export.
    async fn exports(&self, owner: &Owner) -> Result<Texts, Error> {
        Ok(self.storage.exports(owner).await?.into_iter().map(|(name, export)| (name, export.value)).collect())
    }

    /// What one stack exports.
    async fn exported_by(&self, owner: &Owner, arn: &str) -> Result<Texts, Error> {
        let all = self.storage.exports(owner).await?.into_iter();
        Ok(all.filter(|(_, export)| export.stack == arn).map(|(name, export)| (name, export.value)).collect())
    }

    fn is_cancelled(&self, stack_id: &str) -> bool {
        self.cancelled.borrow().contains(stack_id)
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
