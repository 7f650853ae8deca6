//! UpdateFunctionCode (<https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionCode.html>).

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde::Deserialize;

use super::create_function::check_size;
use super::publish_version::is_unnumbered;
use super::{check_revision, code, input};
use crate::{Lambda, names};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    function_name: String,
    publish: Option<bool>,
    dry_run: Option<bool>,
    revision_id: Option<String>,
    architectures: Option<Vec<String>>,
    publish_to: Option<String>,
    #[serde(flatten)]
    source: code::Source,
}

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: Input = input(call)?;
    let named = names::read_latest(&context, &input.function_name)?;
    let is_unnumbered = is_unnumbered(input.publish_to.as_deref())?;
    let known = lambda.functions.require(&named).await?;
    check_revision(known.row.revision_id(), input.revision_id.as_deref())?;
    let before = lambda.functions.function(&named).await?;
    let takes_other = lambda.settings.is_lenient && before.image.is_none() && code::is_interpreted(&before.runtime);
    let architecture = code::architecture(input.architectures, takes_other)?;
    let target = architecture.clone().unwrap_or(before.architecture);
    let is_image = before.image.is_some();
    let (stored, image) = lambda.take_source(&context, input.source, is_image, &target, "UpdateFunctionCode").await?;
    let is_dry_run = input.dry_run == Some(true);
    let change = |function: &mut crate::model::Function| {
        check_revision(&function.revision_id, input.revision_id.as_deref())?;
        let is_same = function.code_digest == stored.digest
            && function.image == image
            && architecture.as_ref().is_none_or(|architecture| *architecture == function.architecture);
        if is_same && input.publish == Some(true) {
            // Nothing changes, and perhaps nothing is to be published.
            return Ok(());
        }
        function.code_digest.clone_from(&stored.digest);
        function.image.clone_from(&image);
        function.code_bytes = stored.bytes;
        function.code_unzipped_bytes = stored.unzipped_bytes;
        if let Some(architecture) = &architecture {
            function.architecture.clone_from(architecture);
        }
        check_size(function)?;
        function.revise(context.now_ms);
        Ok(())
    };
    if is_dry_run {
        let mut function = lambda.functions.function(&named).await?;
        change(&mut function)?;
        return Answer::json(function.configuration(None));
    }
    if input.publish == Some(true) || is_unnumbered {
        let (function, published) =
            lambda.functions.publish(&named, None, is_unnumbered, context.now_ms, change).await?;
        lambda.retire(&function);
        lambda.prepare(&published);
        return Answer::json(lambda.shown(&published, Some(&published.version)).await);
    }
    let (_, function) = lambda.functions.update(&named, change).await?;
    lambda.retire(&function);
    Answer::json(function.configuration(None))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use crate::tests::{Fixture, other_zip, zip};

    #[tokio::test]
    async fn changes_code_and_retires_instances() {
        let fixture = Fixture::new();
        let made = fixture.create("f").await.unwrap();
        let input = json!({"FunctionName": "f", "ZipFile": other_zip()});
        let mut dry = input.clone();
        dry["DryRun"] = json!(true);
        let dry = fixture.call("UpdateFunctionCode", dry).await.unwrap();
        assert_ne!(dry["CodeSha256"], made["CodeSha256"]);
        assert!(fixture.retired().is_empty());

        let mut stale = input.clone();
        stale["RevisionId"] = json!("other");
        let error = fixture.call("UpdateFunctionCode", stale).await.unwrap_err();
        assert_eq!((error.status, error.code.as_str()), (412, "PreconditionFailedException"));

        let changed = fixture.call("UpdateFunctionCode", input).await.unwrap();
        assert_eq!(changed["CodeSha256"], dry["CodeSha256"]);
        assert_ne!(changed["RevisionId"], made["RevisionId"]);
        assert_eq!(fixture.retired().len(), 1);
        let missing = json!({"FunctionName": "g", "ZipFile": zip()});
        assert_eq!(fixture.call("UpdateFunctionCode", missing).await.unwrap_err().status, 404);
    }

    #[tokio::test]
    async fn takes_what_was_uploaded_before() {
        let fixture = Fixture::new();
        fixture.create("f").await.unwrap();
        let made = fixture.create("g").await.unwrap();
        let digest = fixture.digest("g").await;
        let input = json!({"FunctionName": "f", "S3Bucket": "cumulet-artifacts", "S3Key": digest});
        let changed = fixture.call("UpdateFunctionCode", input).await.unwrap();
        assert_eq!(changed["CodeSha256"], made["CodeSha256"]);
    }
}
