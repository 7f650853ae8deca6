//! The machine's places for instances, as all pools share them. Effects of [`crate::policy::machine`]'s decisions. Asked
//! only when an instance is to be born or has ended, never for an event that a warm instance takes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::policy::machine::{Answer, Bounds, Machine, Share};
use crate::policy::{Birth, Micros};
use crate::pool::Pool;

pub struct Places {
    policy: Mutex<(Machine<u64>, Pools)>,
    /// How many wishes wait for room; looked at with every answer, so that it is kept outside the lock.
    crowd: AtomicUsize,
    /// What is to be done when a place becomes free.
    on_free: Box<dyn Fn() + Send + Sync>,
}

type Pools = std::collections::HashMap<u64, Weak<Pool>>;

impl Places {
    pub fn new(bounds: Bounds, on_free: Box<dyn Fn() + Send + Sync>) -> Places {
        Places { policy: Mutex::new((Machine::new(bounds), Pools::new())), crowd: AtomicUsize::new(0), on_free }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Machine<u64>, &mut Pools) -> T) -> T {
        let mut guard: MutexGuard<'_, _> = self.policy.lock().unwrap_or_else(PoisonError::into_inner);
        let (machine, pools) = &mut *guard;
        let result = act(machine, pools);
        self.crowd.store(machine.crowd(), Ordering::Relaxed);
        result
    }

    /// A place for an instance of the pool, or a wish for one.
    pub fn ask(self: &Arc<Self>, pool: &Arc<Pool>, share: Share, now: Micros) -> Result<Place, Answer> {
        let answer = self.with(|machine, pools| {
            pools.retain(|_, pool| pool.strong_count() > 0);
            pools.insert(pool.key, Arc::downgrade(pool));
            machine.ask(pool.key, share, now)
        });
        match answer {
            Answer::Granted => Ok(self.place(pool.key, share)),
            other => Err(other),
        }
    }

    /// The next wish that can be granted.
    pub fn grant(self: &Arc<Self>) -> Option<(Arc<Pool>, Place)> {
        loop {
            let (key, share, pool) = self.with(|machine, pools| {
                let (key, share) = machine.grant()?;
                Some((key, share, pools.get(&key).and_then(Weak::upgrade)))
            })?;
            let place = self.place(key, share);
            // A place whose pool is gone is given back at once.
            if let Some(pool) = pool {
                return Some((pool, place));
            }
        }
    }

    fn place(self: &Arc<Self>, key: u64, share: Share) -> Place {
        Place { places: self.clone(), key, share, is_being_born: true }
    }

    /// Whether somebody waits for room.
    pub fn is_crowded(&self) -> bool {
        self.crowd.load(Ordering::Relaxed) > 0
    }

    /// Whether the pool holds more than its part while others want some.
    pub fn is_beyond_share(&self, key: u64) -> bool {
        self.is_crowded() && self.with(|machine, _| machine.is_beyond_share(key))
    }

    /// Whose idle instance is to go for `asker`.
    pub fn victim(&self, asker: u64, idle: impl Iterator<Item = (u64, Micros)>) -> Option<u64> {
        self.with(|machine, _| machine.victim(asker, idle))
    }

    pub fn forget(&self, key: u64) {
        self.with(|machine, _| machine.forget(key));
    }
}

/// Room for one instance; given back when dropped.
pub struct Place {
    places: Arc<Places>,
    key: u64,
    share: Share,
    is_being_born: bool,
}

impl Place {
    pub fn birth(&self) -> Birth {
        self.share.birth
    }

    /// The birth is over: others may be born.
    pub fn born(&mut self) {
        if std::mem::take(&mut self.is_being_born) {
            self.places.with(|machine, _| machine.born(self.share.birth));
            (self.places.on_free)();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.with(|machine, _| {
            if self.is_being_born {
                machine.born(self.share.birth);
            }
            machine.ended(self.key, &self.share);
        });
        (self.places.on_free)();
    }
}
