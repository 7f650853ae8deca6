//! What operations, ticks and invocations share.

use std::sync::Arc;

use cumulet_base::clock::Clock;
use cumulet_delivery::Delivery;
use cumulet_wire::client::Client;

use crate::storage::Storage;

/// Owners of tasks.
pub const TICK: &str = "scheduler";
pub const CALL: &str = "scheduler-call";
pub const CLEAR: &str = "scheduler-clear";

/// The service roles have to trust.
pub const PRINCIPAL: &str = "scheduler.amazonaws.com";

pub struct Core {
    pub storage: Storage,
    pub clock: Arc<dyn Clock>,
    pub client: Client,
    pub delivery: Arc<Delivery>,
}

impl Core {
    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }
}
