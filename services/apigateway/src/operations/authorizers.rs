//! Authorizers of HTTP APIs: tokens of an issuer, or functions.

use cumulet_base::{id, limits};
use cumulet_wire::call::{Answer, Context};
use serde_json::{Map, Value};

use super::{Decision, answer, page, patched, text};
use crate::errors::Error;
use crate::shapes::Authorizer;
use crate::storage::{ApiRows, Change};

const WRITABLE: &[&str] = &[
    "name",
    "authorizerType",
    "identitySource",
    "jwtConfiguration",
    "authorizerUri",
    "authorizerPayloadFormatVersion",
    "authorizerResultTtlInSeconds",
    "enableSimpleResponses",
    "authorizerCredentialsArn",
    "identityValidationExpression",
];

fn find<'a>(rows: &'a ApiRows, input: &Map<String, Value>) -> Result<&'a Authorizer, Error> {
    let id = text(input, "authorizerId")?;
    rows.authorizers.get(id).ok_or_else(|| Error::NotFound("Authorizer", id.to_owned()))
}

fn check(authorizer: &Authorizer) -> Result<(), Error> {
    let invalid = |why: &str| Err(Error::Invalid(why.to_owned()));
    if authorizer.authorizer_credentials_arn.is_some() {
        return Err(Error::NotBuilt("authorizerCredentialsArn".into()));
    }
    if authorizer.identity_validation_expression.as_deref().is_some_and(|e| !e.is_empty()) {
        return invalid("Identity validation expression is not supported for HTTP APIs");
    }
    match authorizer.authorizer_type.as_str() {
        "JWT" => {
            let configuration = authorizer.jwt_configuration.as_ref();
            let is_address = |issuer: &str| issuer.starts_with("https://") || issuer.starts_with("http://");
            if configuration.is_none_or(|jwt| !is_address(&jwt.issuer)) {
                return invalid("JwtConfiguration with the address of an Issuer is required for JWT authorizers");
            }
            if authorizer.identity_source.len() != 1 {
                return invalid("Exactly one identitySource is required for JWT authorizers");
            }
            Ok(())
        }
        "REQUEST" => {
            let uri = authorizer.authorizer_uri.as_deref().unwrap_or_default();
            if !uri.contains(":lambda:") {
                return invalid("Invalid Authorizer URI");
            }
            match authorizer.authorizer_payload_format_version.as_deref() {
                Some("2.0") => {}
                Some("1.0") if authorizer.enable_simple_responses != Some(true) => {}
                Some("1.0") => return invalid("EnableSimpleResponses needs authorizerPayloadFormatVersion 2.0"),
                _ => return invalid("AuthorizerPayloadFormatVersion is a required parameter for REQUEST authorizer"),
            }
            let ttl_s = authorizer.authorizer_result_ttl_in_seconds.unwrap_or_default();
            if ttl_s > limits::AUTHORIZER_TTL_S_MAX {
                return invalid("Authorizer result TTL should be between 0 and 3600 seconds");
            }
            match ttl_s > 0 && authorizer.identity_source.is_empty() {
                true => invalid("Identity source is required when caching is enabled"),
                false => Ok(()),
            }
        }
        other => Err(Error::Invalid(format!("Invalid authorizer type {other}"))),
    }
}

pub(super) fn create(rows: &mut ApiRows, input: &Map<String, Value>, _ctx: &Context) -> Decision {
    if rows.authorizers.len() >= limits::REST_API_STAGES_MAX {
        return Err(Error::Quota("authorizers", limits::REST_API_STAGES_MAX));
    }
    text(input, "name")?;
    text(input, "authorizerType")?;
    let new = Authorizer { authorizer_id: id::short(6), ..Authorizer::default() };
    let authorizer = patched(&new, input, WRITABLE)?;
    check(&authorizer)?;
    let shown = answer(&authorizer)?;
    Ok((vec![Change::PutAuthorizer(authorizer)], shown))
}

pub(super) fn get(rows: &ApiRows, input: &Map<String, Value>) -> Result<Answer, Error> {
    answer(find(rows, input)?)
}

pub(super) fn list(rows: &ApiRows, input: &Map<String, Value>) -> Result<Answer, Error> {
    page(rows.authorizers.values(), input)
}

pub(super) fn update(rows: &mut ApiRows, input: &Map<String, Value>, _ctx: &Context) -> Decision {
    let authorizer = patched(find(rows, input)?, input, WRITABLE)?;
    check(&authorizer)?;
    let shown = answer(&authorizer)?;
    Ok((vec![Change::PutAuthorizer(authorizer)], shown))
}

pub(super) fn delete(rows: &mut ApiRows, input: &Map<String, Value>, _ctx: &Context) -> Decision {
    let id = find(rows, input)?.authorizer_id.clone();
    if rows.routes.values().any(|route| route.authorizer_id.as_ref() == Some(&id)) {
        return Err(Error::Conflict(format!("Authorizer {id} is in use by routes of this API")));
    }
    Ok((vec![Change::DeleteAuthorizer(id)], Answer::empty()))
}
