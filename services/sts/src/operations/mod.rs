//! The operations, one file each.

pub mod assume_role;
pub mod get_caller_identity;
