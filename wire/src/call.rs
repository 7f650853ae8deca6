//! One call of one operation, whatever protocol it came by: over HTTP or from another service through the registry.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::auth::Caller;
use crate::error::ApiError;
use crate::raw::RawBody;

/// What an operation is told about its caller and its own whereabouts.
#[derive(Clone, Debug)]
pub struct Context {
    pub caller: Caller,
    pub region: String,
    pub request_id: String,
    /// `Host` header of the request, or the endpoint's own; what is handed out to clients is built from it.
    pub host: String,
    pub now_ms: u64,
    /// `X-Amzn-Trace-Id` as it came: goes on with what follows from the call, so that a function that causes itself is found
    /// out (<https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html>).
    pub trace: Option<String>,
}

/// A trace header that is passed on; one that is longer than any is let go.
pub fn trace_of(headers: &http::HeaderMap) -> Option<String> {
    let value = headers.get("x-amzn-trace-id").and_then(|value| value.to_str().ok());
    value.filter(|trace| trace.len() <= cumulet_base::limits::TRACE_BYTES_MAX).map(str::to_owned)
}

impl Context {
    pub fn account(&self) -> &str {
        &self.caller.account
    }

    /// An ARN in the caller's account and region.
    pub fn arn(&self, service: &str, resource: impl Into<String>) -> String {
        cumulet_base::arn::Arn::new(service, &self.region, self.account(), resource).to_string()
    }
}

/// Input of an operation. Path, query and header members are in `input` under the names of the service model.
#[derive(Clone, Debug)]
pub struct Call {
    pub operation: &'static Operation,
    pub input: Map<String, Value>,
    /// The raw body, for operations whose model has a payload member.
    pub payload: Bytes,
    pub context: Context,
}

use crate::operation::Operation;

impl Call {
    /// The input as a typed shape. Members of the wrong type answer as a serialisation error, as AWS does.
    pub fn input<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        serde_json::from_value(Value::Object(self.input.clone())).map_err(|e| ApiError::serialization(&e.to_string()))
    }
}

/// A body that is still being made; whoever takes it has it.
#[derive(Clone)]
pub struct Stream(Arc<Mutex<Option<RawBody>>>);

impl Stream {
    pub fn new(body: RawBody) -> Stream {
        Stream(Arc::new(Mutex::new(Some(body))))
    }

    /// `None` the second time.
    pub fn take(&self) -> Option<RawBody> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

/// A time as JSON protocols send it, seconds with fractions, or as a text by RFC 3339; in milliseconds.
pub fn time_ms(value: &Value) -> Option<u64> {
    if let Some(text) = value.as_str() {
        let format = &time::format_description::well_known::Rfc3339;
        let at = time::OffsetDateTime::parse(text, format).ok()?;
        return u64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok();
    }
    // Up to the year 9999.
    let seconds = value.as_f64().filter(|seconds| (0.0..253_402_300_800.0).contains(seconds))?;
    Some((seconds * 1000.0).round() as u64)
}

/// A time as JSON protocols answer it.
pub fn seconds(ms: u64) -> Value {
    Value::from(ms as f64 / 1000.0)
}

/// Output of an operation.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub output: Value,
    /// Instead of `output`, for operations whose model has a payload member.
    pub payload: Option<Bytes>,
    /// Instead of both, for answers that come piece by piece. The content type is among the headers.
    pub stream: Option<Stream>,
    /// Response headers beyond those every answer has.
    pub headers: Vec<(&'static str, String)>,
    /// Instead of the operation's own status.
    pub status: Option<u16>,
}

impl Answer {
    pub fn empty() -> Answer {
        Answer::default()
    }

    /// The members of the answer, wherever the service has put them: some write theirs themselves.
    pub fn members(self) -> Result<Value, ApiError> {
        match self.payload {
            Some(bytes) if self.output.is_null() && !bytes.is_empty() => {
                serde_json::from_slice(&bytes).map_err(|e| ApiError::internal(format!("reading an answer: {e}")))
            }
            _ => Ok(self.output),
        }
    }

    pub fn json(output: impl serde::Serialize) -> Result<Answer, ApiError> {
        let output =
            serde_json::to_value(output).map_err(|e| ApiError::internal(format!("writing the answer: {e}")))?;
        Ok(Answer { output, ..Answer::default() })
    }
}
