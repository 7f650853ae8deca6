//! GetFunctionConfiguration (<https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionConfiguration.html>).

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;

use super::{FunctionInput, input};
use crate::{Lambda, names};

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: FunctionInput = input(call)?;
    let named = names::read(&context, &input.function_name, input.qualifier.as_deref())?;
    let function = lambda.functions.function(&named).await?;
    Answer::json(lambda.shown(&function, named.qualifier.as_deref()).await)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use crate::tests::Fixture;

    #[tokio::test]
    async fn is_what_was_created() {
        let fixture = Fixture::new();
        let made = fixture.create("f").await.unwrap();
        let name = json!({"FunctionName": "f"});
        assert_eq!(fixture.call("GetFunctionConfiguration", name).await.unwrap(), made);
        let qualified = json!({"FunctionName": "f", "Qualifier": "$LATEST"});
        let got = fixture.call("GetFunctionConfiguration", qualified).await.unwrap();
        assert_eq!(got["FunctionArn"], "arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST");
    }
}
