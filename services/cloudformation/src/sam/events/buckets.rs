//! Buckets: a notification of a bucket of the same template, which is made after it may call the function.

use serde_json::{Map, Value, json};

use super::{Function, needed, only};
use crate::errors::Error;
use crate::sam::{Out, invalid};

/// What is to be added to a bucket once all resources are there.
pub struct Notification {
    pub bucket: String,
    permission: String,
    condition: Option<Value>,
    configurations: Vec<Value>,
}

pub fn transform(
    function: &Function<'_>,
    logical_id: &str,
    given: &Map<String, Value>,
    out: &mut Out<'_>,
) -> Result<(), Error> {
    only(logical_id, given, &["Bucket", "Events", "Filter"])?;
    let bucket = needed(logical_id, given, "Bucket")?.get("Ref").and_then(Value::as_str);
    let bucket = bucket.filter(|bucket| out.has(bucket)).ok_or_else(|| {
        invalid(format!(
            "Event with id [{logical_id}] is invalid. S3 events must reference an S3 bucket in the same template."
        ))
    })?;
    function.permission(logical_id, "s3.amazonaws.com", None, out)?;
    let events = match needed(logical_id, given, "Events")? {
        Value::Array(events) => events.clone(),
        one => vec![one.clone()],
    };
    let condition = function.source.get("Condition").cloned();
    let configurations = events
        .into_iter()
        .map(|event| {
            let mut one = json!({ "Function": function.arn() });
            if let Some(filter) = given.get("Filter") {
                one["Filter"] = filter.clone();
            }
            one["Event"] = event;
            match &condition {
                Some(condition) => json!({ "Fn::If": [condition, one, { "Ref": "AWS::NoValue" }] }),
                None => one,
            }
        })
        .collect();
    out.notifications.push(Notification {
        bucket: bucket.to_owned(),
        permission: format!("{logical_id}Permission"),
        condition,
        configurations,
    });
    Ok(())
}

impl Notification {
    /// Writes it into its bucket.
    pub fn apply(self, resources: &mut Map<String, Value>) -> Result<(), Error> {
        let bad = |what: &str| invalid(format!("Resource with id [{}] is invalid. {what}", self.bucket));
        let bucket = resources.get_mut(&self.bucket).and_then(Value::as_object_mut);
        let bucket = bucket.ok_or_else(|| bad("It is no bucket."))?;
        let properties = bucket.entry("Properties").or_insert_with(|| json!({}));
        match self.condition {
            None => {
                let depends_on = bucket.entry("DependsOn").or_insert_with(|| json!([]));
                let mut list = match depends_on.take() {
                    Value::Array(list) => list,
                    one => vec![one],
                };
                list.push(self.permission.clone().into());
                bucket.insert("DependsOn".into(), list.into());
            }
            Some(condition) => {
                // What is only there on a condition cannot be waited for, but can be referred to on the same.
                let reference = json!({ "Fn::If": [condition, { "Ref": self.permission }, "no dependency"] });
                let tag = json!({ "Key": format!("sam:ConditionalDependsOn:{}", self.permission), "Value": reference });
                match properties.get_mut("Tags") {
                    Some(Value::Array(tags)) => tags.push(tag),
                    Some(_) => return Err(bad("Tags must be a list.")),
                    None => properties["Tags"] = json!([tag]),
                }
            }
        }
        let properties = bucket.get_mut("Properties").and_then(Value::as_object_mut);
        let properties = properties.ok_or_else(|| bad("Properties should be a map."))?;
        let notifications = properties.entry("NotificationConfiguration").or_insert_with(|| json!({}));
        let list = notifications
            .as_object_mut()
            .map(|notifications| notifications.entry("LambdaConfigurations").or_insert_with(|| json!([])));
        match list {
            Some(Value::Array(list)) => {
                for configuration in self.configurations {
                    if !list.contains(&configuration) {
                        list.push(configuration);
                    }
                }
                Ok(())
            }
            _ => Err(bad("Invalid type for LambdaConfigurations. Must be a list.")),
        }
    }
}
