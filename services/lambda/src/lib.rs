//! AWS Lambda's API: functions, their policies, URLs, tags and concurrency, and synchronous invocation.
//! Deliberately absent: versions and aliases, layers, event source mappings, asynchronous and streaming invocation,
//! container images, VPCs, code signing; each is refused by name. Running functions is the engine's.

mod absent;
mod errors;
pub mod functions;
#[doc(hidden)]
pub mod fuzz;
pub mod links;
pub mod mappings;
pub mod model;
mod names;
mod operations;
mod policy;
mod settings;
mod storage;
pub mod url_plane;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cumulet_engine::catalog::Invoker;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::operation::{Operation, Protocol, Service, ServiceModel};

pub use functions::Functions;
pub use links::{CodePlane, Links};
use model::Function;
pub use url_plane::{UrlPlane, UrlVerifier};

/// Where zips are kept, by the SHA-256 of their content in hexadecimal.
#[async_trait]
pub trait CodeStore: Send + Sync + 'static {
    /// Durable when it returns the digest.
    async fn put(&self, zip: Bytes) -> Result<String, String>;

    async fn get(&self, digest: &str) -> Result<Option<Bytes>, String>;
}

#[async_trait]
impl CodeStore for cumulet_blobs::Blobs {
    async fn put(&self, zip: Bytes) -> Result<String, String> {
        cumulet_blobs::Blobs::put(self, zip).await.map(|digest| digest.to_string()).map_err(|e| chain(&e))
    }

    async fn get(&self, digest: &str) -> Result<Option<Bytes>, String> {
        let Ok(digest) = digest.parse::<cumulet_blobs::Digest>() else {
            return Ok(None);
        };
        match cumulet_blobs::Blobs::get(self, &digest).await {
            Ok(zip) => Ok(Some(zip)),
            Err(cumulet_blobs::Error::NotFound(_)) => Ok(None),
            Err(e) => Err(chain(&e)),
        }
    }
}

/// An error and its sources in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

const QUALIFIER: &[(&str, &str)] = &[("Qualifier", "Qualifier")];
const PAGES: &[(&str, &str)] = &[("Marker", "Marker"), ("MaxItems", "MaxItems")];

#[rustfmt::skip]
const OPERATIONS: &[Operation] = &[
    Operation::rest("CreateFunction", "POST", "/2015-03-31/functions", 201),
    Operation::rest("UpdateFunctionCode", "PUT", "/2015-03-31/functions/{FunctionName}/code", 200),
    Operation::rest("UpdateFunctionConfiguration", "PUT", "/2015-03-31/functions/{FunctionName}/configuration", 200),
    Operation::rest("GetFunction", "GET", "/2015-03-31/functions/{FunctionName}", 200).query(QUALIFIER),
    Operation::rest("GetFunctionConfiguration", "GET", "/2015-03-31/functions/{FunctionName}/configuration", 200).query(QUALIFIER),
    Operation::rest("ListFunctions", "GET", "/2015-03-31/functions", 200)
        .query(&[("Marker", "Marker"), ("MaxItems", "MaxItems"), ("FunctionVersion", "FunctionVersion"), ("MasterRegion", "MasterRegion")]),
    Operation::rest("DeleteFunction", "DELETE", "/2015-03-31/functions/{FunctionName}", 204).query(QUALIFIER),
    Operation::rest("Invoke", "POST", "/2015-03-31/functions/{FunctionName}/invocations", 200)
        .query(QUALIFIER)
        .headers(&[
            ("x-amz-invocation-type", "InvocationType"),
            ("x-amz-log-type", "LogType"),
            ("x-amz-client-context", "ClientContext"),
            ("x-amz-durable-execution-name", "DurableExecutionName"),
            ("x-amz-tenant-id", "TenantId"),
            ("x-amzn-trace-id", "TraceHeader"),
        ])
        .raw_payload()
        .action("lambda:InvokeFunction"),
    Operation::rest("AddPermission", "POST", "/2015-03-31/functions/{FunctionName}/policy", 201).query(QUALIFIER),
    Operation::rest("RemovePermission", "DELETE", "/2015-03-31/functions/{FunctionName}/policy/{StatementId}", 204)
        .query(&[("Qualifier", "Qualifier"), ("RevisionId", "RevisionId")]),
    Operation::rest("GetPolicy", "GET", "/2015-03-31/functions/{FunctionName}/policy", 200).query(QUALIFIER),
    Operation::rest("TagResource", "POST", "/2017-03-31/tags/{Resource}", 204),
    Operation::rest("UntagResource", "DELETE", "/2017-03-31/tags/{Resource}", 204).query(&[("tagKeys", "TagKeys[]")]),
    Operation::rest("ListTags", "GET", "/2017-03-31/tags/{Resource}", 200),
    Operation::rest("CreateFunctionUrlConfig", "POST", "/2021-10-31/functions/{FunctionName}/url", 201).query(QUALIFIER),
    Operation::rest("GetFunctionUrlConfig", "GET", "/2021-10-31/functions/{FunctionName}/url", 200).query(QUALIFIER),
    Operation::rest("UpdateFunctionUrlConfig", "PUT", "/2021-10-31/functions/{FunctionName}/url", 200).query(QUALIFIER),
    Operation::rest("DeleteFunctionUrlConfig", "DELETE", "/2021-10-31/functions/{FunctionName}/url", 204).query(QUALIFIER),
    Operation::rest("ListFunctionUrlConfigs", "GET", "/2021-10-31/functions/{FunctionName}/urls", 200).query(PAGES),
    Operation::rest("GetAccountSettings", "GET", "/2016-08-19/account-settings", 200),
    Operation::rest("GetFunctionCodeSigningConfig", "GET", "/2020-06-30/functions/{FunctionName}/code-signing-config", 200),
    Operation::rest("ListVersionsByFunction", "GET", "/2015-03-31/functions/{FunctionName}/versions", 200).query(PAGES),
    Operation::rest("PutFunctionConcurrency", "PUT", "/2017-10-31/functions/{FunctionName}/concurrency", 200),
    Operation::rest("GetFunctionConcurrency", "GET", "/2019-09-30/functions/{FunctionName}/concurrency", 200),
    Operation::rest("DeleteFunctionConcurrency", "DELETE", "/2017-10-31/functions/{FunctionName}/concurrency", 204),
    mappings::create(),
    mappings::get(),
    mappings::list(),
    mappings::update(),
    mappings::delete(),
];

