//! TestMetricFilter: what a filter pattern makes of some messages.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;
use serde::Deserialize;
use serde_json::{Value, json};

use super::required;
use crate::errors;
use crate::pattern::Pattern;

const MESSAGES_MAX: usize = 50;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    filter_pattern: Option<String>,
    log_event_messages: Option<Vec<String>>,
}

pub fn test(call: &Call) -> Result<Answer, ApiError> {
    let input: Input = call.input()?;
    let pattern = required("filterPattern", input.filter_pattern)?;
    let messages = required("logEventMessages", input.log_event_messages)?;
    Validation::new().length("filterPattern", Some(&pattern), 0, 1024).finish("InvalidParameterException")?;
    if !(1..=MESSAGES_MAX).contains(&messages.len()) || messages.iter().any(String::is_empty) {
        return Err(errors::invalid(format!("logEventMessages has 1 to {MESSAGES_MAX} messages, none of them empty.")));
    }
    let pattern = Pattern::parse(&pattern)?;
    let found = messages.iter().enumerate().filter_map(|(n, message)| {
        let values = pattern.extract(message)?;
        Some(json!({"eventNumber": n, "eventMessage": message, "extractedValues": values}))
    });
    Answer::json(json!({"matches": found.collect::<Vec<Value>>()}))
}
