//! Topics: a subscription of the function, or of a queue that it reads from.

use serde_json::{Map, Value, json};

use super::{Function, Needs, needed, only};
use crate::errors::Error;
use crate::sam::{Out, invalid, policies, resource};

const KNOWN: &[&str] = &["Topic", "Region", "FilterPolicy", "FilterPolicyScope", "SqsSubscription", "RedrivePolicy"];

pub fn transform(
    function: &Function<'_>,
    logical_id: &str,
    given: &Map<String, Value>,
    needs: &mut Needs,
    out: &mut Out<'_>,
) -> Result<(), Error> {
    only(logical_id, given, KNOWN)?;
    let topic = needed(logical_id, given, "Topic")?;
    match given.get("SqsSubscription") {
        None | Some(Value::Bool(false)) => {
            function.permission(logical_id, "sns.amazonaws.com", Some(topic.clone()), out)?;
            subscribe(function, logical_id, "lambda", &function.arn(), given, out)
        }
        Some(Value::Bool(true)) => {
            let queue = format!("{logical_id}Queue");
            let topic_id = topic.get("Ref").and_then(Value::as_str).unwrap_or_default();
            let is_fifo = out.property(topic_id, "FifoTopic").is_some_and(|is| crate::template::is_true(&is));
            let properties = if is_fifo { json!({ "FifoQueue": true }) } else { json!({}) };
            out.add(&queue, resource("AWS::SQS::Queue", function.source, properties))?;
            let (arn, url) = (json!({ "Fn::GetAtt": [queue, "Arn"] }), json!({ "Ref": queue }));
            through(function, logical_id, given, (&arn, &url), needs, out, &Map::new())
        }
        Some(Value::Object(queue)) => match (queue.get("QueueArn"), queue.get("QueueUrl")) {
            (Some(arn), Some(url)) => through(function, logical_id, given, (arn, url), needs, out, queue),
            _ => Err(invalid(format!("Event with id [{logical_id}] is invalid. No QueueARN or QueueURL provided."))),
        },
        Some(_) => {
            Err(invalid(format!("Event with id [{logical_id}] is invalid. SqsSubscription is neither true nor a map.")))
        }
    }
}

fn subscribe(
    function: &Function<'_>,
    logical_id: &str,
    protocol: &str,
    endpoint: &Value,
    given: &Map<String, Value>,
    out: &mut Out<'_>,
) -> Result<(), Error> {
    let mut subscription = json!({ "Endpoint": endpoint, "Protocol": protocol, "TopicArn": given.get("Topic") });
    for name in ["Region", "FilterPolicy", "FilterPolicyScope", "RedrivePolicy"] {
        if let Some(value) = given.get(name) {
            subscription[name] = value.clone();
        }
    }
    out.add(logical_id, resource("AWS::SNS::Subscription", function.source, subscription))
}

/// By way of a queue, to which the topic may send.
fn through(
    function: &Function<'_>,
    logical_id: &str,
    given: &Map<String, Value>,
    (arn, url): (&Value, &Value),
    needs: &mut Needs,
    out: &mut Out<'_>,
    own: &Map<String, Value>,
) -> Result<(), Error> {
    let mut mapping = json!({
        "BatchSize": own.get("BatchSize").cloned().unwrap_or_else(|| 10.into()),
        // What is said to be off is on, on AWS too.
        "Enabled": own.get("Enabled").filter(|is| **is != false).cloned().unwrap_or_else(|| true.into()),
        "EventSourceArn": arn,
        "FunctionName": function.name(),
    });
    if let Some(window) = own.get("MaximumBatchingWindowInSeconds") {
        mapping["MaximumBatchingWindowInSeconds"] = window.clone();
    }
    needs.managed.push(policies::managed_arn("AWSLambdaSQSQueueExecutionRole"));
    let source = function.source;
    let mapping_id = format!("{logical_id}EventSourceMapping");
    out.add(&mapping_id, resource("AWS::Lambda::EventSourceMapping", source, mapping))?;
    let statement = json!({
        "Action": "sqs:SendMessage",
        "Effect": "Allow",
        "Principal": "*",
        "Resource": arn,
        "Condition": { "ArnEquals": { "aws:SourceArn": given.get("Topic") } },
    });
    let policy = json!({
        "PolicyDocument": { "Version": "2012-10-17", "Statement": [statement] },
        "Queues": [url],
    });
    let policy_id = match own.get("QueuePolicyLogicalId").and_then(Value::as_str) {
        Some(id) => id.to_owned(),
        None => format!("{logical_id}QueuePolicy"),
    };
    out.add(&policy_id, resource("AWS::SQS::QueuePolicy", source, policy))?;
    subscribe(function, logical_id, "sqs", arn, given, out)
}
