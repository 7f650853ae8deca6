//! AssumeRole (<https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>).

use cumulet_base::clock;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;
use serde_json::{Value, json};

use crate::Sts;

const DURATION_S_DEFAULT: i64 = 3600;
/// What would narrow the session or ask for proof; ignoring it would give away more than was asked for.
const ABSENT: &[&str] =
    &["Policy", "PolicyArns", "ExternalId", "SerialNumber", "TokenCode", "TransitiveTagKeys", "Tags"];

pub async fn run(sts: &Sts, call: &Call) -> Result<Answer, ApiError> {
    let text = |member: &str| call.input.get(member).and_then(Value::as_str);
    let (role, session) = (text("RoleArn"), text("RoleSessionName"));
    let duration = match call.input.get("DurationSeconds") {
        None | Some(Value::Null) => DURATION_S_DEFAULT,
        // What is no number is as far out of range as can be.
        Some(value) => value.as_i64().or_else(|| value.as_str()?.parse().ok()).unwrap_or(-1),
    };
    let mut checks = Validation::new();
    checks
        .required("roleArn", role.as_ref())
        .length("roleArn", role, 20, 2048)
        .required("roleSessionName", session.as_ref())
        .length("roleSessionName", session, 2, 64)
        .pattern("roleSessionName", session, "[\\w+=,.@-]*", |text| {
            text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b))
        })
        .between("durationSeconds", Some(duration), 900, 43_200);
    checks.finish("ValidationError")?;
    if let Some(member) = ABSENT
        .iter()
        .find(|member| call.input.get(**member).is_some_and(|value| !value.is_null() && *value != json!([])))
    {
        return Err(ApiError::new(501, "NotImplemented", format!("not implemented: sts.AssumeRole {member}")));
    }
    let opened = sts
        .roles
        .assume(
            &call.context.caller,
            role.unwrap_or_default(),
            session.unwrap_or_default(),
            u64::try_from(duration).unwrap_or_default(),
        )
        .await?;
    Answer::json(json!({
        "Credentials": {
            "AccessKeyId": opened.access_key_id,
            "SecretAccessKey": opened.secret_access_key,
            "SessionToken": opened.session_token,
            "Expiration": clock::iso_ms(opened.expires_ms),
        },
        "AssumedRoleUser": {"AssumedRoleId": opened.user_id, "Arn": opened.arn},
        "PackedPolicySize": 0,
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use async_trait::async_trait;
    use cumulet_wire::auth::Caller;
    use cumulet_wire::call::Context;
    use cumulet_wire::operation::Service;

    use super::*;
    use crate::{MODEL, Roles, Session};

    struct One;

    #[async_trait]
    impl Roles for One {
        async fn assume(
            &self,
            _caller: &Caller,
            role_arn: &str,
            session_name: &str,
            duration_s: u64,
        ) -> Result<Session, ApiError> {
            Ok(Session {
                access_key_id: "ASIA".to_owned(),
                secret_access_key: "s".to_owned(),
                session_token: "t".to_owned(),
                expires_ms: duration_s * 1000,
                arn: format!("{role_arn}/{session_name}"),
                user_id: "AROA".to_owned(),
            })
        }
    }

    async fn call(operation: &str, input: Value) -> Result<Value, ApiError> {
        let Value::Object(input) = input else { panic!("the input is an object") };
        let call = Call {
            operation: MODEL.operations.iter().find(|o| o.name == operation).unwrap(),
            input,
            payload: bytes::Bytes::new(),
            context: Context {
                caller: Caller::owner("000000000000"),
                region: "us-east-1".to_owned(),
                request_id: "r".to_owned(),
                host: "localhost".to_owned(),
                now_ms: 0,
                trace: None,
            },
        };
        let answer = Sts::new(Arc::new(One)).call(call).await?;
        Ok(answer.output)
    }

    #[tokio::test]
    async fn opens_sessions_and_names_callers() {
        let role = "arn:aws:iam::000000000000:role/r";
        let good = json!({"RoleArn": role, "RoleSessionName": "me", "DurationSeconds": "900"});
        let got = call("AssumeRole", good.clone()).await.unwrap();
        assert_eq!(got["Credentials"]["Expiration"], "1970-01-01T00:15:00.000Z");
        for (member, value, code) in [
            ("RoleArn", json!(null), "ValidationError"),
            ("RoleSessionName", json!("a b"), "ValidationError"),
            ("DurationSeconds", json!("899"), "ValidationError"),
            ("DurationSeconds", json!("soon"), "ValidationError"),
            ("Policy", json!("{}"), "NotImplemented"),
        ] {
            let mut input = good.clone();
            input[member] = value;
            assert_eq!(call("AssumeRole", input).await.unwrap_err().code, code, "{member}");
        }
        let me = call("GetCallerIdentity", json!({})).await.unwrap();
        assert_eq!(me["Arn"], "arn:aws:iam::000000000000:root");
    }
}
