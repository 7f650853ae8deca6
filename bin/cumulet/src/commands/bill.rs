//! `cumulet bill`: what was used, by function and day, and what it costs by the price sheet.

use clap::Args;
use serde_json::Value;

use crate::client::{Client, segment};
use crate::output::{self, Failure, Format};

#[derive(Args)]
pub struct BillArgs {
    /// Only this function
    #[arg(long)]
    function: Option<String>,
    /// First day, YYYY-MM-DD
    #[arg(long)]
    from: Option<String>,
    /// Last day, YYYY-MM-DD
    #[arg(long)]
    to: Option<String>,
}

pub async fn bill(client: &Client, args: BillArgs, format: Format) -> Result<(), Failure> {
    let mut target = "/_cumulet/bill".to_owned();
    for (name, value) in [("function", &args.function), ("from", &args.from), ("to", &args.to)] {
        if let Some(value) = value {
            target.push_str(if target.contains('?') { "&" } else { "?" });
            target.push_str(&format!("{name}={}", segment(value)));
        }
    }
    let bill = client.rest("cumulet-meter", "GET", &target, &[], "").await?.json()?;
    match format {
        Format::Json => output::json(&bill),
        Format::Text => print(&bill),
    }
    Ok(())
}

fn print(bill: &Value) {
    let rows = bill["rows"].as_array().cloned().unwrap_or_default();
    let text = |row: &Value, name: &str| match &row[name] {
        Value::String(text) => text.clone(),
        Value::Number(n) if n.is_f64() => format!("{:.6}", n.as_f64().unwrap_or_default()),
        other => other.to_string(),
    };
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| ["day", "function", "invocations", "errors", "billed_ms", "gb_seconds", "cpu_ms", "total"].map(|name| text(row, name)).to_vec())
        .collect();
    let currency = bill["currency"].as_str().unwrap_or("USD");
    output::table(&["DAY", "FUNCTION", "INVOCATIONS", "ERRORS", "BILLED MS", "GB-SECONDS", "CPU MS", currency], &cells);
    output::line(&format!("total {} {currency}", text(bill, "total")));
}
