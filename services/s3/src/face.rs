//! S3 for the other services of this cloud: those of its operations that they need, as calls with AWS's member names, over
//! the same operations that HTTP has. It is never reached over HTTP.

use bytes::Bytes;
use cumulet_base::limits;
use cumulet_wire::auth::Authorizer;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::operation::{Operation, Protocol, Service, ServiceModel};
use cumulet_wire::policy::Circumstances;
use futures_util::TryStreamExt;
use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::access::{SESSION, Session, action, may_as};
use crate::operations::{acls, buckets, lifecycle, listing, locks, malformed, notifications, objects, settings, tags};
use crate::{Objects, errors};

const MODEL: ServiceModel = ServiceModel {
    name: "s3",
    // No request is told to be for it: its operations have no target.
    protocol: Protocol::Json10,
    target: "",
    xmlns: "",
    operations: OPERATIONS,
    absent: &[],
};

const OPERATIONS: &[Operation] = &[
    Operation::rpc("CreateBucket"),
    Operation::rpc("DeleteBucket"),
    Operation::rpc("HeadBucket"),
    Operation::rpc("GetBucketLocation"),
    Operation::rpc("PutObject").raw_payload(),
    Operation::rpc("GetObject"),
    Operation::rpc("HeadObject"),
    Operation::rpc("DeleteObject"),
    Operation::rpc("ListObjectsV2"),
    Operation::rpc("PutBucketPolicy"),
    Operation::rpc("GetBucketPolicy"),
    Operation::rpc("DeleteBucketPolicy"),
    Operation::rpc("PutBucketVersioning"),
    Operation::rpc("GetBucketVersioning"),
    Operation::rpc("PutBucketTagging"),
    Operation::rpc("DeleteBucketTagging"),
    Operation::rpc("PutBucketCors"),
    Operation::rpc("DeleteBucketCors"),
    Operation::rpc("PutBucketLifecycleConfiguration"),
    Operation::rpc("DeleteBucketLifecycle"),
    Operation::rpc("PutBucketWebsite"),
    Operation::rpc("DeleteBucketWebsite"),
    Operation::rpc("PutBucketEncryption"),
    Operation::rpc("DeleteBucketEncryption"),
    Operation::rpc("PutBucketOwnershipControls"),
    Operation::rpc("DeleteBucketOwnershipControls"),
    Operation::rpc("PutPublicAccessBlock"),
    Operation::rpc("DeletePublicAccessBlock"),
    Operation::rpc("PutBucketNotificationConfiguration"),
    Operation::rpc("PutBucketLogging"),
    Operation::rpc("PutBucketAccelerateConfiguration"),
    Operation::rpc("PutObjectLockConfiguration"),
    Operation::rpc("PutBucketAcl"),
];

pub struct Face(pub Objects);

#[async_trait::async_trait]
impl Service for Face {
    fn model(&self) -> &'static ServiceModel {
        &MODEL
    }

    async fn authorize(&self, authorizer: &dyn Authorizer, call: &Call) -> Result<(), ApiError> {
        let text = |name: &str| call.input.get(name).and_then(Value::as_str);
        let action = action(call.operation.name, text("VersionId").is_some());
        let (caller, known) = (&call.context.caller, Circumstances::new());
        may_as(&self.0, authorizer, caller, &known, action, text("Bucket"), text("Key")).await.map_err(api_error)
    }

    async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        let session = Session::inside(&call.context);
        let name = call.operation.name;
        let input = Members(call.input);
        SESSION.scope(session, carry_out(&self.0, name, input, call.payload)).await.map_err(api_error)
    }
}

/// S3's error in the shape of the others.
fn api_error(e: S3Error) -> ApiError {
    let status = e.status_code().or_else(|| e.code().status_code()).map_or(500, |status| status.as_u16());
    ApiError::new(status, e.code().as_str(), e.message().unwrap_or_default().to_owned())
}

/// A request that did not come over HTTP.
pub fn request<T>(input: T) -> S3Request<T> {
    S3Request {
        input,
        method: http::Method::PUT,
        uri: http::Uri::from_static("/"),
        headers: http::HeaderMap::new(),
        extensions: http::Extensions::new(),
        credentials: None,
        region: None,
        service: None,
        trailing_headers: None,
    }
}

