//! Policy documents: their shape, and what they decide
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html>): those attached to an
//! identity, and those attached to a resource, which name whom they are about. Conditions are not evaluated: a statement
//! that has one does not allow, but does deny.

use serde::Deserialize;
use serde_json::Value;

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

    /// Whether it is about a caller of an account, who goes by these ARNs.
    pub fn has_principal(&self, account: &str, names: &[&str]) -> bool {
        let root = format!("arn:aws:iam::{account}:root");
        let listed = |principal: &Value| {
            let listed = match &principal["AWS"] {
                _ if principal == "*" => return true,
                Value::String(one) => vec![one.as_str()],
                Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
                _ => Vec::new(),
            };
            listed.iter().any(|p| *p == "*" || *p == account || *p == root || names.contains(p))
        };
        match (&self.principal, &self.not_principal) {
            (Some(principal), _) => listed(principal),
            (None, Some(principal)) => !listed(principal),
            (None, None) => false,
        }
    }
}

/// What the documents of an identity say together. One that cannot be read says nothing: none such was ever accepted.
pub fn decide<'a>(documents: impl IntoIterator<Item = &'a str>, action: &str, resource: &str) -> Decision {
    decided(documents, |statement| statement.has_action(action) && statement.has_resource(resource))
}

/// What the documents of a resource say of a caller of an account, who goes by these ARNs.
pub fn decide_for<'a>(
    documents: impl IntoIterator<Item = &'a str>,
    account: &str,
    names: &[&str],
    action: &str,
    resource: &str,
) -> Decision {
    decided(documents, |statement| {
        statement.has_principal(account, names) && statement.has_action(action) && statement.has_resource(resource)
    })
}

fn decided<'a>(documents: impl IntoIterator<Item = &'a str>, is_meant: impl Fn(&Statement) -> bool) -> Decision {
    let mut decision = Decision::ImplicitDeny;
    for document in documents.into_iter().filter_map(Document::parse) {
        for statement in document.statements().iter().filter(|statement| is_meant(statement)) {
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
    fn a_resource_says_of_whom() {
        let table = "arn:aws:dynamodb:r:0:table/t";
        let role = "arn:aws:iam::0:role/a";
        let allow = doc(&format!(
            r#"{{"Effect":"Allow","Principal":{{"AWS":"{role}"}},"Action":"dynamodb:GetItem","Resource":"{table}"}}"#
        ));
        let deny = doc(r#"{"Effect":"Deny","Principal":"*","Action":"dynamodb:*","Resource":"*"}"#);
        let of = |documents: &[&str], names: &[&str], action: &str| {
            decide_for(documents.iter().copied(), "0", names, action, table)
        };
        assert_eq!(of(&[&allow], &[role], "dynamodb:GetItem"), Decision::Allow);
        assert_eq!(of(&[&allow], &[role], "dynamodb:PutItem"), Decision::ImplicitDeny);
        assert_eq!(of(&[&allow], &["arn:aws:iam::0:role/b"], "dynamodb:GetItem"), Decision::ImplicitDeny);
        assert_eq!(of(&[&allow, &deny], &[role], "dynamodb:GetItem"), Decision::ExplicitDeny);
    }
}
