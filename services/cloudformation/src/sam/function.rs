//! `AWS::Serverless::Function`.

use serde_json::{Map, Value, json};

use super::events::{self, Function, Needs};
use super::{Out, deployment, hash, invalid, only, place, policies, resource, tag_list, with_globals};
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
    "FileSystemConfigs",
    "CodeSigningConfigArn",
    "RuntimeManagementConfig",
    "RecursiveLoop",
    "ImageConfig",
    "TenancyConfig",
];
const OWN: &[&str] = &[
    "CodeUri",
    "InlineCode",
    "ImageUri",
    "Role",
    "Policies",
    "Tags",
    "Tracing",
    "FunctionUrlConfig",
    "Events",
    "AssumeRolePolicyDocument",
    "PermissionsBoundary",
    "RolePath",
    "AutoPublishAlias",
    "AutoPublishAliasAllProperties",
    "AutoPublishCodeSha256",
    "VersionDescription",
    "VersionDeletionPolicy",
    "ProvisionedConcurrencyConfig",
    "DeadLetterQueue",
    "EventInvokeConfig",
    "DeploymentPreference",
    "PropagateTags",
    "SourceKMSKeyArn",
];

pub fn transform(logical_id: &str, source: &Value, given: &Map<String, Value>, out: &mut Out<'_>) -> Result<(), Error> {
    only(logical_id, given, &[COPIED, OWN].concat())?;
    let mut properties = Map::new();
    let code = code(logical_id, given)?;
    let is_published = given.contains_key("AutoPublishAlias");
    properties.insert("Code".into(), if is_published { out.resolved(&code) } else { code });
    for name in COPIED {
        if let Some(value) = given.get(*name) {
            let name = if *name == "KmsKeyArn" { "KMSKeyArn" } else { name };
            properties.insert(name.to_owned(), value.clone());
        }
    }
    let mut needs = Needs::default();
    if let Some(queue) = given.get("DeadLetterQueue") {
        properties.insert("DeadLetterConfig".into(), dead_letters(logical_id, queue, &mut needs)?);
    }
    properties.insert("Tags".into(), tag_list(given.get("Tags"), "lambda:createdBy"));
    match given.get("Tracing").and_then(Value::as_str) {
        None | Some("Disabled") => {}
        Some(mode) => {
            properties.insert("TracingConfig".into(), json!({ "Mode": mode }));
        }
    }
    let role = given.get("Role").filter(|role| !role.is_null());
    if let Some(role) = role {
        properties.insert("Role".into(), role.clone());
    }
    if let Some(Value::String(hash)) = given.get("AutoPublishCodeSha256").map(|hash| out.resolved(hash)) {
        // Without a change of the configuration, Lambda makes no version of code that lies in the same place.
        let described = match given.get("Description").map(|description| out.resolved(description)) {
            None => hash.into(),
            Some(Value::String(text)) if text.is_empty() => hash.into(),
            Some(Value::String(text)) => format!("{text} {hash}").into(),
            Some(other) => json!({ "Fn::Join": [" ", [other, hash]] }),
        };
        properties.insert("Description".into(), described);
    }
    let alias = published(logical_id, source, given, &properties, out)?;
    if let Some(preference) = given.get("DeploymentPreference").and_then(Value::as_object) {
        deployment::prefer(logical_id, source, given, preference, alias.as_deref(), out)?;
    }
    let role_id = format!("{logical_id}Role");
    properties.entry("Role").or_insert_with(|| json!({ "Fn::GetAtt": [role_id, "Arn"] }));
    let mut function = source.clone();
    function["Type"] = "AWS::Lambda::Function".into();
    function["Properties"] = properties.into();
    out.add(logical_id, function)?;
    let target = Function { logical_id, source, alias: alias.as_deref() };
    if let Some(config) = given.get("EventInvokeConfig") {
        invoke_config(&target, given, config, &mut needs, out)?;
    }
    if let Some(config) = given.get("FunctionUrlConfig") {
        url(&target, config, out)?;
    }
    for (name, event) in given.get("Events").and_then(Value::as_object).into_iter().flatten() {
        events::transform(&target, name, event, &mut needs, out)?;
    }
    if role.is_none() {
        let made = role_of(logical_id, given, needs)?;
        out.add(&role_id, resource("AWS::IAM::Role", source, made))?;
    }
    Ok(())
}

