//! Authorizers, models, request validators and gateway responses: parts of an API that are made, looked at and changed alike.

use std::collections::BTreeMap;

use cumulet_base::{id, limits};
use cumulet_wire::call::{Answer, Context};
use cumulet_wire::error::ApiError;

use super::{Decision, Input, page, shape};
use crate::ApiGateway;
use crate::errors::Error;
use crate::operations::{answer, text};
use crate::rest::patch::patched;
use crate::rest::shapes::{Authorizer, GatewayResponse, Model, RequestValidator};
use crate::rest::{mock, schema};
use crate::storage::rest::{Definition, Part, RestChange, RestRows};

/// What differs between the kinds.
trait Kind: Part + Clone {
    const NOUN: &'static str;
    /// The member of a path that names one.
    const MEMBER: &'static str;
    const WRITABLE: &'static [&'static str];

    fn all(definition: &Definition) -> &BTreeMap<String, Self>;
    fn made(input: &Input) -> Result<Self, Error>;
    fn check(&self) -> Result<(), Error>;
    /// Whether it cannot be deleted, and why.
    fn used(&self, definition: &Definition) -> Option<String> {
        let _ = definition;
        None
    }
}

pub(super) fn check_authorizer(authorizer: &Authorizer) -> Result<(), Error> {
    match authorizer.r#type.as_str() {
        "TOKEN" | "REQUEST" => {}
        "COGNITO_USER_POOLS" => return Err(Error::NotBuilt("authorizers of type COGNITO_USER_POOLS".into())),
        other => return Err(Error::Invalid(format!("Invalid authorizer type {other}"))),
    }
    if authorizer.authorizer_credentials.is_some() {
        return Err(Error::NotBuilt("authorizerCredentials".into()));
    }
    if authorizer.authorizer_uri.as_deref().is_none_or(|uri| !uri.contains(":lambda:path/")) {
        return Err(Error::Invalid("Invalid Authorizer URI".into()));
    }
    let ttl = authorizer.authorizer_result_ttl_in_seconds.unwrap_or(limits::AUTHORIZER_TTL_S);
    if ttl > limits::AUTHORIZER_TTL_S_MAX {
        return Err(Error::Invalid("Authorizer result TTL should be between 0 and 3600 seconds".into()));
    }
    let sources = authorizer.identity_source.as_deref().unwrap_or_default();
    let is_header = |source: &str| source.trim().starts_with("method.request.header.");
    if authorizer.r#type == "TOKEN" && !is_header(sources) {
        return Err(Error::Invalid("Invalid identity source for TOKEN authorizer".into()));
    }
    if authorizer.r#type == "REQUEST" && sources.is_empty() && ttl > 0 {
        return Err(Error::Invalid("Identity source is required for a REQUEST authorizer with caching".into()));
    }
    if authorizer.identity_validation_expression.as_deref().is_some_and(|e| !e.is_empty()) {
        return Err(Error::NotBuilt("identityValidationExpression".into()));
    }
    Ok(())
}

impl Kind for Authorizer {
    const NOUN: &'static str = "Authorizer";
    const MEMBER: &'static str = "authorizer_id";
    const WRITABLE: &'static [&'static str] =
        &["name", "authorizerUri", "identitySource", "authorizerResultTtlInSeconds", "type", "authType"];

    fn all(definition: &Definition) -> &BTreeMap<String, Authorizer> {
        &definition.authorizers
    }

    fn made(input: &Input) -> Result<Authorizer, Error> {
        let name = text(input, "name")?.to_owned();
        Ok(Authorizer { id: id::short(6), name, ..shape(input)? })
    }

    fn check(&self) -> Result<(), Error> {
        check_authorizer(self)
    }

    fn used(&self, definition: &Definition) -> Option<String> {
        let mut methods = definition.resources.values().flat_map(|resource| resource.resource_methods.values());
        let is_used = methods.any(|method| method.authorizer_id.as_deref() == Some(&self.id));
        is_used.then(|| format!("Authorizer {} is in use", self.id))
    }
}

impl Kind for Model {
    const NOUN: &'static str = "Model";
    const MEMBER: &'static str = "model_name";
    const WRITABLE: &'static [&'static str] = &["description", "schema"];

    fn all(definition: &Definition) -> &BTreeMap<String, Model> {
        &definition.models
    }

    fn made(input: &Input) -> Result<Model, Error> {
        text(input, "name")?;
        Ok(Model { id: id::short(6), ..shape(input)? })
    }

    fn check(&self) -> Result<(), Error> {
        let is_good = !self.name.is_empty() && self.name.bytes().all(|b| b.is_ascii_alphanumeric());
        match is_good {
            true => schema::check(self.schema.as_deref().unwrap_or_default()),
            false => Err(Error::Invalid("Model name must be alphanumeric".into())),
        }
    }
}

impl Kind for RequestValidator {
    const NOUN: &'static str = "RequestValidator";
    const MEMBER: &'static str = "requestvalidator_id";
    const WRITABLE: &'static [&'static str] = &["name", "validateRequestBody", "validateRequestParameters"];

    fn all(definition: &Definition) -> &BTreeMap<String, RequestValidator> {
        &definition.validators
    }

    fn made(input: &Input) -> Result<RequestValidator, Error> {
        Ok(RequestValidator { id: id::short(6), ..shape(input)? })
    }

    fn check(&self) -> Result<(), Error> {
        Ok(())
    }
}

