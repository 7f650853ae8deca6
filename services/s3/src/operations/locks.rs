//! Object lock: the bucket's configuration, retention and legal holds of versions, and what they forbid.

use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::{malformed, seconds, timestamp};
use crate::model::{Bucket, Lock, Marks, Mode, Retention, Versioning};
use crate::{Objects, access};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// What a write says of its object's locks.
pub struct LockHeaders<'a> {
    pub mode: Option<&'a ObjectLockMode>,
    pub until: Option<&'a Timestamp>,
    pub hold: Option<&'a ObjectLockLegalHoldStatus>,
}

impl LockHeaders<'_> {
    /// Its locks: those asked for, or what the bucket gives to all.
    pub fn marks(&self, bucket: &Bucket, now_ms: u64) -> S3Result<Marks> {
        let mut marks = Marks::default();
        let is_asked = self.mode.is_some() || self.until.is_some() || self.hold.is_some();
        let Some(lock) = &bucket.lock else {
            return if is_asked { Err(no_lock()) } else { Ok(marks) };
        };
        marks.is_held = self.hold.is_some_and(|hold| hold.as_str() == "ON");
        marks.has_hold = self.hold.is_some();
        marks.retention = match (self.mode, self.until) {
            (Some(mode), Some(until)) => Some(retention(mode.as_str(), until, now_ms)?),
            (None, None) => lock.mode.map(|mode| Retention { mode, until_ms: now_ms + lock.days * DAY_MS }),
            _ => {
                return Err(s3_error!(
                    InvalidArgument,
                    "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied"
                ));
            }
        };
        Ok(marks)
    }
}

fn no_lock() -> s3s::S3Error {
    s3_error!(InvalidRequest, "Bucket is missing Object Lock Configuration")
}

fn retention(mode: &str, until: &Timestamp, now_ms: u64) -> S3Result<Retention> {
    let mode = Mode::parse(mode).ok_or_else(malformed)?;
    let until_ms = u64::try_from(seconds(until)).unwrap_or_default() * 1000;
    if until_ms <= now_ms {
        return Err(s3_error!(InvalidArgument, "The retain until date must be in the future!"));
    }
    Ok(Retention { mode, until_ms })
}

/// The locks as the members of an answer.
pub struct Shown {
    pub mode: Option<ObjectLockMode>,
    pub until: Option<Timestamp>,
    pub hold: Option<ObjectLockLegalHoldStatus>,
}

impl Shown {
    pub fn of(marks: &Marks) -> Shown {
        let retention = marks.retention.as_ref();
        Shown {
            mode: retention.map(|retention| ObjectLockMode::from_static(retention.mode.name())),
            until: retention.map(|retention| timestamp(retention.until_ms)),
            hold: marks.is_held.then(|| ObjectLockLegalHoldStatus::from_static(ObjectLockLegalHoldStatus::ON)),
        }
    }
}

/// Whether a version may be deleted for good; `bypasses` is set for those who may pass over governance.
pub fn admit_delete(marks: &Marks, bypasses: bool, now_ms: u64) -> S3Result<()> {
    let is_retained = marks
        .retention
        .as_ref()
        .is_some_and(|retention| retention.until_ms > now_ms && !(bypasses && retention.mode == Mode::Governance));
    if marks.is_held || is_retained {
        return Err(s3_error!(AccessDenied, "Access Denied because object protected by object lock."));
    }
    Ok(())
}

pub async fn put_configuration(
    s3: &Objects,
    request: S3Request<PutObjectLockConfigurationInput>,
) -> S3Result<S3Response<PutObjectLockConfigurationOutput>> {
    let input = request.input;
    let asked = input.object_lock_configuration.ok_or_else(malformed)?;
    if asked.object_lock_enabled.as_ref().is_none_or(|enabled| enabled.as_str() != "Enabled") {
        return Err(malformed());
    }
    let lock = match asked.rule.and_then(|rule| rule.default_retention) {
        None => Lock::default(),
        Some(rule) => {
            let mode = rule.mode.as_ref().and_then(|mode| Mode::parse(mode.as_str())).ok_or_else(malformed)?;
            let (days, is_years) = match (rule.days, rule.years) {
                (Some(days), None) => (days, false),
                (None, Some(years)) => (years.saturating_mul(365), true),
                _ => return Err(malformed()),
            };
            let days = u64::try_from(days).ok().filter(|days| (1..=36_500).contains(days)).ok_or_else(|| {
                s3_error!(InvalidArgument, "Default retention period must be a positive integer value.")
            })?;
            Lock { mode: Some(mode), days, is_years }
        }
    };
    let amend = |bucket: &mut Bucket| {
        if bucket.versioning != Versioning::Enabled {
            return Err(s3_error!(
                InvalidBucketState,
                "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration"
            ));
        }
        bucket.lock = Some(lock.clone());
        Ok(())
    };
    s3.storage.amend_bucket(&input.bucket, None, amend).await?;
    Ok(S3Response::new(PutObjectLockConfigurationOutput::default()))
}

