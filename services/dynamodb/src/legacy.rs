#![allow(unused)]
use crate::expression::*;
use crate::value::Invalid;
use serde_json::Value as Json;
pub fn expected(i: &Json) -> Result<Option<Condition>, Invalid> {
    Ok(None)
}
pub fn filter(i: &Json, m: &str) -> Result<Option<Condition>, Invalid> {
    Ok(None)
}
pub fn update(i: &Json) -> Result<Option<Update>, Invalid> {
    Ok(None)
}
pub fn projection(i: &Json) -> Result<Option<Projection>, Invalid> {
    Ok(None)
}
pub fn key_conditions(i: &Json, names: KeyNames<'_>) -> Result<Option<KeyCondition>, Invalid> {
    Ok(None)
}
