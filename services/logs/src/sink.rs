//! Takes log events from the engine and writes them by rounds, as `cumulet_engine::rounds` has it. Events are tried again while the store fails and dropped when it refuses them, and said so; producers
//! wait when the queue is full, by jobs or by bytes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cumulet_base::clock::Clock;
use cumulet_base::limits;
use cumulet_delivery::Delivery;
use cumulet_engine::output::LogEvent;
use cumulet_engine::record::LogSink;
use cumulet_engine::rounds::Rounds;
use cumulet_store::Store;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::model::Place;
use crate::storage::{Batch, Missing, Plan, Storage};

/// Bytes of messages in one round.
const ROUND_BYTES_MAX: usize = 8 * 1024 * 1024;
const ATTEMPTS_MAX: u32 = 5;
const ATTEMPT_PAUSE_MS: u64 = 100;
/// Streams whose rows one transaction changes.
const ROUND_STREAMS_MAX: usize = 100;

enum Job {
    Append { place: Place, stream: String, events: Vec<LogEvent>, room: OwnedSemaphorePermit },
    Flush(oneshot::Sender<()>),
}

/// The engine's log sink.
pub struct Sink {
    queue: mpsc::Sender<Job>,
    /// KiB that may still be queued.
    room: Arc<Semaphore>,
    room_kib: usize,
}

impl Sink {
    /// Starts the task that writes; it ends when the sink is dropped and the queue is empty.
    pub fn start(store: Arc<dyn Store>, clock: Arc<dyn Clock>, delivery: Option<Arc<Delivery>>) -> Sink {
        Sink::with_bytes(store, clock, delivery, limits::LOG_QUEUE_BYTES_MAX)
    }

    fn with_bytes(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        delivery: Option<Arc<Delivery>>,
        bytes_max: usize,
    ) -> Sink {
        let (queue, jobs) = mpsc::channel(limits::RECORD_QUEUE_MAX);
        tokio::spawn(write(Storage::new(store, delivery), clock, jobs));
        let room_kib = bytes_max / 1024;
        Sink { queue, room: Arc::new(Semaphore::new(room_kib)), room_kib }
    }
}

#[async_trait]
impl LogSink for Sink {
    async fn append(&self, account: &str, region: &str, group: &str, stream: &str, events: Vec<LogEvent>) {
        if events.is_empty() {
            return;
        }
        let place = Place { account: account.to_owned(), region: region.to_owned(), group: group.to_owned() };
        // A job larger than the whole room waits for all of it.
        let kib = size(&events).div_ceil(1024).min(self.room_kib);
        let room = Arc::clone(&self.room).acquire_many_owned(u32::try_from(kib).unwrap_or(u32::MAX)).await;
        let room = room.expect("nothing closes the semaphore");
        let job = Job::Append { place, stream: stream.to_owned(), events, room };
        if self.queue.send(job).await.is_err() {
            tracing::error!(group, stream, "log events dropped: the writer has ended");
        }
    }

    async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        if self.queue.send(Job::Flush(done)).await.is_ok() {
            // An error says that the writer has ended, and with it everything that was to be written.
            let _ended = wait.await;
        }
    }
}

/// Bytes, with what an event takes beside its message.
fn size(events: &[LogEvent]) -> usize {
    events.iter().map(|e| e.message.len() + 32).sum()
}

async fn write(storage: Storage, clock: Arc<dyn Clock>, mut jobs: mpsc::Receiver<Job>) {
    let mut rounds = Rounds::default();
    while let Some(first) = jobs.recv().await {
        let mut next = Some(first);
        let mut bytes = 0;
        let mut streams = 0;
        let mut waiting = Vec::new();
        // Given back when the round is written.
        let mut rooms = Vec::new();
        let mut round: BTreeMap<Place, BTreeMap<String, Vec<(u64, String)>>> = BTreeMap::new();
        while let Some(job) = next {
            match job {
                Job::Flush(done) => waiting.push(done),
                Job::Append { place, stream, events, room } => {
                    bytes += size(&events);
                    rooms.push(room);
                    let of_group = round.entry(place).or_default();
                    let known = of_group.len();
                    let of_stream = of_group.entry(stream).or_default();
                    of_stream.extend(events.into_iter().map(|e| (e.timestamp_ms, e.message)));
                    streams += of_group.len() - known;
                }
            }
            let is_over = bytes >= ROUND_BYTES_MAX || streams >= ROUND_STREAMS_MAX || !waiting.is_empty();
            next = if is_over { None } else { rounds.more(&mut jobs).await };
        }
        rounds.begin();
        for (place, streams) in round {
            let batches: Vec<Batch> = streams.into_iter().map(|(stream, events)| Batch { stream, events }).collect();
            append(&storage, clock.as_ref(), &place, &batches).await;
        }
        drop(rooms);
        for done in waiting {
            // Whoever asked may have gone.
            let _gone = done.send(());
        }
    }
}

async fn append(storage: &Storage, clock: &dyn Clock, place: &Place, batches: &[Batch]) {
    let mut plan = match Plan::new(batches, clock.now_ms()) {
        Ok(plan) => plan,
        Err(error) => {
            let events: usize = batches.iter().map(|b| b.events.len()).sum();
            tracing::error!(group = place.group, events, %error, "log events dropped");
            return;
        }
    };
    let mut attempt = 0;
    let mut dropped = 0;
    let mut reason = None;
    while !plan.is_done() {
        let Err(failure) = storage.append(place, &mut plan, Missing::Create).await else { break };
        if failure.is_passing() && attempt + 1 < ATTEMPTS_MAX {
            attempt += 1;
            tokio::time::sleep(Duration::from_millis(ATTEMPT_PAUSE_MS << attempt)).await;
            continue;
        }
        if failure.is_passing() || failure.is_closed() {
            dropped += plan.events();
            reason = Some(failure);
            break;
        }
        dropped += plan.drop_next();
        reason = Some(failure);
    }
    if dropped > 0 {
        tracing::error!(group = place.group, events = dropped, ?reason, "log events dropped");
    }
}

#[cfg(test)]
#[path = "sink_tests.rs"]
mod tests;