fn code(logical_id: &str, given: &Map<String, Value>) -> Result<Value, Error> {
    if given.get("PackageType").is_some_and(|kind| kind == "Image") {
        return match given.get("ImageUri") {
            Some(Value::Object(_)) | None => {
                Err(invalid(format!("Resource with id [{logical_id}] is invalid. 'ImageUri' must be set.")))
            }
            Some(uri) => Ok(json!({ "ImageUri": uri })),
        };
    }
    let mut code = match (given.get("CodeUri"), given.get("InlineCode")) {
        (_, Some(source)) => json!({ "ZipFile": source }),
        (Some(uri), None) => place(logical_id, "CodeUri", uri)?,
        (None, None) => {
            return Err(invalid(format!(
                "Resource with id [{logical_id}] is invalid. 'InlineCode' or 'CodeUri' must be set."
            )));
        }
    };
    if let Some(key) = given.get("SourceKMSKeyArn") {
        code["SourceKMSKeyArn"] = key.clone();
    }
    Ok(code)
}

fn dead_letters(logical_id: &str, queue: &Value, needs: &mut Needs) -> Result<Value, Error> {
    let action = match queue.get("Type").and_then(Value::as_str) {
        Some("SQS") => "sqs:SendMessage",
        Some("SNS") => "sns:Publish",
        _ => {
            return Err(invalid(format!(
                "Resource with id [{logical_id}] is invalid. 'DeadLetterQueue' requires Type of SNS, SQS"
            )));
        }
    };
    let Some(arn) = queue.get("TargetArn") else {
        return Err(invalid(format!(
            "Resource with id [{logical_id}] is invalid. 'DeadLetterQueue' requires Type and TargetArn properties to be specified."
        )));
    };
    let statement = json!({ "Action": action, "Resource": arn, "Effect": "Allow" });
    let document = json!({ "Version": "2012-10-17", "Statement": [statement] });
    needs.inline.push(("DeadLetterQueuePolicy".to_owned(), document));
    Ok(json!({ "TargetArn": arn }))
}

/// The version and the alias of a function that publishes itself; answers with the alias's logical id.
fn published(
    logical_id: &str,
    source: &Value,
    given: &Map<String, Value>,
    properties: &Map<String, Value>,
    out: &mut Out<'_>,
) -> Result<Option<String>, Error> {
    let Some(name) = given.get("AutoPublishAlias").map(|name| out.resolved(name)) else {
        if given.contains_key("ProvisionedConcurrencyConfig") {
            return Err(invalid(format!(
                "Resource with id [{logical_id}] is invalid. To set ProvisionedConcurrencyConfig AutoPublishALias must be defined on the function"
            )));
        }
        return Ok(None);
    };
    let is_name = |name: &str| {
        !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
            && !name.bytes().all(|b| b.is_ascii_digit())
    };
    let name = name.as_str().filter(|name| is_name(name)).ok_or_else(|| {
        invalid(format!(
            "Resource with id [{logical_id}] is invalid. 'AutoPublishAlias' must be a string or a Ref to a template parameter"
        ))
    })?;
    let end = match given.get("AutoPublishCodeSha256").map(|hash| out.resolved(hash)) {
        Some(Value::String(hash)) => hash.chars().take(10).collect(),
        _ => hash::of(&told_apart(given, properties, out)?),
    };
    let version_id = format!("{logical_id}Version{end}");
    let mut version = json!({ "FunctionName": { "Ref": logical_id } });
    if let Some(description) = given.get("VersionDescription") {
        version["Description"] = description.clone();
    }
    let mut made = resource("AWS::Lambda::Version", source, version);
    if source.get("DeletionPolicy").is_none() {
        made["DeletionPolicy"] = given.get("VersionDeletionPolicy").cloned().unwrap_or_else(|| "Retain".into());
    }
    out.add(&version_id, made)?;
    let alias_id = format!("{logical_id}Alias{}", name.replace('-', "D").replace('_', "U"));
    let mut alias = json!({
        "Name": name,
        "FunctionName": { "Ref": logical_id },
        "FunctionVersion": { "Fn::GetAtt": [version_id, "Version"] },
    });
    if let Some(config) = given.get("ProvisionedConcurrencyConfig") {
        alias["ProvisionedConcurrencyConfig"] = config.clone();
    }
    out.add(&alias_id, resource("AWS::Lambda::Alias", source, alias))?;
    out.renamed.insert(format!("{logical_id}.Version"), version_id);
    out.renamed.insert(format!("{logical_id}.Alias"), alias_id.clone());
    Ok(Some(alias_id))
}

