//! What is set of a bucket: versioning, policy, CORS, encryption, website, logging, payment, acceleration. Documents are
//! rows of their own (`docs/formats/s3.md`), read when they are needed.

use cumulet_base::limits;
use cumulet_wire::policy::Document;
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::malformed;
use super::objects::unbuilt;
use super::sealing;
use crate::model::{Bucket, Versioning};
use crate::{Objects, errors, public};

/// Writes a document, or with `None` takes it off.
pub async fn put<T: Serialize>(s3: &Objects, bucket: &str, kind: &str, document: Option<&T>) -> S3Result<()> {
    let text = document.map(serde_json::to_vec).transpose().map_err(errors::internal)?.map(Into::into);
    s3.storage.amend_bucket(bucket, Some((kind, text)), |_| Ok(())).await.map(drop)
}

pub async fn get<T: DeserializeOwned>(s3: &Objects, bucket: &str, kind: &str) -> S3Result<(Bucket, Option<T>)> {
    let (record, text) = s3.storage.document(bucket, kind).await?;
    let found = text.map(|text| serde_json::from_slice(&text)).transpose().map_err(errors::internal)?;
    Ok((record, found))
}

fn no_content<T>(output: T) -> S3Response<T> {
    S3Response::with_status(output, http::StatusCode::NO_CONTENT)
}

pub async fn put_versioning(
    s3: &Objects,
    request: S3Request<PutBucketVersioningInput>,
) -> S3Result<S3Response<PutBucketVersioningOutput>> {
    let input = request.input;
    let asked = input.versioning_configuration;
    let wants_mfa = asked.mfa_delete.as_ref().is_some_and(|mfa| mfa.as_str() == "Enabled");
    unbuilt(&[(wants_mfa, "MfaDelete")])?;
    let versioning = match asked.status.as_ref().map(BucketVersioningStatus::as_str) {
        Some("Enabled") => Versioning::Enabled,
        Some("Suspended") => Versioning::Suspended,
        Some(_) => return Err(malformed()),
        None => {
            return Err(s3_error!(IllegalVersioningConfigurationException, "The Versioning element must be specified"));
        }
    };
    let amend = |bucket: &mut Bucket| {
        if bucket.lock.is_some() && versioning == Versioning::Suspended {
            return Err(s3_error!(
                InvalidBucketState,
                "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed."
            ));
        }
        bucket.versioning = versioning;
        Ok(())
    };
    s3.storage.amend_bucket(&input.bucket, None, amend).await?;
    Ok(S3Response::new(PutBucketVersioningOutput::default()))
}

pub async fn get_versioning(
    s3: &Objects,
    request: S3Request<GetBucketVersioningInput>,
) -> S3Result<S3Response<GetBucketVersioningOutput>> {
    let status = match s3.storage.bucket(&request.input.bucket).await?.versioning {
        Versioning::Never => None,
        Versioning::Enabled => Some(BucketVersioningStatus::from_static("Enabled")),
        Versioning::Suspended => Some(BucketVersioningStatus::from_static("Suspended")),
    };
    Ok(S3Response::new(GetBucketVersioningOutput { status, mfa_delete: None }))
}

fn invalid_policy(message: &'static str) -> s3s::S3Error {
    s3s::S3Error::with_message(s3s::S3ErrorCode::MalformedPolicy, message)
}

