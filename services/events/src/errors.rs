//! The one table from EventBridge's failures to AWS's codes, statuses and sentences
//! (<https://docs.aws.amazon.com/eventbridge/latest/APIReference/CommonErrors.html> and the pages of the operations).

use cumulet_wire::error::ApiError;

pub fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "ValidationException", message)
}

pub fn parameter(name: &str, reason: &str) -> ApiError {
    invalid(format!("Parameter {name} is not valid. Reason: {reason}"))
}

pub fn pattern(reason: &str) -> ApiError {
    ApiError::new(400, "InvalidEventPatternException", format!("Event pattern is not valid. Reason: {reason}"))
}

pub fn not_found(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "ResourceNotFoundException", message)
}

pub fn no_bus(name: &str) -> ApiError {
    not_found(format!("Event bus {name} does not exist."))
}

pub fn no_rule(rule: &str, bus: &str) -> ApiError {
    not_found(format!("Rule {rule} does not exist on EventBus {bus}."))
}

pub fn exists(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "ResourceAlreadyExistsException", message)
}

pub fn illegal_status(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "IllegalStatusException", message)
}

pub fn limit(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "LimitExceededException", message)
}

pub fn policy_too_long() -> ApiError {
    ApiError::new(400, "PolicyLengthExceededException", "The event bus policy is too long.")
}

pub fn concurrent(what: &str) -> ApiError {
    ApiError::new(400, "ConcurrentModificationException", format!("{what} was modified concurrently."))
}

/// A feature of EventBridge that this cloud does not have.
pub fn not_built(feature: &str) -> ApiError {
    ApiError::new(501, "NotImplemented", format!("not implemented: events: {feature}"))
}

/// The store failed. The chain goes into the log, the client gets one sentence.
pub fn storage(doing: &'static str, error: &cumulet_store::Error) -> ApiError {
    tracing::error!(doing, %error, "the store of buses failed");
    ApiError::new(500, "InternalException", format!("{doing} failed"))
}
