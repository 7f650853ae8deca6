//! What an instance's extensions are told of it (<https://docs.aws.amazon.com/lambda/latest/dg/telemetry-api.html>, and the
//! Logs API before it): the platform's events and everything printed, in batches, over HTTP or TCP to a port inside the
//! instance. What happens before somebody subscribes is kept for the subscriber. Nothing here holds the instance up: a
//! subscriber that does not keep up loses events, and is told how many.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cumulet_base::clock::{self, Clock, SystemClock};
use cumulet_base::limits::{TELEMETRY_EARLY_EVENTS_MAX, TELEMETRY_QUEUE_MAX, TELEMETRY_TRIES};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// Which of the two APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Schema {
    Telemetry,
    Logs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Platform,
    Function,
    Extension,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Platform => "platform",
            Kind::Function => "function",
            Kind::Extension => "extension",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Http { is_put: bool },
    Tcp,
}

/// A subscription that may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    schema: Schema,
    kinds: Vec<Kind>,
    items_max: usize,
    bytes_max: usize,
    wait: Duration,
    protocol: Protocol,
    port: u16,
    path: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    schema_version: Option<String>,
    #[serde(default)]
    types: Vec<String>,
    #[serde(default)]
    buffering: Buffering,
    destination: Option<Destination>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Buffering {
    max_items: Option<u64>,
    max_bytes: Option<u64>,
    timeout_ms: Option<u64>,
}

#[derive(Deserialize)]
struct Destination {
    protocol: Option<String>,
    #[serde(rename = "URI")]
    uri: Option<String>,
    port: Option<u16>,
    method: Option<String>,
    encoding: Option<String>,
}

const TELEMETRY_SCHEMAS: &[&str] = &["2022-07-01", "2022-12-13", "2025-01-29"];
const LOGS_SCHEMAS: &[&str] = &["2020-08-15", "2021-03-18"];
/// Lambda's default, least and most of each.
const ITEMS: (u64, u64, u64) = (10_000, 1000, 10_000);
const BYTES: (u64, u64, u64) = (262_144, 262_144, 1_048_576);
const WAIT_MS: (u64, u64, u64) = (1000, 25, 30_000);

/// What is asked for.
///
/// # Errors
/// What is wrong with it, in a sentence.
pub(crate) fn parse(body: &[u8], schema: Schema) -> Result<Wanted, String> {
    let request: Request = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let mut wrong = Vec::new();
    let schemas = if schema == Schema::Telemetry { TELEMETRY_SCHEMAS } else { LOGS_SCHEMAS };
    match request.schema_version.as_deref() {
        Some(version) if !schemas.contains(&version) => wrong.push(format!("schemaVersion {version} is not supported")),
        // The Logs API began without it.
        None if schema == Schema::Telemetry => wrong.push("schemaVersion is not provided".to_owned()),
        _ => {}
    }
    let kind = |name: &String| match name.as_str() {
        "platform" => Ok(Kind::Platform),
        "function" => Ok(Kind::Function),
        "extension" => Ok(Kind::Extension),
        other => Err(format!("{other} is no type of telemetry")),
    };
    let (kinds, unknown): (Vec<_>, Vec<_>) = request.types.iter().map(kind).partition(Result::is_ok);
    wrong.extend(unknown.into_iter().filter_map(Result::err));
    let mut bounded = |name: &str, value: Option<u64>, (default, least, most): (u64, u64, u64)| {
        let value = value.unwrap_or(default);
        if !(least..=most).contains(&value) {
            wrong.push(format!("{name} should be between {least} and {most}"));
        }
        value
    };
    let items_max = bounded("buffering.maxItems", request.buffering.max_items, ITEMS);
    let bytes_max = bounded("buffering.maxBytes", request.buffering.max_bytes, BYTES);
    let wait_ms = bounded("buffering.timeoutMs", request.buffering.timeout_ms, WAIT_MS);
    let (protocol, port, path) = destination(request.destination.as_ref(), &mut wrong);
    if request.types.is_empty() {
        wrong.push("types should not be empty".to_owned());
    }
    if !wrong.is_empty() {
        return Err(wrong.join("; "));
    }
    Ok(Wanted {
        schema,
        kinds: kinds.into_iter().flatten().collect(),
        items_max: usize::try_from(items_max).unwrap_or(usize::MAX),
        bytes_max: usize::try_from(bytes_max).unwrap_or(usize::MAX),
        wait: Duration::from_millis(wait_ms),
        protocol,
        port,
        path,
    })
}

