//! Who calls, and whether they may: s3s's hooks onto the ports that every service's callers pass, bucket policies, canned
//! ACLs and the public access block.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use cumulet_base::{id, limits};
use cumulet_wire::auth::{Authorizer, Caller, Credential, Credentials, Principal};
use cumulet_wire::call::{Context, trace_of};
use cumulet_wire::policy::condition::note_absent;
use cumulet_wire::policy::{self, Circumstances};
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::path::S3Path;
use s3s::{S3Result, s3_error};

use crate::model::{Bucket, Ownership};
use crate::notify::Cause;
use crate::public;
use crate::{Objects, errors};

/// What is known of the caller of one request. s3s asks for a secret by access key alone, so the token comes this way.
pub struct Session {
    token: Option<String>,
    /// A browser's upload.
    pub is_form: bool,
    /// Presigned for more than a week.
    lasts_too_long: bool,
    caller: Mutex<Option<Caller>>,
    pub request_id: String,
    source_ip: String,
    trace: Option<String>,
    known: Circumstances,
}

tokio::task_local! {
    pub static SESSION: Arc<Session>;
}

impl Session {
    /// A form's signer is known before its session begins.
    pub fn of(head: &http::request::Parts, form_signer: Option<Caller>) -> Arc<Session> {
        let header = head.headers.get("x-amz-security-token").and_then(|v| v.to_str().ok()).map(str::to_owned);
        let token = header.or_else(|| {
            let query = head.uri.query().unwrap_or_default();
            let found = form_urlencoded::parse(query.as_bytes())
                .find(|(name, _)| name.eq_ignore_ascii_case("x-amz-security-token"));
            found.map(|(_, value)| value.into_owned())
        });
        let peer = head.extensions.get::<SocketAddr>().map(|peer| peer.ip().to_string());
        Arc::new(Session {
            token,
            is_form: form_signer.is_some(),
            lasts_too_long: lasts_too_long(head.uri.query().unwrap_or_default()),
            caller: Mutex::new(form_signer),
            // Sixteen characters, as S3's are.
            request_id: id::hex(16).to_ascii_uppercase(),
            known: known(head, peer.as_deref()),
            source_ip: peer.unwrap_or_default(),
            trace: trace_of(&head.headers),
        })
    }

    /// The session of a call that did not come over HTTP.
    pub fn inside(context: &Context) -> Arc<Session> {
        Arc::new(Session {
            token: None,
            is_form: false,
            lasts_too_long: false,
            caller: Mutex::new(Some(context.caller.clone())),
            request_id: context.request_id.clone(),
            source_ip: "127.0.0.1".to_owned(),
            trace: context.trace.clone(),
            known: Circumstances::new(),
        })
    }

    fn set(&self, caller: Caller) {
        *self.caller.lock().unwrap_or_else(PoisonError::into_inner) = Some(caller);
    }
}

fn lasts_too_long(query: &str) -> bool {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let asked = pairs.find(|(name, _)| name == "X-Amz-Expires").and_then(|(_, value)| value.parse::<u64>().ok());
    asked.is_some_and(|seconds| seconds > 7 * 24 * 60 * 60)
}

/// The condition keys of a request that do not depend on its caller
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html>).
fn known(head: &http::request::Parts, peer: Option<&str>) -> Circumstances {
    let mut known = Circumstances::new();
    let mut put = |key: &str, value: Option<&str>| {
        if let Some(value) = value {
            known.insert(key.to_owned(), value.to_owned());
        }
    };
    put("aws:sourceip", peer);
    let header = |name: &str| head.headers.get(name).and_then(|v| v.to_str().ok());
    put("aws:useragent", header("user-agent"));
    put("aws:referer", header("referer"));
    for name in ["x-amz-acl", "x-amz-server-side-encryption", "x-amz-copy-source", "x-amz-storage-class"] {
        put(&format!("s3:{name}"), header(name));
    }
    for (name, value) in form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()) {
        let key = match &*name {
            "prefix" | "delimiter" | "max-keys" => format!("s3:{name}"),
            "versionId" => "s3:versionid".to_owned(),
            _ => continue,
        };
        put(&key, Some(&value));
    }
    for key in LOOKED_FOR.iter().filter(|key| !known.contains_key(**key)).copied().collect::<Vec<_>>() {
        note_absent(&mut known, key);
    }
    known
}

