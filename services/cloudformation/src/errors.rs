//! From what goes wrong to the codes of CloudFormation; the only file in which codes are written.

use cumulet_wire::error::ApiError;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("Template format error: {0}")]
    Template(String),
    #[error("{0}")]
    Validation(String),
    #[error("Stack with id {0} does not exist")]
    NoStack(String),
    #[error("ChangeSet [{0}] does not exist")]
    NoChangeSet(String),
    #[error("ChangeSet [{0}] cannot be executed in its current status of [{1}]")]
    ChangeSetStatus(String, String),
    #[error("Stack [{0}] already exists")]
    StackExists(String),
    #[error("ChangeSet {0} cannot be created due to a mismatch with existing attribute Name")]
    ChangeSetExists(String),
    #[error("Requires capabilities : [{0}]")]
    Capabilities(&'static str),
    #[error("not implemented: cloudformation {0}")]
    NotBuilt(String),
    #[error("Too many {0}: at most {1}")]
    Limit(&'static str, usize),
    #[error("Another operation on the stack came first")]
    Busy,
    #[error(transparent)]
    Store(#[from] cumulet_store::Error),
    #[error("a stored row cannot be read: {0}")]
    Row(String),
}

impl Error {
    /// A member whose value is none of those there are.
    pub fn unknown_value(member: &str, value: &str, known: &str) -> Error {
        Error::Validation(format!(
            "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: Member must satisfy enum value set: {known}"
        ))
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> ApiError {
        let (status, code) = match &error {
            Error::Template(_) | Error::Validation(_) | Error::NoStack(_) | Error::NotBuilt(_) => {
                (400, "ValidationError")
            }
            Error::NoChangeSet(_) => (404, "ChangeSetNotFound"),
            Error::ChangeSetStatus(..) => (400, "InvalidChangeSetStatus"),
            Error::StackExists(_) | Error::ChangeSetExists(_) => (400, "AlreadyExistsException"),
            Error::Capabilities(_) => (400, "InsufficientCapabilitiesException"),
            Error::Limit(..) => (400, "LimitExceededException"),
            Error::Busy => (400, "OperationInProgressException"),
            Error::Store(_) | Error::Row(_) => {
                tracing::error!(%error, "cloudformation storage");
                return ApiError::internal("Internal failure");
            }
        };
        ApiError::new(status, code, error.to_string())
    }
}
