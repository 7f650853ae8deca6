//! Custom resources: a function or a topic is told what is wanted, and says what became of it with a PUT to an address
//! that only it was given
//! (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref.html>). An address is good until it was used,
//! or the step is over; a crash makes the step, and with it the request, happen again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cumulet_base::{id, limits};
use cumulet_wire::data_plane::{DataPlane, HttpRequest};
use cumulet_wire::error::ApiError;
use http::{Method, Response};
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use crate::resources::{Made, Whereabouts, text};

const PATH: &str = "/_cumulet/cloudformation/reply/";

/// Who waits for which answer, by the secret in its address.
#[derive(Clone)]
pub struct Replies {
    endpoint: String,
    waiting: Arc<Mutex<HashMap<String, oneshot::Sender<Value>>>>,
}

/// Takes its entry away with it.
struct Waiting {
    replies: Replies,
    token: String,
    reply: oneshot::Receiver<Value>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Ok(mut waiting) = self.replies.waiting.lock() {
            waiting.remove(&self.token);
        }
    }
}

impl Replies {
    pub fn new(endpoint: &str) -> Replies {
        Replies { endpoint: endpoint.trim_end_matches('/').to_owned(), waiting: Arc::default() }
    }

    fn expect(&self) -> Waiting {
        let (sender, reply) = oneshot::channel();
        let token = id::hex(48);
        if let Ok(mut waiting) = self.waiting.lock() {
            waiting.insert(token.clone(), sender);
        }
        Waiting { replies: self.clone(), token, reply }
    }

    fn url(&self, token: &str) -> String {
        format!("{}{PATH}{token}", self.endpoint)
    }

    /// Whether anybody waited for it.
    fn answer(&self, token: &str, reply: Value) -> bool {
        let sender = self.waiting.lock().ok().and_then(|mut waiting| waiting.remove(token));
        sender.is_some_and(|sender| sender.send(reply).is_ok())
    }
}

/// Where functions send their answers.
pub struct ReplyPlane {
    replies: Replies,
}

impl ReplyPlane {
    pub(crate) fn new(replies: Replies) -> ReplyPlane {
        ReplyPlane { replies }
    }
}

fn response(status: u16, text: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(text.as_bytes()));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    response
}

#[async_trait]
impl DataPlane for ReplyPlane {
    fn claims(&self, _: &str, path: &str) -> bool {
        path.starts_with(PATH)
    }

    fn body_bytes_max(&self) -> usize {
        limits::CUSTOM_RESOURCE_REPLY_BYTES_MAX
    }

    fn too_large(&self) -> Response<Bytes> {
        response(413, "The answer is longer than 4096 bytes\n")
    }

    async fn serve(&self, request: HttpRequest) -> Response<Bytes> {
        let token = request.path.strip_prefix(PATH).unwrap_or_default();
        if request.method != Method::PUT {
            return response(405, "An answer is PUT\n");
        }
        match serde_json::from_slice::<Value>(&request.body) {
            Ok(reply @ Value::Object(_)) => match self.replies.answer(token, reply) {
                true => response(200, ""),
                false => response(403, "Nobody waits for this answer\n"),
            },
            _ => response(400, "The answer is not a JSON object\n"),
        }
    }
}

/// What is the same of all requests for one resource.
pub enum Request<'a> {
    Create,
    Update { physical_id: &'a str, old: &'a Map<String, Value> },
    Delete { physical_id: &'a str },
}

/// Numbers and booleans arrive as texts, as on AWS.
fn as_texts(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(as_texts).collect(),
        Value::Object(map) => {
            map.iter().map(|(name, value)| (name.clone(), as_texts(value))).collect::<Map<_, _>>().into()
        }
        Value::Null => Value::Null,
        other => text(other).into(),
    }
}