const LOOKED_FOR: [&str; 10] = [
    "aws:useragent",
    "aws:referer",
    "s3:prefix",
    "s3:delimiter",
    "s3:max-keys",
    "s3:versionid",
    "s3:x-amz-acl",
    "s3:x-amz-server-side-encryption",
    "s3:x-amz-copy-source",
    "s3:x-amz-storage-class",
];

fn session() -> S3Result<Arc<Session>> {
    SESSION.try_with(Arc::clone).map_err(errors::internal)
}

/// The caller of the request that is being served.
pub fn caller() -> S3Result<Caller> {
    let known = session()?.caller.lock().unwrap_or_else(PoisonError::into_inner).clone();
    known.ok_or_else(denied)
}

/// Whether the put that is being served was a browser's form.
pub fn is_form() -> bool {
    session().is_ok_and(|session| session.is_form)
}

pub fn request_id() -> S3Result<String> {
    session().map(|session| session.request_id.clone())
}

/// What the change that is being made comes from.
pub fn cause(event: &'static str, now_ms: u64) -> S3Result<Cause> {
    let session = session()?;
    let caller = caller()?;
    Ok(Cause {
        event,
        principal: if caller.kind == Principal::Anonymous {
            "Anonymous".to_owned()
        } else {
            format!("AWS:{}", caller.user_id)
        },
        source_ip: session.source_ip.clone(),
        trace: session.trace.clone(),
        request_id: session.request_id.clone(),
        now_ms,
    })
}

pub fn anonymous() -> Caller {
    Caller {
        account: String::new(),
        arn: "anonymous".to_owned(),
        user_id: "anonymous".to_owned(),
        kind: Principal::Anonymous,
    }
}

fn denied() -> s3s::S3Error {
    s3_error!(AccessDenied, "Access Denied")
}

pub struct Keys(pub Arc<dyn Credentials>);

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let session = session()?;
        if session.lasts_too_long {
            let message = "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds";
            return Err(errors::custom("AuthorizationQueryParametersError", 400, message));
        }
        let found = credential(&*self.0, access_key, session.token.as_deref()).await?;
        session.set(found.caller);
        Ok(SecretKey::from(found.secret_access_key))
    }
}

pub async fn credential(keys: &dyn Credentials, key_id: &str, token: Option<&str>) -> S3Result<Credential> {
    let found = keys.find(key_id, token).await.map_err(|e| match e.code.as_str() {
        "ExpiredTokenException" => s3_error!(ExpiredToken, "The provided token has expired."),
        _ => errors::denied(&e),
    })?;
    found.ok_or_else(|| match token {
        Some(_) => s3_error!(InvalidToken, "The provided token is malformed or otherwise invalid."),
        None => s3_error!(InvalidAccessKeyId, "The AWS Access Key Id you provided does not exist in our records."),
    })
}

pub struct Gate(pub Objects);

#[async_trait::async_trait]
impl S3Access for Gate {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let session = session()?;
        // A form's signer is known by then; s3s sees the put that it became.
        if cx.credentials().is_none() && !session.is_form {
            session.set(anonymous());
        }
        let operation = cx.s3_op().name();
        // What would give rights away, or keep them, is not passed over in silence.
        if let Some(header) = cx.headers().keys().find(|name| name.as_str().starts_with("x-amz-grant-")) {
            return Err(s3_error!(NotImplemented, "not implemented: s3.{operation} {header}"));
        }
        if let Some(name) = unknown_resource(operation, cx.uri().query().unwrap_or_default()) {
            return Err(s3_error!(NotImplemented, "not implemented: s3.{operation} with {name}"));
        }
        let header = |name: &str| cx.headers().get(name).and_then(|v| v.to_str().ok());
        let length = header("content-length").and_then(|length| length.parse::<u64>().ok()).unwrap_or_default();
        if length > limits::OBJECT_DOCUMENT_BYTES_MAX && !matches!(operation, "PutObject" | "UploadPart") {
            return Err(s3_error!(MaxMessageLengthExceeded, "Your request was too large."));
        }
        // Each of their keys is asked for where they are known.
        if operation == "DeleteObjects" {
            return Ok(());
        }
        let (bucket, key) = match cx.s3_path() {
            S3Path::Root => return may(&self.0, action(operation, false), None, None).await,
            S3Path::Bucket { bucket } => (bucket, None),
            S3Path::Object { bucket, key } => (bucket, Some(&**key)),
        };
        let query = cx.uri().query().unwrap_or_default();
        let has_version = form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "versionId");
        may(&self.0, action(operation, has_version), Some(bucket), key).await?;
        for further in further(operation, |header| cx.headers().contains_key(header)) {
            may(&self.0, further, Some(bucket), key).await?;
        }
        Ok(())
    }
}

