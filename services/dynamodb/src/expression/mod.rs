//! DynamoDB's four expression languages: condition (and filter), update, projection, key condition.
//! Texts become types here, which are evaluated against items; what they are used for is the operations' business.

pub(crate) mod check;
pub(crate) mod condition;
mod key_condition;
mod parse;
mod path;
mod placeholders;
mod projection;
mod reserved;
mod token;
mod update;

pub use condition::{Condition, Operand, Test};
pub use key_condition::{KeyCondition, KeyNames, RangeCondition};
pub use parse::Comparator;
pub use path::{Path, Step};
pub use placeholders::Placeholders;
pub use projection::Projection;
pub use update::{Action, SetValue, Source, Update};

use crate::value::Invalid;

/// Reads a `ConditionExpression`.
pub fn condition(text: &str, placeholders: &mut Placeholders) -> Result<Condition, Invalid> {
    condition::read(text, placeholders).map_err(|message| invalid("ConditionExpression", &message))
}

/// Reads a `FilterExpression`.
pub fn filter(text: &str, placeholders: &mut Placeholders) -> Result<Condition, Invalid> {
    condition::read(text, placeholders).map_err(|message| invalid("FilterExpression", &message))
}

/// Reads an `UpdateExpression`.
pub fn update(text: &str, placeholders: &mut Placeholders) -> Result<Update, Invalid> {
    update::read(text, placeholders).map_err(|message| invalid("UpdateExpression", &message))
}

/// Reads a `ProjectionExpression`.
pub fn projection(text: &str, placeholders: &mut Placeholders) -> Result<Projection, Invalid> {
    projection::read(text, placeholders).map_err(|message| invalid("ProjectionExpression", &message))
}

/// Reads a `KeyConditionExpression` for a table or an index with these keys.
pub fn key_condition(
    text: &str,
    placeholders: &mut Placeholders,
    names: KeyNames<'_>,
) -> Result<KeyCondition, Invalid> {
    let condition = condition::read(text, placeholders);
    let condition = condition.map_err(|message| invalid("KeyConditionExpression", &message))?;
    KeyCondition::of(condition, names)
}

fn invalid(parameter: &str, message: &str) -> Invalid {
    Invalid::new(format!("Invalid {parameter}: {message}"))
}

#[cfg(test)]
mod tests;
