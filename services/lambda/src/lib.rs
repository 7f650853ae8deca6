//! AWS Lambda's API: functions, versions, aliases and layers, policies, URLs, tags, concurrency, and invocation.
//! Deliberately absent: KMS keys, capacity providers, durable executions, code signing;
//! each is refused by name. VPC configurations are kept and shown. Running functions is the engine's.

mod absent;
mod asynchronous;
mod bucket;
mod errors;
pub mod functions;
#[doc(hidden)]
pub mod fuzz;
mod images;
mod layers;
pub mod links;
pub mod mappings;
pub mod model;
mod names;
mod operations;
mod policy;
mod seal;
mod settings;
mod storage;
mod streaming;
pub mod url_plane;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cumulet_base::clock::Clock;
use cumulet_delivery::Delivery;
use cumulet_engine::catalog::{Invoker, Target};
use cumulet_store::Store;
use cumulet_wire::auth::{Authorizer, Principal};
use cumulet_wire::call::{Answer, Call, Context};
use cumulet_wire::client::Client;
use cumulet_wire::error::ApiError;
use cumulet_wire::operation::{Operation, Protocol, Service, ServiceModel};
use cumulet_wire::policy::guard;

use asynchronous::Events;
pub use functions::Functions;
pub use images::Registries;
use layers::storage::Layers;
pub use links::{CodePlane, Links};
use model::{Function, UrlOwner};
use names::Named;
pub use url_plane::{UrlPlane, UrlVerifier};

