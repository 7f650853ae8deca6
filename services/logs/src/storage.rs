//! Where log groups, streams and events are kept. The only file that knows the store and the layout of its keys
//! (`docs/formats/logs.md`). Events of a group lie in the order of time, so that a time range is a range of keys and
//! retention deletes one; a chunk larger than a row lies in several.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use cumulet_base::id;
use cumulet_base::limits;
use cumulet_delivery::{Delivery, Wake};
use cumulet_store::{Check, Key, KeyReader, KeyWriter, Outcome, Row, Shard, Space, Store, StoreExt, Txn};
use cumulet_wire::error::ApiError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::{CHUNK_SPAN_MS, Chunk, Event, FORMAT, Group, Place, Policy, Position, Stream};
use crate::{errors, metrics, subscription};

const SPACE: Space = Space(5);
const UNKNOWN_ATTEMPTS_MAX: usize = 8;
const UPDATE_ATTEMPTS_MAX: usize = 16;
const PAGE_ROWS: u32 = 100;
/// Bytes of a chunk in one row, below [`limits::STORE_VALUE_BYTES_MAX`].
const ROW_BYTES_MAX: usize = 48 * 1024;
const ROWS_OF_CHUNK_HEAD: usize = 3;
const DAY_MS: u64 = 86_400_000;

/// The last sequence given out. One for the process: several [`Storage`] write to the same groups.
static SEQUENCE: AtomicU64 = AtomicU64::new(0);
/// Below the milliseconds of a sequence, so that processes hardly ever meet; where they do, a check finds it.
static SEQUENCE_LOW: LazyLock<u64> = LazyLock::new(|| u64::from(u32::from_be_bytes(id::random()) >> 13));

pub struct Storage {
    store: Arc<dyn Store>,
    /// Takes what subscriptions are to be sent; without it they are sent nothing.
    delivery: Option<Arc<Delivery>>,
}

/// Why something could not be written.
#[derive(Debug)]
pub enum Failure {
    Store {
        doing: &'static str,
        error: cumulet_store::Error,
    },
    /// Others were in the way, or the end is unknown: worth another try.
    Passing(ApiError),
    Refused(ApiError),
}

impl Failure {
    /// Whether the same thing may succeed later.
    pub fn is_passing(&self) -> bool {
        matches!(self, Failure::Passing(_) | Failure::Store { error: cumulet_store::Error::Backend { .. }, .. })
    }

