//! The policy of a browser's form: what its signer let the browser send
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html>).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use s3s::{S3Error, S3ErrorCode, S3Result};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::parse::Fields;

#[derive(Debug, PartialEq, Eq)]
pub struct Policy {
    expires: OffsetDateTime,
    conditions: Vec<Condition>,
    /// How long the file may be; any length where nothing is said.
    pub bytes: Option<(u64, u64)>,
}

#[derive(Debug, PartialEq, Eq)]
struct Condition {
    is_prefix: bool,
    field: String,
    value: String,
}

fn invalid(why: &str) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidPolicyDocument, format!("Invalid Policy: {why}"))
}

fn refused(why: &str) -> S3Error {
    S3Error::with_message(S3ErrorCode::AccessDenied, format!("Invalid according to Policy: {why}"))
}

impl Policy {
    /// Reads what the form's field says.
    pub fn of(encoded: &str) -> S3Result<Policy> {
        let text = BASE64_STANDARD.decode(encoded).map_err(|_| invalid("Invalid Base64 Encoding"))?;
        let document: Value = serde_json::from_slice(&text).map_err(|_| invalid("Invalid JSON."))?;
        let expires = document["expiration"].as_str().ok_or_else(|| invalid("Policy missing expiration"))?;
        let expires = OffsetDateTime::parse(expires, &Rfc3339).map_err(|_| invalid("Invalid 'expiration' value"))?;
        let listed = document["conditions"].as_array().ok_or_else(|| invalid("Policy missing conditions"))?;
        let mut policy = Policy { expires, conditions: Vec::new(), bytes: None };
        for condition in listed {
            policy.add(condition)?;
        }
        Ok(policy)
    }

    fn add(&mut self, condition: &Value) -> S3Result<()> {
        let unknown = || invalid("Invalid Condition");
        match condition {
            Value::Object(pairs) => {
                for (field, value) in pairs {
                    let value = value.as_str().ok_or_else(unknown)?.to_owned();
                    self.conditions.push(Condition { is_prefix: false, field: field.to_ascii_lowercase(), value });
                }
            }
            Value::Array(parts) => match parts.as_slice() {
                [Value::String(kind), from, to] if kind.eq_ignore_ascii_case("content-length-range") => {
                    self.bytes = Some((number(from).ok_or_else(unknown)?, number(to).ok_or_else(unknown)?));
                }
                [Value::String(kind), Value::String(field), Value::String(value)] => {
                    let is_prefix = match kind.to_ascii_lowercase().as_str() {
                        "starts-with" => true,
                        "eq" => false,
                        _ => return Err(unknown()),
                    };
                    let field = field.strip_prefix('$').ok_or_else(unknown)?.to_ascii_lowercase();
                    self.conditions.push(Condition { is_prefix, field, value: value.clone() });
                }
                _ => return Err(unknown()),
            },
            _ => return Err(unknown()),
        }
        Ok(())
    }

    /// Whether the form is what its signer let it be; of the file's length nothing is known yet.
    pub fn admit(&self, bucket: &str, fields: &Fields, now_ms: u64) -> S3Result<()> {
        if self.expires.unix_timestamp_nanos() <= i128::from(now_ms) * 1_000_000 {
            return Err(refused("Policy expired."));
        }
        for condition in &self.conditions {
            let field = condition.field.as_str();
            // The bucket is that of the address, whatever a field says.
            let given = if field == "bucket" { Some(bucket) } else { fields.get(field) };
            let fits = given.is_some_and(|given| match condition.is_prefix {
                true => given.starts_with(&condition.value),
                false => given == condition.value,
            });
            // A field that may be anything may be missing.
            let may_miss = condition.is_prefix && condition.value.is_empty() && given.is_none();
            if !fits && !may_miss {
                let kind = if condition.is_prefix { "starts-with" } else { "eq" };
                let told = serde_json::json!([kind, format!("${field}"), condition.value]);
                return Err(refused(&format!("Policy Condition failed: {told}")));
            }
        }
        let named = |name: &str| self.conditions.iter().any(|condition| condition.field == name);
        match fields.iter().find(|(name, _)| !is_free(name) && !named(name)) {
            Some((name, _)) => Err(refused(&format!("Extra input fields: {name}"))),
            None => Ok(()),
        }
    }
}

/// Numbers may be written as text.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// Fields that no condition has to name.
fn is_free(name: &str) -> bool {
    matches!(name, "x-amz-signature" | "signature" | "awsaccesskeyid" | "file" | "submit" | "policy" | "bucket")
        || name.starts_with("x-ignore-")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NOW_MS: u64 = 1_795_428_930_123;

    fn policy(conditions: &str) -> S3Result<Policy> {
        let text = format!("{{\"expiration\": \"2026-12-01T12:00:00.000Z\", \"conditions\": {conditions}}}");
        Policy::of(&BASE64_STANDARD.encode(text))
    }

    #[test]
    fn fields_are_held_against_conditions() {
        let check = |conditions: &str, fields: &[(&str, &str)], refusal: Option<&str>| {
            let admitted = policy(conditions).unwrap().admit("b", &Fields::of(fields), NOW_MS);
            let seen = admitted.err().map(|e| e.message().unwrap_or_default().to_owned());
            let expect = refusal.map(|why| format!("Invalid according to Policy: {why}"));
            assert_eq!(seen, expect, "{conditions} {fields:?}");
        };
        let key: &[(&str, &str)] = &[("key", "a/b")];
        check(r#"[{"bucket": "b"}, ["starts-with", "$Key", "a/"]]"#, key, None);
        check(r#"[["eq", "$key", "a/b"], ["starts-with", "$x-amz-meta-x", ""]]"#, key, None);
        check(r#"[["eq", "$key", "a/c"]]"#, key, Some(r#"Policy Condition failed: ["eq","$key","a/c"]"#));
        check(r#"[{"bucket": "c"}]"#, key, Some(r#"Policy Condition failed: ["eq","$bucket","c"]"#));
        check(r#"[{"bucket": "b"}]"#, key, Some("Extra input fields: key"));
        check(r#"[{"acl": "private"}]"#, &[], Some(r#"Policy Condition failed: ["eq","$acl","private"]"#));
        check("[]", &[("x-ignore-a", "1"), ("policy", "p"), ("x-amz-signature", "s")], None);
        let expired = policy("[]").unwrap().admit("b", &Fields::default(), NOW_MS + 10 * 24 * 60 * 60 * 1000);
        assert_eq!(expired.unwrap_err().message(), Some("Invalid according to Policy: Policy expired."));
    }

    #[test]
    fn only_policies_are_read() {
        assert_eq!(policy(r#"[["content-length-range", 1, "10"]]"#).unwrap().bytes, Some((1, 10)));
        for bad in ["[1]", "{}", r#"[["eq", "key", "x"]]"#, r#"[["is", "$key", "x"]]"#, r#"[{"key": 1}]"#, "[[]]"] {
            assert_eq!(*policy(bad).unwrap_err().code(), S3ErrorCode::InvalidPolicyDocument, "{bad}");
        }
        for bad in ["?", "e30=", "W10=", "bm90aGluZw=="] {
            assert_eq!(*Policy::of(bad).unwrap_err().code(), S3ErrorCode::InvalidPolicyDocument, "{bad}");
        }
    }
}
