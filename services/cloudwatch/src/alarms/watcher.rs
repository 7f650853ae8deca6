//! When alarms are looked at: when a period of theirs has ended, when something comes late for one that has, when they
//! are put, and when an alarm that a composite one names has changed. What is due is kept in memory and begins anew from
//! the store, with all alarms, when the platform starts: states follow from metrics, which are durable.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use cumulet_base::clock::Clock;
use cumulet_base::limits;
use cumulet_wire::error::ApiError;
use tokio::sync::Notify;

use super::evaluate::Watch;
use super::gauges::Gauges;
use super::rule::Rule;
use super::{ALARM, OK, UNKNOWN, act};
use crate::metrics::query::{self, What};
use crate::metrics::writer::Notice;
use crate::metrics::{Place, SeriesId};
use crate::model::{Alarm, State};
use crate::storage::metrics::MetricStorage;
use crate::storage::{ALARM as KIND, Storage};

type Named = (Place, String);

#[derive(Default)]
struct Due {
    order: BTreeSet<(u64, Named)>,
    at: HashMap<Named, u64>,
    /// Alarms on a series, with their periods.
    watched: HashMap<(Place, SeriesId), HashMap<String, u64>>,
    /// The series of an alarm.
    series: HashMap<Named, Vec<SeriesId>>,
    /// The last period whose end the gauges of an alarm were read at.
    read_s: HashMap<Named, u64>,
    /// What composite alarms name.
    rules: HashMap<Named, Vec<String>>,
}

impl Due {
    fn set(&mut self, named: &Named, at_ms: u64) {
        if self.at.get(named).is_some_and(|known| *known <= at_ms) {
            return;
        }
        self.unset(named);
        self.at.insert(named.clone(), at_ms);
        self.order.insert((at_ms, named.clone()));
    }

    fn unset(&mut self, named: &Named) {
        if let Some(at_ms) = self.at.remove(named) {
            self.order.remove(&(at_ms, named.clone()));
        }
    }

    /// The alarm is on these series, and no others.
    fn watch(&mut self, named: &Named, ids: Vec<SeriesId>, period_s: u64) {
        for id in self.series.remove(named).unwrap_or_default() {
            let key = (named.0.clone(), id);
            if let Some(alarms) = self.watched.get_mut(&key) {
                alarms.remove(&named.1);
                if alarms.is_empty() {
                    self.watched.remove(&key);
                }
            }
        }
        for id in &ids {
            self.watched.entry((named.0.clone(), *id)).or_default().insert(named.1.clone(), period_s);
        }
        if !ids.is_empty() {
            self.series.insert(named.clone(), ids);
        }
    }

    fn forget(&mut self, named: &Named) {
        self.rules.remove(named);
        self.read_s.remove(named);
        self.watch(named, Vec::new(), 0);
    }
}

pub struct Watcher {
    storage: Storage,
    metrics: MetricStorage,
    clock: Arc<dyn Clock>,
    due: Mutex<Due>,
    wake: Notify,
    gauges: OnceLock<Gauges>,
}

impl Watcher {
    pub fn new(storage: Storage, metrics: MetricStorage, clock: Arc<dyn Clock>) -> Arc<Watcher> {
        Arc::new(Watcher {
            storage,
            metrics,
            clock,
            due: Mutex::default(),
            wake: Notify::new(),
            gauges: OnceLock::new(),
        })
    }

    /// The gauges write, and what is written wakes alarms: this closes the circle, once.
    pub fn connect(&self, gauges: Gauges) {
        let connected = self.gauges.set(gauges);
        debug_assert!(connected.is_ok(), "gauges are connected once, at start");
    }

    /// Starts the task that looks; it ends with the process.
    pub fn start(self: &Arc<Watcher>) {
        let watcher = self.clone();
        tokio::spawn(async move {
            match watcher.storage.everywhere().await {
                Ok(all) => all.iter().for_each(|(place, name)| watcher.look(place, name)),
                Err(error) => tracing::error!(%error, "the alarms of an earlier run could not be looked for"),
            }
            loop {
                watcher.round().await;
            }
        });
    }

