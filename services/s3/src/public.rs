//! Whether a bucket's policy makes it public
//! (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html#access-control-block-public-access-policy-status>).

use cumulet_wire::policy::{Document, Statement};
use serde_json::Value;

/// Condition keys whose fixed values tie a statement to somebody.
const FIXING: [&str; 11] = [
    "aws:sourcearn",
    "aws:sourceaccount",
    "aws:sourceip",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:sourceowner",
    "aws:principalarn",
    "aws:principalaccount",
    "aws:principalorgid",
    "aws:userid",
    "s3:dataaccesspointaccount",
];

pub fn is_public(document: &str) -> bool {
    Document::parse(document).is_some_and(|document| document.statements().iter().any(lets_anyone))
}

fn lets_anyone(statement: &Statement) -> bool {
    let is_anyone = |principal: &Value| match principal {
        Value::String(text) => text == "*",
        Value::Object(kinds) => kinds.get("AWS").is_some_and(|named| match named {
            Value::String(text) => text == "*",
            Value::Array(list) => list.iter().any(|one| one == "*"),
            _ => false,
        }),
        _ => false,
    };
    let is_named = statement.not_principal.is_some() || statement.principal.as_ref().is_some_and(is_anyone);
    statement.effect == "Allow" && is_named && !statement.condition.as_ref().is_some_and(fixes)
}

fn fixes(condition: &Value) -> bool {
    let Value::Object(operators) = condition else { return false };
    operators.iter().any(|(operator, keys)| {
        let is_positive = !operator.contains("Not") && !operator.ends_with("IfExists") && operator != "Null";
        let Value::Object(keys) = keys else { return false };
        is_positive
            && keys.iter().any(|(key, values)| FIXING.contains(&key.to_ascii_lowercase().as_str()) && is_fixed(values))
    })
}

fn is_fixed(values: &Value) -> bool {
    match values {
        Value::String(text) => !text.contains('*') && !text.starts_with("0.0.0.0/0") && !text.starts_with("::/0"),
        Value::Array(list) => list.iter().all(is_fixed),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_policies_are_public() {
        let of = |principal: &str, condition: &str| {
            is_public(&format!(
                r#"{{"Statement":{{"Effect":"Allow","Principal":{principal},"Action":"s3:GetObject","Resource":"*"{condition}}}}}"#
            ))
        };
        assert!(of("\"*\"", ""));
        assert!(of(r#"{"AWS":["*"]}"#, ""));
        assert!(!of(r#"{"AWS":"arn:aws:iam::1:root"}"#, ""));
        assert!(!of(r#"{"Service":"cloudfront.amazonaws.com"}"#, ""));
        assert!(!of("\"*\"", r#","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#));
        assert!(of("\"*\"", r#","Condition":{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}"#));
        assert!(of("\"*\"", r#","Condition":{"StringLike":{"aws:SourceArn":"arn:*"}}"#));
        assert!(of("\"*\"", r#","Condition":{"StringNotEquals":{"aws:SourceAccount":"1"}}"#));
        assert!(of("\"*\"", r#","Condition":{"StringEquals":{"aws:Referer":"me"}}"#));
    }
}