    pub fn is_closed(&self) -> bool {
        matches!(self, Failure::Store { error: cumulet_store::Error::Closed, .. })
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Failure {
        Failure::Refused(error)
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> ApiError {
        match failure {
            Failure::Store { doing, error } => errors::storage(doing, &error),
            Failure::Passing(error) | Failure::Refused(error) => error,
        }
    }
}

/// Events on their way into the store, by transactions. What is committed is no longer part of it, so that going on
/// after a failure repeats nothing.
pub struct Plan {
    now_ms: u64,
    parts: VecDeque<Part>,
}

/// What one transaction writes.
#[derive(Default)]
struct Part {
    chunks: Vec<Encoded>,
    /// Was handed to the store without an answer that settles it; must be repeated with the same id first.
    unsettled: Option<(Txn, Vec<Wake>)>,
}

struct Encoded {
    stream: String,
    first_ms: u64,
    last_ms: u64,
    events: usize,
    /// An event may hold metrics.
    is_measured: bool,
    rows: Vec<bytes::Bytes>,
}

impl Plan {
    /// Cuts events into transactions.
    ///
    /// # Errors
    /// When an event cannot be encoded.
    pub fn new(batches: &[Batch], now_ms: u64) -> Result<Plan, ApiError> {
        let mut parts = VecDeque::new();
        let mut open = Part::default();
        let (mut bytes, mut ops) = (0, 0);
        for chunk in batches.iter().flat_map(|batch| chunks(batch, now_ms)) {
            let json = encode(&chunk)?;
            let count = json.len().div_ceil(ROW_BYTES_MAX);
            // Rows, and the row of a stream.
            ops += count + 1;
            bytes += json.len() + count * 256;
            let is_full = ops + 8 > limits::LOG_COMMIT_OPS_MAX || bytes > limits::LOG_COMMIT_BYTES_MAX;
            if is_full && !open.chunks.is_empty() {
                parts.push_back(std::mem::take(&mut open));
                (bytes, ops) = (json.len() + count * 256, count + 1);
            }
            open.chunks.push(Encoded::new(&chunk, &json, now_ms));
        }
        if !open.chunks.is_empty() {
            parts.push_back(open);
        }
        Ok(Plan { now_ms, parts })
    }

    pub fn is_done(&self) -> bool {
        self.parts.is_empty()
    }

    /// Events that are not committed.
    pub fn events(&self) -> usize {
        self.parts.iter().map(Part::events).sum()
    }

    /// Gives up the next transaction, but for what may succeed without the rest of it; how many events that are.
    pub fn drop_next(&mut self) -> usize {
        let Some(part) = self.parts.pop_front() else { return 0 };
        if part.chunks.len() == 1 {
            return part.events();
        }
        for chunk in part.chunks.into_iter().rev() {
            self.parts.push_front(Part { chunks: vec![chunk], unsettled: None });
        }
        0
    }
}

impl Part {
    fn events(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.events).sum()
    }
}

impl Encoded {
    fn new(chunk: &Chunk, json: &[u8], now_ms: u64) -> Encoded {
        let total = u16::try_from(json.len().div_ceil(ROW_BYTES_MAX)).unwrap_or(u16::MAX).to_be_bytes();
        let row = |slice: &[u8]| {
            let mut value = Vec::with_capacity(slice.len() + ROWS_OF_CHUNK_HEAD);
            value.push(FORMAT);
            value.extend(total);
            value.extend(slice);
            value.into()
        };
        Encoded {
            stream: chunk.stream.clone(),
            first_ms: chunk.events.first().map_or(now_ms, |(t, _)| *t),
            last_ms: chunk.events.iter().map(|(t, _)| *t).max().unwrap_or(now_ms),
            events: chunk.events.len(),
            is_measured: chunk.events.iter().any(|(_, message)| metrics::is_embedded(message)),
            rows: json.chunks(ROW_BYTES_MAX).map(row).collect(),
        }
    }

    fn decode(&self) -> Result<Chunk, ApiError> {
        let json: Vec<u8> = self.rows.iter().flat_map(|row| row[ROWS_OF_CHUNK_HEAD..].iter().copied()).collect();
        decode(&json)
    }
}

/// Larger than every one before in this process; after a restart too, as long as the clock does not go back by much.
fn next_sequence(now_ms: u64) -> u64 {
    let floor = now_ms << 20 | *SEQUENCE_LOW;
    let bump = |last: u64| Some(floor.max(last + 1));
    let before = SEQUENCE.fetch_update(Ordering::Relaxed, Ordering::Relaxed, bump).unwrap_or_default();
    floor.max(before + 1)
}

/// New events of one stream.
#[derive(Clone, Debug)]
pub struct Batch {
    pub stream: String,
    /// Timestamp in milliseconds and message.
    pub events: Vec<(u64, String)>,
}

/// What [`Storage::append`] does about groups and streams that are not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    Create,
    Refuse,
}

fn shard(place: &Place) -> Shard {
    Shard::of(&format!("logs/{}/{}", place.account, place.region))
}

fn prefix(kind: &str, place: &Place) -> KeyWriter {
    KeyWriter::new().text(kind).text(&place.account).text(&place.region).text(&place.group)
}

fn group_key(place: &Place) -> Key {
    prefix("group", place).key()
}

fn stream_key(place: &Place, stream: &str) -> Key {
    prefix("stream", place).text(stream).key()
}

fn event_key(place: &Place, first_ms: u64, sequence: u64, part: u16) -> Key {
    prefix("event", place).u64(first_ms).u64(sequence).bytes(&part.to_be_bytes()).key()
}

fn after(key: &[u8]) -> Key {
    let mut next = key.to_vec();
    next.push(0);
    next.into()
}

fn damaged(what: &str) -> ApiError {
    errors::storage("Reading", &cumulet_store::Error::Format(what.to_owned()))
}

