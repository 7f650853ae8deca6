//! Signals: what wait conditions wait for. They come with a PUT to the address that a handle is
//! (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-waitcondition.html>), or as SignalResource for
//! a resource with a creation policy. A signal is written down before it is answered, whether or not anybody waits for it
//! yet; of two with one id the first stays.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cumulet_base::{clock, id, limits};
use cumulet_wire::data_plane::{DataPlane, HttpRequest};
use cumulet_wire::error::ApiError;
use http::{Method, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::CloudFormation;
use crate::errors::Error;
use crate::resources::{Whereabouts, text};
use crate::stack::{Event, Stack, StackResource};
use crate::storage::Owner;

const PATH: &str = "/_cumulet/cloudformation/signal/";
pub const HANDLE: &str = "AWS::CloudFormation::WaitConditionHandle";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal {
    pub is_success: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub data: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// Why nobody waits any longer.
#[derive(Debug)]
pub enum Unmet {
    Failure {
        unique_id: String,
        signal: Signal,
    },
    /// Signals that came in time.
    Late(usize),
    Cancelled,
    Storage(Error),
}

/// The address of a handle: good as long as the stack has it.
pub fn address(at: &Whereabouts, token: &str) -> String {
    let context = &at.client.context;
    let stack_id = at.stack_arn.rsplit('/').next().unwrap_or_default();
    let (account, region) = (context.account(), &context.region);
    format!("http://{}{PATH}{account}/{region}/{stack_id}/{}/{token}", context.host, at.logical_id)
}

/// What signals to an address are kept under.
pub fn token(address: &str) -> Option<&str> {
    address.rsplit('/').next().filter(|token| !token.is_empty())
}

/// Waits for so many signals. It is woken by them, and ends at its time, the stack's, or when the update is given up.
pub async fn wait(
    at: &Whereabouts,
    waiter: &str,
    count: usize,
    timeout_ms: u64,
) -> Result<Vec<(String, Signal)>, Unmet> {
    let owner = at.owner();
    let storage = &at.cloud.storage;
    let stack_id = at.stack_arn.rsplit('/').next().unwrap_or_default();
    let ends_ms = at.begun_ms.saturating_add(timeout_ms).min(at.ends_ms.unwrap_or(u64::MAX));
    let mut commits = storage.watch(&owner);
    let mut cancelled = at.cloud.cancelled.subscribe();
    let mut is_over = at.is_over.clone();
    loop {
        commits.borrow_and_update();
        let signals = storage.signals(&owner, stack_id, waiter).await.map_err(Unmet::Storage)?;
        if let Some((unique_id, signal)) = signals.iter().find(|(_, signal)| !signal.is_success) {
            return Err(Unmet::Failure { unique_id: unique_id.clone(), signal: signal.clone() });
        }
        if signals.len() >= count {
            return Ok(signals);
        }
        let left_ms = ends_ms.saturating_sub(at.cloud.clock.now_ms());
        if left_ms == 0 {
            return Err(Unmet::Late(signals.len()));
        }
        tokio::select! {
            _ = commits.changed() => {}
            _ = cancelled.wait_for(|stacks| stacks.contains(stack_id)) => return Err(Unmet::Cancelled),
            Ok(_) = is_over.wait_for(|is_over| *is_over) => return Err(Unmet::Cancelled),
            () = tokio::time::sleep(Duration::from_millis(left_ms.min(limits::DELIVERY_CLOCK_MS))) => {}
        }
    }
}

/// A signal as its body has it; the outer name is the unique id.
fn parsed(body: &[u8]) -> Result<(String, Signal), &'static str> {
    let value: Value = serde_json::from_slice(body).map_err(|_| "The signal is not a JSON object\n")?;
    let member = |name: &str| value[name].as_str().unwrap_or_default();
    let is_success = match member("Status") {
        "SUCCESS" => true,
        "FAILURE" => false,
        _ => return Err("Status of a signal is SUCCESS or FAILURE\n"),
    };
    let unique_id = text(&value["UniqueId"]);
    if value["UniqueId"].is_null() || !is_unique_id(&unique_id) {
        return Err("UniqueId of a signal has 1 to 64 characters\n");
    }
    let data = match &value["Data"] {
        Value::Null => String::new(),
        data => text(data),
    };
    Ok((unique_id, Signal { is_success, data, reason: member("Reason").to_owned() }))
}

pub fn is_unique_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
}

