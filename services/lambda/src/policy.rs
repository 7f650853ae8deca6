//! Resource policies: the statements AddPermission makes and what they allow. All of them allow; there is no deny.
//! Condition operators that AddPermission cannot make are not understood, and allow nothing.

use std::collections::BTreeMap;

use cumulet_wire::patterns::{arn_matches, matches};
use serde_json::{Map, Value, json};

/// Who asks, and under which circumstances.
#[derive(Clone, Debug, Default)]
pub struct Question<'a> {
    principal: Asker<'a>,
    context: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Asker<'a> {
    /// Only what is given to everybody.
    #[default]
    Public,
    Service(&'a str),
    /// An account's principal by account and ARN.
    Aws(&'a str, &'a str),
}

impl<'a> Question<'a> {
    pub fn service(principal: &'a str, source_arn: &str, source_account: &str) -> Question<'a> {
        Question {
            principal: Asker::Service(principal),
            context: BTreeMap::from([
                ("aws:sourcearn".to_owned(), source_arn.to_owned()),
                ("aws:sourceaccount".to_owned(), source_account.to_owned()),
            ]),
        }
    }

    /// A request to a function URL that nobody signed.
    pub fn public_url() -> Question<'a> {
        Question { principal: Asker::Public, context: url_context("NONE") }
    }

    /// A signed request to a function URL.
    pub fn signed_url(account: &'a str, arn: &'a str) -> Question<'a> {
        Question { principal: Asker::Aws(account, arn), context: url_context("AWS_IAM") }
    }
}

fn url_context(auth_type: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("lambda:functionurlauthtype".to_owned(), auth_type.to_owned()),
        ("lambda:invokedviafunctionurl".to_owned(), "true".to_owned()),
    ])
}

/// Whether any statement allows the action.
pub fn allows(statements: &[Value], action: &str, question: &Question) -> bool {
    statements.iter().any(|statement| {
        let allowed = statement["Action"].as_str().unwrap_or_default();
        matches(allowed, action)
            && principal_is(&statement["Principal"], question.principal)
            && conditions_hold(statement.get("Condition"), &question.context)
    })
}

fn principal_is(given: &Value, asker: Asker) -> bool {
    if given == "*" || given["AWS"] == "*" {
        return true;
    }
    match asker {
        Asker::Public => false,
        Asker::Service(name) => given["Service"] == name,
        Asker::Aws(account, arn) => given["AWS"].as_str().is_some_and(|allowed| {
            allowed == arn || allowed == account || allowed == format!("arn:aws:iam::{account}:root")
        }),
    }
}

fn conditions_hold(condition: Option<&Value>, context: &BTreeMap<String, String>) -> bool {
    let Some(condition) = condition else {
        return true;
    };
    let Some(operators) = condition.as_object() else {
        return false;
    };
    operators.iter().all(|(operator, keys)| {
        keys.as_object().is_some_and(|keys| {
            keys.iter().all(|(key, expected)| {
                let (Some(expected), Some(actual)) = (expected.as_str(), context.get(&key.to_ascii_lowercase())) else {
                    return false;
                };
                match operator.as_str() {
                    "StringEquals" => expected == actual,
                    "Bool" => expected.eq_ignore_ascii_case(actual),
                    // For ARNs both operators behave alike, and compare field by field.
                    "ArnLike" | "ArnEquals" => arn_matches(expected, actual),
                    "StringLike" => matches(expected, actual),
                    _ => false,
                }
            })
        })
    })
}

/// What AddPermission is given.
#[derive(Clone, Debug, Default)]
pub struct Grant<'a> {
    pub sid: &'a str,
    pub action: &'a str,
    pub principal: &'a str,
    pub source_arn: Option<&'a str>,
    pub source_account: Option<&'a str>,
    pub event_source_token: Option<&'a str>,
    pub organisation: Option<&'a str>,
    pub url_auth_type: Option<&'a str>,
    pub via_url: Option<bool>,
}