fn decode<T: DeserializeOwned>(value: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(value).map_err(|e| damaged(&e.to_string()))
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(value).map_err(|e| ApiError::internal(format!("writing a log row: {e}")))
}

/// Cuts events into chunks of bounded span and, but for a single large event, of one row.
fn chunks(batch: &Batch, ingested_ms: u64) -> Vec<Chunk> {
    let mut out: Vec<Chunk> = Vec::new();
    let mut bytes = 0;
    for (timestamp, message) in &batch.events {
        let size = message.len() + message.len() / 8 + 32;
        let fits = out.last().is_some_and(|chunk| {
            bytes + size <= ROW_BYTES_MAX
                && chunk
                    .events
                    .first()
                    .is_some_and(|(first, _)| first <= timestamp && timestamp - first <= CHUNK_SPAN_MS)
        });
        if !fits {
            bytes = 0;
            out.push(Chunk { v: FORMAT, stream: batch.stream.clone(), ingested_ms, events: Vec::new() });
        }
        bytes += size;
        if let Some(chunk) = out.last_mut() {
            chunk.events.push((*timestamp, message.clone()));
        }
    }
    out
}

impl Storage {
    pub fn new(store: Arc<dyn Store>, delivery: Option<Arc<Delivery>>) -> Storage {
        Storage { store, delivery }
    }

    pub async fn group(&self, place: &Place) -> Result<Option<Group>, ApiError> {
        let row = self.get(place, group_key(place)).await?;
        row.map(|row| decode(&row.value)).transpose()
    }

    pub async fn stream(&self, place: &Place, name: &str) -> Result<Option<Stream>, ApiError> {
        let row = self.get(place, stream_key(place, name)).await?;
        row.map(|row| decode(&row.value)).transpose()
    }

    async fn get(&self, place: &Place, key: Key) -> Result<Option<Row>, Failure> {
        let row = self.store.get(shard(place), SPACE, key).await;
        row.map_err(|error| Failure::Store { doing: "Reading a log group", error })
    }

    /// Groups after the one named whose name begins so, in the order of their names; `place.group` is not used.
    pub async fn groups(
        &self,
        place: &Place,
        name_prefix: &str,
        after_name: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Group)>, ApiError> {
        let base = KeyWriter::new().text("group").text(&place.account).text(&place.region);
        let (lo, hi) = base.clone().bytes(name_prefix.as_bytes()).range();
        let lo = after_name.map_or(lo, |name| after(&base.text(name).key()));
        self.named(place, lo, hi, limit, 4).await
    }

    /// Streams of a group, likewise.
    pub async fn streams(
        &self,
        place: &Place,
        name_prefix: &str,
        after_name: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Stream)>, ApiError> {
        let (lo, hi) = prefix("stream", place).bytes(name_prefix.as_bytes()).range();
        let lo = after_name.map_or(lo, |name| after(&stream_key(place, name)));
        self.named(place, lo, hi, limit, 5).await
    }

    /// Policies of an account and region; `place.group` is not used.
    pub async fn policies(&self, place: &Place, limit: usize) -> Result<Vec<(String, Policy)>, ApiError> {
        let (lo, hi) = KeyWriter::new().text("policy").text(&place.account).text(&place.region).range();
        self.named(place, lo, hi, limit, 4).await
    }

    /// Puts a policy, or takes it off; whether it was done.
    pub async fn put_policy(&self, place: &Place, name: &str, policy: Option<&Policy>) -> Result<bool, ApiError> {
        let key = KeyWriter::new().text("policy").text(&place.account).text(&place.region).text(name).key();
        let txn = Txn::new(shard(place));
        let txn = match policy {
            Some(policy) => txn.put(SPACE, key, encode(policy)?),
            None => txn.check(Check::Exists(SPACE, key.clone())).delete(SPACE, key),
        };
        Ok(self.commit(txn).await?)
    }