pub const MODEL: ServiceModel = ServiceModel {
    name: "lambda",
    protocol: Protocol::RestJson,
    target: "",
    xmlns: "",
    operations: OPERATIONS,
    absent: absent::ABSENT,
};

/// The service. [`Functions`] is shared with the engine, which resolves invocations with it.
pub struct Lambda {
    functions: Arc<Functions>,
    code: Arc<dyn CodeStore>,
    invoker: Arc<dyn Invoker>,
    links: Links,
    mappings: Option<mappings::Mappings>,
}

impl Lambda {
    pub fn new(functions: Arc<Functions>, code: Arc<dyn CodeStore>, invoker: Arc<dyn Invoker>, links: Links) -> Lambda {
        Lambda { functions, code, invoker, links, mappings: None }
    }

    /// With what reads queues and streams.
    #[must_use]
    pub fn with_mappings(mut self, mappings: mappings::Mappings) -> Lambda {
        self.mappings = Some(mappings);
        self
    }

    /// Ends the instances of earlier revisions, and lets the new one be made ready.
    fn retire(&self, function: &Function) {
        self.invoker.retire(&function.account, &function.region, &function.name, Some(&function.instance_revision));
        self.invoker.prepare(&function.account, &function.region, &function.name);
    }
}

#[async_trait]
impl Service for Lambda {
    fn model(&self) -> &'static ServiceModel {
        &MODEL
    }

    fn resource(&self, call: &Call) -> String {
        let named = ["FunctionName", "Resource"]
            .iter()
            .find_map(|member| call.input.get(*member)?.as_str())
            .and_then(|text| names::read(&call.context, text, None).ok());
        named.map_or_else(|| "*".to_owned(), |named| named.arn())
    }

    async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        use operations as op;
        match call.operation.name {
            "CreateFunction" => op::create_function::run(self, call).await,
            "UpdateFunctionCode" => op::update_function_code::run(self, call).await,
            "UpdateFunctionConfiguration" => op::update_function_configuration::run(self, call).await,
            "GetFunction" => op::get_function::run(self, call).await,
            "GetFunctionConfiguration" => op::get_function_configuration::run(self, call).await,
            "ListFunctions" => op::list_functions::run(self, call).await,
            "DeleteFunction" => op::delete_function::run(self, call).await,
            "Invoke" => op::invoke::run(self, call).await,
            "AddPermission" => op::add_permission::run(self, call).await,
            "RemovePermission" => op::remove_permission::run(self, call).await,
            "GetPolicy" => op::get_policy::run(self, call).await,
            "TagResource" => op::tag_resource::run(self, call).await,
            "UntagResource" => op::untag_resource::run(self, call).await,
            "ListTags" => op::list_tags::run(self, call).await,
            "CreateFunctionUrlConfig" => op::create_function_url_config::run(self, call).await,
            "GetFunctionUrlConfig" => op::get_function_url_config::run(self, call).await,
            "UpdateFunctionUrlConfig" => op::update_function_url_config::run(self, call).await,
            "DeleteFunctionUrlConfig" => op::delete_function_url_config::run(self, call).await,
            "ListFunctionUrlConfigs" => op::list_function_url_configs::run(self, call).await,
            "GetAccountSettings" => op::get_account_settings::run(self, call).await,
            "GetFunctionCodeSigningConfig" => op::get_function_code_signing_config::run(self, call).await,
            "ListVersionsByFunction" => op::list_versions_by_function::run(self, call).await,
            "PutFunctionConcurrency" => op::put_function_concurrency::run(self, call).await,
            "GetFunctionConcurrency" => op::get_function_concurrency::run(self, call).await,
            "DeleteFunctionConcurrency" => op::delete_function_concurrency::run(self, call).await,
            other => match &self.mappings {
                Some(mappings) if mappings::OPERATIONS.contains(&other) => mappings.call(call).await,
                _ => Err(ApiError::not_implemented("lambda", other)),
            },
        }
    }
}

#[cfg(test)]
mod tests;