/// Where zips are kept, by the SHA-256 of their content in hexadecimal.
#[async_trait]
pub trait CodeStore: Send + Sync + 'static {
    /// Durable when it returns the digest.
    async fn put(&self, zip: Bytes) -> Result<String, String>;

    async fn get(&self, digest: &str) -> Result<Option<Bytes>, String>;

    async fn has(&self, digest: &str) -> Result<bool, String>;
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

    async fn has(&self, digest: &str) -> Result<bool, String> {
        match digest.parse::<cumulet_blobs::Digest>() {
            Ok(digest) => self.exists(&digest).await.map_err(|e| chain(&e)),
            Err(_) => Ok(false),
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
const REVISION: &[(&str, &str)] = &[("RevisionId", "RevisionId")];
const LAYER_FILTER: &[(&str, &str)] = &[
    ("CompatibleRuntime", "CompatibleRuntime"),
    ("CompatibleArchitecture", "CompatibleArchitecture"),
    ("Marker", "Marker"),
    ("MaxItems", "MaxItems"),
];

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
    Operation::rest(
        "InvokeWithResponseStream",
        "POST",
        "/2021-11-15/functions/{FunctionName}/response-streaming-invocations",
        200,
    )
    .query(QUALIFIER)
    .headers(&[
        ("x-amz-invocation-type", "InvocationType"),
        ("x-amz-log-type", "LogType"),
        ("x-amz-client-context", "ClientContext"),
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
    Operation::rest("PublishVersion", "POST", "/2015-03-31/functions/{FunctionName}/versions", 201),
    Operation::rest("CreateAlias", "POST", "/2015-03-31/functions/{FunctionName}/aliases", 201),
    Operation::rest("GetAlias", "GET", "/2015-03-31/functions/{FunctionName}/aliases/{Name}", 200),
    Operation::rest("UpdateAlias", "PUT", "/2015-03-31/functions/{FunctionName}/aliases/{Name}", 200),
    Operation::rest("DeleteAlias", "DELETE", "/2015-03-31/functions/{FunctionName}/aliases/{Name}", 204),
    Operation::rest("ListAliases", "GET", "/2015-03-31/functions/{FunctionName}/aliases", 200)
        .query(&[("Marker", "Marker"), ("MaxItems", "MaxItems"), ("FunctionVersion", "FunctionVersion")]),
    Operation::rest("PublishLayerVersion", "POST", "/2018-10-31/layers/{LayerName}/versions", 201),
    Operation::rest("GetLayerVersion", "GET", "/2018-10-31/layers/{LayerName}/versions/{VersionNumber}", 200),
    Operation::rest("GetLayerVersionByArn", "GET", "/2018-10-31/layers?find=LayerVersion", 200).query(&[("Arn", "Arn")]),
    Operation::rest("DeleteLayerVersion", "DELETE", "/2018-10-31/layers/{LayerName}/versions/{VersionNumber}", 204),
    Operation::rest("ListLayers", "GET", "/2018-10-31/layers", 200).query(LAYER_FILTER),
    Operation::rest("ListLayerVersions", "GET", "/2018-10-31/layers/{LayerName}/versions", 200).query(LAYER_FILTER),
    Operation::rest("AddLayerVersionPermission", "POST", "/2018-10-31/layers/{LayerName}/versions/{VersionNumber}/policy", 201).query(REVISION),
    Operation::rest("RemoveLayerVersionPermission", "DELETE", "/2018-10-31/layers/{LayerName}/versions/{VersionNumber}/policy/{StatementId}", 204).query(REVISION),
    Operation::rest("GetLayerVersionPolicy", "GET", "/2018-10-31/layers/{LayerName}/versions/{VersionNumber}/policy", 200),
    Operation::rest("InvokeAsync", "POST", "/2014-11-13/functions/{FunctionName}/invoke-async", 202).raw_payload().action("lambda:InvokeFunction"),
    Operation::rest("PutFunctionEventInvokeConfig", "PUT", "/2019-09-25/functions/{FunctionName}/event-invoke-config", 200).query(QUALIFIER),
    Operation::rest("UpdateFunctionEventInvokeConfig", "POST", "/2019-09-25/functions/{FunctionName}/event-invoke-config", 200).query(QUALIFIER),
    Operation::rest("GetFunctionEventInvokeConfig", "GET", "/2019-09-25/functions/{FunctionName}/event-invoke-config", 200).query(QUALIFIER),
    Operation::rest("DeleteFunctionEventInvokeConfig", "DELETE", "/2019-09-25/functions/{FunctionName}/event-invoke-config", 204).query(QUALIFIER),
    Operation::rest("ListFunctionEventInvokeConfigs", "GET", "/2019-09-25/functions/{FunctionName}/event-invoke-config/list", 200).query(PAGES),
    Operation::rest("PutProvisionedConcurrencyConfig", "PUT", "/2019-09-30/functions/{FunctionName}/provisioned-concurrency", 202).query(QUALIFIER),
    Operation::rest("GetProvisionedConcurrencyConfig", "GET", "/2019-09-30/functions/{FunctionName}/provisioned-concurrency", 200).query(QUALIFIER),
    Operation::rest("DeleteProvisionedConcurrencyConfig", "DELETE", "/2019-09-30/functions/{FunctionName}/provisioned-concurrency", 204).query(QUALIFIER),
    Operation::rest("ListProvisionedConcurrencyConfigs", "GET", "/2019-09-30/functions/{FunctionName}/provisioned-concurrency?List=ALL", 200).query(PAGES),
    Operation::rest("PutFunctionRecursionConfig", "PUT", "/2024-08-31/functions/{FunctionName}/recursion-config", 200),
    Operation::rest("GetFunctionRecursionConfig", "GET", "/2024-08-31/functions/{FunctionName}/recursion-config", 200),
    Operation::rest("PutRuntimeManagementConfig", "PUT", "/2021-07-20/functions/{FunctionName}/runtime-management-config", 200).query(QUALIFIER),
    Operation::rest("GetRuntimeManagementConfig", "GET", "/2021-07-20/functions/{FunctionName}/runtime-management-config", 200).query(QUALIFIER),
    Operation::rest("PutFunctionScalingConfig", "PUT", "/2025-11-30/functions/{FunctionName}/function-scaling-config", 202).query(QUALIFIER),
    Operation::rest("GetFunctionScalingConfig", "GET", "/2025-11-30/functions/{FunctionName}/function-scaling-config", 200).query(QUALIFIER),
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

/// What the service stands on. [`Functions`] is shared with the engine, which resolves invocations with it.
pub struct Ports {
    pub functions: Arc<Functions>,
    pub store: Arc<dyn Store>,
    pub code: Arc<dyn CodeStore>,
    pub invoker: Arc<dyn Invoker>,
    pub links: Links,
    pub client: Client,
    pub delivery: Arc<Delivery>,
    pub clock: Arc<dyn Clock>,
}

/// What the operator decides.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Invocations of one account at a time.
    pub account_concurrency: usize,
    /// How long an asynchronous event waits after the function failed on it for the first and the second time.
    pub event_retry_ms: [u64; 2],
    /// The longest timeout a function may have; Lambda's is 900.
    pub timeout_s_max: u32,
    /// Functions of interpreters may be for the other architecture.
    pub is_lenient: bool,
    /// Where container images are looked for.
    pub images_dir: Option<std::path::PathBuf>,
    /// Where else.
    pub registries: Registries,
}

pub struct Lambda {
    functions: Arc<Functions>,
    layers: Layers,
    code: Arc<dyn CodeStore>,
    invoker: Arc<dyn Invoker>,
    links: Links,
    client: Client,
    settings: Settings,
    /// Turns to fetch an image.
    pulls: Arc<tokio::sync::Semaphore>,
    events: Events,
    mappings: Option<mappings::Mappings>,
}

impl Lambda {
    /// Before the delivery is started.
    pub fn new(ports: Ports, settings: Settings) -> Lambda {
        let Ports { functions, store, code, invoker, links, client, delivery, clock } = ports;
        let layers = Layers::new(store);
        let events = Events::new(asynchronous::Ports {
            functions: functions.clone(),
            invoker: invoker.clone(),
            client: client.clone(),
            delivery,
            clock,
            retry_ms: settings.event_retry_ms,
        });
        Lambda {
            functions,
            layers,
            code,
            invoker,
            links,
            client,
            settings,
            pulls: images::gate(),
            events,
            mappings: None,
        }
    }

    /// Makes the instances ready that versions and aliases ask for, after a start.
    pub async fn make_ready(&self) -> Result<(), ApiError> {
        for owner in self.functions.provisioned(None).await? {
            let UrlOwner { account, region, name, qualifier, .. } = owner;
            self.invoker.prepare(&Target { account, region, name, qualifier });
        }
        Ok(())
    }

    fn mappings(&self) -> Result<&mappings::Mappings, ApiError> {
        self.mappings.as_ref().ok_or_else(errors::no_such_resource)
    }

    /// With what reads queues and streams.
    #[must_use]
    pub fn with_mappings(mut self, mappings: mappings::Mappings) -> Lambda {
        self.mappings = Some(mappings);
        self
    }

    /// Ends the instances of earlier revisions of a version, and lets the new one be made ready.
    fn retire(&self, function: &Function) {
        let Function { account, region, name, version, instance_revision, .. } = function;
        self.invoker.retire(account, region, name, Some(version), Some(instance_revision));
        self.prepare(function);
    }

    /// The configuration as callers see it: a version with SnapStart is `Pending` until its template is made, or found not to
    /// be possible (<https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html>).
    async fn shown(&self, function: &Function, qualifier: Option<&str>) -> serde_json::Value {
        let mut shape = function.configuration(qualifier);
        if !function.is_snap_started() {
            return shape;
        }
        let Function { account, region, name, version, .. } = function.clone();
        if self.invoker.is_preparing(&Target { account, region, name, qualifier: Some(version) }).await {
            shape["State"] = "Pending".into();
            shape["StateReason"] = "The function is being created.".into();
            shape["StateReasonCode"] = "Creating".into();
            shape["SnapStart"]["OptimizationStatus"] = "Off".into();
        }
        shape
    }

    /// Lets what instances of a version are made of be made ready.
    fn prepare(&self, function: &Function) {
        let Function { account, region, name, version, .. } = function.clone();
        self.invoker.prepare(&Target { account, region, name, qualifier: Some(version) });
    }

    /// The same, by the version's name.
    fn prepare_at(&self, named: &Named, version: &str) {
        let Named { account, region, name, .. } = named.clone();
        self.invoker.prepare(&Target { account, region, name, qualifier: Some(version.to_owned()) });
    }

    /// What the zips of all versions and layers of the account have.
    async fn code_bytes(&self, context: &Context) -> Result<u64, ApiError> {
        let mut bytes = 0;
        for function in self.functions.list(context.account(), &context.region, None, usize::MAX).await? {
            let Function { account, region, name, .. } = function;
            bytes += function.code_bytes;
            let named = Named { account, region, name, qualifier: None };
            let versions = self.functions.versions(&named, None, usize::MAX).await?;
            bytes += versions.iter().map(|version| version.code_bytes).sum::<u64>();
        }
        for layer in self.layers.names(context.account(), &context.region).await? {
            bytes += self.layers.versions(&layer).await?.iter().map(|version| version.bytes).sum::<u64>();
        }
        Ok(bytes)
    }
}

#[async_trait]
impl Service for Lambda {
    fn model(&self) -> &'static ServiceModel {
        &MODEL
    }

    fn resource(&self, call: &Call) -> String {
        let text = |member: &str| call.input.get(member).and_then(|value| value.as_str());
        if let Some(layer) = text("LayerName").and_then(|name| layers::read_name(&call.context, name).ok()) {
            return match call.input.get("VersionNumber") {
                Some(serde_json::Value::String(version)) => format!("{}:{version}", layer.arn()),
                Some(version) => format!("{}:{version}", layer.arn()),
                None => layer.arn(),
            };
        }
        if let Some(arn) = text("Arn") {
            return arn.to_owned();
        }
        let named = text("FunctionName").or_else(|| text("Resource"));
        let named = named.and_then(|name| names::read(&call.context, name, text("Qualifier")).ok());
        named.map_or_else(|| "*".to_owned(), |named| named.qualified_arn())
    }

    /// A function's own policy has a say, too: that of the version or alias that is named.
    async fn authorize(&self, authorizer: &dyn Authorizer, call: &Call) -> Result<(), ApiError> {
        let action = call.operation.action_of(&MODEL);
        let resource = self.resource(call);
        let caller = &call.context.caller;
        if caller.kind == Principal::Owner {
            return authorizer.authorize(caller, &action, &resource).await;
        }
        let text = |member: &str| call.input.get(member).and_then(|value| value.as_str());
        let named = text("FunctionName").and_then(|name| names::read(&call.context, name, text("Qualifier")).ok());
        let known = match &named {
            Some(named) => self.functions.find_at(functions::of(named), named.qualifier.as_deref()).await?,
            None => None,
        };
        let document = known.as_ref().and_then(|known| known.document.as_deref());
        guard(authorizer, caller, &action, &resource, document).await
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
            "InvokeWithResponseStream" => op::invoke_with_response_stream::run(self, call).await,
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
            "PublishVersion" => op::publish_version::run(self, call).await,
            "CreateAlias" => op::create_alias::run(self, call).await,
            "GetAlias" => op::get_alias::run(self, call).await,
            "UpdateAlias" => op::update_alias::run(self, call).await,
            "DeleteAlias" => op::delete_alias::run(self, call).await,
            "ListAliases" => op::list_aliases::run(self, call).await,
            "PublishLayerVersion" => op::publish_layer_version::run(self, call).await,
            "GetLayerVersion" => op::get_layer_version::run(self, call).await,
            "GetLayerVersionByArn" => op::get_layer_version_by_arn::run(self, call).await,
            "DeleteLayerVersion" => op::delete_layer_version::run(self, call).await,
            "ListLayers" => op::list_layers::run(self, call).await,
            "ListLayerVersions" => op::list_layer_versions::run(self, call).await,
            "AddLayerVersionPermission" => op::add_layer_version_permission::run(self, call).await,
            "RemoveLayerVersionPermission" => op::remove_layer_version_permission::run(self, call).await,
            "GetLayerVersionPolicy" => op::get_layer_version_policy::run(self, call).await,
            "InvokeAsync" => op::invoke_async::run(self, call).await,
            "PutFunctionEventInvokeConfig" => op::put_function_event_invoke_config::run(self, call).await,
            "UpdateFunctionEventInvokeConfig" => op::put_function_event_invoke_config::update(self, call).await,
            "GetFunctionEventInvokeConfig" => op::get_function_event_invoke_config::run(self, call).await,
            "DeleteFunctionEventInvokeConfig" => op::get_function_event_invoke_config::delete(self, call).await,
            "ListFunctionEventInvokeConfigs" => op::list_function_event_invoke_configs::run(self, call).await,
            "PutProvisionedConcurrencyConfig" => op::put_provisioned_concurrency_config::run(self, call).await,
            "GetProvisionedConcurrencyConfig" => op::get_provisioned_concurrency_config::run(self, call).await,
            "DeleteProvisionedConcurrencyConfig" => op::get_provisioned_concurrency_config::delete(self, call).await,
            "ListProvisionedConcurrencyConfigs" => op::list_provisioned_concurrency_configs::run(self, call).await,
            "PutFunctionRecursionConfig" => op::put_function_recursion_config::run(self, call).await,
            "GetFunctionRecursionConfig" => op::put_function_recursion_config::get(self, call).await,
            "PutFunctionScalingConfig" => op::put_function_scaling_config::run(self, call).await,
            "GetFunctionScalingConfig" => op::put_function_scaling_config::get(self, call).await,
            "PutRuntimeManagementConfig" => op::put_runtime_management_config::run(self, call).await,
            "GetRuntimeManagementConfig" => op::put_runtime_management_config::get(self, call).await,
            other => match &self.mappings {
                Some(mappings) if mappings::OPERATIONS.contains(&other) => mappings.call(call).await,
                _ => Err(ApiError::not_implemented("lambda", other)),
            },
        }
    }
}

#[cfg(test)]
mod tests;
