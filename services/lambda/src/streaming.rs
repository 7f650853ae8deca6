//! Answers that functions write piece by piece, on their way out: as the event stream of InvokeWithResponseStream, and as
//! the body of a function URL's response. The bytes go on as they come; nothing is gathered.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use cumulet_engine::invocation::{InvokeError, Outcome};
use cumulet_engine::stream::{Source, Streaming};
use cumulet_wire::event_stream;
use cumulet_wire::http_event::reply_v2;
use cumulet_wire::raw::{RawBody, RawError};
use futures_util::stream;
use http::{HeaderValue, Response, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::sync::oneshot;

/// The content type of an answer that begins with status and headers
/// (<https://docs.aws.amazon.com/lambda/latest/dg/config-rs-write-functions.html>).
pub const HTTP_INTEGRATION: &str = "application/vnd.awslambda.http-integration-response";
/// Ends status and headers.
const DELIMITER: &[u8] = &[0; 8];
/// Status and headers have less.
const PRELUDE_BYTES_MAX: usize = 256 * 1024;
/// The longest piece of an event stream, as its clients take them.
const PIECE_BYTES_MAX: usize = 1024 * 1024;

type End = oneshot::Receiver<Result<Outcome, InvokeError>>;

async fn ended(end: &mut End) -> Result<Outcome, InvokeError> {
    let lost = |_| InvokeError::Internal { message: "the invocation was lost".to_owned() };
    end.await.map_err(lost)?
}

/// What InvokeWithResponseStream answers: pieces of the payload, and at last how it ended.
pub fn events(streaming: Streaming, has_log: bool) -> RawBody {
    struct State {
        source: Source,
        end: Option<End>,
    }
    let state = State { source: streaming.source, end: Some(streaming.end) };
    let pieces = stream::unfold(state, move |mut state| async move {
        if let Some(piece) = state.source.next().await {
            return Some((Ok(Frame::data(chunks(&piece))), state));
        }
        let outcome = ended(&mut state.end.take()?).await;
        Some((outcome.map(|outcome| Frame::data(complete(outcome, has_log))).map_err(RawError::from), state))
    });
    StreamBody::new(pieces).boxed_unsync()
}

fn chunks(payload: &Bytes) -> Bytes {
    let mut pieces = payload.chunks(PIECE_BYTES_MAX);
    let one = |piece: &[u8]| event_stream::event("PayloadChunk", "application/octet-stream", piece);
    let (Some(first), rest) = (pieces.next(), pieces) else { return Bytes::new() };
    let mut bytes = BytesMut::from(&one(first)[..]);
    rest.for_each(|piece| bytes.extend_from_slice(&one(piece)));
    bytes.freeze()
}

/// The last of the stream; what a function did not stream comes before it.
fn complete(outcome: Outcome, has_log: bool) -> Bytes {
    let mut end = json!({});
    if has_log {
        end["LogResult"] = json!(STANDARD.encode(&outcome.log_tail));
    }
    let mut bytes = BytesMut::new();
    if outcome.function_error.is_some() {
        // The error's type, and what the function said, as Lambda's clients find it.
        let object: Value = serde_json::from_slice(&outcome.payload).unwrap_or_default();
        end["ErrorCode"] = json!(object["errorType"].as_str().unwrap_or("Unhandled"));
        end["ErrorDetails"] = json!(String::from_utf8_lossy(&outcome.payload));
    } else if !outcome.payload.is_empty() {
        bytes.extend_from_slice(&chunks(&outcome.payload));
    }
    bytes.extend_from_slice(&event_stream::event("InvokeComplete", "application/json", end.to_string().as_bytes()));
    bytes.freeze()
}

/// What a function URL answers; `None`: nothing of it can be.
pub async fn response(streaming: Streaming) -> Result<Response<RawBody>, String> {
    let Streaming { content_type, mut source, mut end, .. } = streaming;
    let has_prelude = content_type.as_deref() == Some(HTTP_INTEGRATION);
    let (mut response, first) = if has_prelude {
        let (prelude, rest) = read_prelude(&mut source).await?;
        (head(&prelude)?, rest)
    } else {
        (Response::new(()), Bytes::new())
    };
    let first = match (first.is_empty(), has_prelude) {
        (false, _) | (_, true) => first,
        // A function that has not streamed: its whole answer, or its error.
        (true, false) => match source.next().await {
            Some(piece) => piece,
            None => {
                let outcome = ended(&mut end).await.map_err(|e| e.to_string())?;
                if outcome.function_error.is_some() {
                    return Err(String::from_utf8_lossy(&outcome.payload).into_owned());
                }
                outcome.payload
            }
        },
    };
    if !has_prelude {
        let kind = content_type.as_deref().unwrap_or("application/octet-stream");
        if let Ok(kind) = HeaderValue::from_str(kind) {
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
        }
    }
    Ok(response.map(|()| body(first, source, end)))
}

fn head(prelude: &[u8]) -> Result<Response<()>, String> {
    let mut prelude: Value = serde_json::from_slice(prelude).map_err(|e| format!("a prelude that is not JSON: {e}"))?;
    let members = prelude.as_object_mut().ok_or("a prelude that is not an object")?;
    members.entry("statusCode").or_insert(json!(200));
    members.remove("body");
    let response = reply_v2(prelude.to_string().as_bytes()).map_err(|e| e.to_string())?;
    Ok(response.map(|_| ()))
}

async fn read_prelude(source: &mut Source) -> Result<(Bytes, Bytes), String> {
    let mut bytes = BytesMut::new();
    while bytes.len() < PRELUDE_BYTES_MAX {
        let Some(piece) = source.next().await else { return Err("no end of its prelude".to_owned()) };
        let from = bytes.len().saturating_sub(DELIMITER.len() - 1);
        bytes.extend_from_slice(&piece);
        if let Some(at) = bytes[from..].windows(DELIMITER.len()).position(|window| window == DELIMITER) {
            let prelude = bytes.split_to(from + at).freeze();
            return Ok((prelude, bytes.freeze().slice(DELIMITER.len()..)));
        }
    }
    Err("a prelude that is too long".to_owned())
}

/// The first bytes, then what comes. A function that fails in mid-stream breaks the response off, so that nobody takes a
/// part for the whole.
fn body(first: Bytes, source: Source, end: End) -> RawBody {
    struct State {
        first: Option<Bytes>,
        source: Source,
        end: Option<End>,
    }
    let state = State { first: Some(first).filter(|first| !first.is_empty()), source, end: Some(end) };
    let pieces = stream::unfold(state, |mut state| async move {
        if let Some(first) = state.first.take() {
            return Some((Ok(Frame::data(first)), state));
        }
        if let Some(piece) = state.source.next().await {
            return Some((Ok(Frame::data(piece)), state));
        }
        let mut end = state.end.take()?;
        // A whole answer has taken the outcome already.
        if end.is_terminated() {
            return None;
        }
        match ended(&mut end).await {
            Ok(outcome) if outcome.function_error.is_none() => None,
            Ok(_) => Some((Err(RawError::from("the function failed in mid-stream")), state)),
            Err(error) => Some((Err(RawError::from(error)), state)),
        }
    });
    StreamBody::new(pieces).boxed_unsync()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use cumulet_engine::stream::{pair, whole};

    use super::*;

    fn outcome(payload: &str, function_error: Option<&'static str>) -> Outcome {
        Outcome {
            payload: payload.to_owned().into(),
            function_error,
            executed_version: "$LATEST".to_owned(),
            log_tail: "log".into(),
            duration_us: 1,
        }
    }

    async fn streamed(kind: Option<&str>, pieces: &[&str], error: Option<&'static str>) -> Streaming {
        let (sink, mut source) = pair(u64::MAX);
        sink.begin(kind.map(str::to_owned)).await;
        for piece in pieces {
            sink.send((*piece).to_owned().into()).await.unwrap();
        }
        let content_type = source.begun().await.unwrap();
        let (sender, end) = oneshot::channel();
        let payload = if error.is_some() { r#"{"errorType":"Broken"}"# } else { "" };
        drop(sender.send(Ok(outcome(payload, error))));
        Streaming { content_type, executed_version: "1".to_owned(), source, end }
    }

    async fn text(body: RawBody) -> Result<String, RawError> {
        Ok(String::from_utf8_lossy(&body.collect().await?.to_bytes()).into_owned())
    }

    #[tokio::test]
    async fn preludes_become_heads() {
        let pieces =
            ["{\"statusCode\":201,\"headers\":{\"x-a\":\"b\"},\"cookies\":[\"c=1\"]}\0\0\0", "\0\0\0\0\0he", "llo"];
        let answer = response(streamed(Some(HTTP_INTEGRATION), &pieces, None).await).await.unwrap();
        assert_eq!((answer.status().as_u16(), &answer.headers()["x-a"]), (201, &HeaderValue::from_static("b")));
        assert_eq!(answer.headers()["set-cookie"], "c=1");
        assert_eq!(text(answer.into_body()).await.unwrap(), "hello");
        for bad in ["{\"statusCode\":201}", "[]\0\0\0\0\0\0\0\0", "{\0\0\0\0\0\0\0\0"] {
            assert!(response(streamed(Some(HTTP_INTEGRATION), &[bad], None).await).await.is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn plain_streams_whole_answers_and_breaks() {
        let answer = response(streamed(Some("text/plain"), &["a", "b"], None).await).await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/plain");
        assert_eq!(text(answer.into_body()).await.unwrap(), "ab");
        let answer = response(whole(outcome("{}", None))).await.unwrap();
        assert_eq!(text(answer.into_body()).await.unwrap(), "{}");
        assert!(response(whole(outcome("{}", Some("Unhandled")))).await.is_err());
        let broken = response(streamed(None, &["a"], Some("Unhandled")).await).await.unwrap();
        assert!(text(broken.into_body()).await.is_err());
    }

    #[tokio::test]
    async fn an_event_stream_tells_how_it_ended() {
        let all = text(events(streamed(None, &["a", "b"], Some("Unhandled")).await, true)).await.unwrap();
        assert_eq!(all.matches("PayloadChunk").count(), 2);
        assert!(all.contains(r#""ErrorCode":"Broken""#) && all.contains(r#""LogResult":"bG9n""#), "{all}");
        let whole = text(events(whole(outcome("1", None)), false)).await.unwrap();
        assert!(whole.contains("PayloadChunk") && whole.contains("InvokeComplete"), "{whole}");
    }
}
