//! Attributes of queues: what may be set, to what, and the defaults
//! (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html>).

use std::collections::BTreeMap;

use cumulet_base::limits;
use cumulet_wire::error::ApiError;
use cumulet_wire::policy::Document;
use serde_json::Value;

use crate::errors;
use crate::model::{Place, RedriveAllowPolicy};

pub fn default(name: &str) -> Option<&'static str> {
    match name {
        "VisibilityTimeout" => Some("30"),
        "MaximumMessageSize" => Some("1048576"),
        "MessageRetentionPeriod" => Some("345600"),
        "DelaySeconds" | "ReceiveMessageWaitTimeSeconds" => Some("0"),
        "SqsManagedSseEnabled" | "ContentBasedDeduplication" => Some("false"),
        "DeduplicationScope" => Some("queue"),
        "FifoThroughputLimit" => Some("perQueue"),
        "KmsDataKeyReusePeriodSeconds" => Some("300"),
        _ => None,
    }
}

/// What is shown of every queue.
pub const DEFAULTS: &[&str] = &[
    "VisibilityTimeout",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "DelaySeconds",
    "ReceiveMessageWaitTimeSeconds",
    "SqsManagedSseEnabled",
];
/// What is shown of every FIFO queue besides.
pub const FIFO_DEFAULTS: &[&str] = &["ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit"];
/// Known, and only to be read.
pub const COMPUTED: &[&str] = &[
    "All",
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
    "QueueArn",
];
const SETTABLE: &[&str] = &[
    "Policy",
    "VisibilityTimeout",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "DelaySeconds",
    "ReceiveMessageWaitTimeSeconds",
    "RedrivePolicy",
    "RedriveAllowPolicy",
    "FifoQueue",
    "ContentBasedDeduplication",
    "DeduplicationScope",
    "FifoThroughputLimit",
    "SqsManagedSseEnabled",
    "KmsMasterKeyId",
    "KmsDataKeyReusePeriodSeconds",
];

pub fn is_known(name: &str) -> bool {
    COMPUTED.contains(&name) || SETTABLE.contains(&name)
}

/// Refuses what AWS refuses. An empty value takes an attribute away.
pub fn check(given: &BTreeMap<String, String>, place: &Place, is_fifo: bool) -> Result<(), ApiError> {
    for (name, value) in given {
        let bad = || errors::attribute_value(name);
        let within = |min: u64, max: u64| {
            let fits = value.parse::<u64>().is_ok_and(|n| (min..=max).contains(&n));
            if fits { Ok(()) } else { Err(bad()) }
        };
        let of = |values: &[&str]| if values.contains(&value.as_str()) { Ok(()) } else { Err(bad()) };
        match name.as_str() {
            "VisibilityTimeout" => within(0, limits::QUEUE_VISIBILITY_S_MAX)?,
            "DelaySeconds" => within(0, limits::QUEUE_DELAY_S_MAX)?,
            "ReceiveMessageWaitTimeSeconds" => within(0, limits::QUEUE_WAIT_S_MAX)?,
            "MaximumMessageSize" => within(1024, limits::QUEUE_MESSAGE_BYTES_MAX as u64)?,
            "MessageRetentionPeriod" => within(60, 1_209_600)?,
            "FifoQueue" if !is_fifo => return Err(bad()),
            "FifoQueue" => of(&["true"])?,
            "ContentBasedDeduplication" | "DeduplicationScope" | "FifoThroughputLimit" if !is_fifo => {
                return Err(errors::unknown_attribute(name));
            }
            "ContentBasedDeduplication" => of(&["true", "false"])?,
            "DeduplicationScope" => of(&["queue", "messageGroup"])?,
            "FifoThroughputLimit" => of(&["perQueue", "perMessageGroupId"])?,
            "SqsManagedSseEnabled" => of(&["true", "false"])?,
            "KmsDataKeyReusePeriodSeconds" if !value.is_empty() => within(60, 86_400)?,
            "Policy" if !value.is_empty() => {
                Document::parse(value).ok_or_else(bad)?;
            }
            "RedriveAllowPolicy" if !value.is_empty() => allowing(value).ok_or_else(bad)?,
            "RedrivePolicy" if !value.is_empty() => redrive(value, place, is_fifo).ok_or_else(bad)?,
            known if SETTABLE.contains(&known) => {}
            _ => return Err(errors::unknown_attribute(name)),
        }
    }
    Ok(())
}

/// At most ten sources, and those only where it is by them.
fn allowing(value: &str) -> Option<()> {
    let policy: RedriveAllowPolicy = serde_json::from_str(value).ok()?;
    let fits = match (policy.redrive_permission.as_str(), policy.source_queue_arns) {
        ("allowAll" | "denyAll", None) => true,
        ("byQueue", Some(arns)) => {
            (1..=10).contains(&arns.len()) && arns.iter().all(|arn| Place::from_arn(arn).is_some())
        }
        _ => false,
    };
    fits.then_some(())
}

/// High throughput counts by message group, and then ids have to be told apart by group, too.
pub fn fit_together(all: &BTreeMap<String, String>) -> Result<(), ApiError> {
    let is = |name: &str, value: &str| all.get(name).is_some_and(|set| set == value);
    if is("FifoThroughputLimit", "perMessageGroupId") && !is("DeduplicationScope", "messageGroup") {
        return Err(errors::attribute_value("FifoThroughputLimit"));
    }
    Ok(())
}

fn redrive(value: &str, place: &Place, is_fifo: bool) -> Option<()> {
    let policy: Value = serde_json::from_str(value).ok()?;
    let target = Place::from_arn(policy.get("deadLetterTargetArn")?.as_str()?)?;
    let count = crate::input::as_u64(policy.get("maxReceiveCount")?)?;
    let is_near = target.account == place.account && target.region == place.region;
    let is_alike = target.name.ends_with(".fifo") == is_fifo;
    ((1..=1000).contains(&count) && is_near && is_alike).then_some(())
}
