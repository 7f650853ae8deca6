//! Alarms at work: when they are looked at, what state they are in, and what follows when that changes.

pub mod act;
pub mod evaluate;
pub mod gauges;
pub mod rule;
pub mod watcher;

pub const OK: &str = "OK";
pub const ALARM: &str = "ALARM";
pub const UNKNOWN: &str = "INSUFFICIENT_DATA";
pub const STATES: &[&str] = &[OK, ALARM, UNKNOWN];
