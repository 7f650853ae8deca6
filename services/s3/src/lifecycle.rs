//! Carries out lifecycle rules: walks the versions of the buckets that have some, and deletes what has had its time.
//! What a rule says of a version is decided apart from doing it.

use std::time::Duration;

use cumulet_base::limits;
use s3s::dto::{LifecycleRule, Tag};
use s3s::{S3Result, s3_error};

use crate::Objects;
use crate::model::{Bucket, Object};
use crate::notify::Cause;
use crate::operations::{lifecycle, locks, seconds};
use crate::storage::{Along, Listed, Write};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
const READ: u32 = 1000;

/// Again and again, for as long as the process lives.
pub async fn keep(s3: Objects) {
    let mut ticks = tokio::time::interval(Duration::from_millis(limits::BUCKET_LIFECYCLE_PERIOD_MS));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(e) = run(&s3).await {
            tracing::warn!(error = %e, "carrying out lifecycle rules");
        }
    }
}

/// All buckets, once; answers how much was deleted.
pub async fn run(s3: &Objects) -> S3Result<usize> {
    let mut deleted = 0;
    for (name, _) in s3.storage.buckets().await? {
        let rules = lifecycle::rules(s3, &name).await?;
        for rule in rules.iter().filter(|rule| rule.status.as_str() == "Enabled") {
            deleted += carry_out(s3, &name, rule).await?;
        }
    }
    Ok(deleted)
}

async fn carry_out(s3: &Objects, name: &str, rule: &LifecycleRule) -> S3Result<usize> {
    let now_ms = s3.clock.now_ms();
    let filter = Filter::of(rule);
    let mut deleted = abort_uploads(s3, name, rule, &filter, now_ms).await?;
    if rule.expiration.is_none() && rule.noncurrent_version_expiration.is_none() {
        return Ok(deleted);
    }
    let (mut from, mut id): (Vec<u8>, Option<String>) = (Vec::new(), None);
    let mut key = KeyWalk::default();
    loop {
        let (listed, is_end) = s3.storage.versions(name, filter.prefix, &from, id.as_deref(), READ).await?;
        let mut listed = listed.into_iter().peekable();
        while let Some(one) = listed.next() {
            (from, id) = (one.key.as_bytes().to_vec(), Some(one.object.version.id.clone()));
            let is_last = match listed.peek() {
                Some(next) => next.key != one.key,
                // What follows on the next page is not known: no marker is taken for the last of its key.
                None => is_end,
            };
            if let Some(action) = key.decide(rule, &filter, &one, is_last, now_ms) {
                deleted += usize::from(delete(s3, name, &one, action, now_ms).await?);
            }
        }
        if is_end {
            return Ok(deleted);
        }
        // Others wait for the same disk.
        tokio::task::yield_now().await;
    }
}

async fn abort_uploads(
    s3: &Objects,
    name: &str,
    rule: &LifecycleRule,
    filter: &Filter<'_>,
    now_ms: u64,
) -> S3Result<usize> {
    let days = rule.abort_incomplete_multipart_upload.as_ref().and_then(|abort| abort.days_after_initiation);
    let Some(days) = days else { return Ok(0) };
    let (mut at, mut aborted) = ((String::new(), String::new()), 0);
    loop {
        let page = s3.storage.uploads(name, (&at.0, &at.1)).await?;
        let Some((key, id, _)) = page.last() else { return Ok(aborted) };
        at = (key.clone(), id.clone());
        for (key, id, upload) in page {
            if key.starts_with(filter.prefix) && now_ms >= due(upload.initiated_ms, days) {
                s3.storage.abort(name, &key, &id).await?;
                aborted += 1;
            }
        }
    }
}

/// What a rule is about.
struct Filter<'a> {
    prefix: &'a str,
    tags: Vec<&'a Tag>,
    more_than: Option<i64>,
    less_than: Option<i64>,
}

