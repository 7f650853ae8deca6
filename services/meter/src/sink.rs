//! Takes the records of invocations from the engine and writes them by rounds, as `cumulet_engine::rounds` has it. Producers wait when the queue is full; records are never dropped while the store works.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cumulet_base::clock::Clock;
use cumulet_base::limits;
use cumulet_engine::function::FunctionVersion;
use cumulet_engine::record::{MeterSink, MetricSink, Record};
use cumulet_engine::rounds::Rounds;
use cumulet_store::{Error, Store};
use tokio::sync::{mpsc, oneshot};

use crate::measure;
use crate::storage::Storage;

const ROUND_RECORDS_MAX: usize = 500;
const ATTEMPTS_MAX: u32 = 8;
const ATTEMPT_PAUSE_MS: u64 = 50;

enum Job {
    Record(Box<Record>),
    Flush(oneshot::Sender<()>),
}

/// The engine's meter.
pub struct Sink {
    queue: mpsc::Sender<Job>,
    metrics: Option<Arc<dyn MetricSink>>,
    clock: Arc<dyn Clock>,
}

impl Sink {
    /// Starts the task that writes; it ends when the sink is dropped and the queue is empty.
    pub fn start(store: Arc<dyn Store>, clock: Arc<dyn Clock>, metrics: Option<Arc<dyn MetricSink>>) -> Sink {
        let (queue, jobs) = mpsc::channel(limits::RECORD_QUEUE_MAX);
        tokio::spawn(write(Storage::new(store), metrics.clone(), jobs));
        Sink { queue, metrics, clock }
    }
}

#[async_trait]
impl MeterSink for Sink {
    async fn record(&self, record: Record) {
        if self.queue.send(Job::Record(Box::new(record))).await.is_err() {
            tracing::error!("a record was dropped: the writer has ended");
        }
    }

    fn throttled(&self, function: &FunctionVersion) {
        if let Some(metrics) = &self.metrics {
            measure::throttled(&**metrics, function, self.clock.now_ms());
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

async fn write(storage: Storage, metrics: Option<Arc<dyn MetricSink>>, mut jobs: mpsc::Receiver<Job>) {
    let mut rounds = Rounds::default();
    while let Some(first) = jobs.recv().await {
        let mut next = Some(first);
        let mut records = Vec::new();
        let mut waiting = Vec::new();
        while let Some(job) = next {
            match job {
                Job::Record(record) => records.push(*record),
                Job::Flush(done) => waiting.push(done),
            }
            let is_over = records.len() >= ROUND_RECORDS_MAX || !waiting.is_empty();
            next = if is_over { None } else { rounds.more(&mut jobs).await };
        }
        rounds.begin();
        if !records.is_empty() {
            put(&storage, &records).await;
            if let Some(metrics) = &metrics {
                measure::measure(&**metrics, &records);
            }
        }
        for done in waiting {
            // Whoever asked may have gone.
            let _gone = done.send(());
        }
    }
}

async fn put(storage: &Storage, records: &[Record]) {
    match tried(storage, records).await {
        Ok(()) => {}
        // One record that no store takes does not cost the others.
        Err(Error::TooLarge { .. }) if records.len() > 1 => {
            for record in records {
                if let Err(error) = tried(storage, std::slice::from_ref(record)).await {
                    tracing::error!(records = 1, %error, "records dropped");
                }
            }
        }
        Err(error) => tracing::error!(records = records.len(), %error, "records dropped"),
    }
}

/// Tries again while the backend fails; a commit whose end stays unknown counts as that.
async fn tried(storage: &Storage, records: &[Record]) -> Result<(), Error> {
    let mut attempt = 1;
    loop {
        match storage.put(records).await {
            Err(Error::Backend { .. }) if attempt < ATTEMPTS_MAX => {
                tokio::time::sleep(Duration::from_millis(ATTEMPT_PAUSE_MS << attempt)).await;
                attempt += 1;
            }
            settled => return settled,
        }
    }
}
