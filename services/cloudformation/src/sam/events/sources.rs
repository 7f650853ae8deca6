//! Queues and streams: an event source mapping, and the role's right to read.

use serde_json::{Map, Value, json};

use super::{Function, Needs, needed, only};
use crate::errors::Error;
use crate::sam::{Out, invalid, resource};

const SAME: &[&str] = &[
    "BatchSize",
    "Enabled",
    "StartingPosition",
    "StartingPositionTimestamp",
    "MaximumBatchingWindowInSeconds",
    "MaximumRetryAttempts",
    "BisectBatchOnFunctionError",
    "MaximumRecordAgeInSeconds",
    "ParallelizationFactor",
    "TumblingWindowInSeconds",
    "FunctionResponseTypes",
    "FilterCriteria",
    "KmsKeyArn",
    "ScalingConfig",
    "MetricsConfig",
];

pub fn transform(
    function: &Function<'_>,
    logical_id: &str,
    kind: &str,
    given: &Map<String, Value>,
    needs: &mut Needs,
    out: &mut Out<'_>,
) -> Result<(), Error> {
    let source = if kind == "SQS" { "Queue" } else { "Stream" };
    only(logical_id, given, &[SAME, &[source, "DestinationConfig"]].concat())?;
    let arn = needed(logical_id, given, source)?;
    if kind != "SQS" {
        needed(logical_id, given, "StartingPosition")?;
    }
    let mut mapping = Map::new();
    mapping.insert("EventSourceArn".into(), arn.clone());
    mapping.insert("FunctionName".into(), function.name());
    for name in SAME {
        if let Some(value) = given.get(*name) {
            mapping.insert((*name).to_owned(), value.clone());
        }
    }
    if let Some(destination) = given.get("DestinationConfig") {
        mapping.insert("DestinationConfig".into(), on_failure(logical_id, destination, needs)?);
    }
    let policy = match kind {
        "SQS" => "AWSLambdaSQSQueueExecutionRole",
        "DynamoDB" => "AWSLambdaDynamoDBExecutionRole",
        _ => "AWSLambdaKinesisExecutionRole",
    };
    needs.managed.push(crate::sam::policies::managed_arn(policy));
    out.add(logical_id, resource("AWS::Lambda::EventSourceMapping", function.source, mapping.into()))
}

/// Where batches go that failed: the role may send there, and the kind of the place is not told on.
fn on_failure(logical_id: &str, destination: &Value, needs: &mut Needs) -> Result<Value, Error> {
    let given = &destination["OnFailure"];
    let Some(arn) = given.get("Destination") else {
        return Err(invalid(format!("Event with id [{logical_id}] is invalid. 'Destination' is a required field")));
    };
    let (name, action) = match given.get("Type").and_then(Value::as_str) {
        Some("SQS") => ("SQS", "sqs:SendMessage"),
        Some("SNS") => ("SNS", "sns:publish"),
        None => return Ok(json!({ "OnFailure": { "Destination": arn } })),
        Some(other) => {
            return Err(invalid(format!(
                "Event with id [{logical_id}] is invalid. The only valid values for 'Type' are 'SQS' and 'SNS', not {other}"
            )));
        }
    };
    let statement = json!({ "Action": action, "Effect": "Allow", "Resource": arn });
    needs.inline.push((format!("{logical_id}{name}Policy"), json!({ "Statement": [statement] })));
    Ok(json!({ "OnFailure": { "Destination": arn } }))
}
