//! Domain names of APIs and what is behind their paths, in the types of both of API Gateway's versions.

use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};

use super::{Made, Whereabouts, gone_is_done, invalid, only, required_text, text};

type Properties = Map<String, Value>;

const DOMAIN: &str = "AWS::ApiGateway::DomainName";
const DOMAIN_2: &str = "AWS::ApiGatewayV2::DomainName";
const BASE_PATH: &str = "AWS::ApiGateway::BasePathMapping";
const MAPPING: &str = "AWS::ApiGatewayV2::ApiMapping";

pub fn is_here(kind: &str) -> bool {
    matches!(kind, DOMAIN | DOMAIN_2 | BASE_PATH | MAPPING)
}

async fn first(at: &Whereabouts, operation: &str, input: Value) -> Result<Value, ApiError> {
    at.client.call("apigateway-rest", operation, input).await
}

async fn second(at: &Whereabouts, operation: &str, input: Value) -> Result<Value, ApiError> {
    at.client.call("apigateway", operation, input).await
}

/// The configurations of a domain name of version 2, as calls take them.
fn configurations(properties: &Properties) -> Result<Value, ApiError> {
    let list = properties.get("DomainNameConfigurations").and_then(Value::as_array);
    let of = |one: &Value| -> Result<Value, ApiError> {
        let one = one.as_object().ok_or_else(|| invalid("DomainNameConfigurations is not a list of objects"))?;
        only(one, &["CertificateArn", "CertificateName", "EndpointType", "SecurityPolicy", "IpAddressType"])?;
        Ok(one
            .iter()
            .map(|(name, value)| (super::apigateway::lower(name), value.clone()))
            .collect::<Map<_, _>>()
            .into())
    };
    list.into_iter().flatten().map(of).collect()
}

fn base_path(properties: &Properties) -> String {
    properties.get("BasePath").map(text).filter(|path| !path.is_empty()).unwrap_or_else(|| "(none)".into())
}

pub async fn create(at: &Whereabouts, kind: &str, properties: &Properties) -> Result<Made, ApiError> {
    let name = required_text(properties, "DomainName")?;
    let result = match kind {
        DOMAIN_2 => {
            only(properties, &["DomainName", "DomainNameConfigurations", "Tags", "RoutingMode"])?;
            let configurations = configurations(properties)?;
            let input = json!({
                "domainName": name,
                "domainNameConfigurations": configurations,
                "tags": at.tags(properties),
                "routingMode": properties.get("RoutingMode"),
            });
            second(at, "CreateDomainName", input).await
        }
        DOMAIN => {
            const KNOWN: &[&str] = &[
                "DomainName",
                "CertificateArn",
                "RegionalCertificateArn",
                "EndpointConfiguration",
                "SecurityPolicy",
                "Tags",
            ];
            only(properties, KNOWN)?;
            let mut input = json!({ "domainName": name, "tags": at.tags(properties) });
            for member in ["CertificateArn", "RegionalCertificateArn", "SecurityPolicy"] {
                if let Some(value) = properties.get(member) {
                    input[super::apigateway::lower(member)] = value.clone();
                }
            }
            if let Some(types) = properties.get("EndpointConfiguration").and_then(|given| given.get("Types")) {
                input["endpointConfiguration"] = json!({ "types": types });
            }
            first(at, "CreateDomainName", input).await
        }
        BASE_PATH => {
            only(properties, &["DomainName", "BasePath", "RestApiId", "Stage"])?;
            let path = base_path(properties);
            let input = json!({
                "domain_name": name,
                "basePath": path,
                "restApiId": required_text(properties, "RestApiId")?,
                "stage": properties.get("Stage"),
            });
            return match first(at, "CreateBasePathMapping", input).await {
                // Taken again: what is there under this path is the step's own.
                Err(error) if at.is_again && error.status == 409 => {
                    let made = Made::new(format!("{name}|{path}"));
                    update(at, kind, &made, &Map::new(), properties).await
                }
                other => other.map(|_| Made::new(format!("{name}|{path}"))),
            };
        }
        _ => {
            only(properties, &["DomainName", "ApiId", "Stage", "ApiMappingKey"])?;
            let input = json!({
                "domainName": name,
                "apiId": required_text(properties, "ApiId")?,
                "stage": required_text(properties, "Stage")?,
                "apiMappingKey": properties.get("ApiMappingKey"),
            });
            let id = match second(at, "CreateApiMapping", input).await {
                Err(error) if at.is_again && error.status == 409 => {
                    let all = second(at, "GetApiMappings", json!({ "domainName": name })).await?;
                    let key = properties.get("ApiMappingKey").map(text).unwrap_or_default();
                    let items = all["items"].as_array().cloned().unwrap_or_default();
                    let own = items.into_iter().find(|item| item["apiMappingKey"] == key.as_str());
                    own.ok_or(error)?["apiMappingId"].clone()
                }
                other => other?["apiMappingId"].clone(),
            };
            return Ok(Made::new(text(&id)).with("ApiMappingId", &id));
        }
    };
    let answer = match result {
        // Names are one account's: what is there was made by the step that is taken again.
        Err(error) if at.is_again && error.status == 409 => shown(at, kind, &name).await?,
        other => other?,
    };
    Ok(made(name, &answer))
}