    /// Rows whose name is the `parts`-th part of the key.
    async fn named<T: DeserializeOwned>(
        &self,
        place: &Place,
        mut lo: Key,
        hi: Key,
        limit: usize,
        parts: usize,
    ) -> Result<Vec<(String, T)>, ApiError> {
        let mut found = Vec::new();
        while found.len() < limit && lo < hi {
            let rows = self
                .store
                .range(shard(place), SPACE, lo.clone(), hi.clone(), PAGE_ROWS)
                .await
                .map_err(|e| errors::storage("Listing", &e))?;
            let Some(last) = rows.last() else { break };
            lo = after(&last.key);
            for row in &rows {
                let mut reader = KeyReader::new(&row.key);
                let name = (0..parts).filter_map(|_| reader.text()).last();
                let name = name.ok_or_else(|| damaged("a key"))?;
                found.push((name, decode(&row.value)?));
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    pub async fn create_group(&self, place: &Place, group: &Group) -> Result<(), ApiError> {
        let key = group_key(place);
        let txn = Txn::new(shard(place)).check(Check::Absent(SPACE, key.clone())).put(SPACE, key, encode(group)?);
        match self.commit(txn).await? {
            true => Ok(()),
            false => Err(errors::exists("log group")),
        }
    }

    pub async fn create_stream(&self, place: &Place, name: &str, stream: &Stream) -> Result<(), ApiError> {
        let key = stream_key(place, name);
        let txn = Txn::new(shard(place))
            .check(Check::Exists(SPACE, group_key(place)))
            .check(Check::Absent(SPACE, key.clone()))
            .put(SPACE, key, encode(stream)?);
        if self.commit(txn).await? {
            return Ok(());
        }
        match self.group(place).await? {
            None => Err(errors::group_not_found()),
            Some(_) => Err(errors::exists("log stream")),
        }
    }

    pub async fn update_group(
        &self,
        place: &Place,
        mut change: impl FnMut(&mut Group) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        for _ in 0..UPDATE_ATTEMPTS_MAX {
            let key = group_key(place);
            let row = self.get(place, key.clone()).await?.ok_or_else(errors::group_not_found)?;
            let mut group: Group = decode(&row.value)?;
            change(&mut group)?;
            let txn = Txn::new(shard(place)).check(Check::RevIs(SPACE, key.clone(), row.rev)).put(
                SPACE,
                key,
                encode(&group)?,
            );
            if self.commit(txn).await? {
                return Ok(());
            }
        }
        Err(errors::aborted())
    }

    pub async fn delete_group(&self, place: &Place) -> Result<(), ApiError> {
        let key = group_key(place);
        let (streams_lo, streams_hi) = prefix("stream", place).range();
        let (events_lo, events_hi) = prefix("event", place).range();
        let txn = Txn::new(shard(place))
            .check(Check::Exists(SPACE, key.clone()))
            .delete(SPACE, key)
            .delete_range(SPACE, streams_lo, streams_hi)
            .delete_range(SPACE, events_lo, events_hi);
        match self.commit(txn).await? {
            true => Ok(()),
            false => Err(errors::group_not_found()),
        }
    }

    /// Appends events, and removes what has outlived the group's retention. Durable when it returns; after a failure
    /// the plan holds what is not written.
    ///
    /// # Errors
    /// The store's; when groups or streams are missing and that is refused; when others keep changing the same rows.
    pub async fn append(&self, place: &Place, plan: &mut Plan, missing: Missing) -> Result<(), Failure> {
        while let Some(part) = plan.parts.front_mut() {
            self.commit_part(place, part, plan.now_ms, missing).await?;
            plan.parts.pop_front();
        }
        Ok(())
    }

    /// Adds what the events change about group and streams, and commits.
    async fn commit_part(&self, place: &Place, part: &mut Part, now_ms: u64, missing: Missing) -> Result<(), Failure> {
        for _ in 0..UPDATE_ATTEMPTS_MAX {
            let (txn, wakes) = match part.unsettled.take() {
                Some(begun) => begun,
                None => self.events_txn(place, part, now_ms, missing).await?,
            };
            match self.repeat(&txn).await {
                Ok(true) => {
                    wakes.into_iter().for_each(Wake::now);
                    return Ok(());
                }
                Ok(false) => {}
                Err(failure) => {
                    part.unsettled = failure.is_passing().then_some((txn, wakes));
                    return Err(failure);
                }
            }
        }
        Err(Failure::Passing(errors::aborted()))
    }

    async fn events_txn(
        &self,
        place: &Place,
        part: &Part,
        now_ms: u64,
        missing: Missing,
    ) -> Result<(Txn, Vec<Wake>), Failure> {
        let mut txn = Txn::new(shard(place));
        txn.id = Some(id::random());
        let mut wakes = Vec::new();
        let mut sequences = Vec::new();
        for chunk in &part.chunks {
            let sequence = next_sequence(now_ms);
            sequences.push(sequence);
            // The parts of a chunk come and go together: the first stands for all.
            txn = txn.check(Check::Absent(SPACE, event_key(place, chunk.first_ms, sequence, 0)));
            for (number, row) in chunk.rows.iter().enumerate() {
                let number = u16::try_from(number).unwrap_or(u16::MAX);
                txn = txn.put(SPACE, event_key(place, chunk.first_ms, sequence, number), row.clone());
            }
        }
        match self.get(place, group_key(place)).await? {
            Some(row) => {
                txn = txn.check(Check::RevIs(SPACE, group_key(place), row.rev));
                let group: Group = decode(&row.value)?;
                if let Some(days) = group.retention_days {
                    let (lo, _) = prefix("event", place).range();
                    let cut = now_ms.saturating_sub(u64::from(days) * DAY_MS).saturating_sub(CHUNK_SPAN_MS);
                    let hi = prefix("event", place).u64(cut).key();
                    txn = txn.delete_range(SPACE, lo, hi);
                }
                for (chunk, sequence) in part.chunks.iter().zip(sequences) {
                    txn = self.follow(place, &group, chunk, sequence, now_ms, txn, &mut wakes)?;
                }
            }
            None if missing == Missing::Refuse => return Err(errors::group_not_found().into()),
            None => {
                let group = Group {
                    v: FORMAT,
                    created_ms: now_ms,
                    retention_days: None,
                    tags: BTreeMap::new(),
                    subscriptions: Vec::new(),
                    metric_filters: Vec::new(),
                    kms_key_id: None,
                };
                for (chunk, sequence) in part.chunks.iter().zip(sequences) {
                    txn = self.follow(place, &group, chunk, sequence, now_ms, txn, &mut wakes)?;
                }
                txn = txn.check(Check::Absent(SPACE, group_key(place))).put(SPACE, group_key(place), encode(&group)?);
            }
        }
        let mut streams: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for chunk in &part.chunks {
            let times = streams.entry(&chunk.stream).or_insert((chunk.first_ms, chunk.last_ms));
            *times = (times.0.min(chunk.first_ms), times.1.max(chunk.last_ms));
        }
        for (name, (first_ms, last_ms)) in streams {
            let key = stream_key(place, name);
            let row = self.get(place, key.clone()).await?;
            let mut stream = match &row {
                Some(row) => {
                    txn = txn.check(Check::RevIs(SPACE, key.clone(), row.rev));
                    decode(&row.value)?
                }
                None if missing == Missing::Refuse => return Err(errors::stream_not_found().into()),
                None => {
                    txn = txn.check(Check::Absent(SPACE, key.clone()));
                    Stream {
                        v: FORMAT,
                        created_ms: now_ms,
                        first_event_ms: None,
                        last_event_ms: None,
                        last_ingestion_ms: None,
                    }
                }
            };
            stream.first_event_ms = Some(stream.first_event_ms.map_or(first_ms, |t| t.min(first_ms)));
            stream.last_event_ms = Some(stream.last_event_ms.map_or(last_ms, |t| t.max(last_ms)));
            stream.last_ingestion_ms = Some(now_ms);
            txn = txn.put(SPACE, key, encode(&stream)?);
        }
        Ok((txn, wakes))
    }

    /// What events lead to besides, put into the transaction that stores them.
    #[allow(clippy::too_many_arguments)]
    fn follow(
        &self,
        place: &Place,
        group: &Group,
        chunk: &Encoded,
        sequence: u64,
        now_ms: u64,
        mut txn: Txn,
        wakes: &mut Vec<Wake>,
    ) -> Result<Txn, Failure> {
        let is_measured = chunk.is_measured || !group.metric_filters.is_empty();
        let is_anything = is_measured || !group.subscriptions.is_empty();
        let Some(delivery) = self.delivery.as_ref().filter(|_| is_anything) else { return Ok(txn) };
        let chunk = chunk.decode()?;
        let mut tasks = subscription::tasks(place, &group.subscriptions, &chunk, sequence)?;
        if is_measured {
            tasks.extend(metrics::task(place, &group.metric_filters, &chunk, now_ms)?);
        }
        for task in tasks {
            let (more, wake) = delivery.add(txn, &task)?;
            txn = more;
            wakes.push(wake);
        }
        Ok(txn)
    }

    /// Reads events with `from <= position` and `timestamp < end_ms` in their order, until `take` says no.
    pub async fn read(
        &self,
        place: &Place,
        from: Position,
        end_ms: u64,
        mut take: impl FnMut(Event) -> bool + Send,
    ) -> Result<(), ApiError> {
        let first = from.timestamp_ms.saturating_sub(CHUNK_SPAN_MS);
        let mut lo = prefix("event", place).u64(first).key();
        let hi = prefix("event", place).u64(end_ms).key();
        let mut pending: BTreeMap<Position, Event> = BTreeMap::new();
        let mut open: Vec<u8> = Vec::new();
        while lo < hi {
            let rows = self
                .store
                .range(shard(place), SPACE, lo.clone(), hi.clone(), PAGE_ROWS)
                .await
                .map_err(|e| errors::storage("Reading events", &e))?;
            let Some(last) = rows.last() else { break };
            lo = after(&last.key);
            for row in &rows {
                let (first_ms, sequence, part) = event_position(&row.key).ok_or_else(|| damaged("a key"))?;
                let (&head, slice) =
                    row.value.split_first_chunk::<ROWS_OF_CHUNK_HEAD>().ok_or_else(|| damaged("a chunk"))?;
                if head[0] != FORMAT {
                    return Err(damaged("a chunk of another format"));
                }
                if part == 0 {
                    open.clear();
                }
                open.extend(slice);
                if part + 1 < u16::from_be_bytes([head[1], head[2]]) {
                    continue;
                }
                // Nothing that comes later is earlier than this chunk's first event.
                let later = pending.split_off(&Position { timestamp_ms: first_ms, ..Position::MIN });
                for event in std::mem::replace(&mut pending, later).into_values() {
                    if !take(event) {
                        return Ok(());
                    }
                }
                let chunk: Chunk = decode(&open)?;
                for (index, (timestamp_ms, message)) in chunk.events.into_iter().enumerate() {
                    let position = Position { timestamp_ms, sequence, index: u32::try_from(index).unwrap_or(u32::MAX) };
                    if position >= from && timestamp_ms < end_ms {
                        let event =
                            Event { position, stream: chunk.stream.clone(), ingested_ms: chunk.ingested_ms, message };
                        pending.insert(position, event);
                    }
                }
            }
        }
        for event in pending.into_values() {
            if !take(event) {
                break;
            }
        }
        Ok(())
    }

    /// Whether it was done; otherwise a check failed.
    async fn commit(&self, mut txn: Txn) -> Result<bool, Failure> {
        txn.id = Some(id::random());
        self.repeat(&txn).await
    }

    /// Likewise, for a transaction that has an id and may have been tried before.
    async fn repeat(&self, txn: &Txn) -> Result<bool, Failure> {
        for _ in 0..UNKNOWN_ATTEMPTS_MAX {
            let outcome = self.store.commit(txn.clone()).await;
            match outcome.map_err(|error| Failure::Store { doing: "Writing logs", error })? {
                Outcome::Done(_) => return Ok(true),
                Outcome::Conflict { .. } => return Ok(false),
                Outcome::Unknown => {}
            }
        }
        Err(Failure::Passing(ApiError::internal("the end of a commit stayed unknown")))
    }
}

fn event_position(key: &[u8]) -> Option<(u64, u64, u16)> {
    let mut reader = KeyReader::new(key);
    for _ in 0..4 {
        reader.text()?;
    }
    let (first_ms, sequence) = (reader.u64()?, reader.u64()?);
    let part = <[u8; 2]>::try_from(reader.rest()).ok()?;
    Some((first_ms, sequence, u16::from_be_bytes(part)))
}
