//! What every other crate may use: identifiers, time, randomness, named limits and log set-up.
//! Knows no service, no storage and no network.

pub mod arn;
pub mod clock;
pub mod fuzz;
pub mod id;
pub mod limits;
pub mod telemetry;
