//! From the errors of SQLite and the file system to those of the contract.

use cumulet_store::Error;
use rusqlite::ErrorCode;

/// Damage is the data's fault, everything else the backend's.
pub(crate) fn sqlite(doing: &'static str, error: &rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Error::Format(format!("{doing}: {error}")),
        _ => Error::Backend { doing, reason: error.to_string() },
    }
}

pub(crate) fn io(doing: &'static str, error: &std::io::Error) -> Error {
    Error::Backend { doing, reason: error.to_string() }
}

/// Whether the next transaction may succeed all the same. After any other failure, such as one of fsync, what the
/// operating system still holds of the file is not known, and only a new start reads what is really there.
pub(crate) fn passes(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::OutOfMemory | ErrorCode::TooBig)
    )
}
