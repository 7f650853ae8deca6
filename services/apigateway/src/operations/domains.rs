//! Domain names and their API mappings (version 2), and what version 1's share with them.

use cumulet_base::{id, limits};
use cumulet_wire::call::{Answer, Context};
use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};

use super::{CHANGE_ATTEMPTS_MAX, answer, given_tags, page, text};
use crate::ApiGateway;
use crate::domains::{self, Domain, Mapping};
use crate::errors::Error;

type Input = Map<String, Value>;

/// Where the zone of the names would be that domain names are aliases of; there is no service of names.
pub(crate) const ZONE: &str = "ZCUMULET0000000000000";

fn optional<'a>(input: &'a Input, member: &str) -> Option<&'a str> {
    input.get(member).and_then(Value::as_str)
}

fn shown(domain: &Domain, ctx: &Context) -> Value {
    json!({
        "apiMappingSelectionExpression": "$request.basepath",
        "domainName": domain.name,
        "domainNameArn": format!("arn:aws:apigateway:{}::/domainnames/{}", domain.region, domain.name),
        "domainNameConfigurations": [{
            "apiGatewayDomainName": domain.target(ctx),
            "certificateArn": domain.certificate_arn,
            "domainNameStatus": "AVAILABLE",
            "endpointType": domain.endpoint_type,
            "hostedZoneId": ZONE,
            "ipAddressType": "ipv4",
            "securityPolicy": domain.security_policy,
        }],
        "routingMode": "API_MAPPING_ONLY",
        "tags": domain.tags,
    })
}

fn shown_mapping(mapping: &Mapping) -> Value {
    json!({
        "apiId": mapping.api_id,
        "apiMappingId": mapping.id,
        "apiMappingKey": mapping.key,
        "stage": mapping.stage.as_deref().unwrap_or("*"),
    })
}

/// Takes the settings of a request over.
fn configure(domain: &mut Domain, input: &Input) -> Result<(), Error> {
    for member in ["mutualTlsAuthentication", "routingMode"] {
        let is_default = |value: &Value| value.is_null() || value == "API_MAPPING_ONLY";
        if input.get(member).is_some_and(|value| !is_default(value)) {
            return Err(Error::NotBuilt(format!("{member} of domain names")));
        }
    }
    let configurations = input.get("domainNameConfigurations").and_then(Value::as_array);
    let configuration = match configurations.map(Vec::as_slice) {
        None | Some([]) => return Ok(()),
        Some([one]) => one,
        Some(_) => return Err(Error::Invalid("A domain name has one configuration".into())),
    };
    if let Some(arn) = configuration["certificateArn"].as_str() {
        domain.set_certificate(arn)?;
    }
    if let Some(kind) = configuration["endpointType"].as_str() {
        domain.set_type(kind)?;
    }
    configuration["securityPolicy"].as_str().map_or(Ok(()), |policy| domain.set_policy(policy))
}

impl ApiGateway {
    pub(super) async fn operate_domains(&self, ctx: &Context, name: &str, input: &Input) -> Result<Answer, ApiError> {
        let domain_name = || text(input, "domainName");
        Ok(match name {
            "CreateDomainName" => {
                let mut domain = self.new_domain(ctx, domain_name()?)?;
                domain.tags = given_tags(input)?;
                configure(&mut domain, input)?;
                if domain.certificate_arn.is_none() {
                    return Err(Error::Invalid("A domain name needs a certificate".into()).into());
                }
                self.add_domain(&domain).await?;
                answer(&shown(&domain, ctx))?
            }
            "GetDomainName" => answer(&shown(&self.domain(ctx, domain_name()?).await?, ctx))?,
            "GetDomainNames" => {
                let all = self.domains.list(ctx.account(), &ctx.region);
                page(all.iter().map(|domain| shown(domain, ctx)), input)?
            }
            "UpdateDomainName" => {
                let domain = self.change_domain(ctx, domain_name()?, |domain| configure(domain, input)).await?;
                answer(&shown(&domain, ctx))?
            }
            "DeleteDomainName" => {
                self.delete_domain(ctx, domain_name()?).await?;
                Answer::empty()
            }
            "CreateApiMapping" => {
                let mapping = Mapping {
                    id: id::short(6),
                    api_id: text(input, "apiId")?.to_owned(),
                    stage: Some(text(input, "stage")?.to_owned()),
                    key: optional(input, "apiMappingKey").unwrap_or_default().to_owned(),
                };
                self.put_mapping(ctx, domain_name()?, &mapping).await?;
                answer(&shown_mapping(&mapping))?
            }
            "GetApiMappings" => {
                let domain = self.domain(ctx, domain_name()?).await?;
                page(domain.mappings.iter().map(shown_mapping), input)?
            }
            _ => self.operate_mapping(ctx, name, input).await?,
        })
    }

    /// Of one mapping that is there.
    async fn operate_mapping(&self, ctx: &Context, name: &str, input: &Input) -> Result<Answer, ApiError> {
        let (domain_name, id) = (text(input, "domainName")?, text(input, "apiMappingId")?);
        let missing = || Error::NotFound("ApiMapping", id.to_owned());
        let found = self.domain(ctx, domain_name).await?;
        let mapping = found.mappings.iter().find(|mapping| mapping.id == id).ok_or_else(missing)?;
        match name {
            "GetApiMapping" => Ok(answer(&shown_mapping(mapping))?),
            "UpdateApiMapping" => {
                let mut mapping = mapping.clone();
                text(input, "apiId")?.clone_into(&mut mapping.api_id);
                if let Some(key) = optional(input, "apiMappingKey") {
                    key.clone_into(&mut mapping.key);
                }
                if let Some(stage) = optional(input, "stage") {
                    mapping.stage = Some(stage.to_owned());
                }
                self.put_mapping(ctx, domain_name, &mapping).await?;
                Ok(answer(&shown_mapping(&mapping))?)
            }
            "DeleteApiMapping" => {
                self.remove_mapping(ctx, domain_name, id).await?;
                Ok(Answer::empty())
            }
            other => Err(ApiError::not_implemented("apigateway", other)),
        }
    }

