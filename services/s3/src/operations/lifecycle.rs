//! The lifecycle configuration; what it says is carried out by [`crate::lifecycle`].

use std::collections::HashSet;

use cumulet_base::limits;
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::{malformed, seconds, settings};
use crate::Objects;

const KIND: &str = "lifecycle";
/// Which objects are too small to be moved, where a rule does not say.
const LEAST_KIND: &str = "lifecycle-least";
const LEAST: &str = "all_storage_classes_128K";

fn invalid(message: &'static str) -> s3s::S3Error {
    s3s::S3Error::with_message(s3s::S3ErrorCode::InvalidArgument, message)
}

fn check(rule: &LifecycleRule) -> S3Result<()> {
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
    check_transitions(rule)?;
    let has_transition = rule.transitions.as_ref().is_some_and(|all| !all.is_empty())
        || rule.noncurrent_version_transitions.as_ref().is_some_and(|all| !all.is_empty());
    if expiration.is_none()
        && !has_transition
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

/// Days before which objects do not become infrequently accessed.
const INFREQUENT_DAYS: i32 = 30;

fn check_transitions(rule: &LifecycleRule) -> S3Result<()> {
    let current = rule.transitions.iter().flatten().map(|one| (one.days, one.date.is_some(), &one.storage_class));
    let noncurrent = rule.noncurrent_version_transitions.iter().flatten();
    let noncurrent = noncurrent.map(|one| (one.noncurrent_days, false, &one.storage_class));
    for (is_current, (days, has_date, class)) in
        current.map(|one| (true, one)).chain(noncurrent.map(|one| (false, one)))
    {
        let Some(class) = class.as_ref().map(TransitionStorageClass::as_str) else { return Err(malformed()) };
        if !CLASSES.contains(&class) || days.is_some() == has_date {
            return Err(malformed());
        }
        if days.is_some_and(|days| days < 0) {
            return Err(invalid("'Days' for Transition action must be nonnegative"));
        }
        if is_current
            && ["STANDARD_IA", "ONEZONE_IA"].contains(&class)
            && days.is_some_and(|days| days < INFREQUENT_DAYS)
        {
            return Err(invalid(
                "'Days' in Transition action must be greater than or equal to 30 for storageClass 'STANDARD_IA'",
            ));
        }
    }
    Ok(())
}

const CLASSES: [&str; 6] =
    ["STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"];

/// Those whose objects would have to be restored before they could be read. Rules that name them are kept, but objects stay
/// where they are and can be read as before.
pub fn is_archive(class: &str) -> bool {
    ["GLACIER", "DEEP_ARCHIVE"].contains(&class)
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
    let least = input.transition_default_minimum_object_size;
    let least = least.unwrap_or_else(|| TransitionDefaultMinimumObjectSize::from_static(LEAST));
    if ![LEAST, "varies_by_storage_class"].contains(&least.as_str()) {
        return Err(invalid("The TransitionDefaultMinimumObjectSize is not valid"));
    }
    settings::put(s3, &input.bucket, LEAST_KIND, Some(&least.as_str())).await?;
    settings::put(s3, &input.bucket, KIND, Some(&asked)).await?;
    let transition_default_minimum_object_size = Some(least);
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
    let least: Option<String> = settings::get(s3, &request.input.bucket, LEAST_KIND).await?.1;
    Ok(S3Response::new(GetBucketLifecycleConfigurationOutput {
        rules: Some(rules),
        transition_default_minimum_object_size: Some(least.map_or_else(
            || TransitionDefaultMinimumObjectSize::from_static(LEAST),
            TransitionDefaultMinimumObjectSize::from,
        )),
    }))
}

pub async fn delete(
    s3: &Objects,
    request: S3Request<DeleteBucketLifecycleInput>,
) -> S3Result<S3Response<DeleteBucketLifecycleOutput>> {
    settings::put::<BucketLifecycleConfiguration>(s3, &request.input.bucket, KIND, None).await?;
    Ok(S3Response::with_status(DeleteBucketLifecycleOutput::default(), http::StatusCode::NO_CONTENT))
}