/// Members by AWS's names.
struct Members(Map<String, Value>);

impl Members {
    fn text(&self, name: &str) -> Option<String> {
        self.0.get(name).and_then(Value::as_str).map(str::to_owned)
    }

    fn bucket(&self) -> S3Result<String> {
        self.required("Bucket")
    }

    fn required(&self, name: &str) -> S3Result<String> {
        let message = format!("{name} is required.");
        self.text(name).ok_or_else(|| S3Error::with_message(S3ErrorCode::InvalidArgument, message))
    }

    fn flag(&self, name: &str) -> Option<bool> {
        self.0.get(name).and_then(Value::as_bool)
    }

    fn number(&self, name: &str) -> Option<i32> {
        self.0.get(name).and_then(Value::as_i64).and_then(|n| i32::try_from(n).ok())
    }

    /// A member that is a shape of its own.
    fn shape<T: DeserializeOwned>(&self, name: &str) -> S3Result<T> {
        let value = self.0.get(name).cloned().ok_or_else(malformed)?;
        serde_json::from_value(snake_keys(value))
            .map_err(|e| S3Error::with_message(S3ErrorCode::MalformedXML, format!("{name} is not well-formed: {e}")))
    }
}

/// AWS's names of members as Rust's names of fields, all the way down.
fn snake_keys(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            Value::Object(members.into_iter().map(|(name, value)| (snake(&name), snake_keys(value))).collect())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(snake_keys).collect()),
        value => value,
    }
}

/// `SSEAlgorithm` is `sse_algorithm`, `KMSMasterKeyID` is `kms_master_key_id`.
fn snake(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut out = String::with_capacity(name.len() + 4);
    for (at, letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| letters[at]);
        let begins = letter.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase()
                    || before.is_ascii_digit()
                    || letters.get(at + 1).is_some_and(|next| next.is_lowercase())
            });
        if begins {
            out.push('_');
        }
        out.extend(letter.to_lowercase());
    }
    out
}

fn empty<T>(done: S3Result<S3Response<T>>) -> S3Result<Answer> {
    done.map(|_| Answer::empty())
}

fn shown(output: Value) -> Answer {
    Answer { output, ..Answer::default() }
}

#[allow(clippy::too_many_lines)]
async fn carry_out(s3: &Objects, name: &str, input: Members, payload: Bytes) -> S3Result<Answer> {
    let bucket = input.bucket()?;
    match name {
        "CreateBucket" => create_bucket(s3, bucket, &input).await,
        "DeleteBucket" => {
            let asked = DeleteBucketInput { bucket, ..Default::default() };
            empty(buckets::delete(s3, request(asked)).await)
        }
        "HeadBucket" => {
            let asked = HeadBucketInput { bucket, ..Default::default() };
            let output = buckets::head(s3, request(asked)).await?.output;
            Ok(shown(json!({"BucketRegion": output.bucket_region})))
        }
        "GetBucketLocation" => {
            let asked = GetBucketLocationInput { bucket, ..Default::default() };
            let output = buckets::location(s3, request(asked)).await?.output;
            Ok(shown(json!({"LocationConstraint": output.location_constraint.map(|l| l.as_str().to_owned())})))
        }
        "PutObject" => put_object(s3, bucket, &input, payload).await,
        "GetObject" => get_object(s3, bucket, &input).await,
        "HeadObject" => {
            let (key, version_id) = (input.required("Key")?, input.text("VersionId"));
            let asked = HeadObjectInput { bucket, key, version_id, ..Default::default() };
            let output = objects::head(s3, request(asked)).await?.output;
            Ok(shown(json!({
                "ContentLength": output.content_length,
                "ContentType": output.content_type,
                "ETag": output.e_tag.map(|tag| format!("\"{}\"", tag.value())),
                "VersionId": output.version_id,
                "Metadata": output.metadata,
            })))
        }
        "DeleteObject" => {
            let (key, version_id) = (input.required("Key")?, input.text("VersionId"));
            let asked = DeleteObjectInput { bucket, key, version_id, ..Default::default() };
            let output = objects::delete(s3, request(asked)).await?.output;
            Ok(shown(json!({"DeleteMarker": output.delete_marker, "VersionId": output.version_id})))
        }
        "ListObjectsV2" => list(s3, bucket, &input).await,
        "PutBucketPolicy" => {
            let policy = match input.0.get("Policy") {
                Some(Value::String(text)) => text.clone(),
                Some(document) => document.to_string(),
                None => return Err(malformed()),
            };
            let asked = PutBucketPolicyInput { bucket, policy, ..Default::default() };
            empty(settings::put_policy(s3, request(asked)).await)
        }
        "GetBucketPolicy" => {
            let asked = GetBucketPolicyInput { bucket, ..Default::default() };
            let output = settings::get_policy(s3, request(asked)).await?.output;
            Ok(shown(json!({"Policy": output.policy})))
        }
        "DeleteBucketPolicy" => {
            let asked = DeleteBucketPolicyInput { bucket, ..Default::default() };
            empty(settings::delete_policy(s3, request(asked)).await)
        }
        "PutBucketAcl" => {
            let acl = input.text("ACL").map(BucketCannedACL::from);
            empty(acls::put_bucket(s3, request(PutBucketAclInput { bucket, acl, ..Default::default() })).await)
        }
        name => settle(s3, name, bucket, &input).await,
    }
}

