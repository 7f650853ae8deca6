//! Methods of resources, what they answer, and what is behind them.

use cumulet_wire::call::{Answer, Context};
use serde::Serialize;
use serde_json::Value;

use super::resources::find;
use super::{Decision, Input, shape};
use crate::backend;
use crate::errors::Error;
use crate::operations::{answer, text};
use crate::rest::patch::patched;
use crate::rest::shapes::{Integration, IntegrationResponse, Method, MethodResponse, Resource};
use crate::rest::{mapped, mock, schema};
use crate::storage::rest::{Definition, RestChange, RestRows};

const METHODS: &[&str] = &["ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

fn method<'a>(resource: &'a Resource, input: &Input) -> Result<&'a Method, Error> {
    let name = text(input, "http_method")?;
    resource.resource_methods.get(name).ok_or_else(|| Error::NotFound("Method", name.to_owned()))
}

/// Whether a method can be served; `NotBuilt` names what it would take.
pub fn check(method: &Method, definition: &Definition) -> Result<(), Error> {
    match method.authorization_type.as_str() {
        "NONE" | "AWS_IAM" => {}
        kind @ ("CUSTOM" | "COGNITO_USER_POOLS") => {
            let id = method.authorizer_id.as_deref().unwrap_or_default();
            if id.is_empty() {
                return Err(Error::Invalid(format!("Authorizer ID must be set for authorization type {kind}")));
            }
            if !definition.authorizers.contains_key(id) {
                return Err(Error::Invalid(format!(
                    "Invalid Authorizer ID specified. Setting the authorization type to {kind} requires a valid authorizer."
                )));
            }
        }
        other => return Err(Error::Invalid(format!("Invalid authorization type specified: {other}"))),
    }
    let Some(id) = &method.request_validator_id else { return Ok(()) };
    if !definition.validators.contains_key(id) {
        return Err(Error::Invalid("Invalid Request Validator identifier specified".into()));
    }
    // Those of an imported document have not been looked at before.
    let mut models = method.request_models.values().filter_map(|model| definition.models.get(model)?.schema.as_deref());
    models.try_for_each(schema::check)
}

/// The same of what is behind it.
pub fn check_integration(integration: &Integration) -> Result<(), Error> {
    match integration.r#type.as_str() {
        "AWS_PROXY" => {
            let uri = integration.uri.as_deref().unwrap_or_default();
            if uri.contains("/response-streaming-invocations") {
                return Err(Error::NotBuilt("integrations that stream".into()));
            }
            if !uri.contains(":lambda:path/") {
                return Err(Error::NotBuilt(format!("AWS_PROXY integrations with {uri}")));
            }
        }
        "MOCK" => {
            for template in integration.request_templates.values().flatten() {
                mock::check_request(template)?;
            }
        }
        "HTTP_PROXY" => {
            let uri = integration.uri.as_deref().unwrap_or_default();
            if !backend::is_address(uri) {
                return Err(Error::Invalid("Invalid HTTP endpoint specified for URI".into()));
            }
            if integration.http_method.as_deref().is_none_or(|method| !METHODS.contains(&method)) {
                return Err(Error::Invalid("Enumeration value for HttpMethod must be non-empty".into()));
            }
            mapped::check(&integration.request_parameters)?;
        }
        other @ ("AWS" | "HTTP") => {
            return Err(Error::NotBuilt(format!("{other} integrations of REST APIs")));
        }
        other => return Err(Error::Invalid(format!("Invalid integration type {other}"))),
    }
    if integration.connection_type.as_deref() == Some("VPC_LINK") {
        return Err(Error::NotBuilt("VPC links".into()));
    }
    let is_good = (50..=cumulet_base::limits::REST_API_TIMEOUT_MS_MAX).contains(&integration.timeout_in_millis);
    if !is_good {
        return Err(Error::Invalid("Timeout should be between 50 ms and 29000 ms".into()));
    }
    integration.integration_responses.values().try_for_each(check_integration_response)
}

pub fn check_integration_response(response: &IntegrationResponse) -> Result<(), Error> {
    response.response_templates.values().flatten().try_for_each(|template| mock::check_response(template))?;
    response.response_parameters.iter().try_for_each(|(name, value)| mock::check_parameter(name, value))
}

fn with(resource: &Resource, method: Method) -> Result<Vec<RestChange>, Error> {
    let mut resource = resource.clone();
    resource.resource_methods.insert(method.http_method.clone(), method);
    Ok(vec![RestChange::put(&resource)?])
}

pub(super) fn put(rows: &mut RestRows, input: &Input, _ctx: &Context) -> Decision {
    let resource = find(rows, input)?;
    let name = text(input, "http_method")?;
    if !METHODS.contains(&name) {
        return Err(Error::Invalid(format!("Invalid HTTP method specified: {name}")));
    }
    if resource.resource_methods.contains_key(name) {
        return Err(Error::Conflict("Method already exists for this resource".into()));
    }
    text(input, "authorizationType")?;
    let mut method: Method = shape(input)?;
    method.http_method = name.to_owned();
    (method.method_integration, method.method_responses) = (None, Default::default());
    check(&method, &rows.now)?;
    let shown = answer(&method)?;
    Ok((with(resource, method)?, shown))
}

pub(super) fn get(rows: &RestRows, input: &Input) -> Result<Answer, Error> {
    answer(method(find(rows, input)?, input)?)
}

