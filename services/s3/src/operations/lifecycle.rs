//! The lifecycle configuration; what it says is carried out by [`crate::lifecycle`].

use std::collections::HashSet;

use cumulet_base::limits;
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::objects::unbuilt;
use super::{malformed, seconds, settings};
use crate::Objects;

const KIND: &str = "lifecycle";

fn invalid(message: &'static str) -> s3s::S3Error {
    s3s::S3Error::with_message(s3s::S3ErrorCode::InvalidArgument, message)
}

fn check(rule: &LifecycleRule) -> S3Result<()> {
    unbuilt(&[
        (rule.transitions.as_ref().is_some_and(|t| !t.is_empty()), "Transition"),
        (rule.noncurrent_version_transitions.as_ref().is_some_and(|t| !t.is_empty()), "NoncurrentVersionTransition"),
    ])?;
    if !matches!(rule.status.as_str(), "Enabled" | "Disabled") || (rule.prefix.is_some() && rule.filter.is_some()) {
        return Err(malformed());
    }
    let expiration = rule.expiration.as_ref();
    let days = [
        expiration.and_then(|expiration| expiration.days),
        rule.noncurrent_version_expiration.as_ref().and_then(|noncurrent| noncurrent.noncurrent_days),
        rule.abort_incomplete_multipart_upload.as_ref().and_then(|abort| abort.days_after_initiation),
    ];
    if days.iter().flatten().any(|days| *days < 1) {
        return Err(invalid("'Days' must be a positive integer"));
    }
    if let Some(expiration) = expiration {
        let set =
            [expiration.days.is_some(), expiration.date.is_some(), expiration.expired_object_delete_marker.is_some()];
        if set.iter().filter(|is_set| **is_set).count() != 1 {
            return Err(malformed());
        }
        if expiration.date.as_ref().is_some_and(|date| seconds(date) % 86_400 != 0) {
            return Err(invalid("'Date' must be at midnight GMT"));
        }
    }
    if expiration.is_none()
        && rule.noncurrent_version_expiration.is_none()
        && rule.abort_incomplete_multipart_upload.is_none()
    {
        return Err(s3_error!(InvalidRequest, "At least one action needs to be specified in a rule"));
    }
    if rule.id.as_ref().is_some_and(|id| id.len() > 255) {
        return Err(invalid("ID length should not exceed allowed limit of 255"));
    }
    Ok(())
}

pub async fn put(
    s3: &Objects,
    request: S3Request<PutBucketLifecycleConfigurationInput>,
) -> S3Result<S3Response<PutBucketLifecycleConfigurationOutput>> {
    let input = request.input;
    let mut asked = input.lifecycle_configuration.ok_or_else(malformed)?;
    if asked.rules.is_empty() || asked.rules.len() > limits::BUCKET_LIFECYCLE_RULES_MAX {
        return Err(malformed());
    }
    let mut ids = HashSet::new();
    for rule in &mut asked.rules {
        check(rule)?;
        let id = rule.id.get_or_insert_with(cumulet_base::id::uuid);
        if !ids.insert(id.clone()) {
            return Err(invalid("Rule ID must be unique. Found same ID for more than one rule"));
        }
    }
    settings::put(s3, &input.bucket, KIND, Some(&asked)).await?;
    let transition_default_minimum_object_size = input.transition_default_minimum_object_size;
    Ok(S3Response::new(PutBucketLifecycleConfigurationOutput { transition_default_minimum_object_size }))
}

/// The rules of a bucket, none where it has no configuration.
pub async fn rules(s3: &Objects, bucket: &str) -> S3Result<Vec<LifecycleRule>> {
    let found: Option<BucketLifecycleConfiguration> = settings::get(s3, bucket, KIND).await?.1;
    Ok(found.map(|found| found.rules).unwrap_or_default())
}

pub async fn get(
    s3: &Objects,
    request: S3Request<GetBucketLifecycleConfigurationInput>,
) -> S3Result<S3Response<GetBucketLifecycleConfigurationOutput>> {
    let rules = rules(s3, &request.input.bucket).await?;
    if rules.is_empty() {
        return Err(s3_error!(NoSuchLifecycleConfiguration, "The lifecycle configuration does not exist"));
    }
    Ok(S3Response::new(GetBucketLifecycleConfigurationOutput {
        rules: Some(rules),
        transition_default_minimum_object_size: None,
    }))
}

pub async fn delete(
    s3: &Objects,
    request: S3Request<DeleteBucketLifecycleInput>,
) -> S3Result<S3Response<DeleteBucketLifecycleOutput>> {
    settings::put::<BucketLifecycleConfiguration>(s3, &request.input.bucket, KIND, None).await?;
    Ok(S3Response::with_status(DeleteBucketLifecycleOutput::default(), http::StatusCode::NO_CONTENT))
}
