//! Lambda's Runtime API, used by a small bootstrap over Python's http.client.
#![allow(clippy::unwrap_used)]

mod support;

use bytes::Bytes;
use cumulet_engine::sandbox::Answer;
use cumulet_sandbox::channel::ChannelError;
use serde_json::{Value, json};
use support::{REQUEST_ID, Running};

/// `call(method, path, body, headers)` gives status, headers and body; `answers` is what a test reports.
const PRELUDE: &str = r#"
import http.client, json, os, sys
host = os.environ["AWS_LAMBDA_RUNTIME_API"]
conn = http.client.HTTPConnection(host)
def call(method, path, body=None, headers={}, conn=conn, chunked=False):
    conn.request(method, "/2018-06-01/runtime/" + path, body, headers, encode_chunked=chunked)
    r = conn.getresponse()
    return r.status, r.headers, r.read()
def next():
    status, headers, body = call("GET", "invocation/next")
    assert status == 200, (status, body)
    return headers["Lambda-Runtime-Aws-Request-Id"], headers, body
def respond(id, value):
    return call("POST", f"invocation/{id}/response", json.dumps(value))
def kind(result):
    return [result[0], json.loads(result[2]).get("errorType")]
"#;

fn start(script: &str) -> Running {
    Running::start_bootstrap(&format!("{PRELUDE}\n{script}"))
}

async fn started(script: &str) -> Running {
    let mut running = start(script);
    let (ready, log) = running.ready().await;
    assert_eq!(ready, Ok(()), "{log:#?}");
    running
}

async fn json_answer(running: &mut Running, payload: &str) -> Value {
    let (answer, log) = running.answer(payload).await;
    serde_json::from_str(&answer.unwrap_or_else(|e| panic!("{e} {log:#?}"))).unwrap()
}

#[tokio::test]
async fn events_are_served_one_after_the_other() {
    let mut running = started(
        r#"
print("starting")
while True:
    id, headers, body = next()
    print("got", id)
    status, _, text = respond(id, {"event": json.loads(body), "arn": headers["Lambda-Runtime-Invoked-Function-Arn"],
        "trace": headers["Lambda-Runtime-Trace-Id"][:5], "deadline": int(headers["Lambda-Runtime-Deadline-Ms"]) > 10**12,
        "context": json.loads(headers["Lambda-Runtime-Client-Context"])["custom"]["a"], "type": headers["Content-Type"]})
    assert status == 202 and json.loads(text) == {"status": "OK"}
"#,
    )
    .await;
    for n in 0..3 {
        let answer = json_answer(&mut running, &n.to_string()).await;
        assert_eq!(
            answer,
            json!({"event": n, "arn": "arn:aws:lambda:eu-central-1:000000000000:function:hello", "trace": "Root=",
                   "deadline": true, "context": "b", "type": "application/json"})
        );
    }
}

#[tokio::test]
async fn wrong_requests_are_refused() {
    let mut running = started(
        r#"
id, _, _ = next()
results = [
    kind(call("POST", "invocation/nope/response", "1")),
    kind(call("POST", "invocation/nope/error", "{}")),
    kind(call("GET", f"invocation/{id}/response")),
    kind(call("POST", "invocation/next")),
    kind(call("GET", "nope")),
    kind(call("GET", f"invocation/{id}/nope")),
    kind(call("GET", "invocation/next")),
    kind(call("POST", "init/error", "{}")),
]
respond(id, results)
id2, _, _ = next()
second = call("POST", f"invocation/{id}/response", '"again"')
respond(id2, [second[0]])
next()
"#,
    )
    .await;
    assert_eq!(
        json_answer(&mut running, "1").await,
        json!([
            [400, "InvalidRequestID"],
            [400, "InvalidRequestID"],
            [405, "MethodNotAllowed"],
            [405, "MethodNotAllowed"],
            [404, "NotFound"],
            [404, "NotFound"],
            [403, "InvalidStateTransition"],
            [403, "InvalidStateTransition"]
        ])
    );
}

#[tokio::test]
async fn a_second_answer_is_refused() {
    let mut running = started(
        r#"
id, _, _ = next()
respond(id, 1)
print(kind(respond(id, 2)), flush=True)
"#,
    )
    .await;
    assert_eq!(running.answer("1").await.0, Ok("1".into()));
    let (answer, log) = running.invoke("2").await;
    assert_eq!(answer, Err(ChannelError::Closed));
    assert_eq!(log, ["[400, 'InvalidRequestID']"]);
}

