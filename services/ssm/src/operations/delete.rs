//! DeleteParameter and DeleteParameters
//! (<https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DeleteParameter.html>).

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::json;

use super::{names_of, place, required};
use crate::{Ssm, errors};

pub async fn one(ssm: &Ssm, call: &Call) -> Result<Answer, ApiError> {
    let name = required(call, "Name")?;
    match ssm.storage.delete(&place(call, name)).await? {
        true => Answer::json(json!({})),
        false => Err(errors::not_found(name)),
    }
}

pub async fn several(ssm: &Ssm, call: &Call) -> Result<Answer, ApiError> {
    let (mut deleted, mut invalid) = (Vec::new(), Vec::new());
    for name in names_of(call)? {
        match ssm.storage.delete(&place(call, name)).await? {
            true => deleted.push(name),
            false => invalid.push(name),
        }
    }
    Answer::json(json!({ "DeletedParameters": deleted, "InvalidParameters": invalid }))
}
