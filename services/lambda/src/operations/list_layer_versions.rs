//! ListLayerVersions (<https://docs.aws.amazon.com/lambda/latest/api/API_ListLayerVersions.html>), the newest first; tested
//! with PublishLayerVersion.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{input, page_size, read_marker, write_marker};
use crate::layers::{self, LayerVersion};
use crate::{Lambda, errors};

const PAGE_MAX: usize = 50;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    layer_name: String,
    #[serde(flatten)]
    filter: LayerFilter,
}

/// Which layer versions are looked for.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LayerFilter {
    compatible_runtime: Option<String>,
    compatible_architecture: Option<String>,
    pub marker: Option<String>,
    max_items: Option<Value>,
}

impl LayerFilter {
    pub fn limit(&self) -> Result<usize, ApiError> {
        let mut checks = Validation::new();
        checks.one_of("compatibleArchitecture", self.compatible_architecture.as_deref(), &["x86_64", "arm64"]);
        checks.finish("ValidationException")?;
        page_size(self.max_items.as_ref(), PAGE_MAX as i64, PAGE_MAX)
    }

    pub fn is_met(&self, version: &LayerVersion) -> bool {
        self.compatible_runtime.as_ref().is_none_or(|runtime| version.runtimes.contains(runtime))
            && self.compatible_architecture.as_ref().is_none_or(|one| version.architectures.contains(one))
    }
}

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: Input = input(call)?;
    let layer = layers::read_name(&context, &input.layer_name)?;
    let limit = input.filter.limit()?;
    let below = match input.filter.marker.as_deref().map(read_marker).transpose()? {
        Some(text) => {
            let unknown = || errors::invalid_parameter("The Marker is not one that was handed out.");
            text.parse().map_err(|_| unknown())?
        }
        None => u64::MAX,
    };
    let mut found = lambda.layers.versions(&layer).await?;
    found.retain(|version| version.version < below && version.is_open_to(&context) && input.filter.is_met(version));
    let is_more = found.len() > limit;
    found.truncate(limit);
    let list: Vec<Value> = found.iter().map(LayerVersion::item).collect();
    let mut shape = json!({"LayerVersions": list});
    if let Some(last) = found.last().filter(|_| is_more) {
        shape["NextMarker"] = json!(write_marker(&last.version.to_string()));
    }
    Answer::json(shape)
}
