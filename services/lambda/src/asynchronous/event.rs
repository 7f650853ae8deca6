//! An event that waits for its function, as it is stored (`docs/formats/lambda.md`), and what is told of its end.

use bytes::{BufMut, Bytes, BytesMut};
use cumulet_base::clock;
use cumulet_engine::catalog::Target;
use cumulet_engine::invocation::{Invocation, Outcome};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::json_of;
use crate::model::Function;

const FORMAT: u8 = 1;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub target: Target,
    pub request_id: String,
    pub invoked_arn: String,
    pub trace: String,
    pub client_context: Option<String>,
    pub tenant: Option<String>,
    pub accepted_ms: u64,
    /// How often the function ran on it.
    pub attempts: u32,
    /// How often in a row it could not run.
    pub backoffs: u32,
    pub payload: Bytes,
}

#[derive(Serialize, Deserialize)]
struct Head {
    account: String,
    region: String,
    name: String,
    qualifier: Option<String>,
    request_id: String,
    invoked_arn: String,
    trace: String,
    client_context: Option<String>,
    tenant: Option<String>,
    accepted_ms: u64,
    attempts: u32,
    backoffs: u32,
}

/// How an event ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// `Success`, `RetriesExhausted`, `EventAgeExceeded`, `RecursiveInvocation`.
    pub condition: &'static str,
    /// Of the last attempt, where there was one.
    pub outcome: Option<Outcome>,
    pub error: Option<String>,
    /// As a caller of a synchronous invocation would have seen it.
    pub status: u16,
}

impl Event {
    pub fn new(target: &Target, invocation: Invocation, now_ms: u64) -> Event {
        Event {
            target: target.clone(),
            request_id: invocation.request_id,
            invoked_arn: invocation.invoked_arn,
            trace: invocation.trace,
            client_context: invocation.client_context,
            tenant: invocation.tenant,
            accepted_ms: now_ms,
            attempts: 0,
            backoffs: 0,
            payload: invocation.payload,
        }
    }

    pub fn invocation(&self) -> Invocation {
        Invocation {
            request_id: self.request_id.clone(),
            payload: self.payload.clone(),
            invoked_arn: self.invoked_arn.clone(),
            trace: self.trace.clone(),
            client_context: self.client_context.clone(),
            tenant: self.tenant.clone(),
            sink: None,
        }
    }

    pub fn encode(&self) -> Bytes {
        let head = Head {
            account: self.target.account.clone(),
            region: self.target.region.clone(),
            name: self.target.name.clone(),
            qualifier: self.target.qualifier.clone(),
            request_id: self.request_id.clone(),
            invoked_arn: self.invoked_arn.clone(),
            trace: self.trace.clone(),
            client_context: self.client_context.clone(),
            tenant: self.tenant.clone(),
            accepted_ms: self.accepted_ms,
            attempts: self.attempts,
            backoffs: self.backoffs,
        };
        let head = serde_json::to_vec(&head).expect("texts and numbers have a JSON form");
        let mut bytes = BytesMut::with_capacity(5 + head.len() + self.payload.len());
        bytes.put_u8(FORMAT);
        bytes.put_u32(u32::try_from(head.len()).expect("names and headers are short"));
        bytes.put_slice(&head);
        bytes.put_slice(&self.payload);
        bytes.freeze()
    }

    pub fn decode(bytes: &Bytes) -> Option<Event> {
        let (version, rest) = bytes.split_first()?;
        let (length, rest) = rest.split_first_chunk::<4>().filter(|_| *version == FORMAT)?;
        let length = u32::from_be_bytes(*length) as usize;
        let head: Head = serde_json::from_slice(rest.get(..length)?).ok()?;
        Some(Event {
            target: Target { account: head.account, region: head.region, name: head.name, qualifier: head.qualifier },
            request_id: head.request_id,
            invoked_arn: head.invoked_arn,
            trace: head.trace,
            client_context: head.client_context,
            tenant: head.tenant,
            accepted_ms: head.accepted_ms,
            attempts: head.attempts,
            backoffs: head.backoffs,
            payload: bytes.slice(5 + length..),
        })
    }
}

/// What destinations get
/// (<https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html>).
pub fn record(event: &Event, ended: &Ended, function: &Function, now_ms: u64) -> Value {
    let mut record = json!({
        "version": "1.0",
        "timestamp": clock::iso_ms(now_ms),
        "requestContext": {
            "requestId": event.request_id,
            "functionArn": format!("{}:{}", function.arn(), function.version),
            "condition": ended.condition,
            "approximateInvokeCount": event.attempts,
        },
        "requestPayload": json_of(&event.payload),
    });
    if let Some(outcome) = &ended.outcome {
        record["responseContext"] = json!({"statusCode": ended.status, "executedVersion": outcome.executed_version});
        if let Some(error) = outcome.function_error {
            record["responseContext"]["functionError"] = json!(error);
        }
        record["responsePayload"] = json_of(&outcome.payload);
    }
    record
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn stored_and_read_back() {
        let target =
            Target { account: "0".into(), region: "r".into(), name: "f".into(), qualifier: Some("live".into()) };
        let invocation = Invocation { payload: "{}".into(), tenant: Some("t".into()), ..Invocation::default() };
        let event = Event { attempts: 2, ..Event::new(&target, invocation, 7) };
        let bytes = event.encode();
        assert_eq!(Event::decode(&bytes).unwrap(), event);
        for cut in 0..bytes.len() - 2 {
            assert!(Event::decode(&bytes.slice(..cut)).is_none(), "{cut}");
        }
    }
}
