//! What belongs to functions: versions, aliases, layers, event source mappings and what becomes of events.

use std::time::Duration;

use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};

use crate::resources::{
    Made, Whereabouts, codedeploy, copied, gone_is_done, invalid, is_gone, only, required, required_text, text, typed,
};

const VERSION: &[&str] =
    &["FunctionName", "CodeSha256", "Description", "ProvisionedConcurrencyConfig", "RuntimePolicy"];
const ALIAS: &[&str] =
    &["FunctionName", "Name", "FunctionVersion", "Description", "RoutingConfig", "ProvisionedConcurrencyConfig"];
const LAYER: &[&str] =
    &["LayerName", "Description", "Content", "CompatibleRuntimes", "CompatibleArchitectures", "LicenseInfo"];
const LAYER_PERMISSION: &[&str] = &["LayerVersionArn", "Action", "Principal", "OrganizationId"];
const INVOKE_CONFIG: &[&str] =
    &["FunctionName", "Qualifier", "MaximumRetryAttempts", "MaximumEventAgeInSeconds", "DestinationConfig"];
const MAPPING: &[&str] = &[
    "FunctionName",
    "EventSourceArn",
    "BatchSize",
    "Enabled",
    "FilterCriteria",
    "MaximumBatchingWindowInSeconds",
    "ParallelizationFactor",
    "StartingPosition",
    "StartingPositionTimestamp",
    "DestinationConfig",
    "MaximumRecordAgeInSeconds",
    "BisectBatchOnFunctionError",
    "MaximumRetryAttempts",
    "TumblingWindowInSeconds",
    "FunctionResponseTypes",
    "ScalingConfig",
    "MetricsConfig",
    "KmsKeyArn",
    "Tags",
];
const GONE_POLL_MS: u64 = 50;
const GONE_POLLS_MAX: usize = 2400;

/// Numbers and booleans that templates write as texts, at the top and in what has only such inside.
fn input(properties: &Map<String, Value>, names: &[&str]) -> Map<String, Value> {
    let mut input = copied(properties, names);
    for (name, value) in &mut input {
        match (name.as_str(), &mut *value) {
            ("Description" | "Name" | "FunctionName" | "Qualifier" | "FunctionVersion", _) => {}
            ("ScalingConfig", Value::Object(inner)) => {
                for value in inner.values_mut() {
                    *value = typed(value);
                }
            }
            (_, Value::String(_)) => *value = typed(value),
            _ => {}
        }
    }
    input
}

/// `AdditionalVersionWeights` is a list in templates and a map in calls.
fn routing(properties: &Map<String, Value>) -> Value {
    let weights = properties.get("RoutingConfig").and_then(|r| r.get("AdditionalVersionWeights"));
    let mut map = Map::new();
    for weight in weights.and_then(Value::as_array).into_iter().flatten() {
        let share = match &weight["FunctionWeight"] {
            Value::String(text) => text.parse::<f64>().map_or(Value::Null, Value::from),
            other => other.clone(),
        };
        map.insert(text(&weight["FunctionVersion"]), share);
    }
    json!({ "AdditionalVersionWeights": map })
}

async fn provision(
    at: &Whereabouts,
    function: &str,
    qualifier: &str,
    old: Option<&Value>,
    new: Option<&Value>,
) -> Result<(), ApiError> {
    let name = json!({ "FunctionName": function, "Qualifier": qualifier });
    match (old, new) {
        (old, Some(new)) if old != Some(new) => {
            let mut input = name;
            input["ProvisionedConcurrentExecutions"] = typed(&new["ProvisionedConcurrentExecutions"]);
            at.client.call("lambda", "PutProvisionedConcurrencyConfig", input).await.map(drop)
        }
        (Some(_), None) => gone_is_done(at.client.call("lambda", "DeleteProvisionedConcurrencyConfig", name).await),
        _ => Ok(()),
    }
}