/// What is set of a bucket, and taken off again.
async fn settle(s3: &Objects, name: &str, bucket: String, input: &Members) -> S3Result<Answer> {
    match name {
        "PutBucketVersioning" => {
            let versioning_configuration = input.shape("VersioningConfiguration")?;
            let asked = PutBucketVersioningInput::builder()
                .bucket(bucket)
                .versioning_configuration(versioning_configuration)
                .build()
                .map_err(errors::internal)?;
            empty(settings::put_versioning(s3, request(asked)).await)
        }
        "GetBucketVersioning" => {
            let asked = GetBucketVersioningInput { bucket, ..Default::default() };
            let output = settings::get_versioning(s3, request(asked)).await?.output;
            Ok(shown(json!({"Status": output.status.map(|status| status.as_str().to_owned())})))
        }
        "PutBucketTagging" => {
            let tagging = input.shape("Tagging")?;
            empty(
                tags::put_bucket(
                    s3,
                    request(
                        PutBucketTaggingInput::builder()
                            .bucket(bucket)
                            .tagging(tagging)
                            .build()
                            .map_err(errors::internal)?,
                    ),
                )
                .await,
            )
        }
        "DeleteBucketTagging" => {
            let asked = DeleteBucketTaggingInput { bucket, ..Default::default() };
            empty(tags::delete_bucket(s3, request(asked)).await)
        }
        "PutBucketCors" => {
            let cors_configuration = input.shape("CORSConfiguration")?;
            let asked = PutBucketCorsInput::builder()
                .bucket(bucket)
                .cors_configuration(cors_configuration)
                .build()
                .map_err(errors::internal)?;
            empty(settings::put_cors(s3, request(asked)).await)
        }
        "DeleteBucketCors" => {
            let asked = DeleteBucketCorsInput { bucket, ..Default::default() };
            empty(settings::delete_cors(s3, request(asked)).await)
        }
        "PutBucketLifecycleConfiguration" => {
            let lifecycle_configuration = Some(input.shape("LifecycleConfiguration")?);
            let asked = PutBucketLifecycleConfigurationInput { bucket, lifecycle_configuration, ..Default::default() };
            empty(lifecycle::put(s3, request(asked)).await)
        }
        "DeleteBucketLifecycle" => {
            let asked = DeleteBucketLifecycleInput { bucket, ..Default::default() };
            empty(lifecycle::delete(s3, request(asked)).await)
        }
        "PutBucketWebsite" => {
            let website_configuration = input.shape("WebsiteConfiguration")?;
            let asked = PutBucketWebsiteInput::builder()
                .bucket(bucket)
                .website_configuration(website_configuration)
                .build()
                .map_err(errors::internal)?;
            empty(settings::put_website(s3, request(asked)).await)
        }
        "DeleteBucketWebsite" => {
            let asked = DeleteBucketWebsiteInput { bucket, ..Default::default() };
            empty(settings::delete_website(s3, request(asked)).await)
        }
        "PutBucketEncryption" => {
            let server_side_encryption_configuration = input.shape("ServerSideEncryptionConfiguration")?;
            let asked = PutBucketEncryptionInput::builder()
                .bucket(bucket)
                .server_side_encryption_configuration(server_side_encryption_configuration)
                .build()
                .map_err(errors::internal)?;
            empty(settings::put_encryption(s3, request(asked)).await)
        }
        "DeleteBucketEncryption" => {
            let asked = DeleteBucketEncryptionInput { bucket, ..Default::default() };
            empty(settings::delete_encryption(s3, request(asked)).await)
        }
        "PutBucketOwnershipControls" => {
            let rules = input.0.get("OwnershipControls").and_then(|controls| controls["Rules"].as_array());
            let one = |rule: &Value| {
                let name = rule["ObjectOwnership"].as_str().unwrap_or_default().to_owned();
                OwnershipControlsRule { object_ownership: ObjectOwnership::from(name) }
            };
            let ownership_controls = OwnershipControls { rules: rules.into_iter().flatten().map(one).collect() };
            let asked = PutBucketOwnershipControlsInput::builder()
                .bucket(bucket)
                .ownership_controls(ownership_controls)
                .build()
                .map_err(errors::internal)?;
            empty(acls::put_ownership(s3, request(asked)).await)
        }
        "DeleteBucketOwnershipControls" => {
            let asked = DeleteBucketOwnershipControlsInput { bucket, ..Default::default() };
            empty(acls::delete_ownership(s3, request(asked)).await)
        }
        "PutPublicAccessBlock" => {
            let public_access_block_configuration = input.shape("PublicAccessBlockConfiguration")?;
            let asked = PutPublicAccessBlockInput::builder()
                .bucket(bucket)
                .public_access_block_configuration(public_access_block_configuration)
                .build()
                .map_err(errors::internal)?;
            empty(acls::put_block(s3, request(asked)).await)
        }
        "DeletePublicAccessBlock" => {
            let asked = DeletePublicAccessBlockInput { bucket, ..Default::default() };
            empty(acls::delete_block(s3, request(asked)).await)
        }
        "PutBucketNotificationConfiguration" => {
            let asked = PutBucketNotificationConfigurationInput::builder()
                .bucket(bucket)
                .notification_configuration(input.shape("NotificationConfiguration")?)
                .skip_destination_validation(input.flag("SkipDestinationValidation"))
                .build()
                .map_err(errors::internal)?;
            empty(notifications::put(s3, request(asked)).await)
        }
        "PutBucketLogging" => {
            let enabled = input.0.get("BucketLoggingStatus").map(|status| &status["LoggingEnabled"]);
            let logging_enabled = enabled.filter(|enabled| enabled.is_object()).map(|enabled| LoggingEnabled {
                target_bucket: enabled["TargetBucket"].as_str().unwrap_or_default().to_owned(),
                target_prefix: enabled["TargetPrefix"].as_str().unwrap_or_default().to_owned(),
                target_grants: None,
                target_object_key_format: None,
            });
            let bucket_logging_status = BucketLoggingStatus { logging_enabled };
            let asked = PutBucketLoggingInput::builder()
                .bucket(bucket)
                .bucket_logging_status(bucket_logging_status)
                .build()
                .map_err(errors::internal)?;
            empty(settings::put_logging(s3, request(asked)).await)
        }
        "PutBucketAccelerateConfiguration" => {
            let accelerate_configuration = input.shape("AccelerateConfiguration")?;
            let asked = PutBucketAccelerateConfigurationInput::builder()
                .bucket(bucket)
                .accelerate_configuration(accelerate_configuration)
                .build()
                .map_err(errors::internal)?;
            empty(settings::put_acceleration(s3, request(asked)).await)
        }
        "PutObjectLockConfiguration" => {
            let object_lock_configuration = Some(input.shape("ObjectLockConfiguration")?);
            let asked = PutObjectLockConfigurationInput { bucket, object_lock_configuration, ..Default::default() };
            empty(locks::put_configuration(s3, request(asked)).await)
        }
        name => Err(S3Error::with_message(S3ErrorCode::NotImplemented, format!("not implemented: s3.{name}"))),
    }
}

