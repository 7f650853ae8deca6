//! `AWS::Serverless::Function`.

use serde_json::{Map, Value, json};

use super::simple_table;
use super::{Out, http_api, invalid, not_built, only, resource, tag_list};
use crate::errors::Error;

const COPIED: &[&str] = &[
    "FunctionName",
    "Handler",
    "Runtime",
    "Description",
    "MemorySize",
    "Timeout",
    "Environment",
    "EphemeralStorage",
    "Architectures",
    "ReservedConcurrentExecutions",
    "LoggingConfig",
    "SnapStart",
    "PackageType",
    "Layers",
    "KmsKeyArn",
    "VpcConfig",
];
const OWN: &[&str] = &[
    "CodeUri",
    "InlineCode",
    "Role",
    "Policies",
    "Tags",
    "Tracing",
    "FunctionUrlConfig",
    "Events",
    "AssumeRolePolicyDocument",
    "PermissionsBoundary",
    "RolePath",
];
const BASIC: &str = "service-role/AWSLambdaBasicExecutionRole";

pub fn transform(logical_id: &str, source: &Value, given: &Map<String, Value>, out: &mut Out) -> Result<(), Error> {
    only(logical_id, given, &[COPIED, OWN].concat())?;
    let mut properties = Map::new();
    for name in COPIED {
        if let Some(value) = given.get(*name) {
            let name = if *name == "KmsKeyArn" { "KMSKeyArn" } else { name };
            properties.insert(name.to_owned(), value.clone());
        }
    }
    properties.insert("Code".into(), code(logical_id, given)?);
    properties.insert("Tags".into(), tag_list(given.get("Tags"), "lambda:createdBy"));
    match given.get("Tracing").and_then(Value::as_str) {
        None | Some("Disabled") => {}
        Some(mode) => {
            properties.insert("TracingConfig".into(), json!({ "Mode": mode }));
        }
    }
    match given.get("Role") {
        Some(role) => drop(properties.insert("Role".into(), role.clone())),
        None => {
            let role = format!("{logical_id}Role");
            properties.insert("Role".into(), json!({ "Fn::GetAtt": [role, "Arn"] }));
            let made = role_of(logical_id, given)?;
            out.add(&role, resource("AWS::IAM::Role", source, made))?;
        }
    }
    let mut function = source.clone();
    function["Type"] = "AWS::Lambda::Function".into();
    function["Properties"] = properties.into();
    out.add(logical_id, function)?;
    if let Some(config) = given.get("FunctionUrlConfig") {
        url(logical_id, source, config, out)?;
    }
    for (name, event) in given.get("Events").and_then(Value::as_object).into_iter().flatten() {
        match event.get("Type").and_then(Value::as_str) {
            Some("HttpApi") => {
                let empty = json!({});
                let properties = event.get("Properties").unwrap_or(&empty);
                http_api::event(logical_id, name, source, properties, out)?;
            }
            Some(kind) if super::events::is_here(kind) => {
                let empty = Map::new();
                let properties = event.get("Properties").and_then(Value::as_object).unwrap_or(&empty);
                super::events::event(logical_id, name, kind, source, properties, out)?;
            }
            Some(other) => {
                return Err(not_built(format!("event type {other} ({name} of {logical_id})")));
            }
            None => return Err(invalid(format!("event {name} of {logical_id} has no Type"))),
        }
    }
    Ok(())
}

fn code(logical_id: &str, given: &Map<String, Value>) -> Result<Value, Error> {
    match (given.get("CodeUri"), given.get("InlineCode")) {
        (_, Some(source)) => Ok(json!({ "ZipFile": source })),
        (Some(Value::String(uri)), None) => {
            let place = uri.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
            match place {
                Some((bucket, key)) if !key.is_empty() => Ok(json!({ "S3Bucket": bucket, "S3Key": key })),
                _ => Err(invalid(format!(
                    "Resource with id [{logical_id}] is invalid. 'CodeUri' is not a valid S3 Uri of the form 's3://bucket/key': {uri}"
                ))),
            }
        }
        (Some(Value::Object(place)), None) if place.contains_key("Bucket") => {
            let mut code = json!({
                "S3Bucket": place.get("Bucket"),
                "S3Key": place.get("Key"),
            });
            if let Some(version) = place.get("Version") {
                code["S3ObjectVersion"] = version.clone();
            }
            Ok(code)
        }
        _ => Err(invalid(format!("Resource with id [{logical_id}] is invalid. CodeUri or InlineCode is needed"))),
    }
}

