//! Buses, rules, archives, connections, API destinations, schedules, and what hands logs on. Endpoints, pipes, registries
//! and schemas are refused by their type.

use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};

use super::{Made, Whereabouts, copied, gone_is_done, invalid, only, required, required_text, text, typed};

/// A type that is made, changed and deleted by one operation each, with its properties as members.
struct Plain {
    kind: &'static str,
    service: &'static str,
    /// What its name is called in the operations.
    name: &'static str,
    name_length_max: usize,
    operations: [&'static str; 3],
    properties: &'static [&'static str],
    /// Properties that the operations call otherwise.
    renamed: &'static [(&'static str, &'static str)],
    /// Attributes, and the member of the answer to creation that has each.
    attributes: &'static [(&'static str, &'static str)],
}

const PLAIN: &[Plain] = &[
    Plain {
        kind: "AWS::Events::Archive",
        service: "events",
        name: "ArchiveName",
        name_length_max: 48,
        operations: ["CreateArchive", "UpdateArchive", "DeleteArchive"],
        properties: &["Description", "EventPattern", "RetentionDays", "SourceArn", "KmsKeyIdentifier"],
        renamed: &[("SourceArn", "EventSourceArn")],
        attributes: &[("Arn", "ArchiveArn")],
    },
    Plain {
        kind: "AWS::Events::Connection",
        service: "events",
        name: "Name",
        name_length_max: 64,
        operations: ["CreateConnection", "UpdateConnection", "DeleteConnection"],
        properties: &["Description", "AuthorizationType", "AuthParameters"],
        renamed: &[],
        attributes: &[("Arn", "ConnectionArn")],
    },
    Plain {
        kind: "AWS::Events::ApiDestination",
        service: "events",
        name: "Name",
        name_length_max: 64,
        operations: ["CreateApiDestination", "UpdateApiDestination", "DeleteApiDestination"],
        properties: &[
            "Description",
            "ConnectionArn",
            "InvocationEndpoint",
            "HttpMethod",
            "InvocationRateLimitPerSecond",
        ],
        renamed: &[],
        attributes: &[("Arn", "ApiDestinationArn"), ("ArnForPolicy", "ApiDestinationArn")],
    },
    Plain {
        kind: "AWS::Scheduler::Schedule",
        service: "scheduler",
        name: "Name",
        name_length_max: 64,
        operations: ["CreateSchedule", "UpdateSchedule", "DeleteSchedule"],
        properties: &[
            "Description",
            "EndDate",
            "FlexibleTimeWindow",
            "GroupName",
            "KmsKeyArn",
            "ScheduleExpression",
            "ScheduleExpressionTimezone",
            "StartDate",
            "State",
            "Target",
        ],
        renamed: &[],
        attributes: &[("Arn", "ScheduleArn")],
    },
    Plain {
        kind: "AWS::Logs::SubscriptionFilter",
        service: "logs",
        name: "filterName",
        name_length_max: 512,
        operations: ["PutSubscriptionFilter", "PutSubscriptionFilter", "DeleteSubscriptionFilter"],
        properties: &["DestinationArn", "Distribution", "FilterPattern", "LogGroupName", "RoleArn"],
        renamed: &[
            ("DestinationArn", "destinationArn"),
            ("Distribution", "distribution"),
            ("FilterPattern", "filterPattern"),
            ("LogGroupName", "logGroupName"),
            ("RoleArn", "roleArn"),
        ],
        attributes: &[],
    },
    Plain {
        kind: "AWS::Logs::ResourcePolicy",
        service: "logs",
        name: "policyName",
        name_length_max: 255,
        operations: ["PutResourcePolicy", "PutResourcePolicy", "DeleteResourcePolicy"],
        properties: &["PolicyDocument"],
        renamed: &[("PolicyDocument", "policyDocument")],
        attributes: &[],
    },
];

const BUS: &[&str] = &["Name", "Description", "DeadLetterConfig", "KmsKeyIdentifier", "LogConfig", "Policy", "Tags"];
const RULE: &[&str] = &[
    "Name",
    "EventBusName",
    "EventPattern",
    "ScheduleExpression",
    "State",
    "Description",
    "RoleArn",
    "Targets",
    "Tags",
];
const POLICY: &[&str] = &["StatementId", "EventBusName", "Statement", "Action", "Principal", "Condition"];

/// The name of the property a type is named by.
fn name_property(plain: &Plain) -> String {
    let mut chars = plain.name.chars();
    chars.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + chars.as_str())
}

/// Whether this file is about a type.
pub fn is_here(kind: &str) -> bool {
    kind.starts_with("AWS::Events::")
        || kind.starts_with("AWS::Scheduler::")
        || matches!(kind, "AWS::Logs::SubscriptionFilter" | "AWS::Logs::ResourcePolicy")
}

