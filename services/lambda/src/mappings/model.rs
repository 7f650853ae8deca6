//! An event source mapping as it is stored (`docs/formats/lambda.md`), and the shape it answers with
//! (<https://docs.aws.amazon.com/lambda/latest/api/API_EventSourceMappingConfiguration.html>).

use std::collections::BTreeMap;

use cumulet_base::arn::Arn;
use cumulet_engine::catalog::Target;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub const FORMAT: u8 = 1;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mapping {
    pub v: u8,
    pub uuid: String,
    pub account: String,
    pub region: String,
    pub function: String,
    pub qualifier: Option<String>,
    pub source_arn: String,
    pub is_enabled: bool,
    pub batch_size: u32,
    pub window_s: u32,
    /// Patterns; an event is handed over when one of them matches, or there is none.
    pub filters: Vec<String>,
    /// `ReportBatchItemFailures`
    pub reports_failures: bool,
    /// `ScalingConfig.MaximumConcurrency`, of queues.
    pub concurrency_max: Option<u32>,
    pub stream: Option<StreamSettings>,
    pub tags: BTreeMap<String, String>,
    pub created_ms: u64,
    pub modified_ms: u64,
}

/// What only mappings of streams have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamSettings {
    /// `TRIM_HORIZON` or `LATEST`
    pub starting_position: String,
    /// -1 is without end.
    pub attempts_max: i64,
    /// -1 is without end.
    pub age_s_max: i64,
    pub bisects: bool,
    pub parallel: u32,
    /// 0 is without windows.
    pub tumbling_s: u32,
    pub on_failure: Option<String>,
}

/// How far a shard of a stream has been handed over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The last record done with.
    pub sequence: String,
    /// The state a tumbling window was left in, and the window's start.
    pub window: Option<(u64, Value)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Queue,
    Fifo,
    TableStream,
}

impl Mapping {
    pub fn source(&self) -> Option<Source> {
        source_of(&self.source_arn)
    }

    pub fn target(&self) -> Target {
        Target {
            account: self.account.clone(),
            region: self.region.clone(),
            name: self.function.clone(),
            qualifier: self.qualifier.clone(),
        }
    }

    pub fn arn(&self) -> String {
        format!("arn:aws:lambda:{}:{}:event-source-mapping:{}", self.region, self.account, self.uuid)
    }

    /// The configuration as AWS writes it, in a state.
    pub fn shape(&self, state: &str, last_result: &str) -> Value {
        let mut shape = json!({
            "UUID": self.uuid,
            "EventSourceMappingArn": self.arn(),
            "EventSourceArn": self.source_arn,
            "FunctionArn": self.target().arn(),
            "BatchSize": self.batch_size,
            "MaximumBatchingWindowInSeconds": self.window_s,
            "LastModified": self.modified_ms as f64 / 1000.0,
            "LastProcessingResult": last_result,
            "State": state,
            "StateTransitionReason": "USER_INITIATED",
        });
        shape["FunctionResponseTypes"] =
            if self.reports_failures { json!(["ReportBatchItemFailures"]) } else { json!([]) };
        if !self.filters.is_empty() {
            let filters: Vec<Value> = self.filters.iter().map(|pattern| json!({"Pattern": pattern})).collect();
            shape["FilterCriteria"] = json!({"Filters": filters});
        }
        if let Some(max) = self.concurrency_max {
            shape["ScalingConfig"] = json!({"MaximumConcurrency": max});
        }
        if let Some(stream) = &self.stream {
            shape["StartingPosition"] = json!(stream.starting_position);
            shape["MaximumRetryAttempts"] = json!(stream.attempts_max);
            shape["MaximumRecordAgeInSeconds"] = json!(stream.age_s_max);
            shape["BisectBatchOnFunctionError"] = json!(stream.bisects);
            shape["ParallelizationFactor"] = json!(stream.parallel);
            shape["TumblingWindowInSeconds"] = json!(stream.tumbling_s);
            shape["DestinationConfig"] = match &stream.on_failure {
                Some(arn) => json!({"OnFailure": {"Destination": arn}}),
                None => json!({"OnFailure": {}}),
            };
        }
        shape
    }
}

/// `None`: a source that this cloud does not have.
pub fn source_of(arn: &str) -> Option<Source> {
    let arn: Arn = arn.parse().ok()?;
    match arn.service.as_str() {
        "sqs" if arn.resource.ends_with(".fifo") => Some(Source::Fifo),
        "sqs" => Some(Source::Queue),
        "dynamodb" if arn.resource.contains("/stream/") => Some(Source::TableStream),
        _ => None,
    }
}
