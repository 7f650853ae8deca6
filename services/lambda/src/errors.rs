//! The one table from Lambda's failures to AWS's codes, statuses and sentences
//! (<https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_Errors> and its neighbours).

use cumulet_base::limits;
use cumulet_engine::code::BadZip;
use cumulet_engine::invocation::InvokeError;
use cumulet_wire::error::ApiError;

fn user(status: u16, code: &str, message: impl Into<String>) -> ApiError {
    ApiError::new(status, code, message).with("Type", "User")
}

fn service(status: u16, code: &str, message: impl Into<String>) -> ApiError {
    ApiError::new(status, code, message).with("Type", "Service")
}

pub fn invalid_parameter(message: impl Into<String>) -> ApiError {
    user(400, "InvalidParameterValueException", message)
}

/// A feature of AWS Lambda that this cloud does not have, named so that nobody searches for the mistake elsewhere.
pub fn not_built(feature: &str) -> ApiError {
    user(501, "NotImplemented", format!("not implemented: lambda: {feature}"))
}

pub fn function_not_found(arn: &str) -> ApiError {
    not_found(format!("Function not found: {arn}"))
}

pub fn no_published_version(arn: &str) -> ApiError {
    user(400, "NoPublishedVersionException", format!("The function has no published version: {arn}"))
}

pub fn alias_not_found(arn: &str) -> ApiError {
    not_found(format!("Cannot find alias arn: {arn}"))
}

pub fn layer_not_found(arn: &str) -> ApiError {
    not_found(format!("Layer version {arn} does not exist."))
}

pub fn access_denied(message: String) -> ApiError {
    user(403, "AccessDeniedException", message)
}

pub fn not_found(message: impl Into<String>) -> ApiError {
    user(404, "ResourceNotFoundException", message)
}

pub fn no_image_uri(uri: &str) -> ApiError {
    invalid_parameter(format!("Source image {uri} is not valid. Provide a valid source image."))
}

pub fn no_image(uri: &str, why: &str) -> ApiError {
    invalid_parameter(format!("Source image {uri} does not exist. Provide a valid source image. {why}"))
}

pub fn bad_image(uri: &str, why: &str) -> ApiError {
    invalid_parameter(format!("The image {uri} cannot be used: {why}."))
}

pub fn image_not_supported(uri: &str, why: &str) -> ApiError {
    invalid_parameter(format!(
        "The image manifest, config or layer media type for the source image {uri} is not supported. {why}"
    ))
}

pub fn image_of_another_machine(uri: &str, of_image: &str, wanted: &str) -> ApiError {
    invalid_parameter(format!("The image {uri} is for {of_image}, the function for {wanted}."))
}

/// AWS's sentence, whatever the registry is.
pub fn image_denied(why: &str) -> ApiError {
    access_denied(format!("Lambda does not have permission to access the ECR image. Check the ECR permissions. {why}"))
}

pub fn no_registry(why: &str) -> ApiError {
    tracing::warn!(why, "an image was not fetched");
    service(500, "ServiceException", format!("The image was not fetched: {why}."))
}

/// AWS's sentence for a policy or URL configuration that is not there.
pub fn no_such_resource() -> ApiError {
    not_found("The resource you requested does not exist.")
}

pub fn conflict(message: impl Into<String>) -> ApiError {
    user(409, "ResourceConflictException", message)
}

/// Other writers won every attempt.
pub fn concurrent_update(arn: &str) -> ApiError {
    conflict(format!("The operation cannot be performed at this time. An update is in progress for resource: {arn}"))
}

pub fn revision_mismatch() -> ApiError {
    user(
        412,
        "PreconditionFailedException",
        "The Revision Id provided does not match the latest Revision Id. \
         Call the GetFunction/GetAlias API to retrieve the latest Revision Id",
    )
}

pub fn policy_too_long(bytes: usize, max: usize) -> ApiError {
    user(
        400,
        "PolicyLengthExceededException",
        format!("The final policy size ({bytes}) is bigger than the limit ({max})."),
    )
}

pub fn bad_zip(reason: &BadZip) -> ApiError {
    match reason {
        BadZip::TooLarge => {
            invalid_parameter(format!("Unzipped size must be smaller than {} bytes", limits::CODE_UNZIPPED_BYTES_MAX))
        }
        BadZip::Empty => invalid_parameter("Uploaded file must be a non-empty zip"),
        _ => invalid_parameter("Could not unzip uploaded file. Please check your file, then try to upload again."),
    }
}

