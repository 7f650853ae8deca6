//! One file for each family of operations.

pub mod permissions;
pub mod publish;
pub mod subscriptions;
pub mod tags;
pub mod topics;
