//! Resources that are there already, taken into a stack: how each type is named, and what there is of it. The types are those
//! that can be read back, as on AWS. The names are the primary identifiers of the types' schemas
//! (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/resource-import.html>).

use cumulet_base::arn::Arn;
use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};

use super::{Made, Whereabouts, dynamodb, events, invalid, is_gone, logs, s3, text};
use crate::stack::Stack;

/// What names a resource.
pub type Identifier = Map<String, Value>;

const IDENTIFIERS: &[(&str, &str)] = &[
    ("AWS::ApiGatewayV2::Api", "ApiId"),
    ("AWS::DynamoDB::Table", "TableName"),
    ("AWS::Events::Rule", "Arn"),
    ("AWS::IAM::ManagedPolicy", "PolicyArn"),
    ("AWS::IAM::Role", "RoleName"),
    ("AWS::KMS::Key", "KeyId"),
    ("AWS::Lambda::Alias", "AliasArn"),
    ("AWS::Lambda::EventSourceMapping", "Id"),
    ("AWS::Lambda::Function", "FunctionName"),
    ("AWS::Logs::LogGroup", "LogGroupName"),
    ("AWS::S3::Bucket", "BucketName"),
    ("AWS::SNS::Topic", "TopicArn"),
    ("AWS::SQS::Queue", "QueueUrl"),
    ("AWS::SSM::Parameter", "Name"),
    ("AWS::SecretsManager::Secret", "Id"),
];

/// The member that names resources of a type; `None`: they cannot be taken.
pub fn identifier(kind: &str) -> Option<&'static str> {
    IDENTIFIERS.iter().find(|(name, _)| *name == kind).map(|(_, member)| *member)
}

/// What there is of a resource that no stack has. Only reads.
pub async fn take(at: &Whereabouts, kind: &str, named: &Identifier) -> Result<Made, ApiError> {
    let made = read(at, kind, named).await?;
    match holder(at, kind, &made.physical_id).await? {
        None => Ok(made),
        Some(holder) => Err(invalid(format!("Resource {} already exists in stack {holder}", made.physical_id))),
    }
}

/// The stack that has a resource.
async fn holder(at: &Whereabouts, kind: &str, physical_id: &str) -> Result<Option<String>, ApiError> {
    let stacks = at.cloud.storage.stacks(&at.owner()).await?;
    let has = |stack: &&Stack| {
        let mut rows = stack.resources.values();
        rows.any(|row| row.existing.kind == kind && row.made.physical_id == physical_id)
    };
    Ok(stacks.iter().filter(|stack| stack.status != "DELETE_COMPLETE").find(has).map(|stack| stack.name.clone()))
}

