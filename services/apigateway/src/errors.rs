//! From what goes wrong to the codes of API Gateway; the only file in which codes are written.

use cumulet_wire::error::ApiError;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("Invalid API identifier specified {0}")]
    NoApi(String),
    /// `Stage`, `Route`, … and what was looked for.
    #[error("Invalid {0} identifier specified {1}")]
    NotFound(&'static str, String),
    #[error("{0}")]
    Conflict(String),
    #[error("{0}")]
    Invalid(String),
    #[error("Too many {0}: at most {1}")]
    Quota(&'static str, usize),
    /// AWS has it, Cumulet has not yet.
    #[error("not implemented: apigateway {0}")]
    NotBuilt(String),
    #[error("Another change is under way")]
    Busy,
    #[error(transparent)]
    Store(#[from] cumulet_store::Error),
    #[error("a stored row cannot be read: {0}")]
    Row(serde_json::Error),
}

impl From<Error> for ApiError {
    fn from(error: Error) -> ApiError {
        let (status, code) = match &error {
            Error::NoApi(_) | Error::NotFound(..) => (404, "NotFoundException"),
            Error::Conflict(_) | Error::Busy => (409, "ConflictException"),
            Error::Invalid(_) | Error::Quota(..) => (400, "BadRequestException"),
            Error::NotBuilt(_) => (501, "NotImplemented"),
            Error::Store(_) | Error::Row(_) => {
                tracing::error!(%error, "api gateway storage");
                return ApiError::internal("Internal Server Error");
            }
        };
        ApiError::new(status, code, error.to_string())
    }
}
