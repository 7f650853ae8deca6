//! Adds data to what is stored, by rounds, as `cumulet_engine::rounds` has it: what several callers put meanwhile is one
//! commit, and each of them returns when it is durable. What is being added to is kept in memory, with the revision it
//! has in the store, so that a round reads only what is new to it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use cumulet_base::limits;
use cumulet_engine::rounds::Rounds;
use cumulet_store::{Key, Rev};
use cumulet_wire::error::ApiError;
use tokio::sync::{mpsc, oneshot};

use super::aggregate::Aggregate;
use super::{LEVELS, Place, Series, SeriesId};
use crate::errors;
use crate::storage::metrics::{Entry, MetricStorage, Put};

const ATTEMPTS_MAX: usize = 8;

/// Values of a series at a time.
#[derive(Clone, Debug)]
pub struct Datum {
    pub series: Series,
    pub unit: u8,
    pub at_s: u64,
    /// Seconds are told apart.
    pub is_high: bool,
    pub values: Aggregate,
}

/// Whoever has to know that a series has something new.
pub trait Notice: Send + Sync + 'static {
    fn changed(&self, place: &Place, data: &[(SeriesId, u64)]);
}

struct Job {
    place: Place,
    data: Vec<Datum>,
    done: oneshot::Sender<Result<(), ApiError>>,
}

pub struct Writer {
    queue: mpsc::Sender<Job>,
}

impl Writer {
    /// Starts the task that writes; it ends with the last handle.
    pub fn start(storage: MetricStorage, notice: Arc<dyn Notice>) -> Arc<Writer> {
        let (queue, jobs) = mpsc::channel(limits::METRIC_QUEUE_MAX);
        tokio::spawn(run(Rows { storage, open: HashMap::new(), known: HashMap::new() }, notice, jobs));
        Arc::new(Writer { queue })
    }

    /// Durable when it returns.
    pub async fn write(&self, place: &Place, data: Vec<Datum>) -> Result<(), ApiError> {
        let (done, wait) = oneshot::channel();
        let ended = |()| errors::ended();
        self.queue.send(Job { place: place.clone(), data, done }).await.map_err(|_| ended(()))?;
        wait.await.map_err(|_| ended(()))?
    }
}

async fn run(mut rows: Rows, notice: Arc<dyn Notice>, mut jobs: mpsc::Receiver<Job>) {
    let mut rounds = Rounds::default();
    while let Some(first) = jobs.recv().await {
        let mut next = Some(first);
        let mut round: BTreeMap<Place, Vec<Job>> = BTreeMap::new();
        let mut count = 0;
        while let Some(job) = next {
            count += job.data.len();
            round.entry(job.place.clone()).or_default().push(job);
            next = if count >= limits::METRIC_DATA_MAX { None } else { rounds.more(&mut jobs).await };
        }
        rounds.begin();
        for (place, jobs) in round {
            let data: Vec<&Datum> = jobs.iter().flat_map(|job| &job.data).collect();
            let written = rows.write(&place, &data).await;
            if written.is_ok() {
                let changed: Vec<_> = data.iter().map(|datum| (datum.series.id(), datum.at_s)).collect();
                notice.changed(&place, &changed);
            }
            for job in jobs {
                // Whoever asked may have gone.
                let _gone = job.done.send(written.clone());
            }
        }
    }
}

struct Rows {
    storage: MetricStorage,
    open: HashMap<(Place, Key), (Aggregate, Rev)>,
    /// All series of a place, and until when their last value is written down.
    known: HashMap<Place, HashMap<SeriesId, u64>>,
}

impl Rows {
    async fn write(&mut self, place: &Place, data: &[&Datum]) -> Result<(), ApiError> {
        for _ in 0..ATTEMPTS_MAX {
            if self.once(place, data).await? {
                return Ok(());
            }
            // Somebody else adds to them as well.
            self.open.clear();
        }
        Err(errors::busy())
    }

    /// Whether it was done; otherwise what is in memory is not what is stored.
    async fn once(&mut self, place: &Place, data: &[&Datum]) -> Result<bool, ApiError> {
        let entries = self.entries(place, data).await?;
        let mut added: BTreeMap<Key, Aggregate> = BTreeMap::new();
        for datum in data {
            let id = datum.series.id();
            let levels = LEVELS.iter().filter(|(level_s, _)| datum.is_high || *level_s > 1);
            for (level_s, _) in levels {
                let key = MetricStorage::data_key(place, &id, *level_s, datum.at_s / level_s * level_s, datum.unit);
                added
                    .entry(key)
                    .and_modify(|values| values.merge(&datum.values))
                    .or_insert_with(|| datum.values.clone());
            }
        }
        let absent: Vec<Key> =
            added.keys().filter(|key| !self.open.contains_key(&(place.clone(), (*key).clone()))).cloned().collect();
        let mut found: HashMap<Key, (Aggregate, Rev)> = HashMap::new();
        for (key, values, rev) in self.storage.read_rows(place, absent).await? {
            found.insert(key, (values, rev));
        }
        let mut puts = Vec::new();
        let mut new = Vec::new();
        for (key, values) in added {
            let known = found.remove(&key).or_else(|| self.open.get(&(place.clone(), key.clone())).cloned());
            let (sum, rev) = match known {
                Some((mut sum, rev)) => {
                    sum.merge(&values);
                    (sum, Some(rev))
                }
                None => (values, None),
            };
            puts.push(Put { key: key.clone(), value: Bytes::from(sum.encode()), seen: rev });
            new.push((key, sum));
        }
        let Some(rev) = self.storage.commit(place, &entries, puts).await? else { return Ok(false) };
        if self.open.len() + new.len() > limits::METRIC_ROWS_OPEN {
            self.open.clear();
        }
        self.open.extend(new.into_iter().map(|(key, sum)| ((place.clone(), key), (sum, rev))));
        if let Some(known) = self.known.get_mut(place) {
            known.extend(entries.iter().map(|entry| (entry.series.id(), entry.last_s)));
        }
        Ok(true)
    }

    /// What the catalog has to say anew.
    async fn entries(&mut self, place: &Place, data: &[&Datum]) -> Result<Vec<Entry>, ApiError> {
        if !self.known.contains_key(place) {
            let all = self.storage.catalog(place, None, None).await?;
            let seen = all.iter().map(|entry| (entry.series.id(), entry.last_s)).collect();
            self.known.insert(place.clone(), seen);
        }
        let known = &self.known[place];
        let mut entries: BTreeMap<SeriesId, Entry> = BTreeMap::new();
        let mut new = 0;
        for datum in data {
            let id = datum.series.id();
            let seen = known.get(&id);
            if seen.is_some_and(|last_s| datum.at_s < last_s + limits::METRIC_SEEN_S) {
                continue;
            }
            let entry = entries.entry(id).or_insert_with(|| {
                new += usize::from(seen.is_none());
                Entry { series: datum.series.clone(), last_s: 0 }
            });
            entry.last_s = entry.last_s.max(datum.at_s);
        }
        match known.len() + new > limits::METRICS_MAX {
            true => Err(errors::limit("There are as many metrics as there may be")),
            false => Ok(entries.into_values().collect()),
        }
    }
}