pub async fn create(at: &Whereabouts, kind: &str, properties: &Map<String, Value>) -> Result<Made, ApiError> {
    match kind {
        "AWS::Lambda::Version" => version(at, properties).await,
        "AWS::Lambda::Alias" => alias(at, properties).await,
        "AWS::Lambda::LayerVersion" => layer(at, properties).await,
        "AWS::Lambda::LayerVersionPermission" => {
            only(properties, LAYER_PERMISSION)?;
            let id = at.name(100);
            let (arn, version) = layer_version(&required_text(properties, "LayerVersionArn")?)?;
            let mut input = copied(properties, &["Action", "Principal", "OrganizationId"]);
            input.insert("StatementId".into(), id.clone().into());
            input.insert("LayerName".into(), arn.clone().into());
            input.insert("VersionNumber".into(), version.into());
            at.client.call("lambda", "AddLayerVersionPermission", input.into()).await?;
            Ok(Made::new(format!("{arn}:{version}#{id}")))
        }
        "AWS::Lambda::EventInvokeConfig" => {
            only(properties, INVOKE_CONFIG)?;
            let function = required_text(properties, "FunctionName")?;
            let input = input(properties, INVOKE_CONFIG);
            at.client.call("lambda", "PutFunctionEventInvokeConfig", input.into()).await?;
            let qualifier = properties.get("Qualifier").map(text).unwrap_or_default();
            Ok(Made::new(format!("{function}|{qualifier}")))
        }
        "AWS::Lambda::EventSourceMapping" => mapping(at, properties).await,
        other => Err(invalid(format!("not implemented: resource type {other}"))),
    }
}

async fn version(at: &Whereabouts, properties: &Map<String, Value>) -> Result<Made, ApiError> {
    only(properties, VERSION)?;
    let function = required_text(properties, "FunctionName")?;
    if properties.contains_key("RuntimePolicy") {
        return Err(invalid("not implemented: property RuntimePolicy"));
    }
    let input = input(properties, &["FunctionName", "CodeSha256", "Description"]);
    let answer = at.client.call("lambda", "PublishVersion", input.into()).await?;
    let number = text(&answer["Version"]);
    let arn = text(&answer["FunctionArn"]);
    provision(at, &function, &number, None, properties.get("ProvisionedConcurrencyConfig")).await?;
    Ok(Made::new(arn.clone()).with("Version", &number.into()).with("FunctionArn", &arn.into()))
}

async fn alias(at: &Whereabouts, properties: &Map<String, Value>) -> Result<Made, ApiError> {
    only(properties, ALIAS)?;
    let mut given = input(properties, &["FunctionName", "Name", "FunctionVersion", "Description"]);
    if properties.contains_key("RoutingConfig") {
        given.insert("RoutingConfig".into(), routing(properties));
    }
    let answer = at.client.call("lambda", "CreateAlias", given.into()).await?;
    let (function, name) = (required_text(properties, "FunctionName")?, required_text(properties, "Name")?);
    provision(at, &function, &name, None, properties.get("ProvisionedConcurrencyConfig")).await?;
    let arn = text(&answer["AliasArn"]);
    Ok(Made::new(arn.clone()).with("AliasArn", &arn.into()))
}

async fn layer(at: &Whereabouts, properties: &Map<String, Value>) -> Result<Made, ApiError> {
    only(properties, LAYER)?;
    let name = properties.get("LayerName").map_or_else(|| at.name(140), text);
    let mut input = copied(properties, LAYER);
    input.insert("LayerName".into(), name.into());
    let content = required(properties, "Content")?.as_object().ok_or_else(|| invalid("Content is not an object"))?;
    input.insert("Content".into(), copied(content, &["S3Bucket", "S3Key", "S3ObjectVersion"]).into());
    let answer = at.client.call("lambda", "PublishLayerVersion", input.into()).await?;
    let arn = text(&answer["LayerVersionArn"]);
    Ok(Made::new(arn.clone()).with("LayerVersionArn", &arn.into()))
}

/// `arn:aws:lambda:R:A:layer:NAME:VERSION` as the layer's own ARN and the number.
fn layer_version(arn: &str) -> Result<(String, u64), ApiError> {
    arn.rsplit_once(':')
        .and_then(|(layer, version)| Some((layer.to_owned(), version.parse().ok()?)))
        .ok_or_else(|| invalid(format!("{arn} is not the ARN of a version of a layer")))
}

