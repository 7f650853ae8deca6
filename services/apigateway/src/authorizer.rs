//! Functions that say whether a request may pass
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-use-lambda-authorizer.html>), and what they said,
//! kept for as long as it is good for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use cumulet_base::{id, limits};
use cumulet_engine::catalog::{Access, Invoker};
use cumulet_engine::invocation::Invocation;
use cumulet_wire::policy::{self, Circumstances, Decision};
use serde_json::{Map, Value, json};

use crate::routing::function_of;
use crate::shapes::Texts;

/// What an authorizer said of somebody.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    Simple { is_authorized: bool, context: Map<String, Value> },
    Policy { principal: String, document: String, context: Map<String, Value>, api_key: Option<String> },
}

/// Why it said nothing.
#[derive(Debug, PartialEq, Eq)]
pub enum Silent {
    /// It ended with the error `Unauthorized`.
    Unauthorized,
    /// It failed, or its answer is none.
    Failed(String),
}

impl Said {
    /// # Errors
    /// When the answer has neither form.
    pub fn read(payload: &[u8]) -> Result<Said, Silent> {
        let failed = |why: &str| Silent::Failed(why.to_owned());
        let value: Value =
            serde_json::from_slice(payload).map_err(|_| failed("the authorizer's answer is not JSON"))?;
        let context = value["context"].as_object().cloned().unwrap_or_default();
        if let Some(is_authorized) = value["isAuthorized"].as_bool() {
            return Ok(Said::Simple { is_authorized, context });
        }
        let document = value["policyDocument"].to_string();
        if policy::Document::parse(&document).is_none() {
            return Err(failed("the authorizer's answer has no policyDocument"));
        }
        let Some(principal) = value["principalId"].as_str() else {
            return Err(failed("the authorizer's answer has no principalId"));
        };
        let api_key = value["usageIdentifierKey"].as_str().map(str::to_owned);
        Ok(Said::Policy { principal: principal.to_owned(), document, context, api_key })
    }

    pub fn decide(&self, resource: &str) -> Decision {
        match self {
            Said::Simple { is_authorized: true, .. } => Decision::Allow,
            Said::Simple { .. } => Decision::ImplicitDeny,
            Said::Policy { document, .. } => {
                policy::decide([document.as_str()], "execute-api:Invoke", resource, &Circumstances::new())
            }
        }
    }

    pub fn context(&self) -> &Map<String, Value> {
        match self {
            Said::Simple { context, .. } | Said::Policy { context, .. } => context,
        }
    }
}

/// Whom to ask, and in whose name.
pub struct Question<'a> {
    pub uri: &'a str,
    pub variables: &'a Texts,
    pub account: &'a str,
    /// Of the authorizer, for the function's policy.
    pub source_arn: String,
    pub event: Value,
}

pub async fn ask(invoker: &Arc<dyn Invoker>, question: Question<'_>, now_ms: u64) -> Result<Said, Silent> {
    let target = function_of(question.uri, question.variables)
        .ok_or_else(|| Silent::Failed(format!("no function is named by {}", question.uri)))?;
    let access = Access::Service {
        principal: "apigateway.amazonaws.com".into(),
        source_arn: question.source_arn,
        source_account: question.account.to_owned(),
    };
    let invocation = Invocation {
        request_id: id::uuid(),
        payload: question.event.to_string().into_bytes().into(),
        invoked_arn: target.arn(),
        trace: id::trace_header(now_ms),
        client_context: None,
        ..Invocation::default()
    };
    let outcome = invoker.invoke(&target, &access, invocation).await.map_err(|e| Silent::Failed(e.to_string()))?;
    if outcome.function_error.is_some() {
        let error: Value = serde_json::from_slice(&outcome.payload).unwrap_or_else(|_| json!({}));
        return Err(match error["errorMessage"] == "Unauthorized" {
            true => Silent::Unauthorized,
            false => Silent::Failed("the authorizer ended in an error".into()),
        });
    }
    Said::read(&outcome.payload)
}

struct Kept {
    said: Arc<Said>,
    until_ms: u64,
}

/// Answers by API, authorizer and what identified the caller.
#[derive(Default)]
pub struct Authorizations {
    kept: Mutex<HashMap<(String, String, String), Kept>>,
}

impl Authorizations {
    pub fn get(&self, key: &(String, String, String), now_ms: u64) -> Option<Arc<Said>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(key).filter(|kept| kept.until_ms > now_ms).map(|kept| kept.said.clone())
    }

    pub fn keep(&self, key: (String, String, String), said: Arc<Said>, ttl_s: u64, now_ms: u64) {
        if ttl_s == 0 {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= limits::AUTHORIZATIONS_MAX {
            kept.retain(|_, kept| kept.until_ms > now_ms);
        }
        // Full of what is still good: the new one is asked for again the next time.
        if kept.len() < limits::AUTHORIZATIONS_MAX {
            kept.insert(key, Kept { said, until_ms: now_ms + ttl_s * 1000 });
        }
    }

    /// Of one API, because it was changed or somebody asks for it.
    pub fn forget(&self, api_id: &str) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).retain(|(api, ..), _| api != api_id);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_answers_say() {
        let policy = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "arn:aws:execute-api:r:0:api/s/GET/*"},
            {"Effect": "Deny", "Action": "*", "Resource": "arn:aws:execute-api:r:0:api/s/GET/secret"},
        ]});
        let said = Said::read(json!({"principalId": "me", "policyDocument": policy}).to_string().as_bytes()).unwrap();
        assert_eq!(said.decide("arn:aws:execute-api:r:0:api/s/GET/x"), Decision::Allow);
        assert_eq!(said.decide("arn:aws:execute-api:r:0:api/s/POST/x"), Decision::ImplicitDeny);
        assert_eq!(said.decide("arn:aws:execute-api:r:0:api/s/GET/secret"), Decision::ExplicitDeny);
        let simple = Said::read(br#"{"isAuthorized": true, "context": {"a": 1}}"#).unwrap();
        assert_eq!((simple.decide("any"), &simple.context()["a"]), (Decision::Allow, &json!(1)));
        for bad in ["", "{}", "null", r#"{"principalId": "me"}"#, r#"{"policyDocument": {"Statement": []}}"#] {
            assert!(Said::read(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn answers_are_good_for_a_time() {
        let kept = Authorizations::default();
        let key = ("api".to_owned(), "a".to_owned(), "token".to_owned());
        let said = Arc::new(Said::Simple { is_authorized: true, context: Map::new() });
        kept.keep(key.clone(), said.clone(), 0, 0);
        assert!(kept.get(&key, 0).is_none());
        kept.keep(key.clone(), said.clone(), 2, 1000);
        assert!(kept.get(&key, 2999).is_some());
        assert!(kept.get(&key, 3000).is_none());
        kept.keep(key.clone(), said, 9, 1000);
        kept.forget("api");
        assert!(kept.get(&key, 1000).is_none());
    }
}
