//! `cumulet invoke`: one call, its answer on standard output.

use std::io::Read;
use std::path::PathBuf;

use base64::Engine as _;
use clap::Args;
use serde_json::{Value, json};

use crate::client::{Client, segment};
use crate::output::{self, Failure, Format};

#[derive(Args)]
pub struct InvokeArgs {
    /// Name or ARN of the function
    function: String,
    /// The event in JSON; `-` reads it from standard input
    #[arg(long, short, conflicts_with = "event_file")]
    event: Option<String>,
    /// A file with the event
    #[arg(long, short = 'f')]
    event_file: Option<PathBuf>,
    /// Show the end of the log on standard error, too
    #[arg(long)]
    log: bool,
}

pub async fn invoke(client: &Client, args: InvokeArgs, format: Format) -> Result<(), Failure> {
    let payload = payload(&args)?;
    let target = format!("/2015-03-31/functions/{}/invocations", segment(&args.function));
    let headers = [("x-amz-log-type", if args.log { "Tail" } else { "None" }), ("content-type", "application/json")];
    let answer = client.rest("lambda", "POST", &target, &headers, payload).await?;
    let log =
        answer.header("x-amz-log-result").and_then(|text| base64::engine::general_purpose::STANDARD.decode(text).ok());
    let log = log.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let error = answer.header("x-amz-function-error").map(str::to_owned);
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    match format {
        Format::Json => {
            let payload: Value = serde_json::from_str(&text).unwrap_or(Value::String(text));
            output::json(&json!({ "functionError": error, "log": log, "payload": payload }));
        }
        Format::Text => {
            if let Some(log) = log {
                eprint!("{log}");
            }
            output::line(&text);
        }
    }
    match error {
        Some(kind) => Err(Failure::new(format!("the function failed: {kind}"))),
        None => Ok(()),
    }
}

fn payload(args: &InvokeArgs) -> Result<Vec<u8>, Failure> {
    match (&args.event, &args.event_file) {
        (Some(dash), _) if dash == "-" => {
            let mut text = Vec::new();
            std::io::stdin()
                .read_to_end(&mut text)
                .map_err(|e| Failure::usage(format!("reading standard input: {e}")))?;
            Ok(text)
        }
        (Some(event), _) => Ok(event.clone().into_bytes()),
        (None, Some(file)) => {
            std::fs::read(file).map_err(|e| Failure::usage(format!("reading {}: {e}", file.display())))
        }
        (None, None) => Ok(b"{}".to_vec()),
    }
}
