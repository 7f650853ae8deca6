//! APIs: created, read, changed, deleted. Importing OpenAPI documents and WebSocket APIs are not here.

use cumulet_base::{id, limits};
use cumulet_wire::call::{Answer, Context};
use cumulet_wire::error::ApiError;
use serde_json::{Map, Value};

use super::{Decision, answer, endpoint, given_tags, integrations, now, page, patched, text};
use crate::ApiGateway;
use crate::errors::Error;
use crate::routing::RouteKey;
use crate::shapes::{Api, Integration, Route, Stage};
use crate::storage::{ApiRows, Change};

const WRITABLE: &[&str] = &[
    "name",
    "description",
    "version",
    "corsConfiguration",
    "disableExecuteApiEndpoint",
    "apiKeySelectionExpression",
    "routeSelectionExpression",
    "ipAddressType",
];

/// An API as clients see it.
fn shown(api: &Api, ctx: &Context) -> Result<Value, Error> {
    let mut value = serde_json::to_value(api).map_err(Error::Row)?;
    if let Some(members) = value.as_object_mut() {
        members.remove("account");
        members.remove("region");
        members.insert("apiEndpoint".into(), endpoint(ctx, &api.api_id).into());
    }
    Ok(value)
}

fn check(api: &Api) -> Result<(), Error> {
    let bad = |why: &str| Err(Error::Invalid(why.to_owned()));
    if api.name.is_empty() || api.name.chars().count() > 128 {
        return bad("Invalid API name: 1 to 128 characters");
    }
    if api.description.as_ref().is_some_and(|d| d.chars().count() > 1024) {
        return bad("Invalid description: at most 1024 characters");
    }
    if !matches!(api.ip_address_type.as_str(), "ipv4" | "dualstack") {
        return bad("Invalid ipAddressType: ipv4 or dualstack");
    }
    if let Some(cors) = &api.cors_configuration {
        let is_any = cors.allow_origins.iter().any(|o| o == "*");
        if is_any && cors.allow_credentials == Some(true) {
            return bad("Allow-credentials is not supported for wildcard origin");
        }
        if cors.max_age.is_some_and(|age| !(-1..=86_400).contains(&age)) {
            return bad("Invalid maxAge: -1 to 86400 seconds");
        }
    }
    Ok(())
}

impl ApiGateway {
    pub(super) async fn create_api(&self, ctx: &Context, input: &Map<String, Value>) -> Result<Answer, ApiError> {
        let name = text(input, "name")?;
        match text(input, "protocolType")? {
            "HTTP" => {}
            "WEBSOCKET" => return Err(Error::NotBuilt("WebSocket APIs".into()).into()),
            _ => return Err(Error::Invalid("Invalid protocol specified".into()).into()),
        }
        if input.contains_key("credentialsArn") {
            return Err(Error::NotBuilt("credentialsArn of integrations".into()).into());
        }
        let api = Api {
            api_id: id::short(10),
            account: ctx.account().to_owned(),
            region: ctx.region.clone(),
            name: name.to_owned(),
            protocol_type: "HTTP".into(),
            api_key_selection_expression: "$request.header.x-api-key".into(),
            route_selection_expression: "$request.method $request.path".into(),
            disable_execute_api_endpoint: false,
            description: None,
            version: None,
            cors_configuration: None,
            ip_address_type: "ipv4".into(),
            created_date: now(ctx),
            tags: given_tags(input)?,
        };
        let api = patched(&api, input, WRITABLE)?;
        check(&api)?;
        let changes = match input.get("target").and_then(Value::as_str) {
            Some(target) => quick(ctx, target, input)?,
            None if input.contains_key("routeKey") => {
                return Err(Error::Invalid("routeKey needs a target".into()).into());
            }
            None => Vec::new(),
        };
        let known = self.storage.list(&api.account, &api.region).await?;
        if known.len() >= limits::HTTP_APIS_MAX {
            return Err(Error::Quota("APIs", limits::HTTP_APIS_MAX).into());
        }
        self.storage.create(&api, changes).await?;
        Ok(answer(&shown(&api, ctx)?)?)
    }

