//! Placeholder.

pub mod channel;
