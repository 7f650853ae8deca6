//! ListTags (<https://docs.aws.amazon.com/lambda/latest/api/API_ListTags.html>); tested with TagResource.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde::Deserialize;
use serde_json::json;

use super::input;
use crate::names::Tagged;
use crate::{Lambda, names};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    resource: String,
}

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: Input = input(call)?;
    let tags = match names::read_resource(&context, &input.resource)? {
        Tagged::Function(named) => lambda.functions.function(&named).await?.tags,
        Tagged::Mapping(uuid) => lambda.mappings()?.tags(&context, &uuid, None).await?,
    };
    Answer::json(json!({"Tags": tags}))
}
