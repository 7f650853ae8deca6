//! The one table from CloudWatch Logs' failures to AWS's codes, statuses and sentences.

use cumulet_wire::error::ApiError;

pub fn group_not_found() -> ApiError {
    not_found("The specified log group does not exist.")
}

pub fn stream_not_found() -> ApiError {
    not_found("The specified log stream does not exist.")
}

fn not_found(message: &str) -> ApiError {
    ApiError::new(400, "ResourceNotFoundException", message)
}

pub fn filter_not_found(what: &str) -> ApiError {
    not_found(&format!("The specified {what} does not exist."))
}

pub fn policy_not_found() -> ApiError {
    not_found("Policy with name does not exist.")
}

pub fn limit() -> ApiError {
    ApiError::new(400, "LimitExceededException", "Resource limit exceeded.")
}

pub fn exists(what: &str) -> ApiError {
    ApiError::new(400, "ResourceAlreadyExistsException", format!("The specified {what} already exists"))
}

pub fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "InvalidParameterException", message)
}

pub fn aborted() -> ApiError {
    ApiError::new(
        400,
        "OperationAbortedException",
        "A conflicting operation is currently in progress against this resource. Please try again.",
    )
}

pub fn not_built(feature: &str) -> ApiError {
    ApiError::new(501, "NotImplemented", format!("not implemented: logs: {feature}"))
}

/// The store failed. The chain goes into the log, the client gets one sentence.
pub fn storage(doing: &'static str, error: &cumulet_store::Error) -> ApiError {
    tracing::error!(doing, %error, "the log store failed");
    ApiError::new(500, "ServiceUnavailableException", format!("{doing} failed"))
}
