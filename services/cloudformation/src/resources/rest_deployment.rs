//! Deployments of REST APIs that make a stage, and say of it what it is (`StageDescription`).

use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};

use super::rest::{api_of, call, create_plain, update_stage};
use super::{Made, Whereabouts, invalid, text};

type Properties = Map<String, Value>;

/// What is said there of all methods, which stages say in `MethodSettings`.
const OF_METHODS: &[&str] = &[
    "LoggingLevel",
    "DataTraceEnabled",
    "MetricsEnabled",
    "ThrottlingBurstLimit",
    "ThrottlingRateLimit",
    "CachingEnabled",
];

/// A deployment without what it says of its stage, and the stage with the properties that it would have as a resource.
fn parted(properties: &Properties) -> Result<(Properties, Option<(String, Properties)>), ApiError> {
    let mut alone = properties.clone();
    let said = alone.remove("StageDescription");
    let Some(name) = properties.get("StageName").map(text) else {
        return match said {
            None => Ok((alone, None)),
            Some(_) => Err(invalid("StageDescription needs a StageName")),
        };
    };
    let mut stage = Map::from_iter([("RestApiId".to_owned(), api_of(properties)?)]);
    let mut of_methods = Map::new();
    for (member, value) in said.as_ref().and_then(Value::as_object).into_iter().flatten() {
        match OF_METHODS.contains(&member.as_str()) {
            true => of_methods.insert(member.clone(), value.clone()),
            false => stage.insert(member.clone(), value.clone()),
        };
    }
    if !of_methods.is_empty() {
        of_methods.extend([("ResourcePath".to_owned(), "/*".into()), ("HttpMethod".to_owned(), "*".into())]);
        // First, so that what is said of single methods stands.
        let own = stage.get("MethodSettings").and_then(Value::as_array).cloned().unwrap_or_default();
        let all: Vec<Value> = std::iter::once(of_methods.into()).chain(own).collect();
        stage.insert("MethodSettings".into(), all.into());
    }
    Ok((alone, Some((name, stage))))
}

pub async fn create(at: &Whereabouts, kind: &str, properties: &Properties) -> Result<Made, ApiError> {
    let (alone, stage) = parted(properties)?;
    let made = create_plain(at, kind, &alone).await?;
    let Some((name, stage)) = stage else { return Ok(made) };
    let bare = Map::from_iter([("RestApiId".to_owned(), api_of(properties)?)]);
    if let Err(error) = update_stage(at, &name, &bare, &stage).await {
        // Otherwise a deployment would stay behind that no stack knows.
        let api = api_of(properties)?;
        call(at, "DeleteStage", json!({ "restapi_id": api, "stage_name": name })).await?;
        let input = json!({ "restapi_id": api, "deployment_id": made.physical_id });
        call(at, "DeleteDeployment", input).await?;
        return Err(error);
    }
    Ok(made)
}

pub async fn update(at: &Whereabouts, old: &Properties, new: &Properties) -> Result<Properties, ApiError> {
    let ((_, before), (alone, after)) = (parted(old)?, parted(new)?);
    if let (Some((name, before)), Some((_, after))) = (before, after)
        && before != after
    {
        update_stage(at, &name, &before, &after).await?;
    }
    Ok(alone)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_said_of_a_stage() {
        let properties = json!({
            "RestApiId": "a", "StageName": "prod", "Description": "d",
            "StageDescription": {
                "LoggingLevel": "INFO", "Variables": {"a": "b"},
                "MethodSettings": [{"ResourcePath": "/x", "HttpMethod": "GET", "LoggingLevel": "OFF"}],
            },
        });
        let (alone, stage) = parted(properties.as_object().unwrap()).unwrap();
        assert_eq!(Value::from(alone), json!({"RestApiId": "a", "StageName": "prod", "Description": "d"}));
        let (name, stage) = stage.unwrap();
        let settings = json!([
            {"LoggingLevel": "INFO", "ResourcePath": "/*", "HttpMethod": "*"},
            {"ResourcePath": "/x", "HttpMethod": "GET", "LoggingLevel": "OFF"},
        ]);
        assert_eq!(name, "prod");
        assert_eq!(Value::from(stage), json!({"RestApiId": "a", "Variables": {"a": "b"}, "MethodSettings": settings}));
        let without = json!({"RestApiId": "a", "StageDescription": {}});
        assert!(parted(without.as_object().unwrap()).is_err());
    }
}
