//! API Gateway: HTTP APIs (version 2) and REST APIs (version 1) with functions behind them, their management and the serving
//! of their requests. Absent: WebSocket APIs, parameter mapping and OpenAPI of HTTP APIs.

pub mod access_log;
mod authorizer;
mod backend;
mod cors;
mod domains;
mod errors;
#[doc(hidden)]
pub mod fuzz;
mod guard;
mod jwt;
mod measure;
mod model;
mod operations;
mod plane;
mod ready;
pub mod rest;
mod routing;
mod shapes;
mod storage;
#[cfg(test)]
mod tests;
mod throttle;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cumulet_base::limits;
use cumulet_engine::catalog::Invoker;
use cumulet_engine::record::{LogSink, MetricSink};
use cumulet_store::Store;
use cumulet_wire::auth::Caller;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::data_plane::HttpRequest;
use cumulet_wire::error::ApiError;
use cumulet_wire::operation::{Service, ServiceModel};

pub use model::MODEL;

/// The service and, at the same time, the data plane of the APIs it manages.
pub struct ApiGateway {
    storage: storage::Storage,
    ready: ready::ReadyApis,
    rests: rest::ready::Rests,
    domains: domains::Domains,
    authorizations: authorizer::Authorizations,
    issuers: jwt::Issuers,
    invoker: Arc<dyn Invoker>,
    logs: Arc<dyn LogSink>,
    verifier: Arc<dyn Verifier>,
    /// Changes of one API one after the other, as stacks make many at once.
    turns: Vec<tokio::sync::Mutex<()>>,
    metrics: Option<Arc<dyn MetricSink>>,
    requests: measure::Requests,
}

/// Changes that are made at a time, of different APIs.
const TURNS: usize = 64;

/// Who signed a request, and whether they may.
#[async_trait]
pub trait Verifier: Send + Sync + 'static {
    /// The caller that signed for the service `execute-api`, with a good signature, and may do `execute-api:Invoke` on the
    /// resource by the policies of its identity; `None` otherwise.
    async fn verify(&self, request: &HttpRequest, resource: &str) -> Option<Caller>;
}

impl ApiGateway {
    pub fn new(
        store: Arc<dyn Store>,
        invoker: Arc<dyn Invoker>,
        logs: Arc<dyn LogSink>,
        verifier: Arc<dyn Verifier>,
        metrics: Option<Arc<dyn MetricSink>>,
    ) -> ApiGateway {
        ApiGateway {
            storage: storage::Storage::new(store),
            ready: ready::ReadyApis::default(),
            rests: rest::ready::Rests::default(),
            domains: domains::Domains::default(),
            authorizations: authorizer::Authorizations::default(),
            issuers: jwt::Issuers::default(),
            invoker,
            logs,
            verifier,
            metrics,
            requests: measure::Requests::default(),
            turns: (0..TURNS).map(|_| tokio::sync::Mutex::default()).collect(),
        }
    }

    /// Reads the domain names. To be called once, before serving.
    pub async fn make_ready(&self) -> Result<(), ApiError> {
        self.domains.replace(self.storage.domains().await?);
        Ok(())
    }

    /// What keys are used is written down from now on.
    pub fn start(self: &Arc<Self>) {
        let kept = Arc::downgrade(self);
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(limits::API_USAGE_PERIOD_MS));
            loop {
                ticks.tick().await;
                let Some(gateway) = kept.upgrade() else { return };
                gateway.flush().await;
            }
        });
    }

    /// Makes durable what was counted until now.
    pub async fn flush(&self) {
        if let Some(metrics) = &self.metrics {
            self.requests.hand_over(&**metrics);
        }
        if let Err(error) = self.rests.usages.flush(&self.storage).await {
            tracing::warn!(%error, "writing how keys were used");
        }
    }

    /// Until it is the turn of a change of the API.
    async fn turn(&self, api_id: &str) -> tokio::sync::MutexGuard<'_, ()> {
        let at = api_id.bytes().fold(0usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into())) % TURNS;
        self.turns[at].lock().await
    }

    /// The other of the two services that it is.
    pub fn rest_apis(self: &Arc<Self>) -> rest::RestApis {
        rest::RestApis(self.clone())
    }
}

/// `arn:aws:apigateway:REGION::/…`: the path of an operation with its members in it.
pub(crate) fn resource_of(call: &Call, path: &str) -> String {
    let mut resource = format!("arn:aws:apigateway:{}::", call.context.region);
    for segment in path.split('/').skip(1) {
        resource.push('/');
        let member = segment.strip_prefix('{').and_then(|s| s.strip_suffix('}')).map(|s| s.trim_end_matches('+'));
        match member {
            Some(member) => resource.push_str(call.input.get(member).and_then(|v| v.as_str()).unwrap_or_default()),
            None => resource.push_str(segment),
        }
    }
    resource
}

#[async_trait]
impl Service for ApiGateway {
    fn model(&self) -> &'static ServiceModel {
        &MODEL
    }

    /// The path of the operation without `/v2`.
    fn resource(&self, call: &Call) -> String {
        resource_of(call, call.operation.path.strip_prefix("/v2").unwrap_or(call.operation.path))
    }

    async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        self.operate(&call).await
    }
}
