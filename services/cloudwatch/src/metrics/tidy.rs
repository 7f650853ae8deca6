//! Forgets what is older than metrics are kept, once an hour.

use std::sync::Arc;
use std::time::Duration;

use cumulet_base::clock::Clock;
use cumulet_base::limits;
use cumulet_wire::error::ApiError;
use tokio::time::Instant;

use super::LEVELS;
use crate::storage::metrics::MetricStorage;

/// Starts the task; it ends with the process.
pub fn start(storage: MetricStorage, clock: Arc<dyn Clock>) {
    tokio::spawn(async move {
        // Not while everything starts.
        let first = Instant::now() + Duration::from_millis(limits::METRIC_TIDY_FIRST_MS);
        let mut ticks = tokio::time::interval_at(first, Duration::from_millis(limits::METRIC_TIDY_PERIOD_MS));
        loop {
            ticks.tick().await;
            if let Err(error) = once(&storage, clock.now_ms() / 1000).await {
                tracing::warn!(%error, "old metrics could not be forgotten");
            }
        }
    });
}

pub async fn once(storage: &MetricStorage, now_s: u64) -> Result<(), ApiError> {
    for place in storage.places().await? {
        for entry in storage.catalog(&place, None, None).await? {
            let id = entry.series.id();
            let mut is_kept = false;
            for (level_s, kept_s) in LEVELS {
                let before_s = now_s.saturating_sub(*kept_s);
                storage.forget(&place, &id, *level_s, before_s).await?;
                is_kept = entry.last_s + limits::METRIC_SEEN_S >= before_s;
            }
            if !is_kept {
                storage.forget_series(&place, &entry.series).await?;
            }
        }
    }
    Ok(())
}
