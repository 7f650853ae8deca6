//! Resource types: how each is made, changed and deleted by calls of its service, and what `Ref` and `Fn::GetAtt` say of it.
//! A type that is not in [`TYPES`] is refused by name before anything runs.

mod apigateway;
mod dynamodb;
mod iam;
mod lambda;
mod logs;

use std::collections::BTreeMap;

use cumulet_wire::error::ApiError;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::client::Client;

/// A type, and the properties whose change needs another resource in its place; `*` is any of them.
pub struct Type {
    pub name: &'static str,
    pub replacing: &'static [&'static str],
}

const fn of(name: &'static str, replacing: &'static [&'static str]) -> Type {
    Type { name, replacing }
}

pub const TYPES: &[Type] = &[
    of("AWS::ApiGatewayV2::Api", &["ProtocolType", "Target", "RouteKey"]),
    of("AWS::ApiGatewayV2::Deployment", &["*"]),
    of("AWS::ApiGatewayV2::Integration", &["ApiId"]),
    of("AWS::ApiGatewayV2::Route", &["ApiId"]),
    of("AWS::ApiGatewayV2::Stage", &["ApiId", "StageName"]),
    of("AWS::CDK::Metadata", &[]),
    of("AWS::CloudFormation::WaitConditionHandle", &[]),
    of("AWS::DynamoDB::Table", &["TableName", "KeySchema", "LocalSecondaryIndexes"]),
    of("AWS::IAM::Role", &["RoleName", "Path"]),
    of("AWS::Lambda::Function", &["FunctionName", "PackageType"]),
    of("AWS::Lambda::Permission", &["*"]),
    of("AWS::Lambda::Url", &["TargetFunctionArn", "Qualifier"]),
    of("AWS::Logs::LogGroup", &["LogGroupName"]),
];

pub fn is_known(kind: &str) -> bool {
    TYPES.iter().any(|t| t.name == kind)
}

pub fn replaces(kind: &str, property: &str) -> bool {
    TYPES.iter().filter(|t| t.name == kind).any(|t| t.replacing.contains(&property) || t.replacing.contains(&"*"))
}

/// A resource as it came to be. `Ref` is the physical id.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Made {
    pub physical_id: String,
    pub attributes: BTreeMap<String, Value>,
}

impl Made {
    fn new(physical_id: impl Into<String>) -> Made {
        Made { physical_id: physical_id.into(), ..Made::default() }
    }

    fn with(mut self, name: &str, value: &Value) -> Made {
        self.attributes.insert(name.to_owned(), value.clone());
        self
    }
}

/// What a handler needs besides the properties.
pub struct Whereabouts<'a> {
    pub client: &'a Client,
    pub stack_name: &'a str,
    pub logical_id: &'a str,
}

impl Whereabouts<'_> {
    /// `STACK-LOGICAL-RANDOM`, cut to what the service takes.
    fn name(&self, length_max: usize) -> String {
        let mut name = format!("{}-{}", self.stack_name, self.logical_id);
        name.truncate(length_max - 13);
        format!("{name}-{}", cumulet_base::id::upper(12))
    }

    /// The tags CloudFormation puts on everything, and those of the properties.
    fn tags(&self, properties: &Map<String, Value>) -> Map<String, Value> {
        let mut tags = Map::new();
        match properties.get("Tags") {
            Some(Value::Array(list)) => {
                for tag in list {
                    if let Some(key) = tag.get("Key").and_then(Value::as_str) {
                        let value = tag.get("Value").cloned().unwrap_or_default();
                        tags.insert(key.to_owned(), text(&value).into());
                    }
                }
            }
            Some(Value::Object(map)) => {
                tags.extend(map.iter().map(|(k, v)| (k.clone(), text(v).into())));
            }
            _ => {}
        }
        tags
    }

    /// As most services take them.
    fn tag_list(&self, properties: &Map<String, Value>) -> Value {
        self.tags(properties).iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect()
    }

    /// The keys of tags that are no more, and the list of all where it is another.
    fn tag_changes(&self, old: &Map<String, Value>, new: &Map<String, Value>) -> (Vec<String>, Option<Value>) {
        let (before, after) = (self.tags(old), self.tags(new));
        let removed = before.keys().filter(|key| !after.contains_key(*key)).cloned().collect();
        let is_changed = before != after && !after.is_empty();
        (removed, is_changed.then(|| self.tag_list(new)))
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "ValidationError", message)
}

fn required<'a>(properties: &'a Map<String, Value>, name: &str) -> Result<&'a Value, ApiError> {
    properties.get(name).ok_or_else(|| invalid(format!("required property [{name}] not found")))
}

