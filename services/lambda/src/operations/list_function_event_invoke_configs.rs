//! ListFunctionEventInvokeConfigs (<https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctionEventInvokeConfigs.html>):
//! of the function, its versions and its aliases, in that order. Tested with PutFunctionEventInvokeConfig.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde::Deserialize;
use serde_json::{Value, json};

use super::put_function_event_invoke_config::shape;
use super::{input, page_size, read_marker, write_marker};
use crate::model::Row;
use crate::{Lambda, names};

const PAGE_MAX: usize = 50;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    function_name: String,
    marker: Option<String>,
    max_items: Option<Value>,
}

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: Input = input(call)?;
    let named = names::read_latest(&context, &input.function_name)?;
    let limit = page_size(input.max_items.as_ref(), 50, PAGE_MAX)?;
    let after = input.marker.as_deref().map(read_marker).transpose()?;
    let function = lambda.functions.function(&named).await?;
    let versions = lambda.functions.versions(&named, None, usize::MAX).await?;
    let aliases = lambda.functions.aliases(&named, None, usize::MAX).await?;
    let functions = [function].into_iter().chain(versions).map(|function| Row::Function(Box::new(function)));
    let rows = functions.chain(aliases.into_iter().map(|alias| Row::Alias(Box::new(alias))));
    let mut found: Vec<Value> =
        rows.filter_map(|row| row.attached().event_invoke.as_ref().map(|config| shape(&row, config))).collect();
    if let Some(after) = after {
        let from = found.iter().position(|one| one["FunctionArn"] == after.as_str()).map_or(0, |at| at + 1);
        found.drain(..from);
    }
    let is_more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().and_then(|last| last["FunctionArn"].as_str()).map(write_marker);
    let mut shape = json!({"FunctionEventInvokeConfigs": found});
    if let Some(marker) = last.filter(|_| is_more) {
        shape["NextMarker"] = json!(marker);
    }
    Answer::json(shape)
}