/// Numbers and booleans at any depth; texts that have to stay texts are named.
fn deep(value: &Value) -> Value {
    const TEXTS: [&str; 7] =
        ["Input", "InputPath", "InputTemplate", "Value", "Password", "ApiKeyValue", "ClientSecret"];
    match value {
        Value::Object(map) => {
            let each = |(name, value): (&String, &Value)| {
                let stays = TEXTS.contains(&name.as_str()) && value.is_string();
                (name.clone(), if stays { value.clone() } else { deep(value) })
            };
            Value::Object(map.iter().map(each).collect())
        }
        Value::Array(list) => list.iter().map(deep).collect(),
        other => typed(other),
    }
}

/// Patterns and documents are objects in templates, and texts in operations.
fn as_text(value: &Value) -> Value {
    if value.is_string() { value.clone() } else { value.to_string().into() }
}

fn members(plain: &Plain, name: &str, properties: &Map<String, Value>) -> Result<Value, ApiError> {
    let own_name = name_property(plain);
    only(properties, &[plain.properties, &[own_name.as_str()]].concat())?;
    let mut input = Map::new();
    for property in plain.properties {
        let Some(value) = properties.get(*property) else { continue };
        let renamed = plain.renamed.iter().find(|(from, _)| from == property).map_or(*property, |(_, to)| *to);
        let value = match *property {
            "EventPattern" | "PolicyDocument" => as_text(value),
            "Description" | "FilterPattern" => text(value).into(),
            _ => deep(value),
        };
        input.insert(renamed.to_owned(), value);
    }
    input.insert(plain.name.to_owned(), name.into());
    Ok(input.into())
}

fn plain_of(kind: &str) -> Option<&'static Plain> {
    PLAIN.iter().find(|plain| plain.kind == kind)
}

/// The property a type is named by, and how long a generated name may be.
pub fn generated(kind: &str) -> Option<(&'static str, usize)> {
    match kind {
        "AWS::Scheduler::ScheduleGroup" => Some(("Name", 64)),
        // What logs are given is put, whether or not it is there.
        _ => plain_of(kind).filter(|plain| plain.service != "logs").map(|plain| (plain.name, plain.name_length_max)),
    }
}

pub async fn create(at: &Whereabouts, kind: &str, properties: &Map<String, Value>) -> Result<Made, ApiError> {
    let call = |service, operation, input| at.client.call(service, operation, input);
    match kind {
        "AWS::Events::EventBus" => {
            only(properties, BUS)?;
            let name = required_text(properties, "Name")?;
            let mut input =
                copied(properties, &["Name", "Description", "DeadLetterConfig", "KmsKeyIdentifier", "LogConfig"]);
            input.insert("Tags".to_owned(), at.tag_list(properties));
            let answer = call("events", "CreateEventBus", input.into()).await?;
            if let Some(policy) = properties.get("Policy") {
                let input = json!({ "EventBusName": name, "Policy": as_text(policy) });
                call("events", "PutPermission", input).await?;
            }
            Ok(Made::new(name.clone()).with("Arn", &answer["EventBusArn"]).with("Name", &name.into()))
        }
        "AWS::Events::Rule" => {
            let name = properties.get("Name").map_or_else(|| at.name(64), text);
            put_rule(at, &name, properties, &[]).await
        }
        "AWS::Events::EventBusPolicy" => put_statement(at, properties).await,
        "AWS::Scheduler::ScheduleGroup" => {
            only(properties, &["Name", "Tags"])?;
            let name = properties.get("Name").map_or_else(|| at.name(64), text);
            let input = json!({ "Name": name, "Tags": at.tag_list(properties) });
            let answer = call("scheduler", "CreateScheduleGroup", input).await?;
            Ok(Made::new(name).with("Arn", &answer["ScheduleGroupArn"]).with("State", &"ACTIVE".into()))
        }
        kind => {
            let plain = plain_of(kind).ok_or_else(|| invalid(format!("not implemented: {kind}")))?;
            let name = properties.get(&name_property(plain)).map_or_else(|| at.name(plain.name_length_max), text);
            let answer = call(plain.service, plain.operations[0], members(plain, &name, properties)?).await?;
            let made = Made::new(name.clone()).with(plain.name, &name.into());
            Ok(plain.attributes.iter().fold(made, |made, (name, member)| made.with(name, &answer[*member])))
        }
    }
}