    pub(super) async fn get_api(&self, ctx: &Context, input: &Map<String, Value>) -> Result<Answer, ApiError> {
        let rows = self.load(ctx, text(input, "apiId")?).await?;
        Ok(answer(&shown(&rows.api, ctx)?)?)
    }

    pub(super) async fn get_apis(&self, ctx: &Context, input: &Map<String, Value>) -> Result<Answer, ApiError> {
        let mut apis = Vec::new();
        for api_id in self.storage.list(ctx.account(), &ctx.region).await? {
            if let Some(rows) = self.storage.load(&api_id).await? {
                apis.push(shown(&rows.api, ctx)?);
            }
        }
        Ok(page(apis.into_iter(), input)?)
    }

    pub(super) async fn delete_api(&self, ctx: &Context, input: &Map<String, Value>) -> Result<Answer, ApiError> {
        let api_id = text(input, "apiId")?;
        self.check_unmapped(api_id)?;
        for _ in 0..super::CHANGE_ATTEMPTS_MAX {
            let rows = self.load(ctx, api_id).await?;
            match self.storage.delete(&rows).await {
                Ok(()) => {
                    self.ready.forget(api_id);
                    return Ok(Answer::empty());
                }
                Err(Error::Busy) => {}
                Err(other) => return Err(other.into()),
            }
        }
        Err(Error::Busy.into())
    }
}

/// What "quick create" makes besides the API: an integration, its route and the stage `$default`.
fn quick(ctx: &Context, target: &str, input: &Map<String, Value>) -> Result<Vec<Change>, Error> {
    let route_key = input.get("routeKey").and_then(Value::as_str).unwrap_or("$default");
    RouteKey::parse(route_key)
        .ok_or_else(|| Error::Invalid(format!("The provided route key is not formatted properly: {route_key}")))?;
    let integration = Integration {
        integration_id: id::short(7),
        integration_type: match target.starts_with("arn:") {
            true => "AWS_PROXY".into(),
            false => "HTTP_PROXY".into(),
        },
        integration_uri: Some(target.to_owned()),
        integration_method: None,
        connection_type: "INTERNET".into(),
        payload_format_version: "2.0".into(),
        timeout_in_millis: limits::HTTP_API_TIMEOUT_MS_MAX,
        description: None,
        api_gateway_managed: Some(true),
        credentials_arn: None,
        request_parameters: None,
        response_parameters: None,
        integration_subtype: None,
    };
    integrations::check(&integration)?;
    let route = Route {
        route_id: id::short(7),
        route_key: route_key.to_owned(),
        target: Some(format!("integrations/{}", integration.integration_id)),
        api_key_required: false,
        authorization_type: "NONE".into(),
        authorizer_id: None,
        authorization_scopes: Vec::new(),
        api_gateway_managed: Some(true),
        operation_name: None,
    };
    let stage = Stage {
        stage_name: "$default".into(),
        auto_deploy: true,
        api_gateway_managed: Some(true),
        deployment_id: None,
        description: None,
        stage_variables: Default::default(),
        default_route_settings: Default::default(),
        route_settings: Default::default(),
        access_log_settings: None,
        created_date: now(ctx),
        last_updated_date: now(ctx),
        tags: Default::default(),
    };
    Ok(vec![Change::PutIntegration(integration), Change::PutRoute(route), Change::PutStage(stage)])
}

pub(super) fn update(rows: &mut ApiRows, input: &Map<String, Value>, ctx: &Context) -> Decision {
    for quick in ["routeKey", "target", "credentialsArn"] {
        if input.contains_key(quick) {
            return Err(Error::NotBuilt(format!("UpdateApi with {quick}")));
        }
    }
    rows.api = patched(&rows.api, input, WRITABLE)?;
    check(&rows.api)?;
    Ok((Vec::new(), answer(&shown(&rows.api, ctx)?)?))
}

pub(super) fn delete_cors(rows: &mut ApiRows, _input: &Map<String, Value>, _ctx: &Context) -> Decision {
    rows.api.cors_configuration = None;
    Ok((Vec::new(), Answer::empty()))
}
