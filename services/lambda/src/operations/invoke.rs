//! Invoke (<https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>): synchronous, asynchronous and dry run.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cumulet_base::{id, limits};
use cumulet_engine::catalog::{Access, Target};
use cumulet_engine::invocation::{Invocation, InvokeError};
use cumulet_wire::call::{Answer, Call, Context};
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::input;
use crate::names::Named;
use crate::{Lambda, errors, names};

/// What all ways of invoking are told.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InvokeInput {
    pub function_name: String,
    pub qualifier: Option<String>,
    pub invocation_type: Option<String>,
    pub log_type: Option<String>,
    client_context: Option<String>,
    /// Not a member of AWS's shape: the trace header of the request.
    trace_header: Option<String>,
    durable_execution_name: Option<String>,
    tenant_id: Option<String>,
}

impl InvokeInput {
    pub fn check(&self, types: &[&str]) -> Result<(), ApiError> {
        let is_tenant = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:/=+-@ ".contains(&b));
        let mut checks = Validation::new();
        checks
            .one_of("invocationType", self.invocation_type.as_deref(), types)
            .one_of("logType", self.log_type.as_deref(), &["None", "Tail"])
            .length("tenantId", self.tenant_id.as_deref(), 1, 256)
            .pattern("tenantId", self.tenant_id.as_deref(), "[a-zA-Z0-9\\._:\\/=+\\-@ ]+", is_tenant);
        checks.finish("ValidationException")?;
        match self.durable_execution_name {
            Some(_) => Err(errors::not_built("DurableExecutionName")),
            None => Ok(()),
        }
    }

    pub fn has_log(&self) -> bool {
        self.log_type.as_deref() == Some("Tail")
    }

    pub fn invocation(
        &self,
        context: &Context,
        named: &Named,
        payload: Bytes,
        payload_max: usize,
    ) -> Result<Invocation, ApiError> {
        Ok(Invocation {
            request_id: context.request_id.clone(),
            payload: check_payload(payload, payload_max)?,
            invoked_arn: named.qualified_arn(),
            trace: self.trace_header.clone().unwrap_or_else(|| id::trace_header(context.now_ms)),
            client_context: self.client_context.as_deref().map(read_client_context).transpose()?,
            tenant: self.tenant_id.clone(),
            sink: None,
        })
    }
}

pub fn target_of(named: &Named) -> Target {
    Target {
        account: named.account.clone(),
        region: named.region.clone(),
        name: named.name.clone(),
        qualifier: named.qualifier.clone(),
    }
}

pub async fn run(lambda: &Lambda, mut call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let payload = std::mem::take(&mut call.payload);
    let input: InvokeInput = input(call)?;
    let named = names::read(&context, &input.function_name, input.qualifier.as_deref())?;
    input.check(&["Event", "RequestResponse", "DryRun"])?;
    match input.invocation_type.as_deref() {
        Some("Event") => return accept(lambda, &context, &named, &input, payload).await,
        Some("DryRun") => {
            lambda.functions.require(&named).await?;
            return Ok(Answer { status: Some(204), ..Answer::empty() });
        }
        _ => {}
    }
    let mut invocation = input.invocation(&context, &named, payload, limits::INVOKE_PAYLOAD_BYTES_MAX)?;
    lambda.functions.count(&named, &mut invocation).await?;
    let outcome = lambda.invoker.invoke(&target_of(&named), &Access::Authorised, invocation).await;
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => return Err(refusal(lambda, &named, error).await),
    };
    let mut headers = vec![("x-amz-executed-version", outcome.executed_version)];
    if let Some(error) = outcome.function_error {
        headers.push(("x-amz-function-error", error.to_owned()));
    }
    if input.has_log() {
        headers.push(("x-amz-log-result", STANDARD.encode(&outcome.log_tail)));
    }
    Ok(Answer { payload: Some(outcome.payload), headers, ..Answer::empty() })
}

/// Why the function did not run; that it has no published version is an error of its own.
pub async fn refusal(lambda: &Lambda, named: &Named, error: InvokeError) -> ApiError {
    let is_missing = matches!(error, InvokeError::NotFound { .. });
    if is_missing && named.qualifier.as_deref() == Some(names::PUBLISHED) {
        match lambda.functions.find(&named.account, &named.region, &named.name).await {
            Ok(Some(_)) => return errors::no_published_version(&named.qualified_arn()),
            Ok(None) => {}
            Err(error) => return error,
        }
    }
    errors::from_invoke(error)
}

/// The event is durable when this answers.
async fn accept(
    lambda: &Lambda,
    context: &Context,
    named: &Named,
    input: &InvokeInput,
    payload: Bytes,
) -> Result<Answer, ApiError> {
    let is_isolated = lambda.functions.function(named).await?.tenant_isolation.is_some();
    if payload.len() > limits::INVOKE_EVENT_BYTES_MAX {
        return Err(errors::event_too_large(payload.len(), limits::INVOKE_EVENT_BYTES_MAX));
    }
    let mut invocation = input.invocation(context, named, payload, limits::INVOKE_EVENT_BYTES_MAX)?;
    if is_isolated != invocation.tenant.is_some() {
        return Err(errors::from_invoke(InvokeError::of_tenant(is_isolated)));
    }
    if let Err(error) = lambda.functions.count(named, &mut invocation).await {
        lambda.events.refuse(&target_of(named), invocation, "RecursiveInvocation").await?;
        return Err(error);
    }
    lambda.events.accept(&target_of(named), invocation).await?;
    Ok(Answer { status: Some(202), payload: Some(Bytes::new()), ..Answer::empty() })
}

