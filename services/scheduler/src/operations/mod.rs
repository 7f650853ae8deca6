//! The operations, grouped by what they are about.

pub mod groups;
pub mod schedules;
pub mod tags;
