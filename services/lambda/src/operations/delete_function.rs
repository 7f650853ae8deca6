//! DeleteFunction (<https://docs.aws.amazon.com/lambda/latest/api/API_DeleteFunction.html>). The log group stays, as on AWS.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;

use super::{FunctionInput, input};
use crate::{Lambda, errors, names};

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: FunctionInput = input(call)?;
    let named = names::read_version(&context, &input.function_name, input.qualifier.as_deref())?;
    if named.qualifier.is_some() {
        return Err(errors::invalid_parameter("$LATEST version cannot be deleted without deleting the function."));
    }
    lambda.functions.delete(&named).await?;
    lambda.invoker.retire(&named.account, &named.region, &named.name, None);
    Ok(Answer::empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use crate::tests::Fixture;

    #[tokio::test]
    async fn deletes_once() {
        let fixture = Fixture::new();
        fixture.create("f").await.unwrap();
        let name = json!({"FunctionName": "f"});
        fixture.call("GetFunction", name.clone()).await.unwrap();
        fixture.call("DeleteFunction", name.clone()).await.unwrap();
        assert_eq!(fixture.retired(), [("f".to_owned(), None)]);
        for operation in ["GetFunction", "DeleteFunction"] {
            assert_eq!(fixture.call(operation, name.clone()).await.unwrap_err().status, 404);
        }
        assert!(fixture.create("f").await.is_ok());
    }
}
