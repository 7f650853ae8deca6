//! InvokeWithResponseStream (<https://docs.aws.amazon.com/lambda/latest/api/API_InvokeWithResponseStream.html>): the answer
//! comes as the function writes it.

use bytes::Bytes;
use cumulet_base::limits;
use cumulet_engine::catalog::Access;
use cumulet_wire::call::{Answer, Call, Stream};
use cumulet_wire::error::ApiError;
use cumulet_wire::event_stream;

use super::input;
use super::invoke::{InvokeInput, refusal, target_of};
use crate::{Lambda, names, streaming};

pub async fn run(lambda: &Lambda, mut call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let payload = std::mem::take(&mut call.payload);
    let input: InvokeInput = input(call)?;
    let named = names::read(&context, &input.function_name, input.qualifier.as_deref())?;
    input.check(&["RequestResponse", "DryRun"])?;
    if input.invocation_type.as_deref() == Some("DryRun") {
        lambda.functions.require(&named).await?;
        return Ok(Answer { status: Some(204), payload: Some(Bytes::new()), ..Answer::empty() });
    }
    let mut invocation = input.invocation(&context, &named, payload, limits::INVOKE_PAYLOAD_BYTES_MAX)?;
    lambda.functions.count(&named, &mut invocation).await?;
    let streaming = lambda.invoker.invoke_streaming(&target_of(&named), &Access::Authorised, invocation).await;
    let streaming = match streaming {
        Ok(streaming) => streaming,
        Err(error) => return Err(refusal(lambda, &named, error).await),
    };
    let content_type = streaming.content_type.clone().unwrap_or_else(|| "application/octet-stream".to_owned());
    let headers = vec![
        ("content-type", event_stream::CONTENT_TYPE.to_owned()),
        ("x-amzn-lambda-response-stream-content-type", content_type),
        ("x-amz-executed-version", streaming.executed_version.clone()),
    ];
    let body = streaming::events(streaming, input.has_log());
    Ok(Answer { stream: Some(Stream::new(body)), headers, ..Answer::empty() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bytes::Bytes;
    use http_body_util::BodyExt;
    use serde_json::json;

    use crate::tests::Fixture;

    #[tokio::test]
    async fn answers_in_events() {
        let fixture = Fixture::new();
        fixture.create("f").await.unwrap();
        let input = json!({"FunctionName": "f", "LogType": "Tail"});
        let answer =
            fixture.call_raw("InvokeWithResponseStream", input, Bytes::from_static(b"{\"a\":1}")).await.unwrap();
        assert_eq!(answer.headers[0].1, "application/vnd.amazon.eventstream");
        let body = answer.stream.unwrap().take().unwrap().collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&body);
        assert!(text.contains("{\"a\":1}") && text.contains("InvokeComplete") && text.contains("LogResult"));
    }

    #[tokio::test]
    async fn refusals() {
        let fixture = Fixture::new();
        fixture.create("f").await.unwrap();
        for (input, payload, status) in [
            (json!({"FunctionName": "g"}), "{}", 404),
            (json!({"FunctionName": "f:live"}), "{}", 404),
            (json!({"FunctionName": "f"}), "{", 400),
            (json!({"FunctionName": "f", "InvocationType": "Event"}), "{}", 400),
            (json!({"FunctionName": "f", "TenantId": "a?"}), "{}", 400),
        ] {
            let payload = Bytes::from_static(payload.as_bytes());
            let error = fixture.call_raw("InvokeWithResponseStream", input.clone(), payload).await.unwrap_err();
            assert_eq!(error.status, status, "{input}");
        }
        let dry = json!({"FunctionName": "f", "InvocationType": "DryRun"});
        let answer = fixture.call_raw("InvokeWithResponseStream", dry, Bytes::new()).await.unwrap();
        assert_eq!(answer.status, Some(204));
    }
}