/// Names that the instance has for itself.
const HOSTS: &[&str] = &["sandbox.localdomain", "sandbox.local", "sandbox", "localhost", "127.0.0.1", "0.0.0.0"];

fn destination(given: Option<&Destination>, wrong: &mut Vec<String>) -> (Protocol, u16, String) {
    let nowhere = (Protocol::Tcp, 0, String::new());
    let Some(given) = given else {
        wrong.push("destination is not provided".to_owned());
        return nowhere;
    };
    if given.encoding.as_deref().is_some_and(|encoding| encoding != "JSON") {
        wrong.push("encoding should be JSON".to_owned());
    }
    let is_put = match given.method.as_deref() {
        None | Some("POST") => false,
        Some("PUT") => true,
        Some(_) => {
            wrong.push("method should be POST or PUT".to_owned());
            false
        }
    };
    let protocol = match given.protocol.as_deref() {
        Some("HTTP") => Protocol::Http { is_put },
        Some("TCP") => {
            let port = given.port.unwrap_or(0);
            if port == 0 {
                wrong.push("port is not provided".to_owned());
            }
            return (Protocol::Tcp, port, String::new());
        }
        _ => {
            wrong.push("protocol should be HTTP or TCP".to_owned());
            return nowhere;
        }
    };
    let uri = given.uri.as_deref().unwrap_or_default();
    let Ok(uri) = uri.parse::<http::Uri>() else {
        wrong.push("URI is not valid".to_owned());
        return nowhere;
    };
    if !uri.host().is_some_and(|host| HOSTS.contains(&host)) {
        wrong.push("URI host should be sandbox.localdomain".to_owned());
    }
    let port = uri.port_u16().unwrap_or(0);
    if port == 0 {
        wrong.push("URI port is not provided".to_owned());
    }
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
    (protocol, port, path)
}

/// Opens a connection to a port of the instance's own loopback; blocks.
pub(crate) type Connect = Box<dyn Fn(u16) -> io::Result<std::net::TcpStream> + Send + Sync>;

#[derive(Clone, Debug)]
struct Event {
    kind: Kind,
    value: Value,
}

enum Item {
    Event(Value),
    /// Send what is there, then say so.
    Flush(oneshot::Sender<()>),
}

struct Subscriber {
    name: String,
    wanted: Wanted,
    queue: mpsc::Sender<Item>,
    dropped: (u64, u64),
}

struct State {
    /// Until initialisation is over.
    early: Option<VecDeque<Event>>,
    subscribers: Vec<Subscriber>,
}

/// The telemetry of one instance.
pub(crate) struct Telemetry {
    connect: Arc<Connect>,
    state: Mutex<State>,
}

