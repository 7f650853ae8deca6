//! Where topics and subscriptions are kept. The only file that knows the store and the layout of its keys
//! (`docs/formats/sns.md`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cumulet_base::limits::TOPIC_DEDUPLICATION_MS;
use cumulet_store::{Check, Key, KeyReader, KeyWriter, Read, Rev, Row, Shard, Space, Store, StoreExt, Txn};
use cumulet_wire::error::ApiError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::errors;
use crate::model::{FORMAT, Message, Place, Subscription, Topic};

const SPACE: Space = Space(13);
const ATTEMPTS_MAX: usize = 16;

pub struct Storage {
    store: Arc<dyn Store>,
    /// The last sequence given out.
    sequence: AtomicU64,
}

/// That a deduplication id was seen, and what was answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Once {
    v: u8,
    pub id: String,
    pub sequence: Option<u64>,
    sent_ms: u64,
}

/// What messages are signed with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoredKey {
    pub v: u8,
    /// PKCS#8, base64.
    pub private: String,
    pub certificate: String,
}

fn places(place: &Place) -> Shard {
    Shard::of(&format!("sns/{}/{}", place.account, place.region))
}

fn shard(topic: &Place) -> Shard {
    Shard::of(&format!("sns/{}", topic.arn()))
}

fn topic_key(place: &Place) -> Key {
    KeyWriter::new().text("topic").text(&place.account).text(&place.region).text(&place.name).key()
}

fn of(kind: &str, topic: &Place) -> KeyWriter {
    KeyWriter::new().text(kind).text(&topic.arn())
}

fn subscription_key(topic: &Place, id: &str) -> Key {
    of("subscription", topic).text(id).key()
}

fn once_key(topic: &Place, slice: u64, scope: &str, id: &str) -> Key {
    of("once", topic).u64(slice).text(scope).text(id).key()
}

/// The slice of a time and its neighbours: of another clock's reading, or an older one that still counts.
fn slices(now_ms: u64) -> [u64; 3] {
    let slice = now_ms / TOPIC_DEDUPLICATION_MS;
    [slice.saturating_sub(1), slice, slice + 1]
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(value).map_err(|e| ApiError::internal(format!("writing a record of a topic: {e}")))
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|e| ApiError::internal(format!("reading a record of a topic: {e}")))
}

fn reading(error: cumulet_store::Error) -> ApiError {
    errors::storage("Reading a topic", &error)
}

fn as_seen(key: Key, row: Option<&Row>) -> Check {
    match row {
        Some(row) => Check::RevIs(SPACE, key, row.rev),
        None => Check::Absent(SPACE, key),
    }
}

impl Storage {
    pub fn new(store: Arc<dyn Store>) -> Storage {
        Storage { store, sequence: AtomicU64::new(0) }
    }

    /// A number that grows from message to message.
    pub fn next(&self, now_ms: u64) -> u64 {
        let floor = now_ms << 20;
        let next = |last: u64| Some(floor.max(last + 1));
        let last = self.sequence.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        floor.max(last.unwrap_or_default() + 1)
    }

    async fn apply(&self, txns: Vec<Txn>) -> Result<bool, ApiError> {
        self.store.apply(txns).await.map_err(|error| errors::storage("Writing a topic", &error))
    }

    pub async fn find(&self, place: &Place) -> Result<Option<(Topic, Rev)>, ApiError> {
        let row = self.store.get(places(place), SPACE, topic_key(place)).await.map_err(reading)?;
        row.map(|row| Ok((decode(&row.value)?, row.rev))).transpose()
    }

    pub async fn topic(&self, place: &Place) -> Result<Topic, ApiError> {
        Ok(self.find(place).await?.ok_or_else(errors::no_topic)?.0)
    }

    /// Whether it was written; otherwise another was faster.
    pub async fn put_topic(&self, place: &Place, topic: &Topic, seen: Option<Rev>) -> Result<bool, ApiError> {
        let key = topic_key(place);
        let check = match seen {
            Some(rev) => Check::RevIs(SPACE, key.clone(), rev),
            None => Check::Absent(SPACE, key.clone()),
        };
        self.apply(vec![Txn::new(places(place)).check(check).put(SPACE, key, encode(topic)?)]).await
    }

    /// Changes a topic's record, again from the start when another was faster.
    pub async fn update(
        &self,
        place: &Place,
        change: impl Fn(&mut Topic) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        for _ in 0..ATTEMPTS_MAX {
            let (mut topic, rev) = self.find(place).await?.ok_or_else(errors::no_topic)?;
            change(&mut topic)?;
            if self.put_topic(place, &topic, Some(rev)).await? {
                return Ok(());
            }
        }
        Err(ApiError::internal("the topic is being changed by too many at once"))
    }

    /// With its subscriptions. One that is not there is deleted, too.
    pub async fn delete_topic(&self, place: &Place) -> Result<(), ApiError> {
        let (lo, hi) = of("subscription", place).range();
        let (once_lo, once_hi) = of("once", place).range();
        let topic = Txn::new(places(place)).delete(SPACE, topic_key(place));
        let rest = Txn::new(shard(place)).delete_range(SPACE, lo, hi).delete_range(SPACE, once_lo, once_hi);
        self.apply(vec![topic, rest]).await.map(drop)
    }