    pub(crate) fn new_domain(&self, ctx: &Context, name: &str) -> Result<Domain, Error> {
        domains::check_name(name, ctx)?;
        Ok(Domain {
            v: 1,
            name: name.to_owned(),
            account: ctx.account().to_owned(),
            region: ctx.region.clone(),
            id: format!("d-{}", id::short(10)),
            endpoint_type: "REGIONAL".into(),
            certificate_arn: None,
            security_policy: "TLS_1_2".into(),
            tags: Default::default(),
            mappings: Vec::new(),
        })
    }

    pub(crate) async fn add_domain(&self, domain: &Domain) -> Result<(), Error> {
        if self.storage.domains().await?.len() >= limits::DOMAINS_MAX {
            return Err(Error::Quota("domain names", limits::DOMAINS_MAX));
        }
        match self.storage.put_domain(domain, None).await {
            Err(Error::Busy) => Err(Error::Conflict("The domain name you provided already exists.".into())),
            Err(other) => Err(other),
            Ok(()) => {
                self.domains.keep(domain.clone());
                Ok(())
            }
        }
    }

    /// The caller's domain of that name.
    pub(crate) async fn domain(&self, ctx: &Context, name: &str) -> Result<Domain, Error> {
        Ok(self.seen_domain(ctx, name).await?.0)
    }

    async fn seen_domain(&self, ctx: &Context, name: &str) -> Result<(Domain, cumulet_store::Rev), Error> {
        let found = self.storage.domain(name).await?;
        found
            .filter(|(domain, _)| domain.account == ctx.account() && domain.region == ctx.region)
            .ok_or_else(|| Error::NotFound("domain name", name.to_owned()))
    }

    pub(crate) async fn change_domain(
        &self,
        ctx: &Context,
        name: &str,
        change: impl Fn(&mut Domain) -> Result<(), Error> + Send + Sync,
    ) -> Result<Domain, Error> {
        let _turn = self.turn(name).await;
        for _ in 0..CHANGE_ATTEMPTS_MAX {
            let (mut domain, rev) = self.seen_domain(ctx, name).await?;
            change(&mut domain)?;
            match self.storage.put_domain(&domain, Some(rev)).await {
                Err(Error::Busy) => {}
                Err(other) => return Err(other),
                Ok(()) => {
                    self.domains.keep(domain.clone());
                    return Ok(domain);
                }
            }
        }
        Err(Error::Busy)
    }

    /// With its mappings.
    pub(crate) async fn delete_domain(&self, ctx: &Context, name: &str) -> Result<(), Error> {
        let _turn = self.turn(name).await;
        let (_, rev) = self.seen_domain(ctx, name).await?;
        self.storage.delete_domain(name, rev).await?;
        self.domains.forget(name);
        Ok(())
    }

    /// Puts a mapping in, in place of one with the same id.
    pub(crate) async fn put_mapping(&self, ctx: &Context, domain_name: &str, mapping: &Mapping) -> Result<(), Error> {
        self.check_mapping(ctx, mapping).await?;
        let put = |domain: &mut Domain| domains::put(domain, mapping.clone());
        self.change_domain(ctx, domain_name, put).await.map(drop)
    }

    pub(crate) async fn remove_mapping(&self, ctx: &Context, domain_name: &str, id: &str) -> Result<(), Error> {
        let without = |domain: &mut Domain| {
            domain.mappings.retain(|mapping| mapping.id != id);
            Ok(())
        };
        self.change_domain(ctx, domain_name, without).await.map(drop)
    }

    /// Whether the API and the stage are there and the caller's.
    async fn check_mapping(&self, ctx: &Context, mapping: &Mapping) -> Result<(), Error> {
        let api_id = &mapping.api_id;
        let missing = |stage: &String| Error::NotFound("stage", stage.clone());
        if let Some(rows) = self.storage.load_rest(api_id).await? {
            if rows.api.account != ctx.account() || rows.api.region != ctx.region {
                return Err(Error::NoApi(api_id.clone()));
            }
            return match &mapping.stage {
                Some(stage) if !rows.stages.contains_key(stage) => Err(missing(stage)),
                _ => Ok(()),
            };
        }
        let rows = self.load(ctx, api_id).await?;
        match &mapping.stage {
            Some(stage) if rows.stages.contains_key(stage) => Ok(()),
            Some(stage) => Err(missing(stage)),
            None => Err(Error::Invalid("A mapping of an HTTP API names its stage".into())),
        }
    }

    /// An API that a domain leads to stays.
    pub(crate) fn check_unmapped(&self, api_id: &str) -> Result<(), Error> {
        match self.domains.is_mapped(api_id) {
            true => Err(Error::Invalid(
                "Deleting API failed. Please remove all base path mappings related to the API in your domains".into(),
            )),
            false => Ok(()),
        }
    }
}
