//! Integrations: functions, by their ARN, and HTTP back ends. AWS services, parameter mapping and roles are refused for now.

use cumulet_base::{id, limits};
use cumulet_wire::call::{Answer, Context};
use serde_json::{Map, Value};

use super::{Decision, answer, page, patched, text};
use crate::backend;
use crate::errors::Error;
use crate::routing::function_of;
use crate::shapes::Integration;
use crate::storage::{ApiRows, Change};

const WRITABLE: &[&str] = &[
    "integrationType",
    "integrationUri",
    "integrationMethod",
    "connectionType",
    "payloadFormatVersion",
    "timeoutInMillis",
    "description",
    "credentialsArn",
    "requestParameters",
    "responseParameters",
    "integrationSubtype",
];

fn find<'a>(rows: &'a ApiRows, input: &Map<String, Value>) -> Result<&'a Integration, Error> {
    let id = text(input, "integrationId")?;
    rows.integrations.get(id).ok_or_else(|| Error::NotFound("Integration", id.to_owned()))
}

pub(super) fn check(integration: &Integration) -> Result<(), Error> {
    let refused = |what: &str| Err(Error::NotBuilt(format!("{what} of integrations")));
    match integration.integration_type.as_str() {
        "AWS_PROXY" | "HTTP_PROXY" => {}
        "AWS" | "HTTP" | "MOCK" => {
            return Err(Error::Invalid("HTTP APIs only take the integration types AWS_PROXY and HTTP_PROXY".into()));
        }
        other => {
            return Err(Error::Invalid(format!("Invalid integrationType {other}")));
        }
    }
    if integration.integration_subtype.is_some() {
        return refused("integrationSubtype");
    }
    if integration.credentials_arn.as_deref().is_some_and(|a| !a.is_empty()) {
        return refused("credentialsArn");
    }
    let is_given =
        |value: &Option<Value>| value.as_ref().is_some_and(|v| v.as_object().is_none_or(|map| !map.is_empty()));
    if is_given(&integration.request_parameters) {
        return refused("requestParameters");
    }
    if is_given(&integration.response_parameters) {
        return refused("responseParameters");
    }
    if integration.connection_type != "INTERNET" {
        return refused("connectionType VPC_LINK");
    }
    let uri = integration.integration_uri.as_deref().unwrap_or_default();
    if integration.integration_type == "HTTP_PROXY" {
        check_backend(integration, uri)?;
    }
    let has_variables = uri.contains("${stageVariables.") || integration.integration_type == "HTTP_PROXY";
    if !has_variables && function_of(uri, &Default::default()).is_none() {
        return Err(Error::Invalid(format!("Invalid function ARN or invalid uri: {uri}")));
    }
    if !matches!(integration.payload_format_version.as_str(), "1.0" | "2.0") {
        return Err(Error::Invalid(
            "PayloadFormatVersion is a required parameter for integration type AWS_PROXY: 1.0 or 2.0".into(),
        ));
    }
    if !(50..=limits::HTTP_API_TIMEOUT_MS_MAX).contains(&integration.timeout_in_millis) {
        return Err(Error::Invalid(format!(
            "Timeout should be between 50 ms and {} ms",
            limits::HTTP_API_TIMEOUT_MS_MAX
        )));
    }
    Ok(())
}

fn check_backend(integration: &Integration, uri: &str) -> Result<(), Error> {
    if !backend::is_address(uri) {
        return Err(Error::Invalid(format!("Invalid HTTP endpoint specified for URI: {uri}")));
    }
    let Some(method) = integration.integration_method.as_deref() else {
        return Err(Error::Invalid("IntegrationMethod is required for integration type HTTP_PROXY".into()));
    };
    if !["ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"].contains(&method) {
        return Err(Error::Invalid(format!("Invalid integrationMethod {method}")));
    }
    match integration.payload_format_version.as_str() {
        "1.0" => Ok(()),
        _ => Err(Error::Invalid("PayloadFormatVersion is 1.0 for integration type HTTP_PROXY".into())),
    }
}

pub(super) fn create(rows: &mut ApiRows, input: &Map<String, Value>, _ctx: &Context) -> Decision {
    if rows.integrations.len() >= limits::HTTP_API_INTEGRATIONS_MAX {
        return Err(Error::Quota("integrations", limits::HTTP_API_INTEGRATIONS_MAX));
    }
    let integration = Integration {
        integration_id: id::short(7),
        integration_type: text(input, "integrationType")?.to_owned(),
        integration_uri: None,
        integration_method: None,
        connection_type: "INTERNET".into(),
        payload_format_version: "1.0".into(),
        timeout_in_millis: limits::HTTP_API_TIMEOUT_MS_MAX,
        description: None,
        api_gateway_managed: None,
        credentials_arn: None,
        request_parameters: None,
        response_parameters: None,
        integration_subtype: None,
    };
    let mut integration = patched(&integration, input, WRITABLE)?;
    check(&integration)?;
    integration.integration_method.get_or_insert("POST".into());
    let shown = answer(&integration)?;
    Ok((vec![Change::PutIntegration(integration)], shown))
}

pub(super) fn get(rows: &ApiRows, input: &Map<String, Value>) -> Result<Answer, Error> {
    answer(find(rows, input)?)
}

pub(super) fn list(rows: &ApiRows, input: &Map<String, Value>) -> Result<Answer, Error> {
    page(rows.integrations.values(), input)
}

pub(super) fn update(rows: &mut ApiRows, input: &Map<String, Value>, _ctx: &Context) -> Decision {
    let integration = patched(find(rows, input)?, input, WRITABLE)?;
    check(&integration)?;
    let shown = answer(&integration)?;
    Ok((vec![Change::PutIntegration(integration)], shown))
}

pub(super) fn delete(rows: &mut ApiRows, input: &Map<String, Value>, _ctx: &Context) -> Decision {
    let id = find(rows, input)?.integration_id.clone();
    let target = format!("integrations/{id}");
    if let Some(route) = rows.routes.values().find(|r| r.target.as_deref() == Some(&target)) {
        return Err(Error::Conflict(format!("Cannot delete Integration '{id}': route '{}' uses it", route.route_id)));
    }
    Ok((vec![Change::DeleteIntegration(id)], Answer::empty()))
}
