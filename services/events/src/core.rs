//! What operations, deliveries, ticks and replays share: events taken in, and tasks made of them in one commit.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use cumulet_base::clock::Clock;
use cumulet_base::limits;
use cumulet_delivery::{Delivery, NewTask, Wake};
use cumulet_store::Txn;
use cumulet_wire::client::Client;
use cumulet_wire::error::ApiError;

use crate::envelope::Event;
use crate::model::Place;
use crate::route::{Route, RouteRule, Routes};
use crate::storage::{self, Storage};

/// Owners of tasks.
pub const DELIVER: &str = "events";
pub const TICK: &str = "events-tick";
pub const REPLAY: &str = "events-replay";
pub const EXPIRE: &str = "events-expire";

/// The service events come from when a bus calls.
pub const PRINCIPAL: &str = "events.amazonaws.com";

pub struct Core {
    pub storage: Storage,
    pub clock: Arc<dyn Clock>,
    pub client: Client,
    pub delivery: Arc<Delivery>,
    pub routes: Routes,
    pub destinations: crate::destination::Destinations,
    /// Events on their way from one bus to another, by a word that only the call which carries it over knows.
    forwards: Mutex<HashMap<String, Event>>,
}

/// Where an event goes to.
pub struct LaneName<'a> {
    pub account: &'a str,
    pub region: &'a str,
    pub bus: &'a str,
    pub rule: &'a str,
    pub target: &'a str,
}

impl<'a> LaneName<'a> {
    /// The parts cannot contain the separator.
    pub fn write(&self) -> String {
        [self.account, self.region, self.bus, self.rule, self.target].join("|")
    }

    pub fn read(text: &'a str) -> Option<LaneName<'a>> {
        let mut parts = text.split('|');
        let mut next = || parts.next();
        Some(LaneName { account: next()?, region: next()?, bus: next()?, rule: next()?, target: next()? })
    }
}

/// A transaction that grows, and is committed when it is large.
pub struct Intake<'a> {
    core: &'a Core,
    place: Place,
    txn: Txn,
    wakes: Vec<Wake>,
    bytes: usize,
}

impl Core {
    pub fn new(storage: Storage, clock: Arc<dyn Clock>, client: Client, delivery: Arc<Delivery>) -> Core {
        Core {
            storage,
            clock,
            client,
            delivery,
            routes: Routes::default(),
            destinations: crate::destination::Destinations::default(),
            forwards: Mutex::default(),
        }
    }

    pub async fn route(&self, place: &Place, bus: &str) -> Result<Option<Arc<Route>>, ApiError> {
        self.routes.get(&self.storage, place, bus).await
    }

    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    pub fn intake(&self, place: &Place) -> Intake<'_> {
        Intake { core: self, place: place.clone(), txn: storage::begin(place), wakes: Vec::new(), bytes: 0 }
    }

    pub fn lend(&self, event: Event) -> String {
        let word = cumulet_base::id::hex(32);
        self.forwards.lock().unwrap_or_else(PoisonError::into_inner).insert(word.clone(), event);
        word
    }

    /// Once: it is gone then.
    pub fn borrow(&self, word: &str) -> Option<Event> {
        self.forwards.lock().unwrap_or_else(PoisonError::into_inner).remove(word)
    }
}

/// One task for each target of a rule.
pub fn deliveries(place: &Place, bus: &str, rule: &RouteRule, event: &Event) -> Vec<NewTask> {
    let body = event.write();
    let task = |target: &crate::route::RouteTarget| NewTask {
        owner: DELIVER,
        lane: LaneName {
            account: &place.account,
            region: &place.region,
            bus,
            rule: &rule.name,
            target: &target.target.id,
        }
        .write(),
        due_ms: 0,
        body: body.clone(),
    };
    rule.targets.iter().map(task).collect()
}

impl Intake<'_> {
    /// An event of a bus: kept by its archives, and due at the targets of the rules that want it.
    pub async fn take(&mut self, bus: &str, route: &Route, event: &Event) -> Result<(), ApiError> {
        for archive in route.archives.iter().filter(|archive| archive.wants(&event.value)) {
            self.make_room(event.text.len()).await?;
            let txn = std::mem::replace(&mut self.txn, storage::begin(&self.place));
            self.txn = storage::archive(txn, &self.place, &archive.archive, event.ingested_ms, &event.id, &event.text);
        }
        for rule in route.rules.iter().filter(|rule| rule.wants(&event.value)) {
            for task in deliveries(&self.place, bus, rule, event) {
                self.add(&task).await?;
            }
        }
        Ok(())
    }

    async fn add(&mut self, task: &NewTask) -> Result<(), ApiError> {
        self.make_room(task.body.len()).await?;
        let txn = std::mem::replace(&mut self.txn, storage::begin(&self.place));
        let (txn, wake) = self.core.delivery.add(txn, task)?;
        self.txn = txn;
        self.wakes.push(wake);
        Ok(())
    }

    async fn make_room(&mut self, bytes: usize) -> Result<(), ApiError> {
        if self.bytes > 0 && self.bytes + bytes > limits::EVENTS_COMMIT_BYTES {
            self.flush().await?;
        }
        self.bytes += bytes + 256;
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), ApiError> {
        self.bytes = 0;
        if self.txn.ops.is_empty() {
            return Ok(());
        }
        let txn = std::mem::replace(&mut self.txn, storage::begin(&self.place));
        if !self.core.storage.commit(txn).await? {
            return Err(ApiError::internal("the number of a task is taken"));
        }
        self.wakes.drain(..).for_each(Wake::now);
        Ok(())
    }

    /// Durable when it returns.
    pub async fn finish(mut self) -> Result<(), ApiError> {
        self.flush().await
    }
}
