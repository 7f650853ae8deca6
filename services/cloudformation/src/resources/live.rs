//! Resources as their services hold them now, in the form of the template's properties: as far as these can be read back.
//! A property that is known and not set is null; one that is not among the answer is not compared.

use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};

use super::{Whereabouts, is_gone, text};
use crate::stack::Stack;

type Found = Result<Option<Map<String, Value>>, ApiError>;

/// What the service has; `Err(None)`: it is not there.
async fn ask(at: &Whereabouts, service: &str, operation: &str, input: Value) -> Result<Value, Option<ApiError>> {
    at.client.call(service, operation, input).await.map_err(|error| if is_gone(&error) { None } else { Some(error) })
}

/// Members of an answer under the names of properties, null where they are not there.
fn members(answer: &Value, names: &[&str]) -> Map<String, Value> {
    names.iter().map(|name| ((*name).to_owned(), answer.get(*name).cloned().unwrap_or_default())).collect()
}

/// The same of services whose members have a small first letter.
fn lower_members(answer: &Value, names: &[&str]) -> Map<String, Value> {
    let of = |name: &str| answer.get(super::apigateway::lower(name)).cloned().unwrap_or_default();
    names.iter().map(|name| ((*name).to_owned(), of(name))).collect()
}

/// A map, which the query protocol writes as a list of its entries.
fn mapped(entries: &Value) -> Value {
    let Some(list) = entries.get("entry").unwrap_or(entries).as_array() else { return entries.clone() };
    let pair = |entry: &Value| Some((entry["key"].as_str()?.to_owned(), entry["value"].clone()));
    Value::Object(list.iter().filter_map(pair).collect())
}

fn list_of_tags(map: &Value) -> Value {
    let pairs = map.as_object().into_iter().flatten();
    pairs.map(|(key, value)| json!({ "Key": key, "Value": value })).collect()
}

/// A document that IAM answers in the encoding of URLs.
fn decoded(document: &Value) -> Value {
    let Value::String(document) = document else { return document.clone() };
    let plain = percent_encoding::percent_decode_str(document).decode_utf8_lossy();
    serde_json::from_str(&plain).unwrap_or_else(|_| document.clone().into())
}

/// Whether resources of a type can be read back.
pub fn is_readable(kind: &str) -> bool {
    matches!(
        kind,
        "AWS::ApiGatewayV2::Api"
            | "AWS::ApiGatewayV2::Integration"
            | "AWS::ApiGatewayV2::Route"
            | "AWS::ApiGatewayV2::Stage"
            | "AWS::DynamoDB::Table"
            | "AWS::Events::Rule"
            | "AWS::IAM::ManagedPolicy"
            | "AWS::IAM::Role"
            | "AWS::KMS::Key"
            | "AWS::Lambda::Alias"
            | "AWS::Lambda::EventSourceMapping"
            | "AWS::Lambda::Function"
            | "AWS::Logs::LogGroup"
            | "AWS::S3::Bucket"
            | "AWS::SNS::Topic"
            | "AWS::SQS::Queue"
            | "AWS::SSM::Parameter"
            | "AWS::SecretsManager::Secret"
    )
}

/// What there is of a resource of the stack; `None`: it is gone.
pub async fn read(at: &Whereabouts, stack: &Stack, kind: &str, id: &str, properties: &Map<String, Value>) -> Found {
    let read = match kind {
        "AWS::Lambda::Function" => function(at, id).await,
        "AWS::Lambda::Alias" => {
            let name = |member: &str| properties.get(member).map(text).unwrap_or_default();
            let input = json!({ "FunctionName": name("FunctionName"), "Name": name("Name") });
            let answer = ask(at, "lambda", "GetAlias", input).await;
            answer.map(|alias| members(&alias, &["FunctionVersion", "Description"]))
        }
        "AWS::Lambda::EventSourceMapping" => {
            let answer = ask(at, "lambda", "GetEventSourceMapping", json!({ "UUID": id })).await;
            answer.map(|mapping| {
                let names = ["BatchSize", "MaximumBatchingWindowInSeconds", "EventSourceArn", "FilterCriteria"];
                let mut found = members(&mapping, &names);
                let is_on = matches!(mapping["State"].as_str(), Some("Enabled" | "Enabling" | "Creating" | "Updating"));
                found.insert("Enabled".into(), is_on.into());
                found
            })
        }
        "AWS::IAM::Role" => role(at, stack, id).await,
        "AWS::IAM::ManagedPolicy" => managed_policy(at, id).await,
        "AWS::SQS::Queue" => queue(at, id).await,
        "AWS::SNS::Topic" => {
            let answer = ask(at, "sns", "GetTopicAttributes", json!({ "TopicArn": id })).await;
            let names = ["DisplayName", "FifoTopic", "ContentBasedDeduplication", "KmsMasterKeyId"];
            answer.map(|topic| members(&mapped(&topic["Attributes"]), &names))
        }
        "AWS::DynamoDB::Table" => table(at, id).await,
        "AWS::Logs::LogGroup" => log_group(at, id).await,
        "AWS::SSM::Parameter" => {
            let answer = ask(at, "ssm", "GetParameter", json!({ "Name": id })).await;
            answer.map(|parameter| members(&parameter["Parameter"], &["Type", "Value"]))
        }
        "AWS::S3::Bucket" => bucket(at, id).await,
        "AWS::Events::Rule" => rule(at, id, properties).await,
        "AWS::KMS::Key" => {
            let answer = ask(at, "kms", "DescribeKey", json!({ "KeyId": id })).await;
            answer.map(|key| members(&key["KeyMetadata"], &["Description", "Enabled", "KeySpec", "KeyUsage"]))
        }
        "AWS::SecretsManager::Secret" => {
            let answer = ask(at, "secretsmanager", "DescribeSecret", json!({ "SecretId": id })).await;
            answer.map(|secret| members(&secret, &["Name", "Description", "KmsKeyId"]))
        }
        _ => http_api(at, kind, id, properties).await,
    };
    match read {
        Ok(found) => Ok(Some(found)),
        Err(None) => Ok(None),
        Err(Some(error)) => Err(error),
    }
}