fn required_text(properties: &Map<String, Value>, name: &str) -> Result<String, ApiError> {
    required(properties, name).map(text)
}

/// Properties a handler does not know are refused, so that none is silently without effect.
fn only(properties: &Map<String, Value>, known: &[&str]) -> Result<(), ApiError> {
    match properties.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(invalid(format!("not implemented: property {name}"))),
    }
}

/// Numbers and booleans that templates write as texts, as what services take.
fn typed(value: &Value) -> Value {
    match value {
        Value::String(text) => match text.as_str() {
            "true" => true.into(),
            "false" => false.into(),
            text => text.parse::<i64>().map_or_else(|_| value.clone(), Value::from),
        },
        other => other.clone(),
    }
}

/// Copies properties under their own names.
fn copied(from: &Map<String, Value>, names: &[&str]) -> Map<String, Value> {
    names.iter().filter_map(|name| Some(((*name).to_owned(), from.get(*name)?.clone()))).collect()
}

/// Whether an error says that what was to be deleted is not there.
fn is_gone(error: &ApiError) -> bool {
    error.status == 404 || matches!(error.code.as_str(), "NoSuchEntity" | "ResourceNotFoundException")
}

fn gone_is_done(result: Result<Value, ApiError>) -> Result<(), ApiError> {
    match result {
        Ok(_) => Ok(()),
        Err(error) if is_gone(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

pub async fn create(at: &Whereabouts<'_>, kind: &str, properties: &Map<String, Value>) -> Result<Made, ApiError> {
    match kind {
        "AWS::Lambda::Function" => lambda::create_function(at, properties).await,
        "AWS::Lambda::Permission" => lambda::create_permission(at, properties).await,
        "AWS::Lambda::Url" => lambda::create_url(at, properties).await,
        "AWS::IAM::Role" => iam::create_role(at, properties).await,
        "AWS::Logs::LogGroup" => logs::create_group(at, properties).await,
        "AWS::DynamoDB::Table" => dynamodb::create_table(at, properties).await,
        "AWS::CDK::Metadata" | "AWS::CloudFormation::WaitConditionHandle" => Ok(Made::new(at.name(128))),
        _ => apigateway::create(at, kind, properties).await,
    }
}

/// Changes a resource in place; only called when no replacing property changed.
pub async fn update(
    at: &Whereabouts<'_>,
    kind: &str,
    made: &Made,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
) -> Result<Made, ApiError> {
    match kind {
        "AWS::Lambda::Function" => lambda::update_function(at, made, old, new).await,
        "AWS::Lambda::Url" => lambda::update_url(at, made, new).await,
        "AWS::IAM::Role" => iam::update_role(at, made, old, new).await,
        "AWS::Logs::LogGroup" => logs::update_group(at, made, new).await,
        "AWS::DynamoDB::Table" => dynamodb::update_table(at, made, old, new).await,
        "AWS::CDK::Metadata" | "AWS::CloudFormation::WaitConditionHandle" => Ok(made.clone()),
        _ => apigateway::update(at, kind, made, old, new).await,
    }
}

/// Deletes a resource; one that is not there any more is deleted.
pub async fn delete(
    at: &Whereabouts<'_>,
    kind: &str,
    made: &Made,
    properties: &Map<String, Value>,
) -> Result<(), ApiError> {
    let call = |service: &'static str, operation: &'static str, input: Value| async move {
        gone_is_done(at.client.call(service, operation, input).await)
    };
    let id = &made.physical_id;
    match kind {
        "AWS::Lambda::Function" => call("lambda", "DeleteFunction", json!({ "FunctionName": id })).await,
        "AWS::Lambda::Permission" => {
            let function = required_text(properties, "FunctionName")?;
            let input = json!({ "FunctionName": function, "StatementId": id });
            call("lambda", "RemovePermission", input).await
        }
        "AWS::Lambda::Url" => call("lambda", "DeleteFunctionUrlConfig", json!({ "FunctionName": id })).await,
        "AWS::IAM::Role" => iam::delete_role(at, made, properties).await,
        "AWS::DynamoDB::Table" => call("dynamodb", "DeleteTable", json!({ "TableName": id })).await,
        "AWS::Logs::LogGroup" => call("logs", "DeleteLogGroup", json!({ "logGroupName": id })).await,
        "AWS::CDK::Metadata" | "AWS::CloudFormation::WaitConditionHandle" => Ok(()),
        _ => apigateway::delete(at, kind, made, properties).await,
    }
}
