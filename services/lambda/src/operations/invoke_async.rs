//! InvokeAsync (<https://docs.aws.amazon.com/lambda/latest/api/API_InvokeAsync.html>): the older way to invoke
//! asynchronously; tested with Invoke.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::json;

use super::invoke;
use crate::Lambda;

pub async fn run(lambda: &Lambda, mut call: Call) -> Result<Answer, ApiError> {
    call.input.insert("InvocationType".to_owned(), json!("Event"));
    let answer = invoke::run(lambda, call).await?;
    Ok(Answer { payload: None, ..answer })
}
