//! What could not be delivered, put into a queue with the reason as attributes.

use cumulet_wire::auth::Caller;
use cumulet_wire::client::Client;
use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};

use crate::target::{self, Parcel};

/// SQS takes no longer texts as attributes' values here than it is worth to read.
const MESSAGE_CHARS_MAX: usize = 1024;

/// The class AWS sorts an error into.
pub fn code(error: &ApiError) -> &'static str {
    match error.code.as_str() {
        "AccessDenied" | "AccessDeniedException" | "AuthorizationError" | "AuthorizationErrorException" => {
            "NO_PERMISSIONS"
        }
        "ThrottlingException" | "Throttling" | "RequestLimitExceeded" | "TooManyRequestsException" => "THROTTLING",
        code if code.contains("NotFound") || code.contains("DoesNotExist") || code.contains("NonExistent") => {
            "NO_RESOURCE"
        }
        _ if error.status >= 500 => "INTERNAL_ERROR",
        _ => "SDK_CLIENT_ERROR",
    }
}

/// # Errors
/// The queue's.
pub async fn bury(
    client: &Client,
    caller: &Caller,
    queue_arn: &str,
    body: &str,
    error: &ApiError,
    attributes: &[(&str, String)],
) -> Result<(), ApiError> {
    let message: String = error.message.chars().take(MESSAGE_CHARS_MAX).collect();
    let own = [("ERROR_CODE", code(error).to_owned()), ("ERROR_MESSAGE", message)];
    let all: Map<String, Value> = own
        .iter()
        .chain(attributes)
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| ((*name).to_owned(), json!({"DataType": "String", "StringValue": value})))
        .collect();
    let mut parcel = Parcel::new(body.to_owned());
    parcel.attributes = Some(all.into());
    target::deliver(client, caller, queue_arn, &parcel).await.map(drop)
}