/// The event that says that a resource got one by its name.
pub fn event(
    stack: &Stack,
    (name, resource): (&str, &StackResource),
    unique_id: &str,
    status: &str,
    now_ms: u64,
) -> Event {
    Event {
        stack_id: stack.arn.clone(),
        event_id: id::uuid(),
        stack_name: stack.name.clone(),
        logical_resource_id: name.to_owned(),
        physical_resource_id: resource.made.physical_id.clone(),
        resource_type: resource.existing.kind.clone(),
        timestamp: clock::iso_ms(now_ms),
        resource_status: resource.status.clone(),
        resource_status_reason: Some(format!("Received {status} signal with UniqueId {unique_id}")),
        resource_properties: None,
        client_request_token: None,
    }
}

/// Where signals are PUT.
pub struct SignalPlane {
    cloud: CloudFormation,
}

impl SignalPlane {
    pub(crate) fn new(cloud: CloudFormation) -> SignalPlane {
        SignalPlane { cloud }
    }

    async fn take(&self, path: &str, body: &[u8]) -> Result<(), Refused> {
        let parts: Vec<&str> = path.strip_prefix(PATH).unwrap_or_default().split('/').collect();
        let [account, region, stack_id, logical_id, token] = parts[..] else { return Err(Refused::Unknown) };
        let owner = Owner { account: account.to_owned(), region: region.to_owned() };
        let (stack, _) = self.cloud.storage.stack(&owner, stack_id).await?.ok_or(Refused::Unknown)?;
        let is_known = |row: &&StackResource| {
            row.existing.kind == HANDLE
                && self::token(&row.made.physical_id).is_some_and(|known| is_equal(known.as_bytes(), token.as_bytes()))
        };
        stack.resources.get(logical_id).filter(is_known).ok_or(Refused::Unknown)?;
        let (unique_id, signal) = parsed(body).map_err(Refused::Malformed)?;
        Ok(self.cloud.storage.put_signal(&owner, &stack, token, (&unique_id, &signal), None).await?)
    }
}

/// In a time that does not tell how much of it is right.
fn is_equal(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

enum Refused {
    Unknown,
    Malformed(&'static str),
    Failed(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Refused {
        Refused::Failed(error)
    }
}

fn response(status: u16, text: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::copy_from_slice(text.as_bytes()));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    response
}

#[async_trait]
impl DataPlane for SignalPlane {
    fn claims(&self, _: &str, path: &str) -> bool {
        path.starts_with(PATH)
    }

    fn body_bytes_max(&self) -> usize {
        limits::CUSTOM_RESOURCE_REPLY_BYTES_MAX
    }

    fn too_large(&self) -> Response<Bytes> {
        response(413, "The signal is longer than 4096 bytes\n")
    }

    async fn serve(&self, request: HttpRequest) -> Response<Bytes> {
        if request.method != Method::PUT {
            return response(405, "A signal is PUT\n");
        }
        match self.take(&request.path, &request.body).await {
            Ok(()) => response(200, ""),
            Err(Refused::Unknown) => response(403, "There is no such handle of a wait condition\n"),
            Err(Refused::Malformed(why)) => response(400, why),
            Err(Refused::Failed(error)) => {
                let error = ApiError::from(error);
                response(error.status, &format!("{}\n", error.message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn bodies() {
        let (unique_id, signal) =
            parsed(br#"{"Status": "SUCCESS", "UniqueId": "a", "Data": "d", "Reason": "r"}"#).unwrap();
        assert_eq!((unique_id.as_str(), signal.is_success), ("a", true));
        assert_eq!((signal.data.as_str(), signal.reason.as_str()), ("d", "r"));
        assert!(!parsed(br#"{"Status": "FAILURE", "UniqueId": 7}"#).unwrap().1.is_success);
        for bad in ["", "[]", "{}", r#"{"Status": "SUCCESS"}"#, r#"{"Status": "FAILED", "UniqueId": "a"}"#] {
            assert!(parsed(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(is_equal(b"ab", b"ab") && !is_equal(b"ab", b"ac") && !is_equal(b"ab", b"abc"));
    }
}