fn managed_arn(name: &str) -> Value {
    match name.starts_with("arn:") {
        true => name.into(),
        false => json!({ "Fn::Sub": format!("arn:${{AWS::Partition}}:iam::aws:policy/{name}") }),
    }
}

fn role_of(logical_id: &str, given: &Map<String, Value>) -> Result<Value, Error> {
    let mut managed = vec![managed_arn(BASIC)];
    let mut inline = Vec::new();
    let policies: Vec<&Value> = match given.get("Policies") {
        None => Vec::new(),
        Some(Value::Array(list)) => list.iter().collect(),
        Some(one) => vec![one],
    };
    for policy in policies {
        match policy {
            Value::String(name) => {
                let arn = managed_arn(match name.as_str() {
                    "AWSLambdaBasicExecutionRole" => BASIC,
                    "AWSLambdaVPCAccessExecutionRole" => "service-role/AWSLambdaVPCAccessExecutionRole",
                    other => other,
                });
                if !managed.contains(&arn) {
                    managed.push(arn);
                }
            }
            Value::Object(map) if map.contains_key("Statement") => {
                let name = format!("{logical_id}RolePolicy{}", inline.len());
                let mut document = policy.clone();
                if document.get("Version").is_none() {
                    document["Version"] = "2012-10-17".into();
                }
                inline.push(json!({ "PolicyName": name, "PolicyDocument": document }));
            }
            Value::Object(map) if super::is_intrinsic(map) => managed.push(policy.clone()),
            Value::Object(map) if simple_table::policy(map).is_some() => {
                let name = format!("{logical_id}RolePolicy{}", inline.len());
                inline.push(json!({ "PolicyName": name, "PolicyDocument": simple_table::policy(map) }));
            }
            Value::Object(map) => {
                let name = map.keys().next().map_or("", String::as_str);
                return Err(not_built(format!("policy template {name} ({logical_id})")));
            }
            _ => return Err(invalid(format!("Policies of {logical_id}"))),
        }
    }
    let trust = given.get("AssumeRolePolicyDocument").cloned().unwrap_or_else(|| {
        json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Action": ["sts:AssumeRole"],
                "Effect": "Allow",
                "Principal": { "Service": ["lambda.amazonaws.com"] },
            }],
        })
    });
    let mut role = json!({
        "AssumeRolePolicyDocument": trust,
        "ManagedPolicyArns": managed,
        "Tags": tag_list(given.get("Tags"), "lambda:createdBy"),
    });
    if !inline.is_empty() {
        role["Policies"] = inline.into();
    }
    for (ours, theirs) in [("PermissionsBoundary", "PermissionsBoundary"), ("RolePath", "Path")] {
        if let Some(value) = given.get(ours) {
            role[theirs] = value.clone();
        }
    }
    Ok(role)
}

fn url(logical_id: &str, source: &Value, config: &Value, out: &mut Out) -> Result<(), Error> {
    let auth = config.get("AuthType").cloned().unwrap_or_else(|| "NONE".into());
    let mut properties = json!({ "TargetFunctionArn": { "Ref": logical_id }, "AuthType": auth });
    for name in ["Cors", "InvokeMode"] {
        if let Some(value) = config.get(name) {
            properties[name] = value.clone();
        }
    }
    out.add(&format!("{logical_id}Url"), resource("AWS::Lambda::Url", source, properties))?;
    if auth == "NONE" {
        let permission = json!({
            "Action": "lambda:InvokeFunctionUrl",
            "FunctionName": { "Ref": logical_id },
            "Principal": "*",
            "FunctionUrlAuthType": "NONE",
        });
        out.add(&format!("{logical_id}UrlPublicPermissions"), resource("AWS::Lambda::Permission", source, permission))?;
    }
    Ok(())
}