/// What identifies the resource that is there already under the name that its properties give it, if one is.
pub async fn existing(at: &Whereabouts, kind: &str, planned: &Value) -> Result<Option<Identifier>, ApiError> {
    let property = |name: &str| {
        let text = planned.get(name).and_then(Value::as_str);
        text.filter(|text| !text.contains('\u{1}') && !text.contains("{{resolve:")).map(str::to_owned)
    };
    let context = &at.client.context;
    let value = match kind {
        "AWS::SQS::Queue" => match property("QueueName") {
            None => None,
            Some(name) => match at.client.call("sqs", "GetQueueUrl", json!({ "QueueName": name })).await {
                Ok(answer) => answer["QueueUrl"].as_str().map(str::to_owned),
                Err(error) if is_gone(&error) => None,
                Err(error) => return Err(error),
            },
        },
        "AWS::SNS::Topic" => property("TopicName").map(|name| context.arn("sns", &name)),
        "AWS::SecretsManager::Secret" => property("Name"),
        "AWS::Events::Rule" if property("EventBusName").is_none() => {
            property("Name").map(|name| context.arn("events", format!("rule/{name}")))
        }
        _ => identifier(kind).and_then(property),
    };
    let Some((member, value)) = identifier(kind).zip(value) else { return Ok(None) };
    match made(at, kind, &value).await {
        Ok(_) => Ok(Some(Identifier::from_iter([(member.to_owned(), value.into())]))),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn read(at: &Whereabouts, kind: &str, named: &Identifier) -> Result<Made, ApiError> {
    let member = identifier(kind).ok_or_else(|| invalid(format!("not implemented: import of {kind}")))?;
    let name = named.get(member).map(text).unwrap_or_default();
    made(at, kind, &name).await.map_err(|error| match is_gone(&error) {
        true => invalid(format!("The resource {name} of the type {kind} does not exist")),
        false => error,
    })
}

async fn made(at: &Whereabouts, kind: &str, name: &str) -> Result<Made, ApiError> {
    let ask = |service: &'static str, operation: &'static str, input: Value| at.client.call(service, operation, input);
    let missing = || ApiError::new(404, "NotFoundException", format!("{name} is not there"));
    Ok(match kind {
        "AWS::ApiGatewayV2::Api" => {
            let api = ask("apigateway", "GetApi", json!({ "apiId": name })).await?;
            Made::new(name).with("ApiId", &name.into()).with("ApiEndpoint", &api["apiEndpoint"])
        }
        "AWS::DynamoDB::Table" => {
            dynamodb::made(name, &ask("dynamodb", "DescribeTable", json!({ "TableName": name })).await?["Table"])
        }
        "AWS::Events::Rule" => {
            let arn: Arn = name.parse().map_err(|_| missing())?;
            let path = arn.resource.strip_prefix("rule/").ok_or_else(missing)?;
            let (bus, rule) = path.rsplit_once('/').unwrap_or(("default", path));
            let found = ask("events", "DescribeRule", json!({ "Name": rule, "EventBusName": bus })).await?;
            Made::new(events::rule_id(bus, rule)).with("Arn", &found["Arn"])
        }
        "AWS::IAM::ManagedPolicy" => {
            let policy = ask("iam", "GetPolicy", json!({ "PolicyArn": name })).await?["Policy"].take();
            let made = Made::new(name).with("PolicyArn", &policy["Arn"]).with("PolicyId", &policy["PolicyId"]);
            made.with("DefaultVersionId", &policy["DefaultVersionId"])
        }
        "AWS::IAM::Role" => {
            let role = ask("iam", "GetRole", json!({ "RoleName": name })).await?["Role"].take();
            Made::new(name).with("Arn", &role["Arn"]).with("RoleId", &role["RoleId"])
        }
        "AWS::KMS::Key" => {
            let key = ask("kms", "DescribeKey", json!({ "KeyId": name })).await?["KeyMetadata"].take();
            Made::new(text(&key["KeyId"])).with("KeyId", &key["KeyId"]).with("Arn", &key["Arn"])
        }
        "AWS::Lambda::Alias" => {
            let (function, alias) = name.rsplit_once(':').ok_or_else(missing)?;
            let found = ask("lambda", "GetAlias", json!({ "FunctionName": function, "Name": alias })).await?;
            Made::new(text(&found["AliasArn"])).with("AliasArn", &found["AliasArn"])
        }
        "AWS::Lambda::EventSourceMapping" => {
            let mapping = ask("lambda", "GetEventSourceMapping", json!({ "UUID": name })).await?;
            let made = Made::new(name).with("Id", &name.into());
            made.with("EventSourceMappingArn", &mapping["EventSourceMappingArn"])
        }
        "AWS::Lambda::Function" => {
            let function = ask("lambda", "GetFunctionConfiguration", json!({ "FunctionName": name })).await?;
            Made::new(text(&function["FunctionName"])).with("Arn", &function["FunctionArn"])
        }
        "AWS::Logs::LogGroup" => {
            let answer = ask("logs", "DescribeLogGroups", json!({ "logGroupNamePrefix": name })).await?;
            let groups = answer["logGroups"].as_array();
            let is_there = groups.into_iter().flatten().any(|group| group["logGroupName"] == name);
            is_there.then(|| logs::made(at, name)).ok_or_else(missing)?
        }
        "AWS::S3::Bucket" => {
            ask("s3", "GetBucketVersioning", json!({ "Bucket": name })).await?;
            s3::made(at, name)
        }
        "AWS::SNS::Topic" => {
            ask("sns", "GetTopicAttributes", json!({ "TopicArn": name })).await?;
            let topic = name.rsplit(':').next().unwrap_or_default();
            Made::new(name).with("TopicArn", &name.into()).with("TopicName", &topic.into())
        }
        "AWS::SQS::Queue" => {
            let input = json!({ "QueueUrl": name, "AttributeNames": ["QueueArn"] });
            let arn = ask("sqs", "GetQueueAttributes", input).await?["Attributes"]["QueueArn"].take();
            let queue = text(&arn).rsplit(':').next().unwrap_or_default().to_owned();
            Made::new(name).with("Arn", &arn).with("QueueName", &queue.into()).with("QueueUrl", &name.into())
        }
        "AWS::SSM::Parameter" => {
            let parameter = ask("ssm", "GetParameter", json!({ "Name": name })).await?["Parameter"].take();
            Made::new(name).with("Type", &parameter["Type"]).with("Value", &parameter["Value"])
        }
        "AWS::SecretsManager::Secret" => {
            let secret = ask("secretsmanager", "DescribeSecret", json!({ "SecretId": name })).await?;
            Made::new(text(&secret["ARN"])).with("Id", &secret["ARN"])
        }
        other => return Err(invalid(format!("not implemented: import of {other}"))),
    })
}
