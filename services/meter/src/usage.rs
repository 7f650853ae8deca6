//! What services used other than by invoking: summed in memory, and the sums added to what is stored every few seconds.
//! What was used in the last seconds before a kill is lost to the bill, never billed twice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cumulet_base::{clock, limits};
use cumulet_engine::record::{Usage, UsageSink};
use cumulet_store::Store;

use crate::storage::{Storage, Used};

type Sums = HashMap<Used, u128>;

/// Where services put what they used.
pub struct UsageSums {
    storage: Storage,
    sums: Arc<Mutex<Sums>>,
    writing: tokio::sync::Mutex<()>,
}

impl UsageSums {
    /// Starts the task that writes; it ends with the last handle.
    pub fn start(store: Arc<dyn Store>) -> Arc<UsageSums> {
        let usage = Arc::new(UsageSums {
            storage: Storage::new(store),
            sums: Arc::default(),
            writing: tokio::sync::Mutex::default(),
        });
        let kept = Arc::downgrade(&usage);
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(limits::USAGE_PERIOD_MS));
            loop {
                ticks.tick().await;
                let Some(usage) = kept.upgrade() else { return };
                usage.flush().await;
            }
        });
        usage
    }

    /// Makes durable what was used until now.
    pub async fn flush(&self) {
        let _one_at_a_time = self.writing.lock().await;
        let sums = std::mem::take(&mut *self.sums.lock().unwrap_or_else(PoisonError::into_inner));
        for (used, micro) in sums {
            if let Err(error) = self.storage.add_usage(&used, micro).await {
                tracing::warn!(%error, "adding up usage");
                self.add(used, micro);
            }
        }
    }

    fn add(&self, used: Used, micro: u128) {
        *self.sums.lock().unwrap_or_else(PoisonError::into_inner).entry(used).or_default() += micro;
    }
}

impl UsageSink for UsageSums {
    fn used(&self, usage: Usage) {
        let used = Used {
            account: usage.account,
            region: usage.region,
            day: clock::day(usage.at_ms),
            service: usage.service.to_owned(),
            resource: usage.resource,
            unit: usage.unit.to_owned(),
        };
        self.add(used, u128::from(usage.quantity_micro));
    }
}
