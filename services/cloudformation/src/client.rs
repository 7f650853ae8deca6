//! Other services, called as the caller of CloudFormation would call them: with the caller's permissions and no others.

use std::sync::Arc;

use cumulet_base::clock::Clock;
use cumulet_wire::auth::Authorizer;
use cumulet_wire::call::{Call, Context};
use cumulet_wire::error::ApiError;
use cumulet_wire::operation::Registry;
use serde_json::Value;

#[derive(Clone)]
pub struct Client {
    pub registry: Registry,
    pub authorizer: Arc<dyn Authorizer>,
    pub clock: Arc<dyn Clock>,
    pub context: Context,
}

impl Client {
    /// Calls an operation, if the caller may.
    pub async fn call(&self, service: &str, operation: &str, input: Value) -> Result<Value, ApiError> {
        let absent = || ApiError::not_implemented(service, operation);
        let found = self.registry.service(service).ok_or_else(absent)?;
        let operation = found.model().operations.iter().find(|o| o.name == operation).ok_or_else(absent)?;
        let Value::Object(input) = input else {
            return Err(ApiError::serialization("the input is not an object"));
        };
        let mut context = self.context.clone();
        context.now_ms = self.clock.now_ms();
        let call = Call { operation, input, payload: bytes::Bytes::new(), context };
        found.authorize(&*self.authorizer, &call).await?;
        // Some services' codes carry a namespace on the wire.
        let answer = found.call(call).await.map_err(|mut error| {
            error.code = error.code.rsplit('#').next().unwrap_or_default().to_owned();
            error
        })?;
        Ok(answer.output)
    }
}