async fn mapping(at: &Whereabouts, properties: &Map<String, Value>) -> Result<Made, ApiError> {
    only(properties, MAPPING)?;
    let mut input = input(properties, MAPPING);
    if properties.contains_key("Tags") {
        input.insert("Tags".into(), at.tags(properties).into());
    }
    let created = at.client.call("lambda", "CreateEventSourceMapping", input.into()).await;
    let answer = match created {
        // Taken again: of a source and a function there is one mapping, and it was made by the step.
        Err(error) if at.is_again && error.code == "ResourceConflictException" => {
            let input = copied(properties, &["EventSourceArn", "FunctionName"]);
            let list = at.client.call("lambda", "ListEventSourceMappings", input.into()).await?;
            list["EventSourceMappings"].get(0).cloned().ok_or(error)?
        }
        other => other?,
    };
    let (id, arn) = (text(&answer["UUID"]), answer["EventSourceMappingArn"].clone());
    Ok(Made::new(id.clone()).with("Id", &id.into()).with("EventSourceMappingArn", &arn))
}

pub async fn update(
    at: &Whereabouts,
    kind: &str,
    made: &Made,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
) -> Result<Made, ApiError> {
    let config = "ProvisionedConcurrencyConfig";
    match kind {
        "AWS::Lambda::Version" => {
            only(new, VERSION)?;
            let function = required_text(new, "FunctionName")?;
            let number = made.attributes.get("Version").map(text).unwrap_or_default();
            provision(at, &function, &number, old.get(config), new.get(config)).await?;
        }
        "AWS::Lambda::Alias" => {
            only(new, ALIAS)?;
            if let Some(policy) =
                at.update_policy.as_ref().filter(|policy| policy.as_object().is_some_and(|p| !p.is_empty()))
                && old.get("FunctionVersion") != new.get("FunctionVersion")
            {
                codedeploy::shift(at, policy, new).await?;
            }
            let mut given = input(new, &["FunctionName", "Name", "FunctionVersion"]);
            given.insert("Description".into(), new.get("Description").map(text).unwrap_or_default().into());
            given.insert("RoutingConfig".into(), routing(new));
            at.client.call("lambda", "UpdateAlias", given.into()).await?;
            let (function, name) = (required_text(new, "FunctionName")?, required_text(new, "Name")?);
            provision(at, &function, &name, old.get(config), new.get(config)).await?;
        }
        "AWS::Lambda::EventInvokeConfig" => {
            only(new, INVOKE_CONFIG)?;
            // Sets all of it; what is not given goes back to its default.
            at.client.call("lambda", "PutFunctionEventInvokeConfig", input(new, INVOKE_CONFIG).into()).await?;
        }
        "AWS::Lambda::EventSourceMapping" => {
            only(new, MAPPING)?;
            if old.get("Tags") != new.get("Tags") {
                return Err(invalid("not implemented: change of Tags of AWS::Lambda::EventSourceMapping"));
            }
            let fixed = ["EventSourceArn", "StartingPosition", "StartingPositionTimestamp", "Tags"];
            let names: Vec<&str> = MAPPING.iter().copied().filter(|name| !fixed.contains(name)).collect();
            let mut input = input(new, &names);
            for name in names.iter().filter(|name| old.contains_key(**name) && !new.contains_key(**name)) {
                // The empty value takes it away, or brings the default back.
                let default = match *name {
                    "Enabled" => json!(true),
                    "BatchSize" => {
                        json!(if required_text(new, "EventSourceArn")?.contains(":sqs:") { 10 } else { 100 })
                    }
                    "MaximumBatchingWindowInSeconds" | "TumblingWindowInSeconds" => json!(0),
                    "ParallelizationFactor" => json!(1),
                    "MaximumRecordAgeInSeconds" | "MaximumRetryAttempts" => json!(-1),
                    "BisectBatchOnFunctionError" => json!(false),
                    "FunctionResponseTypes" => json!([]),
                    _ => json!({}),
                };
                input.insert((*name).to_owned(), default);
            }
            input.insert("UUID".into(), made.physical_id.clone().into());
            at.client.call("lambda", "UpdateEventSourceMapping", input.into()).await?;
        }
        other => return Err(invalid(format!("not implemented: change of {other}"))),
    }
    Ok(made.clone())
}

