//! `AWS::Serverless::Connector`, also embedded as `Connectors` of a resource: what one resource is allowed to do with
//! another, as a policy of a role, of a queue or of a topic, or as a function's permissions
//! (<https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/reference-sam-connector.html>). Between
//! types that are not here there are no connectors.

use serde_json::{Map, Value, json};

use super::{Out, invalid, only, resource};
use crate::errors::Error;
use crate::template::get_att;

pub const KIND: &str = "AWS::Serverless::Connector";

/// What a connector becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// A policy for the source's role, or for the destination's.
    OfSource,
    OfDestination,
    /// Permissions of the function that is the destination, for a service.
    Permission(&'static str),
    /// The policy of a queue or topic that is the destination: which service may do what.
    Policy(&'static str, &'static str),
}

/// A kind of access: its name, the actions, and what stands behind the ARN of what they are done with.
type Access = (&'static str, &'static [&'static str], &'static [&'static str]);

struct Profile {
    source: &'static str,
    destination: &'static str,
    form: Form,
    access: &'static [Access],
}

const FUNCTION: &str = "AWS::Lambda::Function";
const TABLE: &str = "AWS::DynamoDB::Table";
const BUCKET: &str = "AWS::S3::Bucket";
const QUEUE: &str = "AWS::SQS::Queue";
const TOPIC: &str = "AWS::SNS::Topic";
const RULE: &str = "AWS::Events::Rule";
const BUS: &str = "AWS::Events::EventBus";
const REST_API: &str = "AWS::ApiGateway::RestApi";
const HTTP_API: &str = "AWS::ApiGatewayV2::Api";

const fn profile(source: &'static str, destination: &'static str, form: Form, access: &'static [Access]) -> Profile {
    Profile { source, destination, form, access }
}

const INVOKES: &[Access] = &[("Write", &["lambda:InvokeFunction"], &[])];
const PUTS_EVENTS: &[Access] = &[("Write", &["events:PutEvents"], &[""])];

const PROFILES: &[Profile] = &[
    profile(
        TABLE,
        FUNCTION,
        Form::OfDestination,
        &[(
            "Read",
            &["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"],
            &["/stream/*"],
        )],
    ),
    profile(
        QUEUE,
        FUNCTION,
        Form::OfDestination,
        &[("Write", &["sqs:DeleteMessage"], &[""]), ("Read", &["sqs:ReceiveMessage", "sqs:GetQueueAttributes"], &[""])],
    ),
    profile(RULE, TOPIC, Form::Policy("events", "sns:Publish"), &[("Write", &[], &[])]),
    profile(RULE, QUEUE, Form::Policy("events", "sqs:SendMessage"), &[("Write", &[], &[])]),
    profile(TOPIC, QUEUE, Form::Policy("sns", "sqs:SendMessage"), &[("Write", &[], &[])]),
    profile(RULE, BUS, Form::OfSource, PUTS_EVENTS),
    profile(RULE, FUNCTION, Form::Permission("events"), INVOKES),
    profile(TOPIC, FUNCTION, Form::Permission("sns"), INVOKES),
    profile(BUCKET, FUNCTION, Form::Permission("s3"), INVOKES),
    profile(HTTP_API, FUNCTION, Form::Permission("apigateway"), INVOKES),
    profile(REST_API, FUNCTION, Form::Permission("apigateway"), INVOKES),
    profile(FUNCTION, FUNCTION, Form::OfSource, &[("Write", &["lambda:InvokeAsync", "lambda:InvokeFunction"], &[""])]),
    profile(FUNCTION, BUS, Form::OfSource, PUTS_EVENTS),
    profile(FUNCTION, TOPIC, Form::OfSource, &[("Write", &["sns:Publish"], &[""])]),
    profile(
        FUNCTION,
        QUEUE,
        Form::OfSource,
        &[
            ("Read", &["sqs:ReceiveMessage", "sqs:GetQueueAttributes"], &[""]),
            (
                "Write",
                &["sqs:DeleteMessage", "sqs:SendMessage", "sqs:ChangeMessageVisibility", "sqs:PurgeQueue"],
                &[""],
            ),
        ],
    ),
    profile(
        FUNCTION,
        TABLE,
        Form::OfSource,
        &[
            (
                "Read",
                &[
                    "dynamodb:GetItem",
                    "dynamodb:Query",
                    "dynamodb:Scan",
                    "dynamodb:BatchGetItem",
                    "dynamodb:ConditionCheckItem",
                    "dynamodb:PartiQLSelect",
                ],
                &["", "/index/*"],
            ),
            (
                "Write",
                &[
                    "dynamodb:PutItem",
                    "dynamodb:UpdateItem",
                    "dynamodb:DeleteItem",
                    "dynamodb:BatchWriteItem",
                    "dynamodb:PartiQLDelete",
                    "dynamodb:PartiQLInsert",
                    "dynamodb:PartiQLUpdate",
                ],
                &["", "/index/*"],
            ),
        ],
    ),
    profile(
        FUNCTION,
        BUCKET,
        Form::OfSource,
        &[
            (
                "Read",
                &[
                    "s3:GetObject",
                    "s3:GetObjectAcl",
                    "s3:GetObjectLegalHold",
                    "s3:GetObjectRetention",
                    "s3:GetObjectTorrent",
                    "s3:GetObjectVersion",
                    "s3:GetObjectVersionAcl",
                    "s3:GetObjectVersionForReplication",
                    "s3:GetObjectVersionTorrent",
                    "s3:ListBucket",
                    "s3:ListBucketMultipartUploads",
                    "s3:ListBucketVersions",
                    "s3:ListMultipartUploadParts",
                ],
                &["", "/*"],
            ),
            (
                "Write",
                &[
                    "s3:AbortMultipartUpload",
                    "s3:DeleteObject",
                    "s3:DeleteObjectVersion",
                    "s3:PutObject",
                    "s3:PutObjectLegalHold",
                    "s3:PutObjectRetention",
                    "s3:RestoreObject",
                ],
                &["", "/*"],
            ),
        ],
    ),
];

/// One end of a connector.
#[derive(Default)]
struct End {
    logical_id: Option<String>,
    kind: String,
    arn: Option<Value>,
    role_name: Option<Value>,
    queue_url: Option<Value>,
    resource_id: Option<Value>,
    qualifier: Option<Value>,
}

/// The template's resources with the connectors that are embedded in some as resources of their own.
pub fn unfolded(resources: &Map<String, Value>) -> Result<Map<String, Value>, Error> {
    let mut unfolded = resources.clone();
    for (source, resource) in resources {
        let Some(connectors) = resource.get("Connectors") else { continue };
        let bad = |why: &str| invalid(format!("Resource with id [{source}] is invalid. {why}"));
        let connectors = connectors.as_object().ok_or_else(|| bad("Attribute 'Connectors' should be a map."))?;
        for (name, connector) in connectors {
            let mut connector = connector.clone();
            let Some(properties) = connector.get_mut("Properties").and_then(Value::as_object_mut) else {
                return Err(bad(&format!("Attribute 'Connectors.{name}.Properties' should be a map.")));
            };
            let mut from = properties.remove("SourceReference").unwrap_or_else(|| json!({}));
            if !from.is_object() || from.get("Id").is_some() {
                return Err(bad("'Id' shouldn't be defined in 'SourceReference'."));
            }
            from["Id"] = source.clone().into();
            properties.insert("Source".into(), from);
            connector["Type"] = KIND.into();
            let id = format!("{source}{name}");
            if unfolded.insert(id.clone(), connector).is_some() {
                return Err(invalid(format!("the logical id {id} would stand twice")));
            }
        }
        if let Some(resource) = unfolded.get_mut(source).and_then(Value::as_object_mut) {
            resource.remove("Connectors");
        }
    }
    Ok(unfolded)
}

/// The logical id that a `Ref` or `Fn::GetAtt` names.
fn named(value: &Value) -> Option<String> {
    match value.as_object()?.iter().next()? {
        (function, Value::String(name)) if function == "Ref" => Some(name.clone()),
        (function, argument) if function == "Fn::GetAtt" => Some(get_att(argument)?.0),
        _ => None,
    }
}

/// A resource of CloudFormation, of the type of SAM that becomes it.
fn plain(kind: &str) -> &str {
    match kind {
        "AWS::Serverless::Function" => FUNCTION,
        "AWS::Serverless::Api" => REST_API,
        "AWS::Serverless::HttpApi" => HTTP_API,
        "AWS::Serverless::SimpleTable" => TABLE,
        other => other,
    }
}

fn end(given: &Value, other: &Value, out: &Out<'_>) -> Result<End, String> {
    let members = given.as_object().ok_or("'Source' and 'Destination' should be maps.")?;
    let text = |name: &str| members.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let has_others = members.keys().any(|name| name != "Id" && name != "Qualifier");
    if members.contains_key("Id") == has_others {
        return Err(
            "Must provide 'Id' (with optional 'Qualifier') or a supported combination of other properties.".into()
        );
    }
    let member = |name: &str| members.get(name).cloned();
    if has_others {
        let kind = plain(text("Type").ok_or("'Type' is missing or not a string.")?).to_owned();
        return Ok(End {
            logical_id: None,
            kind,
            arn: member("Arn"),
            role_name: member("RoleName"),
            queue_url: member("QueueUrl"),
            resource_id: member("ResourceId"),
            qualifier: member("Qualifier"),
        });
    }
    let id = text("Id").ok_or("'Id' is missing or not a string.")?;
    let found = out.resources.get(id).ok_or_else(|| format!("Unable to find resource with logical ID '{id}'."))?;
    let kind = found["Type"].as_str().ok_or("'Type' is missing or not a string.")?.to_owned();
    let (own, attribute) = (json!({ "Ref": id }), json!({ "Fn::GetAtt": [id, "Arn"] }));
    let is_api = kind == REST_API || kind == HTTP_API;
    let role = match kind.as_str() {
        FUNCTION => found["Properties"].get("Role").cloned(),
        RULE => role_of_target(found, other),
        _ => None,
    };
    Ok(End {
        logical_id: Some(id.to_owned()),
        arn: Some(if kind == TOPIC { own.clone() } else { attribute }),
        role_name: role.as_ref().and_then(named).map(|role| json!({ "Ref": role })),
        queue_url: (kind == QUEUE).then(|| own.clone()),
        resource_id: is_api.then_some(own),
        qualifier: member("Qualifier").or_else(|| is_api.then(|| "*".into())),
        kind,
    })
}

/// The role under which a rule calls the other end.
fn role_of_target(rule: &Value, other: &Value) -> Option<Value> {
    let is_other = |target: &&Value| {
        let arn = &target["Arn"];
        named(arn).is_some_and(|id| other["Id"] == id.as_str()) || (!other["Arn"].is_null() && *arn == other["Arn"])
    };
    rule["Properties"]["Targets"].as_array()?.iter().find(is_other)?.get("RoleArn").cloned()
}

pub fn transform(
    logical_id: &str,
    source: &Value,
    properties: &Map<String, Value>,
    out: &mut Out<'_>,
) -> Result<(), Error> {
    let bad = |why: String| invalid(format!("Resource with id [{logical_id}] is invalid. {why}"));
    only(logical_id, properties, &["Source", "Destination", "Permissions"])?;
    let missing = |name: &str| bad(format!("Missing required property '{name}'."));
    let from = properties.get("Source").ok_or_else(|| missing("Source"))?;
    let to = properties.get("Destination").ok_or_else(|| missing("Destination"))?;
    let permissions = properties.get("Permissions").and_then(Value::as_array).ok_or_else(|| missing("Permissions"))?;
    let permissions: Vec<&str> = permissions.iter().filter_map(Value::as_str).collect();
    let destinations = match to {
        Value::Array(list) if list.is_empty() => return Err(bad("'Destination' is an empty list".into())),
        Value::Array(list) => list.iter().enumerate().map(|(i, to)| (to, format!("Destination{i}"))).collect(),
        one => vec![(one, String::new())],
    };
    let mut made = Vec::new();
    for (to, end_of_id) in destinations {
        let destination = end(to, from, out).map_err(bad)?;
        let origin = end(from, to, out).map_err(bad)?;
        let between = format!("from {} to {}", origin.kind, destination.kind);
        let profile = PROFILES
            .iter()
            .find(|profile| profile.source == origin.kind && profile.destination == destination.kind)
            .ok_or_else(|| {
                bad(format!("Unable to create connector {between}; it's not supported or the template is invalid."))
            })?;
        check(profile, &permissions, &between).map_err(bad)?;
        let resources = resources(logical_id, &end_of_id, profile, &permissions, &origin, &destination).map_err(bad)?;
        let kind_of = |end: &End| {
            let template = end.logical_id.as_ref().and_then(|id| out.source.get(id)?.get("Type").cloned());
            template.unwrap_or_else(|| end.kind.clone().into())
        };
        let ends = json!({ "Source": { "Type": kind_of(&origin) }, "Destination": { "Type": kind_of(&destination) } });
        for (id, kind, properties) in resources {
            let mut one = resource(kind, source, properties);
            let mut metadata = source.get("Metadata").cloned().unwrap_or_else(|| json!({}));
            metadata["aws:sam:connectors"] = json!({ logical_id: ends });
            one["Metadata"] = metadata;
            if let Some(others) = source.get("DependsOn") {
                one["DependsOn"] = others.clone();
            }
            out.add(&id, one)?;
            if profile.form == Form::OfDestination {
                before_mapping(&id, &origin, &destination, out);
            }
            made.push(id);
        }
    }
    // What waits for the connector waits for what it becomes.
    for resource in out.resources.values_mut() {
        if let Some(depends_on) = depends_on(resource).filter(|all| all.iter().any(|id| id == logical_id)) {
            let mut others: Vec<Value> = depends_on.into_iter().filter(|id| id != logical_id).collect();
            others.extend(made.iter().cloned().map(Value::from));
            resource["DependsOn"] = others.into();
        }
    }
    Ok(())
}

fn depends_on(resource: &Value) -> Option<Vec<Value>> {
    match resource.get("DependsOn")? {
        Value::Array(list) => Some(list.clone()),
        one => Some(vec![one.clone()]),
    }
}

fn check(profile: &Profile, permissions: &[&str], between: &str) -> Result<(), String> {
    let valid: Vec<&str> = profile.access.iter().map(|(name, ..)| *name).collect();
    let valid = valid.join(", ");
    if permissions.is_empty() {
        return Err(format!("'Permissions' cannot be empty; valid values are: {valid}."));
    }
    if permissions.iter().any(|given| profile.access.iter().all(|(name, ..)| name != given)) {
        return Err(format!("Unsupported 'Permissions' provided for connector {between}; valid values are: {valid}."));
    }
    // A function that only reads a queue, or only deletes from it, cannot be called with what is in it.
    let is_whole = profile.source != QUEUE || ["Read", "Write"].iter().all(|name| permissions.contains(name));
    if is_whole {
        return Ok(());
    }
    Err(format!("Unsupported 'Permissions' provided for connector {between}; valid combinations are: Read + Write."))
}

/// Logical ids, types and properties.
fn resources(
    logical_id: &str,
    end_of_id: &str,
    profile: &Profile,
    permissions: &[&str],
    source: &End,
    destination: &End,
) -> Result<Vec<(String, &'static str, Value)>, String> {
    let arn_of = |end: &End, name: &str| end.arn.clone().ok_or(format!("{name}.Arn is missing."));
    let wanted = || profile.access.iter().filter(|(name, ..)| permissions.contains(name));
    match profile.form {
        Form::OfSource | Form::OfDestination => {
            let is_source = profile.form == Form::OfSource;
            let (owner, owner_name, used, used_name) = match is_source {
                true => (source, "Source", destination, "Destination"),
                false => (destination, "Destination", source, "Source"),
            };
            let arn = arn_of(used, used_name)?;
            let role = owner.role_name.clone();
            let role = role.ok_or(format!("Unable to get IAM role name from '{owner_name}' resource."))?;
            let behind = |rest: &&str| match rest.is_empty() {
                true => arn.clone(),
                false => {
                    let variable = format!("{used_name}Arn");
                    json!({ "Fn::Sub": [format!("${{{variable}}}{rest}"), { variable: arn }] })
                }
            };
            let statement = |(_, actions, rests): &Access| {
                let resources: Vec<Value> = rests.iter().map(behind).collect();
                json!({ "Effect": "Allow", "Action": actions, "Resource": resources })
            };
            let statements: Vec<Value> = wanted().map(statement).collect();
            let document = json!({ "Version": "2012-10-17", "Statement": statements });
            let properties = json!({ "PolicyDocument": document, "Roles": [role] });
            Ok(vec![(format!("{logical_id}Policy{end_of_id}"), "AWS::IAM::ManagedPolicy", properties)])
        }
        Form::Permission(service) => {
            let function = arn_of(destination, "Destination")?;
            let from = match service {
                "apigateway" => execute_api(source)?,
                _ => arn_of(source, "Source")?,
            };
            let permission = |(name, actions, _): &Access| {
                let mut properties = json!({
                    "Action": actions[0],
                    "FunctionName": function,
                    "Principal": format!("{service}.amazonaws.com"),
                    "SourceArn": from,
                });
                if service == "s3" {
                    properties["SourceAccount"] = json!({ "Fn::Sub": "${AWS::AccountId}" });
                }
                let id = format!("{logical_id}{name}LambdaPermission{end_of_id}");
                (id, "AWS::Lambda::Permission", properties)
            };
            Ok(wanted().map(permission).collect())
        }
        Form::Policy(service, action) => {
            let arn = arn_of(destination, "Destination")?;
            let statement = json!({
                "Effect": "Allow",
                "Principal": { "Service": format!("{service}.amazonaws.com") },
                "Resource": arn,
                "Action": action,
                "Condition": { "ArnEquals": { "aws:SourceArn": arn_of(source, "Source")? } },
            });
            let document = json!({ "Version": "2012-10-17", "Statement": [statement] });
            Ok(vec![match destination.kind.as_str() {
                TOPIC => {
                    let properties = json!({ "PolicyDocument": document, "Topics": [arn] });
                    (format!("{logical_id}TopicPolicy{end_of_id}"), "AWS::SNS::TopicPolicy", properties)
                }
                _ => {
                    let url = destination.queue_url.clone();
                    let url = url.ok_or("Unable to get SQS queue URL from 'Destination' resource.")?;
                    let properties = json!({ "PolicyDocument": document, "Queues": [url] });
                    (format!("{logical_id}QueuePolicy{end_of_id}"), "AWS::SQS::QueuePolicy", properties)
                }
            }])
        }
    }
}

/// The calls of an API, or of what its qualifier names.
fn execute_api(api: &End) -> Result<Value, String> {
    let needed = |value: &Option<Value>, name: &str| value.clone().ok_or(format!("Source.{name} is missing."));
    let (id, qualifier) = (needed(&api.resource_id, "ResourceId")?, needed(&api.qualifier, "Qualifier")?);
    let arn =
        "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${SourceResourceId}/${SourceQualifier}";
    Ok(json!({ "Fn::Sub": [arn, { "SourceResourceId": id, "SourceQualifier": qualifier }] }))
}

/// A mapping reads with the function's rights from its beginning: they come before it.
fn before_mapping(policy: &str, source: &End, function: &End, out: &mut Out<'_>) {
    let (Some(source), Some(function)) = (&source.logical_id, &function.logical_id) else { return };
    let is_of = |value: &Value, id: &str| named(value).is_some_and(|named| named == id);
    let mut mappings = out.resources.values_mut().filter(|resource| {
        let properties = &resource["Properties"];
        resource["Type"] == "AWS::Lambda::EventSourceMapping"
            && is_of(&properties["FunctionName"], function)
            && is_of(&properties["EventSourceArn"], source)
    });
    if let (Some(mapping), None) = (mappings.next(), mappings.next()) {
        let mut others = depends_on(mapping).unwrap_or_default();
        if others.iter().all(|other| other != policy) {
            others.push(policy.into());
        }
        mapping["DependsOn"] = others.into();
    }
}