/// What a request is about that s3s does not know, and takes for nothing: a rename would be a put of nothing.
fn unknown_resource(operation: &str, query: &str) -> Option<String> {
    let known: &[&str] = match operation {
        "ListObjects" | "ListObjectsV2" => {
            &["prefix", "marker", "delimiter", "encoding-type", "continuation-token", "start-after", "fetch-owner"]
        }
        "PutObject" | "GetObject" | "HeadObject" | "CreateBucket" | "DeleteObject" | "DeleteBucket" | "HeadBucket" => {
            &["versionId"]
        }
        _ => return None,
    };
    let is_unknown =
        |name: &str, value: &str| value.is_empty() && !known.contains(&name) && !name.starts_with("response-");
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(name, value)| is_unknown(name, value)).map(|(name, _)| name.into_owned())
}

/// Whether the caller may do this to that.
pub async fn may(s3: &Objects, action: &str, bucket: Option<&str>, key: Option<&str>) -> S3Result<()> {
    let (session, caller) = (session()?, caller()?);
    may_as(s3, &*s3.authorizer, &caller, &session.known, action, bucket, key).await
}

/// The same for a caller who is no session's.
pub async fn may_as(
    s3: &Objects,
    authorizer: &dyn Authorizer,
    caller: &Caller,
    known: &Circumstances,
    action: &str,
    bucket: Option<&str>,
    key: Option<&str>,
) -> S3Result<()> {
    let resource = match (bucket, key) {
        (Some(bucket), Some(key)) => format!("arn:aws:s3:::{bucket}/{key}"),
        (Some(bucket), None) => format!("arn:aws:s3:::{bucket}"),
        _ => "*".to_owned(),
    };
    let by_identity = |e: cumulet_wire::error::ApiError| match caller.kind {
        Principal::Anonymous => denied(),
        _ => errors::denied(&e),
    };
    // An owner is not held by the policies of what is theirs.
    let (Some(bucket), true) = (bucket, caller.kind != Principal::Owner) else {
        return authorizer.authorize(caller, action, &resource).await.map_err(|e| errors::denied(&e));
    };
    let (record, document) = match s3.storage.document(bucket, "policy").await {
        Ok(found) => found,
        Err(e) if *e.code() == s3s::S3ErrorCode::NoSuchBucket => {
            let may = authorizer.authorize(caller, action, &resource).await;
            return if caller.kind == Principal::Anonymous { Err(e) } else { may.map_err(by_identity) };
        }
        Err(e) => return Err(e),
    };
    let document = document.map(|text| String::from_utf8_lossy(&text).into_owned());
    let is_service = matches!(caller.kind, Principal::Service { .. });
    let is_own = caller.account == record.account || is_service;
    // A public policy that is held back still counts for the account's own, and what it denies is denied.
    let is_held_back = record.block.restricts && !is_own && document.as_deref().is_some_and(public::is_public);
    let mut circumstances = policy::circumstances(caller);
    circumstances.extend(known.clone());
    // Nobody has no identity whose policies could be asked for too.
    let either = is_own || caller.kind == Principal::Anonymous;
    let guarded =
        policy::guard_in(authorizer, caller, action, &resource, document.as_deref(), &circumstances, either).await;
    match guarded {
        Ok(()) if !is_held_back => Ok(()),
        Ok(()) => Err(denied()),
        Err(e) if e.message.contains("explicit deny") => Err(by_identity(e)),
        Err(e) => match by_acl(s3, caller, &record, action, bucket, key).await? {
            true => Ok(()),
            false => Err(by_identity(e)),
        },
    }
}

