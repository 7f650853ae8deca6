//! What a service offers: the constant list of its operations, from which routing, permissions and the coverage page come,
//! and the registry through which services reach one another.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use crate::auth::Authorizer;
use crate::call::{Answer, Call};
use crate::error::ApiError;
use crate::query::Older;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    RestJson,
    Json10,
    Json11,
    /// Form-encoded request, XML answer.
    Query,
    /// What services of the JSON protocols are also called by: the operation in the path, members in CBOR.
    Cbor,
}

/// One operation. The HTTP fields are those of the service model and only used by REST protocols.
#[derive(Debug)]
pub struct Operation {
    pub name: &'static str,
    pub method: &'static str,
    /// Path with `{Member}` and, at the end, `{Member+}`.
    pub path: &'static str,
    /// Status of success.
    pub status: u16,
    /// `(query parameter, member)`. A member ending in `[]` is a list and may be repeated.
    pub query: &'static [(&'static str, &'static str)],
    /// `(request header in lower case, member)`.
    pub headers: &'static [(&'static str, &'static str)],
    /// The body is the payload and not JSON members.
    pub raw_payload: bool,
    /// IAM action, where it differs from `service:Name`.
    pub action: Option<&'static str>,
}

impl Operation {
    /// An operation of a JSON or query protocol.
    pub const fn rpc(name: &'static str) -> Operation {
        Operation::rest(name, "POST", "/", 200)
    }

    pub const fn rest(name: &'static str, method: &'static str, path: &'static str, status: u16) -> Operation {
        Operation { name, method, path, status, query: &[], headers: &[], raw_payload: false, action: None }
    }

    #[must_use]
    pub const fn query(mut self, query: &'static [(&'static str, &'static str)]) -> Operation {
        self.query = query;
        self
    }

    #[must_use]
    pub const fn headers(mut self, headers: &'static [(&'static str, &'static str)]) -> Operation {
        self.headers = headers;
        self
    }

    #[must_use]
    pub const fn raw_payload(mut self) -> Operation {
        self.raw_payload = true;
        self
    }

    /// The action a policy names it by.
    pub fn action_of(&self, model: &ServiceModel) -> String {
        self.action.map_or_else(|| format!("{}:{}", model.name, self.name), str::to_owned)
    }

    #[must_use]
    pub const fn action(mut self, action: &'static str) -> Operation {
        self.action = Some(action);
        self
    }
}

/// What a service is on the wire.
#[derive(Debug)]
pub struct ServiceModel {
    /// Signing name, which is also the prefix of its IAM actions: `lambda`, `apigateway`, `cloudformation`.
    pub name: &'static str,
    pub protocol: Protocol,
    /// `X-Amz-Target` prefix of JSON protocols, such as `Logs_20140328`.
    pub target: &'static str,
    /// XML namespace of query answers.
    pub xmlns: &'static str,
    /// What is built.
    pub operations: &'static [Operation],
    /// Every further operation of AWS's model: answers "not implemented: SERVICE.Operation".
    /// REST operations are given with method and path so that they can be told from unknown paths.
    pub absent: &'static [Operation],
}

#[async_trait]
pub trait Service: Send + Sync + 'static {
    fn model(&self) -> &'static ServiceModel;

    /// The resource an authorisation is asked for; `*` where the operation has none.
    fn resource(&self, call: &Call) -> String {
        let _ = call;
        "*".to_owned()
    }

    /// The service in the scope of signatures; more than one service may be signed for alike, and they differ by their targets.
    fn signing_name(&self) -> &'static str {
        self.model().name
    }

    /// The older query protocol, for a service that speaks it beside JSON.
    fn older(&self) -> Option<&'static Older> {
        None
    }

    /// Whether the caller may: one action on one resource, unless the service knows better.
    async fn authorize(&self, authorizer: &dyn Authorizer, call: &Call) -> Result<(), ApiError> {
        let action = call.operation.action_of(self.model());
        authorizer.authorize(&call.context.caller, &action, &self.resource(call)).await
    }

    /// Tells consumers inside that there may be something new to read of a resource; they then ask as any client would.
    fn changes(&self, arn: &str) -> Option<Box<dyn Changes>> {
        let _ = arn;
        None
    }

    /// Carries out one of the model's operations; the caller has been authenticated and authorised.
    async fn call(&self, call: Call) -> Result<Answer, ApiError>;
}

/// A wake-up for whoever would otherwise have to ask again and again.
#[async_trait]
pub trait Changes: Send + Sync {
    /// Returns when something may have come since the last time this was asked; at once, the first time. Never misses one.
    async fn changed(&mut self);
}

/// All services of this cloud by name.
#[derive(Clone, Default)]
pub struct Registry {
    services: BTreeMap<&'static str, Arc<dyn Service>>,
}

impl Registry {
    #[must_use]
    pub fn with(mut self, service: Arc<dyn Service>) -> Registry {
        self.services.insert(service.model().name, service);
        self
    }

    pub fn service(&self, name: &str) -> Option<&Arc<dyn Service>> {
        self.services.get(name)
    }

    pub fn services(&self) -> impl Iterator<Item = &Arc<dyn Service>> {
        self.services.values()
    }

    /// Calls an operation as a client would, without the way over HTTP. The context's caller has to be allowed to.
    pub async fn call(
        &self,
        service: &str,
        operation: &str,
        input: serde_json::Value,
        context: crate::call::Context,
    ) -> Result<Answer, ApiError> {
        let found = self.service(service).ok_or_else(|| ApiError::not_implemented(service, operation))?;
        let model = found.model();
        let operation = model
            .operations
            .iter()
            .find(|o| o.name == operation)
            .ok_or_else(|| ApiError::not_implemented(service, operation))?;
        let serde_json::Value::Object(input) = input else {
            return Err(ApiError::serialization("the input is not an object"));
        };
        found.call(Call { operation, input, payload: bytes::Bytes::new(), context }).await
    }
}
