//! PutFunctionConcurrency (<https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionConcurrency.html>).

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;
use serde::Deserialize;
use serde_json::json;

use super::input;
use crate::{Lambda, errors, names};

/// What AWS keeps for functions that have nothing reserved.
const UNRESERVED_MIN: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    function_name: String,
    reserved_concurrent_executions: Option<i64>,
}

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: Input = input(call)?;
    let named = names::read_latest(&context, &input.function_name)?;
    let wanted = input.reserved_concurrent_executions;
    let mut checks = Validation::new();
    checks.required("reservedConcurrentExecutions", wanted.as_ref()).between(
        "reservedConcurrentExecutions",
        wanted,
        0,
        i64::from(u32::MAX),
    );
    checks.finish("ValidationException")?;
    let max = u32::try_from(wanted.unwrap_or_default()).unwrap_or(u32::MAX);
    let others: usize = lambda
        .functions
        .list(context.account(), &context.region, None, usize::MAX)
        .await?
        .iter()
        .filter(|f| f.name != named.name)
        .filter_map(|f| f.concurrency_max)
        .map(|n| n as usize)
        .sum();
    if others + max as usize > lambda.settings.account_concurrency.saturating_sub(UNRESERVED_MIN) {
        return Err(errors::invalid_parameter(format!(
            "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [{UNRESERVED_MIN}]."
        )));
    }
    lambda
        .functions
        .update(&named, |function| {
            function.concurrency_max = Some(max);
            function.touch();
            Ok(())
        })
        .await?;
    lambda.invoker.reserve(&named.account, &named.region);
    Answer::json(json!({"ReservedConcurrentExecutions": max}))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use crate::tests::Fixture;

    #[tokio::test]
    async fn reserves_and_frees() {
        let fixture = Fixture::new();
        fixture.create("f").await.unwrap();
        let name = json!({"FunctionName": "f"});
        let put = |n: i64| json!({"FunctionName": "f", "ReservedConcurrentExecutions": n});
        fixture.call("PutFunctionConcurrency", put(900)).await.unwrap();
        let got = fixture.call("GetFunctionConcurrency", name.clone()).await.unwrap();
        assert_eq!(got, json!({"ReservedConcurrentExecutions": 900}));
        assert_eq!(
            fixture.call("PutFunctionConcurrency", put(901)).await.unwrap_err().code,
            "InvalidParameterValueException"
        );
        assert_eq!(fixture.call("PutFunctionConcurrency", put(-1)).await.unwrap_err().code, "ValidationException");
        fixture.call("DeleteFunctionConcurrency", name.clone()).await.unwrap();
        assert_eq!(fixture.call("GetFunctionConcurrency", name).await.unwrap(), json!({}));
    }
}
