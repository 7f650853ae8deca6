//! Policy documents: their shape, and what they decide
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html>). Conditions are not
//! evaluated: a statement that has one does not allow, but does deny. Boundaries, session policies and resource
//! policies are absent.

use cumulet_wire::error::ApiError;
use cumulet_wire::patterns::matches;
use serde::Deserialize;
use serde_json::Value;

use crate::errors;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Allow,
    ExplicitDeny,
    /// No statement says anything.
    ImplicitDeny,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    #[serde(default)]
    version: Option<String>,
    statement: OneOrMany<Statement>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
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
struct Statement {
    effect: String,
    action: Option<OneOrMany<String>>,
    not_action: Option<OneOrMany<String>>,
    resource: Option<OneOrMany<String>>,
    not_resource: Option<OneOrMany<String>>,
    principal: Option<Value>,
    not_principal: Option<Value>,
    condition: Option<Value>,
}

impl Statement {
    fn has_action(&self, action: &str) -> bool {
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

    fn has_resource(&self, resource: &str) -> bool {
        let any = |list: &OneOrMany<String>| list.as_slice().iter().any(|pattern| matches(pattern, resource));
        match (&self.resource, &self.not_resource) {
            (Some(list), _) => any(list),
            (None, Some(list)) => !any(list),
            (None, None) => false,
        }
    }
}

fn parse(document: &str) -> Option<Document> {
    serde_json::from_str(document).ok()
}

/// Whom a document is attached to decides what its statements must and must not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Identity,
    Trust,
}

/// # Errors
/// `MalformedPolicyDocument`.
pub fn check(document: &str, kind: Kind) -> Result<(), ApiError> {
    let parsed = parse(document).ok_or_else(|| errors::malformed_policy("Syntax errors in policy."))?;
    if !matches!(parsed.version.as_deref(), None | Some("2012-10-17" | "2008-10-17")) {
        return Err(errors::malformed_policy("The policy must contain a valid version string"));
    }
    for statement in parsed.statement.as_slice() {
        if statement.effect != "Allow" && statement.effect != "Deny" {
            return Err(errors::malformed_policy("Policy statement must have the Effect Allow or Deny."));
        }
        if statement.action.is_some() == statement.not_action.is_some() {
            return Err(errors::malformed_policy("Policy statement must contain actions."));
        }
        let has_resource = statement.resource.is_some() || statement.not_resource.is_some();
        let has_principal = statement.principal.is_some() || statement.not_principal.is_some();
        match kind {
            Kind::Identity if has_principal => {
                return Err(errors::malformed_policy("Policy document should not specify a principal."));
            }
            Kind::Identity if !has_resource => {
                return Err(errors::malformed_policy("Policy statement must contain resources."));
            }
            Kind::Trust if has_resource => {
                return Err(errors::malformed_policy("Has prohibited field Resource"));
            }
            Kind::Trust if !has_principal => {
                return Err(errors::malformed_policy("Missing required field Principal"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What the documents together say. One that cannot be read says nothing: none such was ever accepted.
pub fn decide<'a>(documents: impl IntoIterator<Item = &'a str>, action: &str, resource: &str) -> Decision {
    let mut decision = Decision::ImplicitDeny;
    for document in documents {
        let Some(parsed) = parse(document) else {
            continue;
        };
        for statement in parsed.statement.as_slice() {
            if !statement.has_action(action) || !statement.has_resource(resource) {
                continue;
            }
            if statement.effect == "Deny" {
                return Decision::ExplicitDeny;
            }
            if statement.condition.is_none() {
                decision = Decision::Allow;
            }
        }
    }
    decision
}

/// Whether a trust policy lets a principal of an account assume the role.
pub fn trusts(document: &str, account: &str, principals: &[&str]) -> bool {
    let Some(parsed) = parse(document) else {
        return false;
    };
    let root = format!("arn:aws:iam::{account}:root");
    let names = |principal: &Value| {
        let listed = match &principal["AWS"] {
            _ if principal == "*" => return true,
            Value::String(one) => vec![one.as_str()],
            Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        listed.iter().any(|p| *p == "*" || *p == account || *p == root || principals.contains(p))
    };
    let mut is_trusted = false;
    for statement in parsed.statement.as_slice() {
        if !statement.has_action("sts:AssumeRole") {
            continue;
        }
        let is_named = match (&statement.principal, &statement.not_principal) {
            (Some(principal), _) => names(principal),
            (None, Some(principal)) => !names(principal),
            (None, None) => false,
        };
        match (is_named, statement.effect.as_str()) {
            (true, "Deny") => return false,
            (true, _) if statement.condition.is_none() => is_trusted = true,
            _ => {}
        }
    }
    is_trusted
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
            let seen = decide(documents.iter().map(String::as_str), "lambda:InvokeFunction", arn);
            assert_eq!(seen, expect, "{statements:?}");
        }
    }

    #[test]
    fn shapes() {
        let allow = |rest: &str| doc(&format!(r#"{{"Effect":"Allow","Action":"a:b"{rest}}}"#));
        assert!(check(&allow(r#","Resource":"*""#), Kind::Identity).is_ok());
        assert!(check(&allow(r#","Principal":"*""#), Kind::Trust).is_ok());
        for (document, kind) in [
            ("{", Kind::Identity),
            ("{}", Kind::Identity),
            (allow("").as_str(), Kind::Identity),
            (allow("").as_str(), Kind::Trust),
            (allow(r#","Resource":"*","Principal":"*""#).as_str(), Kind::Identity),
            (doc(r#"{"Effect":"Maybe","Action":"a","Resource":"*"}"#).as_str(), Kind::Identity),
            (r#"{"Version":"2020-01-01","Statement":[]}"#, Kind::Identity),
        ] {
            assert!(check(document, kind).is_err(), "{document}");
        }
    }

    #[test]
    fn trust() {
        let service =
            doc(r#"{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}"#);
        let account =
            doc(r#"{"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::0:root"]},"Action":"sts:AssumeRole"}"#);
        assert!(!trusts(&service, "0", &[]));
        assert!(trusts(&account, "0", &[]));
        assert!(!trusts(&account, "1", &[]));
    }
}
