//! GetLayerVersionByArn (<https://docs.aws.amazon.com/lambda/latest/api/API_GetLayerVersionByArn.html>); tested with
//! PublishLayerVersion.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde::Deserialize;

use super::get_layer_version::require;
use super::input;
use crate::{Lambda, layers};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    #[serde(default)]
    arn: String,
}

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: Input = input(call)?;
    let (layer, version) = layers::read_arn("arn", &input.arn)?;
    let found = require(lambda, &context, &layer, version).await?;
    Answer::json(found.shape(&lambda.links, &context))
}
