//! Carries out lifecycle rules: walks the versions of the buckets that have some, and deletes what has had its time.
//! What a rule says of a version is decided apart from doing it.

use std::time::Duration;

use cumulet_base::limits;
use s3s::dto::{LifecycleRule, Tag, Timestamp, TransitionStorageClass};
use s3s::{S3Result, s3_error};

use crate::Objects;
use crate::model::{Bucket, Marks, Object};
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

/// All buckets, once; answers how much was deleted or moved to another storage class.
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
    let moves = rule.transitions.is_some() || rule.noncurrent_version_transitions.is_some();
    if rule.expiration.is_none() && rule.noncurrent_version_expiration.is_none() && !moves {
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
                let is_done = match action {
                    Action::Move(class) => reclass(s3, name, &one, class, now_ms).await?,
                    Action::Expire => delete(s3, name, &one, false, now_ms).await?,
                    Action::Remove => delete(s3, name, &one, true, now_ms).await?,
                };
                deleted += usize::from(is_done);
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
enum Action<'a> {
    /// As a client without a version would.
    Expire,
    Remove,
    /// To another storage class.
    Move(&'a str),
}

/// Below this, objects are not moved, where a rule does not say from what size on.
const MOVED_BYTES_MIN: u64 = 128 * 1024;

/// The class of the latest transition that is due; `since` tells whether one is, and how late in the life of the object.
fn due_class<'a>(
    transitions: impl Iterator<Item = (Option<&'a TransitionStorageClass>, Option<u64>)>,
    filter: &Filter<'_>,
    object: &Object,
    now_ms: u64,
) -> Option<Action<'a>> {
    let has_size = filter.more_than.is_some() || filter.less_than.is_some();
    if !filter.admits(object) || (object.size < MOVED_BYTES_MIN && !has_size) {
        return None;
    }
    let due = transitions.filter_map(|(class, at_ms)| Some((at_ms?, class?.as_str())));
    let due = due.filter(|(at_ms, class)| now_ms >= *at_ms && !lifecycle::is_archive(class));
    let (_, class) = due.max_by_key(|(at_ms, _)| *at_ms)?;
    (object.storage_class() != Some(class)).then_some(Action::Move(class))
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
    fn decide<'a>(
        &mut self,
        rule: &'a LifecycleRule,
        filter: &Filter<'_>,
        one: &Listed,
        is_last: bool,
        now_ms: u64,
    ) -> Option<Action<'a>> {
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
        let at = |date: &Timestamp| u64::try_from(seconds(date)).unwrap_or(0) * 1000;
        if one.is_latest {
            let is_past = rule.expiration.as_ref().is_some_and(|expiration| {
                expiration.days.is_some_and(|days| now_ms >= due(one.object.modified_ms, days))
                    || expiration.date.as_ref().is_some_and(|date| now_ms >= at(date))
            });
            if is_past && filter.admits(&one.object) {
                return Some(Action::Expire);
            }
            let transitions = rule.transitions.iter().flatten().map(|given| {
                let from_days = given.days.map(|days| due(one.object.modified_ms, days));
                (given.storage_class.as_ref(), from_days.or(given.date.as_ref().map(at)))
            });
            return due_class(transitions, filter, &one.object, now_ms);
        }
        self.noncurrent += 1;
        let kept = |count: Option<i32>| count.is_some_and(|count| self.noncurrent <= count);
        let is_past = rule.noncurrent_version_expiration.as_ref().is_some_and(|noncurrent| {
            noncurrent.noncurrent_days.is_some_and(|days| now_ms >= due(newer_ms, days))
                && !kept(noncurrent.newer_noncurrent_versions)
        });
        if one.object.version.is_marker || (is_past && filter.admits(&one.object)) {
            return (is_past && filter.admits(&one.object)).then_some(Action::Remove);
        }
        let given = rule.noncurrent_version_transitions.iter().flatten();
        let given = given.filter(|given| !kept(given.newer_noncurrent_versions));
        let transitions =
            given.map(|given| (given.storage_class.as_ref(), given.noncurrent_days.map(|days| due(newer_ms, days))));
        due_class(transitions, filter, &one.object, now_ms)
    }
}

fn cause(event: &'static str, now_ms: u64) -> Cause {
    Cause {
        event,
        principal: "s3.amazonaws.com".to_owned(),
        source_ip: String::new(),
        request_id: cumulet_base::id::hex(16).to_ascii_uppercase(),
        now_ms,
        trace: None,
    }
}

/// Whether it is in the class now; what is gone meanwhile is not.
async fn reclass(s3: &Objects, bucket: &str, one: &Listed, class: &str, now_ms: u64) -> S3Result<bool> {
    let amend = |_: &Bucket, marks: &mut Marks| {
        marks.moved_to = Some(class.to_owned());
        Ok(())
    };
    let version = Some(one.object.version_id());
    match s3.storage.amend(bucket, &one.key, version, &cause("LifecycleTransition", now_ms), amend).await {
        Ok(_) => Ok(true),
        Err(e) if matches!(e.code().as_str(), "NoSuchVersion" | "NoSuchKey" | "NoSuchBucket") => Ok(false),
        Err(e) => Err(e),
    }
}

/// Whether it is gone: what changed meanwhile or is locked stays.
async fn delete(s3: &Objects, bucket: &str, one: &Listed, is_for_good: bool, now_ms: u64) -> S3Result<bool> {
    let cause = cause("LifecycleExpiration:Delete", now_ms);
    let write = match is_for_good {
        false => Write::Delete,
        true => Write::DeleteVersion(one.object.version_id()),
    };
    let admit = |record: &Bucket, old: Option<&Object>| {
        let is_same = old.is_some_and(|old| {
            old.version_id() == one.object.version_id() && old.modified_ms == one.object.modified_ms
        });
        if !is_same {
            return Err(s3_error!(PreconditionFailed));
        }
        match old.filter(|_| is_for_good && record.lock.is_some()) {
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
