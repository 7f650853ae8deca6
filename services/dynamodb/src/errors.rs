//! The one table from DynamoDB's failures to AWS's codes, statuses and sentences.

use cumulet_wire::error::ApiError;

/// AWS's clients tell exceptions by the part after the `#`.
pub const NAMESPACE: &str = "com.amazonaws.dynamodb.v20120810#";

pub fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "ValidationException", message)
}

/// A parameter as AWS complains about most of them.
pub fn parameter(message: impl std::fmt::Display) -> ApiError {
    invalid(format!("One or more parameter values were invalid: {message}"))
}

pub fn no_table() -> ApiError {
    ApiError::new(400, "ResourceNotFoundException", "Requested resource not found")
}

pub fn no_table_named(name: &str) -> ApiError {
    ApiError::new(400, "ResourceNotFoundException", format!("Requested resource not found: Table: {name} not found"))
}

pub fn no_resource(arn: &str) -> ApiError {
    let text = format!("Requested resource not found: ResourcArn: {arn} not found");
    ApiError::new(400, "ResourceNotFoundException", text)
}

pub fn no_stream(arn: &str) -> ApiError {
    let text = format!("Requested resource not found: Stream: {arn} not found");
    ApiError::new(400, "ResourceNotFoundException", text)
}

pub fn no_index(name: &str) -> ApiError {
    invalid(format!("The table does not have the specified index: {name}"))
}

pub fn no_index_to_change(name: &str) -> ApiError {
    let text = format!("Requested resource not found: The table does not have the specified index: {name}");
    ApiError::new(400, "ResourceNotFoundException", text)
}

pub fn table_exists(name: &str) -> ApiError {
    ApiError::new(400, "ResourceInUseException", format!("Table already exists: {name}"))
}

pub fn restore_target_exists(name: &str) -> ApiError {
    ApiError::new(400, "TableAlreadyExistsException", format!("Table already exists: {name}"))
}

pub fn restore_source_absent(name: &str) -> ApiError {
    ApiError::new(400, "TableNotFoundException", format!("Table not found: {name}"))
}

pub fn table_busy(name: &str) -> ApiError {
    let text = format!("Attempt to change a resource which is still in use: Table is being updated: {name}");
    ApiError::new(400, "ResourceInUseException", text)
}

pub fn limit(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "LimitExceededException", message)
}

pub fn condition() -> ApiError {
    ApiError::new(400, "ConditionalCheckFailedException", "The conditional request failed")
}

pub fn duplicate() -> ApiError {
    ApiError::new(400, "DuplicateItemException", "Duplicate primary key exists in table")
}

/// Why one statement of a batch failed: the code that AWS gives it there.
pub fn of_statement(error: &ApiError) -> &'static str {
    match error.code.as_str() {
        "ConditionalCheckFailedException" => "ConditionalCheckFailed",
        "DuplicateItemException" => "DuplicateItem",
        "ProvisionedThroughputExceededException" => "ProvisionedThroughputExceeded",
        "ResourceNotFoundException" => "ResourceNotFound",
        "InternalServerError" => "InternalServerError",
        _ => "ValidationError",
    }
}

pub fn throughput() -> ApiError {
    let text = "The level of configured provisioned throughput for the table was exceeded. \
                Consider increasing your provisioning level with the UpdateTable API.";
    ApiError::new(400, "ProvisionedThroughputExceededException", text)
}

pub fn index_throughput() -> ApiError {
    let text = "The level of configured provisioned throughput for one or more global secondary indexes of the table was \
                exceeded. Consider increasing your provisioning level for the under-provisioned global secondary indexes \
                with the UpdateTable API";
    ApiError::new(400, "ProvisionedThroughputExceededException", text)
}

pub fn cancelled(reasons: Vec<serde_json::Value>) -> ApiError {
    let codes: Vec<&str> = reasons.iter().map(|reason| reason["Code"].as_str().unwrap_or("None")).collect();
    let text =
        format!("Transaction cancelled, please refer cancellation reasons for specific reasons [{}]", codes.join(", "));
    // The message is capitalised on the wire, beside the usual one.
    ApiError::new(400, "TransactionCanceledException", text.clone())
        .with("Message", text)
        .with("CancellationReasons", reasons)
}

pub fn token_mismatch() -> ApiError {
    let text = "Request parameters do not match those of the earlier request with the same client token";
    ApiError::new(400, "IdempotentParameterMismatchException", text)
}

pub fn item_too_large() -> ApiError {
    invalid("Item size has exceeded the maximum allowed size")
}

pub fn updated_item_too_large() -> ApiError {
    invalid("Item size to update has exceeded the maximum allowed size")
}

pub fn key_schema() -> ApiError {
    invalid("The provided key element does not match the schema")
}

pub fn start_key() -> ApiError {
    invalid("The provided starting key is invalid")
}

pub fn no_policy() -> ApiError {
    let text = "Resource-based policy not found for the provided ResourceArn";
    ApiError::new(400, "PolicyNotFoundException", text)
}

pub fn no_backup(arn: &str) -> ApiError {
    ApiError::new(400, "BackupNotFoundException", format!("Backup not found: {arn}"))
}

pub fn backup_busy(arn: &str) -> ApiError {
    let text = format!("Backup {arn} is being used by another operation");
    ApiError::new(400, "BackupInUseException", text)
}

pub fn no_recovery(name: &str) -> ApiError {
    let text = format!("Point in time recovery is not enabled for table '{name}'");
    ApiError::new(400, "PointInTimeRecoveryUnavailableException", text)
}

pub fn export_time() -> ApiError {
    let text = "The export time must lie between EarliestRestorableDateTime and LatestRestorableDateTime";
    ApiError::new(400, "InvalidExportTimeException", text)
}

pub fn no_export(arn: &str) -> ApiError {
    ApiError::new(400, "ExportNotFoundException", format!("Export not found: {arn}"))
}

pub fn export_conflict() -> ApiError {
    let text =
        "There was a conflict when writing to the specified S3 bucket: the client token was used with other parameters";
    ApiError::new(400, "ExportConflictException", text)
}

pub fn export_source_absent(arn: &str) -> ApiError {
    ApiError::new(400, "TableNotFoundException", format!("Table not found: {arn}"))
}

pub fn restore_time() -> ApiError {
    let text = "The restore time must lie between EarliestRestorableDateTime and LatestRestorableDateTime";
    ApiError::new(400, "InvalidRestoreTimeException", text)
}

pub fn expired_iterator() -> ApiError {
    ApiError::new(
        400,
        "ExpiredIteratorException",
        "Iterator expired. The iterator was created more than 15 minutes ago.",
    )
}

pub fn trimmed() -> ApiError {
    let text = "The operation attempted to read past the oldest stream record in a shard.";
    ApiError::new(400, "TrimmedDataAccessException", text)
}

pub fn not_built(feature: &str) -> ApiError {
    ApiError::new(501, "NotImplemented", format!("not implemented: dynamodb: {feature}"))
}

pub fn internal(message: impl Into<String>) -> ApiError {
    ApiError::new(500, "InternalServerError", message)
}

/// The store failed. The chain goes into the log, the client gets one sentence.
pub fn storage(doing: &'static str, error: &cumulet_store::Error) -> ApiError {
    tracing::error!(doing, %error, "the table store failed");
    internal(format!("{doing} failed"))
}
