//! The one table from IAM's failures to AWS's codes, statuses and sentences
//! (<https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html> and the operations' own).

use cumulet_wire::error::ApiError;

pub fn inline_policy_not_found(noun: &str, name: &str) -> ApiError {
    no_such_entity(format!("The {noun} policy with name {name} cannot be found."))
}

pub fn no_such_entity(message: impl Into<String>) -> ApiError {
    ApiError::new(404, "NoSuchEntity", message)
}

pub fn already_exists(message: impl Into<String>) -> ApiError {
    ApiError::new(409, "EntityAlreadyExists", message)
}

pub fn delete_conflict(message: &str) -> ApiError {
    ApiError::new(409, "DeleteConflict", message)
}

pub fn concurrent_modification() -> ApiError {
    ApiError::new(409, "ConcurrentModification", "It is being changed by other requests. Try again.")
}

pub fn limit_exceeded(message: impl Into<String>) -> ApiError {
    ApiError::new(409, "LimitExceeded", message)
}

pub fn malformed_policy(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "MalformedPolicyDocument", message)
}

pub fn invalid_input(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "InvalidInput", message)
}

pub fn access_denied(caller: &str, action: &str, resource: &str, is_explicit: bool) -> ApiError {
    let reason = if is_explicit {
        "with an explicit deny in an identity-based policy".to_owned()
    } else {
        format!("because no identity-based policy allows the {action} action")
    };
    ApiError::new(
        403,
        "AccessDeniedException",
        format!("User: {caller} is not authorized to perform: {action} on resource: {resource} {reason}"),
    )
}

/// The store failed. The chain goes into the log, the client gets one sentence.
pub fn storage(doing: &'static str, error: &cumulet_store::Error) -> ApiError {
    if let cumulet_store::Error::TooLarge { size, max, .. } = error {
        return limit_exceeded(format!("The row has {size} bytes in all, more than {max}"));
    }
    tracing::error!(doing, %error, "the store of identities failed");
    ApiError::new(500, "ServiceFailure", format!("{doing} failed"))
}
