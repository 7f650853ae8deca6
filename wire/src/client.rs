//! Other services, called inside the process as any client would call them: with the permissions of the caller named, and
//! no others.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use cumulet_base::clock::Clock;
use cumulet_base::id;
use serde_json::Value;

use crate::auth::{Authorizer, Caller};
use crate::call::{Answer, Call, Context};
use crate::error::ApiError;
use crate::operation::{Changes, Registry};

/// The name that addresses handed out to callers inside are built from.
const HOST: &str = "localhost";

/// Services are made before the registry of them all is; [`Client::connect`] closes the circle, once.
#[derive(Clone, Default)]
pub struct Client(Arc<OnceLock<Connected>>);

struct Connected {
    registry: Registry,
    authorizer: Arc<dyn Authorizer>,
    clock: Arc<dyn Clock>,
}

impl Client {
    pub fn connect(&self, registry: Registry, authorizer: Arc<dyn Authorizer>, clock: Arc<dyn Clock>) {
        let connected = self.0.set(Connected { registry, authorizer, clock });
        debug_assert!(connected.is_ok(), "a client is connected once, at start");
    }

    /// Calls an operation, if the caller may. `payload` is for operations whose model has a payload member.
    ///
    /// # Errors
    /// The callee's, with codes as clients read them: without a namespace.
    pub async fn call(
        &self,
        caller: &Caller,
        region: &str,
        service: &str,
        operation: &str,
        input: Value,
        payload: Bytes,
    ) -> Result<Answer, ApiError> {
        self.call_in(Client::context(caller, region), service, operation, input, payload).await
    }

    /// The circumstances of a call from inside.
    pub fn context(caller: &Caller, region: &str) -> Context {
        Context {
            caller: caller.clone(),
            region: region.to_owned(),
            request_id: id::uuid(),
            host: HOST.to_owned(),
            now_ms: 0,
            trace: None,
        }
    }

    /// The same, in circumstances given; the time is set anew.
    pub async fn call_in(
        &self,
        mut context: Context,
        service: &str,
        operation: &str,
        input: Value,
        payload: Bytes,
    ) -> Result<Answer, ApiError> {
        let connected = self.0.get().ok_or_else(|| ApiError::internal("no registry is connected"))?;
        let absent = || ApiError::not_implemented(service, operation);
        let found = connected.registry.service(service).ok_or_else(absent)?;
        let operation = found.model().operations.iter().find(|o| o.name == operation).ok_or_else(absent)?;
        let Value::Object(input) = input else {
            return Err(ApiError::serialization("the input is not an object"));
        };
        context.now_ms = connected.clock.now_ms();
        let call = Call { operation, input, payload, context };
        let plain = |mut error: ApiError| {
            error.code = error.code.rsplit('#').next().unwrap_or_default().to_owned();
            error
        };
        found.authorize(&*connected.authorizer, &call).await.map_err(plain)?;
        found.call(call).await.map_err(plain)
    }

    /// Whether a caller's own policies allow an action; what the resource says is not asked.
    ///
    /// # Errors
    /// That they do not.
    pub async fn may(&self, caller: &Caller, action: &str, resource: &str) -> Result<(), ApiError> {
        let connected = self.0.get().ok_or_else(|| ApiError::internal("no registry is connected"))?;
        connected.authorizer.authorize(caller, action, resource).await
    }

    /// A wake-up for news of a resource, where its service has one.
    pub fn changes(&self, service: &str, arn: &str) -> Option<Box<dyn Changes>> {
        self.0.get()?.registry.service(service)?.changes(arn)
    }
}