pub async fn get_configuration(
    s3: &Objects,
    request: S3Request<GetObjectLockConfigurationInput>,
) -> S3Result<S3Response<GetObjectLockConfigurationOutput>> {
    let bucket = s3.storage.bucket(&request.input.bucket).await?;
    let lock = bucket.lock.ok_or_else(|| {
        s3_error!(ObjectLockConfigurationNotFoundError, "Object Lock configuration does not exist for this bucket")
    })?;
    let days = i32::try_from(lock.days).unwrap_or_default();
    let rule = lock.mode.map(|mode| ObjectLockRule {
        default_retention: Some(DefaultRetention {
            mode: Some(ObjectLockRetentionMode::from_static(mode.name())),
            days: (!lock.is_years).then_some(days),
            years: lock.is_years.then_some(days / 365),
        }),
    });
    let configuration = ObjectLockConfiguration {
        object_lock_enabled: Some(ObjectLockEnabled::from_static(ObjectLockEnabled::ENABLED)),
        rule,
    };
    Ok(S3Response::new(GetObjectLockConfigurationOutput { object_lock_configuration: Some(configuration) }))
}

pub async fn put_retention(
    s3: &Objects,
    request: S3Request<PutObjectRetentionInput>,
) -> S3Result<S3Response<PutObjectRetentionOutput>> {
    let input = request.input;
    let now_ms = s3.clock.now_ms();
    let asked = input.retention.ok_or_else(malformed)?;
    let wanted = match (&asked.mode, &asked.retain_until_date) {
        (Some(mode), Some(until)) => Some(retention(mode.as_str(), until, now_ms)?),
        (None, None) => None,
        _ => return Err(malformed()),
    };
    let bypasses = input.bypass_governance_retention == Some(true);
    if bypasses {
        access::may(s3, "s3:BypassGovernanceRetention", Some(&input.bucket), Some(&input.key)).await?;
    }
    let amend = |bucket: &Bucket, marks: &mut Marks| {
        if bucket.lock.is_none() {
            return Err(no_lock());
        }
        let loosens = |old: &Retention| {
            let stays = wanted.as_ref().is_some_and(|new| {
                new.until_ms >= old.until_ms && (old.mode == new.mode || old.mode == Mode::Governance)
            });
            !stays
        };
        if let Some(old) = marks.retention.as_ref().filter(|old| old.until_ms > now_ms && loosens(old)) {
            let unheld = Marks { is_held: false, retention: Some(old.clone()), ..Marks::default() };
            admit_delete(&unheld, bypasses, now_ms)?;
        }
        marks.retention.clone_from(&wanted);
        Ok(())
    };
    let cause = access::cause("", now_ms)?;
    s3.storage.amend(&input.bucket, &input.key, input.version_id.as_deref(), &cause, amend).await?;
    Ok(S3Response::new(PutObjectRetentionOutput::default()))
}

fn none_set() -> s3s::S3Error {
    s3_error!(NoSuchObjectLockConfiguration, "The specified object does not have a ObjectLock configuration")
}

pub async fn get_retention(
    s3: &Objects,
    request: S3Request<GetObjectRetentionInput>,
) -> S3Result<S3Response<GetObjectRetentionOutput>> {
    let input = request.input;
    let found = s3.storage.described(&input.bucket, &input.key, input.version_id.as_deref()).await?;
    found.bucket.lock.as_ref().ok_or_else(no_lock)?;
    let retention = found.object.marks.retention.ok_or_else(none_set)?;
    let shown = ObjectLockRetention {
        mode: Some(ObjectLockRetentionMode::from_static(retention.mode.name())),
        retain_until_date: Some(timestamp(retention.until_ms)),
    };
    Ok(S3Response::new(GetObjectRetentionOutput { retention: Some(shown) }))
}

pub async fn put_hold(
    s3: &Objects,
    request: S3Request<PutObjectLegalHoldInput>,
) -> S3Result<S3Response<PutObjectLegalHoldOutput>> {
    let input = request.input;
    let status = input.legal_hold.and_then(|hold| hold.status).ok_or_else(malformed)?;
    let is_held = match status.as_str() {
        "ON" => true,
        "OFF" => false,
        _ => return Err(malformed()),
    };
    let amend = |bucket: &Bucket, marks: &mut Marks| {
        bucket.lock.as_ref().ok_or_else(no_lock)?;
        (marks.is_held, marks.has_hold) = (is_held, true);
        Ok(())
    };
    let cause = access::cause("", s3.clock.now_ms())?;
    s3.storage.amend(&input.bucket, &input.key, input.version_id.as_deref(), &cause, amend).await?;
    Ok(S3Response::new(PutObjectLegalHoldOutput::default()))
}

pub async fn get_hold(
    s3: &Objects,
    request: S3Request<GetObjectLegalHoldInput>,
) -> S3Result<S3Response<GetObjectLegalHoldOutput>> {
    let input = request.input;
    let found = s3.storage.described(&input.bucket, &input.key, input.version_id.as_deref()).await?;
    found.bucket.lock.as_ref().ok_or_else(no_lock)?;
    if !found.object.marks.is_held && !found.object.marks.has_hold {
        return Err(none_set());
    }
    let status = if found.object.marks.is_held { "ON" } else { "OFF" };
    let hold = ObjectLockLegalHold { status: Some(ObjectLockLegalHoldStatus::from_static(status)) };
    Ok(S3Response::new(GetObjectLegalHoldOutput { legal_hold: Some(hold) }))
}