pub async fn delete(
    at: &Whereabouts,
    kind: &str,
    made: &Made,
    properties: &Map<String, Value>,
) -> Result<(), ApiError> {
    let id = &made.physical_id;
    let (operation, input) = match kind {
        "AWS::Lambda::Version" => {
            let number = made.attributes.get("Version").cloned().unwrap_or_default();
            let function = required_text(properties, "FunctionName")?;
            ("DeleteFunction", json!({ "FunctionName": function, "Qualifier": number }))
        }
        "AWS::Lambda::Alias" => (
            "DeleteAlias",
            json!({ "FunctionName": required_text(properties, "FunctionName")?, "Name": required_text(properties, "Name")? }),
        ),
        "AWS::Lambda::LayerVersion" => {
            let (layer, version) = layer_version(id)?;
            ("DeleteLayerVersion", json!({ "LayerName": layer, "VersionNumber": version }))
        }
        "AWS::Lambda::LayerVersionPermission" => {
            let (arn, statement) = id.split_once('#').unwrap_or((id, ""));
            let (layer, version) = layer_version(arn)?;
            let input = json!({ "LayerName": layer, "VersionNumber": version, "StatementId": statement });
            ("RemoveLayerVersionPermission", input)
        }
        "AWS::Lambda::EventInvokeConfig" => {
            let mut input = copied(properties, &["Qualifier"]);
            input.insert("FunctionName".into(), required_text(properties, "FunctionName")?.into());
            ("DeleteFunctionEventInvokeConfig", input.into())
        }
        "AWS::Lambda::EventSourceMapping" => return delete_mapping(at, id).await,
        other => return Err(invalid(format!("not implemented: resource type {other}"))),
    };
    gone_is_done(at.client.call("lambda", operation, input).await)
}

/// Waits until it is gone: what it reads from may be deleted next.
async fn delete_mapping(at: &Whereabouts, id: &str) -> Result<(), ApiError> {
    let input = json!({ "UUID": id });
    gone_is_done(at.client.call("lambda", "DeleteEventSourceMapping", input.clone()).await)?;
    for _ in 0..GONE_POLLS_MAX {
        match at.client.call("lambda", "GetEventSourceMapping", input.clone()).await {
            Err(error) if is_gone(&error) => return Ok(()),
            Err(error) => return Err(error),
            Ok(_) => tokio::time::sleep(Duration::from_millis(GONE_POLL_MS)).await,
        }
    }
    Err(invalid(format!("the mapping {id} does not go")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn shapes_of_calls() {
        let properties = json!({"RoutingConfig": {"AdditionalVersionWeights": [
            {"FunctionVersion": "2", "FunctionWeight": 0.1}, {"FunctionVersion": 3, "FunctionWeight": "0.5"}]}});
        let weights = routing(properties.as_object().unwrap());
        assert_eq!(weights, json!({"AdditionalVersionWeights": {"2": 0.1, "3": 0.5}}));
        let given = json!({"BatchSize": "5", "Enabled": "false", "ScalingConfig": {"MaximumConcurrency": "2"}, "FunctionName": "7"});
        assert_eq!(
            Value::from(input(given.as_object().unwrap(), MAPPING)),
            json!({"FunctionName": "7", "BatchSize": 5, "Enabled": false, "ScalingConfig": {"MaximumConcurrency": 2}})
        );
        assert_eq!(
            layer_version("arn:aws:lambda:r:0:layer:l:4").unwrap(),
            ("arn:aws:lambda:r:0:layer:l".to_owned(), 4)
        );
        assert!(layer_version("arn:l").is_err());
    }
}
