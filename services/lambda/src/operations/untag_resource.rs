//! UntagResource (<https://docs.aws.amazon.com/lambda/latest/api/API_UntagResource.html>); tested with TagResource.

use std::collections::BTreeMap;

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde::Deserialize;

use super::input;
use crate::names::Tagged;
use crate::{Lambda, names};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    resource: String,
    tag_keys: Vec<String>,
}

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: Input = input(call)?;
    let named = match names::read_resource(&context, &input.resource)? {
        Tagged::Function(named) => named,
        Tagged::Mapping(uuid) => {
            let change = |tags: &mut BTreeMap<String, String>| tags.retain(|key, _| !input.tag_keys.contains(key));
            lambda.mappings()?.tags(&context, &uuid, Some(&change)).await?;
            return Ok(Answer::empty());
        }
    };
    lambda
        .functions
        .update(&named, |function| {
            function.tags.retain(|key, _| !input.tag_keys.contains(key));
            function.touch();
            Ok(())
        })
        .await?;
    Ok(Answer::empty())
}
