//! One file for each command that talks to a running cloud.

pub mod bill;
pub mod deploy;
pub mod dev;
pub mod doctor;
pub mod env;
pub mod invoke;
pub mod logs;
pub mod ls;
pub mod rm;
pub mod sdk;
pub mod simulate;
