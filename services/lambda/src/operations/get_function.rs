//! GetFunction (<https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html>).

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::json;

use super::{FunctionInput, input};
use crate::{Lambda, names};

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: FunctionInput = input(call)?;
    let named = names::read(&context, &input.function_name, input.qualifier.as_deref())?;
    let function = lambda.functions.function(&named).await?;
    let owner = lambda.functions.function(&named.unqualified()).await?;
    let code = match &function.image {
        Some(image) => json!({
            "RepositoryType": "ECR",
            "ImageUri": image.uri,
            "ResolvedImageUri": format!("{}@sha256:{}", image.name(), image.digest),
        }),
        None => {
            let location = lambda.links.location(&context.host, &function.code_digest, context.now_ms);
            json!({"RepositoryType": "S3", "Location": location})
        }
    };
    let mut shape = json!({
        "Configuration": lambda.shown(&function, named.qualifier.as_deref()).await,
        "Code": code,
    });
    if !owner.tags.is_empty() {
        shape["Tags"] = json!(owner.tags);
    }
    if let Some(max) = owner.concurrency_max {
        shape["Concurrency"] = json!({"ReservedConcurrentExecutions": max});
    }
    Answer::json(shape)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use crate::tests::Fixture;

    #[tokio::test]
    async fn gives_configuration_and_code() {
        let fixture = Fixture::new();
        fixture.create("f").await.unwrap();
        let got = fixture.call("GetFunction", json!({"FunctionName": "f"})).await.unwrap();
        assert_eq!(got["Code"]["RepositoryType"], "S3");
        assert_eq!(got["Configuration"]["PackageType"], "Zip");
        let error = fixture.call("GetFunction", json!({"FunctionName": "g"})).await.unwrap_err();
        assert_eq!(error.message, "Function not found: arn:aws:lambda:us-east-1:000000000000:function:g");
        let error = fixture.call("GetFunction", json!({"FunctionName": "f", "Qualifier": "1"})).await.unwrap_err();
        assert_eq!(error.status, 404);
    }
}
