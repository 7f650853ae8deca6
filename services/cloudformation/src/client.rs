//! Other services, called as the one for whom a stack is worked on would call them: with these permissions and no others.

use bytes::Bytes;
use cumulet_wire::call::Context;
use cumulet_wire::error::ApiError;
use serde_json::Value;

#[derive(Clone)]
pub struct Client {
    pub wire: cumulet_wire::client::Client,
    pub context: Context,
}

impl Client {
    /// Calls an operation, if the caller may.
    pub async fn call(&self, service: &str, operation: &str, input: Value) -> Result<Value, ApiError> {
        let answer = self.wire.call_in(self.context.clone(), service, operation, input, Bytes::new()).await?;
        answer.members()
    }

    /// The bytes an operation answers with.
    pub async fn bytes(&self, service: &str, operation: &str, input: Value) -> Result<Bytes, ApiError> {
        let answer = self.wire.call_in(self.context.clone(), service, operation, input, Bytes::new()).await?;
        Ok(answer.payload.unwrap_or_default())
    }

    /// Hands over a payload.
    pub async fn send(
        &self,
        service: &str,
        operation: &str,
        input: Value,
        payload: impl Into<Bytes>,
    ) -> Result<(), ApiError> {
        self.wire.call_in(self.context.clone(), service, operation, input, payload.into()).await.map(drop)
    }
}
