//! Resource types: how each is made, changed and deleted by calls of its service, and what `Ref` and `Fn::GetAtt` say of it.
//! A type that is not in [`TYPES`] is refused by name before anything runs.

mod apigateway;
mod codedeploy;
mod domains;
mod dynamodb;
mod events;
mod global_table;
mod iam;
mod kms;
mod lambda;
mod live;
mod logs;
mod messages;
mod metric_filter;
mod nested;
mod rest;
mod rest_deployment;
mod s3;
mod secrets;
mod ssm;
pub mod taken;
mod wait;
mod watch;

use std::collections::BTreeMap;

use cumulet_wire::error::ApiError;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::sync::watch::Receiver;

use crate::CloudFormation;
use crate::client::Client;
use crate::custom::{self, Request};
use crate::signals;
use crate::stack::Stack;
use crate::storage::Owner;

pub use live::{is_readable, read};

/// How the tags of a type are written in templates. Those of the stack are added to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tags {
    None,
    List,
    Map,
}

/// A type, and the properties whose change needs another resource in its place; `*` is any of them.
pub struct Type {
    pub name: &'static str,
    pub replacing: &'static [&'static str],
    pub tags: Tags,
}

const fn of(name: &'static str, replacing: &'static [&'static str]) -> Type {
    Type { name, replacing, tags: Tags::None }
}

const fn tagged(name: &'static str, replacing: &'static [&'static str]) -> Type {
    Type { name, replacing, tags: Tags::List }
}

/// A function that rewrites templates: there is nothing of it but the stack's resource.
pub const MACRO: &str = "AWS::CloudFormation::Macro";

pub const TYPES: &[Type] = &[
    of("AWS::ApiGateway::Account", &[]),
    tagged("AWS::ApiGateway::ApiKey", &["Name", "Value", "GenerateDistinctId"]),
    of("AWS::ApiGateway::Authorizer", &["RestApiId"]),
    of("AWS::ApiGateway::BasePathMapping", &["DomainName", "BasePath"]),
    of("AWS::ApiGateway::Deployment", &["RestApiId", "StageName"]),
    tagged("AWS::ApiGateway::DomainName", &["DomainName"]),
    of("AWS::ApiGateway::GatewayResponse", &["RestApiId", "ResponseType"]),
    of("AWS::ApiGateway::Method", &["RestApiId", "ResourceId", "HttpMethod"]),
    of("AWS::ApiGateway::Model", &["RestApiId", "Name", "ContentType"]),
    of("AWS::ApiGateway::RequestValidator", &["RestApiId", "Name"]),
    of("AWS::ApiGateway::Resource", &["RestApiId", "ParentId", "PathPart"]),
    tagged("AWS::ApiGateway::RestApi", &[]),
    tagged("AWS::ApiGateway::Stage", &["RestApiId", "StageName"]),
    tagged("AWS::ApiGateway::UsagePlan", &[]),
    of("AWS::ApiGateway::UsagePlanKey", &["*"]),
    of("AWS::ApiGatewayV2::Api", &["ProtocolType", "Target", "RouteKey"]),
    of("AWS::ApiGatewayV2::ApiMapping", &["DomainName"]),
    of("AWS::ApiGatewayV2::Authorizer", &["ApiId", "AuthorizerType"]),
    of("AWS::ApiGatewayV2::Deployment", &["*"]),
    Type { name: "AWS::ApiGatewayV2::DomainName", replacing: &["DomainName"], tags: Tags::Map },
    of("AWS::ApiGatewayV2::Integration", &["ApiId"]),
    of("AWS::ApiGatewayV2::Route", &["ApiId"]),
    of("AWS::ApiGatewayV2::Stage", &["ApiId", "StageName"]),
    of("AWS::CDK::Metadata", &[]),
    of("AWS::CloudFormation::CustomResource", &["ServiceToken"]),
    of(MACRO, &["Name"]),
    tagged("AWS::CloudFormation::Stack", &[]),
    of("AWS::CloudFormation::WaitCondition", &[]),
    of("AWS::CloudFormation::WaitConditionHandle", &[]),
    tagged("AWS::CodeDeploy::Application", &["ApplicationName", "ComputePlatform"]),
    of("AWS::CodeDeploy::DeploymentConfig", &["*"]),
    tagged("AWS::CodeDeploy::DeploymentGroup", &["ApplicationName", "DeploymentGroupName"]),
    tagged("AWS::CloudWatch::Alarm", &["AlarmName"]),
    tagged("AWS::CloudWatch::CompositeAlarm", &["AlarmName"]),
    of("AWS::CloudWatch::Dashboard", &["DashboardName"]),
    of("AWS::DynamoDB::GlobalTable", &["TableName", "KeySchema", "LocalSecondaryIndexes"]),
    tagged("AWS::DynamoDB::Table", &["TableName", "KeySchema", "LocalSecondaryIndexes"]),
    tagged("AWS::ECR::Repository", &["RepositoryName"]),
    of("AWS::Events::ApiDestination", &["Name"]),
    of("AWS::Events::Archive", &["ArchiveName", "SourceArn"]),
    of("AWS::Events::Connection", &["Name"]),
    tagged("AWS::Events::EventBus", &["Name"]),
    of("AWS::Events::EventBusPolicy", &["StatementId", "EventBusName"]),
    tagged("AWS::Events::Rule", &["Name", "EventBusName"]),
    of("AWS::IAM::AccessKey", &["UserName", "Serial"]),
    of("AWS::IAM::Group", &["GroupName"]),
    of("AWS::IAM::InstanceProfile", &["InstanceProfileName", "Path"]),
    of("AWS::IAM::ManagedPolicy", &["ManagedPolicyName", "Path", "Description"]),
    of("AWS::IAM::GroupPolicy", &["PolicyName", "GroupName"]),
    of("AWS::IAM::Policy", &[]),
    of("AWS::IAM::RolePolicy", &["PolicyName", "RoleName"]),
    of("AWS::IAM::UserPolicy", &["PolicyName", "UserName"]),
    tagged("AWS::IAM::Role", &["RoleName", "Path"]),
    tagged("AWS::IAM::User", &["UserName"]),
    of("AWS::KMS::Alias", &["AliasName"]),
    tagged("AWS::KMS::Key", &["KeySpec", "KeyUsage", "MultiRegion", "Origin"]),
    of("AWS::Lambda::Alias", &["FunctionName", "Name"]),
    of("AWS::Lambda::EventInvokeConfig", &["FunctionName", "Qualifier"]),
    of(
        "AWS::Lambda::EventSourceMapping",
        &["EventSourceArn", "StartingPosition", "StartingPositionTimestamp", "SelfManagedEventSource"],
    ),
    tagged("AWS::Lambda::Function", &["FunctionName", "PackageType", "TenancyConfig"]),
    of("AWS::Lambda::LayerVersion", &["*"]),
    of("AWS::Lambda::LayerVersionPermission", &["*"]),
    of("AWS::Lambda::Permission", &["*"]),
    of("AWS::Lambda::Url", &["TargetFunctionArn", "Qualifier"]),
    of("AWS::Lambda::Version", &["FunctionName", "CodeSha256", "Description"]),
    tagged("AWS::Logs::LogGroup", &["LogGroupName"]),
    of(metric_filter::KIND, &["FilterName", "LogGroupName"]),
    of("AWS::Logs::ResourcePolicy", &["PolicyName"]),
    of("AWS::Logs::SubscriptionFilter", &["FilterName", "LogGroupName"]),
    tagged("AWS::S3::Bucket", &["BucketName"]),
    of("AWS::S3::BucketPolicy", &["Bucket"]),
    of("AWS::SNS::Subscription", &["Endpoint", "Protocol", "TopicArn"]),
    tagged("AWS::SNS::Topic", &["FifoTopic", "TopicName"]),
    of("AWS::SNS::TopicInlinePolicy", &["TopicArn"]),
    of("AWS::SNS::TopicPolicy", &[]),
    tagged("AWS::SQS::Queue", &["FifoQueue", "QueueName"]),
    of("AWS::SQS::QueueInlinePolicy", &["Queue"]),
    of("AWS::SQS::QueuePolicy", &[]),
    of("AWS::SecretsManager::ResourcePolicy", &["SecretId"]),
    tagged("AWS::SecretsManager::Secret", &["Name"]),
    of("AWS::Scheduler::Schedule", &["Name", "GroupName"]),
    tagged("AWS::Scheduler::ScheduleGroup", &["Name"]),
    Type { name: "AWS::SSM::Parameter", replacing: &["Name"], tags: Tags::Map },
];

fn is_custom(kind: &str) -> bool {
    kind.starts_with("Custom::") || kind == "AWS::CloudFormation::CustomResource"
}

pub fn is_known(kind: &str) -> bool {
    is_custom(kind) || TYPES.iter().any(|t| t.name == kind)
}

pub fn replaces(kind: &str, property: &str) -> bool {
    TYPES.iter().filter(|t| t.name == kind).any(|t| t.replacing.contains(&property) || t.replacing.contains(&"*"))
}

/// Whether the attributes of a resource may be others after an update in place.
pub fn answers(kind: &str) -> bool {
    is_custom(kind)
        || matches!(
            kind,
            "AWS::CloudFormation::Stack"
                | "AWS::SSM::Parameter"
                | "AWS::DynamoDB::Table"
                | "AWS::DynamoDB::GlobalTable"
        )
}

/// Whether a type cannot be changed at all, so that there is nothing to be taken back of a change.
pub fn is_fixed(kind: &str) -> bool {
    matches!(kind, signals::HANDLE | wait::CONDITION)
}

pub fn tags_of(kind: &str) -> Tags {
    TYPES.iter().find(|t| t.name == kind).map_or(Tags::None, |t| t.tags)
}

/// A resource as it came to be. `Ref` is the physical id.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Made {
    pub physical_id: String,
    pub attributes: BTreeMap<String, Value>,
    /// What the events say of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
}

impl Made {
    fn new(physical_id: impl Into<String>) -> Made {
        Made { physical_id: physical_id.into(), ..Made::default() }
    }

    fn with(mut self, name: &str, value: &Value) -> Made {
        self.attributes.insert(name.to_owned(), value.clone());
        self
    }

    /// What `Fn::GetAtt` says; inside of objects by names with dots.
    pub fn attribute(&self, name: &str) -> Option<Value> {
        if let Some(value) = self.attributes.get(name) {
            return Some(value.clone());
        }
        let (first, rest) = name.split_once('.')?;
        let inside = self.attributes.get(first)?;
        rest.split('.').try_fold(inside, |value, part| value.get(part)).cloned()
    }
}

/// What a handler needs besides the properties.
#[derive(Clone)]
pub struct Whereabouts {
    pub client: Client,
    pub cloud: CloudFormation,
    pub stack_name: String,
    pub stack_arn: String,
    /// Of the outermost stack.
    pub root_arn: String,
    pub logical_id: String,
    /// What generated names end in.
    pub seed: String,
    /// The step was begun before, and nobody knows how far it got.
    pub is_again: bool,
    pub is_rollback_disabled: bool,
    /// On the way back: what of an embedded stack is to be skipped.
    pub back: Option<Vec<String>>,
    /// When the step was first begun.
    pub begun_ms: u64,
    /// When the stack has to be there.
    pub ends_ms: Option<u64>,
    pub creation_policy: Option<Value>,
    pub update_policy: Option<Value>,
    /// Turns true when the way forward is over: what only waits need not wait any longer.
    pub is_over: Receiver<bool>,
}

impl Whereabouts {
    /// Of a resource that is only looked at.
    pub fn of(client: Client, cloud: &CloudFormation, stack: &Stack, logical_id: &str, now_ms: u64) -> Whereabouts {
        Whereabouts {
            client,
            cloud: cloud.clone(),
            stack_name: stack.name.clone(),
            stack_arn: stack.arn.clone(),
            root_arn: stack.parent.as_ref().map_or(&stack.arn, |parent| &parent.root).clone(),
            logical_id: logical_id.to_owned(),
            seed: String::new(),
            is_again: false,
            is_rollback_disabled: false,
            back: None,
            begun_ms: now_ms,
            ends_ms: None,
            creation_policy: None,
            update_policy: None,
            is_over: tokio::sync::watch::Sender::new(false).subscribe(),
        }
    }

    pub fn owner(&self) -> Owner {
        let context = &self.client.context;
        Owner { account: context.account().to_owned(), region: context.region.clone() }
    }

    /// `STACK-LOGICAL-RANDOM`, cut to what the service takes; the same when a step is taken again.
    fn name(&self, length_max: usize) -> String {
        let mut name = format!("{}-{}", self.stack_name, self.logical_id);
        name.truncate(length_max.saturating_sub(self.seed.len() + 1));
        format!("{name}-{}", self.seed)
    }

    /// The tags of the properties.
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

pub fn text(value: &Value) -> String {
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
    error.status == 404
        || matches!(
            error.code.as_str(),
            "NoSuchEntity"
                | "ResourceNotFoundException"
                | "NotFoundException"
                | "ResourceNotFound"
                | "ParameterNotFound"
                | "NoSuchBucket"
                | "NoSuchBucketPolicy"
                | "QueueDoesNotExist"
                | "ApplicationDoesNotExistException"
                | "DeploymentGroupDoesNotExistException"
        )
}

fn gone_is_done(result: Result<Value, ApiError>) -> Result<(), ApiError> {
    match result {
        Ok(_) => Ok(()),
        Err(error) if is_gone(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether an error says that something of the name is there already.
fn is_taken(error: &ApiError) -> bool {
    matches!(
        error.code.as_str(),
        "EntityAlreadyExists"
            | "ResourceConflictException"
            | "ResourceInUseException"
            | "ResourceAlreadyExistsException"
            | "BucketAlreadyOwnedByYou"
            | "ParameterAlreadyExists"
            | "ResourceExistsException"
            | "ConflictException"
            | "AlreadyExistsException"
            | "ApplicationAlreadyExistsException"
            | "DeploymentConfigAlreadyExistsException"
            | "DeploymentGroupAlreadyExistsException"
    )
}

/// What a step made that was interrupted is deleted, so that the step can be taken again. Only names that were generated
/// for the step are known to be its own.
async fn sweep(at: &Whereabouts, kind: &str, properties: &Map<String, Value>) -> Result<bool, ApiError> {
    let generated = match kind {
        "AWS::Lambda::Function" => ("FunctionName", 64),
        "AWS::IAM::Role" => ("RoleName", 64),
        "AWS::IAM::User" => ("UserName", 64),
        "AWS::IAM::Group" => ("GroupName", 128),
        "AWS::IAM::ManagedPolicy" => ("ManagedPolicyName", 128),
        "AWS::IAM::InstanceProfile" => ("InstanceProfileName", 128),
        "AWS::DynamoDB::Table" | "AWS::DynamoDB::GlobalTable" => ("TableName", 255),
        "AWS::Logs::LogGroup" => ("LogGroupName", 512),
        "AWS::S3::Bucket" => ("BucketName", 63),
        "AWS::SSM::Parameter" => ("Name", 1024),
        "AWS::SecretsManager::Secret" => ("Name", 512),
        "AWS::Lambda::Permission" => ("", 100),
        _ if kind.starts_with("AWS::CodeDeploy::") => (codedeploy::name_of(kind), 100),
        kind => match events::generated(kind) {
            Some(generated) => generated,
            None => return Ok(false),
        },
    };
    if properties.contains_key(generated.0) {
        return Ok(false);
    }
    let name = match kind {
        "AWS::S3::Bucket" => s3::name(at),
        "AWS::IAM::ManagedPolicy" => {
            format!("arn:aws:iam::{}:policy/{}", at.client.context.account(), at.name(generated.1))
        }
        _ => at.name(generated.1),
    };
    delete(at, kind, &Made::new(name), properties).await?;
    Ok(true)
}

/// What there is of a resource whose creation failed, by its physical id.
pub async fn left(at: &Whereabouts, kind: &str) -> Option<String> {
    match kind {
        "AWS::CloudFormation::Stack" => nested::left(at).await,
        _ => None,
    }
}

pub async fn create(at: &Whereabouts, kind: &str, properties: &Map<String, Value>) -> Result<Made, ApiError> {
    match make(at, kind, properties).await {
        Err(error) if at.is_again && is_taken(&error) && sweep(at, kind, properties).await? => {
            make(at, kind, properties).await
        }
        other => other,
    }
}

async fn make(at: &Whereabouts, kind: &str, properties: &Map<String, Value>) -> Result<Made, ApiError> {
    match kind {
        "AWS::Lambda::Function" => lambda::create_function(at, properties).await,
        "AWS::Lambda::Permission" => lambda::create_permission(at, properties).await,
        "AWS::Lambda::Url" => lambda::create_url(at, properties).await,
        _ if kind.starts_with("AWS::Lambda::") => lambda::parts::create(at, kind, properties).await,
        "AWS::IAM::Role" => iam::create_role(at, properties).await,
        _ if kind.starts_with("AWS::IAM::") => iam::others::create(at, kind, properties).await,
        "AWS::Logs::LogGroup" => logs::create_group(at, properties).await,
        metric_filter::KIND => metric_filter::create(at, properties).await,
        _ if events::is_here(kind) => events::create(at, kind, properties).await,
        "AWS::DynamoDB::Table" => dynamodb::create_table(at, properties).await,
        "AWS::DynamoDB::GlobalTable" => dynamodb::create_table(at, &global_table::as_table(at, properties)?).await,
        "AWS::S3::Bucket" | "AWS::S3::BucketPolicy" => s3::create(at, kind, properties).await,
        "AWS::SSM::Parameter" => ssm::create(at, properties).await,
        _ if kind.starts_with("AWS::SecretsManager::") => secrets::create(at, kind, properties).await,
        _ if kind.starts_with("AWS::CloudWatch::") => watch::create(at, kind, properties).await,
        _ if kind.starts_with("AWS::KMS::") => kms::create(at, kind, properties).await,
        _ if kind.starts_with("AWS::CodeDeploy::") => codedeploy::create(at, kind, properties).await,
        "AWS::ECR::Repository" => Ok(repository(at, properties)),
        "AWS::CloudFormation::Stack" => nested::create(at, properties).await,
        "AWS::CDK::Metadata" => Ok(Made::new(at.name(128))),
        MACRO => named_macro(at, properties).await,
        signals::HANDLE => wait::handle(at, properties),
        wait::CONDITION => wait::condition(at, properties).await,
        _ if is_custom(kind) => custom::ask(at, kind, properties, Request::Create).await,
        _ if kind.starts_with("AWS::SQS::") || kind.starts_with("AWS::SNS::") => {
            messages::create(at, kind, properties).await
        }
        _ if domains::is_here(kind) => domains::create(at, kind, properties).await,
        _ if kind.starts_with("AWS::ApiGateway::") => rest::create(at, kind, properties).await,
        _ => apigateway::create(at, kind, properties).await,
    }
}

/// The name of a repository, which `cdk bootstrap` wants: there is no registry of images behind it, and its event says so.
fn repository(at: &Whereabouts, properties: &Map<String, Value>) -> Made {
    let name = match properties.get("RepositoryName") {
        Some(name) => text(name),
        None => at.name(256).to_ascii_lowercase(),
    };
    let context = &at.client.context;
    let (account, region) = (context.account(), &context.region);
    let uri = format!("{account}.dkr.ecr.{region}.amazonaws.com/{name}");
    let mut made = Made::new(name.clone())
        .with("Arn", &context.arn("ecr", format!("repository/{name}")).into())
        .with("RepositoryUri", &uri.into());
    made.remark = Some("Only a name: there is no registry of images here, and pushing to it is not possible".into());
    made
}

async fn named_macro(at: &Whereabouts, properties: &Map<String, Value>) -> Result<Made, ApiError> {
    only(properties, &["Name", "FunctionName", "Description", "LogGroupName", "LogRoleARN"])?;
    let name = required_text(properties, "Name")?;
    required(properties, "FunctionName")?;
    match at.cloud.macro_of(&at.owner(), &name).await? {
        Some(_) => Err(ApiError::new(400, "AlreadyExistsException", format!("{name} already exists"))),
        None => Ok(Made::new(name)),
    }
}

/// Changes a resource in place; only called when no replacing property changed.
pub async fn update(
    at: &Whereabouts,
    kind: &str,
    made: &Made,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
) -> Result<Made, ApiError> {
    match kind {
        "AWS::Lambda::Function" => lambda::update_function(at, made, old, new).await,
        "AWS::Lambda::Url" => lambda::update_url(at, made, new).await,
        _ if kind.starts_with("AWS::Lambda::") => lambda::parts::update(at, kind, made, old, new).await,
        "AWS::IAM::Role" => iam::update_role(at, made, old, new).await,
        _ if kind.starts_with("AWS::IAM::") => iam::others::update(at, kind, made, old, new).await,
        "AWS::Logs::LogGroup" => logs::update_group(at, made, old, new).await,
        metric_filter::KIND => metric_filter::update(at, made, new).await,
        _ if events::is_here(kind) => events::update(at, kind, made, old, new).await,
        "AWS::DynamoDB::Table" => dynamodb::update_table(at, made, old, new).await,
        "AWS::DynamoDB::GlobalTable" => {
            let (old, new) = (global_table::as_table(at, old)?, global_table::as_table(at, new)?);
            dynamodb::update_table(at, made, &old, &new).await
        }
        "AWS::S3::Bucket" | "AWS::S3::BucketPolicy" => s3::update(at, kind, made, old, new).await,
        "AWS::SSM::Parameter" => ssm::update(at, made, old, new).await,
        _ if kind.starts_with("AWS::SecretsManager::") => secrets::update(at, kind, made, old, new).await,
        _ if kind.starts_with("AWS::CloudWatch::") => watch::update(at, kind, made, old, new).await,
        _ if kind.starts_with("AWS::KMS::") => kms::update(at, kind, made, old, new).await,
        _ if kind.starts_with("AWS::CodeDeploy::") => codedeploy::update(at, kind, made, old, new).await,
        "AWS::CloudFormation::Stack" => nested::update(at, made, new).await,
        "AWS::CDK::Metadata" | "AWS::ECR::Repository" | MACRO => Ok(made.clone()),
        signals::HANDLE | wait::CONDITION => Err(wait::unchangeable(kind)),
        _ if is_custom(kind) => {
            let request = Request::Update { physical_id: &made.physical_id, old };
            custom::ask(at, kind, new, request).await
        }
        _ if kind.starts_with("AWS::SQS::") || kind.starts_with("AWS::SNS::") => {
            messages::update(at, kind, made, old, new).await
        }
        _ if domains::is_here(kind) => domains::update(at, kind, made, old, new).await,
        _ if kind.starts_with("AWS::ApiGateway::") => rest::update(at, kind, made, old, new).await,
        _ => apigateway::update(at, kind, made, old, new).await,
    }
}

/// Deletes a resource; one that is not there any more is deleted.
pub async fn delete(
    at: &Whereabouts,
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
        _ if kind.starts_with("AWS::Lambda::") => lambda::parts::delete(at, kind, made, properties).await,
        "AWS::IAM::Role" => iam::delete_role(at, made, properties).await,
        _ if kind.starts_with("AWS::IAM::") => iam::others::delete(at, kind, made, properties).await,
        _ if events::is_here(kind) => events::delete(at, kind, made, properties).await,
        "AWS::DynamoDB::Table" | "AWS::DynamoDB::GlobalTable" => {
            call("dynamodb", "DeleteTable", json!({ "TableName": id })).await
        }
        "AWS::Logs::LogGroup" => call("logs", "DeleteLogGroup", json!({ "logGroupName": id })).await,
        metric_filter::KIND => metric_filter::delete(at, made, properties).await,
        "AWS::S3::Bucket" => call("s3", "DeleteBucket", json!({ "Bucket": id })).await,
        "AWS::S3::BucketPolicy" => {
            let bucket = required_text(properties, "Bucket")?;
            call("s3", "DeleteBucketPolicy", json!({ "Bucket": bucket })).await
        }
        "AWS::SSM::Parameter" => call("ssm", "DeleteParameter", json!({ "Name": id })).await,
        _ if kind.starts_with("AWS::SecretsManager::") => {
            gone_is_done(secrets::delete(at, kind, id).await.map(|()| Value::Null))
        }
        _ if kind.starts_with("AWS::CloudWatch::") => watch::delete(at, kind, made).await,
        _ if kind.starts_with("AWS::KMS::") => kms::delete(at, kind, made, properties).await,
        _ if kind.starts_with("AWS::CodeDeploy::") => codedeploy::delete(at, kind, made, properties).await,
        "AWS::CloudFormation::Stack" => nested::delete(at, made).await,
        "AWS::CDK::Metadata" | "AWS::ECR::Repository" | MACRO | signals::HANDLE | wait::CONDITION => Ok(()),
        _ if is_custom(kind) => {
            let request = Request::Delete { physical_id: id };
            custom::ask(at, kind, properties, request).await.map(drop)
        }
        _ if kind.starts_with("AWS::SQS::") || kind.starts_with("AWS::SNS::") => {
            messages::delete(at, kind, made, properties).await
        }
        _ if domains::is_here(kind) => domains::delete(at, kind, made, properties).await,
        _ if kind.starts_with("AWS::ApiGateway::") => rest::delete(at, kind, made, properties).await,
        _ => apigateway::delete(at, kind, made, properties).await,
    }
}
