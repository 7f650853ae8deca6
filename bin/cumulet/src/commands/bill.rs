//! `cumulet bill`: what was used, by function and day, and what it costs by the price sheet.

use clap::Args;
use cumulet_base::clock::{self, Clock, SystemClock};
use serde_json::Value;

use crate::client::{Client, segment};
use crate::output::{self, Failure, Format};

#[derive(Args)]
pub struct BillArgs {
    /// Only this function
    #[arg(long)]
    function: Option<String>,
    /// First day, YYYY-MM-DD; the first of this month by default
    #[arg(long)]
    from: Option<String>,
    /// Last day, YYYY-MM-DD
    #[arg(long)]
    to: Option<String>,
}

pub async fn bill(client: &Client, args: BillArgs, format: Format) -> Result<(), Failure> {
    let from = args.from.unwrap_or_else(|| format!("{}-01", &clock::day(SystemClock.now_ms())[..7]));
    let mut target = format!("/_cumulet/bill?from={}", segment(&from));
    for (name, value) in [("function", &args.function), ("to", &args.to)] {
        if let Some(value) = value {
            target.push_str(&format!("&{name}={}", segment(value)));
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
        .map(|row| {
            ["day", "function", "invocations", "errors", "billedMs", "gbSeconds", "cpuMs", "total"]
                .map(|name| text(row, name))
                .to_vec()
        })
        .collect();
    let currency = bill["prices"]["currency"].as_str().unwrap_or("USD");
    output::table(&["DAY", "FUNCTION", "INVOCATIONS", "ERRORS", "BILLED MS", "GB-SECONDS", "CPU MS", currency], &cells);
    let usage = bill["usage"].as_array().cloned().unwrap_or_default();
    if !usage.is_empty() {
        let columns = ["day", "service", "resource", "unit", "quantity", "total"];
        let cells: Vec<Vec<String>> = usage.iter().map(|row| columns.map(|name| text(row, name)).to_vec()).collect();
        output::table(&["DAY", "SERVICE", "RESOURCE", "UNIT", "QUANTITY", currency], &cells);
    }
    output::line(&format!("total {} {currency}", text(bill, "total")));
}
