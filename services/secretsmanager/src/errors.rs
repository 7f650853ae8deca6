//! The one table from Secrets Manager's failures to AWS's codes, statuses and sentences.

use cumulet_wire::error::ApiError;

fn of(code: &str, message: impl Into<String>) -> ApiError {
    ApiError::new(400, code, message)
}

pub fn not_found() -> ApiError {
    of("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
}

/// `what`: `staging label: AWSCURRENT`, `VersionId: …`.
pub fn no_value(what: &str) -> ApiError {
    let text = format!("Secrets Manager can't find the specified secret value for {what}");
    of("ResourceNotFoundException", text)
}

pub fn invalid_parameter(message: impl Into<String>) -> ApiError {
    of("InvalidParameterException", message)
}

pub fn invalid_request(message: impl Into<String>) -> ApiError {
    of("InvalidRequestException", message)
}

pub fn marked_for_deletion() -> ApiError {
    invalid_request("You can't perform this operation on the secret because it was marked for deletion.")
}

pub fn name_marked_for_deletion() -> ApiError {
    invalid_request("You can't create this secret because a secret with this name is already scheduled for deletion.")
}

pub fn exists(name: &str) -> ApiError {
    of("ResourceExistsException", format!("The operation failed because the secret {name} already exists."))
}

pub fn token_in_use(token: &str, name: &str) -> ApiError {
    let text = format!(
        "You can't use ClientRequestToken {token} because that value is already in use for a version of secret {name}."
    );
    of("ResourceExistsException", text)
}

pub fn limit(message: impl Into<String>) -> ApiError {
    of("LimitExceededException", message)
}

pub fn malformed_policy(message: impl Into<String>) -> ApiError {
    of("MalformedPolicyDocumentException", message)
}

pub fn public_policy() -> ApiError {
    of("PublicPolicyException", "You can't attach a resource policy that allows broad access to the secret.")
}

pub fn invalid_token() -> ApiError {
    of("InvalidNextTokenException", "The NextToken value is invalid.")
}

pub fn decryption() -> ApiError {
    of("DecryptionFailure", "Secrets Manager can't decrypt the protected secret text using the installation's secret.")
}

pub fn busy() -> ApiError {
    invalid_request("The secret is being changed by other requests. Try again.")
}

/// The store failed. The chain goes into the log, the client gets one sentence.
pub fn storage(doing: &'static str, error: &dyn std::fmt::Display) -> ApiError {
    tracing::error!(doing, %error, "the store of secrets failed");
    ApiError::new(500, "InternalServiceError", format!("{doing} failed"))
}