/// A policy is about this bucket, names whom it is about, and says what it lets or forbids.
fn check_policy(bucket: &str, text: &str) -> S3Result<()> {
    let value: Value = serde_json::from_str(text)
        .map_err(|_| invalid_policy("Policies must be valid JSON and the first byte must be '{'"))?;
    if !value.is_object() {
        return Err(invalid_policy("Policies must be valid JSON and the first byte must be '{'"));
    }
    let document = Document::parse(text).ok_or_else(|| invalid_policy("Missing required field Statement"))?;
    let own = format!("arn:aws:s3:::{bucket}");
    let inside = format!("{own}/");
    let is_ours = |resource: &str| resource == own || resource.starts_with(&inside) || resource == "*";
    let listed = |value: &Value| match value {
        Value::String(one) => vec![one.clone()],
        Value::Array(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let statements = match &value["Statement"] {
        Value::Array(list) => list.clone(),
        one => vec![one.clone()],
    };
    if statements.is_empty() || document.statements().len() != statements.len() {
        return Err(invalid_policy("Could not parse the policy: Statement is empty!"));
    }
    for (statement, parsed) in statements.iter().zip(document.statements()) {
        if !matches!(parsed.effect.as_str(), "Allow" | "Deny") {
            return Err(invalid_policy("Invalid effect"));
        }
        if parsed.principal.is_none() && parsed.not_principal.is_none() {
            return Err(invalid_policy("Missing required field Principal"));
        }
        let actions = [listed(&statement["Action"]), listed(&statement["NotAction"])].concat();
        let is_action = |action: &String| action == "*" || action.to_ascii_lowercase().starts_with("s3:");
        if actions.is_empty() || !actions.iter().all(is_action) {
            return Err(invalid_policy("Policy has invalid action"));
        }
        let resources = [listed(&statement["Resource"]), listed(&statement["NotResource"])].concat();
        if resources.is_empty() || !resources.iter().all(|resource| is_ours(resource)) {
            return Err(invalid_policy("Policy has invalid resource"));
        }
    }
    Ok(())
}

pub async fn put_policy(
    s3: &Objects,
    request: S3Request<PutBucketPolicyInput>,
) -> S3Result<S3Response<PutBucketPolicyOutput>> {
    let input = request.input;
    if input.policy.len() > limits::BUCKET_POLICY_BYTES_MAX {
        return Err(s3_error!(InvalidArgument, "Bucket policies are limited to 20 KB in size"));
    }
    check_policy(&input.bucket, &input.policy)?;
    let is_public = public::is_public(&input.policy);
    let amend = |bucket: &mut Bucket| {
        if bucket.block.policy && is_public {
            return Err(s3_error!(
                AccessDenied,
                "User is not authorized to perform: s3:PutBucketPolicy because public policies are prevented by the BlockPublicPolicy setting in S3 Block Public Access."
            ));
        }
        Ok(())
    };
    let text = bytes::Bytes::from(input.policy.clone());
    s3.storage.amend_bucket(&input.bucket, Some(("policy", Some(text))), amend).await?;
    Ok(no_content(PutBucketPolicyOutput::default()))
}

async fn policy(s3: &Objects, bucket: &str) -> S3Result<String> {
    let (_, text) = s3.storage.document(bucket, "policy").await?;
    let text = text.ok_or_else(|| s3_error!(NoSuchBucketPolicy, "The bucket policy does not exist"))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

pub async fn get_policy(
    s3: &Objects,
    request: S3Request<GetBucketPolicyInput>,
) -> S3Result<S3Response<GetBucketPolicyOutput>> {
    let policy = policy(s3, &request.input.bucket).await?;
    Ok(S3Response::new(GetBucketPolicyOutput { policy: Some(policy) }))
}

pub async fn policy_status(
    s3: &Objects,
    request: S3Request<GetBucketPolicyStatusInput>,
) -> S3Result<S3Response<GetBucketPolicyStatusOutput>> {
    let is_public = public::is_public(&policy(s3, &request.input.bucket).await?);
    let status = PolicyStatus { is_public: Some(is_public) };
    Ok(S3Response::new(GetBucketPolicyStatusOutput { policy_status: Some(status) }))
}

pub async fn delete_policy(
    s3: &Objects,
    request: S3Request<DeleteBucketPolicyInput>,
) -> S3Result<S3Response<DeleteBucketPolicyOutput>> {
    put::<String>(s3, &request.input.bucket, "policy", None).await?;
    Ok(no_content(DeleteBucketPolicyOutput::default()))
}

pub async fn put_cors(
    s3: &Objects,
    request: S3Request<PutBucketCorsInput>,
) -> S3Result<S3Response<PutBucketCorsOutput>> {
    let input = request.input;
    let rules = &input.cors_configuration.cors_rules;
    if rules.is_empty() || rules.len() > limits::BUCKET_CORS_RULES_MAX {
        return Err(malformed());
    }
    for rule in rules {
        if let Some(method) = rule
            .allowed_methods
            .iter()
            .find(|method| !matches!(method.as_str(), "GET" | "PUT" | "HEAD" | "POST" | "DELETE"))
        {
            let message = format!("Found unsupported HTTP method in CORS config. Unsupported method is {method}");
            return Err(s3s::S3Error::with_message(s3s::S3ErrorCode::InvalidRequest, message));
        }
        if rule.allowed_methods.is_empty() || rule.allowed_origins.is_empty() {
            return Err(malformed());
        }
        if rule.allowed_origins.iter().chain(rule.allowed_headers.iter().flatten()).any(|o| o.matches('*').count() > 1)
        {
            return Err(s3_error!(InvalidRequest, "AllowedOrigin can not have more than one wildcard."));
        }
    }
    put(s3, &input.bucket, "cors", Some(&input.cors_configuration)).await?;
    Ok(S3Response::new(PutBucketCorsOutput::default()))
}

pub async fn get_cors(
    s3: &Objects,
    request: S3Request<GetBucketCorsInput>,
) -> S3Result<S3Response<GetBucketCorsOutput>> {
    let found: Option<CORSConfiguration> = get(s3, &request.input.bucket, "cors").await?.1;
    let found = found.ok_or_else(|| s3_error!(NoSuchCORSConfiguration, "The CORS configuration does not exist"))?;
    Ok(S3Response::new(GetBucketCorsOutput { cors_rules: Some(found.cors_rules) }))
}

pub async fn delete_cors(
    s3: &Objects,
    request: S3Request<DeleteBucketCorsInput>,
) -> S3Result<S3Response<DeleteBucketCorsOutput>> {
    put::<CORSConfiguration>(s3, &request.input.bucket, "cors", None).await?;
    Ok(no_content(DeleteBucketCorsOutput::default()))
}

pub async fn put_encryption(
    s3: &Objects,
    request: S3Request<PutBucketEncryptionInput>,
) -> S3Result<S3Response<PutBucketEncryptionOutput>> {
    let input = request.input;
    let asked = input.server_side_encryption_configuration;
    let [rule] = asked.rules.as_slice() else { return Err(malformed()) };
    let default = rule.apply_server_side_encryption_by_default.as_ref().ok_or_else(malformed)?;
    let algorithm = default.sse_algorithm.as_str();
    let has_idle_key = default.kms_master_key_id.is_some() && algorithm == ServerSideEncryption::AES256;
    if !sealing::is_known(algorithm) || has_idle_key {
        return Err(malformed());
    }
    put(s3, &input.bucket, "encryption", Some(&asked)).await?;
    Ok(S3Response::new(PutBucketEncryptionOutput::default()))
}

pub async fn get_encryption(
    s3: &Objects,
    request: S3Request<GetBucketEncryptionInput>,
) -> S3Result<S3Response<GetBucketEncryptionOutput>> {
    let found: Option<ServerSideEncryptionConfiguration> = get(s3, &request.input.bucket, "encryption").await?.1;
    // What every bucket has that was not told otherwise.
    let default = || ServerSideEncryptionConfiguration {
        rules: vec![ServerSideEncryptionRule {
            apply_server_side_encryption_by_default: Some(ServerSideEncryptionByDefault {
                kms_master_key_id: None,
                sse_algorithm: ServerSideEncryption::from_static(ServerSideEncryption::AES256),
            }),
            bucket_key_enabled: Some(false),
        }],
    };
    let shown = Some(found.unwrap_or_else(default));
    Ok(S3Response::new(GetBucketEncryptionOutput { server_side_encryption_configuration: shown }))
}

pub async fn delete_encryption(
    s3: &Objects,
    request: S3Request<DeleteBucketEncryptionInput>,
) -> S3Result<S3Response<DeleteBucketEncryptionOutput>> {
    put::<ServerSideEncryptionConfiguration>(s3, &request.input.bucket, "encryption", None).await?;
    Ok(no_content(DeleteBucketEncryptionOutput::default()))
}

pub async fn put_website(
    s3: &Objects,
    request: S3Request<PutBucketWebsiteInput>,
) -> S3Result<S3Response<PutBucketWebsiteOutput>> {
    let input = request.input;
    let asked = input.website_configuration;
    let index = asked.index_document.as_ref().map(|index| index.suffix.as_str());
    match (&asked.redirect_all_requests_to, index) {
        (Some(_), None) if asked.error_document.is_none() && asked.routing_rules.is_none() => {}
        (None, Some(suffix)) if !suffix.is_empty() && !suffix.contains('/') => {}
        (None, Some(_)) => {
            return Err(s3_error!(InvalidArgument, "The IndexDocument Suffix is not well formed"));
        }
        _ => {
            return Err(s3_error!(
                InvalidArgument,
                "A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty"
            ));
        }
    }
    put(s3, &input.bucket, "website", Some(&asked)).await?;
    Ok(S3Response::new(PutBucketWebsiteOutput::default()))
}

pub async fn get_website(
    s3: &Objects,
    request: S3Request<GetBucketWebsiteInput>,
) -> S3Result<S3Response<GetBucketWebsiteOutput>> {
    let found: Option<WebsiteConfiguration> = get(s3, &request.input.bucket, "website").await?.1;
    let found = found.ok_or_else(no_website)?;
    Ok(S3Response::new(GetBucketWebsiteOutput {
        error_document: found.error_document,
        index_document: found.index_document,
        redirect_all_requests_to: found.redirect_all_requests_to,
        routing_rules: found.routing_rules,
    }))
}

pub fn no_website() -> s3s::S3Error {
    s3_error!(NoSuchWebsiteConfiguration, "The specified bucket does not have a website configuration")
}

pub async fn delete_website(
    s3: &Objects,
    request: S3Request<DeleteBucketWebsiteInput>,
) -> S3Result<S3Response<DeleteBucketWebsiteOutput>> {
    put::<WebsiteConfiguration>(s3, &request.input.bucket, "website", None).await?;
    Ok(no_content(DeleteBucketWebsiteOutput::default()))
}

/// Kept and shown; no logs are written, as S3 itself promises them only as a best effort.
pub async fn put_logging(
    s3: &Objects,
    request: S3Request<PutBucketLoggingInput>,
) -> S3Result<S3Response<PutBucketLoggingOutput>> {
    let input = request.input;
    let asked = input.bucket_logging_status.logging_enabled;
    if let Some(enabled) = &asked {
        unbuilt(&[(enabled.target_grants.is_some(), "TargetGrants")])?;
        if s3.storage.bucket(&enabled.target_bucket).await.is_err() {
            return Err(s3_error!(InvalidTargetBucketForLogging, "The target bucket for logging does not exist"));
        }
    }
    let kept = asked.map(|enabled| (enabled.target_bucket, enabled.target_prefix));
    put(s3, &input.bucket, "logging", kept.as_ref()).await?;
    Ok(S3Response::new(PutBucketLoggingOutput::default()))
}

pub async fn get_logging(
    s3: &Objects,
    request: S3Request<GetBucketLoggingInput>,
) -> S3Result<S3Response<GetBucketLoggingOutput>> {
    let found: Option<(String, String)> = get(s3, &request.input.bucket, "logging").await?.1;
    let logging_enabled = found.map(|(target_bucket, target_prefix)| LoggingEnabled {
        target_bucket,
        target_prefix,
        target_grants: None,
        target_object_key_format: None,
    });
    Ok(S3Response::new(GetBucketLoggingOutput { logging_enabled }))
}

pub async fn put_payment(
    s3: &Objects,
    request: S3Request<PutBucketRequestPaymentInput>,
) -> S3Result<S3Response<PutBucketRequestPaymentOutput>> {
    let input = request.input;
    let payer = input.request_payment_configuration.payer;
    if !matches!(payer.as_str(), "BucketOwner" | "Requester") {
        return Err(malformed());
    }
    put(s3, &input.bucket, "payment", Some(&payer)).await?;
    Ok(S3Response::new(PutBucketRequestPaymentOutput::default()))
}

pub async fn get_payment(
    s3: &Objects,
    request: S3Request<GetBucketRequestPaymentInput>,
) -> S3Result<S3Response<GetBucketRequestPaymentOutput>> {
    let found: Option<Payer> = get(s3, &request.input.bucket, "payment").await?.1;
    let payer = found.unwrap_or_else(|| Payer::from_static(Payer::BUCKET_OWNER));
    Ok(S3Response::new(GetBucketRequestPaymentOutput { payer: Some(payer) }))
}

pub async fn put_acceleration(
    s3: &Objects,
    request: S3Request<PutBucketAccelerateConfigurationInput>,
) -> S3Result<S3Response<PutBucketAccelerateConfigurationOutput>> {
    let input = request.input;
    if input.bucket.contains('.') {
        return Err(s3_error!(
            InvalidRequest,
            "S3 Transfer Acceleration is not supported for buckets with periods (.) in their names"
        ));
    }
    let status = input.accelerate_configuration.status.ok_or_else(malformed)?;
    if !matches!(status.as_str(), "Enabled" | "Suspended") {
        return Err(malformed());
    }
    put(s3, &input.bucket, "acceleration", Some(&status)).await?;
    Ok(S3Response::new(PutBucketAccelerateConfigurationOutput::default()))
}

pub async fn get_acceleration(
    s3: &Objects,
    request: S3Request<GetBucketAccelerateConfigurationInput>,
) -> S3Result<S3Response<GetBucketAccelerateConfigurationOutput>> {
    let status: Option<BucketAccelerateStatus> = get(s3, &request.input.bucket, "acceleration").await?.1;
    Ok(S3Response::new(GetBucketAccelerateConfigurationOutput { status, request_charged: None }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_that_are_none() {
        let of = |statement: &str| check_policy("b", &format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#));
        let good = r#"{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}"#;
        assert!(of(good).is_ok() && of(&format!("[{good}]")).is_ok());
        for bad in [
            "[]",
            r#"{"Effect":"Let","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}"#,
            r#"{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}"#,
            r#"{"Effect":"Allow","Principal":"*","Action":"sqs:SendMessage","Resource":"arn:aws:s3:::b/*"}"#,
            r#"{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::other/*"}"#,
            r#"{"Effect":"Allow","Principal":"*","Action":"s3:GetObject"}"#,
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
        assert!(check_policy("b", "policy").is_err() && check_policy("b", "{}").is_err());
    }
}
