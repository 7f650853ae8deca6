//! Lambda's Runtime API (<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>) for one process: HTTP/1.1
//! on the listener given, and beside it what the instance's extensions call (`extensions::api`). SnapStart's restore calls
//! are absent. A runtime that takes several events at a time asks for them at the same time, as on Lambda's managed instances:
//! each event has a seat. Streamed answers go on as they come where somebody takes them so, and are collected otherwise.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::TcpListener as StdTcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use cumulet_base::limits::INVOKE_PAYLOAD_BYTES_MAX;
use cumulet_engine::invocation::Invocation;
use cumulet_engine::output::InvocationLog;
use cumulet_engine::sandbox::{Answer, Deadline};
use cumulet_engine::stream::{Sink, TooLong};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use tokio::sync::{Notify, Semaphore};

use super::pipes::Pipes;
use super::{ChannelError, server};
use crate::extensions::attendant::Task;
use crate::extensions::{self, Extensions};

const ERROR_TYPE: &str = "lambda-runtime-function-error-type";
const RESPONSE_MODE: &str = "lambda-runtime-function-response-mode";
const PREFIX: &str = "/2018-06-01/runtime/";
/// Bodies received at once.
const BODIES_MAX: usize = 2;
/// Identifiers remembered, to tell a second answer from a made-up one.
const ANSWERED_MAX: usize = 8;

/// The server and the host's side of it, or of one of its seats.
pub struct RuntimeApi {
    shared: Arc<Shared>,
    seat: usize,
    /// The connections live in the task's set and end with it.
    server: Arc<Task>,
}

struct Shared {
    state: Mutex<State>,
    /// Wakes a call of `next` when an event is there.
    offered: Notify,
    bodies: Semaphore,
    extensions: Option<Arc<Extensions>>,
}

#[derive(Default)]
struct State {
    is_ready: bool,
    /// One, until there are several.
    seats: Vec<Seat>,
    answered: VecDeque<String>,
}

#[derive(Default)]
struct Seat {
    /// The event that a call of `next` takes.
    event: Option<Event>,
    /// The request identifier that was handed out and has no answer yet.
    under_way: Option<String>,
    /// Where a streamed answer to it goes.
    sink: Option<Sink>,
    /// Of the event under way, and before the first one of initialisation.
    outcome: Option<Result<Answer, ChannelError>>,
    /// The host, waiting for `is_ready` or `outcome`.
    waiter: Option<Waker>,
}

struct Event {
    invocation: Invocation,
    deadline_ms: u64,
}

