//! The one table from KMS's failures to AWS's codes, statuses and sentences.

use cumulet_wire::error::ApiError;

fn of(code: &str, message: impl Into<String>) -> ApiError {
    ApiError::new(400, code, message)
}

pub fn no_key(arn: &str) -> ApiError {
    of("NotFoundException", format!("Key '{arn}' does not exist"))
}

pub fn no_alias(arn: &str) -> ApiError {
    of("NotFoundException", format!("Alias {arn} is not found."))
}

pub fn no_grant(id: &str) -> ApiError {
    of("NotFoundException", format!("Grant ID {id} not found"))
}

pub fn validation(message: impl Into<String>) -> ApiError {
    of("ValidationException", message)
}

pub fn invalid_arn(text: &str) -> ApiError {
    of("InvalidArnException", format!("Invalid arn {text}"))
}

pub fn disabled(arn: &str) -> ApiError {
    of("DisabledException", format!("{arn} is disabled."))
}

pub fn pending_deletion(arn: &str) -> ApiError {
    of("KMSInvalidStateException", format!("{arn} is pending deletion."))
}

pub fn not_pending_deletion(arn: &str) -> ApiError {
    of("KMSInvalidStateException", format!("{arn} is not pending deletion."))
}

pub fn usage(arn: &str, usage: &str) -> ApiError {
    of("InvalidKeyUsageException", format!("{arn} key usage is {usage} which is not valid for this operation."))
}

pub fn unsupported(message: impl Into<String>) -> ApiError {
    of("UnsupportedOperationException", message)
}

pub fn ciphertext() -> ApiError {
    of("InvalidCiphertextException", "")
}

pub fn incorrect_key() -> ApiError {
    of("IncorrectKeyException", "The key ID in the request does not identify a CMK that can perform this operation.")
}

pub fn mac() -> ApiError {
    of("KMSInvalidMacException", "")
}

pub fn alias_exists(arn: &str) -> ApiError {
    of("AlreadyExistsException", format!("An alias with the name {arn} already exists"))
}

pub fn alias_name(message: impl Into<String>) -> ApiError {
    of("InvalidAliasNameException", message)
}

pub fn limit(message: impl Into<String>) -> ApiError {
    of("LimitExceededException", message)
}

pub fn malformed_policy(message: impl Into<String>) -> ApiError {
    of("MalformedPolicyDocumentException", message)
}

pub fn marker() -> ApiError {
    of("InvalidMarkerException", "Could not deserialize marker")
}

pub fn tag(message: impl Into<String>) -> ApiError {
    of("TagException", message)
}

pub fn dry_run() -> ApiError {
    ApiError::new(412, "DryRunOperationException", "The request would have succeeded, but the DryRun option is set.")
}

pub fn not_built(what: impl std::fmt::Display) -> ApiError {
    ApiError::not_implemented("kms", &what.to_string())
}

pub fn busy() -> ApiError {
    ApiError::new(500, "KMSInternalException", "The key is being changed by other requests. Try again.")
}

/// The store failed, or what it holds cannot be read. The chain goes into the log, the client gets one sentence.
pub fn storage(doing: &'static str, error: &dyn std::fmt::Display) -> ApiError {
    tracing::error!(doing, %error, "the store of keys failed");
    ApiError::new(500, "KMSInternalException", format!("{doing} failed"))
}