pub async fn ask(
    at: &Whereabouts,
    kind: &str,
    properties: &Map<String, Value>,
    request: Request<'_>,
) -> Result<Made, ApiError> {
    let invalid = |why: String| ApiError::new(400, "ValidationError", why);
    let service = properties.get("ServiceToken").and_then(Value::as_str);
    let service = service.ok_or_else(|| invalid("required property [ServiceToken] not found".into()))?;
    let timeout_s = match properties.get("ServiceTimeout").map(text) {
        None => limits::CUSTOM_RESOURCE_TIMEOUT_S,
        Some(given) => given
            .parse()
            .ok()
            .filter(|seconds| (1..=limits::CUSTOM_RESOURCE_TIMEOUT_S).contains(seconds))
            .ok_or_else(|| invalid(format!("ServiceTimeout {given} is not between 1 and 3600 seconds")))?,
    };
    let waiting = at.cloud.replies.expect();
    let request_id = id::uuid();
    let mut event = json!({
        "RequestType": match &request {
            Request::Create => "Create",
            Request::Update { .. } => "Update",
            Request::Delete { .. } => "Delete",
        },
        "ServiceToken": service,
        "ResponseURL": at.cloud.replies.url(&waiting.token),
        "StackId": at.stack_arn,
        "RequestId": request_id,
        "LogicalResourceId": at.logical_id,
        "ResourceType": kind,
        "ResourceProperties": as_texts(&properties.clone().into()),
    });
    let former = match &request {
        Request::Create => None,
        Request::Update { physical_id, old } => {
            event["OldResourceProperties"] = as_texts(&Value::Object((*old).clone()));
            Some(*physical_id)
        }
        Request::Delete { physical_id } => Some(*physical_id),
    };
    if let Some(physical_id) = former {
        event["PhysicalResourceId"] = physical_id.into();
    }
    send(at, service, &event).await?;
    let mut waiting = waiting;
    let reply = tokio::time::timeout(Duration::from_secs(timeout_s), &mut waiting.reply).await;
    let Ok(Ok(reply)) = reply else {
        let why = "CloudFormation did not receive a response from your Custom Resource. Please check your logs for \
                   requestId";
        return Err(ApiError::new(400, "NotStabilized", format!("{why} [{request_id}]")));
    };
    made(&reply, former, &request_id)
}

async fn send(at: &Whereabouts, service: &str, event: &Value) -> Result<(), ApiError> {
    let kind = service.split(':').nth(2).unwrap_or_default();
    match kind {
        "sns" => {
            let subject = "AWS CloudFormation custom resource request";
            let input = json!({ "TopicArn": service, "Message": event.to_string(), "Subject": subject });
            at.client.call("sns", "Publish", input).await.map(drop)
        }
        _ => {
            let input = json!({ "FunctionName": service, "InvocationType": "Event" });
            at.client.send("lambda", "Invoke", input, event.to_string()).await
        }
    }
}

fn made(reply: &Value, former: Option<&str>, request_id: &str) -> Result<Made, ApiError> {
    let member = |name: &str| reply[name].as_str().filter(|text| !text.is_empty());
    let failed = |why: String| Err(ApiError::new(400, "GeneralServiceException", why));
    match member("Status") {
        Some("SUCCESS") => {}
        Some("FAILED") => {
            let reason = member("Reason").unwrap_or("no reason was given");
            return failed(format!(
                "Received response status [FAILED] from custom resource. Message returned: {reason} (RequestId: {request_id})"
            ));
        }
        _ => return failed("Invalid Status in the response of the custom resource".into()),
    }
    let Some(physical_id) = member("PhysicalResourceId").or(former) else {
        return failed("Invalid PhysicalResourceId in the response of the custom resource".into());
    };
    let data = reply["Data"].as_object().cloned().unwrap_or_default();
    Ok(Made { physical_id: physical_id.to_owned(), attributes: data.into_iter().collect(), ..Made::default() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_replies_make() {
        let good = json!({"Status": "SUCCESS", "PhysicalResourceId": "p", "Data": {"A": 1}});
        let got = made(&good, None, "r").unwrap();
        assert_eq!((got.physical_id.as_str(), &got.attributes["A"]), ("p", &json!(1)));
        assert_eq!(made(&json!({"Status": "SUCCESS"}), Some("old"), "r").unwrap().physical_id, "old");
        let error = made(&json!({"Status": "FAILED", "Reason": "because"}), None, "r").unwrap_err();
        assert!(error.message.contains("because"), "{}", error.message);
        for bad in [json!({}), json!({"Status": "SUCCESS"}), json!({"Status": "OK", "PhysicalResourceId": "p"})] {
            assert!(made(&bad, None, "r").is_err(), "{bad}");
        }
        assert_eq!(as_texts(&json!({"a": [1, true, null, "x"]})), json!({"a": ["1", "true", null, "x"]}));
    }

    #[tokio::test]
    async fn only_who_has_the_address_answers_and_once() {
        let replies = Replies::new("https://127.0.0.1/");
        let mut waiting = replies.expect();
        assert!(replies.url(&waiting.token).starts_with("https://127.0.0.1/_cumulet/cloudformation/reply/"));
        assert!(!replies.answer("other", json!({})));
        assert!(replies.answer(&waiting.token, json!({"Status": "SUCCESS"})));
        assert!(!replies.answer(&waiting.token, json!({})));
        assert_eq!((&mut waiting.reply).await.unwrap()["Status"], "SUCCESS");
        let token = replies.expect().token.clone();
        assert!(!replies.answer(&token, json!({})));
    }
}
