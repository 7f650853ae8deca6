//! TagResource (<https://docs.aws.amazon.com/lambda/latest/api/API_TagResource.html>): of functions and event source mappings.

use std::collections::BTreeMap;

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde::Deserialize;

use super::input;
use crate::names::Tagged;
use crate::{Lambda, names, settings};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    resource: String,
    tags: BTreeMap<String, String>,
}

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: Input = input(call)?;
    let named = match names::read_resource(&context, &input.resource)? {
        Tagged::Function(named) => named,
        Tagged::Mapping(uuid) => {
            let change = |tags: &mut BTreeMap<String, String>| tags.extend(input.tags.clone());
            lambda.mappings()?.tags(&context, &uuid, Some(&change)).await?;
            return Ok(Answer::empty());
        }
    };
    lambda
        .functions
        .update(&named, |function| {
            function.tags.extend(input.tags.clone());
            settings::check_tags(&function.tags)?;
            function.touch();
            Ok(())
        })
        .await?;
    Ok(Answer::empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use crate::tests::Fixture;

    #[tokio::test]
    async fn tags_come_and_go() {
        let fixture = Fixture::new();
        let arn = fixture.create("f").await.unwrap()["FunctionArn"].clone();
        let tags = json!({"Resource": arn, "Tags": {"a": "1", "b": "2"}});
        fixture.call("TagResource", tags).await.unwrap();
        let untag = json!({"Resource": arn, "TagKeys": ["a"]});
        fixture.call("UntagResource", untag).await.unwrap();
        let got = fixture.call("ListTags", json!({"Resource": arn})).await.unwrap();
        assert_eq!(got, json!({"Tags": {"b": "2"}}));
        for (resource, status) in [("arn:aws:lambda:us-east-1:000000000000:function:g", 404), ("nothing", 400)] {
            let error = fixture.call("ListTags", json!({"Resource": resource})).await.unwrap_err();
            assert_eq!(error.status, status);
        }
    }
}