impl Telemetry {
    pub(crate) fn new(connect: Connect) -> Telemetry {
        let state = State { early: Some(VecDeque::new()), subscribers: Vec::new() };
        Telemetry { connect: Arc::new(connect), state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anybody listens, or still may.
    pub(crate) fn is_wanted(&self) -> bool {
        let state = self.lock();
        state.early.is_some() || !state.subscribers.is_empty()
    }

    /// Begins to send to `name`, first what has happened so far. Must be called inside a tokio runtime.
    pub(crate) fn subscribe(&self, name: &str, wanted: Wanted) {
        let (queue, items) = mpsc::channel(TELEMETRY_QUEUE_MAX);
        tokio::spawn(send_all(items, wanted.clone(), self.connect.clone()));
        let kinds: Vec<&str> = wanted.kinds.iter().map(|kind| kind.name()).collect();
        let what = match wanted.schema {
            Schema::Telemetry => "platform.telemetrySubscription",
            Schema::Logs => "platform.logsSubscription",
        };
        let record = json!({ "name": name, "state": "Subscribed", "types": kinds });
        let mut state = self.lock();
        // A second subscription of an extension takes the place of its first.
        let mut subscriber = Subscriber { name: name.to_owned(), wanted, queue, dropped: (0, 0) };
        let schema = subscriber.wanted.schema;
        state.subscribers.retain(|other| other.name != name || other.wanted.schema != schema);
        for event in state.early.iter().flatten() {
            subscriber.take(event);
        }
        state.subscribers.push(subscriber);
        drop(state);
        self.say(SystemClock.now_ms(), what, record);
    }

    /// Who has not subscribed by now will not.
    pub(crate) fn begin_invocations(&self) {
        self.lock().early = None;
    }

    /// One of the platform's own events.
    pub(crate) fn say(&self, at_ms: u64, what: &str, record: Value) {
        let value = json!({ "time": clock::iso_ms(at_ms), "type": what, "record": record });
        self.tell(Event { kind: Kind::Platform, value });
    }

    /// A line that was printed; `is_json` where lines are kept as objects.
    pub(crate) fn line(&self, kind: Kind, at_ms: u64, line: &str, is_json: bool) {
        if !self.is_wanted() {
            return;
        }
        let object = if is_json { serde_json::from_str(line).ok().filter(Value::is_object) } else { None };
        let record = object.unwrap_or_else(|| Value::String(line.to_owned()));
        let value = json!({ "time": clock::iso_ms(at_ms), "type": kind.name(), "record": record });
        self.tell(Event { kind, value });
    }

    fn tell(&self, event: Event) {
        let mut state = self.lock();
        for subscriber in &mut state.subscribers {
            subscriber.take(&event);
        }
        if let Some(early) = &mut state.early {
            if early.len() >= TELEMETRY_EARLY_EVENTS_MAX {
                early.pop_front();
            }
            early.push_back(event);
        }
    }

    /// Waits until what has been said so far is sent, or given up.
    pub(crate) async fn flush(&self) {
        let queues: Vec<_> = self.lock().subscribers.iter().map(|subscriber| subscriber.queue.clone()).collect();
        for queue in queues {
            let (done, sent) = oneshot::channel();
            if queue.send(Item::Flush(done)).await.is_ok() {
                // The task has ended when it answers with nothing.
                let _sent_or_ended = sent.await;
            }
        }
    }
}

impl Subscriber {
    fn take(&mut self, event: &Event) {
        if !self.wanted.kinds.contains(&event.kind) {
            return;
        }
        let Some(value) = self.translated(&event.value) else { return };
        if self.dropped.0 > 0 {
            let record = json!({
                "droppedRecords": self.dropped.0,
                "droppedBytes": self.dropped.1,
                "reason": "Consumer seems to have fallen behind as it has not acknowledged receipt of logs.",
            });
            let value = json!({ "time": clock::iso_ms(SystemClock.now_ms()), "type": "platform.logsDropped", "record": record });
            if self.queue.try_send(Item::Event(value)).is_ok() {
                self.dropped = (0, 0);
            }
        }
        let bytes = value.to_string().len() as u64;
        if self.queue.try_send(Item::Event(value)).is_err() {
            self.dropped = (self.dropped.0 + 1, self.dropped.1 + bytes);
        }
    }

    /// The event as the subscriber's API has it. The Logs API knows fewer, and two more: `platform.end` and
    /// `platform.fault`.
    fn translated(&self, value: &Value) -> Option<Value> {
        if self.wanted.schema == Schema::Telemetry {
            return (value["type"] != "platform.end" && value["type"] != "platform.fault").then(|| value.clone());
        }
        let kind = value["type"].as_str().unwrap_or_default();
        let is_known = !kind.starts_with("platform.init") && kind != "platform.telemetrySubscription";
        is_known.then(|| value.clone())
    }
}

/// What one batch holds so far.
#[derive(Default)]
struct Batch {
    events: Vec<Value>,
    bytes: usize,
    until: Option<Instant>,
    flushed: Vec<oneshot::Sender<()>>,
}

async fn send_all(mut items: mpsc::Receiver<Item>, wanted: Wanted, connect: Arc<Connect>) {
    let mut line = Line { wanted: wanted.clone(), connect, stream: None };
    let mut batch = Batch::default();
    loop {
        let item = match batch.until {
            Some(until) => tokio::time::timeout_at(until, items.recv()).await,
            None => Ok(items.recv().await),
        };
        let is_full = match item {
            Ok(Some(Item::Event(value))) => {
                batch.bytes += value.to_string().len();
                batch.events.push(value);
                batch.until.get_or_insert_with(|| Instant::now() + wanted.wait);
                batch.events.len() >= wanted.items_max || batch.bytes >= wanted.bytes_max
            }
            Ok(Some(Item::Flush(done))) => {
                batch.flushed.push(done);
                true
            }
            Ok(None) => return,
            Err(_) => true,
        };
        if is_full {
            let Batch { events, flushed, .. } = std::mem::take(&mut batch);
            line.send(events).await;
            for done in flushed {
                // Whoever waited may have gone on.
                let _ended_already = done.send(());
            }
        }
    }
}

/// The connection to a subscriber.
struct Line {
    wanted: Wanted,
    connect: Arc<Connect>,
    stream: Option<TcpStream>,
}

/// Between two tries, and how long one may take.
const PAUSE: Duration = Duration::from_millis(50);
const TRY: Duration = Duration::from_millis(2_000);
const ANSWER_BYTES_MAX: usize = 64 * 1024;

impl Line {
    /// Sends a batch; one that cannot be sent is given up after some tries.
    async fn send(&mut self, events: Vec<Value>) {
        if events.is_empty() {
            return;
        }
        let bytes = self.written(&events);
        for attempt in 0..TELEMETRY_TRIES {
            if attempt > 0 {
                tokio::time::sleep(PAUSE * 2u32.pow(attempt)).await;
            }
            match tokio::time::timeout(TRY, self.attempt(&bytes)).await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => tracing::debug!(port = self.wanted.port, "telemetry: {error}"),
                Err(_) => tracing::debug!(port = self.wanted.port, "telemetry: no answer in time"),
            }
            self.stream = None;
        }
        tracing::debug!(port = self.wanted.port, events = events.len(), "telemetry is lost: nobody takes it");
    }

    fn written(&self, events: &[Value]) -> Vec<u8> {
        match self.wanted.protocol {
            Protocol::Tcp => events.iter().flat_map(|event| format!("{event}\n").into_bytes()).collect(),
            Protocol::Http { is_put } => {
                let body = Value::from(events.to_vec()).to_string();
                let method = if is_put { "PUT" } else { "POST" };
                let head = format!(
                    "{method} {} HTTP/1.1\r\nHost: sandbox.localdomain:{}\r\nContent-Type: application/json\r\n\
                     Content-Length: {}\r\n\r\n",
                    self.wanted.path,
                    self.wanted.port,
                    body.len()
                );
                [head.into_bytes(), body.into_bytes()].concat()
            }
        }
    }

    async fn attempt(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.open().await?,
        };
        stream.write_all(bytes).await?;
        if matches!(self.wanted.protocol, Protocol::Http { .. }) && !answered(&mut stream).await? {
            return Ok(());
        }
        self.stream = Some(stream);
        Ok(())
    }

