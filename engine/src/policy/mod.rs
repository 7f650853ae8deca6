//! What becomes of an invocation and of instances: reuse, clone, start, queue, refuse, stop. Pure and deterministic:
//! arrivals, completions, deaths and ticks in, decisions out; time is an argument. [`function`] decides for one function
//! version, [`machine`] shares out what all of them compete for, [`history`] is what a function's past tells, [`templates`]
//! which templates are held. Production
//! (`pool`, `engine`), tests and the simulator run this code. Knows no process and no clock.

pub mod function;
pub mod history;
pub mod machine;
pub mod templates;

/// Microseconds since some beginning.
pub type Micros = u64;

/// How an instance comes to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Birth {
    /// A clone of a live template: milliseconds.
    Clone,
    /// A start of the runtime: tens of milliseconds and more, most of it processor time.
    Start,
}

/// `Reason` of Lambda's `TooManyRequestsException`
/// (<https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>).
pub mod reason {
    /// The account's or the machine's concurrency.
    pub const CONCURRENCY: &str = "ConcurrentInvocationLimitExceeded";
    /// The function's own reservation.
    pub const RESERVED: &str = "ReservedFunctionConcurrentInvocationLimitExceeded";
    /// The function grows faster than it may.
    pub const BURST: &str = "FunctionInvocationRateLimitExceeded";
}
