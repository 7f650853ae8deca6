//! Domain names and their base path mappings (version 1): the same domain names as version 2's.

use cumulet_base::id;
use cumulet_wire::call::{Answer, Context};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{Input, answer, optional, page, text};
use crate::ApiGateway;
use crate::domains::{Domain, Mapping};
use crate::errors::Error;
use crate::operations::{domains::ZONE, given_tags};

/// How an empty base path is called.
const NONE: &str = "(none)";

fn shown(domain: &Domain, ctx: &Context) -> Value {
    let mut value = json!({
        "domainName": domain.name,
        "domainNameArn": format!("arn:aws:apigateway:{}::/domainnames/{}", domain.region, domain.name),
        "endpointConfiguration": { "types": [domain.endpoint_type], "ipAddressType": "ipv4" },
        "domainNameStatus": "AVAILABLE",
        "securityPolicy": domain.security_policy,
        "tags": domain.tags,
        "routingMode": "BASE_PATH_MAPPING_ONLY",
    });
    let (certificate, name, zone) = match domain.endpoint_type.as_str() {
        "EDGE" => ("certificateArn", "distributionDomainName", "distributionHostedZoneId"),
        _ => ("regionalCertificateArn", "regionalDomainName", "regionalHostedZoneId"),
    };
    value[certificate] = json!(domain.certificate_arn);
    value[name] = domain.target(ctx).into();
    value[zone] = ZONE.into();
    value
}

fn shown_mapping(mapping: &Mapping) -> Value {
    let base_path = if mapping.key.is_empty() { NONE } else { &mapping.key };
    json!({ "basePath": base_path, "restApiId": mapping.api_id, "stage": mapping.stage })
}

/// A base path as it is given; the empty one has a name.
fn key_of(base_path: &str) -> String {
    if base_path == NONE { String::new() } else { base_path.to_owned() }
}

/// The patch operations of a request.
fn patches(input: &Input) -> Vec<[String; 3]> {
    let list = input.get("patchOperations").and_then(Value::as_array);
    let of = |patch: &'_ Value| -> [String; 3] {
        ["op", "path", "value"].map(|member| patch[member].as_str().unwrap_or_default().to_owned())
    };
    list.into_iter().flatten().map(of).collect()
}

fn bad_patch(path: &str) -> Error {
    Error::Invalid(format!("Invalid patch path '{path}' specified"))
}

impl ApiGateway {
    pub(super) async fn operate_rest_domains(
        &self,
        ctx: &Context,
        name: &str,
        input: &Input,
    ) -> Result<Answer, ApiError> {
        // Of a request for a new one the member is in its body, and in the path of all others.
        let domain_name = || text(input, "domain_name").or_else(|_| text(input, "domainName"));
        Ok(match name {
            "CreateDomainName" => {
                let domain = self.new_rest_domain(ctx, domain_name()?, input)?;
                self.add_domain(&domain).await?;
                answer(&shown(&domain, ctx))?
            }
            "GetDomainName" => answer(&shown(&self.domain(ctx, domain_name()?).await?, ctx))?,
            "GetDomainNames" => {
                let all = self.domains.list(ctx.account(), &ctx.region);
                page(all.iter().map(|domain| shown(domain, ctx)), input)?
            }
            "UpdateDomainName" => {
                let patches = patches(input);
                let change = |domain: &mut Domain| {
                    for [_, path, value] in &patches {
                        match path.as_str() {
                            "/certificateArn" | "/regionalCertificateArn" => domain.set_certificate(value)?,
                            "/securityPolicy" => domain.set_policy(value)?,
                            path if path.starts_with("/endpointConfiguration/types") => domain.set_type(value)?,
                            path => return Err(bad_patch(path)),
                        }
                    }
                    Ok(())
                };
                answer(&shown(&self.change_domain(ctx, domain_name()?, change).await?, ctx))?
            }
            "DeleteDomainName" => {
                self.delete_domain(ctx, domain_name()?).await?;
                Answer::empty()
            }
            "CreateBasePathMapping" => {
                let mapping = Mapping {
                    id: id::short(6),
                    api_id: text(input, "restApiId")?.to_owned(),
                    stage: optional(input, "stage").filter(|stage| !stage.is_empty()),
                    key: key_of(&optional(input, "basePath").unwrap_or_default()),
                };
                self.put_mapping(ctx, domain_name()?, &mapping).await?;
                answer(&shown_mapping(&mapping))?
            }
            "GetBasePathMappings" => {
                let domain = self.domain(ctx, domain_name()?).await?;
                page(domain.mappings.iter().map(shown_mapping), input)?
            }
            _ => self.operate_base_path(ctx, name, domain_name()?, input).await?,
        })
    }

    fn new_rest_domain(&self, ctx: &Context, name: &str, input: &Input) -> Result<Domain, Error> {
        for member in ["mutualTlsAuthentication", "policy", "certificateBody", "certificateName"] {
            if input.get(member).is_some_and(|value| !value.is_null()) {
                return Err(Error::NotBuilt(format!("{member} of domain names")));
            }
        }
        let mut domain = self.new_domain(ctx, name)?;
        domain.tags = given_tags(input)?;
        let regional = optional(input, "regionalCertificateArn");
        // Without a type it is an edge one, as on AWS, unless its certificate says otherwise.
        let types = input.get("endpointConfiguration").and_then(|given| given["types"][0].as_str());
        domain.set_type(types.unwrap_or(if regional.is_some() { "REGIONAL" } else { "EDGE" }))?;
        let certificate = regional.or_else(|| optional(input, "certificateArn"));
        let certificate = certificate.ok_or_else(|| Error::Invalid("A domain name needs a certificate".into()))?;
        domain.set_certificate(&certificate)?;
        if let Some(policy) = optional(input, "securityPolicy") {
            domain.set_policy(&policy)?;
        }
        Ok(domain)
    }

    /// Of one mapping that is there.
    async fn operate_base_path(
        &self,
        ctx: &Context,
        name: &str,
        domain_name: &str,
        input: &Input,
    ) -> Result<Answer, ApiError> {
        let key = key_of(text(input, "base_path")?);
        let domain = self.domain(ctx, domain_name).await?;
        let missing = || Error::NotFound("base path mapping", key.clone());
        let mapping = domain.mappings.iter().find(|mapping| mapping.key == key).ok_or_else(missing)?;
        match name {
            "GetBasePathMapping" => Ok(answer(&shown_mapping(mapping))?),
            "UpdateBasePathMapping" => {
                let mut mapping = mapping.clone();
                for [op, path, value] in patches(input) {
                    match (path.as_str(), op.as_str()) {
                        ("/basePath" | "/basepath", _) => mapping.key = key_of(&value),
                        ("/restapiId" | "/restApiId", _) => mapping.api_id = value,
                        ("/stage", "remove") => mapping.stage = None,
                        ("/stage", _) => mapping.stage = Some(value),
                        _ => return Err(bad_patch(&path).into()),
                    }
                }
                self.put_mapping(ctx, domain_name, &mapping).await?;
                Ok(answer(&shown_mapping(&mapping))?)
            }
            "DeleteBasePathMapping" => {
                self.remove_mapping(ctx, domain_name, &mapping.id).await?;
                Ok(Answer::empty())
            }
            other => Err(ApiError::not_implemented("apigateway", other)),
        }
    }
}