pub fn zip_too_large(operation: &str) -> ApiError {
    user(
        413,
        "RequestEntityTooLargeException",
        format!("Request must be smaller than 70167211 bytes for the {operation} operation"),
    )
}

pub fn payload_too_large(size: usize, max: usize) -> ApiError {
    user(
        413,
        "RequestTooLargeException",
        format!("{size} byte payload is too large for the RequestResponse invocation type (limit {max} bytes)"),
    )
}

pub fn event_too_large(size: usize, max: usize) -> ApiError {
    user(
        413,
        "RequestTooLargeException",
        format!("{size} byte payload is too large for the Event invocation type (limit {max} bytes)"),
    )
}

pub fn recursive_invocation() -> ApiError {
    user(
        400,
        "RecursiveInvocationException",
        "Lambda has detected your function being invoked in a recursive loop with other AWS resources and stopped it.",
    )
}

pub fn provisioned_not_found(arn: &str) -> ApiError {
    user(
        404,
        "ProvisionedConcurrencyConfigNotFoundException",
        format!("No Provisioned Concurrency Config found for this function: {arn}"),
    )
}

pub fn bad_payload(reason: &str) -> ApiError {
    user(400, "InvalidRequestContentException", format!("Could not parse request body into json: {reason}"))
}

pub fn bad_client_context(reason: &str) -> ApiError {
    user(
        400,
        "InvalidRequestContentException",
        format!("Client context must be a valid Base64-encoded JSON object. {reason}"),
    )
}

/// What a caller sees when the function did not run.
pub fn from_invoke(error: InvokeError) -> ApiError {
    match error {
        InvokeError::NotFound { arn } => function_not_found(&arn),
        InvokeError::AccessDenied { message } => access_denied(message),
        InvokeError::NotReady { state, reason } => conflict(format!(
            "The operation cannot be performed at this time. The function is currently in the following state: {state}. {reason}"
        )),
        InvokeError::Throttled { reason } => user(429, "TooManyRequestsException", "Rate Exceeded.")
            .with("Reason", reason)
            .with("retryAfterSeconds", "1"),
        InvokeError::TooLarge { size, max } => payload_too_large(size, max),
        InvokeError::Tenant { message } => invalid_parameter(message),
        InvokeError::InvalidRuntime { message } => user(502, "InvalidRuntimeException", message),
        InvokeError::InvalidCode { message } => user(502, "InvalidZipFileException", message),
        InvokeError::Draining => service(503, "ServiceException", "The platform is shutting down."),
        InvokeError::Internal { message } => {
            tracing::error!(%message, "an invocation failed in the platform");
            service(500, "ServiceException", "The platform failed to run the function.")
        }
    }
}

/// The store failed. The chain goes into the log, the client gets one sentence.
pub fn storage(doing: &'static str, error: &cumulet_store::Error) -> ApiError {
    if let cumulet_store::Error::TooLarge { size, max, .. } = error {
        return invalid_parameter(format!(
            "The function's configuration, tags and policy together have {size} bytes, more than {max}"
        ));
    }
    tracing::error!(doing, %error, "the function store failed");
    service(500, "ServiceException", format!("{doing} failed"))
}

/// The blob store failed.
pub fn blobs(doing: &'static str, error: &str) -> ApiError {
    tracing::error!(doing, error, "the code store failed");
    service(500, "ServiceException", format!("{doing} failed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invocation_failures() {
        let arn = "arn:x".to_owned();
        let text = || "m".to_owned();
        for (error, status, code) in [
            (InvokeError::NotFound { arn }, 404, "ResourceNotFoundException"),
            (InvokeError::Throttled { reason: "R" }, 429, "TooManyRequestsException"),
            (InvokeError::NotReady { state: text(), reason: text() }, 409, "ResourceConflictException"),
            (InvokeError::InvalidRuntime { message: text() }, 502, "InvalidRuntimeException"),
            (InvokeError::InvalidCode { message: text() }, 502, "InvalidZipFileException"),
            (InvokeError::Draining, 503, "ServiceException"),
        ] {
            let seen = from_invoke(error);
            assert_eq!((seen.status, seen.code.as_str()), (status, code));
        }
    }
}
