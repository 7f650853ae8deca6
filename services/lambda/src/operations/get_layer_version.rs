//! GetLayerVersion (<https://docs.aws.amazon.com/lambda/latest/api/API_GetLayerVersion.html>), and how operations name a
//! layer version; tested with PublishLayerVersion.

use cumulet_wire::call::{Answer, Call, Context};
use cumulet_wire::error::ApiError;
use serde::Deserialize;
use serde_json::Value;

use super::input;
use crate::layers::{self, LayerName, LayerVersion};
use crate::{Lambda, errors};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LayerVersionInput {
    pub layer_name: String,
    /// From the path: text.
    pub version_number: Value,
}

impl LayerVersionInput {
    pub fn read(&self, context: &Context) -> Result<(LayerName, u64), ApiError> {
        let layer = layers::read_name(context, &self.layer_name)?;
        let number = match &self.version_number {
            Value::String(text) => text.parse().ok(),
            other => other.as_u64(),
        };
        let not_a_number = || ApiError::serialization("VersionNumber is not an integer").with("Type", "User");
        Ok((layer, number.ok_or_else(not_a_number)?))
    }
}

/// The layer version, if the caller may have it.
pub async fn require(
    lambda: &Lambda,
    context: &Context,
    layer: &LayerName,
    version: u64,
) -> Result<LayerVersion, ApiError> {
    let found = lambda.layers.get(layer, version).await?.filter(|found| found.is_open_to(context));
    found.ok_or_else(errors::no_such_resource)
}

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: LayerVersionInput = input(call)?;
    let (layer, version) = input.read(&context)?;
    let found = require(lambda, &context, &layer, version).await?;
    Answer::json(found.shape(&lambda.links, &context))
}
