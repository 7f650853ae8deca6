//! API Gateway: HTTP APIs (version 2) with functions behind them, their management and the serving of their requests.
//! Absent: REST and WebSocket APIs, authorizers, HTTP back ends, parameter mapping, OpenAPI, domain names.

pub mod access_log;
mod cors;
mod errors;
#[doc(hidden)]
pub mod fuzz;
mod model;
mod operations;
mod plane;
mod ready;
mod routing;
mod shapes;
mod storage;
#[cfg(test)]
mod tests;
mod throttle;

use std::sync::Arc;

use async_trait::async_trait;
use cumulet_engine::catalog::Invoker;
use cumulet_engine::record::LogSink;
use cumulet_store::Store;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::operation::{Service, ServiceModel};

pub use model::MODEL;

/// The service and, at the same time, the data plane of the APIs it manages.
pub struct ApiGateway {
    storage: storage::Storage,
    ready: ready::ReadyApis,
    invoker: Arc<dyn Invoker>,
    logs: Arc<dyn LogSink>,
}

impl ApiGateway {
    pub fn new(store: Arc<dyn Store>, invoker: Arc<dyn Invoker>, logs: Arc<dyn LogSink>) -> ApiGateway {
        ApiGateway { storage: storage::Storage::new(store), ready: ready::ReadyApis::default(), invoker, logs }
    }
}

#[async_trait]
impl Service for ApiGateway {
    fn model(&self) -> &'static ServiceModel {
        &MODEL
    }

    /// `arn:aws:apigateway:REGION::/apis/…`: the path of the operation without `/v2`.
    fn resource(&self, call: &Call) -> String {
        let path = call.operation.path;
        let mut resource = format!("arn:aws:apigateway:{}::", call.context.region);
        for segment in path.strip_prefix("/v2").unwrap_or(path).split('/').skip(1) {
            resource.push('/');
            let member = segment.strip_prefix('{').and_then(|s| s.strip_suffix('}')).map(|s| s.trim_end_matches('+'));
            match member {
                Some(member) => resource.push_str(call.input.get(member).and_then(|v| v.as_str()).unwrap_or_default()),
                None => resource.push_str(segment),
            }
        }
        resource
    }

    async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        self.operate(&call).await
    }
}
