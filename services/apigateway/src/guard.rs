//! Who may take a route of an HTTP API: anybody, who signs, who has a token, or whom a function lets in
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-access-control.html>).

use std::sync::Arc;

use cumulet_wire::auth::Caller;
use cumulet_wire::policy::Decision;
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::ApiGateway;
use crate::authorizer::{self, Question, Said, Silent};
use crate::jwt::Invalid;
use crate::plane::{Asked, event};
use crate::shapes::Authorizer;

type Refusal = (StatusCode, &'static str);

const UNAUTHORIZED: Refusal = (StatusCode::UNAUTHORIZED, "Unauthorized");
const FORBIDDEN: Refusal = (StatusCode::FORBIDDEN, "Forbidden");
const FAILED: Refusal = (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error");

/// What is known of who asks.
#[derive(Clone, Debug, Default)]
pub(crate) enum Known {
    #[default]
    Nothing,
    Caller(Box<Caller>),
    Claims(Map<String, Value>, Vec<String>),
    Context(Map<String, Value>),
}

impl Known {
    /// As `requestContext.authorizer` says it in either format.
    pub fn shown(&self, is_v1: bool) -> Option<Value> {
        match self {
            Known::Nothing => None,
            Known::Caller(caller) => {
                let arn = caller.names().first().copied().unwrap_or_default();
                let iam = json!({
                    "accessKey": null,
                    "accountId": caller.account,
                    "callerId": arn,
                    "cognitoIdentity": null,
                    "principalOrgId": null,
                    "userArn": arn,
                    "userId": arn,
                });
                Some(if is_v1 { iam } else { json!({ "iam": iam }) })
            }
            Known::Claims(claims, scopes) => {
                let texts: Map<String, Value> = claims
                    .iter()
                    .map(|(name, value)| {
                        (name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned).into())
                    })
                    .collect();
                let scopes = if scopes.is_empty() { Value::Null } else { json!(scopes) };
                let jwt = json!({ "claims": texts, "scopes": scopes });
                Some(if is_v1 { jwt } else { json!({ "jwt": jwt }) })
            }
            Known::Context(context) => {
                let context = Value::from(context.clone());
                Some(if is_v1 { context } else { json!({ "lambda": context }) })
            }
        }
    }
}

/// What an identity source names: `$request.header.X`, `$request.querystring.x`, `$context.…`, `$stageVariables.x`.
fn identified(asked: &Asked<'_>, source: &str) -> Option<String> {
    let rest = source.strip_prefix('$')?;
    if let Some(name) = rest.strip_prefix("request.header.") {
        return asked.request.headers.get(name.to_ascii_lowercase()).and_then(|v| v.to_str().ok()).map(str::to_owned);
    }
    if let Some(name) = rest.strip_prefix("request.querystring.") {
        let mut all = form_urlencoded::parse(asked.request.query.as_bytes());
        return all.find(|(known, _)| known == name).map(|(_, value)| value.into_owned());
    }
    if let Some(name) = rest.strip_prefix("stageVariables.") {
        return asked.stage.stage.stage_variables.get(name).cloned();
    }
    match rest {
        "context.routeKey" => Some(asked.route.route.route_key.clone()),
        "context.httpMethod" => Some(asked.request.method.to_string()),
        "context.path" => Some(asked.path.to_owned()),
        _ => None,
    }
    .filter(|value| !value.is_empty())
}

impl ApiGateway {
    pub(crate) async fn let_in(&self, asked: &Asked<'_>) -> Result<Known, Refusal> {
        let route = &asked.route.route;
        let authorizer = || {
            let id = route.authorizer_id.as_deref().unwrap_or_default();
            asked.api.authorizers.get(id).ok_or(FAILED)
        };
        match route.authorization_type.as_str() {
            "NONE" => Ok(Known::Nothing),
            "AWS_IAM" => match self.verifier.verify(asked.request, &arn(asked)).await {
                Some(caller) => Ok(Known::Caller(Box::new(caller))),
                None => Err(FORBIDDEN),
            },
            "JWT" => self.token(asked, authorizer()?).await,
            _ => self.ask_authorizer(asked, authorizer()?).await,
        }
    }

    async fn token(&self, asked: &Asked<'_>, authorizer: &Authorizer) -> Result<Known, Refusal> {
        let source = authorizer.identity_source.first().map(String::as_str).unwrap_or_default();
        let given = identified(asked, source).ok_or(UNAUTHORIZED)?;
        let token = given.strip_prefix("Bearer ").or_else(|| given.strip_prefix("bearer ")).unwrap_or(&given).trim();
        let configuration = authorizer.jwt_configuration.as_ref().ok_or(FAILED)?;
        let claims =
            self.issuers.check(configuration, token, asked.request.now_ms).await.map_err(|invalid| match invalid {
                Invalid::Token(_) => UNAUTHORIZED,
                Invalid::Issuer(why) => {
                    tracing::warn!(why, issuer = configuration.issuer, "an issuer's keys cannot be read");
                    FAILED
                }
            })?;
        let granted = claims.get("scope").or_else(|| claims.get("scp"));
        let granted: Vec<String> = match granted {
            Some(Value::String(text)) => text.split(' ').map(str::to_owned).collect(),
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        let wanted = &asked.route.route.authorization_scopes;
        if !wanted.is_empty() && !wanted.iter().any(|scope| granted.contains(scope)) {
            return Err(FORBIDDEN);
        }
        Ok(Known::Claims(claims, granted))
    }

    async fn ask_authorizer(&self, asked: &Asked<'_>, authorizer: &Authorizer) -> Result<Known, Refusal> {
        let mut identity = Vec::new();
        for source in &authorizer.identity_source {
            identity.push(identified(asked, source).ok_or(UNAUTHORIZED)?);
        }
        let now_ms = asked.request.now_ms;
        let ttl_s = authorizer.authorizer_result_ttl_in_seconds.unwrap_or_default();
        let key = (asked.api.api.api_id.clone(), authorizer.authorizer_id.clone(), identity.join("\n"));
        let kept = if ttl_s == 0 { None } else { self.authorizations.get(&key, now_ms) };
        let said = match kept {
            Some(said) => said,
            None => {
                let api = &asked.api.api;
                let source = format!("{}/authorizers/{}", api.api_id, authorizer.authorizer_id);
                let question = Question {
                    uri: authorizer.authorizer_uri.as_deref().unwrap_or_default(),
                    variables: &asked.stage.stage.stage_variables,
                    account: &api.account,
                    source_arn: cumulet_base::arn::Arn::new("execute-api", &api.region, &api.account, source)
                        .to_string(),
                    event: question(asked, authorizer, &identity),
                };
                let said = authorizer::ask(&self.invoker, question, now_ms).await.map_err(|silent| match silent {
                    Silent::Unauthorized => UNAUTHORIZED,
                    Silent::Failed(why) => {
                        tracing::warn!(why, api = api.api_id, "an authorizer failed");
                        FAILED
                    }
                })?;
                let said = Arc::new(said);
                self.authorizations.keep(key, said.clone(), ttl_s, now_ms);
                said
            }
        };
        let is_simple = matches!(*said, Said::Simple { .. });
        if is_simple != authorizer.enable_simple_responses.unwrap_or_default() {
            return Err(FAILED);
        }
        match said.decide(&arn(asked)) {
            Decision::Allow => Ok(Known::Context(said.context().clone())),
            _ => Err(FORBIDDEN),
        }
    }
}

/// The route as it is called.
fn arn(asked: &Asked<'_>) -> String {
    let api = &asked.api.api;
    let stage = &asked.stage.stage.stage_name;
    let below = asked.path.strip_prefix('/').and_then(|path| path.strip_prefix(stage.as_str()));
    let below = below.filter(|below| below.is_empty() || below.starts_with('/')).unwrap_or(asked.path);
    let resource = format!("{}/{stage}/{}{below}", api.api_id, asked.request.method);
    cumulet_base::arn::Arn::new("execute-api", &api.region, &api.account, resource).to_string()
}

fn question(asked: &Asked<'_>, authorizer: &Authorizer, identity: &[String]) -> Value {
    let is_v1 = authorizer.authorizer_payload_format_version.as_deref() == Some("1.0");
    let mut question: Value = serde_json::from_slice(&event(asked, Known::Nothing, is_v1)).unwrap_or_default();
    if let Some(question) = question.as_object_mut() {
        for member in ["body", "isBase64Encoded"] {
            question.remove(member);
        }
    }
    question["type"] = "REQUEST".into();
    if is_v1 {
        question["methodArn"] = arn(asked).into();
        question["identitySource"] = identity.join(",").into();
        question["authorizationToken"] = identity.join(",").into();
    } else {
        question["routeArn"] = arn(asked).into();
        question["identitySource"] = identity.into();
    }
    question
}