/// The payload, `{}` where there was none.
fn check_payload(payload: Bytes, max: usize) -> Result<Bytes, ApiError> {
    if payload.len() > max {
        return Err(errors::payload_too_large(payload.len(), max));
    }
    if payload.is_empty() {
        return Ok(Bytes::from_static(b"{}"));
    }
    let text = std::str::from_utf8(&payload).map_err(|e| errors::bad_payload(&e.to_string()))?;
    serde_json::from_str::<IgnoredAny>(text).map_err(|e| errors::bad_payload(&e.to_string()))?;
    Ok(payload)
}

fn read_client_context(text: &str) -> Result<String, ApiError> {
    const ENCODED_BYTES_MAX: usize = 3583;
    if text.len() > ENCODED_BYTES_MAX {
        return Err(errors::bad_client_context(&format!("It has more than {ENCODED_BYTES_MAX} bytes.")));
    }
    let bytes = STANDARD.decode(text).map_err(|e| errors::bad_client_context(&e.to_string()))?;
    let json: Value = serde_json::from_slice(&bytes).map_err(|e| errors::bad_client_context(&e.to_string()))?;
    if !json.is_object() {
        return Err(errors::bad_client_context("It is not an object."));
    }
    String::from_utf8(bytes).map_err(|e| errors::bad_client_context(&e.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::tests::Fixture;

    #[tokio::test]
    async fn runs_and_answers_with_headers() {
        let fixture = Fixture::new();
        fixture.create("f").await.unwrap();
        let input = json!({"FunctionName": "f", "LogType": "Tail", "ClientContext": "e30="});
        let answer = fixture.call_raw("Invoke", input, Bytes::from_static(b"{\"a\":1}")).await.unwrap();
        assert_eq!(answer.payload.as_deref(), Some(&b"{\"a\":1}"[..]));
        assert_eq!(
            answer.headers,
            [("x-amz-executed-version", "$LATEST".to_owned()), ("x-amz-log-result", "bG9n".to_owned())]
        );
        let answer = fixture.call_raw("Invoke", json!({"FunctionName": "f"}), Bytes::new()).await.unwrap();
        assert_eq!(answer.payload.as_deref(), Some(&b"{}"[..]));
    }

    #[tokio::test]
    async fn refusals() {
        let fixture = Fixture::new();
        fixture.create("f").await.unwrap();
        let big = Bytes::from(vec![b'1'; limits::INVOKE_PAYLOAD_BYTES_MAX + 1]);
        for (input, payload, status, code) in [
            (json!({"FunctionName": "f"}), big, 413, "RequestTooLargeException"),
            (json!({"FunctionName": "f"}), Bytes::from_static(b"{"), 400, "InvalidRequestContentException"),
            (json!({"FunctionName": "f"}), Bytes::from_static(b"\"\xff\""), 400, "InvalidRequestContentException"),
            (json!({"FunctionName": "f", "ClientContext": "!"}), Bytes::new(), 400, "InvalidRequestContentException"),
            (
                json!({"FunctionName": "f", "ClientContext": "MQ=="}),
                Bytes::new(),
                400,
                "InvalidRequestContentException",
            ),
            (
                json!({"FunctionName": "f", "InvocationType": "Event"}),
                Bytes::from(vec![b'1'; limits::INVOKE_EVENT_BYTES_MAX + 1]),
                413,
                "RequestTooLargeException",
            ),
            (json!({"FunctionName": "g", "InvocationType": "Event"}), Bytes::new(), 404, "ResourceNotFoundException"),
            (json!({"FunctionName": "f", "TenantId": "t"}), Bytes::new(), 400, "InvalidParameterValueException"),
            (
                json!({"FunctionName": "f", "InvocationType": "Event", "TenantId": "t"}),
                Bytes::new(),
                400,
                "InvalidParameterValueException",
            ),
            (json!({"FunctionName": "f", "InvocationType": "Later"}), Bytes::new(), 400, "ValidationException"),
            (json!({"FunctionName": "g"}), Bytes::new(), 404, "ResourceNotFoundException"),
            (json!({"FunctionName": "g", "InvocationType": "DryRun"}), Bytes::new(), 404, "ResourceNotFoundException"),
            (json!({"FunctionName": "f:1"}), Bytes::new(), 404, "ResourceNotFoundException"),
        ] {
            let error = fixture.call_raw("Invoke", input.clone(), payload).await.unwrap_err();
            assert_eq!((error.status, error.code.as_str()), (status, code), "{input}");
        }
        let dry = json!({"FunctionName": "f", "InvocationType": "DryRun"});
        let answer = fixture.call_raw("Invoke", dry, Bytes::new()).await.unwrap();
        assert_eq!(answer.status, Some(204));
        fixture.fail_with(InvokeError::Throttled { reason: "ReservedFunctionConcurrentInvocationLimitExceeded" });
        let error = fixture.call_raw("Invoke", json!({"FunctionName": "f"}), Bytes::new()).await.unwrap_err();
        assert_eq!(
            (error.status, &error.fields["Reason"]),
            (429, &json!("ReservedFunctionConcurrentInvocationLimitExceeded"))
        );
    }
}