#[tokio::test]
async fn errors_pass_unchanged() {
    let mut running = started(
        r#"
id, _, _ = next()
call("POST", f"invocation/{id}/error", '{"errorType": "X.Y",  "errorMessage": "m"}', {"Lambda-Runtime-Function-Error-Type": "X.Y"})
id, _, _ = next()
call("POST", f"invocation/{id}/error", "", {"Lambda-Runtime-Function-Error-Type": "Only.Header"})
next()
"#,
    )
    .await;
    let (answer, _) = running.answer("1").await;
    assert_eq!(
        answer,
        Err(r#"{"errorType": "X.Y",  "errorMessage": "m"}"#.into())
    );
    let (answer, _) = running.answer("1").await;
    assert_eq!(
        answer,
        Err(r#"{"errorType":"Only.Header","errorMessage":""}"#.into())
    );
}

#[tokio::test]
async fn initialisation_fails() {
    let mut running = start(
        r#"
print("trying")
print(call("POST", "init/error", '{"errorType": "Runtime.Bad"}')[0])
"#,
    );
    let (ready, _) = running.ready().await;
    assert_eq!(
        ready,
        Err(ChannelError::Init(Bytes::from_static(
            br#"{"errorType": "Runtime.Bad"}"#
        )))
    );
    assert_eq!(running.exit_code().await, Some(0));
}

#[tokio::test]
async fn an_end_is_noticed() {
    let mut running = start("print('bye', end='')\nsys.exit(7)");
    let (ready, log) = running.ready().await;
    assert_eq!(ready, Err(ChannelError::Closed));
    assert_eq!(log, ["bye"]);
    let mut running = started("next()\nprint('in vain')").await;
    let (answer, log) = running.invoke("1").await;
    assert_eq!(answer, Err(ChannelError::Closed));
    assert_eq!(log, ["in vain"]);
}

#[tokio::test]
async fn streamed_answers_are_collected() {
    let mut running = started(
        r#"
id, _, _ = next()
call("POST", f"invocation/{id}/response", iter([b'"a', b'b', b'c"']),
     {"Lambda-Runtime-Function-Response-Mode": "streaming", "Transfer-Encoding": "chunked"}, chunked=True)
next()
"#,
    )
    .await;
    assert_eq!(running.answer("1").await.0, Ok("\"abc\"".into()));
}

#[tokio::test]
async fn a_stream_may_end_in_an_error() {
    let mut running = started(
        r#"
import base64, socket
id, _, _ = next()
name, port = host.split(":")
error = base64.b64encode(b'{"errorType": "Late"}').decode()
s = socket.create_connection((name, int(port)))
s.sendall((f"POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    "Lambda-Runtime-Function-Response-Mode: streaming\r\nTrailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\r\n"
    f"4\r\npart\r\n0\r\nLambda-Runtime-Function-Error-Type: Late\r\nLambda-Runtime-Function-Error-Body: {error}\r\n\r\n").encode())
assert s.recv(100).startswith(b"HTTP/1.1 202")
next()
"#,
    )
    .await;
    assert_eq!(
        running.answer("1").await.0,
        Err(r#"{"errorType": "Late"}"#.into())
    );
}

#[tokio::test]
async fn answers_too_large_are_refused() {
    let size = 6 * 1024 * 1024;
    let plain = "call('POST', f'invocation/{id}/response', b'x' * (6 * 1024 * 1024 + 5))";
    let chunked = "call('POST', f'invocation/{id}/response', iter([b'x' * 1048576] * 6 + [b'y']), {'Transfer-Encoding': 'chunked'}, chunked=True)";
    for (code, bytes) in [(plain, size + 5), (chunked, size + 1)] {
        let script = format!(
            "id, _, _ = next()\ntry:\n    print(kind({code}), flush=True)\nexcept (BrokenPipeError, ConnectionResetError):\n    pass\n"
        );
        let mut running = started(&script).await;
        let (answer, _) = running.invoke("1").await;
        assert_eq!(answer, Err(ChannelError::ResponseTooLarge { bytes }));
    }
}

#[tokio::test]
async fn an_answer_of_the_largest_size_passes() {
    let mut running =
        started("id, _, body = next()\ncall('POST', f'invocation/{id}/response', body)\nnext()")
            .await;
    let payload = Bytes::from(vec![b'7'; 6 * 1024 * 1024]);
    let (answer, _) = running.invoke(payload.clone()).await;
    assert!(answer == Ok(Answer::Success(payload)));
}

#[tokio::test]
async fn a_broken_answer_leaves_the_event_under_way() {
    let mut running = started(&format!(
        r#"
import socket
id, _, _ = next()
name, port = host.split(":")
for head in ["POST /2018-06-01/runtime/invocation/{REQUEST_ID}/response HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf",
             "GARBAGE\r\n\r\n", "\0\1\2\3", "GET /" + "x" * 100000]:
    s = socket.create_connection((name, int(port)))
    try:
        s.sendall(head.encode()); s.shutdown(socket.SHUT_WR)
        while s.recv(4096): pass
    except OSError:
        pass
    s.close()
print(respond(id, "whole")[0], flush=True)
next()
"#
    ))
    .await;
    assert_eq!(running.answer("1").await.0, Ok("\"whole\"".into()));
}