    fn due(&self) -> std::sync::MutexGuard<'_, Due> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An alarm was put, or may have something new.
    pub fn look(&self, place: &Place, name: &str) {
        self.due().set(&(place.clone(), name.to_owned()), 0);
        self.wake.notify_one();
    }

    /// Composite alarms that name it are looked at.
    pub fn changed_state(&self, place: &Place, name: &str) {
        let mut due = self.due();
        let above: Vec<Named> = due
            .rules
            .iter()
            .filter(|((of, _), names)| of == place && names.iter().any(|named| named == name))
            .map(|(named, _)| named.clone())
            .collect();
        above.iter().for_each(|named| due.set(named, 0));
        drop(due);
        self.wake.notify_one();
    }

    /// What is due, or the wait until something is.
    async fn round(&self) {
        let now_ms = self.clock.now_ms();
        let next = {
            let mut due = self.due();
            match due.order.first().cloned() {
                Some((at_ms, named)) if at_ms <= now_ms => {
                    due.unset(&named);
                    Ok(named)
                }
                Some((at_ms, _)) => Err((at_ms - now_ms).min(limits::DELIVERY_CLOCK_MS)),
                None => Err(limits::DELIVERY_CLOCK_MS),
            }
        };
        match next {
            Ok(named) => self.evaluate(&named).await,
            Err(wait_ms) => {
                tokio::select! {
                    () = self.wake.notified() => {}
                    () = tokio::time::sleep(Duration::from_millis(wait_ms)) => {}
                }
            }
        }
    }