impl<'a> Filter<'a> {
    fn of(rule: &'a LifecycleRule) -> Filter<'a> {
        let filter = rule.filter.as_ref();
        let and = filter.and_then(|filter| filter.and.as_ref());
        let prefix = rule.prefix.as_deref();
        let prefix = prefix.or_else(|| filter.and_then(|filter| filter.prefix.as_deref()));
        let prefix = prefix.or_else(|| and.and_then(|and| and.prefix.as_deref())).unwrap_or_default();
        let one = filter.and_then(|filter| filter.tag.as_ref());
        let tags = one.into_iter().chain(and.and_then(|and| and.tags.as_ref()).into_iter().flatten()).collect();
        let bound = |own: Option<i64>, shared: Option<i64>| own.or(shared);
        Filter {
            prefix,
            tags,
            more_than: bound(
                filter.and_then(|f| f.object_size_greater_than),
                and.and_then(|and| and.object_size_greater_than),
            ),
            less_than: bound(
                filter.and_then(|f| f.object_size_less_than),
                and.and_then(|and| and.object_size_less_than),
            ),
        }
    }

    fn admits(&self, object: &Object) -> bool {
        let size = i64::try_from(object.size).unwrap_or(i64::MAX);
        let has = |tag: &&Tag| {
            object
                .marks
                .tags
                .iter()
                .any(|(key, value)| tag.key.as_ref() == Some(key) && tag.value.as_ref() == Some(value))
        };
        self.more_than.is_none_or(|bound| size > bound)
            && self.less_than.is_none_or(|bound| size < bound)
            && self.tags.iter().all(has)
    }
}

/// The midnight after so many days.
fn due(since_ms: u64, days: i32) -> u64 {
    let at = since_ms + u64::try_from(days).unwrap_or_default() * DAY_MS;
    at.div_ceil(DAY_MS) * DAY_MS
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// As a client without a version would.
    Expire,
    Remove,
}

/// The versions of one key so far, newest first.
#[derive(Default)]
struct KeyWalk {
    key: String,
    /// When the next newer version came.
    newer_ms: u64,
    noncurrent: i32,
}

impl KeyWalk {
    fn decide(
        &mut self,
        rule: &LifecycleRule,
        filter: &Filter<'_>,
        one: &Listed,
        is_last: bool,
        now_ms: u64,
    ) -> Option<Action> {
        if self.key != one.key {
            *self = KeyWalk { key: one.key.clone(), ..KeyWalk::default() };
        }
        let newer_ms = std::mem::replace(&mut self.newer_ms, one.object.modified_ms);
        if one.is_latest && one.object.version.is_marker {
            let expiration = rule.expiration.as_ref()?;
            let is_due = expiration.expired_object_delete_marker == Some(true)
                || expiration.days.is_some_and(|days| now_ms >= due(one.object.modified_ms, days));
            return (is_last && is_due).then_some(Action::Remove);
        }
        if one.is_latest {
            let expiration = rule.expiration.as_ref()?;
            let is_past = expiration.days.is_some_and(|days| now_ms >= due(one.object.modified_ms, days))
                || expiration
                    .date
                    .as_ref()
                    .is_some_and(|date| now_ms / 1000 >= u64::try_from(seconds(date)).unwrap_or(0));
            return (is_past && filter.admits(&one.object)).then_some(Action::Expire);
        }
        let noncurrent = rule.noncurrent_version_expiration.as_ref()?;
        self.noncurrent += 1;
        let is_spared = noncurrent.newer_noncurrent_versions.is_some_and(|kept| self.noncurrent <= kept);
        let is_past = noncurrent.noncurrent_days.is_some_and(|days| now_ms >= due(newer_ms, days));
        (is_past && !is_spared && filter.admits(&one.object)).then_some(Action::Remove)
    }
}

/// Whether it is gone: what changed meanwhile or is locked stays.
async fn delete(s3: &Objects, bucket: &str, one: &Listed, action: Action, now_ms: u64) -> S3Result<bool> {
    let cause = Cause {
        event: "LifecycleExpiration:Delete",
        principal: "s3.amazonaws.com".to_owned(),
        source_ip: String::new(),
        request_id: cumulet_base::id::hex(16).to_ascii_uppercase(),
        now_ms,
        trace: None,
    };
    let write = match action {
        Action::Expire => Write::Delete,
        Action::Remove => Write::DeleteVersion(one.object.version_id()),
    };
    let admit = |record: &Bucket, old: Option<&Object>| {
        let is_same = old.is_some_and(|old| {
            old.version_id() == one.object.version_id() && old.modified_ms == one.object.modified_ms
        });
        if !is_same {
            return Err(s3_error!(PreconditionFailed));
        }
        match old.filter(|_| action == Action::Remove && record.lock.is_some()) {
            Some(old) => locks::admit_delete(&old.marks, false, now_ms),
            None => Ok(()),
        }
    };
    match s3.storage.change(bucket, &one.key, write, Along::default(), &cause, admit).await {
        Ok(changed) => Ok(changed.old.is_some()),
        Err(e) if matches!(e.code().as_str(), "PreconditionFailed" | "AccessDenied" | "NoSuchBucket") => Ok(false),
        Err(e) => Err(e),
    }
}
