//! RemoveLayerVersionPermission (<https://docs.aws.amazon.com/lambda/latest/api/API_RemoveLayerVersionPermission.html>);
//! tested with PublishLayerVersion.

use cumulet_base::id;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde::Deserialize;

use super::get_layer_version::LayerVersionInput;
use super::{check_revision, input};
use crate::{Lambda, errors};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    #[serde(flatten)]
    layer: LayerVersionInput,
    statement_id: String,
    revision_id: Option<String>,
}

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: Input = input(call)?;
    let (layer, version) = input.layer.read(&context)?;
    let changed = lambda
        .layers
        .update(&layer, version, |found| {
            check_revision(&found.revision_id, input.revision_id.as_deref())?;
            let before = found.policy.len();
            found.policy.retain(|statement| statement["Sid"] != input.statement_id.as_str());
            if found.policy.len() == before {
                return Err(errors::not_found(format!(
                    "Statement {} is not found in resource policy.",
                    input.statement_id
                )));
            }
            found.revision_id = id::uuid();
            Ok(())
        })
        .await?;
    changed.map(|_| Answer::empty()).ok_or_else(|| errors::layer_not_found(&layer.version_arn(version)))
}
