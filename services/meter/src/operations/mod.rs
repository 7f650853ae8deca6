//! The operations, one file each.

pub mod get_bill;
pub mod get_records;

use cumulet_wire::error::ApiError;

const MEMBER: &str = "ValidationException";

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(400, MEMBER, message)
}

fn storage(error: &cumulet_store::Error) -> ApiError {
    tracing::error!(%error, "the record store failed");
    ApiError::new(500, "ServiceException", "Reading the records failed")
}

/// The days from one to another, both with, as `2026-11-23`.
fn days(from: &str, to: &str) -> Result<Vec<String>, ApiError> {
    const DAYS_MAX: i64 = 366;
    let format = time::macros::format_description!("[year]-[month]-[day]");
    let read = |text: &str| {
        time::Date::parse(text, format).map_err(|_| invalid(format!("`{text}` is not a day such as 2026-11-23")))
    };
    let (first, last) = (read(from)?, read(to)?);
    let count = (last - first).whole_days() + 1;
    if !(1..=DAYS_MAX).contains(&count) {
        return Err(invalid(format!("From {from} to {to} is not between one and {DAYS_MAX} days")));
    }
    let mut list = Vec::new();
    let mut day = Some(first);
    while let Some(now) = day.filter(|d| *d <= last) {
        list.push(now.to_string());
        day = now.next_day();
    }
    Ok(list)
}
