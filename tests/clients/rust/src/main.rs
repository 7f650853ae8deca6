//! What the tests deploy as it is: functions written with AWS's runtime for Rust, and extensions written with its crate for
//! those. Which of them it is, its file's name and `ROLE` say, so that one program is enough.

mod adapter;
mod extension;

use std::sync::LazyLock;

use lambda_http::{IntoResponse, RequestExt, RequestPayloadExt};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};
use tokio::sync::Barrier;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let name = std::env::args().next().unwrap_or_default();
    match name.rsplit('/').next() {
        Some("rust-extension") => extension::run().await,
        Some("web-adapter") => adapter::run().await,
        _ if std::env::var("ROLE").is_ok_and(|role| role == "http") => lambda_http::run(service_fn(greet)).await,
        // As many events at a time as the environment says.
        _ => lambda_runtime::run_concurrent(service_fn(echo)).await,
    }
}

/// Where events wait until as many are here as the instance takes at a time.
static MEETING: LazyLock<Barrier> = LazyLock::new(|| Barrier::new(seats()));

fn seats() -> usize {
    std::env::var("AWS_LAMBDA_MAX_CONCURRENCY").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

async fn echo(event: LambdaEvent<Value>) -> Result<Value, Error> {
    if let Some(n) = event.payload["meet"].as_u64() {
        println!("{n} is here");
        MEETING.wait().await;
        return Ok(json!({ "n": n, "id": event.context.request_id }));
    }
    if event.payload["hang"] == true {
        std::future::pending::<()>().await;
    }
    if let Some(path) = event.payload["look"].as_str() {
        let directory = std::env::current_dir()?;
        let arguments: Vec<String> = std::env::args().collect();
        let variable = std::env::var("OF_IMAGE").ok();
        let written = std::fs::write("/data/written", "x").is_ok();
        return Ok(json!({
            "text": std::fs::read_to_string(path).ok(), "directory": directory, "arguments": arguments,
            "variable": variable, "written": written,
        }));
    }
    match event.payload["fail"].as_str() {
        Some(reason) => Err(Error::from(reason.to_owned())),
        None => Ok(json!({ "echo": event.payload, "id": event.context.request_id })),
    }
}

/// A request of an HTTP API or a function URL.
async fn greet(request: lambda_http::Request) -> Result<impl IntoResponse, Error> {
    let parameters = request.query_string_parameters();
    let who = parameters.first("who").unwrap_or("nobody");
    let body: Option<Value> = request.payload().unwrap_or_default();
    Ok(json!({ "hello": who, "path": request.uri().path(), "body": body }))
}
