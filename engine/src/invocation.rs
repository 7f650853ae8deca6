//! What goes into an invocation and what comes out of it.

use bytes::Bytes;

use crate::stream::Sink;

/// One event for one function.
#[derive(Clone, Debug, Default)]
pub struct Invocation {
    pub request_id: String,
    pub payload: Bytes,
    /// The ARN as the caller used it, with a qualifier where there was one.
    pub invoked_arn: String,
    /// X-Ray trace header.
    pub trace: String,
    /// JSON, decoded from `X-Amz-Client-Context`.
    pub client_context: Option<String>,
    /// Whose instances may serve it, where the function keeps its tenants apart.
    pub tenant: Option<String>,
    /// Where a streamed answer goes; without it, it is collected.
    pub sink: Option<Sink>,
}

/// The function ran, or could not be initialised; either way the caller gets an answer.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The function's answer, or the error object in JSON; empty where the answer was streamed whole.
    pub payload: Bytes,
    /// `Unhandled` when the payload is an error object.
    pub function_error: Option<&'static str>,
    pub executed_version: String,
    /// The last 4 KiB of the invocation's log.
    pub log_tail: Bytes,
    /// Duration of the handler in microseconds.
    pub duration_us: u64,
}

impl InvokeError {
    /// The refusal of an event without a tenant, or with one that the function has no use for.
    pub fn of_tenant(is_isolated: bool) -> InvokeError {
        InvokeError::Tenant {
            message: if is_isolated {
                "The invoked function is enabled with tenancy configuration. Add a valid tenant ID in your request and try again."
            } else {
                "The invoked function is not enabled with tenancy configuration. Remove the tenant ID in your request and try again."
            },
        }
    }
}

/// The function did not run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvokeError {
    #[error("function not found: {arn}")]
    NotFound { arn: String },
    #[error("{message}")]
    AccessDenied { message: String },
    /// The function exists but cannot be invoked in its present state.
    #[error("the function is in state {state}: {reason}")]
    NotReady { state: String, reason: String },
    /// `reason` is Lambda's `ThrottleReason`, such as `ReservedFunctionConcurrentInvocationLimitExceeded`.
    #[error("Rate Exceeded.")]
    Throttled { reason: &'static str },
    #[error("the payload has {size} bytes, more than {max}")]
    TooLarge { size: usize, max: usize },
    /// A function that keeps its tenants apart needs to know whose the event is, and any other has no use for it.
    #[error("{message}")]
    Tenant { message: &'static str },
    /// The configured runtime is not on this machine.
    #[error("{message}")]
    InvalidRuntime { message: String },
    /// The zip cannot be unpacked.
    #[error("{message}")]
    InvalidCode { message: String },
    /// The platform is shutting down.
    #[error("the platform is shutting down")]
    Draining,
    #[error("{message}")]
    Internal { message: String },
}