async fn create_bucket(s3: &Objects, bucket: String, input: &Members) -> S3Result<Answer> {
    let configuration = input.0.get("CreateBucketConfiguration");
    let place = configuration.and_then(|configuration| configuration["LocationConstraint"].as_str());
    let configuration = place.map(|place| CreateBucketConfiguration {
        location_constraint: Some(BucketLocationConstraint::from(place.to_owned())),
        ..Default::default()
    });
    let asked = CreateBucketInput {
        bucket,
        create_bucket_configuration: configuration,
        object_lock_enabled_for_bucket: input.flag("ObjectLockEnabledForBucket"),
        object_ownership: input.text("ObjectOwnership").map(ObjectOwnership::from),
        acl: input.text("ACL").map(BucketCannedACL::from),
        ..Default::default()
    };
    let output = buckets::create(s3, request(asked)).await?.output;
    Ok(shown(json!({"Location": output.location})))
}

async fn put_object(s3: &Objects, bucket: String, input: &Members, payload: Bytes) -> S3Result<Answer> {
    let metadata = input.0.get("Metadata").cloned().map(serde_json::from_value).transpose();
    let asked = PutObjectInput {
        bucket,
        key: input.required("Key")?,
        body: Some(StreamingBlob::from(s3s::Body::from(payload))),
        content_type: input.text("ContentType"),
        content_encoding: input.text("ContentEncoding"),
        cache_control: input.text("CacheControl"),
        tagging: input.text("Tagging"),
        metadata: metadata.map_err(errors::internal)?,
        ..Default::default()
    };
    let output = objects::put(s3, request(asked)).await?.output;
    let tag = output.e_tag.map(|tag| format!("\"{}\"", tag.value()));
    Ok(shown(json!({"ETag": tag, "VersionId": output.version_id})))
}