type Read = Result<Map<String, Value>, Option<ApiError>>;

async fn function(at: &Whereabouts, id: &str) -> Read {
    let name = json!({ "FunctionName": id });
    let configuration = ask(at, "lambda", "GetFunctionConfiguration", name.clone()).await?;
    let mut found = members(
        &configuration,
        &[
            "FunctionName",
            "Handler",
            "Runtime",
            "MemorySize",
            "Timeout",
            "Description",
            "Role",
            "EphemeralStorage",
            "Architectures",
            "KMSKeyArn",
            "PackageType",
            "TracingConfig",
            "DeadLetterConfig",
        ],
    );
    let variables = configuration["Environment"]["Variables"].clone();
    let environment = if variables.is_null() { Value::Null } else { json!({ "Variables": variables }) };
    found.insert("Environment".into(), environment);
    let layers = configuration["Layers"].as_array();
    found.insert("Layers".into(), layers.into_iter().flatten().map(|layer| layer["Arn"].clone()).collect());
    let concurrency = ask(at, "lambda", "GetFunctionConcurrency", name).await?;
    found.insert("ReservedConcurrentExecutions".into(), concurrency["ReservedConcurrentExecutions"].clone());
    let tags = ask(at, "lambda", "ListTags", json!({ "Resource": configuration["FunctionArn"] })).await?;
    found.insert("Tags".into(), list_of_tags(&tags["Tags"]));
    Ok(found)
}

/// Policies that other resources of the stack bring to the role are not among its own.
async fn role(at: &Whereabouts, stack: &Stack, id: &str) -> Read {
    let name = json!({ "RoleName": id });
    let role = ask(at, "iam", "GetRole", name.clone()).await?["Role"].take();
    let mut found = members(&role, &["RoleName", "Path", "Description", "MaxSessionDuration"]);
    found.insert("AssumeRolePolicyDocument".into(), decoded(&role["AssumeRolePolicyDocument"]));
    let attached = ask(at, "iam", "ListAttachedRolePolicies", name.clone()).await?;
    let is_other = |arn: &Value| stack.resources.values().any(|row| *arn == row.made.physical_id.as_str());
    let arns = attached["AttachedPolicies"].as_array().cloned().unwrap_or_default();
    let arns = arns.iter().map(|policy| policy["PolicyArn"].clone()).filter(|arn| !is_other(arn));
    found.insert("ManagedPolicyArns".into(), arns.collect());
    let inline = ask(at, "iam", "ListRolePolicies", name).await?;
    let mut policies = Vec::new();
    for policy in inline["PolicyNames"].as_array().cloned().unwrap_or_default() {
        let is_of_another = stack
            .resources
            .values()
            .any(|row| row.existing.kind == "AWS::IAM::Policy" && row.properties.get("PolicyName") == Some(&policy));
        if !is_of_another {
            let input = json!({ "RoleName": id, "PolicyName": policy });
            let answer = ask(at, "iam", "GetRolePolicy", input).await?;
            policies.push(json!({ "PolicyName": policy, "PolicyDocument": decoded(&answer["PolicyDocument"]) }));
        }
    }
    found.insert("Policies".into(), policies.into());
    Ok(found)
}

async fn managed_policy(at: &Whereabouts, arn: &str) -> Read {
    let policy = ask(at, "iam", "GetPolicy", json!({ "PolicyArn": arn })).await?["Policy"].take();
    let mut found = members(&policy, &["Description", "Path"]);
    let input = json!({ "PolicyArn": arn, "VersionId": policy["DefaultVersionId"] });
    let version = ask(at, "iam", "GetPolicyVersion", input).await?;
    found.insert("PolicyDocument".into(), decoded(&version["PolicyVersion"]["Document"]));
    Ok(found)
}

