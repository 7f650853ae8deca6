//! `RequestParameters` and `RequestModel` of Api events: what a method's document says of its requests, and what is looked
//! at of them.

use serde_json::{Map, Value, json};

use super::invalid;
use crate::errors::Error;

pub const VALIDATOR: &str = "x-amazon-apigateway-request-validator";
pub const VALIDATORS: &str = "x-amazon-apigateway-request-validators";

/// What an event asks for.
#[derive(Default)]
pub struct Asked {
    pub model: Option<Map<String, Value>>,
    pub parameters: Vec<Value>,
}

/// Adds what an event asks for to its method; answers with the validator that it needs, by its name.
pub fn describe(
    (event, path, name): (&str, &str, &str),
    asked: &Asked,
    models: Option<&Value>,
    is_openapi: bool,
    method: &mut Value,
) -> Result<Option<(&'static str, Value)>, Error> {
    let bad = |why: String| invalid(format!("Event with id [{event}] is invalid. {why}"));
    let mut validator = None;
    if let Some(given) = &asked.model
        && let Some(model) = given.get("Model").filter(|model| !model.is_null())
    {
        let unable = |why: &str| {
            let model = crate::resources::text(model);
            bad(format!("Unable to set RequestModel [{model}] on API method [{name}] for path [{path}] because {why}"))
        };
        let models = models.and_then(Value::as_object).filter(|models| !models.is_empty());
        let models = models.ok_or_else(|| unable("the related API does not define any Models."))?;
        let model = model.as_str().filter(|model| models.contains_key(*model));
        let model = model.ok_or_else(|| unable("it wasn't defined in the API's Models."))?.to_lowercase();
        let required = given.get("Required").filter(|required| !required.is_null());
        if is_openapi {
            let schema = json!({ "$ref": format!("#/components/schemas/{model}") });
            method["requestBody"] = json!({ "content": { "application/json": { "schema": schema } } });
            if let Some(required) = required {
                method["requestBody"]["required"] = required.clone();
            }
        } else {
            let schema = json!({ "$ref": format!("#/definitions/{model}") });
            let mut parameter = json!({ "in": "body", "name": model, "schema": schema });
            if let Some(required) = required {
                parameter["required"] = required.clone();
            }
            push(method, "parameters", parameter);
        }
        let truth = |member: &str| match given.get(member) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(truth)) => Ok(Some(*truth)),
            Some(_) => Err(unable("ValidateBody and ValidateParameters must be a boolean type.")),
        };
        let (body, parameters) = (truth("ValidateBody")?, truth("ValidateParameters")?);
        if body.is_some() || parameters.is_some() {
            let (body, parameters) = (body.unwrap_or_default(), parameters.unwrap_or_default());
            let name = match (body, parameters) {
                (true, true) => "body-and-params",
                (true, false) => "body-only",
                (false, true) => "params-only",
                (false, false) => "no-validation",
            };
            method[VALIDATOR] = name.into();
            validator = Some((name, json!({ "validateRequestBody": body, "validateRequestParameters": parameters })));
        }
    }
    for parameter in &asked.parameters {
        let named = match parameter {
            Value::String(name) => Some((name.clone(), json!({}))),
            Value::Object(map) => map.iter().next().map(|(name, settings)| (name.clone(), settings.clone())),
            _ => None,
        };
        let (source, settings) = named.ok_or_else(|| {
            let why = "Invalid value for 'RequestParameters' property. Property must be either a string or an object";
            bad(why.to_owned())
        })?;
        let place = source.strip_prefix("method.request.").and_then(|rest| rest.split_once('.'));
        let (place, name) = place.filter(|(place, _)| ["querystring", "path", "header"].contains(place)).ok_or_else(|| {
            bad("Invalid value for 'RequestParameters' property. Keys must be in the format 'method.request.[querystring|path|header].{value}', e.g 'method.request.header.Authorization'.".into())
        })?;
        let is_known = |settings: &Map<String, Value>| settings.keys().all(|key| key == "Required" || key == "Caching");
        if !settings.as_object().is_some_and(is_known) {
            let why = "Invalid value for 'RequestParameters' property. Values must be an object, e.g { Required: true, Caching: false }";
            return Err(bad(why.to_owned()));
        }
        let required = settings.get("Required").cloned().unwrap_or(Value::Bool(false));
        let place = if place == "querystring" { "query" } else { place };
        push(method, "parameters", json!({ "in": place, "name": name, "required": required, "type": "string" }));
        if settings.get("Caching").is_some_and(crate::template::is_true) {
            push(&mut method["x-amazon-apigateway-integration"], "cacheKeyParameters", source.into());
        }
    }
    Ok(validator)
}

fn push(holder: &mut Value, member: &str, entry: Value) {
    match holder[member].as_array_mut() {
        Some(list) => list.push(entry),
        None => holder[member] = json!([entry]),
    }
}