/// The object whole: who calls this way holds it in memory.
async fn get_object(s3: &Objects, bucket: String, input: &Members) -> S3Result<Answer> {
    let (key, version_id) = (input.required("Key")?, input.text("VersionId"));
    let asked = GetObjectInput { bucket, key, version_id, ..Default::default() };
    let output = objects::get(s3, request(asked)).await?.output;
    let length = output.content_length.and_then(|length| usize::try_from(length).ok()).unwrap_or_default();
    if length > limits::BLOB_BYTES_MAX {
        return Err(S3Error::with_message(S3ErrorCode::EntityTooLarge, "The object is too large to be had whole."));
    }
    let mut bytes = Vec::with_capacity(length);
    if let Some(mut body) = output.body {
        while let Some(piece) = body.try_next().await.map_err(errors::internal)? {
            bytes.extend_from_slice(&piece);
        }
    }
    let shown = json!({
        "ContentLength": length,
        "ContentType": output.content_type,
        "ETag": output.e_tag.map(|tag| format!("\"{}\"", tag.value())),
        "VersionId": output.version_id,
        "Metadata": output.metadata,
    });
    Ok(Answer { output: shown, payload: Some(bytes.into()), ..Answer::default() })
}

async fn list(s3: &Objects, bucket: String, input: &Members) -> S3Result<Answer> {
    let asked = ListObjectsV2Input {
        bucket,
        prefix: input.text("Prefix"),
        delimiter: input.text("Delimiter"),
        start_after: input.text("StartAfter"),
        continuation_token: input.text("ContinuationToken"),
        max_keys: input.number("MaxKeys"),
        ..Default::default()
    };
    let output = listing::v2(s3, request(asked)).await?.output;
    let one = |object: Object| {
        json!({
            "Key": object.key,
            "Size": object.size,
            "ETag": object.e_tag.map(|tag| format!("\"{}\"", tag.value())),
        })
    };
    let prefixes = output.common_prefixes.into_iter().flatten().map(|common| json!({"Prefix": common.prefix}));
    Ok(shown(json!({
        "Contents": output.contents.into_iter().flatten().map(one).collect::<Vec<_>>(),
        "CommonPrefixes": prefixes.collect::<Vec<_>>(),
        "IsTruncated": output.is_truncated,
        "NextContinuationToken": output.next_continuation_token,
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_members() {
        for (name, field) in [
            ("SSEAlgorithm", "sse_algorithm"),
            ("KMSMasterKeyID", "kms_master_key_id"),
            ("CORSRules", "cors_rules"),
            ("ID", "id"),
            ("LambdaFunctionArn", "lambda_function_arn"),
            ("BlockPublicAcls", "block_public_acls"),
            ("MaxAgeSeconds", "max_age_seconds"),
            ("Key", "key"),
        ] {
            assert_eq!(snake(name), field);
        }
    }
}
