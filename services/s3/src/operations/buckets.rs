//! Buckets: create, head, list, delete, location.

use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::{acls, timestamp};
use crate::model::{Bucket as Record, Lock, Versioning};
use crate::{Objects, access, errors};

const HOME: &str = "us-east-1";

/// Names that S3 keeps for itself
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>).
const RESERVED_BEGINNINGS: [&str; 3] = ["xn--", "sthree-", "amzn-s3-demo-"];
const RESERVED_ENDS: [&str; 5] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];

/// Regions are names here; what looks like one is one.
fn is_region(name: &str) -> bool {
    let parts: Vec<&str> = name.split('-').collect();
    let is_word = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    name == "EU"
        || (parts.len() >= 3
            && parts.last().copied().is_some_and(is_number)
            && parts[..parts.len() - 1].iter().copied().all(is_word))
}

pub async fn create(s3: &Objects, request: S3Request<CreateBucketInput>) -> S3Result<S3Response<CreateBucketOutput>> {
    let input = request.input;
    let asked = input.create_bucket_configuration.and_then(|c| c.location_constraint).map(|c| c.as_str().to_owned());
    let named = asked.clone().unwrap_or_else(|| "unspecified".to_owned());
    let region = asked.unwrap_or_else(|| HOME.to_owned());
    if RESERVED_ENDS.iter().any(|end| input.bucket.ends_with(end))
        || RESERVED_BEGINNINGS.iter().any(|beginning| input.bucket.starts_with(beginning))
    {
        return Err(s3_error!(InvalidBucketName, "The specified bucket is not valid."));
    }
    if !is_region(&region) {
        return Err(s3_error!(InvalidLocationConstraint, "The specified location-constraint is not valid"));
    }
    // The oldest region's endpoint makes buckets everywhere, the others only their own.
    if request.region.as_ref().is_some_and(|signed| *signed.as_str() != *HOME && *signed.as_str() != *region) {
        return Err(errors::custom(
            "IllegalLocationConstraintException",
            400,
            format!(
                "The {named} location constraint is incompatible for the region specific endpoint this request was sent to."
            ),
        ));
    }
    let mut record = Record::new(access::caller()?.account, region, s3.clock.now_ms());
    if let Some(ownership) = &input.object_ownership {
        record.ownership = acls::ownership(ownership)?;
    }
    record.acl = acls::of_bucket(&record, input.acl.as_ref())?;
    if input.object_lock_enabled_for_bucket == Some(true) {
        record.lock = Some(Lock::default());
        record.versioning = Versioning::Enabled;
    }
    if !s3.storage.create_bucket(&input.bucket, &record).await? {
        let there = s3.storage.bucket(&input.bucket).await?;
        if there.account != record.account {
            return Err(s3_error!(BucketAlreadyExists, "The requested bucket name is not available."));
        }
        // In the oldest region a bucket of one's own may be created again.
        if there.region != HOME || record.region != HOME {
            return Err(s3_error!(
                BucketAlreadyOwnedByYou,
                "Your previous request to create the named bucket succeeded and you already own it."
            ));
        }
    }
    Ok(S3Response::new(CreateBucketOutput { location: Some(format!("/{}", input.bucket)) }))
}

pub async fn head(s3: &Objects, request: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
    let bucket = s3.storage.bucket(&request.input.bucket).await?;
    Ok(S3Response::new(HeadBucketOutput { bucket_region: Some(bucket.region), ..Default::default() }))
}

pub async fn delete(s3: &Objects, request: S3Request<DeleteBucketInput>) -> S3Result<S3Response<DeleteBucketOutput>> {
    s3.storage.delete_bucket(&request.input.bucket).await?;
    Ok(S3Response::with_status(DeleteBucketOutput::default(), http::StatusCode::NO_CONTENT))
}

pub async fn location(
    s3: &Objects,
    request: S3Request<GetBucketLocationInput>,
) -> S3Result<S3Response<GetBucketLocationOutput>> {
    let bucket = s3.storage.bucket(&request.input.bucket).await?;
    // The oldest region's buckets have no constraint.
    let named = Some(bucket.region).filter(|region| region != HOME).map(BucketLocationConstraint::from);
    Ok(S3Response::new(GetBucketLocationOutput { location_constraint: named }))
}

pub async fn list(s3: &Objects, request: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
    let input = request.input;
    let account = access::caller()?.account;
    let (prefix, after) = (input.prefix.unwrap_or_default(), input.continuation_token.unwrap_or_default());
    let mut found = s3.storage.buckets().await?;
    found.retain(|(name, bucket)| bucket.account == account && name.starts_with(&prefix) && *name > after);
    if let Some(region) = &input.bucket_region {
        found.retain(|(_, bucket)| bucket.region == *region);
    }
    let max = usize::try_from(input.max_buckets.unwrap_or(10_000)).unwrap_or_default().clamp(1, 10_000);
    let next = (found.len() > max).then(|| found[max - 1].0.clone());
    found.truncate(max);
    let shown = found.into_iter().map(|(name, bucket)| Bucket {
        name: Some(name),
        creation_date: Some(timestamp(bucket.created_ms)),
        bucket_region: Some(bucket.region),
    });
    let owner = Owner { id: Some(account), ..Default::default() };
    Ok(S3Response::new(ListBucketsOutput {
        buckets: Some(shown.collect()),
        owner: Some(owner),
        continuation_token: next,
        prefix: (!prefix.is_empty()).then_some(prefix),
    }))
}
