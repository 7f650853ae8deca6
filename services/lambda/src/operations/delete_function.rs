//! DeleteFunction (<https://docs.aws.amazon.com/lambda/latest/api/API_DeleteFunction.html>): the function with all of its
//! versions and aliases, or one version. The log group stays, as on AWS.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;

use super::{FunctionInput, input};
use crate::names::At;
use crate::{Lambda, errors, names};

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: FunctionInput = input(call)?;
    let named = names::read(&context, &input.function_name, input.qualifier.as_deref())?;
    match (named.at(), named.qualifier.as_deref()) {
        (At::Latest, Some(_)) => {
            return Err(errors::invalid_parameter("$LATEST version cannot be deleted without deleting the function."));
        }
        (At::Alias(_), _) => {
            return Err(errors::invalid_parameter("Deletion of aliases is not currently supported."));
        }
        _ => {}
    }
    lambda.functions.delete(&named).await?;
    lambda.invoker.retire(&named.account, &named.region, &named.name, named.qualifier.as_deref(), None);
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