    async fn evaluate(&self, named: &Named) {
        let (place, name) = named;
        let found = match self.storage.get_row::<Alarm>(place, KIND, name).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(alarm = name, %error, "an alarm could not be read");
                return self.due().set(named, self.clock.now_ms() + limits::DELIVERY_PAUSE_MS);
            }
        };
        let Some((alarm, rev)) = found else { return self.due().forget(named) };
        let settled = match alarm.is_composite {
            true => self.composite(named, &alarm).await,
            false => self.metric(named, &alarm).await,
        };
        let Some(state) = settled else { return };
        if state.value == alarm.state.value {
            return;
        }
        match self.transition(place, alarm, rev, state).await {
            Ok(true) => {}
            // It was changed meanwhile.
            Ok(false) => self.look(place, name),
            Err(error) => {
                tracing::warn!(alarm = name, %error, "an alarm's new state could not be written");
                self.due().set(named, self.clock.now_ms() + limits::DELIVERY_PAUSE_MS);
            }
        }
    }

    /// Puts an alarm into a state, with what follows. Whether it was as it was seen.
    pub async fn transition(
        &self,
        place: &Place,
        mut alarm: Alarm,
        seen: cumulet_store::Rev,
        state: State,
    ) -> Result<bool, ApiError> {
        let old = std::mem::replace(&mut alarm.state, state);
        let change = if old.value == alarm.state.value { None } else { Some(act::change(place, &alarm, &old)?) };
        let (history, tasks) = change.map(|change| (change.history, change.tasks)).unwrap_or_default();
        let is_done = self.storage.put_alarm(place, &alarm, Some(seen), &history, &tasks).await?;
        if is_done && old.value != alarm.state.value {
            self.changed_state(place, &alarm.name);
        }
        Ok(is_done)
    }

    async fn metric(&self, named: &Named, alarm: &Alarm) -> Option<State> {
        let (place, name) = named;
        let Ok(watch) = Watch::of(&alarm.members) else {
            // Of an earlier version of the platform, which kept what it did not evaluate.
            tracing::debug!(alarm = name, "an alarm cannot be evaluated");
            self.due().forget(named);
            return None;
        };
        let now_ms = self.clock.now_ms();
        let now_s = now_ms / 1000;
        let period_ms = watch.period_s * 1000;
        {
            let mut due = self.due();
            due.set(named, (now_ms / period_ms + 1) * period_ms + limits::ALARM_DELAY_MS.min(period_ms / 2));
            let id_of = |query: &query::Query| match &query.what {
                What::Metric(stat) => Some(stat.series.id()),
                What::Expression(_) => None,
            };
            due.watch(named, watch.queries.iter().filter_map(id_of).collect(), watch.period_s);
        }
        let (_, end_s) = watch.range(now_s);
        // What they write wakes this alarm once more, within the same period.
        let is_new = self.due().read_s.insert(named.clone(), end_s) != Some(end_s);
        if let Some(gauges) = self.gauges.get().filter(|_| is_new) {
            gauges.read(place, &watch, end_s.saturating_sub(1)).await;
        }
        match query::run(&self.metrics, place, &watch.queries, watch.range(now_s), now_s).await {
            Ok(found) => {
                let points = found.into_iter().next().map(|found| found.points).unwrap_or_default();
                let verdict = watch.verdict(&points, &alarm.state.value, now_s);
                Some(alarm.state.next(verdict.state, verdict.reason, Some(verdict.data.to_string()), now_ms))
            }
            Err(error) => {
                tracing::warn!(alarm = name, %error, "an alarm could not be evaluated");
                None
            }
        }
    }

    async fn composite(&self, named: &Named, alarm: &Alarm) -> Option<State> {
        let (place, name) = named;
        let text = alarm.members.get("AlarmRule").and_then(serde_json::Value::as_str).unwrap_or_default();
        let rule = Rule::parse(text).ok()?;
        self.due().rules.insert(named.clone(), rule.names().into_iter().map(str::to_owned).collect());
        let mut states: HashMap<String, String> = HashMap::new();
        for child in rule.names() {
            let found = self.storage.get_row::<Alarm>(place, KIND, child).await;
            let found = found.inspect_err(|error| tracing::warn!(alarm = name, %error, "an alarm could not be read"));
            states.insert(
                child.to_owned(),
                found.ok()?.map_or_else(|| UNKNOWN.to_owned(), |(child, _)| child.state.value),
            );
        }
        let is = rule.holds(&|child| states.get(child).cloned().unwrap_or_default());
        let triggering: Vec<serde_json::Value> = states
            .iter()
            .map(|(child, state)| serde_json::json!({"arn": place.alarm_arn(child), "state": {"value": state}}))
            .collect();
        let value = if is { ALARM } else { OK };
        let named: Vec<String> = states.iter().map(|(child, state)| format!("{child} is {state}")).collect();
        let reason = format!("The alarm rule evaluates to {}: {}", if is { "TRUE" } else { "FALSE" }, named.join(", "));
        let data = serde_json::json!({"triggeringAlarms": triggering}).to_string();
        Some(alarm.state.next(value, reason.chars().take(1023).collect(), Some(data), self.clock.now_ms()))
    }
}

impl Notice for Watcher {
    fn changed(&self, place: &Place, data: &[(SeriesId, u64)]) {
        let now_ms = self.clock.now_ms();
        let mut due = self.due();
        if due.watched.is_empty() {
            return;
        }
        let mut late = Vec::new();
        for (id, at_s) in data {
            let Some(alarms) = due.watched.get(&(place.clone(), *id)) else { continue };
            for (name, period_s) in alarms {
                // What has not ended is looked at when it has.
                if (at_s / period_s + 1) * period_s * 1000 <= now_ms {
                    late.push((place.clone(), name.clone()));
                }
            }
        }
        if late.is_empty() {
            return;
        }
        late.iter().for_each(|named| due.set(named, 0));
        drop(due);
        self.wake.notify_one();
    }
}
