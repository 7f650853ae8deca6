//! The one table from SNS's failures to AWS's codes, statuses and sentences.

use cumulet_wire::error::ApiError;

pub fn invalid(what: impl std::fmt::Display) -> ApiError {
    ApiError::new(400, "InvalidParameter", format!("Invalid parameter: {what}"))
}

pub fn invalid_value(what: impl std::fmt::Display) -> ApiError {
    ApiError::new(400, "ParameterValueInvalid", format!("Invalid parameter value: {what}"))
}

pub fn no_topic() -> ApiError {
    ApiError::new(404, "NotFound", "Topic does not exist")
}

pub fn no_subscription() -> ApiError {
    ApiError::new(404, "NotFound", "Subscription does not exist")
}

/// Tags have an error of their own for what is not there.
pub fn no_resource() -> ApiError {
    ApiError::new(404, "ResourceNotFound", "Resource does not exist")
}

pub fn too_many_tags() -> ApiError {
    ApiError::new(400, "TagLimitExceeded", "Could not complete request: tag quota of per resource exceeded")
}

pub fn too_many_topics() -> ApiError {
    ApiError::new(403, "TopicLimitExceeded", "Topic limit exceeded")
}

pub fn too_many_filters() -> ApiError {
    ApiError::new(403, "FilterPolicyLimitExceeded", "Filter policy limit exceeded for the topic")
}

pub fn not_authorized(message: &str) -> ApiError {
    ApiError::new(403, "AuthorizationError", message)
}

pub fn empty_batch() -> ApiError {
    ApiError::new(400, "EmptyBatchRequest", "The batch request doesn't contain any entries.")
}

pub fn too_many_entries() -> ApiError {
    ApiError::new(400, "TooManyEntriesInBatchRequest", "The batch request contains more entries than permissible.")
}

pub fn not_distinct() -> ApiError {
    let text = "Two or more batch entries in the request have the same Id.";
    ApiError::new(400, "BatchEntryIdsNotDistinct", text)
}

pub fn batch_id() -> ApiError {
    let text = "The Id of a batch entry in a batch request doesn't abide by the specification.";
    ApiError::new(400, "InvalidBatchEntryId", text)
}

pub fn batch_too_long() -> ApiError {
    let text = "The length of all the batch messages put together is more than the limit.";
    ApiError::new(400, "BatchRequestTooLong", text)
}

pub fn not_built(feature: impl std::fmt::Display) -> ApiError {
    ApiError::new(501, "NotImplemented", format!("not implemented: sns: {feature}"))
}

/// The store failed. The chain goes into the log, the client gets one sentence.
pub fn storage(doing: &'static str, error: &cumulet_store::Error) -> ApiError {
    tracing::error!(doing, %error, "the topic store failed");
    ApiError::new(500, "InternalError", format!("{doing} failed"))
}
