//! `cumulet logs`: what a function printed, and what it goes on printing.

use std::collections::HashSet;
use std::time::Duration;

use clap::Args;
use cumulet_base::clock::{self, Clock, SystemClock};
use serde_json::{Value, json};

use crate::client::Client;
use crate::output::{self, Failure, Format};

/// How often `--follow` asks; the logs API has no other way to wait.
const FOLLOW_EVERY: Duration = Duration::from_millis(500);
/// Events may become visible out of order by this much.
const FOLLOW_OVERLAP_MS: u64 = 5_000;

#[derive(Args)]
pub struct LogsArgs {
    /// Name of the function, or of a log group when it begins with `/`
    function: String,
    /// Go on showing what comes
    #[arg(long)]
    follow: bool,
    /// How far back to begin, in minutes
    #[arg(long, default_value_t = 60)]
    since: u64,
    /// A filter pattern
    #[arg(long)]
    filter: Option<String>,
}

pub async fn logs(client: &Client, args: LogsArgs, format: Format) -> Result<(), Failure> {
    let group =
        if args.function.starts_with('/') { args.function.clone() } else { format!("/aws/lambda/{}", args.function) };
    let mut from_ms = SystemClock.now_ms().saturating_sub(args.since.saturating_mul(60_000));
    let mut seen: HashSet<String> = HashSet::new();
    loop {
        let events = match page_through(client, &group, from_ms, args.filter.as_deref()).await {
            // Nothing was printed yet: the group comes with the first invocation.
            Err(failure) if args.follow && failure.exit_code == 3 => Vec::new(),
            other => other?,
        };
        let mut recent = HashSet::new();
        for event in &events {
            let id = event["eventId"].as_str().unwrap_or_default().to_owned();
            if !seen.contains(&id) {
                print(event, format);
            }
            recent.insert(id);
        }
        if !args.follow {
            return Ok(());
        }
        seen = recent;
        from_ms = from_ms.max(SystemClock.now_ms().saturating_sub(FOLLOW_OVERLAP_MS));
        tokio::select! {
            () = tokio::time::sleep(FOLLOW_EVERY) => {}
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}

async fn page_through(client: &Client, group: &str, from_ms: u64, filter: Option<&str>) -> Result<Vec<Value>, Failure> {
    let mut all = Vec::new();
    let mut input = json!({ "logGroupName": group, "startTime": from_ms });
    if let Some(filter) = filter {
        input["filterPattern"] = filter.into();
    }
    loop {
        let page = client.target("logs", "Logs_20140328.FilterLogEvents", &input).await?;
        all.extend(page["events"].as_array().cloned().unwrap_or_default());
        match page["nextToken"].as_str() {
            Some(token) => input["nextToken"] = token.into(),
            None => return Ok(all),
        }
    }
}

fn print(event: &Value, format: Format) {
    let text = event["message"].as_str().unwrap_or_default().trim_end();
    match format {
        Format::Json => output::line(&event.to_string()),
        Format::Text => output::line(&format!("{} {text}", clock::iso_ms(event["timestamp"].as_u64().unwrap_or(0)))),
    }
}
