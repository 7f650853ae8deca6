//! What the platform measures of itself: added up in memory, so that nobody who measures waits, and handed to the writer
//! every few seconds. What was measured in the last seconds before a kill is in no metric; records and bills have it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cumulet_base::limits;
use cumulet_engine::record::{Measured, MetricSink};

use super::aggregate::Aggregate;
use super::writer::{Datum, Writer};
use super::{Place, Series, unit_of};

type Minute = (Place, Series, u8, u64);

pub struct Platform {
    writer: Arc<Writer>,
    sums: Mutex<HashMap<Minute, Aggregate>>,
}

impl Platform {
    /// Starts the task that hands over; it ends with the last handle.
    pub fn start(writer: Arc<Writer>) -> Arc<Platform> {
        let platform = Arc::new(Platform { writer, sums: Mutex::default() });
        let kept = Arc::downgrade(&platform);
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(limits::METRIC_PLATFORM_PERIOD_MS));
            loop {
                ticks.tick().await;
                let Some(platform) = kept.upgrade() else { return };
                platform.flush().await;
            }
        });
        platform
    }

    /// Makes durable what was measured until now; dropped, and said so, when the store does not take it.
    pub async fn flush(&self) {
        let sums = std::mem::take(&mut *self.sums.lock().unwrap_or_else(PoisonError::into_inner));
        let mut by_place: HashMap<Place, Vec<Datum>> = HashMap::new();
        for ((place, series, unit, at_s), values) in sums {
            by_place.entry(place).or_default().push(Datum { series, unit, at_s, is_high: false, values });
        }
        for (place, mut data) in by_place {
            while !data.is_empty() {
                let rest = data.split_off(data.len().min(limits::METRIC_DATA_MAX));
                let count = data.len();
                if let Err(error) = self.writer.write(&place, data).await {
                    tracing::warn!(%error, count, "the platform's own metrics were dropped");
                }
                data = rest;
            }
        }
    }
}

impl MetricSink for Platform {
    fn measured(&self, measured: Measured<'_>) {
        let Some(unit) = unit_of(measured.unit) else { return };
        let place = Place { account: measured.account.to_owned(), region: measured.region.to_owned() };
        let dimensions = measured.dimensions.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let series = Series::new(measured.namespace, measured.name, dimensions.collect());
        let at_s = measured.at_ms / 60_000 * 60;
        let mut all = measured.values.iter().map(|(value, count)| Aggregate::of(*value, *count));
        let Some(mut values) = all.next() else { return };
        all.for_each(|more| values.merge(&more));
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        let is_room = sums.len() < limits::METRIC_PLATFORM_SUMS_MAX;
        match sums.entry((place, series, unit, at_s)) {
            std::collections::hash_map::Entry::Occupied(mut known) => known.get_mut().merge(&values),
            std::collections::hash_map::Entry::Vacant(new) if is_room => drop(new.insert(values)),
            std::collections::hash_map::Entry::Vacant(_) => {}
        }
    }
}