/// Whether a canned ACL lets them.
async fn by_acl(
    s3: &Objects,
    caller: &Caller,
    record: &Bucket,
    action: &str,
    bucket: &str,
    key: Option<&str>,
) -> S3Result<bool> {
    if record.ownership == Ownership::BucketOwnerEnforced || record.block.ignores_acls {
        return Ok(false);
    }
    let lets = |acl: Option<&str>| match acl {
        Some("public-read" | "public-read-write") => true,
        Some("authenticated-read") => caller.kind != Principal::Anonymous,
        _ => false,
    };
    Ok(match (action, key) {
        ("s3:GetObject", Some(key)) => {
            let found = s3.storage.described(bucket, key, None).await;
            found.is_ok_and(|found| lets(found.object.marks.acl.as_deref()))
        }
        ("s3:ListBucket" | "s3:ListBucketVersions" | "s3:ListBucketMultipartUploads", None) => {
            lets(record.acl.as_deref())
        }
        ("s3:PutObject" | "s3:DeleteObject", Some(_)) => record.acl.as_deref() == Some("public-read-write"),
        _ => false,
    })
}

/// What a request asks for beside its operation, by headers or fields.
fn further(operation: &str, has: impl Fn(&str) -> bool) -> Vec<&'static str> {
    if !matches!(operation, "PutObject" | "CopyObject" | "CreateMultipartUpload") {
        return Vec::new();
    }
    [
        ("x-amz-tagging", "s3:PutObjectTagging"),
        ("x-amz-acl", "s3:PutObjectAcl"),
        ("x-amz-object-lock-mode", "s3:PutObjectRetention"),
        ("x-amz-object-lock-legal-hold", "s3:PutObjectLegalHold"),
    ]
    .into_iter()
    .filter(|(name, _)| has(name))
    .map(|(_, action)| action)
    .collect()
}

/// Which permission an operation needs
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html>).
pub fn action(operation: &str, has_version: bool) -> &'static str {
    match (operation, has_version) {
        ("GetObject" | "HeadObject", true) => "s3:GetObjectVersion",
        ("GetObjectAttributes", true) => "s3:GetObjectVersionAttributes",
        ("DeleteObject", true) => "s3:DeleteObjectVersion",
        ("GetObjectTagging", true) => "s3:GetObjectVersionTagging",
        ("PutObjectTagging", true) => "s3:PutObjectVersionTagging",
        ("DeleteObjectTagging", true) => "s3:DeleteObjectVersionTagging",
        ("GetObjectAcl", true) => "s3:GetObjectVersionAcl",
        ("PutObjectAcl", true) => "s3:PutObjectVersionAcl",
        (operation, _) => plain_action(operation),
    }
}

