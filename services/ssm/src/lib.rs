//! AWS Systems Manager's parameter store: parameters with versions, labels, hierarchies and tags. Secure strings are
//! encrypted where they are stored, with a key that follows from the installation's secret. Deliberately absent: all else
//! of Systems Manager, parameter policies, keys of one's own, sharing.

mod absent;
mod errors;
#[doc(hidden)]
pub mod fuzz;
mod model;
mod names;
mod operations;
mod secrets;
mod storage;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use cumulet_store::Store;
use cumulet_wire::auth::Authorizer;
use cumulet_wire::call::{Answer, Call, Context};
use cumulet_wire::error::ApiError;
use cumulet_wire::operation::{Operation, Protocol, Service, ServiceModel};
use serde_json::Value;

use secrets::Secrets;
use storage::Storage;

const OPERATIONS: &[Operation] = &[
    Operation::rpc("PutParameter"),
    Operation::rpc("GetParameter"),
    Operation::rpc("GetParameters"),
    Operation::rpc("GetParametersByPath"),
    Operation::rpc("GetParameterHistory"),
    Operation::rpc("DescribeParameters"),
    Operation::rpc("DeleteParameter"),
    Operation::rpc("DeleteParameters"),
    Operation::rpc("LabelParameterVersion"),
    Operation::rpc("UnlabelParameterVersion"),
    Operation::rpc("AddTagsToResource"),
    Operation::rpc("RemoveTagsFromResource"),
    Operation::rpc("ListTagsForResource"),
];

pub const MODEL: ServiceModel = ServiceModel {
    name: "ssm",
    protocol: Protocol::Json11,
    target: "AmazonSSM",
    xmlns: "",
    operations: OPERATIONS,
    absent: absent::ABSENT,
};

pub struct Ssm {
    storage: Storage,
    secrets: Secrets,
}

impl Ssm {
    /// `secret`: the installation's own; what was encrypted under another cannot be read.
    pub fn new(store: Arc<dyn Store>, secret: &[u8; 32]) -> Ssm {
        Ssm { storage: Storage::new(store), secrets: Secrets::new(secret) }
    }
}

/// The ARN of a parameter given by its name (with a version or label) or its ARN.
fn arn(context: &Context, given: &str) -> String {
    let name = names::selected(given).map_or(given, |selected| selected.name);
    context.arn("ssm", format!("parameter/{}", name.trim_start_matches('/')))
}

#[async_trait]
impl Service for Ssm {
    fn model(&self) -> &'static ServiceModel {
        &MODEL
    }

    fn resource(&self, call: &Call) -> String {
        let text = |member: &str| call.input.get(member).and_then(Value::as_str);
        match text("Name").or_else(|| text("Path")).or_else(|| text("ResourceId")) {
            Some(name) => arn(&call.context, name),
            None => "*".to_owned(),
        }
    }

    /// Of several parameters each is asked for.
    async fn authorize(&self, authorizer: &dyn Authorizer, call: &Call) -> Result<(), ApiError> {
        let action = call.operation.action_of(self.model());
        let Some(names) = call.input.get("Names").and_then(Value::as_array) else {
            return authorizer.authorize(&call.context.caller, &action, &self.resource(call)).await;
        };
        for name in names.iter().filter_map(Value::as_str).take(operations::NAMES_MAX) {
            authorizer.authorize(&call.context.caller, &action, &arn(&call.context, name)).await?;
        }
        Ok(())
    }

    async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        use operations as op;
        match call.operation.name {
            "PutParameter" => op::put::run(self, &call).await,
            "GetParameter" => op::get::one(self, &call).await,
            "GetParameters" => op::get::several(self, &call).await,
            "GetParametersByPath" => op::get::by_path(self, &call).await,
            "GetParameterHistory" => op::get::history(self, &call).await,
            "DescribeParameters" => op::describe::run(self, &call).await,
            "DeleteParameter" => op::delete::one(self, &call).await,
            "DeleteParameters" => op::delete::several(self, &call).await,
            "LabelParameterVersion" => op::labels::label(self, &call).await,
            "UnlabelParameterVersion" => op::labels::unlabel(self, &call).await,
            "AddTagsToResource" => op::tags::add(self, &call).await,
            "RemoveTagsFromResource" => op::tags::remove(self, &call).await,
            "ListTagsForResource" => op::tags::list(self, &call).await,
            other => Err(ApiError::not_implemented("ssm", other)),
        }
    }
}
