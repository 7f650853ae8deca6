//! The one table from CloudWatch's failures to AWS's codes, statuses and sentences. Codes are those of the newer
//! protocols; [`OLDER`] has the older one's, which programs go on to be shown.

use cumulet_wire::error::ApiError;

pub const OLDER: &[(&str, &str)] = &[
    ("DashboardInvalidInputError", "InvalidParameterInput"),
    ("DashboardNotFoundError", "ResourceNotFound"),
    ("InternalServiceFault", "InternalServiceError"),
    ("InvalidParameterCombinationException", "InvalidParameterCombination"),
    ("InvalidParameterValueException", "InvalidParameterValue"),
    ("LimitExceededFault", "LimitExceeded"),
    ("MissingRequiredParameterException", "MissingParameter"),
];

pub fn no_alarm(name: &str) -> ApiError {
    ApiError::new(404, "ResourceNotFound", format!("Alarm {name} does not exist"))
}

pub fn no_dashboard(name: &str) -> ApiError {
    ApiError::new(404, "DashboardNotFoundError", format!("Dashboard {name} does not exist"))
}

pub fn no_resource(arn: &str) -> ApiError {
    ApiError::new(404, "ResourceNotFoundException", format!("{arn} does not exist"))
}

pub fn validation(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "ValidationError", message)
}

pub fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "InvalidParameterValueException", message)
}

pub fn combination(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "InvalidParameterCombinationException", message)
}

pub fn missing(member: &str) -> ApiError {
    ApiError::new(400, "MissingRequiredParameterException", format!("The parameter {member} is required."))
}

pub fn token() -> ApiError {
    ApiError::new(400, "InvalidNextToken", "Invalid token")
}

pub fn dashboard(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "DashboardInvalidInputError", message)
}

pub fn limit(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "LimitExceededFault", message)
}

pub fn busy() -> ApiError {
    ApiError::new(500, "InternalServiceFault", "It is being changed by other requests. Try again.")
}

pub fn ended() -> ApiError {
    ApiError::new(500, "InternalServiceFault", "The service is ending. Try again.")
}

/// The store failed. The chain goes into the log, the client gets one sentence.
pub fn storage(doing: &'static str, error: &dyn std::fmt::Display) -> ApiError {
    tracing::error!(doing, %error, "CloudWatch's store failed");
    ApiError::new(500, "InternalServiceFault", format!("{doing} failed"))
}