impl Kind for GatewayResponse {
    const NOUN: &'static str = "GatewayResponse";
    const MEMBER: &'static str = "response_type";
    const WRITABLE: &'static [&'static str] = &[];

    fn all(definition: &Definition) -> &BTreeMap<String, GatewayResponse> {
        &definition.responses
    }

    fn made(input: &Input) -> Result<GatewayResponse, Error> {
        let response_type = text(input, "response_type")?.to_owned();
        Ok(GatewayResponse { response_type, default_response: false, ..shape(input)? })
    }

    fn check(&self) -> Result<(), Error> {
        check_gateway_response(self)
    }
}

pub(super) fn check_gateway_response(response: &GatewayResponse) -> Result<(), Error> {
    for template in response.response_templates.values() {
        let rest = template.replace("$context.error.messageString", "").replace("$context.error.message", "");
        let rest = rest.replace("$context.error.responseType", "").replace("$context.requestId", "");
        mock::check_response(&rest)?;
    }
    for (name, value) in &response.response_parameters {
        let is_quoted = value.len() >= 2 && value.starts_with('\'') && value.ends_with('\'');
        if !name.starts_with("gatewayresponse.header.") || !is_quoted {
            return Err(Error::NotBuilt(format!("response parameter {name}: {value}")));
        }
    }
    Ok(())
}

fn find<'a, K: Kind>(rows: &'a RestRows, input: &Input) -> Result<&'a K, Error> {
    let id = text(input, K::MEMBER)?;
    K::all(&rows.now).get(id).ok_or_else(|| Error::NotFound(K::NOUN, id.to_owned()))
}

fn create<K: Kind>(rows: &mut RestRows, input: &Input, _ctx: &Context) -> Decision {
    let known = K::all(&rows.now);
    let part = K::made(input)?;
    if known.len() >= limits::REST_API_PARTS_MAX {
        return Err(Error::Quota(K::NOUN, limits::REST_API_PARTS_MAX));
    }
    if known.contains_key(part.key()) && K::NOUN != GatewayResponse::NOUN {
        return Err(Error::Conflict(format!("{} name already exists for this REST API", K::NOUN)));
    }
    part.check()?;
    Ok((vec![RestChange::put(&part)?], answer(&part)?))
}

fn get<K: Kind>(rows: &RestRows, input: &Input) -> Result<Answer, Error> {
    answer(find::<K>(rows, input)?)
}

fn list<K: Kind>(rows: &RestRows, input: &Input) -> Result<Answer, Error> {
    page(K::all(&rows.now).values(), input)
}

fn update<K: Kind>(rows: &mut RestRows, input: &Input, _ctx: &Context) -> Decision {
    let part: K = patched(find::<K>(rows, input)?, input, K::WRITABLE)?;
    part.check()?;
    Ok((vec![RestChange::put(&part)?], answer(&part)?))
}

fn delete<K: Kind>(rows: &mut RestRows, input: &Input, _ctx: &Context) -> Decision {
    let part = find::<K>(rows, input)?;
    match part.used(&rows.now) {
        Some(why) => Err(Error::Conflict(why)),
        None => Ok((vec![RestChange::delete::<K>(part.key())], Answer::empty())),
    }
}

impl ApiGateway {
    pub(super) async fn operate_parts(&self, ctx: &Context, name: &str, input: &Input) -> Result<Answer, ApiError> {
        match name {
            "CreateAuthorizer" => self.change_rest(ctx, input, create::<Authorizer>).await,
            "GetAuthorizer" => self.look_rest(ctx, input, get::<Authorizer>).await,
            "GetAuthorizers" => self.look_rest(ctx, input, list::<Authorizer>).await,
            "UpdateAuthorizer" => self.change_rest(ctx, input, update::<Authorizer>).await,
            "DeleteAuthorizer" => self.change_rest(ctx, input, delete::<Authorizer>).await,
            "CreateModel" => self.change_rest(ctx, input, create::<Model>).await,
            "GetModel" => self.look_rest(ctx, input, get::<Model>).await,
            "GetModels" => self.look_rest(ctx, input, list::<Model>).await,
            "UpdateModel" => self.change_rest(ctx, input, update::<Model>).await,
            "DeleteModel" => self.change_rest(ctx, input, delete::<Model>).await,
            "CreateRequestValidator" => self.change_rest(ctx, input, create::<RequestValidator>).await,
            "GetRequestValidator" => self.look_rest(ctx, input, get::<RequestValidator>).await,
            "GetRequestValidators" => self.look_rest(ctx, input, list::<RequestValidator>).await,
            "UpdateRequestValidator" => self.change_rest(ctx, input, update::<RequestValidator>).await,
            "DeleteRequestValidator" => self.change_rest(ctx, input, delete::<RequestValidator>).await,
            "PutGatewayResponse" => self.change_rest(ctx, input, create::<GatewayResponse>).await,
            "GetGatewayResponse" => self.look_rest(ctx, input, get::<GatewayResponse>).await,
            "GetGatewayResponses" => self.look_rest(ctx, input, list::<GatewayResponse>).await,
            "DeleteGatewayResponse" => self.change_rest(ctx, input, delete::<GatewayResponse>).await,
            other => Err(ApiError::not_implemented("apigateway", other)),
        }
    }
}
