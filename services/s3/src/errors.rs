//! The one table from what goes wrong below to S3's errors. Those that only one operation knows are made there.

use s3s::{S3Error, S3ErrorCode, s3_error};

/// What the store or the blobs answered; the chain goes into the log, the client gets one sentence.
pub fn internal(e: impl std::fmt::Display) -> S3Error {
    tracing::error!(error = %e, "an S3 request failed");
    s3_error!(InternalError, "We encountered an internal error. Please try again.")
}

pub fn blobs(e: cumulet_blobs::Error) -> S3Error {
    if e.is_full() { full(&e) } else { internal(e) }
}

/// The client may try again: it is for the operator to make room.
fn full(e: &dyn std::fmt::Display) -> S3Error {
    tracing::error!(error = %e, "there is no room left for objects");
    s3_error!(ServiceUnavailable, "There is no room left to store this. Please try again later.")
}

pub fn store(e: cumulet_store::Error) -> S3Error {
    match e {
        // SQLite's words, which is all that is left of it here.
        cumulet_store::Error::Backend { ref reason, .. } if reason.contains("disk is full") => full(&e),
        cumulet_store::Error::TooLarge { .. } => s3_error!(KeyTooLongError, "Your key is too long"),
        e => internal(e),
    }
}

/// A commit that may have happened or not, as any answer of 5xx may mean.
pub fn unknown() -> S3Error {
    tracing::error!("the store does not say what became of a commit");
    s3_error!(ServiceUnavailable, "The service cannot tell whether this was stored. Please try again.")
}

/// Whether what was refused has surely not happened.
pub fn is_settled(e: &S3Error) -> bool {
    !matches!(e.code(), S3ErrorCode::InternalError | S3ErrorCode::ServiceUnavailable)
}

/// From the authorisation's shape into S3's own.
pub fn denied(e: &cumulet_wire::error::ApiError) -> S3Error {
    match e.status {
        403 | 400 => S3Error::with_message(S3ErrorCode::AccessDenied, e.message.clone()),
        _ => internal(e),
    }
}

/// A code that s3s has no name for.
pub fn custom(code: &'static str, status: u16, message: impl Into<std::borrow::Cow<'static, str>>) -> S3Error {
    let mut error = S3Error::with_message(S3ErrorCode::Custom(code.into()), message);
    error.set_status_code(http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::BAD_REQUEST));
    error
}