pub async fn update(
    at: &Whereabouts,
    kind: &str,
    made: &Made,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
) -> Result<Made, ApiError> {
    let call = |service, operation, input| at.client.call(service, operation, input);
    let id = &made.physical_id;
    match kind {
        "AWS::Events::EventBus" => {
            only(new, BUS)?;
            let input = copied(new, &["Name", "Description", "DeadLetterConfig", "KmsKeyIdentifier", "LogConfig"]);
            call("events", "UpdateEventBus", input.into()).await?;
            match new.get("Policy") {
                Some(policy) => {
                    let input = json!({ "EventBusName": id, "Policy": as_text(policy) });
                    call("events", "PutPermission", input).await?;
                }
                None if old.contains_key("Policy") => {
                    let input = json!({ "EventBusName": id, "RemoveAllPermissions": true });
                    call("events", "RemovePermission", input).await?;
                }
                None => {}
            }
            retag(at, "events", "ResourceARN", made, old, new).await?;
            Ok(made.clone())
        }
        "AWS::Events::Rule" => {
            let (_, name) = rule_of(id);
            let kept: Vec<String> = target_ids(new);
            let gone: Vec<String> = target_ids(old).into_iter().filter(|id| !kept.contains(id)).collect();
            let updated = put_rule(at, name, new, &gone).await?;
            retag(at, "events", "ResourceARN", made, old, new).await?;
            Ok(updated)
        }
        "AWS::Events::EventBusPolicy" => put_statement(at, new).await,
        "AWS::Scheduler::ScheduleGroup" => {
            retag(at, "scheduler", "ResourceArn", made, old, new).await?;
            Ok(made.clone())
        }
        kind => {
            let plain = plain_of(kind).ok_or_else(|| invalid(format!("not implemented: {kind}")))?;
            call(plain.service, plain.operations[1], members(plain, id, new)?).await?;
            Ok(made.clone())
        }
    }
}

pub async fn delete(
    at: &Whereabouts,
    kind: &str,
    made: &Made,
    properties: &Map<String, Value>,
) -> Result<(), ApiError> {
    let call = |service, operation, input| async move { gone_is_done(at.client.call(service, operation, input).await) };
    let id = &made.physical_id;
    match kind {
        "AWS::Events::EventBus" => call("events", "DeleteEventBus", json!({ "Name": id })).await,
        "AWS::Events::Rule" => {
            let (bus, name) = rule_of(id);
            let ids = target_ids(properties);
            if !ids.is_empty() {
                let input = json!({ "Rule": name, "EventBusName": bus, "Ids": ids });
                call("events", "RemoveTargets", input).await?;
            }
            call("events", "DeleteRule", json!({ "Name": name, "EventBusName": bus })).await
        }
        "AWS::Events::EventBusPolicy" => {
            let bus = properties.get("EventBusName").map_or_else(|| "default".to_owned(), text);
            let statement = required_text(properties, "StatementId")?;
            let input = json!({ "EventBusName": bus, "StatementId": statement });
            call("events", "RemovePermission", input).await
        }
        "AWS::Scheduler::ScheduleGroup" => call("scheduler", "DeleteScheduleGroup", json!({ "Name": id })).await,
        kind => {
            let plain = plain_of(kind).ok_or_else(|| invalid(format!("not implemented: {kind}")))?;
            let mut input = json!({});
            input[plain.name] = id.clone().into();
            for (property, member) in [("GroupName", "GroupName"), ("LogGroupName", "logGroupName")] {
                if let Some(value) = properties.get(property) {
                    input[member] = text(value).into();
                }
            }
            call(plain.service, plain.operations[2], input).await
        }
    }
}

/// `NAME` on the default bus, `BUS|NAME` on others: what `Ref` of a rule says.
fn rule_of(physical_id: &str) -> (&str, &str) {
    physical_id.split_once('|').unwrap_or(("default", physical_id))
}

fn target_ids(properties: &Map<String, Value>) -> Vec<String> {
    let targets = properties.get("Targets").and_then(Value::as_array);
    targets.into_iter().flatten().map(|target| text(&target["Id"])).collect()
}

