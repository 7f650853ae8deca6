//! The one table from EventBridge Scheduler's failures to AWS's codes, statuses and sentences
//! (<https://docs.aws.amazon.com/scheduler/latest/APIReference/CommonErrors.html> and the pages of the operations).

use cumulet_wire::error::ApiError;

pub fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "ValidationException", message)
}

fn not_found(message: impl Into<String>) -> ApiError {
    ApiError::new(404, "ResourceNotFoundException", message)
}

pub fn no_schedule(name: &str) -> ApiError {
    not_found(format!("Schedule {name} does not exist."))
}

pub fn no_group(name: &str) -> ApiError {
    not_found(format!("Schedule group {name} does not exist."))
}

pub fn conflict(message: impl Into<String>) -> ApiError {
    ApiError::new(409, "ConflictException", message)
}

pub fn quota(message: impl Into<String>) -> ApiError {
    ApiError::new(402, "ServiceQuotaExceededException", message)
}

pub fn role() -> ApiError {
    invalid("The execution role you provide must allow AWS EventBridge Scheduler to assume the role.")
}

/// A feature of EventBridge Scheduler that this cloud does not have.
pub fn not_built(feature: &str) -> ApiError {
    ApiError::new(501, "NotImplemented", format!("not implemented: scheduler: {feature}"))
}

/// The store failed. The chain goes into the log, the client gets one sentence.
pub fn storage(doing: &'static str, error: &cumulet_store::Error) -> ApiError {
    tracing::error!(doing, %error, "the store of schedules failed");
    ApiError::new(500, "InternalServerException", format!("{doing} failed"))
}
