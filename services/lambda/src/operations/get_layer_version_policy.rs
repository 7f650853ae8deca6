//! GetLayerVersionPolicy (<https://docs.aws.amazon.com/lambda/latest/api/API_GetLayerVersionPolicy.html>); tested with
//! PublishLayerVersion.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::json;

use super::get_layer_version::{LayerVersionInput, require};
use super::input;
use crate::{Lambda, errors, policy};

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: LayerVersionInput = input(call)?;
    let (layer, version) = input.read(&context)?;
    let found = require(lambda, &context, &layer, version).await?;
    if found.policy.is_empty() {
        return Err(errors::no_such_resource());
    }
    Answer::json(json!({"Policy": policy::document(&found.policy), "RevisionId": found.revision_id}))
}
