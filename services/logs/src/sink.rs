//! Takes log events from the engine and writes them by batches: what arrives while a commit is under way goes into the
//! next one. Events that the store refuses are tried again and then dropped, and said so; producers wait when the
//! queue is full.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cumulet_base::clock::Clock;
use cumulet_base::limits;
use cumulet_engine::output::LogEvent;
use cumulet_engine::record::LogSink;
use cumulet_store::Store;
use tokio::sync::{mpsc, oneshot};

use crate::model::Place;
use crate::storage::{Batch, Missing, Storage};

/// Bytes of messages in one round.
const ROUND_BYTES_MAX: usize = 8 * 1024 * 1024;
const ATTEMPTS_MAX: u32 = 5;
const ATTEMPT_PAUSE_MS: u64 = 100;
/// Streams whose rows one transaction changes.
const ROUND_STREAMS_MAX: usize = 100;

enum Job {
    Append { place: Place, stream: String, events: Vec<LogEvent> },
    Flush(oneshot::Sender<()>),
}

/// The engine's log sink.
pub struct Sink {
    queue: mpsc::Sender<Job>,
}

impl Sink {
    /// Starts the task that writes; it ends when the sink is dropped and the queue is empty.
    pub fn start(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Sink {
        let (queue, jobs) = mpsc::channel(limits::RECORD_QUEUE_MAX);
        tokio::spawn(write(Storage::new(store), clock, jobs));
        Sink { queue }
    }
}

#[async_trait]
impl LogSink for Sink {
    async fn append(&self, account: &str, region: &str, group: &str, stream: &str, events: Vec<LogEvent>) {
        if events.is_empty() {
            return;
        }
        let place = Place { account: account.to_owned(), region: region.to_owned(), group: group.to_owned() };
        let job = Job::Append { place, stream: stream.to_owned(), events };
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

async fn write(storage: Storage, clock: Arc<dyn Clock>, mut jobs: mpsc::Receiver<Job>) {
    while let Some(first) = jobs.recv().await {
        let mut next = Some(first);
        let mut bytes = 0;
        let mut streams = 0;
        let mut waiting = Vec::new();
        let mut round: BTreeMap<Place, BTreeMap<String, Vec<(u64, String)>>> = BTreeMap::new();
        while let Some(job) = next {
            match job {
                Job::Flush(done) => waiting.push(done),
                Job::Append { place, stream, events } => {
                    bytes += events.iter().map(|e| e.message.len() + 32).sum::<usize>();
                    let of_group = round.entry(place).or_default();
                    let known = of_group.len();
                    let of_stream = of_group.entry(stream).or_default();
                    of_stream.extend(events.into_iter().map(|e| (e.timestamp_ms, e.message)));
                    streams += of_group.len() - known;
                }
            }
            next = if bytes < ROUND_BYTES_MAX && streams < ROUND_STREAMS_MAX { jobs.try_recv().ok() } else { None };
        }
        for (place, streams) in round {
            let batches: Vec<Batch> = streams.into_iter().map(|(stream, events)| Batch { stream, events }).collect();
            append(&storage, clock.as_ref(), &place, &batches).await;
        }
        for done in waiting {
            // Whoever asked may have gone.
            let _gone = done.send(());
        }
    }
}

async fn append(storage: &Storage, clock: &dyn Clock, place: &Place, batches: &[Batch]) {
    for attempt in 1..=ATTEMPTS_MAX {
        let result = storage.append(place, batches, clock.now_ms(), Missing::Create).await;
        match result {
            Ok(()) => return,
            Err(error) if attempt == ATTEMPTS_MAX => {
                let events: usize = batches.iter().map(|b| b.events.len()).sum();
                tracing::error!(group = place.group, events, %error, "log events dropped");
            }
            Err(_) => {
                tokio::time::sleep(Duration::from_millis(ATTEMPT_PAUSE_MS << attempt)).await;
            }
        }
    }
}
