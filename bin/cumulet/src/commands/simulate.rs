//! `cumulet simulate`: the engine's policy over a trace of traffic, beside others. Talks to no cloud.

use std::path::PathBuf;

use clap::Args;
use cumulet_sim::trace::Trace;
use cumulet_sim::{Settings, compare};
use serde_json::json;

use crate::output::{self, Failure, Format};

#[derive(Args)]
pub struct SimulateArgs {
    /// A folder with files of the Azure Functions dataset of 2019, or `sample` for a made-up trace
    trace: PathBuf,
    /// Functions of the trace to take, evenly chosen
    #[arg(long, default_value_t = 1000)]
    functions: usize,
    /// Days of the made-up trace
    #[arg(long, default_value_t = 2)]
    days: usize,
    /// Milliseconds that a plain start takes
    #[arg(long, default_value_t = Settings::default().start_ms)]
    start_ms: f64,
    /// Milliseconds that a clone takes
    #[arg(long, default_value_t = Settings::default().clone_ms)]
    clone_ms: f64,
    /// Memory of a clone for itself, as a share of the function's
    #[arg(long, default_value_t = Settings::default().clone_memory)]
    clone_memory: f64,
    /// Memory for templates, in megabytes [default: an eighth of what all functions hold]
    #[arg(long)]
    templates_mb: Option<f64>,
    /// Memory for all instances, in megabytes [default: as much as they want]
    #[arg(long)]
    memory_mb: Option<f64>,
    /// Seconds after which an idle instance ends at the latest
    #[arg(long, default_value_t = Settings::default().idle_max_s)]
    idle_seconds: u64,
    /// Begins the random numbers: the same seed gives the same figures
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where to write a chart
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

pub fn simulate(args: &SimulateArgs, format: Format) -> Result<(), Failure> {
    let trace = if args.trace.as_os_str() == "sample" {
        Trace::sample(args.functions, args.days, args.seed)
    } else {
        Trace::read(&args.trace, args.functions).map_err(|e| Failure::new(telling(&e)))?
    };
    let all_mb: f64 = trace.functions.iter().map(|function| function.memory_mb).sum();
    let defaults = Settings::default();
    let settings = Settings {
        start_ms: args.start_ms,
        clone_ms: args.clone_ms,
        clone_memory: args.clone_memory,
        templates_mb: args.templates_mb.unwrap_or(all_mb / 8.0),
        memory_mb: args.memory_mb.unwrap_or(defaults.memory_mb),
        idle_max_s: args.idle_seconds,
        seed: args.seed,
    };
    let found = compare(&trace, settings);
    if let Some(path) = &args.plot {
        std::fs::write(path, found.svg()).map_err(|e| Failure::new(format!("writing {}: {e}", path.display())))?;
    }
    match format {
        Format::Json => {
            let rows: Vec<_> = found
                .rows
                .iter()
                .map(|row| {
                    json!({ "policy": row.name, "coldPercent": row.cold_percent, "startedPercent": row.started_percent,
                        "wastedGbS": row.wasted_gb_s, "wastedPercent": row.wasted_percent, "addedMs": row.added_ms,
                        "addedMsP99": row.added_ms_p99, "refused": row.refused })
                })
                .collect();
            output::json(&json!({ "functions": found.functions, "invocations": found.invocations, "rows": rows }));
        }
        Format::Text => {
            output::line(&format!(
                "{} functions, {} invocations in {} minutes; a start takes {} ms, a clone {} ms; templates may hold {:.0} MB of {all_mb:.0} MB\n",
                found.functions,
                found.invocations,
                trace.minutes,
                settings.start_ms,
                settings.clone_ms,
                settings.templates_mb
            ));
            output::line(&found.table());
        }
    }
    Ok(())
}

/// An error with its causes, in one sentence.
fn telling(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source()).map(|cause| format!(": {cause}"));
    std::iter::once(error.to_string()).chain(causes).collect()
}
