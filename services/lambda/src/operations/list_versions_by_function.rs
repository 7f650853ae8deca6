//! ListVersionsByFunction (<https://docs.aws.amazon.com/lambda/latest/api/API_ListVersionsByFunction.html>): `$LATEST`, then
//! the published versions by number. Tested with PublishVersion.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{input, page_size, read_marker, write_marker};
use crate::model::{Function, version_number};
use crate::{Lambda, errors, names};

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
    let limit = page_size(input.max_items.as_ref(), 10_000, PAGE_MAX)?;
    let after = input.marker.as_deref().map(read_marker).transpose()?;
    let function = lambda.functions.function(&named).await?;
    let (mut list, from) = match after.as_deref() {
        None => (vec![function], None),
        Some(names::LATEST) => (Vec::new(), None),
        Some(version) => {
            let number = version_number(version);
            (
                Vec::new(),
                Some(number.ok_or_else(|| errors::invalid_parameter("The Marker is not one that was handed out."))?),
            )
        }
    };
    list.extend(lambda.functions.versions(&named, from, limit + 1 - list.len()).await?);
    let is_more = list.len() > limit;
    list.truncate(limit);
    let mut shapes = Vec::with_capacity(list.len());
    for function in &list {
        shapes.push(lambda.shown(function, Some(&function.version)).await);
    }
    let mut shape = json!({"Versions": shapes});
    if let Some(last) = list.last().filter(|_| is_more) {
        shape["NextMarker"] = json!(write_marker(&last.version));
    }
    Answer::json(shape)
}

/// A version as lists show it: its ARN says which.
pub fn qualified(function: &Function) -> Value {
    function.configuration(Some(&function.version))
}
