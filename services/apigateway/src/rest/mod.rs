//! REST APIs (version 1): their management, and the serving of what deployments keep of them, with functions (Lambda proxy),
//! back ends by HTTP, or nothing (mock) behind their methods, function authorizers, keys and usage plans, validation of parameters and bodies.
//! Absent, refused by name: mapping templates that compute, back ends of other services,
//! caches, client certificates, documentation, VPC links. Quotas of usage plans are kept and not counted.

mod mapped;
mod mock;
mod model;
mod openapi;
mod operations;
mod patch;
pub(crate) mod plane;
pub(crate) mod ready;
mod schema;
pub mod shapes;
#[cfg(test)]
pub(crate) mod tests;
pub mod usage;

use std::sync::Arc;

use async_trait::async_trait;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::operation::{Service, ServiceModel};

use crate::{ApiGateway, resource_of};

pub use model::MODEL;

/// The management of REST APIs. Their requests are served where those of HTTP APIs are.
pub struct RestApis(pub(crate) Arc<ApiGateway>);

#[async_trait]
impl Service for RestApis {
    fn model(&self) -> &'static ServiceModel {
        &MODEL
    }

    /// Both versions are signed for alike, and differ by their paths.
    fn signing_name(&self) -> &'static str {
        "apigateway"
    }

    fn resource(&self, call: &Call) -> String {
        resource_of(call, call.operation.path)
    }

    async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        self.0.operate_rest(&call).await
    }
}
