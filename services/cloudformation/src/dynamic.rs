//! Dynamic references, `{{resolve:SERVICE:WHAT}}`: asked for with the deployer's permissions at the moment a resource is
//! made, and never stored
//! (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references.html>).

use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};

use crate::client::Client;

const OPEN: &str = "{{resolve:";

#[derive(Debug, PartialEq, Eq)]
enum Reference<'a> {
    Parameter { name: &'a str, version: Option<&'a str>, is_secure: bool },
    Secret { id: &'a str, member: &'a str, stage: &'a str, version: &'a str },
}

fn parse(inner: &str) -> Option<Reference<'_>> {
    let (service, rest) = inner.split_once(':')?;
    match service {
        "ssm" | "ssm-secure" => {
            let (name, version) = match rest.rsplit_once(':') {
                Some((name, version)) if version.bytes().all(|b| b.is_ascii_digit()) => (name, Some(version)),
                _ => (rest, None),
            };
            (!name.is_empty()).then_some(Reference::Parameter { name, version, is_secure: service == "ssm-secure" })
        }
        "secretsmanager" => {
            // The id may be an ARN, which has colons of its own: `arn:aws:secretsmanager:R:A:secret:NAME`.
            let id_parts = if rest.starts_with("arn:") { 7 } else { 1 };
            let at = rest.match_indices(':').nth(id_parts - 1).map_or(rest.len(), |(at, _)| at);
            let (id, rest) = rest.split_at(at);
            let mut parts = rest.strip_prefix(':').unwrap_or_default().split(':');
            let kind = parts.next().unwrap_or_default();
            if !matches!(kind, "" | "SecretString") {
                return None;
            }
            let mut next = || parts.next().unwrap_or_default();
            Some(Reference::Secret { id, member: next(), stage: next(), version: next() })
        }
        _ => None,
    }
}

/// Properties with what their references refer to.
pub async fn resolved(client: &Client, properties: &Map<String, Value>) -> Result<Map<String, Value>, ApiError> {
    let mut found = Vec::new();
    for value in properties.values() {
        collect(value, &mut found);
    }
    if found.is_empty() {
        return Ok(properties.clone());
    }
    found.sort();
    found.dedup();
    let mut known = Vec::new();
    for inner in found {
        let value = ask(client, &inner).await?;
        known.push((format!("{OPEN}{inner}}}}}"), value));
    }
    Ok(properties.iter().map(|(name, value)| (name.clone(), replaced(value, &known))).collect())
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            let mut rest = text.as_str();
            while let Some((_, after)) = rest.split_once(OPEN) {
                let Some((inner, next)) = after.split_once("}}") else { break };
                found.push(inner.to_owned());
                rest = next;
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(map) => map.values().for_each(|item| collect(item, found)),
        _ => {}
    }
}

fn replaced(value: &Value, known: &[(String, String)]) -> Value {
    match value {
        Value::String(text) => {
            known.iter().fold(text.clone(), |text, (reference, value)| text.replace(reference, value)).into()
        }
        Value::Array(items) => items.iter().map(|item| replaced(item, known)).collect(),
        Value::Object(map) => {
            map.iter().map(|(name, item)| (name.clone(), replaced(item, known))).collect::<Map<_, _>>().into()
        }
        other => other.clone(),
    }
}

async fn ask(client: &Client, inner: &str) -> Result<String, ApiError> {
    let bad = |why: String| ApiError::new(400, "ValidationError", why);
    let unknown = || bad(format!("Incorrect format is used in the following dynamic reference: [{inner}]"));
    match parse(inner).ok_or_else(unknown)? {
        Reference::Parameter { name, version, is_secure } => {
            let name = version.map_or_else(|| name.to_owned(), |version| format!("{name}:{version}"));
            let input = json!({ "Name": name, "WithDecryption": is_secure });
            let answer = client.call("ssm", "GetParameter", input).await?;
            let parameter = &answer["Parameter"];
            if (parameter["Type"] == "SecureString") != is_secure {
                return Err(bad(format!("the dynamic reference [{inner}] is to a parameter of another type")));
            }
            Ok(parameter["Value"].as_str().unwrap_or_default().to_owned())
        }
        Reference::Secret { id, member, stage, version } => {
            let mut input = json!({ "SecretId": id });
            for (name, value) in [("VersionStage", stage), ("VersionId", version)] {
                if !value.is_empty() {
                    input[name] = value.into();
                }
            }
            let answer = client.call("secretsmanager", "GetSecretValue", input).await?;
            let text = answer["SecretString"].as_str().unwrap_or_default();
            if member.is_empty() {
                return Ok(text.to_owned());
            }
            let secret: Value = serde_json::from_str(text).unwrap_or_default();
            match &secret[member] {
                Value::String(text) => Ok(text.clone()),
                Value::Null => {
                    Err(bad(format!("Could not find a value associated with JSONKey in SecretString: {member}")))
                }
                other => Ok(other.to_string()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        let parameter = |name, version, is_secure| Some(Reference::Parameter { name, version, is_secure });
        assert_eq!(parse("ssm:/a/b"), parameter("/a/b", None, false));
        assert_eq!(parse("ssm:/a/b:7"), parameter("/a/b", Some("7"), false));
        assert_eq!(parse("ssm-secure:x:1"), parameter("x", Some("1"), true));
        let secret = |id, member, stage, version| Some(Reference::Secret { id, member, stage, version });
        assert_eq!(parse("secretsmanager:db"), secret("db", "", "", ""));
        assert_eq!(parse("secretsmanager:db:SecretString:user:AWSCURRENT"), secret("db", "user", "AWSCURRENT", ""));
        let arn = "arn:aws:secretsmanager:r:0:secret:db-AbCdEf";
        assert_eq!(parse(&format!("secretsmanager:{arn}:SecretString:p")), secret(arn, "p", "", ""));
        for bad in ["ssm", "ssm:", "s3:x", "secretsmanager:a:SecretBinary"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn places_in_values() {
        let value = json!({"a": ["x{{resolve:ssm:p}}y{{resolve:ssm:q}}", "{{resolve:open"], "b": 1});
        let mut found = Vec::new();
        collect(&value, &mut found);
        assert_eq!(found, ["ssm:p", "ssm:q"]);
        let known = [("{{resolve:ssm:p}}".to_owned(), "1".to_owned())];
        assert_eq!(replaced(&value, &known)["a"][0], "x1y{{resolve:ssm:q}}");
    }
}
