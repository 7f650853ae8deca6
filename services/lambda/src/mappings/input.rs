//! What a caller says of a mapping, and what of it is taken
//! (<https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html>).

use cumulet_base::limits;
use cumulet_wire::error::ApiError;
use cumulet_wire::event_pattern::Pattern;
use cumulet_wire::validate::Validation;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::model::{Mapping, Source, StreamSettings};
use crate::errors;

/// Members of what this cloud has no source for.
const ABSENT: &[&str] = &[
    "Topics",
    "Queues",
    "SourceAccessConfigurations",
    "SelfManagedEventSource",
    "AmazonManagedKafkaEventSourceConfig",
    "SelfManagedKafkaEventSourceConfig",
    "DocumentDBEventSourceConfig",
    "KMSKeyArn",
    "LoggingConfig",
    "MetricsConfig",
    "ProvisionedPollerConfig",
    "StartingPositionTimestamp",
];

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Input {
    #[serde(rename = "UUID")]
    pub uuid: Option<String>,
    pub event_source_arn: Option<String>,
    pub function_name: Option<String>,
    pub enabled: Option<bool>,
    batch_size: Option<i64>,
    maximum_batching_window_in_seconds: Option<i64>,
    parallelization_factor: Option<i64>,
    pub starting_position: Option<String>,
    maximum_record_age_in_seconds: Option<i64>,
    bisect_batch_on_function_error: Option<bool>,
    maximum_retry_attempts: Option<i64>,
    tumbling_window_in_seconds: Option<i64>,
    function_response_types: Option<Vec<String>>,
    filter_criteria: Option<FilterCriteria>,
    scaling_config: Option<ScalingConfig>,
    destination_config: Option<DestinationConfig>,
    pub tags: Option<std::collections::BTreeMap<String, String>>,
    pub marker: Option<String>,
    pub max_items: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct FilterCriteria {
    filters: Vec<Filter>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Filter {
    pattern: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ScalingConfig {
    maximum_concurrency: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct DestinationConfig {
    on_failure: Option<Destination>,
    on_success: Option<Destination>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Destination {
    destination: Option<String>,
}

/// Whether anything is said.
fn is_given(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => members.values().any(is_given),
        _ => true,
    }
}

/// # Errors
/// Members of sources that this cloud does not have, by name; shapes that are not AWS's.
pub fn read(members: Map<String, Value>) -> Result<Input, ApiError> {
    if let Some(name) = ABSENT.iter().find(|name| members.get(**name).is_some_and(is_given)) {
        return Err(errors::not_built(&format!("event source mappings with {name}")));
    }
    let input: Input =
        serde_json::from_value(Value::Object(members)).map_err(|e| ApiError::serialization(&e.to_string()))?;
    let mut checks = Validation::new();
    checks
        .between("batchSize", input.batch_size, 1, i64::from(limits::MAPPING_QUEUE_BATCH_MAX))
        .between("maximumBatchingWindowInSeconds", input.maximum_batching_window_in_seconds, 0, 300)
        .between("parallelizationFactor", input.parallelization_factor, 1, 10)
        .between("maximumRecordAgeInSeconds", input.maximum_record_age_in_seconds, -1, 604_800)
        .between("maximumRetryAttempts", input.maximum_retry_attempts, -1, 10_000)
        .between("tumblingWindowInSeconds", input.tumbling_window_in_seconds, 0, 900)
        .between(
            "scalingConfig.maximumConcurrency",
            input.scaling_config.as_ref().and_then(|scaling| scaling.maximum_concurrency),
            2,
            1000,
        )
        .one_of("startingPosition", input.starting_position.as_deref(), &["TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"]);
    for kind in input.function_response_types.iter().flatten() {
        checks.one_of("functionResponseTypes", Some(kind), &["ReportBatchItemFailures"]);
    }
    checks.finish("ValidationException")?;
    Ok(input)
}

/// The settings of a stream's mapping that says nothing of them.
pub fn stream_settings(input: &Input) -> Result<StreamSettings, ApiError> {
    let starting_position = match input.starting_position.as_deref() {
        Some(position @ ("TRIM_HORIZON" | "LATEST")) => position.to_owned(),
        Some(other) => {
            return Err(errors::invalid_parameter(format!(
                "Unsupported starting position for DynamoDB streams: {other}"
            )));
        }
        None => {
            return Err(errors::invalid_parameter(
                "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: Member must not be null.",
            ));
        }
    };
    Ok(StreamSettings {
        starting_position,
        attempts_max: -1,
        age_s_max: -1,
        bisects: false,
        parallel: 1,
        tumbling_s: 0,
        on_failure: None,
    })
}

/// Writes what is given into a mapping, and checks what comes of it.
pub fn apply(input: &Input, mapping: &mut Mapping, source: Source) -> Result<(), ApiError> {
    let number = |value: Option<i64>| value.and_then(|value| u32::try_from(value).ok());
    if let Some(size) = number(input.batch_size) {
        mapping.batch_size = size;
    }
    if let Some(window) = number(input.maximum_batching_window_in_seconds) {
        mapping.window_s = window;
    }
    if let Some(is_enabled) = input.enabled {
        mapping.is_enabled = is_enabled;
    }
    if let Some(kinds) = &input.function_response_types {
        mapping.reports_failures = !kinds.is_empty();
    }
    if let Some(criteria) = &input.filter_criteria {
        mapping.filters = filters(criteria)?;
    }
    queue_settings(input, mapping, source)?;
    let Some(stream) = &mut mapping.stream else {
        return Ok(());
    };
    if let Some(parallel) = number(input.parallelization_factor) {
        stream.parallel = parallel;
    }
    if let Some(age_s) = input.maximum_record_age_in_seconds {
        if (0..60).contains(&age_s) {
            return Err(errors::invalid_parameter("Maximum record age must be -1 or between 60 and 604800 seconds."));
        }
        stream.age_s_max = age_s;
    }
    if let Some(bisects) = input.bisect_batch_on_function_error {
        stream.bisects = bisects;
    }
    if let Some(attempts) = input.maximum_retry_attempts {
        stream.attempts_max = attempts;
    }
    if let Some(tumbling_s) = number(input.tumbling_window_in_seconds) {
        stream.tumbling_s = tumbling_s;
    }
    if stream.tumbling_s > 0 && (stream.parallel > 1 || !mapping.filters.is_empty()) {
        return Err(errors::not_built("tumbling windows together with ParallelizationFactor or FilterCriteria"));
    }
    if let Some(config) = &input.destination_config {
        if config.on_success.as_ref().is_some_and(|to| to.destination.is_some()) {
            return Err(errors::invalid_parameter(
                "OnSuccess destinations are not supported for stream event sources.",
            ));
        }
        let to = config.on_failure.as_ref().and_then(|to| to.destination.clone()).filter(|to| !to.is_empty());
        if let Some(to) = to.as_deref().filter(|to| !is_failure_destination(to)) {
            return Err(errors::invalid_parameter(format!(
                "The provided destination config DestinationConfig(onSuccess=null, onFailure=OnFailure(destination={to})) is invalid."
            )));
        }
        stream.on_failure = to;
    }
    Ok(())
}

fn is_failure_destination(arn: &str) -> bool {
    let is_told = arn.starts_with("arn:aws:sqs:") || arn.starts_with("arn:aws:sns:");
    is_told && cumulet_delivery::target::is_target(arn) || crate::bucket::of(arn).is_some()
}

fn queue_settings(input: &Input, mapping: &mut Mapping, source: Source) -> Result<(), ApiError> {
    let of_streams = [
        ("ParallelizationFactor", input.parallelization_factor.is_some()),
        ("MaximumRecordAgeInSeconds", input.maximum_record_age_in_seconds.is_some()),
        ("BisectBatchOnFunctionError", input.bisect_batch_on_function_error.is_some_and(|is| is)),
        ("MaximumRetryAttempts", input.maximum_retry_attempts.is_some()),
        ("TumblingWindowInSeconds", input.tumbling_window_in_seconds.is_some_and(|s| s > 0)),
        ("StartingPosition", input.starting_position.is_some()),
    ];
    if source == Source::TableStream {
        if input.scaling_config.as_ref().is_some_and(|scaling| scaling.maximum_concurrency.is_some()) {
            return Err(errors::invalid_parameter("ScalingConfig is only supported for SQS event sources."));
        }
        return Ok(());
    }
    if let Some((name, _)) = of_streams.iter().find(|(_, is_given)| *is_given) {
        return Err(errors::invalid_parameter(format!(
            "Unsupported {name} parameter for given event source mapping type."
        )));
    }
    if let Some(scaling) = &input.scaling_config {
        mapping.concurrency_max = scaling.maximum_concurrency.and_then(|max| u32::try_from(max).ok());
    }
    if source == Source::Fifo && mapping.batch_size > limits::MAPPING_FIFO_BATCH_MAX {
        return Err(errors::invalid_parameter(format!(
            "Batch size {} exceeds the maximum of {} for FIFO queues.",
            mapping.batch_size,
            limits::MAPPING_FIFO_BATCH_MAX
        )));
    }
    if source == Source::Fifo && mapping.window_s > 0 {
        return Err(errors::invalid_parameter("Batching window is not supported for FIFO queues."));
    }
    if mapping.batch_size > 10 && mapping.window_s == 0 {
        return Err(errors::invalid_parameter(
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10",
        ));
    }
    Ok(())
}

fn filters(criteria: &FilterCriteria) -> Result<Vec<String>, ApiError> {
    if criteria.filters.len() > limits::MAPPING_FILTERS_MAX {
        return Err(errors::invalid_parameter(format!(
            "Event source mappings may have at most {} filters.",
            limits::MAPPING_FILTERS_MAX
        )));
    }
    let patterns = criteria.filters.iter().filter_map(|filter| filter.pattern.clone());
    patterns
        .map(|pattern| match Pattern::parse(&pattern) {
            Ok(_) => Ok(pattern),
            Err(e) => Err(errors::invalid_parameter(format!("Invalid filter pattern definition: {e}"))),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_here_is_refused_where_something_is_said_of_it() {
        let of = |metrics: Value| read(json!({"MetricsConfig": metrics}).as_object().unwrap().clone());
        let error = of(json!({"Metrics": ["EventCount"]})).unwrap_err();
        assert_eq!(error.status, 501);
        assert!(error.message.contains("MetricsConfig"), "{}", error.message);
        for nothing in [json!(null), json!({}), json!({"Metrics": []})] {
            assert!(of(nothing).is_ok());
        }
    }
}
