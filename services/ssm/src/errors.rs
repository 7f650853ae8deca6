//! The one table from the parameter store's failures to AWS's codes, statuses and sentences.

use cumulet_wire::error::ApiError;

pub fn not_found(name: &str) -> ApiError {
    ApiError::new(400, "ParameterNotFound", format!("Parameter {name} not found."))
}

pub fn version_not_found(name: &str) -> ApiError {
    ApiError::new(
        400,
        "ParameterVersionNotFound",
        format!("Systems Manager could not find version of {name}. Verify the version and try again."),
    )
}

pub fn already_exists() -> ApiError {
    ApiError::new(
        400,
        "ParameterAlreadyExists",
        "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.",
    )
}

pub fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "ValidationException", message)
}

pub fn unsupported_type(kind: &str) -> ApiError {
    ApiError::new(400, "UnsupportedParameterType", format!("The parameter type {kind} is not supported."))
}

pub fn invalid_pattern(pattern: &str) -> ApiError {
    ApiError::new(400, "InvalidAllowedPatternException", format!("{pattern} is not a pattern that can be used."))
}

pub fn pattern_mismatch(pattern: &str) -> ApiError {
    ApiError::new(
        400,
        "ParameterPatternMismatchException",
        format!("Parameter value, cannot be validated against allowedPattern: {pattern}"),
    )
}

pub fn hierarchy_too_deep() -> ApiError {
    ApiError::new(400, "HierarchyLevelLimitExceededException", "Hierarchy depth exceeds the maximum of 15 levels.")
}

pub fn too_many_parameters() -> ApiError {
    ApiError::new(400, "ParameterLimitExceeded", "There are as many parameters as there may be.")
}

pub fn oldest_is_labelled() -> ApiError {
    ApiError::new(
        400,
        "ParameterMaxVersionLimitExceeded",
        "The oldest of the versions has a label, and cannot make room for another.",
    )
}

pub fn too_many_labels() -> ApiError {
    ApiError::new(400, "ParameterVersionLabelLimitExceeded", "A version can have at most 10 labels.")
}

pub fn too_many_tags() -> ApiError {
    ApiError::new(400, "TooManyTagsError", "A parameter can have at most 50 tags.")
}

pub fn invalid_resource_type() -> ApiError {
    ApiError::new(400, "InvalidResourceType", "not implemented: tags of anything but parameters")
}

pub fn invalid_resource(id: &str) -> ApiError {
    ApiError::new(400, "InvalidResourceId", format!("The resource {id} does not exist."))
}

pub fn invalid_filter(key: &str) -> ApiError {
    ApiError::new(400, "InvalidFilterKey", format!("The filter key {key} is not valid."))
}

pub fn invalid_token() -> ApiError {
    ApiError::new(400, "InvalidNextToken", "The specified token is not valid.")
}

pub fn too_many_updates() -> ApiError {
    ApiError::new(400, "TooManyUpdates", "The parameter is being changed by other requests. Try again.")
}

/// The store failed. The chain goes into the log, the client gets one sentence.
pub fn storage(doing: &'static str, error: &dyn std::fmt::Display) -> ApiError {
    tracing::error!(doing, %error, "the store of parameters failed");
    ApiError::new(500, "InternalServerError", format!("{doing} failed"))
}
