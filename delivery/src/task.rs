//! A task as its owner gives it and gets it back.

use bytes::Bytes;

/// A task to be put in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTask {
    /// Whose handler carries it out, such as `lambda-async`.
    pub owner: &'static str,
    /// Tasks of one lane share a bound of how many run at a time, and no lane holds up another: a function's ARN, a
    /// subscription's.
    pub lane: String,
    /// Not before this time; milliseconds since 1970.
    pub due_ms: u64,
    /// The owner's own form.
    pub body: Bytes,
}

/// What a task is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    pub due_ms: u64,
    pub sequence: u64,
}

/// A task at an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    pub lane: String,
    pub id: TaskId,
    pub created_ms: u64,
    /// Attempts before this one.
    pub attempts: u32,
    pub body: Bytes,
}
