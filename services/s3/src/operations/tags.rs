//! Tags of buckets and objects.

use std::collections::HashSet;

use cumulet_base::limits;
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::settings;
use crate::model::{Bucket, Marks};
use crate::{Objects, access, errors};

type Pairs = Vec<(String, String)>;

fn invalid(message: &'static str) -> s3s::S3Error {
    s3s::S3Error::with_message(s3s::S3ErrorCode::InvalidTag, message)
}

/// Tags within AWS's bounds
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html>).
fn pairs(set: Vec<(String, String)>, max: usize) -> S3Result<Pairs> {
    if set.len() > max {
        let message = format!("Object tags cannot be greater than {max}");
        return Err(errors::custom("BadRequest", 400, message));
    }
    let mut seen = HashSet::new();
    for (key, value) in &set {
        if key.is_empty() || key.chars().count() > 128 || key.starts_with("aws:") {
            return Err(invalid("The TagKey you have provided is invalid"));
        }
        if value.chars().count() > 256 {
            return Err(invalid("The TagValue you have provided is invalid"));
        }
        if !seen.insert(key.clone()) {
            return Err(invalid("Cannot provide multiple Tags with the same key"));
        }
    }
    Ok(set)
}

fn of_set(set: TagSet, max: usize) -> S3Result<Pairs> {
    pairs(set.into_iter().map(|tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default())).collect(), max)
}

fn shown(pairs: Pairs) -> TagSet {
    pairs.into_iter().map(|(key, value)| Tag { key: Some(key), value: Some(value) }).collect()
}

/// Those of a write's header, `key=value&…`.
pub fn of_header(header: Option<&str>) -> S3Result<Pairs> {
    let Some(header) = header else { return Ok(Vec::new()) };
    let set = form_urlencoded::parse(header.as_bytes()).map(|(key, value)| (key.into_owned(), value.into_owned()));
    pairs(set.collect(), limits::OBJECT_TAGS_MAX)
}

pub async fn put_object(
    s3: &Objects,
    request: S3Request<PutObjectTaggingInput>,
) -> S3Result<S3Response<PutObjectTaggingOutput>> {
    let input = request.input;
    let tags = of_set(input.tagging.tag_set, limits::OBJECT_TAGS_MAX)?;
    let amend = |_: &Bucket, marks: &mut Marks| {
        marks.tags.clone_from(&tags);
        Ok(())
    };
    let cause = access::cause("ObjectTagging:Put", s3.clock.now_ms())?;
    let object = s3.storage.amend(&input.bucket, &input.key, input.version_id.as_deref(), &cause, amend).await?;
    let version_id = (!object.version.is_first()).then(|| object.version_id().to_owned());
    Ok(S3Response::new(PutObjectTaggingOutput { version_id }))
}

pub async fn get_object(
    s3: &Objects,
    request: S3Request<GetObjectTaggingInput>,
) -> S3Result<S3Response<GetObjectTaggingOutput>> {
    let input = request.input;
    let object = s3.storage.described(&input.bucket, &input.key, input.version_id.as_deref()).await?.object;
    let version_id = (!object.version.is_first()).then(|| object.version_id().to_owned());
    Ok(S3Response::new(GetObjectTaggingOutput { tag_set: shown(object.marks.tags), version_id }))
}

pub async fn delete_object(
    s3: &Objects,
    request: S3Request<DeleteObjectTaggingInput>,
) -> S3Result<S3Response<DeleteObjectTaggingOutput>> {
    let input = request.input;
    let amend = |_: &Bucket, marks: &mut Marks| {
        marks.tags.clear();
        Ok(())
    };
    let cause = access::cause("ObjectTagging:Delete", s3.clock.now_ms())?;
    let object = s3.storage.amend(&input.bucket, &input.key, input.version_id.as_deref(), &cause, amend).await?;
    let version_id = (!object.version.is_first()).then(|| object.version_id().to_owned());
    let output = DeleteObjectTaggingOutput { version_id };
    Ok(S3Response::with_status(output, http::StatusCode::NO_CONTENT))
}

pub async fn put_bucket(
    s3: &Objects,
    request: S3Request<PutBucketTaggingInput>,
) -> S3Result<S3Response<PutBucketTaggingOutput>> {
    let input = request.input;
    let tags = of_set(input.tagging.tag_set, limits::BUCKET_TAGS_MAX)?;
    settings::put(s3, &input.bucket, "tags", Some(&tags)).await?;
    Ok(S3Response::with_status(PutBucketTaggingOutput::default(), http::StatusCode::NO_CONTENT))
}

pub async fn get_bucket(
    s3: &Objects,
    request: S3Request<GetBucketTaggingInput>,
) -> S3Result<S3Response<GetBucketTaggingOutput>> {
    let found: Option<Pairs> = settings::get(s3, &request.input.bucket, "tags").await?.1;
    let tags = found.ok_or_else(|| s3_error!(NoSuchTagSet, "The TagSet does not exist"))?;
    Ok(S3Response::new(GetBucketTaggingOutput { tag_set: shown(tags) }))
}

pub async fn delete_bucket(
    s3: &Objects,
    request: S3Request<DeleteBucketTaggingInput>,
) -> S3Result<S3Response<DeleteBucketTaggingOutput>> {
    settings::put::<Pairs>(s3, &request.input.bucket, "tags", None).await?;
    Ok(S3Response::with_status(DeleteBucketTaggingOutput::default(), http::StatusCode::NO_CONTENT))
}
