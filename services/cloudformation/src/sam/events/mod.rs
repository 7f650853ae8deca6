//! What makes a function run: the resources that each kind of event becomes. A kind that is not here is refused by name.

mod buckets;
mod rules;
mod sources;
mod topics;

pub use buckets::Notification;
use serde_json::{Map, Value, json};

use super::{Out, invalid, not_built, resource};
use crate::errors::Error;

/// The function an event leads to.
pub struct Function<'a> {
    pub logical_id: &'a str,
    pub source: &'a Value,
    /// The logical id of its alias, where it publishes versions.
    pub alias: Option<&'a str>,
}

impl Function<'_> {
    pub fn arn(&self) -> Value {
        match self.alias {
            Some(alias) => json!({ "Ref": alias }),
            None => json!({ "Fn::GetAtt": [self.logical_id, "Arn"] }),
        }
    }

    pub fn name(&self) -> Value {
        json!({ "Ref": self.alias.unwrap_or(self.logical_id) })
    }

    /// That a service may call it.
    pub fn permission(
        &self,
        name: &str,
        principal: &str,
        source_arn: Option<Value>,
        out: &mut Out<'_>,
    ) -> Result<(), Error> {
        let mut permission = json!({
            "Action": "lambda:InvokeFunction",
            "FunctionName": self.name(),
            "Principal": principal,
        });
        match source_arn {
            Some(arn) => permission["SourceArn"] = arn,
            None => permission["SourceAccount"] = json!({ "Ref": "AWS::AccountId" }),
        }
        out.add(&format!("{name}Permission"), resource("AWS::Lambda::Permission", self.source, permission))
    }
}

/// What an event asks of the function's role.
#[derive(Default)]
pub struct Needs {
    /// ARNs of managed policies.
    pub managed: Vec<String>,
    /// Names and documents of inline policies.
    pub inline: Vec<(String, Value)>,
}

/// One event of a function.
pub fn transform(
    function: &Function<'_>,
    name: &str,
    event: &Value,
    needs: &mut Needs,
    out: &mut Out<'_>,
) -> Result<(), Error> {
    let empty = Map::new();
    let given = event.get("Properties").and_then(Value::as_object).unwrap_or(&empty);
    let logical_id = format!("{}{name}", function.logical_id);
    match event.get("Type").and_then(Value::as_str) {
        Some("HttpApi") => super::http_api::event(function, name, given, out),
        Some("Api") => super::api::event(function, name, given, out),
        Some("SNS") => topics::transform(function, &logical_id, given, needs, out),
        Some("S3") => buckets::transform(function, &logical_id, given, out),
        Some(kind @ ("SQS" | "DynamoDB" | "Kinesis")) => {
            sources::transform(function, &logical_id, kind, given, needs, out)
        }
        Some(kind @ ("Schedule" | "ScheduleV2" | "EventBridgeRule" | "CloudWatchEvent" | "CloudWatchLogs")) => {
            rules::transform(function, &logical_id, kind, given, out)
        }
        Some(other) => Err(not_built(format!("event type {other} ({name} of {})", function.logical_id))),
        None => Err(invalid(format!("event {name} of {} has no Type", function.logical_id))),
    }
}

fn needed<'a>(logical_id: &str, given: &'a Map<String, Value>, name: &str) -> Result<&'a Value, Error> {
    given
        .get(name)
        .ok_or_else(|| invalid(format!("Event with id [{logical_id}] is invalid. Missing required property '{name}'.")))
}

fn only(logical_id: &str, given: &Map<String, Value>, known: &[&str]) -> Result<(), Error> {
    match given.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(not_built(format!("property {name} of the event {logical_id}"))),
    }
}
