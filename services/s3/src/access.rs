//! Who calls, and whether they may: s3s's hooks onto the ports that every service's callers pass.
//! Deliberately absent: bucket policies and ACLs, so that a bucket is its account's and nobody else's.

use std::sync::{Arc, Mutex, PoisonError};

use cumulet_wire::auth::{Authorizer, Caller, Credentials};
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::path::S3Path;
use s3s::{S3Result, s3_error};

use crate::errors;

/// What is known of the caller of one request. s3s asks for a secret by access key alone, so the token comes this way.
pub struct Session {
    token: Option<String>,
    caller: Mutex<Option<Caller>>,
}

tokio::task_local! {
    pub static SESSION: Arc<Session>;
}

impl Session {
    pub fn of(head: &http::request::Parts) -> Arc<Session> {
        let header = head.headers.get("x-amz-security-token").and_then(|v| v.to_str().ok()).map(str::to_owned);
        let token = header.or_else(|| {
            let query = head.uri.query().unwrap_or_default();
            let found = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "X-Amz-Security-Token");
            found.map(|(_, value)| value.into_owned())
        });
        Arc::new(Session { token, caller: Mutex::default() })
    }
}

/// The caller of the request that is being served.
pub fn caller() -> S3Result<Caller> {
    let known = SESSION.try_with(|session| session.caller.lock().unwrap_or_else(PoisonError::into_inner).clone());
    known.ok().flatten().ok_or_else(|| s3_error!(AccessDenied, "Access Denied"))
}

pub struct Keys(pub Arc<dyn Credentials>);

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let session = SESSION.try_with(Arc::clone).map_err(errors::internal)?;
        let found = self.0.find(access_key, session.token.as_deref()).await.map_err(|e| errors::denied(&e))?;
        let found = found.ok_or_else(|| {
            s3_error!(InvalidAccessKeyId, "The AWS Access Key Id you provided does not exist in our records.")
        })?;
        *session.caller.lock().unwrap_or_else(PoisonError::into_inner) = Some(found.caller);
        Ok(SecretKey::from(found.secret_access_key))
    }
}

pub struct Gate(pub Arc<dyn Authorizer>);

#[async_trait::async_trait]
impl S3Access for Gate {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        if cx.credentials().is_none() {
            return Err(s3_error!(AccessDenied, "Access Denied"));
        }
        let operation = cx.s3_op().name();
        // Each of its keys is asked for where they are known.
        if operation == "DeleteObjects" {
            return Ok(());
        }
        let resource = match cx.s3_path() {
            S3Path::Root => "*".to_owned(),
            S3Path::Bucket { bucket } => format!("arn:aws:s3:::{bucket}"),
            S3Path::Object { bucket, key } => arn(bucket, key),
        };
        may(&*self.0, action(operation), &resource).await
    }
}

pub fn arn(bucket: &str, key: &str) -> String {
    format!("arn:aws:s3:::{bucket}/{key}")
}

/// Whether the caller may do this to that.
pub async fn may(authorizer: &dyn Authorizer, action: &str, resource: &str) -> S3Result<()> {
    authorizer.authorize(&caller()?, action, resource).await.map_err(|e| errors::denied(&e))
}

/// Which permission an operation needs
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html>).
fn action(operation: &str) -> &'static str {
    match operation {
        "ListBuckets" => "s3:ListAllMyBuckets",
        "CreateBucket" => "s3:CreateBucket",
        "DeleteBucket" => "s3:DeleteBucket",
        "HeadBucket" | "ListObjects" | "ListObjectsV2" => "s3:ListBucket",
        "GetBucketLocation" => "s3:GetBucketLocation",
        "GetObject" | "HeadObject" => "s3:GetObject",
        "DeleteObject" => "s3:DeleteObject",
        "PutObject"
        | "PostObject"
        | "CopyObject"
        | "CreateMultipartUpload"
        | "UploadPart"
        | "UploadPartCopy"
        | "CompleteMultipartUpload" => "s3:PutObject",
        "AbortMultipartUpload" => "s3:AbortMultipartUpload",
        "ListParts" => "s3:ListMultipartUploadParts",
        "ListMultipartUploads" => "s3:ListBucketMultipartUploads",
        // Not built: whoever may do nothing in particular learns nothing of it.
        _ => "s3:*",
    }
}
