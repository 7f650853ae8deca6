//! PutFunctionRecursionConfig (<https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionRecursionConfig.html>) and
//! GetFunctionRecursionConfig: whether a function that causes itself is stopped.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;
use serde::Deserialize;
use serde_json::json;

use super::{FunctionInput, input};
use crate::{Lambda, names};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    function_name: String,
    recursive_loop: Option<String>,
}

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: Input = input(call)?;
    let named = names::read_latest(&context, &input.function_name)?;
    let mut checks = Validation::new();
    checks.required("recursiveLoop", input.recursive_loop.as_ref()).one_of(
        "recursiveLoop",
        input.recursive_loop.as_deref(),
        &["Allow", "Terminate"],
    );
    checks.finish("ValidationException")?;
    lambda
        .functions
        .update(&named, |function| {
            function.recursion.clone_from(&input.recursive_loop);
            Ok(())
        })
        .await?;
    Answer::json(json!({"RecursiveLoop": input.recursive_loop}))
}

pub async fn get(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: FunctionInput = input(call)?;
    let named = names::read_latest(&context, &input.function_name)?;
    let function = lambda.functions.function(&named).await?;
    Answer::json(json!({"RecursiveLoop": function.recursion.as_deref().unwrap_or("Terminate")}))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bytes::Bytes;
    use serde_json::json;

    use crate::tests::Fixture;

    #[tokio::test]
    async fn loops_are_stopped_unless_they_may_be() {
        let fixture = Fixture::new();
        fixture.create("f").await.unwrap();
        let name = json!({"FunctionName": "f"});
        let get = || fixture.call("GetFunctionRecursionConfig", name.clone());
        assert_eq!(get().await.unwrap(), json!({"RecursiveLoop": "Terminate"}));
        let mut trace = "Root=1-2-3".to_owned();
        let invoke = |trace: &str| json!({"FunctionName": "f", "TraceHeader": trace});
        for _ in 0..16 {
            fixture.call_raw("Invoke", invoke(&trace), Bytes::new()).await.unwrap();
            trace = fixture.echo.traces.lock().unwrap().last().unwrap().clone();
        }
        let error = fixture.call_raw("Invoke", invoke(&trace), Bytes::new()).await.unwrap_err();
        assert_eq!((error.status, error.code.as_str()), (400, "RecursiveInvocationException"));
        let allow = json!({"FunctionName": "f", "RecursiveLoop": "Allow"});
        fixture.call("PutFunctionRecursionConfig", allow.clone()).await.unwrap();
        assert_eq!(get().await.unwrap()["RecursiveLoop"], "Allow");
        assert!(fixture.call_raw("Invoke", invoke(&trace), Bytes::new()).await.is_ok());
        for (member, value, status) in [("RecursiveLoop", json!("Maybe"), 400), ("FunctionName", json!("g"), 404)] {
            let mut input = allow.clone();
            input[member] = value;
            assert_eq!(fixture.call("PutFunctionRecursionConfig", input).await.unwrap_err().status, status);
        }
    }
}
