//! The one table from SQS's failures to AWS's codes, statuses and sentences.

use cumulet_wire::error::ApiError;

pub fn no_queue() -> ApiError {
    ApiError::new(400, "QueueDoesNotExist", "The specified queue does not exist.")
}

pub fn queue_exists(attribute: &str) -> ApiError {
    let text = format!("A queue already exists with the same name and a different value for attribute {attribute}");
    ApiError::new(400, "QueueNameExists", text)
}

pub fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "InvalidParameterValue", message)
}

pub fn missing(member: &str) -> ApiError {
    ApiError::new(400, "MissingParameter", format!("The request must contain the parameter {member}."))
}

pub fn unknown_attribute(name: &str) -> ApiError {
    ApiError::new(400, "InvalidAttributeName", format!("Unknown Attribute {name}."))
}

pub fn attribute_value(name: &str) -> ApiError {
    ApiError::new(400, "InvalidAttributeValue", format!("Invalid value for the parameter {name}."))
}

pub fn contents() -> ApiError {
    ApiError::new(400, "InvalidMessageContents", "The message holds characters outside the allowed set.")
}

pub fn receipt(handle: &str) -> ApiError {
    let text = format!("The input receipt handle \"{handle}\" is not a valid receipt handle.");
    ApiError::new(400, "ReceiptHandleIsInvalid", text)
}

pub fn expired_receipt(handle: &str) -> ApiError {
    invalid(format!("Value {handle} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired."))
}

pub fn not_in_flight() -> ApiError {
    ApiError::new(400, "MessageNotInflight", "The message referred to is not in flight.")
}

pub fn purging() -> ApiError {
    let text = "Only one PurgeQueue operation on a queue is allowed every 60 seconds.";
    ApiError::new(403, "PurgeQueueInProgress", text)
}

pub fn empty_batch() -> ApiError {
    ApiError::new(400, "EmptyBatchRequest", "There should be at least one entry in the request.")
}

pub fn too_many(count: usize) -> ApiError {
    let text = format!("Maximum number of entries per request are 10. You have sent {count}.");
    ApiError::new(400, "TooManyEntriesInBatchRequest", text)
}

pub fn not_distinct(id: &str) -> ApiError {
    ApiError::new(400, "BatchEntryIdsNotDistinct", format!("Id {id} repeated."))
}

pub fn batch_id() -> ApiError {
    let text = "A batch entry id can only contain alphanumeric characters, hyphens and underscores. \
                It can be at most 80 letters long.";
    ApiError::new(400, "InvalidBatchEntryId", text)
}

pub fn batch_too_long(max: usize, bytes: usize) -> ApiError {
    let text = format!("Batch requests cannot be longer than {max} bytes. You have sent {bytes} bytes.");
    ApiError::new(400, "BatchRequestTooLong", text)
}

pub fn not_for_this_queue(member: &str, value: &str) -> ApiError {
    invalid(format!(
        "Value {value} for parameter {member} is invalid. Reason: The request include parameter that is not valid for this \
         queue type."
    ))
}

pub fn redrive_policy(reason: &str) -> ApiError {
    invalid(format!("Value for parameter RedrivePolicy is invalid. Reason: {reason}"))
}

pub fn no_resource(message: &str) -> ApiError {
    ApiError::new(404, "ResourceNotFoundException", message)
}

pub fn unsupported(message: &str) -> ApiError {
    ApiError::new(400, "UnsupportedOperation", message)
}

pub fn over_limit(message: &str) -> ApiError {
    ApiError::new(403, "OverLimit", message)
}

/// How errors are called in the older protocol, and shown by clients of either, where that differs.
pub const OLDER: &[(&str, &str)] = &[
    ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"),
    ("QueueNameExists", "QueueAlreadyExists"),
    ("PurgeQueueInProgress", "AWS.SimpleQueueService.PurgeQueueInProgress"),
    ("BatchEntryIdsNotDistinct", "AWS.SimpleQueueService.BatchEntryIdsNotDistinct"),
    ("BatchRequestTooLong", "AWS.SimpleQueueService.BatchRequestTooLong"),
    ("EmptyBatchRequest", "AWS.SimpleQueueService.EmptyBatchRequest"),
    ("InvalidBatchEntryId", "AWS.SimpleQueueService.InvalidBatchEntryId"),
    ("MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight"),
    ("TooManyEntriesInBatchRequest", "AWS.SimpleQueueService.TooManyEntriesInBatchRequest"),
    ("UnsupportedOperation", "AWS.SimpleQueueService.UnsupportedOperation"),
];

/// The store failed. The chain goes into the log, the client gets one sentence.
pub fn storage(doing: &'static str, error: &cumulet_store::Error) -> ApiError {
    tracing::error!(doing, %error, "the queue store failed");
    ApiError::new(500, "InternalFailure", format!("{doing} failed"))
}
