//! Handing a text to whatever an ARN names: a function (asynchronously), a queue, a topic or an event bus, through the
//! operation that any client would use.

use bytes::Bytes;
use cumulet_base::arn::Arn;
use cumulet_wire::auth::Caller;
use cumulet_wire::call::{Answer, Context};
use cumulet_wire::client::Client;
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

/// What is handed over. Only what the kind of target has a use for is used.
#[derive(Clone, Debug, Default)]
pub struct Parcel {
    pub payload: Bytes,
    /// Message group and deduplication id, for FIFO queues and topics.
    pub group: Option<String>,
    pub deduplication: Option<String>,
    /// `X-Amzn-Trace-Id`, which also carries how often a function has caused itself.
    pub trace: Option<String>,
    /// Message attributes in SQS's shape.
    pub attributes: Option<Value>,
    /// Source and detail type of an event on a bus.
    pub event: Option<(String, String)>,
    /// Resources of an event on a bus.
    pub resources: Vec<String>,
}

impl Parcel {
    pub fn new(payload: impl Into<Bytes>) -> Parcel {
        Parcel { payload: payload.into(), ..Parcel::default() }
    }

    fn text(&self) -> Result<&str, ApiError> {
        std::str::from_utf8(&self.payload)
            .map_err(|_| ApiError::new(400, "InvalidParameterValue", "The payload is not text."))
    }
}

/// Whether an ARN names something that a parcel can be handed to.
pub fn is_target(arn: &str) -> bool {
    arn.parse::<Arn>().is_ok_and(|arn| match arn.service.as_str() {
        "lambda" => arn.resource.starts_with("function:"),
        "events" => arn.resource.starts_with("event-bus/"),
        "sqs" | "sns" => !arn.resource.is_empty(),
        _ => false,
    })
}

/// # Errors
/// The target's own; an ARN of another kind is `InvalidParameterValue`.
pub async fn deliver(client: &Client, caller: &Caller, arn: &str, parcel: &Parcel) -> Result<Answer, ApiError> {
    let unknown = || ApiError::new(400, "InvalidParameterValue", format!("{arn} is not a target."));
    let parsed: Arn = arn.parse().map_err(|_| unknown())?;
    let region = &parsed.region;
    match parsed.service.as_str() {
        "lambda" => {
            let mut input = json!({"FunctionName": arn, "InvocationType": "Event"});
            if let Some(trace) = &parcel.trace {
                input["TraceHeader"] = json!(trace);
            }
            client.call(caller, region, "lambda", "Invoke", input, parcel.payload.clone()).await
        }
        "sqs" => {
            let url = queue_url(&parsed);
            let mut input = json!({"QueueUrl": url, "MessageBody": parcel.text()?});
            if let Some(group) = &parcel.group {
                input["MessageGroupId"] = json!(group);
            }
            if let Some(id) = &parcel.deduplication {
                input["MessageDeduplicationId"] = json!(id);
            }
            if let Some(attributes) = &parcel.attributes {
                input["MessageAttributes"] = attributes.clone();
            }
            if let Some(trace) = &parcel.trace {
                input["MessageSystemAttributes"] =
                    json!({"AWSTraceHeader": {"DataType": "String", "StringValue": trace}});
            }
            client.call(caller, region, "sqs", "SendMessage", input, Bytes::new()).await
        }
        "sns" => {
            let mut input = json!({"TopicArn": arn, "Message": parcel.text()?});
            if let Some(group) = &parcel.group {
                input["MessageGroupId"] = json!(group);
            }
            if let Some(id) = &parcel.deduplication {
                input["MessageDeduplicationId"] = json!(id);
            }
            if let Some(attributes) = &parcel.attributes {
                input["MessageAttributes"] = attributes.clone();
            }
            let context = Context { trace: parcel.trace.clone(), ..Client::context(caller, region) };
            client.call_in(context, "sns", "Publish", input, Bytes::new()).await
        }
        "events" => {
            let (source, detail_type) = parcel.event.clone().unwrap_or_default();
            let entry = json!({
                "Source": source,
                "DetailType": detail_type,
                "Detail": parcel.text()?,
                "EventBusName": arn,
                "Resources": parcel.resources,
                "TraceHeader": parcel.trace,
            });
            let answer =
                client.call(caller, region, "events", "PutEvents", json!({"Entries": [entry]}), Bytes::new()).await?;
            let first = &answer.output["Entries"][0];
            match first["ErrorCode"].as_str() {
                Some(code) => Err(ApiError::new(400, code, first["ErrorMessage"].as_str().unwrap_or_default())),
                None => Ok(answer),
            }
        }
        _ => Err(unknown()),
    }
}

/// The URL of a queue, by its ARN, as callers inside name it.
pub fn queue_url(queue: &Arn) -> String {
    format!("http://localhost/{}/{}", queue.account, queue.resource)
}

/// Whether another attempt may end otherwise: the target is not there or does not take it from this caller, or refuses
/// what it is given.
pub fn is_worth_another(error: &ApiError) -> bool {
    error.status >= 500 && error.status != 501
        || error.status == 429
        || matches!(
            error.code.as_str(),
            "ThrottlingException" | "Throttling" | "RequestLimitExceeded" | "TooManyRequestsException"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_handed_to() {
        for (arn, is) in [
            ("arn:aws:lambda:us-east-1:000000000000:function:f:live", true),
            ("arn:aws:sqs:us-east-1:000000000000:q", true),
            ("arn:aws:sns:us-east-1:000000000000:t.fifo", true),
            ("arn:aws:events:us-east-1:000000000000:event-bus/default", true),
            ("arn:aws:events:us-east-1:000000000000:rule/r", false),
            ("arn:aws:s3:::b", false),
            ("queue", false),
        ] {
            assert_eq!(is_target(arn), is, "{arn}");
        }
    }
}