async fn put_rule(
    at: &Whereabouts,
    name: &str,
    properties: &Map<String, Value>,
    gone: &[String],
) -> Result<Made, ApiError> {
    only(properties, RULE)?;
    let bus = properties.get("EventBusName").map_or_else(|| "default".to_owned(), text);
    let mut input = copied(properties, &["ScheduleExpression", "State", "Description", "RoleArn"]);
    if let Some(pattern) = properties.get("EventPattern") {
        input.insert("EventPattern".to_owned(), as_text(pattern));
    }
    input.insert("Name".to_owned(), name.into());
    input.insert("EventBusName".to_owned(), bus.clone().into());
    input.insert("Tags".to_owned(), at.tag_list(properties));
    let answer = at.client.call("events", "PutRule", input.into()).await?;
    if !gone.is_empty() {
        let input = json!({ "Rule": name, "EventBusName": bus, "Ids": gone });
        at.client.call("events", "RemoveTargets", input).await?;
    }
    if let Some(targets) = properties.get("Targets").filter(|targets| targets.as_array().is_some_and(|t| !t.is_empty()))
    {
        let input = json!({ "Rule": name, "EventBusName": bus, "Targets": deep(targets) });
        let put = at.client.call("events", "PutTargets", input).await?;
        if let Some(failed) = put["FailedEntries"].as_array().and_then(|list| list.first()) {
            return Err(invalid(text(&failed["ErrorMessage"])));
        }
    }
    // A name may be the bus's ARN.
    let bus = bus.rsplit("event-bus/").next().unwrap_or_default();
    Ok(Made::new(rule_id(bus, name)).with("Arn", &answer["RuleArn"]))
}

/// The physical id of a rule.
pub fn rule_id(bus: &str, name: &str) -> String {
    if bus == "default" { name.to_owned() } else { format!("{bus}|{name}") }
}

/// Puts a statement into the policy of a bus, beside what is there.
async fn put_statement(at: &Whereabouts, properties: &Map<String, Value>) -> Result<Made, ApiError> {
    only(properties, POLICY)?;
    let bus = properties.get("EventBusName").map_or_else(|| "default".to_owned(), text);
    let id = required_text(properties, "StatementId")?;
    let made = Made::new(format!("{bus}|{id}"));
    let Some(statement) = properties.get("Statement") else {
        let mut input = copied(properties, &["StatementId", "Action", "Principal", "Condition"]);
        input.insert("EventBusName".to_owned(), bus.into());
        input.insert("Principal".to_owned(), text(required(properties, "Principal")?).into());
        at.client.call("events", "PutPermission", input.into()).await?;
        return Ok(made);
    };
    let seen = at.client.call("events", "DescribeEventBus", json!({ "Name": bus })).await?;
    let policy: Value = seen["Policy"].as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let mut statements = match &policy["Statement"] {
        Value::Array(list) => list.clone(),
        Value::Null => Vec::new(),
        one => vec![one.clone()],
    };
    statements.retain(|other| other["Sid"] != id.as_str());
    let mut statement = statement.clone();
    statement["Sid"] = id.into();
    statements.push(statement);
    let document = json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
    at.client.call("events", "PutPermission", json!({ "EventBusName": bus, "Policy": document })).await?;
    Ok(made)
}

async fn retag(
    at: &Whereabouts,
    service: &str,
    member: &str,
    made: &Made,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
) -> Result<(), ApiError> {
    let arn = made.attributes.get("Arn").cloned().unwrap_or_default();
    let (removed, changed) = at.tag_changes(old, new);
    if !removed.is_empty() {
        let mut input = json!({ "TagKeys": removed });
        input[member] = arn.clone();
        at.client.call(service, "UntagResource", input).await?;
    }
    if let Some(tags) = changed {
        let mut input = json!({ "Tags": tags });
        input[member] = arn;
        at.client.call(service, "TagResource", input).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn members_of_operations() {
        let archive = plain_of("AWS::Events::Archive").unwrap();
        let given = json!({"SourceArn": "arn", "EventPattern": {"a": ["1"]}, "RetentionDays": "3"});
        let input = members(archive, "n", given.as_object().unwrap()).unwrap();
        let expect =
            json!({"EventPattern": "{\"a\":[\"1\"]}", "RetentionDays": 3, "EventSourceArn": "arn", "ArchiveName": "n"});
        assert_eq!(input, expect);
        let schedule = plain_of("AWS::Scheduler::Schedule").unwrap();
        let given = json!({"Target": {"Arn": "a", "Input": "1", "RetryPolicy": {"MaximumRetryAttempts": "2"}}});
        let input = members(schedule, "n", given.as_object().unwrap()).unwrap();
        assert_eq!(input["Target"], json!({"Arn": "a", "Input": "1", "RetryPolicy": {"MaximumRetryAttempts": 2}}));
        let filter = plain_of("AWS::Logs::SubscriptionFilter").unwrap();
        let given = json!({"FilterName": "f", "LogGroupName": "g", "FilterPattern": "1"});
        let input = members(filter, "f", given.as_object().unwrap()).unwrap();
        assert_eq!(input, json!({"filterPattern": "1", "logGroupName": "g", "filterName": "f"}));
        let unknown = json!({"Nonsense": 1});
        assert!(members(filter, "f", unknown.as_object().unwrap()).is_err());
    }
}
