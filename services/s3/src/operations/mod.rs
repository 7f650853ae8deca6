//! One file for each family of operations, and what they share: times, tags of entities, conditions.

pub mod acls;
pub mod attributes;
pub mod buckets;
pub mod lifecycle;
pub mod listing;
pub mod locks;
pub mod multipart;
pub mod notifications;
pub mod objects;
pub mod sealing;
pub mod settings;
pub mod tags;
pub mod versions;

use s3s::dto::{ETag, ETagCondition, Timestamp};
use s3s::{S3Result, s3_error};

use crate::model::Object;

pub fn timestamp(ms: u64) -> Timestamp {
    let at = time::OffsetDateTime::from_unix_timestamp(i64::try_from(ms / 1000).unwrap_or_default());
    Timestamp::from(at.unwrap_or(time::OffsetDateTime::UNIX_EPOCH))
}

/// Times of objects are shown in whole seconds, and compared so.
pub fn seconds(timestamp: &Timestamp) -> i64 {
    time::OffsetDateTime::from(timestamp.clone()).unix_timestamp()
}

pub fn etag(value: &str) -> ETag {
    ETag::Strong(value.to_owned())
}

pub fn matches(condition: &ETagCondition, object: &Object) -> bool {
    condition.as_etag().is_none_or(|etag| etag.value() == object.etag)
}

/// A write can be made to depend on there being nothing, not on there being another.
pub fn admit_conditions(if_none_match: Option<&ETagCondition>) -> S3Result<()> {
    match if_none_match {
        Some(ETagCondition::ETag(_)) => {
            Err(s3_error!(NotImplemented, "A header you provided implies functionality that is not implemented"))
        }
        Some(ETagCondition::Any) | None => Ok(()),
    }
}

/// Conditions of a write, on what is there already.
pub fn admit_write(
    old: Option<&Object>,
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result<()> {
    if let Some(condition) = if_match {
        let old = old.ok_or_else(|| s3_error!(NoSuchKey, "The specified key does not exist."))?;
        if !matches(condition, old) {
            return Err(precondition_failed());
        }
    }
    if if_none_match.is_some_and(|condition| old.is_some_and(|old| matches(condition, old))) {
        return Err(precondition_failed());
    }
    Ok(())
}

pub fn precondition_failed() -> s3s::S3Error {
    s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold")
}

pub fn malformed() -> s3s::S3Error {
    s3_error!(MalformedXML, "The XML you provided was not well-formed or did not validate against our published schema")
}