pub(super) fn update(rows: &mut RestRows, input: &Input, _ctx: &Context) -> Decision {
    const WRITABLE: &[&str] = &[
        "authorizationType",
        "authorizerId",
        "apiKeyRequired",
        "operationName",
        "requestValidatorId",
        "requestParameters",
        "requestModels",
        "authorizationScopes",
    ];
    let resource = find(rows, input)?;
    let method = patched(method(resource, input)?, input, WRITABLE)?;
    check(&method, &rows.now)?;
    let shown = answer(&method)?;
    Ok((with(resource, method)?, shown))
}

pub(super) fn delete(rows: &mut RestRows, input: &Input, _ctx: &Context) -> Decision {
    let resource = find(rows, input)?;
    let name = method(resource, input)?.http_method.clone();
    let mut resource = resource.clone();
    resource.resource_methods.remove(&name);
    Ok((vec![RestChange::put(&resource)?], Answer::empty()))
}

/// A change of one method; what is changed is answered.
fn changed<T: Serialize>(
    rows: &RestRows,
    input: &Input,
    change: impl FnOnce(&mut Method) -> Result<T, Error>,
) -> Decision {
    let resource = find(rows, input)?;
    let mut method = method(resource, input)?.clone();
    let shown = answer(&change(&mut method)?)?;
    Ok((with(resource, method)?, shown))
}

fn gone(kind: &'static str, id: &str) -> Error {
    Error::NotFound(kind, id.to_owned())
}

pub(super) fn put_response(rows: &mut RestRows, input: &Input, _ctx: &Context) -> Decision {
    let status = text(input, "status_code")?;
    changed(rows, input, |method| {
        if method.method_responses.contains_key(status) {
            return Err(Error::Conflict("Response already exists for this resource".into()));
        }
        let response = MethodResponse { status_code: status.to_owned(), ..shape(input)? };
        method.method_responses.insert(status.to_owned(), response.clone());
        Ok(response)
    })
}

pub(super) fn get_response(rows: &RestRows, input: &Input) -> Result<Answer, Error> {
    let status = text(input, "status_code")?;
    let method = method(find(rows, input)?, input)?;
    answer(method.method_responses.get(status).ok_or_else(|| gone("Response status code", status))?)
}

pub(super) fn delete_response(rows: &mut RestRows, input: &Input, _ctx: &Context) -> Decision {
    let status = text(input, "status_code")?;
    changed(rows, input, |method| {
        method.method_responses.remove(status).ok_or_else(|| gone("Response status code", status)).map(|_| Value::Null)
    })
}

pub(super) fn put_integration(rows: &mut RestRows, input: &Input, _ctx: &Context) -> Decision {
    text(input, "type")?;
    let mut members = input.clone();
    // On the wire, the method behind is called as the method before it is elsewhere.
    members.remove("http_method");
    let mut integration: Integration = shape(&members)?;
    integration.cache_namespace = optional_or(input, "cacheNamespace", text(input, "resource_id")?);
    check_integration(&integration)?;
    changed(rows, input, |method| {
        let kept = method.method_integration.take().map(|old| old.integration_responses).unwrap_or_default();
        integration.integration_responses = kept;
        method.method_integration = Some(integration.clone());
        Ok(integration)
    })
}

fn optional_or(input: &Input, member: &str, or: &str) -> String {
    super::optional(input, member).unwrap_or_else(|| or.to_owned())
}

fn integration<'a>(method: &'a Method, input: &Input) -> Result<&'a Integration, Error> {
    method
        .method_integration
        .as_ref()
        .ok_or_else(|| gone("Integration", text(input, "http_method").unwrap_or_default()))
}

pub(super) fn get_integration(rows: &RestRows, input: &Input) -> Result<Answer, Error> {
    answer(integration(method(find(rows, input)?, input)?, input)?)
}

pub(super) fn delete_integration(rows: &mut RestRows, input: &Input, _ctx: &Context) -> Decision {
    changed(rows, input, |method| {
        integration(method, input)?;
        method.method_integration = None;
        Ok(Value::Null)
    })
}

pub(super) fn put_integration_response(rows: &mut RestRows, input: &Input, _ctx: &Context) -> Decision {
    let status = text(input, "status_code")?;
    let response = IntegrationResponse { status_code: status.to_owned(), ..shape(input)? };
    check_integration_response(&response)?;
    changed(rows, input, |method| {
        integration(method, input)?;
        if let Some(integration) = &mut method.method_integration {
            integration.integration_responses.insert(status.to_owned(), response.clone());
        }
        Ok(response)
    })
}

pub(super) fn get_integration_response(rows: &RestRows, input: &Input) -> Result<Answer, Error> {
    let status = text(input, "status_code")?;
    let integration = integration(method(find(rows, input)?, input)?, input)?;
    answer(integration.integration_responses.get(status).ok_or_else(|| gone("Response status code", status))?)
}

pub(super) fn delete_integration_response(rows: &mut RestRows, input: &Input, _ctx: &Context) -> Decision {
    let status = text(input, "status_code")?;
    changed(rows, input, |method| {
        integration(method, input)?;
        let responses = method.method_integration.as_mut().map(|integration| &mut integration.integration_responses);
        let gone_one = responses.and_then(|responses| responses.remove(status));
        gone_one.ok_or_else(|| gone("Response status code", status)).map(|_| Value::Null)
    })
}
