//! An error as AWS's clients see it. Services keep their tables of codes; this is the one shape they end in.

use serde_json::{Map, Value};

/// Code, status and message; `fields` are further members of the error shape, such as `Reason` or `Type`.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    pub code: String,
    pub message: String,
    pub status: u16,
    pub fields: Box<Map<String, Value>>,
}

impl ApiError {
    pub fn new(status: u16, code: &str, message: impl Into<String>) -> ApiError {
        ApiError { code: code.to_owned(), message: message.into(), status, fields: Box::default() }
    }

    #[must_use]
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> ApiError {
        self.fields.insert(field.to_owned(), value.into());
        self
    }

    /// Whose fault it is; 4xx is the sender's.
    pub fn is_senders(&self) -> bool {
        self.status < 500
    }

    /// The platform failed. The chain belongs into the log, the client gets one sentence.
    pub fn internal(message: impl Into<String>) -> ApiError {
        ApiError::new(500, "InternalFailure", message)
    }

    pub fn serialization(message: &str) -> ApiError {
        ApiError::new(400, "SerializationException", message)
    }

    /// What is not built yet says so by name.
    pub fn not_implemented(service: &str, operation: &str) -> ApiError {
        ApiError::new(501, "NotImplemented", format!("not implemented: {service}.{operation}"))
    }

    pub fn unknown_operation() -> ApiError {
        ApiError::new(404, "UnknownOperationException", "Unknown operation")
    }
}
