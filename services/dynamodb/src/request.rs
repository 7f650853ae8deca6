//! The parts of a request that are language: conditions, updates and projections, in expressions or in the older parameters
//! of the same purpose, never both.

use cumulet_wire::error::ApiError;
use serde_json::Value as Json;

use crate::errors;
use crate::expression::{self, Condition, Placeholders, Projection, Update};
use crate::input::Input;
use crate::model::Table;

/// Expressions of one request with what they refer to.
pub struct Language<'a> {
    input: Input<'a>,
    placeholders: Placeholders,
}

impl<'a> Language<'a> {
    pub fn new(input: &'a Json, expressions: &[&str], legacy: &[&str]) -> Result<Language<'a>, ApiError> {
        Ok(Language { input: Input(input), placeholders: Placeholders::of_request(input, expressions, legacy)? })
    }

    pub fn text(&self, member: &str) -> Result<Option<&'a str>, ApiError> {
        self.input.text(member)
    }

    pub fn placeholders(&mut self) -> &mut Placeholders {
        &mut self.placeholders
    }

    /// `ConditionExpression`, or `Expected`.
    pub fn condition(&mut self) -> Result<Option<Condition>, ApiError> {
        match self.input.text("ConditionExpression")? {
            Some(text) => Ok(Some(expression::condition(text, &mut self.placeholders)?)),
            None => crate::legacy::expected(self.input.0).map_err(ApiError::from),
        }
    }

    /// `FilterExpression`, or the older filter.
    pub fn filter(&mut self, legacy: &str) -> Result<Option<Condition>, ApiError> {
        match self.input.text("FilterExpression")? {
            Some(text) => Ok(Some(expression::filter(text, &mut self.placeholders)?)),
            None => crate::legacy::filter(self.input.0, legacy).map_err(ApiError::from),
        }
    }

    /// `UpdateExpression`, or `AttributeUpdates`.
    pub fn update(&mut self) -> Result<Option<Update>, ApiError> {
        match self.input.text("UpdateExpression")? {
            Some(text) => Ok(Some(expression::update(text, &mut self.placeholders)?)),
            None => crate::legacy::update(self.input.0).map_err(ApiError::from),
        }
    }

    /// `ProjectionExpression`, or `AttributesToGet`.
    pub fn projection(&mut self) -> Result<Option<Projection>, ApiError> {
        match self.input.text("ProjectionExpression")? {
            Some(text) => Ok(Some(expression::projection(text, &mut self.placeholders)?)),
            None => crate::legacy::projection(self.input.0).map_err(ApiError::from),
        }
    }

    /// To be called when all were read: what none of them uses is refused.
    pub fn finish(&self) -> Result<(), ApiError> {
        self.placeholders.finish().map_err(ApiError::from)
    }
}

/// Keys are not changed, and nothing is put into those of indexes, which are scalars.
pub fn check_update(table: &Table, update: &Update) -> Result<(), ApiError> {
    for path in update.paths() {
        let name = path.head();
        if table.key.has(name) {
            return Err(errors::parameter(format!(
                "Cannot update attribute {name}. This attribute is part of the key"
            )));
        }
        if path.is_nested() && table.indexes.iter().any(|index| index.key.has(name)) {
            return Err(errors::invalid(format!(
                "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: IndexKey: {name}"
            )));
        }
    }
    Ok(())
}
