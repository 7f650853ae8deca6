//! ListAliases (<https://docs.aws.amazon.com/lambda/latest/api/API_ListAliases.html>), by name; tested with CreateAlias.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{input, page_size, read_marker, write_marker};
use crate::model::Alias;
use crate::{Lambda, names};

const PAGE_MAX: usize = 50;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    function_name: String,
    function_version: Option<String>,
    marker: Option<String>,
    max_items: Option<Value>,
}

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: Input = input(call)?;
    let named = names::read_latest(&context, &input.function_name)?;
    let limit = page_size(input.max_items.as_ref(), 10_000, PAGE_MAX)?;
    let after = input.marker.as_deref().map(read_marker).transpose()?;
    lambda.functions.require(&named).await?;
    let names_version = |alias: &Alias| {
        input.function_version.as_ref().is_none_or(|v| alias.version == *v || alias.weights.contains_key(v))
    };
    let mut found = lambda.functions.aliases(&named, after.as_deref(), usize::MAX).await?;
    found.retain(names_version);
    let is_more = found.len() > limit;
    found.truncate(limit);
    let list: Vec<Value> = found.iter().map(Alias::configuration).collect();
    let mut shape = json!({"Aliases": list});
    if let Some(last) = found.last().filter(|_| is_more) {
        shape["NextMarker"] = json!(write_marker(&last.alias));
    }
    Answer::json(shape)
}