/// What makes a new version: the code and some of the configuration, or all of it where that is asked for.
fn told_apart(given: &Map<String, Value>, properties: &Map<String, Value>, out: &Out<'_>) -> Result<Value, Error> {
    let mut told = Map::new();
    let is_all = given.get("AutoPublishAliasAllProperties").is_some_and(crate::template::is_true);
    if is_all {
        told.clone_from(properties);
        for layer in properties.get("Layers").and_then(Value::as_array).into_iter().flatten() {
            let Some(name) = layer.get("Ref").and_then(Value::as_str) else { continue };
            let Some(layer) = out.source.get(name) else { continue };
            let merged = with_globals(out.globals.get("LayerVersion"), layer.get("Properties"))?;
            if merged.get("PublishLambdaVersion").is_some_and(crate::template::is_true) {
                told.insert(name.to_owned(), merged.into());
            }
        }
        return Ok(told.into());
    }
    if let Some(Value::Object(code)) = properties.get("Code").map(|code| out.resolved(code)) {
        told = code;
    }
    if let Some(Value::Object(environment)) = properties.get("Environment") {
        told.extend(environment.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
    if let Some(size) = properties.get("MemorySize") {
        told.insert("MemorySize".into(), size.clone());
    }
    if let Some(snap) = properties.get("SnapStart").filter(|snap| snap.get("ApplyOn").is_some_and(|on| on != "None")) {
        told.insert("SnapStart".into(), snap.clone());
    }
    Ok(Value::Object(told))
}

fn invoke_config(
    target: &Function<'_>,
    given: &Map<String, Value>,
    config: &Value,
    needs: &mut Needs,
    out: &mut Out<'_>,
) -> Result<(), Error> {
    let (function, source) = (target.logical_id, target.source);
    let logical_id = format!("{function}EventInvokeConfig");
    let qualifier = given.get("AutoPublishAlias").map_or_else(|| "$LATEST".into(), |name| out.resolved(name));
    let mut properties = json!({ "FunctionName": { "Ref": function }, "Qualifier": qualifier });
    for name in ["MaximumEventAgeInSeconds", "MaximumRetryAttempts"] {
        if let Some(value) = config.get(name) {
            properties[name] = value.clone();
        }
    }
    let mut destinations = Map::new();
    for event in ["OnSuccess", "OnFailure"] {
        let Some(given) = config.get("DestinationConfig").and_then(|d| d.get(event)) else { continue };
        let kind = given.get("Type").and_then(Value::as_str).unwrap_or_default();
        let arn = match (given.get("Destination"), kind) {
            (Some(arn), _) => arn.clone(),
            // Nothing was named: a queue or topic comes with the function.
            (None, "SQS") => {
                let queue = format!("{logical_id}{event}Queue");
                out.add(&queue, resource("AWS::SQS::Queue", source, json!({})))?;
                json!({ "Fn::GetAtt": [queue, "Arn"] })
            }
            (None, "SNS") => {
                let topic = format!("{logical_id}{event}Topic");
                out.add(&topic, resource("AWS::SNS::Topic", source, json!({})))?;
                json!({ "Ref": topic })
            }
            (None, _) => {
                return Err(invalid(format!(
                    "Resource with id [{function}] is invalid. Destination is required if Type is not ['SQS', 'SNS']"
                )));
            }
        };
        let action = match kind {
            "SQS" => "sqs:SendMessage",
            "SNS" => "sns:publish",
            "Lambda" => "lambda:InvokeFunction",
            "EventBridge" => "events:PutEvents",
            "S3Bucket" => "s3:PutObject",
            other => {
                return Err(invalid(format!(
                    "Resource with id [{function}] is invalid. 'Type: {other}' must be one of ['SQS', 'SNS', 'EventBridge', 'Lambda', 'S3Bucket']"
                )));
            }
        };
        let statement = json!({ "Action": action, "Effect": "Allow", "Resource": arn });
        needs.inline.push((format!("{logical_id}{event}{kind}Policy"), json!({ "Statement": [statement] })));
        destinations.insert(event.into(), json!({ "Destination": arn }));
    }
    properties["DestinationConfig"] = destinations.into();
    let mut made = resource("AWS::Lambda::EventInvokeConfig", source, properties);
    if let Some(alias) = target.alias {
        made["DependsOn"] = json!([alias]);
    }
    out.add(&logical_id, made)
}

fn role_of(logical_id: &str, given: &Map<String, Value>, needs: Needs) -> Result<Value, Error> {
    let mut managed: Vec<Value> = vec![policies::managed_arn("AWSLambdaBasicExecutionRole").into()];
    if given.get("Tracing").and_then(Value::as_str).is_some_and(|mode| mode != "Disabled") {
        managed.push(policies::managed_arn("AWSXrayWriteOnlyAccess").into());
    }
    if given.contains_key("VpcConfig") {
        managed.push(policies::managed_arn("AWSLambdaVPCAccessExecutionRole").into());
    }
    let mut inline: Vec<Value> = needs
        .inline
        .into_iter()
        .map(|(name, document)| json!({ "PolicyName": name, "PolicyDocument": document }))
        .collect();
    let given_policies: Vec<&Value> = match given.get("Policies") {
        None => Vec::new(),
        Some(Value::Array(list)) => list.iter().collect(),
        Some(one) => vec![one],
    };
    for (index, policy) in given_policies.into_iter().enumerate() {
        let name = format!("{logical_id}RolePolicy{index}");
        match policy {
            Value::String(name) => {
                let arn = Value::from(policies::managed_arn(name));
                if !managed.contains(&arn) {
                    managed.push(arn);
                }
            }
            Value::Object(map) if map.contains_key("Statement") => {
                inline.push(json!({ "PolicyName": name, "PolicyDocument": policy }));
            }
            Value::Object(map) if super::is_intrinsic(map) => managed.push(policy.clone()),
            Value::Object(map) => match policies::document(logical_id, map)? {
                Some(document) => inline.push(json!({ "PolicyName": name, "PolicyDocument": document })),
                None => {
                    let name = map.keys().next().map_or("", String::as_str);
                    return Err(invalid(format!(
                        "Resource with id [{logical_id}] is invalid. Policy template '{name}' does not exist"
                    )));
                }
            },
            _ => return Err(invalid(format!("Policies of {logical_id}"))),
        }
    }
    for arn in needs.managed {
        let arn = Value::from(arn);
        if !managed.contains(&arn) {
            managed.push(arn);
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

fn url(target: &Function<'_>, config: &Value, out: &mut Out<'_>) -> Result<(), Error> {
    let (logical_id, source) = (target.logical_id, target.source);
    let auth = config.get("AuthType").cloned().unwrap_or_else(|| "NONE".into());
    let mut properties = json!({ "TargetFunctionArn": target.name(), "AuthType": auth });
    for name in ["Cors", "InvokeMode"] {
        if let Some(value) = config.get(name) {
            properties[name] = value.clone();
        }
    }
    out.add(&format!("{logical_id}Url"), resource("AWS::Lambda::Url", source, properties))?;
    if auth == "NONE" {
        let permission = json!({
            "Action": "lambda:InvokeFunctionUrl",
            "FunctionName": target.name(),
            "Principal": "*",
            "FunctionUrlAuthType": "NONE",
        });
        out.add(&format!("{logical_id}UrlPublicPermissions"), resource("AWS::Lambda::Permission", source, permission))?;
        let permission = json!({
            "Action": "lambda:InvokeFunction",
            "FunctionName": target.name(),
            "Principal": "*",
            "InvokedViaFunctionUrl": true,
        });
        let id = format!("{logical_id}URLInvokeAllowPublicAccess");
        out.add(&id, resource("AWS::Lambda::Permission", source, permission))?;
    }
    Ok(())
}
