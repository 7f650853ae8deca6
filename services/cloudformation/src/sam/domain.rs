//! `Domain` of REST and HTTP APIs: a domain name, and a mapping for each of its base paths. Names of zones (`Route53`) and
//! mutual TLS are refused by name.

use serde_json::{Map, Value, json};

use super::{Out, hash, invalid, not_built, resource};
use crate::errors::Error;

/// Which of the two, and the tags of the domain name.
pub enum Version {
    Rest,
    Http { tags: Value },
}

pub fn transform(
    api: &str,
    source: &Value,
    given: Option<&Value>,
    version: &Version,
    out: &mut Out<'_>,
) -> Result<(), Error> {
    let Some(given) = given.filter(|given| !given.is_null()).map(|given| out.resolved(given)) else { return Ok(()) };
    let bad = |why: &str| invalid(format!("Resource with id [{api}] is invalid. {why}"));
    let given = given.as_object().ok_or_else(|| bad("Property 'Domain' should be a map."))?;
    let known = [
        "DomainName",
        "CertificateArn",
        "EndpointConfiguration",
        "BasePath",
        "NormalizeBasePath",
        "SecurityPolicy",
        "OwnershipVerificationCertificateArn",
    ];
    if let Some(name) = given.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(not_built(format!("property Domain.{name} of {api}")));
    }
    let of = |name: &str| given.get(name).filter(|value| !value.is_null());
    let (Some(name), Some(certificate)) = (of("DomainName"), of("CertificateArn")) else {
        return Err(bad("Custom Domains only works if both DomainName and CertificateArn are provided."));
    };
    let endpoint = of("EndpointConfiguration").and_then(Value::as_str).unwrap_or("REGIONAL");
    let paths = paths(of("BasePath")).map_err(bad)?;
    match version {
        Version::Rest => {
            if !["EDGE", "REGIONAL", "PRIVATE"].contains(&endpoint) {
                return Err(bad(
                    "EndpointConfiguration for Custom Domains must be one of ['EDGE', 'REGIONAL', 'PRIVATE'].",
                ));
            }
            let member = if endpoint == "REGIONAL" { "RegionalCertificateArn" } else { "CertificateArn" };
            let mut properties =
                json!({ "DomainName": name, "EndpointConfiguration": { "Types": [endpoint] }, member: certificate });
            for member in ["SecurityPolicy", "OwnershipVerificationCertificateArn"] {
                if let Some(value) = of(member) {
                    properties[member] = value.clone();
                }
            }
            let id = shared(
                format!("ApiGatewayDomainName{}", hash::of(name)),
                "AWS::ApiGateway::DomainName",
                source,
                properties,
                out,
            )?;
            let is_normal = of("NormalizeBasePath").is_none_or(crate::template::is_true);
            for path in paths {
                let letters: String =
                    path.iter().flat_map(|path| path.chars()).filter(|c| c.is_alphanumeric()).collect();
                let mut mapping = mapping(api, &id, "RestApiId");
                if let Some(path) = path {
                    mapping["BasePath"] = if is_normal { letters.clone() } else { path }.into();
                }
                let mapping = resource("AWS::ApiGateway::BasePathMapping", source, mapping);
                out.add(&format!("{api}{letters}BasePathMapping"), mapping)?;
            }
        }
        Version::Http { tags } => {
            if endpoint != "REGIONAL" {
                return Err(bad("EndpointConfiguration for Custom Domains must be one of ['REGIONAL']."));
            }
            let mut configuration = json!({ "CertificateArn": certificate, "EndpointType": endpoint });
            for member in ["SecurityPolicy", "OwnershipVerificationCertificateArn"] {
                if let Some(value) = of(member) {
                    configuration[member] = value.clone();
                }
            }
            let properties = json!({ "DomainName": name, "DomainNameConfigurations": [configuration], "Tags": tags });
            let id = shared(
                format!("ApiGatewayDomainNameV2{}", hash::of(name)),
                "AWS::ApiGatewayV2::DomainName",
                source,
                properties,
                out,
            )?;
            for path in paths {
                let is_known = |c: char| c.is_ascii_alphanumeric() || "/-_".contains(c);
                if !path.iter().flat_map(|path| path.chars()).all(is_known) {
                    return Err(bad("Invalid Basepath name provided."));
                }
                let letters: String =
                    path.iter().flat_map(|path| path.chars()).filter(char::is_ascii_alphanumeric).collect();
                let mut mapping = mapping(api, &id, "ApiId");
                if let Some(path) = path {
                    mapping["ApiMappingKey"] = path.trim_matches('/').into();
                }
                let mapping = resource("AWS::ApiGatewayV2::ApiMapping", source, mapping);
                out.add(&format!("{api}{letters}ApiMapping"), mapping)?;
            }
        }
    }
    Ok(())
}

/// The base paths; one of all paths where none is given.
fn paths(given: Option<&Value>) -> Result<Vec<Option<String>>, &'static str> {
    match given {
        None => Ok(vec![None]),
        Some(Value::String(path)) if path.is_empty() => Ok(vec![None]),
        Some(Value::String(path)) => Ok(vec![Some(path.clone())]),
        Some(Value::Array(list)) if list.is_empty() => Ok(vec![None]),
        Some(Value::Array(list)) => list
            .iter()
            .map(|path| path.as_str().map(|path| Some(path.to_owned())).ok_or("Basepath must be a string."))
            .collect(),
        // A function: nobody knows yet what it says.
        Some(_) => Ok(vec![None]),
    }
}

fn mapping(api: &str, domain: &str, member: &str) -> Value {
    let mut properties = Map::new();
    properties.insert("DomainName".into(), json!({ "Ref": domain }));
    properties.insert(member.into(), json!({ "Ref": api }));
    properties.insert("Stage".into(), json!({ "Ref": format!("{api}.Stage") }));
    properties.into()
}

/// Several APIs may be behind one domain name: the last of them says what it is, as with AWS's translator.
fn shared(id: String, kind: &str, source: &Value, properties: Value, out: &mut Out<'_>) -> Result<String, Error> {
    out.resources.remove(&id);
    out.add(&id, resource(kind, source, properties))?;
    Ok(id)
}
