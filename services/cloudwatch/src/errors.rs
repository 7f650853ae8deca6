//! The one table from CloudWatch's failures to AWS's codes, statuses and sentences.

use cumulet_wire::error::ApiError;

pub fn not_found(what: &str) -> ApiError {
    ApiError::new(404, "ResourceNotFound", format!("{what} does not exist"))
}

pub fn no_resource(arn: &str) -> ApiError {
    ApiError::new(404, "ResourceNotFoundException", format!("{arn} does not exist"))
}

pub fn validation(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "ValidationError", message)
}

pub fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "InvalidParameterValue", message)
}

pub fn combination(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "InvalidParameterCombination", message)
}

pub fn missing(member: &str) -> ApiError {
    ApiError::new(400, "MissingParameter", format!("The parameter {member} is required."))
}

pub fn token() -> ApiError {
    ApiError::new(400, "InvalidNextToken", "Invalid token")
}

pub fn dashboard(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "InvalidParameterInput", message)
}

pub fn limit(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "LimitExceeded", message)
}

pub fn busy() -> ApiError {
    ApiError::new(500, "InternalServiceFault", "It is being changed by other requests. Try again.")
}

/// The store failed. The chain goes into the log, the client gets one sentence.
pub fn storage(doing: &'static str, error: &dyn std::fmt::Display) -> ApiError {
    tracing::error!(doing, %error, "the store of alarms failed");
    ApiError::new(500, "InternalServiceFault", format!("{doing} failed"))
}