/// The statement as AWS writes it.
pub fn statement(grant: &Grant, resource: &str) -> Value {
    let principal = match grant.principal {
        "*" => json!("*"),
        account if account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()) => {
            json!({"AWS": format!("arn:aws:iam::{account}:root")})
        }
        arn if arn.starts_with("arn:") => json!({"AWS": arn}),
        service => json!({"Service": service}),
    };
    let mut equals = Map::new();
    for (key, value) in [
        ("AWS:SourceAccount", grant.source_account),
        ("aws:PrincipalOrgID", grant.organisation),
        ("lambda:EventSourceToken", grant.event_source_token),
        ("lambda:FunctionUrlAuthType", grant.url_auth_type),
    ] {
        if let Some(value) = value {
            equals.insert(key.to_owned(), json!(value));
        }
    }
    let mut condition = Map::new();
    if !equals.is_empty() {
        condition.insert("StringEquals".to_owned(), Value::Object(equals));
    }
    if let Some(via_url) = grant.via_url {
        condition.insert("Bool".to_owned(), json!({"lambda:InvokedViaFunctionUrl": via_url.to_string()}));
    }
    if let Some(arn) = grant.source_arn {
        condition.insert("ArnLike".to_owned(), json!({"AWS:SourceArn": arn}));
    }
    let mut statement = json!({
        "Sid": grant.sid,
        "Effect": "Allow",
        "Principal": principal,
        "Action": grant.action,
        "Resource": resource,
    });
    if !condition.is_empty() {
        statement["Condition"] = Value::Object(condition);
    }
    statement
}

/// The whole policy as GetPolicy gives it.
pub fn document(statements: &[Value]) -> String {
    json!({"Version": "2012-10-17", "Id": "default", "Statement": statements}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const API: &str = "arn:aws:execute-api:us-east-1:000000000000:abc/*/GET/x";

    fn grant<'a>(principal: &'a str, source_arn: Option<&'a str>) -> Vec<Value> {
        let grant = Grant { sid: "s", action: "lambda:InvokeFunction", principal, source_arn, ..Grant::default() };
        vec![statement(&grant, "arn:f")]
    }

    #[test]
    fn services_by_source() {
        let gateway = "apigateway.amazonaws.com";
        let ask = |statements: &[Value], principal: &str, arn: &str| {
            let question = Question::service(principal, arn, "000000000000");
            allows(statements, "lambda:InvokeFunction", &question)
        };
        let source = "arn:aws:execute-api:us-east-1:000000000000:abc/$default/GET/x";
        assert!(ask(&grant(gateway, Some(API)), gateway, source));
        assert!(ask(&grant(gateway, None), gateway, source));
        assert!(!ask(&grant(gateway, Some(API)), "s3.amazonaws.com", source));
        let other = source.replace("abc", "abd");
        assert!(!ask(&grant(gateway, Some(API)), gateway, &other));
        assert!(!ask(&[], gateway, source));
    }

    #[test]
    fn urls() {
        let public = Grant {
            sid: "s",
            action: "lambda:InvokeFunctionUrl",
            principal: "*",
            url_auth_type: Some("NONE"),
            ..Grant::default()
        };
        let statements = vec![statement(&public, "arn:f")];
        let action = "lambda:InvokeFunctionUrl";
        assert!(allows(&statements, action, &Question::public_url()));
        assert!(!allows(&statements, action, &Question::signed_url("0", "arn:x")));
        assert!(!allows(&statements, "lambda:InvokeFunction", &Question::public_url()));
    }

    #[test]
    fn unknown_conditions_allow_nothing() {
        let mut statements = grant("*", None);
        statements[0]["Condition"] = json!({"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}});
        assert!(!allows(&statements, "lambda:InvokeFunction", &Question::service("x", "y", "z")));
    }

    #[test]
    fn wildcards() {
        for (pattern, text, expect) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abb", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*b*b", "abab", true),
        ] {
            assert_eq!(matches(pattern, text), expect, "{pattern} {text}");
        }
    }
}
