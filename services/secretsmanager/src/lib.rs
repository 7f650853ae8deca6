//! AWS Secrets Manager: secrets with versions and staging labels, policies, tags, deletion after a while. What they hold is
//! encrypted where it is stored, with a key that follows from the installation's secret. Deliberately absent: rotation,
//! copies in other regions, keys of one's own.

mod absent;
mod errors;
mod model;
mod operations;
mod password;
mod storage;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use cumulet_store::Store;
use cumulet_wire::auth::Authorizer;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::operation::{Operation, Protocol, Service, ServiceModel};
use cumulet_wire::policy;
use cumulet_wire::seal::Seal;
use serde_json::Value;

use storage::Storage;

const OPERATIONS: &[Operation] = &[
    Operation::rpc("BatchGetSecretValue"),
    Operation::rpc("CreateSecret"),
    Operation::rpc("DeleteResourcePolicy"),
    Operation::rpc("DeleteSecret"),
    Operation::rpc("DescribeSecret"),
    Operation::rpc("GetRandomPassword"),
    Operation::rpc("GetResourcePolicy"),
    Operation::rpc("GetSecretValue"),
    Operation::rpc("ListSecretVersionIds"),
    Operation::rpc("ListSecrets"),
    Operation::rpc("PutResourcePolicy"),
    Operation::rpc("PutSecretValue"),
    Operation::rpc("RestoreSecret"),
    Operation::rpc("TagResource"),
    Operation::rpc("UntagResource"),
    Operation::rpc("UpdateSecret"),
    Operation::rpc("UpdateSecretVersionStage"),
    Operation::rpc("ValidateResourcePolicy"),
];

pub const MODEL: ServiceModel = ServiceModel {
    name: "secretsmanager",
    protocol: Protocol::Json11,
    target: "secretsmanager",
    xmlns: "",
    operations: OPERATIONS,
    absent: absent::ABSENT,
};

pub struct SecretsManager {
    storage: Storage,
    seal: Seal,
}

impl SecretsManager {
    /// `secret`: the installation's own; what was encrypted under another cannot be read.
    pub fn new(store: Arc<dyn Store>, secret: &[u8; 32]) -> SecretsManager {
        SecretsManager { storage: Storage::new(store), seal: Seal::new(secret, "secretsmanager values\n") }
    }
}

#[async_trait]
impl Service for SecretsManager {
    fn model(&self) -> &'static ServiceModel {
        &MODEL
    }

    fn resource(&self, _: &Call) -> String {
        "*".to_owned()
    }

    async fn authorize(&self, authorizer: &dyn Authorizer, call: &Call) -> Result<(), ApiError> {
        let action = call.operation.action_of(&MODEL);
        let caller = &call.context.caller;
        let text = |member: &str| call.input.get(member).and_then(Value::as_str);
        if let Some(name) = text("Name").filter(|_| call.operation.name == "CreateSecret") {
            let resource = call.context.arn("secretsmanager", format!("secret:{name}"));
            return authorizer.authorize(caller, &action, &resource).await;
        }
        if call.operation.name == "BatchGetSecretValue" {
            authorizer.authorize(caller, &action, "*").await?;
            // Whoever may ask for several needs the right to each of them, as if it were asked for alone.
            for (_, place, found) in operations::values::wanted(self, call).await? {
                let Some(secret) = found else { continue };
                let (arn, document) = (secret.arn(&place), secret.policy.as_deref());
                policy::guard(authorizer, caller, "secretsmanager:GetSecretValue", &arn, document).await?;
            }
            return Ok(());
        }
        let Some(given) = text("SecretId") else { return authorizer.authorize(caller, &action, "*").await };
        // One that is not there has no policy, and may be asked for by who may ask for its name.
        let (place, found) = operations::look_up(self, call, given).await?;
        let resource = match &found {
            Some(secret) => secret.arn(&place),
            None => call.context.arn("secretsmanager", format!("secret:{}", place.name)),
        };
        let document = found.as_ref().and_then(|secret| secret.policy.as_deref());
        policy::guard(authorizer, caller, &action, &resource, document).await
    }

    async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        use operations as op;
        match call.operation.name {
            "BatchGetSecretValue" => op::values::batch(self, &call).await,
            "CreateSecret" => op::create::run(self, &call).await,
            "DeleteResourcePolicy" => op::policies::delete(self, &call).await,
            "DeleteSecret" => op::delete::run(self, &call).await,
            "DescribeSecret" => op::look::describe(self, &call).await,
            "GetRandomPassword" => password::run(&call),
            "GetResourcePolicy" => op::policies::get(self, &call).await,
            "GetSecretValue" => op::values::get(self, &call).await,
            "ListSecretVersionIds" => op::look::versions(self, &call).await,
            "ListSecrets" => op::look::list(self, &call).await,
            "PutResourcePolicy" => op::policies::put(self, &call).await,
            "PutSecretValue" => op::values::put(self, &call).await,
            "RestoreSecret" => op::delete::restore(self, &call).await,
            "TagResource" => op::tags::tag(self, &call).await,
            "UntagResource" => op::tags::untag(self, &call).await,
            "UpdateSecret" => op::values::update(self, &call).await,
            "UpdateSecretVersionStage" => op::values::stage(self, &call).await,
            "ValidateResourcePolicy" => op::policies::validate(&call),
            other => Err(ApiError::not_implemented("secretsmanager", other)),
        }
    }
}