async fn shown(at: &Whereabouts, kind: &str, name: &str) -> Result<Value, ApiError> {
    match kind {
        DOMAIN => first(at, "GetDomainName", json!({ "domain_name": name })).await,
        _ => second(at, "GetDomainName", json!({ "domainName": name })).await,
    }
}

fn made(name: String, answer: &Value) -> Made {
    let configuration = &answer["domainNameConfigurations"][0];
    let mut made = Made::new(name).with("DomainNameArn", &answer["domainNameArn"]);
    for (attribute, value) in [
        ("RegionalDomainName", &answer["regionalDomainName"]),
        ("RegionalHostedZoneId", &answer["regionalHostedZoneId"]),
        ("DistributionDomainName", &answer["distributionDomainName"]),
        ("DistributionHostedZoneId", &answer["distributionHostedZoneId"]),
        ("RegionalDomainName", &configuration["apiGatewayDomainName"]),
        ("RegionalHostedZoneId", &configuration["hostedZoneId"]),
    ] {
        if !value.is_null() {
            made = made.with(attribute, value);
        }
    }
    made.remark = Some("Its certificate is taken as a name: there is no service of certificates here".into());
    made
}

pub async fn update(
    at: &Whereabouts,
    kind: &str,
    made: &Made,
    old: &Properties,
    new: &Properties,
) -> Result<Made, ApiError> {
    let name = required_text(new, "DomainName")?;
    let patch = |path: &str, value: &str| json!({ "op": "replace", "path": path, "value": value });
    if old.get("Tags") != new.get("Tags") && matches!(kind, DOMAIN | DOMAIN_2) {
        return Err(invalid(format!("not implemented: change of Tags of {kind}")));
    }
    match kind {
        DOMAIN_2 => {
            let input = json!({ "domainName": name, "domainNameConfigurations": configurations(new)? });
            second(at, "UpdateDomainName", input).await?;
        }
        DOMAIN => {
            let mut patches = Vec::new();
            for member in ["CertificateArn", "RegionalCertificateArn", "SecurityPolicy"] {
                if let Some(value) = new.get(member).filter(|value| old.get(member) != Some(*value)) {
                    patches.push(patch(&format!("/{}", super::apigateway::lower(member)), &text(value)));
                }
            }
            let kind_of =
                |properties: &Properties| properties.get("EndpointConfiguration").map(|of| text(&of["Types"][0]));
            if let Some(kind) = kind_of(new).filter(|kind| kind_of(old).as_ref() != Some(kind)) {
                patches.push(patch("/endpointConfiguration/types/0", &kind));
            }
            first(at, "UpdateDomainName", json!({ "domain_name": name, "patchOperations": patches })).await?;
        }
        BASE_PATH => {
            let stage = match new.get("Stage") {
                Some(stage) => patch("/stage", &text(stage)),
                None => json!({ "op": "remove", "path": "/stage" }),
            };
            let patches = json!([patch("/restapiId", &required_text(new, "RestApiId")?), stage]);
            let input = json!({ "domain_name": name, "base_path": base_path(new), "patchOperations": patches });
            first(at, "UpdateBasePathMapping", input).await?;
        }
        _ => {
            let input = json!({
                "domainName": name,
                "apiMappingId": made.physical_id,
                "apiId": required_text(new, "ApiId")?,
                "stage": required_text(new, "Stage")?,
                "apiMappingKey": new.get("ApiMappingKey").map(text).unwrap_or_default(),
            });
            second(at, "UpdateApiMapping", input).await?;
        }
    }
    Ok(made.clone())
}

pub async fn delete(at: &Whereabouts, kind: &str, made: &Made, properties: &Properties) -> Result<(), ApiError> {
    let name = required_text(properties, "DomainName")?;
    gone_is_done(match kind {
        DOMAIN_2 => second(at, "DeleteDomainName", json!({ "domainName": name })).await,
        DOMAIN => first(at, "DeleteDomainName", json!({ "domain_name": name })).await,
        BASE_PATH => {
            let input = json!({ "domain_name": name, "base_path": base_path(properties) });
            first(at, "DeleteBasePathMapping", input).await
        }
        _ => {
            let input = json!({ "domainName": name, "apiMappingId": made.physical_id });
            second(at, "DeleteApiMapping", input).await
        }
    })
}