    /// Topics of an account and region after a name.
    pub async fn topics(&self, at: &Place, after: &str, limit: usize) -> Result<Vec<(Place, Topic)>, ApiError> {
        let all = KeyWriter::new().text("topic").text(&at.account).text(&at.region);
        let (mut lo, hi) = all.clone().range();
        if !after.is_empty() {
            lo = all.text(after).bytes(&[0]).key();
        }
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let rows = self.store.range(places(at), SPACE, lo, hi, limit).await.map_err(reading)?;
        rows.iter()
            .map(|row| {
                let mut key = KeyReader::new(&row.key);
                let name = (0..4).map(|_| key.text()).last().flatten().unwrap_or_default();
                Ok((Place { name, ..at.clone() }, decode(&row.value)?))
            })
            .collect()
    }

    /// Subscriptions of a topic after an id.
    pub async fn subscriptions(
        &self,
        topic: &Place,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(Subscription, Rev)>, ApiError> {
        let (mut lo, hi) = of("subscription", topic).range();
        if !after.is_empty() {
            lo = [&subscription_key(topic, after)[..], &[0]].concat().into();
        }
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let rows = self.store.range(shard(topic), SPACE, lo, hi, limit).await.map_err(reading)?;
        rows.iter().map(|row| Ok((decode(&row.value)?, row.rev))).collect()
    }

    pub async fn subscription(&self, topic: &Place, id: &str) -> Result<Option<(Subscription, Rev)>, ApiError> {
        let row = self.store.get(shard(topic), SPACE, subscription_key(topic, id)).await.map_err(reading)?;
        row.map(|row| Ok((decode(&row.value)?, row.rev))).transpose()
    }

    /// With something more in the commit. Whether it was written; otherwise the topic is gone or another was faster.
    pub async fn put_subscription(
        &self,
        topic: &Place,
        subscription: &Subscription,
        seen: Option<Rev>,
        also: impl FnOnce(Txn) -> Result<Txn, ApiError>,
    ) -> Result<bool, ApiError> {
        let key = subscription_key(topic, &subscription.id);
        let check = match seen {
            Some(rev) => Check::RevIs(SPACE, key.clone(), rev),
            None => Check::Absent(SPACE, key.clone()),
        };
        let is_there = Txn::new(places(topic)).check(Check::Exists(SPACE, topic_key(topic)));
        let txn = also(Txn::new(shard(topic)).check(check).put(SPACE, key, encode(subscription)?))?;
        self.apply(vec![is_there, txn]).await
    }

    pub async fn delete_subscription(&self, topic: &Place, id: &str) -> Result<(), ApiError> {
        self.apply(vec![Txn::new(shard(topic)).delete(SPACE, subscription_key(topic, id))]).await.map(drop)
    }

    /// What was answered to a message of the same deduplication id in the last five minutes; otherwise the transaction in
    /// which the message is seen, which fails if another of the id comes first.
    pub async fn once(
        &self,
        topic: &Place,
        scope: &str,
        message: &Message,
        now_ms: u64,
    ) -> Result<Result<Txn, Once>, ApiError> {
        let Some(id) = &message.deduplication else { return Ok(Ok(Txn::new(shard(topic)))) };
        let slices = slices(now_ms);
        let keys = slices.map(|slice| once_key(topic, slice, scope, id));
        let reads = keys.iter().map(|key| Read::Get(SPACE, key.clone())).collect();
        let (_, rows) = self.store.read(shard(topic), reads).await.map_err(reading)?;
        let mut txn = Txn::new(shard(topic));
        for (key, rows) in keys.iter().zip(&rows) {
            if let Some(row) = rows.first() {
                let once: Once = decode(&row.value)?;
                if once.sent_ms + TOPIC_DEDUPLICATION_MS > now_ms {
                    return Ok(Err(once));
                }
            }
            txn = txn.check(as_seen(key.clone(), rows.first()));
        }
        let (lo, _) = of("once", topic).range();
        txn = txn.delete_range(SPACE, lo, of("once", topic).u64(slices[0]).key());
        let once = Once { v: FORMAT, id: message.id.clone(), sequence: message.sequence, sent_ms: now_ms };
        let [_, key, _] = keys;
        Ok(Ok(txn.put(SPACE, key, encode(&once)?)))
    }

    /// Whether it was done; otherwise a check failed.
    pub async fn commit(&self, txn: Txn) -> Result<bool, ApiError> {
        if txn.ops.is_empty() {
            return Ok(true);
        }
        self.apply(vec![txn]).await
    }

    pub async fn key(&self) -> Result<Option<StoredKey>, ApiError> {
        let key = KeyWriter::new().text("key").key();
        let row = self.store.get(Shard::of("sns/key"), SPACE, key).await.map_err(reading)?;
        row.map(|row| decode(&row.value)).transpose()
    }

    /// The first one stays.
    pub async fn put_key(&self, stored: &StoredKey) -> Result<(), ApiError> {
        let key = KeyWriter::new().text("key").key();
        let check = Check::Absent(SPACE, key.clone());
        let txn = Txn::new(Shard::of("sns/key")).check(check).put(SPACE, key, encode(stored)?);
        self.apply(vec![txn]).await.map(drop)
    }
}
