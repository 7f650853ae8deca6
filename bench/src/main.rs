//! A load generator: some clients, each with one kept-alive connection, each sending the same request again as soon as
//! it is answered, for a bounded time. Prints one line of JSON. Knows nothing of what it loads.
//! A body `@FILE` stands for a file with a request in each line, `{"headers": {…}, "body": "…"}`, which are sent in turn: by
//! each client for ever from a place of its own, or, with a time of 0, each once by all clients together. A line may name a
//! `path` of its own, and how often its body is to be repeated (`repeat`).
//!
//! `cumulet-bench http://HOST:PORT/PATH CLIENTS SECONDS METHOD BODY [NAME: VALUE]…`

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

const CLIENTS_MAX: usize = 1024;
const SECONDS_MAX: f64 = 120.0;

struct Sent {
    target: String,
    headers: HeaderMap,
    body: Bytes,
}

struct Plan {
    address: String,
    method: Method,
    requests: Vec<Sent>,
    /// Each request once, however long it takes.
    is_once: bool,
    next: AtomicUsize,
    clients: usize,
    length: Duration,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(plan) = plan(&arguments) else {
        eprintln!("usage: cumulet-bench http://HOST:PORT/PATH CLIENTS SECONDS METHOD BODY [NAME: VALUE]...");
        return ExitCode::from(2);
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            eprintln!("starting: {e}");
            return ExitCode::FAILURE;
        }
    };
    let clients = plan.clients;
    let began = Instant::now();
    let mut seen = runtime.block_on(load(plan));
    let seconds = began.elapsed().as_secs_f64();
    seen.micros.sort_unstable();
    let quantile = |q: f64| seen.micros.get(((seen.micros.len().max(1) - 1) as f64 * q) as usize).copied().unwrap_or(0);
    println!(
        "{}",
        serde_json::json!({
            "clients": clients, "requests": seen.micros.len(), "errors": seen.errors, "per_second": seen.micros.len() as f64 / seconds,
            "p50_us": quantile(0.5), "p99_us": quantile(0.99), "max_us": quantile(1.0),
        })
    );
    ExitCode::SUCCESS
}

fn plan(arguments: &[String]) -> Option<Plan> {
    let [url, clients, seconds, method, body, headers @ ..] = arguments else { return None };
    let rest = url.strip_prefix("http://")?;
    let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut map = HeaderMap::new();
    for header in headers {
        let (name, value) = header.split_once(": ")?;
        map.insert(HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?);
    }
    if !map.contains_key("host") {
        map.insert("host", HeaderValue::try_from(address).ok()?);
    }
    let target = format!("/{path}");
    let requests = match body.strip_prefix('@') {
        Some(file) => requests(file, &target, &map)?,
        None => vec![Sent { target, headers: map, body: body.clone().into() }],
    };
    let seconds = seconds.parse::<f64>().ok().filter(|s| (0.0..=SECONDS_MAX).contains(s))?;
    let is_once = seconds == 0.0 && requests.len() > 1;
    Some(Plan {
        address: address.to_owned(),
        method: method.parse().ok()?,
        requests,
        is_once,
        next: AtomicUsize::new(0),
        clients: clients.parse::<usize>().ok().filter(|n| (1..=CLIENTS_MAX).contains(n))?,
        length: Duration::from_secs_f64(if is_once { SECONDS_MAX } else { seconds }),
    })
}

/// The requests of a file, each with the headers given for all. Bodies that are alike are there once.
fn requests(file: &str, target: &str, common: &HeaderMap) -> Option<Vec<Sent>> {
    let text = std::fs::read_to_string(file).ok()?;
    let mut bodies: HashMap<(String, usize), Bytes> = HashMap::new();
    let mut request = |line: &str| {
        let json: serde_json::Value = serde_json::from_str(line).ok()?;
        let mut headers = common.clone();
        for (name, value) in json["headers"].as_object()? {
            headers.insert(HeaderName::try_from(name).ok()?, HeaderValue::try_from(value.as_str()?).ok()?);
        }
        let target = json["path"].as_str().unwrap_or(target).to_owned();
        let times = usize::try_from(json["repeat"].as_u64().unwrap_or(1)).ok()?;
        let body = (json["body"].as_str()?.to_owned(), times);
        let body = bodies.entry(body).or_insert_with_key(|(text, times)| text.repeat(*times).into()).clone();
        Some(Sent { target, headers, body })
    };
    text.lines().map(&mut request).collect::<Option<Vec<_>>>().filter(|all| !all.is_empty())
}

impl Plan {
    fn is_over(&self) -> bool {
        self.is_once && self.next.load(Ordering::Relaxed) >= self.requests.len()
    }

    /// The next request of a client that is at `at`.
    fn take(&self, at: &mut usize) -> Option<&Sent> {
        if self.is_once {
            return self.requests.get(self.next.fetch_add(1, Ordering::Relaxed));
        }
        *at = (*at + 1) % self.requests.len();
        self.requests.get(*at)
    }
}

#[derive(Default)]
struct Seen {
    micros: Vec<u64>,
    errors: usize,
}

async fn load(plan: Plan) -> Seen {
    let plan = std::sync::Arc::new(plan);
    let until = Instant::now() + plan.length;
    let clients: Vec<_> = (0..plan.clients).map(|n| tokio::spawn(client(plan.clone(), n, until))).collect();
    let mut all = Seen::default();
    for client in clients {
        if let Ok(seen) = client.await {
            all.micros.extend(seen.micros);
            all.errors += seen.errors;
        }
    }
    all
}

async fn client(plan: std::sync::Arc<Plan>, number: usize, until: Instant) -> Seen {
    let mut seen = Seen::default();
    let mut at = number * (plan.requests.len() / plan.clients).max(1);
    while Instant::now() < until && !plan.is_over() {
        // A server that closes the connection gets a new one; what was under way counts as an error.
        if connection(&plan, &mut at, until, &mut seen).await.is_none() {
            seen.errors += 1;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    seen
}

async fn connection(plan: &Plan, at: &mut usize, until: Instant, seen: &mut Seen) -> Option<()> {
    let stream = TcpStream::connect(&plan.address).await.ok()?;
    stream.set_nodelay(true).ok()?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(connection);
    while Instant::now() < until {
        sender.ready().await.ok()?;
        let Some(sent) = plan.take(at) else { return Some(()) };
        let mut request = Request::new(Full::new(sent.body.clone()));
        *request.method_mut() = plan.method.clone();
        *request.uri_mut() = sent.target.parse().ok()?;
        *request.headers_mut() = sent.headers.clone();
        let began = Instant::now();
        let response = sender.send_request(request).await.ok()?;
        let is_good = response.status().is_success();
        let mut answer = response.into_body();
        while let Some(frame) = answer.frame().await {
            frame.ok()?;
        }
        if is_good {
            seen.micros.push(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
        } else {
            seen.errors += 1;
        }
    }
    Some(())
}
