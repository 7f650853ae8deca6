//! DeleteLayerVersion (<https://docs.aws.amazon.com/lambda/latest/api/API_DeleteLayerVersion.html>): functions that use it
//! keep it. Tested with PublishLayerVersion.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;

use super::get_layer_version::LayerVersionInput;
use super::input;
use crate::{Lambda, errors};

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: LayerVersionInput = input(call)?;
    let (layer, version) = input.read(&context)?;
    if layer.account != context.account() {
        return Err(errors::access_denied(format!(
            "User: {} is not authorized to perform: lambda:DeleteLayerVersion on resource: {}",
            context.caller.arn,
            layer.version_arn(version)
        )));
    }
    lambda.layers.delete(&layer, version).await?;
    Ok(Answer::empty())
}
