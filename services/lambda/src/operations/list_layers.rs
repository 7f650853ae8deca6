//! ListLayers (<https://docs.aws.amazon.com/lambda/latest/api/API_ListLayers.html>): each with its newest version that is
//! looked for. Tested with PublishLayerVersion.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::list_layer_versions::LayerFilter;
use super::{input, read_marker, write_marker};
use crate::Lambda;

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let filter: LayerFilter = input(call)?;
    let limit = filter.limit()?;
    let after = filter.marker.as_deref().map(read_marker).transpose()?.unwrap_or_default();
    let mut list: Vec<Value> = Vec::new();
    let mut next = None;
    for layer in lambda.layers.names(context.account(), &context.region).await? {
        if layer.name <= after {
            continue;
        }
        let versions = lambda.layers.versions(&layer).await?;
        let Some(version) = versions.iter().find(|version| filter.is_met(version)) else { continue };
        if list.len() == limit {
            next = list.last().and_then(|last| last["LayerName"].as_str()).map(write_marker);
            break;
        }
        list.push(json!({
            "LayerName": layer.name,
            "LayerArn": layer.arn(),
            "LatestMatchingVersion": version.item(),
        }));
    }
    let mut shape = json!({"Layers": list});
    if let Some(marker) = next {
        shape["NextMarker"] = json!(marker);
    }
    Answer::json(shape)
}
