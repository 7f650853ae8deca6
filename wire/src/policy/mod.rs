//! Policy documents: their shape, and what they decide
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html>): those attached to an
//! identity, and those attached to a resource, which name whom they are about. A statement whose condition asks for what
//! is not known here does not allow, but does deny.

pub mod condition;
pub mod labelled;

use serde::Deserialize;
use serde_json::Value;

pub use condition::Circumstances;
use condition::Truth;

use crate::auth::{Authorizer, Caller, Principal};
use crate::error::ApiError;
use crate::patterns::matches;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Allow,
    ExplicitDeny,
    /// No statement says anything.
    ImplicitDeny,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Document {
    #[serde(default)]
    pub version: Option<String>,
    statement: OneOrMany<Statement>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany<T> {
    Many(Vec<T>),
    One(T),
}

impl<T> OneOrMany<T> {
    fn as_slice(&self) -> &[T] {
        match self {
            OneOrMany::Many(list) => list,
            OneOrMany::One(one) => std::slice::from_ref(one),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Statement {
    pub effect: String,
    pub action: Option<OneOrMany<String>>,
    pub not_action: Option<OneOrMany<String>>,
    pub resource: Option<OneOrMany<String>>,
    pub not_resource: Option<OneOrMany<String>>,
    pub principal: Option<Value>,
    pub not_principal: Option<Value>,
    pub condition: Option<Value>,
}

impl Document {
    pub fn parse(text: &str) -> Option<Document> {
        serde_json::from_str(text).ok()
    }

    pub fn statements(&self) -> &[Statement] {
        self.statement.as_slice()
    }
}

impl Statement {
    pub fn has_action(&self, action: &str) -> bool {
        let action = action.to_ascii_lowercase();
        let any = |list: &OneOrMany<String>| {
            list.as_slice().iter().any(|pattern| matches(&pattern.to_ascii_lowercase(), &action))
        };
        match (&self.action, &self.not_action) {
            (Some(list), _) => any(list),
            (None, Some(list)) => !any(list),
            (None, None) => false,
        }
    }

    pub fn has_resource(&self, resource: &str) -> bool {
        let any = |list: &OneOrMany<String>| list.as_slice().iter().any(|pattern| matches(pattern, resource));
        match (&self.resource, &self.not_resource) {
            (Some(list), _) => any(list),
            (None, Some(list)) => !any(list),
            (None, None) => false,
        }
    }

    /// Whether it is about this caller.
    pub fn has_principal(&self, caller: &Caller) -> bool {
        let listed = |principal: &Value| {
            if principal == "*" {
                return true;
            }
            let among = |kind: &str| match &principal[kind] {
                Value::String(one) => vec![one.as_str()],
                Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
                _ => Vec::new(),
            };
            match &caller.kind {
                Principal::Service { name, .. } => {
                    among("Service").iter().any(|service| is_service(service, name)) || among("AWS").contains(&"*")
                }
                Principal::Anonymous => among("AWS").contains(&"*"),
                Principal::Owner | Principal::Role { .. } | Principal::User => {
                    let root = format!("arn:aws:iam::{}:root", caller.account);
                    let names = caller.names();
                    among("AWS").iter().any(|p| *p == "*" || *p == caller.account || *p == root || names.contains(p))
                }
            }
        };
        match (&self.principal, &self.not_principal) {
            (Some(principal), _) => listed(principal),
            (None, Some(principal)) => !listed(principal),
            (None, None) => false,
        }
    }
}

/// Whether a principal of a policy names a service: as `logs.amazonaws.com`, or in one region as `logs.us-east-1.amazonaws.com`.
fn is_service(named: &str, service: &str) -> bool {
    const DOMAIN: &str = ".amazonaws.com";
    let regional = || {
        let (of, region) = named.strip_suffix(DOMAIN)?.split_once('.')?;
        let is_region = region.ends_with(|c: char| c.is_ascii_digit()) && region.split('-').count() >= 3;
        Some(is_region && service.strip_suffix(DOMAIN)? == of)
    };
    named == service || regional().unwrap_or(false)
}

/// What condition keys a request has for its caller's sake.
pub fn circumstances(caller: &Caller) -> Circumstances {
    let mut known = Circumstances::new();
    let mut put = |key: &str, value: &str| known.insert(key.to_owned(), value.to_owned());
    // Whether connections are encrypted is settled before they reach this program, by whom its operator has put there.
    put("aws:securetransport", "true");
    match &caller.kind {
        Principal::Service { name, source_arn } => {
            put("aws:sourcearn", source_arn);
            put("aws:sourceaccount", &caller.account);
            put("aws:sourceowner", &caller.account);
            put("aws:principalservicename", name);
            put("aws:principalisawsservice", "true");
        }
        Principal::Owner | Principal::Role { .. } | Principal::User => {
            put("aws:principalarn", caller.names().last().copied().unwrap_or_default());
            put("aws:principalaccount", &caller.account);
            put("aws:principalisawsservice", "false");
        }
        Principal::Anonymous => {
            put("aws:principalisawsservice", "false");
        }
    }
    known
}

/// What the documents of an identity say together. One that cannot be read says nothing: none such was ever accepted.
pub fn decide<'a>(
    documents: impl IntoIterator<Item = &'a str>,
    action: &str,
    resource: &str,
    circumstances: &Circumstances,
) -> Decision {
    decided(documents, circumstances, |statement| statement.has_action(action) && statement.has_resource(resource))
}

/// What the document of a resource says of a caller.
pub fn decide_for(
    document: &str,
    caller: &Caller,
    action: &str,
    resource: &str,
    circumstances: &Circumstances,
) -> Decision {
    decided([document], circumstances, |statement| {
        statement.has_principal(caller) && statement.has_action(action) && statement.has_resource(resource)
    })
}

/// Whether a caller may do something to a resource that may have a policy of its own: one account's callers need either
/// policy's word, another account's both, and a service that of the resource. What either denies is denied.
///
/// # Errors
/// `AccessDeniedException` with AWS's sentence.
pub async fn guard(
    authorizer: &dyn Authorizer,
    caller: &Caller,
    action: &str,
    resource: &str,
    document: Option<&str>,
) -> Result<(), ApiError> {
    let owner = resource.split(':').nth(4).unwrap_or_default();
    let is_own = owner.is_empty() || owner == caller.account || matches!(caller.kind, Principal::Service { .. });
    guard_in(authorizer, caller, action, resource, document, &circumstances(caller), is_own).await
}

/// The same for a resource whose ARN does not tell its account, and a request with circumstances of its own.
///
/// # Errors
/// As [`guard`].
pub async fn guard_in(
    authorizer: &dyn Authorizer,
    caller: &Caller,
    action: &str,
    resource: &str,
    document: Option<&str>,
    circumstances: &Circumstances,
    is_own: bool,
) -> Result<(), ApiError> {
    let by_identity = authorizer.authorize(caller, action, resource).await;
    let Some(document) = document.filter(|_| caller.kind != Principal::Owner) else { return by_identity };
    let by_resource = decide_for(document, caller, action, resource, circumstances);
    match (by_resource, by_identity) {
        (Decision::ExplicitDeny, _) => Err(ApiError::new(
            403,
            "AccessDeniedException",
            format!(
                "User: {} is not authorized to perform: {action} on resource: {resource} with an explicit deny in a \
                 resource-based policy",
                caller.arn
            ),
        )),
        (Decision::Allow, Err(error)) if is_own && !error.message.contains("explicit deny") => Ok(()),
        (Decision::ImplicitDeny, Ok(())) if !is_own => Err(ApiError::new(
            403,
            "AccessDeniedException",
            format!(
                "User: {} is not authorized to perform: {action} on resource: {resource} because no resource-based \
                 policy allows the {action} action",
                caller.arn
            ),
        )),
        (_, answer) => answer,
    }
}

fn decided<'a>(
    documents: impl IntoIterator<Item = &'a str>,
    circumstances: &Circumstances,
    is_meant: impl Fn(&Statement) -> bool,
) -> Decision {
    let mut decision = Decision::ImplicitDeny;
    for document in documents.into_iter().filter_map(Document::parse) {
        for statement in document.statements().iter().filter(|statement| is_meant(statement)) {
            match (statement.effect.as_str(), condition::holds(statement.condition.as_ref(), circumstances)) {
                ("Deny", Truth::Yes | Truth::Unknown) => return Decision::ExplicitDeny,
                ("Allow", Truth::Yes) => decision = Decision::Allow,
                _ => {}
            }
        }
    }
    decision
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doc(statement: &str) -> String {
        format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#)
    }

    #[test]
    fn decisions() {
        use Decision::{Allow, ExplicitDeny, ImplicitDeny};
        let arn = "arn:aws:lambda:us-east-1:0:function:hello";
        for (statements, expect) in [
            (vec![r#"{"Effect":"Allow","Action":"lambda:*","Resource":"*"}"#], Allow),
            (
                vec![
                    r#"[{"Effect":"Allow","Action":["LAMBDA:invoke*"],"Resource":["arn:aws:lambda:*:*:function:hel?o"]}]"#,
                ],
                Allow,
            ),
            (vec![r#"{"Effect":"Allow","Action":"s3:*","Resource":"*"}"#], ImplicitDeny),
            (vec![r#"{"Effect":"Allow","NotAction":"s3:*","Resource":"*"}"#], Allow),
            (vec![r#"{"Effect":"Allow","Action":"*","NotResource":"*hello"}"#], ImplicitDeny),
            (vec![r#"{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"a":"true"}}}"#], ImplicitDeny),
            (
                vec![
                    r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#,
                    r#"{"Effect":"Deny","Action":"lambda:*","Resource":"*hello","Condition":{"Bool":{"a":"true"}}}"#,
                ],
                ExplicitDeny,
            ),
            (vec![], ImplicitDeny),
        ] {
            let documents: Vec<String> = statements.iter().map(|s| doc(s)).collect();
            let seen =
                decide(documents.iter().map(String::as_str), "lambda:InvokeFunction", arn, &Circumstances::new());
            assert_eq!(seen, expect, "{statements:?}");
        }
    }

    #[test]
    fn a_resource_says_of_whom() {
        let table = "arn:aws:dynamodb:r:0:table/t";
        let role = "arn:aws:iam::0:role/a";
        let allow = doc(&format!(
            r#"{{"Effect":"Allow","Principal":{{"AWS":"{role}"}},"Action":"dynamodb:GetItem","Resource":"{table}"}}"#
        ));
        let deny = doc(r#"{"Effect":"Deny","Principal":"*","Action":"dynamodb:*","Resource":"*"}"#);
        let of = |document: &str, role: &str, action: &str| {
            let caller = Caller::role(role, "s").unwrap();
            decide_for(document, &caller, action, table, &circumstances(&caller))
        };
        assert_eq!(of(&allow, role, "dynamodb:GetItem"), Decision::Allow);
        assert_eq!(of(&allow, role, "dynamodb:PutItem"), Decision::ImplicitDeny);
        assert_eq!(of(&allow, "arn:aws:iam::0:role/b", "dynamodb:GetItem"), Decision::ImplicitDeny);
        assert_eq!(of(&deny, role, "dynamodb:GetItem"), Decision::ExplicitDeny);
    }

    #[test]
    fn services_need_the_resources_word() {
        let queue = "arn:aws:sqs:r:0:q";
        let document = doc(
            r#"{"Effect":"Allow","Principal":{"Service":"sns.amazonaws.com"},"Action":"sqs:SendMessage","Resource":"*","Condition":{"ArnEquals":{"aws:SourceArn":"arn:aws:sns:r:0:t"}}}"#,
        );
        let of = |service: &str, source: &str| {
            let caller = Caller::service("0", service, source);
            decide_for(&document, &caller, "sqs:SendMessage", queue, &circumstances(&caller))
        };
        assert_eq!(of("sns.amazonaws.com", "arn:aws:sns:r:0:t"), Decision::Allow);
        assert_eq!(of("sns.amazonaws.com", "arn:aws:sns:r:0:other"), Decision::ImplicitDeny);
        assert_eq!(of("s3.amazonaws.com", "arn:aws:sns:r:0:t"), Decision::ImplicitDeny);
        // Some services are named with their region.
        for (named, is_it) in [
            ("logs.eu-central-1.amazonaws.com", true),
            ("logs.amazonaws.com", true),
            ("logs.delivery.amazonaws.com", false),
            ("other.eu-central-1.amazonaws.com", false),
            ("logs.eu-central-1.example.com", false),
        ] {
            assert_eq!(is_service(named, "logs.amazonaws.com"), is_it, "{named}");
        }
    }
}
