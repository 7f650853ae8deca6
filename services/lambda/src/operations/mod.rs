//! The operations, one file each, and what several of them read alike.

pub mod add_layer_version_permission;
pub mod add_permission;
pub mod code;
pub mod create_alias;
pub mod create_function;
pub mod create_function_url_config;
pub mod delete_alias;
pub mod delete_function;
pub mod delete_function_concurrency;
pub mod delete_function_url_config;
pub mod delete_layer_version;
pub mod get_account_settings;
pub mod get_alias;
pub mod get_function;
pub mod get_function_code_signing_config;
pub mod get_function_concurrency;
pub mod get_function_configuration;
pub mod get_function_event_invoke_config;
pub mod get_function_url_config;
pub mod get_layer_version;
pub mod get_layer_version_by_arn;
pub mod get_layer_version_policy;
pub mod get_policy;
pub mod get_provisioned_concurrency_config;
pub mod invoke;
pub mod invoke_async;
pub mod invoke_with_response_stream;
pub mod list_aliases;
pub mod list_function_event_invoke_configs;
pub mod list_function_url_configs;
pub mod list_functions;
pub mod list_layer_versions;
pub mod list_layers;
pub mod list_provisioned_concurrency_configs;
pub mod list_tags;
pub mod list_versions_by_function;
pub mod publish_layer_version;
pub mod publish_version;
pub mod put_function_concurrency;
pub mod put_function_event_invoke_config;
pub mod put_function_recursion_config;
pub mod put_function_scaling_config;
pub mod put_provisioned_concurrency_config;
pub mod put_runtime_management_config;
pub mod remove_layer_version_permission;
pub mod remove_permission;
pub mod tag_resource;
pub mod untag_resource;
pub mod update_alias;
pub mod update_function_code;
pub mod update_function_configuration;
pub mod update_function_url_config;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cumulet_wire::call::Call;
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::errors;
use crate::model::Cors;

/// Input of operations that only name a function.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct FunctionInput {
    pub function_name: String,
    pub qualifier: Option<String>,
}

/// The input as a typed shape, without copying a zip of many megabytes.
fn input<T: DeserializeOwned>(call: Call) -> Result<T, ApiError> {
    serde_json::from_value(Value::Object(call.input))
        .map_err(|e| ApiError::serialization(&e.to_string()).with("Type", "User"))
}

fn check_revision(revision_id: &str, expected: Option<&str>) -> Result<(), ApiError> {
    match expected {
        Some(id) if id != revision_id => Err(errors::revision_mismatch()),
        _ => Ok(()),
    }
}

/// `MaxItems`, which comes as text from a query string; never more than `page_max`.
pub fn page_size(value: Option<&Value>, allowed_max: i64, page_max: usize) -> Result<usize, ApiError> {
    let number = match value {
        None | Some(Value::Null) => return Ok(page_max),
        Some(Value::String(text)) => text.parse().ok(),
        Some(other) => other.as_i64(),
    };
    let Some(number) = number else {
        return Err(ApiError::serialization("MaxItems is not an integer").with("Type", "User"));
    };
    let mut checks = Validation::new();
    checks.between("maxItems", Some(number), 1, allowed_max);
    checks.finish("ValidationException")?;
    Ok(page_max.min(usize::try_from(number).unwrap_or(page_max)))
}

pub fn write_marker(last: &str) -> String {
    URL_SAFE_NO_PAD.encode(last)
}

pub fn read_marker(text: &str) -> Result<String, ApiError> {
    URL_SAFE_NO_PAD
        .decode(text)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| errors::invalid_parameter("The Marker is not one that was handed out."))
}

/// `AuthType`, `Cors` and `InvokeMode` of a function URL.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UrlSettings {
    pub auth_type: Option<String>,
    pub cors: Option<Cors>,
    pub invoke_mode: Option<String>,
}

impl UrlSettings {
    fn check(&self) -> Result<(), ApiError> {
        let mut checks = Validation::new();
        checks
            .one_of("authType", self.auth_type.as_deref(), &["NONE", "AWS_IAM"])
            .one_of("invokeMode", self.invoke_mode.as_deref(), &["BUFFERED", "RESPONSE_STREAM"])
            .between("cors.maxAge", self.cors.as_ref().and_then(|c| c.max_age).map(i64::from), 0, 86_400);
        for method in self.cors.iter().filter_map(|c| c.allow_methods.as_ref()).flatten() {
            checks.one_of("cors.allowMethods", Some(method), &["GET", "PUT", "HEAD", "POST", "PATCH", "DELETE", "*"]);
        }
        checks.finish("ValidationException")
    }
}