impl RuntimeApi {
    pub fn serve(
        listener: StdTcpListener,
        function: &str,
        extensions: Option<Arc<Extensions>>,
    ) -> std::io::Result<RuntimeApi> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State { seats: vec![Seat::default()], ..State::default() }),
            offered: Notify::new(),
            bodies: Semaphore::new(BODIES_MAX),
            extensions,
        });
        let answering = shared.clone();
        let server = server::serve(listener, function, move |request| {
            let shared = answering.clone();
            async move { route(&shared, request).await }
        })?;
        Ok(RuntimeApi { shared, seat: 0, server: Arc::new(server) })
    }

    /// After initialisation: as many that each take an event at a time, from one process that asks for as many.
    pub fn divide(self, count: usize) -> Vec<RuntimeApi> {
        self.shared.lock().seats.resize_with(count, Seat::default);
        self.shared.bodies.add_permits(count);
        let seat = |seat| RuntimeApi { shared: self.shared.clone(), seat, server: self.server.clone() };
        (0..count).map(seat).collect()
    }

    pub async fn ready(&mut self, pipes: &mut Pipes, log: &mut InvocationLog) -> Result<(), ChannelError> {
        self.wait(pipes, log, |is_ready, seat| match seat.outcome.take() {
            Some(Err(error)) => Some(Err(error)),
            _ => is_ready.then_some(Ok(())),
        })
        .await
    }

    /// The same without reading what is printed, for when somebody else does.
    pub async fn readied(&self) -> Result<(), ChannelError> {
        poll_fn(|cx| {
            let mut state = self.shared.lock();
            let is_ready = state.is_ready;
            let seat = &mut state.seats[self.seat];
            if let Some(Err(error)) = seat.outcome.take() {
                return Poll::Ready(Err(error));
            }
            if is_ready {
                return Poll::Ready(Ok(()));
            }
            seat.waiter = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    pub async fn invoke(
        &mut self,
        event: &Invocation,
        deadline: Deadline,
        pipes: &mut Pipes,
        log: &mut InvocationLog,
    ) -> Result<Answer, ChannelError> {
        {
            let seat = &mut self.shared.lock().seats[self.seat];
            seat.outcome = None;
            seat.sink = event.sink.clone();
            seat.event = Some(Event { invocation: event.clone(), deadline_ms: deadline.epoch_ms });
        }
        self.shared.offered.notify_one();
        self.wait(pipes, log, |_, seat| seat.outcome.take()).await
    }

    /// Reads the pipes until `look` finds something. The listener outlives the process, so that both pipes closed is
    /// what tells that it is gone; where there are several seats, others read the pipes and watch the process.
    async fn wait<T>(
        &self,
        pipes: &mut Pipes,
        log: &mut InvocationLog,
        look: impl Fn(bool, &mut Seat) -> Option<Result<T, ChannelError>>,
    ) -> Result<T, ChannelError> {
        poll_fn(|cx| {
            let gone = pipes.poll(cx, log).is_ready();
            let mut state = self.shared.lock();
            let (is_ready, is_only) = (state.is_ready, state.seats.len() == 1);
            let seat = &mut state.seats[self.seat];
            if let Some(found) = look(is_ready, seat) {
                return Poll::Ready(found);
            }
            if gone && is_only {
                return Poll::Ready(Err(ChannelError::Closed));
            }
            seat.waiter = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        // Nobody waits for it any more, and nobody is to begin with it.
        self.shared.lock().seats[self.seat].event = None;
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change below is a plain assignment, so a poisoned state is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn seat_of(&mut self, id: &str) -> Option<&mut Seat> {
        self.seats.iter_mut().find(|seat| seat.under_way.as_deref() == Some(id))
    }

    /// Ends the event under way that is `id`.
    fn answer(&mut self, id: &str, outcome: Result<Answer, ChannelError>) -> bool {
        let Some(seat) = self.seat_of(id) else { return false };
        let answered = seat.under_way.take();
        seat.sink = None;
        seat.end(outcome);
        self.answered.extend(answered);
        if self.answered.len() > ANSWERED_MAX.max(self.seats.len()) {
            self.answered.pop_front();
        }
        true
    }
}

impl Seat {
    fn wake(&mut self) {
        if let Some(waiter) = self.waiter.take() {
            waiter.wake();
        }
    }

    fn end(&mut self, outcome: Result<Answer, ChannelError>) {
        self.outcome = Some(outcome);
        self.wake();
    }
}

enum Call<'a> {
    Next,
    InitError,
    Response { id: &'a str },
    Error { id: &'a str },
}

fn parse_path(path: &str) -> Option<Call<'_>> {
    let rest = path.strip_prefix(PREFIX)?;
    match rest {
        "invocation/next" => return Some(Call::Next),
        "init/error" => return Some(Call::InitError),
        _ => {}
    }
    let (id, what) = rest.strip_prefix("invocation/")?.split_once('/')?;
    match what {
        "response" => Some(Call::Response { id }),
        "error" => Some(Call::Error { id }),
        _ => None,
    }
}

async fn route(shared: &Shared, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (parts, mut body) = request.into_parts();
    let response = match (&shared.extensions, extensions::api::parse(parts.uri.path())) {
        (Some(extensions), Some(path)) => extensions::api::answer(extensions, path, &parts, &mut body).await,
        _ => handle(shared, &parts, &mut body).await,
    };
    skip(&mut body).await;
    response
}

async fn handle(shared: &Shared, parts: &Parts, body: &mut Incoming) -> Response<Full<Bytes>> {
    let Some(call) = parse_path(parts.uri.path()) else {
        return refuse(StatusCode::NOT_FOUND, "NotFound", "no such path");
    };
    let method = match call {
        Call::Next => Method::GET,
        _ => Method::POST,
    };
    if parts.method != method {
        return refuse(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "no such method on this path");
    }
    let error_type = parts.headers.get(ERROR_TYPE);
    match call {
        Call::Next => next(shared).await,
        Call::InitError => match collect(shared, body).await {
            Ok(error) => init_error(shared, error_object(error, error_type)),
            Err(refused) => refused.response(),
        },
        Call::Response { id } if parts.headers.get(RESPONSE_MODE).is_some_and(|mode| mode == "streaming") => {
            let sink = shared.lock().seat_of(id).and_then(|seat| seat.sink.clone());
            match sink {
                Some(sink) => stream(shared, id, sink, parts.headers.get(header::CONTENT_TYPE), body).await,
                None => answer(shared, id, body, Answer::Success).await,
            }
        }
        Call::Response { id } => answer(shared, id, body, Answer::Success).await,
        Call::Error { id } => {
            let make = |payload| Answer::Error(error_object(payload, error_type));
            answer(shared, id, body, make).await
        }
    }
}

/// Reads what is left of a body, for a connection with an unread one is closed, and its client finds a broken pipe
/// where the refusal should be.
pub(crate) async fn skip(body: &mut Incoming) {
    let mut left = INVOKE_PAYLOAD_BYTES_MAX;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

async fn next(shared: &Shared) -> Response<Full<Bytes>> {
    loop {
        {
            let mut state = shared.lock();
            if state.seats.len() == 1 && state.seats[0].under_way.is_some() {
                return refuse(
                    StatusCode::FORBIDDEN,
                    "InvalidStateTransition",
                    "the event before has not been answered",
                );
            }
            if !state.is_ready {
                state.is_ready = true;
                state.seats.iter_mut().for_each(Seat::wake);
            }
            let free = state.seats.iter_mut().filter(|seat| seat.under_way.is_none());
            if let Some((seat, event)) = free.filter_map(|seat| seat.event.take().map(|event| (seat, event))).next() {
                seat.under_way = Some(event.invocation.request_id.clone());
                return event.into_response();
            }
        }
        shared.offered.notified().await;
    }
}

impl Event {
    fn into_response(self) -> Response<Full<Bytes>> {
        let Event { invocation, deadline_ms } = self;
        let mut response = Response::new(Full::new(invocation.payload));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("lambda-runtime-deadline-ms", HeaderValue::from(deadline_ms));
        let texts = [
            ("lambda-runtime-aws-request-id", Some(invocation.request_id)),
            ("lambda-runtime-invoked-function-arn", Some(invocation.invoked_arn)),
            ("lambda-runtime-trace-id", Some(invocation.trace).filter(|t| !t.is_empty())),
            ("lambda-runtime-client-context", invocation.client_context),
            ("lambda-runtime-aws-tenant-id", invocation.tenant),
        ];
        for (name, text) in texts {
            // Control characters in JSON are white space, and in the rest have no meaning.
            let clean = text.map(|t| t.replace(|c: char| c.is_ascii_control(), " "));
            if let Some(value) = clean.and_then(|t| HeaderValue::from_bytes(t.as_bytes()).ok()) {
                headers.insert(name, value);
            }
        }
        response
    }
}

fn init_error(shared: &Shared, error: Bytes) -> Response<Full<Bytes>> {
    let mut state = shared.lock();
    if state.is_ready {
        return refuse(StatusCode::FORBIDDEN, "InvalidStateTransition", "initialisation is over");
    }
    state.seats[0].end(Err(ChannelError::Init(error)));
    accepted()
}

async fn answer(
    shared: &Shared,
    id: &str,
    body: &mut Incoming,
    make: impl FnOnce(Bytes) -> Answer,
) -> Response<Full<Bytes>> {
    if shared.lock().seat_of(id).is_none() {
        return unknown_id(shared, id);
    }
    let outcome = match collect_with_trailers(shared, body).await {
        Ok((payload, trailers)) => {
            let error = trailers.as_ref().and_then(stream_error);
            Ok(error.unwrap_or_else(|| make(payload)))
        }
        Err(Refused::TooLarge { bytes }) => Err(ChannelError::ResponseTooLarge { bytes }),
        Err(refused) => return refused.response(),
    };
    let too_large = match &outcome {
        Err(ChannelError::ResponseTooLarge { bytes }) => Some(*bytes),
        _ => None,
    };
    if !shared.lock().answer(id, outcome) {
        return unknown_id(shared, id);
    }
    match too_large {
        Some(bytes) => Refused::TooLarge { bytes }.response(),
        None => accepted(),
    }
}

/// Passes a streamed answer on. While its reader is behind, the body is not read, and the runtime waits.
async fn stream(
    shared: &Shared,
    id: &str,
    sink: Sink,
    content_type: Option<&HeaderValue>,
    body: &mut Incoming,
) -> Response<Full<Bytes>> {
    if shared.lock().seat_of(id).is_none() {
        return unknown_id(shared, id);
    }
    sink.begin(content_type.and_then(|kind| kind.to_str().ok()).map(str::to_owned)).await;
    let mut outcome = Ok(Answer::Success(Bytes::new()));
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            outcome = Err(ChannelError::Protocol("a streamed answer that ended before its end".to_owned()));
            break;
        };
        match frame.into_data() {
            Ok(data) => {
                if let Err(TooLong { bytes_max }) = sink.send(data).await {
                    outcome = Err(ChannelError::StreamTooLong { bytes_max });
                    break;
                }
            }
            Err(frame) => {
                if let Some(error) = frame.trailers_ref().and_then(stream_error) {
                    outcome = Ok(error);
                }
            }
        }
    }
    drop(sink);
    if shared.lock().answer(id, outcome) { accepted() } else { unknown_id(shared, id) }
}

fn unknown_id(shared: &Shared, id: &str) -> Response<Full<Bytes>> {
    let is_answered = shared.lock().answered.iter().any(|a| a == id);
    let message = if is_answered { "the event has been answered already" } else { "Invalid request ID" };
    refuse(StatusCode::BAD_REQUEST, "InvalidRequestID", message)
}

enum Refused {
    TooLarge { bytes: usize },
    Broken,
}

impl Refused {
    fn response(self) -> Response<Full<Bytes>> {
        match self {
            Refused::TooLarge { .. } => refuse(
                StatusCode::PAYLOAD_TOO_LARGE,
                "RequestEntityTooLarge",
                &format!("Exceeded maximum allowed payload size ({INVOKE_PAYLOAD_BYTES_MAX} bytes)."),
            ),
            Refused::Broken => refuse(StatusCode::BAD_REQUEST, "BadRequest", "the body ended before its end"),
        }
    }
}

async fn collect(shared: &Shared, body: &mut Incoming) -> Result<Bytes, Refused> {
    let (bytes, _) = collect_with_trailers(shared, body).await?;
    Ok(bytes)
}

async fn collect_with_trailers(shared: &Shared, body: &mut Incoming) -> Result<(Bytes, Option<HeaderMap>), Refused> {
    let known = body.size_hint().lower();
    if known > INVOKE_PAYLOAD_BYTES_MAX as u64 {
        return Err(Refused::TooLarge { bytes: usize::try_from(known).unwrap_or(usize::MAX) });
    }
    let _permit = shared.bodies.acquire().await;
    match Limited::new(body, INVOKE_PAYLOAD_BYTES_MAX).collect().await {
        Ok(collected) => {
            let trailers = collected.trailers().cloned();
            Ok((collected.to_bytes(), trailers))
        }
        Err(error) if error.is::<LengthLimitError>() => Err(Refused::TooLarge { bytes: INVOKE_PAYLOAD_BYTES_MAX + 1 }),
        Err(_) => Err(Refused::Broken),
    }
}

/// The error that a streamed answer ends with, from its trailers
/// (<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html#runtimes-custom-response-streaming>).
fn stream_error(trailers: &HeaderMap) -> Option<Answer> {
    let kind = trailers.get(ERROR_TYPE)?;
    let body = trailers
        .get("lambda-runtime-function-error-body")
        .and_then(|text| BASE64_STANDARD.decode(text).ok())
        .unwrap_or_default();
    Some(Answer::Error(error_object(Bytes::from(body), Some(kind))))
}

/// The error as the runtime gave it; where it sent none, one made from the header.
fn error_object(body: Bytes, error_type: Option<&HeaderValue>) -> Bytes {
    if !body.is_empty() {
        return body;
    }
    let kind = error_type.and_then(|value| value.to_str().ok()).unwrap_or("Runtime.Unknown");
    Bytes::from(serde_json::json!({ "errorType": kind, "errorMessage": "" }).to_string())
}

fn accepted() -> Response<Full<Bytes>> {
    json(StatusCode::ACCEPTED, Bytes::from_static(b"{\"status\":\"OK\"}\n"))
}

fn refuse(status: StatusCode, error_type: &str, message: &str) -> Response<Full<Bytes>> {
    let body = serde_json::json!({ "errorMessage": message, "errorType": error_type });
    json(status, Bytes::from(body.to_string()))
}

fn json(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// For the fuzz room: a path, an error's type and its body, as a runtime sends them.
pub fn fuzz(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines();
    let _either = parse_path(lines.next().unwrap_or_default());
    let mut trailers = HeaderMap::new();
    for name in [ERROR_TYPE, "lambda-runtime-function-error-body"] {
        if let Ok(value) = HeaderValue::from_str(lines.next().unwrap_or_default()) {
            trailers.insert(name, value);
        }
    }
    let _either = stream_error(&trailers);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::SocketAddr;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::time::Instant;

    use super::*;

    async fn call(to: SocketAddr, method: &str, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(to).await.unwrap();
        let length = body.len();
        let head =
            format!("{method} {PREFIX}{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}");
        stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    fn event(id: &str) -> Invocation {
        Invocation { request_id: id.to_owned(), payload: id.to_owned().into(), ..Invocation::default() }
    }

    async fn invoke(seat: &mut RuntimeApi, id: &str) -> Result<Answer, ChannelError> {
        let deadline = Deadline { at: Instant::now() + Duration::from_secs(10), epoch_ms: 0 };
        seat.invoke(&event(id), deadline, &mut Pipes::none(), &mut InvocationLog::new()).await
    }

    #[tokio::test]
    async fn seats_have_an_event_each() {
        let listener = StdTcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let api = RuntimeApi::serve(listener, "f", None).unwrap();
        let first = tokio::spawn(call(to, "GET", "invocation/next", ""));
        api.readied().await.unwrap();
        let mut seats = api.divide(2);
        let mut right = seats.pop().unwrap();
        let mut left = seats.pop().unwrap();
        let runtime = async {
            let taken = [first.await.unwrap(), call(to, "GET", "invocation/next", "").await];
            assert!(taken[0].ends_with('a') && taken[1].ends_with('b'), "{taken:?}");
            for id in ["b", "a"] {
                let answer = call(to, "POST", &format!("invocation/{id}/response"), id).await;
                assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
            }
            let again = call(to, "POST", "invocation/a/response", "a").await;
            assert!(again.contains("answered already"), "{again}");
        };
        let (one, other, ()) = tokio::join!(invoke(&mut left, "a"), invoke(&mut right, "b"), runtime);
        assert_eq!((one, other), (Ok(Answer::Success("a".into())), Ok(Answer::Success("b".into()))));

        // What was given up before anybody took it is not begun with.
        assert!(tokio::time::timeout(Duration::ZERO, invoke(&mut left, "late")).await.is_err());
        drop(left);
        let runtime = async {
            let taken = call(to, "GET", "invocation/next", "").await;
            assert!(taken.ends_with("last"), "{taken}");
            call(to, "POST", "invocation/last/response", "1").await;
        };
        let (last, ()) = tokio::join!(invoke(&mut right, "last"), runtime);
        assert_eq!(last, Ok(Answer::Success("1".into())));
    }
}