#[rustfmt::skip]
fn plain_action(operation: &str) -> &'static str {
    match operation {
        "ListBuckets" => "s3:ListAllMyBuckets",
        "CreateBucket" => "s3:CreateBucket",
        "DeleteBucket" => "s3:DeleteBucket",
        "HeadBucket" | "ListObjects" | "ListObjectsV2" => "s3:ListBucket",
        "ListObjectVersions" => "s3:ListBucketVersions",
        "GetBucketLocation" => "s3:GetBucketLocation",
        "GetObject" | "HeadObject" => "s3:GetObject",
        "GetObjectAttributes" => "s3:GetObjectAttributes",
        "DeleteObject" => "s3:DeleteObject",
        "PutObject" | "PostObject" | "CopyObject" | "CreateMultipartUpload" | "UploadPart" | "UploadPartCopy"
        | "CompleteMultipartUpload" => "s3:PutObject",
        "AbortMultipartUpload" => "s3:AbortMultipartUpload",
        "ListParts" => "s3:ListMultipartUploadParts",
        "ListMultipartUploads" => "s3:ListBucketMultipartUploads",
        "GetObjectTagging" => "s3:GetObjectTagging",
        "PutObjectTagging" => "s3:PutObjectTagging",
        "DeleteObjectTagging" => "s3:DeleteObjectTagging",
        "GetObjectAcl" => "s3:GetObjectAcl",
        "PutObjectAcl" => "s3:PutObjectAcl",
        "GetObjectRetention" => "s3:GetObjectRetention",
        "PutObjectRetention" => "s3:PutObjectRetention",
        "GetObjectLegalHold" => "s3:GetObjectLegalHold",
        "PutObjectLegalHold" => "s3:PutObjectLegalHold",
        "GetObjectLockConfiguration" => "s3:GetBucketObjectLockConfiguration",
        "PutObjectLockConfiguration" => "s3:PutBucketObjectLockConfiguration",
        "GetBucketVersioning" => "s3:GetBucketVersioning",
        "PutBucketVersioning" => "s3:PutBucketVersioning",
        "GetBucketTagging" => "s3:GetBucketTagging",
        "PutBucketTagging" | "DeleteBucketTagging" => "s3:PutBucketTagging",
        "GetBucketPolicy" => "s3:GetBucketPolicy",
        "GetBucketPolicyStatus" => "s3:GetBucketPolicyStatus",
        "PutBucketPolicy" => "s3:PutBucketPolicy",
        "DeleteBucketPolicy" => "s3:DeleteBucketPolicy",
        "GetBucketCors" => "s3:GetBucketCORS",
        "PutBucketCors" | "DeleteBucketCors" => "s3:PutBucketCORS",
        "GetBucketAcl" => "s3:GetBucketAcl",
        "PutBucketAcl" => "s3:PutBucketAcl",
        "GetBucketOwnershipControls" => "s3:GetBucketOwnershipControls",
        "PutBucketOwnershipControls" | "DeleteBucketOwnershipControls" => "s3:PutBucketOwnershipControls",
        "GetBucketEncryption" => "s3:GetEncryptionConfiguration",
        "PutBucketEncryption" | "DeleteBucketEncryption" => "s3:PutEncryptionConfiguration",
        "GetBucketWebsite" => "s3:GetBucketWebsite",
        "PutBucketWebsite" => "s3:PutBucketWebsite",
        "DeleteBucketWebsite" => "s3:DeleteBucketWebsite",
        "GetBucketLifecycleConfiguration" => "s3:GetLifecycleConfiguration",
        "PutBucketLifecycleConfiguration" | "DeleteBucketLifecycle" => "s3:PutLifecycleConfiguration",
        "GetBucketLogging" => "s3:GetBucketLogging",
        "PutBucketLogging" => "s3:PutBucketLogging",
        "GetBucketRequestPayment" => "s3:GetBucketRequestPayment",
        "PutBucketRequestPayment" => "s3:PutBucketRequestPayment",
        "GetBucketAccelerateConfiguration" => "s3:GetAccelerateConfiguration",
        "PutBucketAccelerateConfiguration" => "s3:PutAccelerateConfiguration",
        "GetBucketNotificationConfiguration" => "s3:GetBucketNotification",
        "PutBucketNotificationConfiguration" => "s3:PutBucketNotification",
        "GetPublicAccessBlock" => "s3:GetBucketPublicAccessBlock",
        "PutPublicAccessBlock" | "DeletePublicAccessBlock" => "s3:PutBucketPublicAccessBlock",
        // Not built: whoever may do nothing in particular learns nothing of it.
        _ => "s3:*",
    }
}

#[cfg(test)]
mod tests {
    use cumulet_wire::error::ApiError;

    use super::*;

    /// Knows one session, which is over, and nobody else.
    struct Over;

    #[async_trait::async_trait]
    impl Credentials for Over {
        async fn find(&self, _id: &str, token: Option<&str>) -> Result<Option<Credential>, ApiError> {
            match token {
                Some("over") => Err(ApiError::new(403, "ExpiredTokenException", "")),
                _ => Ok(None),
            }
        }
    }

    #[tokio::test]
    async fn tokens_that_are_over_and_tokens_that_are_none_are_told_apart() {
        for (token, code) in
            [(Some("over"), "ExpiredToken"), (Some("none"), "InvalidToken"), (None, "InvalidAccessKeyId")]
        {
            let error = credential(&Over, "k", token).await.err().map(|e| e.code().as_str().to_owned());
            assert_eq!(error.as_deref(), Some(code));
        }
    }
}