async fn queue(at: &Whereabouts, url: &str) -> Read {
    let input = json!({ "QueueUrl": url, "AttributeNames": ["All"] });
    let attributes = ask(at, "sqs", "GetQueueAttributes", input).await?["Attributes"].take();
    let mut found = members(
        &attributes,
        &[
            "VisibilityTimeout",
            "DelaySeconds",
            "MessageRetentionPeriod",
            "MaximumMessageSize",
            "ReceiveMessageWaitTimeSeconds",
            "FifoQueue",
            "ContentBasedDeduplication",
        ],
    );
    let redrive = attributes["RedrivePolicy"].as_str().and_then(|text| serde_json::from_str(text).ok());
    found.insert("RedrivePolicy".into(), redrive.unwrap_or_default());
    Ok(found)
}

async fn table(at: &Whereabouts, id: &str) -> Read {
    let table = ask(at, "dynamodb", "DescribeTable", json!({ "TableName": id })).await?["Table"].take();
    let mut found = members(&table, &["TableName", "AttributeDefinitions", "KeySchema", "DeletionProtectionEnabled"]);
    let mode = table["BillingModeSummary"]["BillingMode"].as_str().unwrap_or("PROVISIONED");
    found.insert("BillingMode".into(), mode.into());
    let throughput = members(&table["ProvisionedThroughput"], &["ReadCapacityUnits", "WriteCapacityUnits"]);
    found.insert("ProvisionedThroughput".into(), throughput.into());
    let view = table["StreamSpecification"]["StreamViewType"].clone();
    let stream = if view.is_null() { Value::Null } else { json!({ "StreamViewType": view }) };
    found.insert("StreamSpecification".into(), stream);
    let ttl = ask(at, "dynamodb", "DescribeTimeToLive", json!({ "TableName": id })).await?;
    let ttl = &ttl["TimeToLiveDescription"];
    let is_on = matches!(ttl["TimeToLiveStatus"].as_str(), Some("ENABLED" | "ENABLING"));
    let ttl = is_on.then(|| json!({ "AttributeName": ttl["AttributeName"], "Enabled": true }));
    found.insert("TimeToLiveSpecification".into(), ttl.unwrap_or_default());
    Ok(found)
}

async fn log_group(at: &Whereabouts, id: &str) -> Read {
    let answer = ask(at, "logs", "DescribeLogGroups", json!({ "logGroupNamePrefix": id })).await?;
    let groups = answer["logGroups"].as_array().cloned().unwrap_or_default();
    let group = groups.into_iter().find(|group| group["logGroupName"] == id).ok_or(None)?;
    Ok(lower_members(&group, &["LogGroupName", "RetentionInDays"]))
}

async fn bucket(at: &Whereabouts, id: &str) -> Read {
    let versioning = ask(at, "s3", "GetBucketVersioning", json!({ "Bucket": id })).await?;
    let mut found = Map::new();
    found.insert("BucketName".into(), id.into());
    let status = versioning["Status"].clone();
    let versioning = if status.is_null() { Value::Null } else { json!({ "Status": status }) };
    found.insert("VersioningConfiguration".into(), versioning);
    Ok(found)
}

async fn rule(at: &Whereabouts, id: &str, properties: &Map<String, Value>) -> Read {
    // Rules of other buses than the default one are named with them.
    let name = id.rsplit(['/', '|']).next().unwrap_or(id);
    let mut input = json!({ "Name": name });
    if let Some(bus) = properties.get("EventBusName") {
        input["EventBusName"] = bus.clone();
    }
    let rule = ask(at, "events", "DescribeRule", input.clone()).await?;
    let mut found = members(&rule, &["Name", "Description", "ScheduleExpression", "State", "RoleArn"]);
    let pattern = rule["EventPattern"].as_str().and_then(|text| serde_json::from_str(text).ok());
    found.insert("EventPattern".into(), pattern.unwrap_or_default());
    input["Rule"] = name.into();
    let targets = ask(at, "events", "ListTargetsByRule", input).await?;
    found.insert("Targets".into(), targets["Targets"].clone());
    Ok(found)
}

async fn http_api(at: &Whereabouts, kind: &str, id: &str, properties: &Map<String, Value>) -> Read {
    let api = properties.get("ApiId").cloned().unwrap_or_else(|| id.into());
    let (operation, member, names): (_, _, &[&str]) = match kind {
        "AWS::ApiGatewayV2::Api" => ("GetApi", "apiId", &["Name", "ProtocolType", "Description"]),
        "AWS::ApiGatewayV2::Stage" => ("GetStage", "stageName", &["StageName", "AutoDeploy", "Description"]),
        "AWS::ApiGatewayV2::Route" => {
            ("GetRoute", "routeId", &["RouteKey", "Target", "AuthorizationType", "AuthorizerId"])
        }
        _ => {
            let names = &["IntegrationType", "IntegrationUri", "PayloadFormatVersion", "TimeoutInMillis"];
            ("GetIntegration", "integrationId", names)
        }
    };
    let mut input = json!({ "apiId": api });
    input[member] = id.into();
    let answer = ask(at, "apigateway", operation, input).await?;
    Ok(lower_members(&answer, names))
}