    async fn open(&self) -> io::Result<TcpStream> {
        let (connect, port) = (self.connect.clone(), self.wanted.port);
        let stream = tokio::task::spawn_blocking(move || connect(port)).await.map_err(io::Error::other)??;
        stream.set_nonblocking(true)?;
        TcpStream::from_std(stream)
    }
}

/// Reads an answer, which has nothing to say; whether the connection can be used again. An error where it is no success.
async fn answered(stream: &mut TcpStream) -> io::Result<bool> {
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).await?;
        read.extend_from_slice(&buffer[..count]);
        let head_end = read.windows(4).position(|four| four == b"\r\n\r\n");
        let Some(head_end) = head_end else {
            if count == 0 || read.len() > ANSWER_BYTES_MAX {
                return Err(io::Error::other("no answer"));
            }
            continue;
        };
        let head = String::from_utf8_lossy(&read[..head_end]).to_ascii_lowercase();
        let is_success = head.split(' ').nth(1).is_some_and(|status| status.starts_with('2'));
        if !is_success {
            return Err(io::Error::other("the subscriber refused"));
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
        // An answer of unknown length ends with its connection.
        let is_whole = length.is_some_and(|length| read.len() == head_end + 4 + length);
        return Ok(is_whole && !head.contains("connection: close"));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn subscriptions_are_checked() {
        let check = |body: Value, schema, expect: Result<(), &str>| {
            let got = parse(body.to_string().as_bytes(), schema).map(|_| ());
            assert_eq!(got, expect.map_err(str::to_owned), "{body}");
        };
        let to = json!({ "protocol": "HTTP", "URI": "http://sandbox.localdomain:8080" });
        let good = json!({ "schemaVersion": "2022-12-13", "types": ["platform", "function"], "destination": to });
        check(good.clone(), Schema::Telemetry, Ok(()));
        check(good.clone(), Schema::Logs, Err("schemaVersion 2022-12-13 is not supported"));
        let with = |name: &str, value: Value| {
            let mut changed = good.clone();
            changed[name] = value;
            changed
        };
        check(
            json!({ "schemaVersion": "2022-12-13", "destination": { "protocol": "HTTP", "URI": "http://sandbox.localdomain" } }),
            Schema::Telemetry,
            Err("URI port is not provided; types should not be empty"),
        );
        check(with("types", json!(["all"])), Schema::Telemetry, Err("all is no type of telemetry"));
        check(
            with("destination", json!({ "protocol": "HTTP", "URI": "http://example.com:80" })),
            Schema::Telemetry,
            Err("URI host should be sandbox.localdomain"),
        );
        check(with("destination", json!({ "protocol": "TCP", "port": 9 })), Schema::Telemetry, Ok(()));
        for (name, value, bounds) in [
            ("maxItems", 999, "1000 and 10000"),
            ("maxBytes", 1_048_577, "262144 and 1048576"),
            ("timeoutMs", 24, "25 and 30000"),
        ] {
            let message = format!("buffering.{name} should be between {bounds}");
            check(with("buffering", json!({ name: value })), Schema::Telemetry, Err(&message));
        }
    }

    /// Reads one request; its body.
    fn request(listener: &std::net::TcpListener) -> Value {
        let (mut stream, _) = listener.accept().unwrap();
        let mut read = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let count = stream.read(&mut buffer).unwrap();
            read.extend_from_slice(&buffer[..count]);
            let text = String::from_utf8_lossy(&read).into_owned();
            if let Some((_, body)) = text.split_once("\r\n\r\n")
                && let Ok(value) = serde_json::from_str(body)
            {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
                return value;
            }
        }
    }

    #[tokio::test]
    async fn what_came_before_is_told_too_and_only_what_is_wanted() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let telemetry = Telemetry::new(Box::new(move |_| std::net::TcpStream::connect(address)));
        telemetry.say(0, "platform.initStart", json!({ "phase": "init" }));
        telemetry.line(Kind::Function, 1, r#"{"a":1}"#, true);
        telemetry.line(Kind::Extension, 1, "not wanted", false);
        let body = json!({
            "schemaVersion": "2022-12-13", "types": ["platform", "function"],
            "destination": { "protocol": "HTTP", "URI": "http://sandbox.localdomain:8080/x" },
        });
        telemetry.subscribe("one", parse(body.to_string().as_bytes(), Schema::Telemetry).unwrap());
        let taken = tokio::task::spawn_blocking(move || request(&listener));
        telemetry.flush().await;
        let events = taken.await.unwrap();
        let types: Vec<&str> = events.as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect();
        assert_eq!(types, ["platform.initStart", "function", "platform.telemetrySubscription"]);
        assert_eq!(events[1]["record"]["a"], 1);
        telemetry.begin_invocations();
        assert!(telemetry.is_wanted());
    }

    #[tokio::test]
    async fn who_does_not_keep_up_is_told_what_was_lost() {
        let wanted = json!({
            "schemaVersion": "2022-12-13", "types": ["function"],
            "destination": { "protocol": "TCP", "port": 1 },
        });
        let (queue, mut items) = mpsc::channel(2);
        let wanted = parse(wanted.to_string().as_bytes(), Schema::Telemetry).unwrap();
        let mut subscriber = Subscriber { name: String::new(), wanted, queue, dropped: (0, 0) };
        let event = Event { kind: Kind::Function, value: json!({ "record": "x" }) };
        for _ in 0..4 {
            subscriber.take(&event);
        }
        assert_eq!(subscriber.dropped.0, 2);
        for _ in 0..2 {
            assert!(items.recv().await.is_some());
        }
        subscriber.take(&event);
        let Some(Item::Event(told)) = items.recv().await else { panic!("nothing is told") };
        assert_eq!((&told["type"], &told["record"]["droppedRecords"]), (&json!("platform.logsDropped"), &json!(2)));
    }
}
