//! Amazon DynamoDB: tables, items, expressions.
//! Deliberately absent: global tables, DAX.

pub mod expression;
pub mod fuzz;
pub mod legacy;
pub mod partiql;
pub mod value;
