//! ListProvisionedConcurrencyConfigs
//! (<https://docs.aws.amazon.com/lambda/latest/api/API_ListProvisionedConcurrencyConfigs.html>), by qualifier; tested with
//! PutProvisionedConcurrencyConfig.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde::Deserialize;
use serde_json::{Value, json};

use super::put_provisioned_concurrency_config::shape;
use super::{input, page_size, read_marker, write_marker};
use crate::names::Named;
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
    let after = input.marker.as_deref().map(read_marker).transpose()?.unwrap_or_default();
    lambda.functions.require(&named).await?;
    let mut list: Vec<Value> = Vec::new();
    let mut next = None;
    for owner in lambda.functions.provisioned(Some(&named)).await? {
        let qualifier = owner.qualifier.unwrap_or_default();
        if qualifier <= after {
            continue;
        }
        if list.len() == limit {
            next = list.last().and_then(|last| last["FunctionArn"].as_str()?.rsplit(':').next().map(write_marker));
            break;
        }
        let one = Named { qualifier: Some(qualifier), ..named.clone() };
        let known = lambda.functions.require(&one).await?;
        let Some(provisioned) = &known.attached().provisioned else { continue };
        let mut entry = shape(lambda, &one, provisioned).await?;
        entry["FunctionArn"] = json!(one.qualified_arn());
        list.push(entry);
    }
    let mut shape = json!({"ProvisionedConcurrencyConfigs": list});
    if let Some(marker) = next {
        shape["NextMarker"] = json!(marker);
    }
    Answer::json(shape)
}
