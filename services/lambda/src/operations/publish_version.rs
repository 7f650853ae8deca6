//! PublishVersion (<https://docs.aws.amazon.com/lambda/latest/api/API_PublishVersion.html>): an immutable copy of `$LATEST`,
//! unless nothing has changed since the last one, which is answered then.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;
use serde::Deserialize;

use super::{check_revision, input};
use crate::{Lambda, errors, names};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    function_name: String,
    code_sha256: Option<String>,
    description: Option<String>,
    revision_id: Option<String>,
    publish_to: Option<String>,
}

/// Whether a version without a number is asked for.
pub fn is_unnumbered(publish_to: Option<&str>) -> Result<bool, ApiError> {
    let mut checks = Validation::new();
    checks.one_of("publishTo", publish_to, &["LATEST_PUBLISHED"]);
    checks.finish("ValidationException")?;
    Ok(publish_to.is_some())
}

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: Input = input(call)?;
    let named = names::read_latest(&context, &input.function_name)?;
    let mut checks = Validation::new();
    checks.length("description", input.description.as_deref(), 0, cumulet_base::limits::FUNCTION_DESCRIPTION_MAX);
    checks.finish("ValidationException")?;
    let is_unnumbered = is_unnumbered(input.publish_to.as_deref())?;
    let check = |function: &mut crate::model::Function| {
        check_revision(&function.revision_id, input.revision_id.as_deref())?;
        match &input.code_sha256 {
            Some(expected) if *expected != function.code_sha256() => Err(errors::invalid_parameter(format!(
                "CodeSHA256 ({expected}) is different from current CodeSHA256 in $LATEST ({}). \
                 Please try again with the CodeSHA256 in $LATEST.",
                function.code_sha256()
            ))),
            _ => Ok(()),
        }
    };
    let description = input.description.as_deref();
    let (_, published) = lambda.functions.publish(&named, description, is_unnumbered, context.now_ms, check).await?;
    lambda.prepare(&published);
    Answer::json(lambda.shown(&published, Some(&published.version)).await)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use crate::tests::{Fixture, other_zip};

    #[tokio::test]
    async fn versions_are_immutable_and_numbered() {
        let fixture = Fixture::new();
        let made = fixture.create("f").await.unwrap();
        let publish = json!({"FunctionName": "f", "Description": "first"});
        let first = fixture.call("PublishVersion", publish.clone()).await.unwrap();
        assert_eq!(
            (&first["Version"], &first["Description"], first["FunctionArn"].as_str().unwrap()),
            (&json!("1"), &json!("first"), "arn:aws:lambda:us-east-1:000000000000:function:f:1")
        );
        let again = fixture.call("PublishVersion", json!({"FunctionName": "f", "Description": "x"})).await.unwrap();
        assert_eq!(again, first, "nothing has changed");
        let update = json!({"FunctionName": "f", "ZipFile": other_zip(), "Publish": true});
        let second = fixture.call("UpdateFunctionCode", update.clone()).await.unwrap();
        assert_eq!(second["Version"], "2");
        assert_eq!(fixture.call("UpdateFunctionCode", update).await.unwrap()["Version"], "2");
        let get = |version: &str| json!({"FunctionName": format!("f:{version}")});
        let got = fixture.call("GetFunction", get("1")).await.unwrap();
        assert_eq!(got["Configuration"]["CodeSha256"], made["CodeSha256"]);
        assert_ne!(second["CodeSha256"], made["CodeSha256"]);
        fixture.call("UpdateFunctionConfiguration", json!({"FunctionName": "f", "Description": "new"})).await.unwrap();
        assert_eq!(fixture.call("PublishVersion", publish).await.unwrap()["Version"], "3");

        let all = fixture.call("ListVersionsByFunction", json!({"FunctionName": "f"})).await.unwrap();
        let versions = |page: &Value| -> Vec<String> {
            page["Versions"].as_array().unwrap().iter().map(|v| v["Version"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(versions(&all), ["$LATEST", "1", "2", "3"]);
        let mut marker = Value::Null;
        let mut pages = Vec::new();
        loop {
            let page = json!({"FunctionName": "f", "MaxItems": 1, "Marker": marker});
            let page = fixture.call("ListVersionsByFunction", page).await.unwrap();
            pages.extend(versions(&page));
            marker = page["NextMarker"].clone();
            if marker.is_null() {
                break;
            }
        }
        assert_eq!(pages, ["$LATEST", "1", "2", "3"]);
        let listed = fixture.call("ListFunctions", json!({"FunctionVersion": "ALL"})).await.unwrap();
        assert_eq!(listed["Functions"].as_array().unwrap().len(), 4);

        let delete = json!({"FunctionName": "f", "Qualifier": "3"});
        fixture.call("DeleteFunction", delete.clone()).await.unwrap();
        assert_eq!(fixture.call("DeleteFunction", delete).await.unwrap_err().status, 404);
        assert_eq!(fixture.call("GetFunctionConfiguration", get("3")).await.unwrap_err().status, 404);
        let next = fixture.call("PublishVersion", json!({"FunctionName": "f"})).await.unwrap();
        assert_eq!(next["Version"], "4", "a number is used once");
        fixture.call("DeleteFunction", json!({"FunctionName": "f"})).await.unwrap();
        fixture.create("f").await.unwrap();
        assert_eq!(fixture.call("GetFunction", get("1")).await.unwrap_err().status, 404);
    }

    #[tokio::test]
    async fn the_last_one_published_without_a_number() {
        let fixture = Fixture::new();
        fixture.create("f").await.unwrap();
        let publish = json!({"FunctionName": "f", "PublishTo": "LATEST_PUBLISHED"});
        let made = fixture.call("PublishVersion", publish.clone()).await.unwrap();
        assert_eq!(made["Version"], "$LATEST.PUBLISHED");
        fixture.call("UpdateFunctionConfiguration", json!({"FunctionName": "f", "Timeout": 9})).await.unwrap();
        let get = json!({"FunctionName": "f", "Qualifier": "$LATEST.PUBLISHED"});
        assert_eq!(fixture.call("GetFunctionConfiguration", get.clone()).await.unwrap()["Timeout"], 3);
        fixture.call("PublishVersion", publish).await.unwrap();
        assert_eq!(fixture.call("GetFunctionConfiguration", get).await.unwrap()["Timeout"], 9);
    }

    #[tokio::test]
    async fn refusals() {
        let fixture = Fixture::new();
        fixture.create("f").await.unwrap();
        for (member, value, status, code) in [
            ("FunctionName", json!("g"), 404, "ResourceNotFoundException"),
            ("FunctionName", json!("f:1"), 400, "InvalidParameterValueException"),
            ("CodeSha256", json!("other"), 400, "InvalidParameterValueException"),
            ("RevisionId", json!("other"), 412, "PreconditionFailedException"),
            ("Description", json!("x".repeat(257)), 400, "ValidationException"),
            ("PublishTo", json!("ELSEWHERE"), 400, "ValidationException"),
        ] {
            let mut input = json!({"FunctionName": "f"});
            input[member] = value;
            let error = fixture.call("PublishVersion", input).await.unwrap_err();
            assert_eq!((error.status, error.code.as_str()), (status, code), "{member}");
        }
    }
}
