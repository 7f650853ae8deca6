//! The instances of one function version: who is idle, who is busy, who waits. Effects of [`crate::placement`]'s decisions.
//! Its lock is held for moments only, never while something is awaited; functions do not share it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cumulet_base::limits;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::function::FunctionVersion;
use crate::output::LogEvent;
use crate::placement::{self, Decision, Limits, Load};
use crate::sandbox::{Failure, Instance, StartError, Usage};

/// An initialised instance between two invocations.
pub struct Ready {
    pub instance: Box<dyn Instance>,
    pub instance_id: String,
    pub log_stream: String,
    /// Of the initialisation, until the first invocation takes it into its log and its bill.
    pub init: Option<Init>,
    /// What had been used when the last invocation ended.
    pub usage_before: Usage,
    born: Instant,
    /// Given back when the instance is gone.
    pub place: Place,
}

#[derive(Debug)]
pub struct Init {
    pub us: u64,
    pub log: Vec<LogEvent>,
}

/// An instance that never became ready.
#[derive(Debug)]
pub enum NotReady {
    Start(StartError),
    Code(String),
    Failed { failure: Option<Failure>, init: Init, instance_id: String, log_stream: String, usage: Usage },
}

/// One of the machine's places for instances.
pub struct Place(Arc<AtomicUsize>);

impl Place {
    pub fn take(total: &Arc<AtomicUsize>) -> Place {
        total.fetch_add(1, Ordering::Relaxed);
        Place(total.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Ready {
    pub fn new(
        instance: Box<dyn Instance>,
        instance_id: String,
        log_stream: String,
        init: Init,
        place: Place,
    ) -> Ready {
        Ready {
            instance,
            instance_id,
            log_stream,
            init: Some(init),
            usage_before: Usage::default(),
            born: Instant::now(),
            place,
        }
    }
}

type Handover = Result<Ready, NotReady>;

#[derive(Default)]
struct State {
    /// The last one used is the first to be used again, so that the others can go.
    idle: Vec<(Ready, Instant)>,
    busy: usize,
    starting: usize,
    waiters: VecDeque<oneshot::Sender<Handover>>,
    is_retired: bool,
    has_reaper: bool,
}

pub struct Pool {
    pub function: Arc<FunctionVersion>,
    state: Mutex<State>,
    total: Arc<AtomicUsize>,
    bounds: Bounds,
}

/// What the operator allows.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub instances_max: usize,
    pub starting_max: usize,
    pub idle: Duration,
    /// An instance takes no more invocations after this.
    pub age: Duration,
}

/// What an invocation has to do after it came to the pool.
pub enum Admitted {
    Ready(Box<Ready>),
    /// Wait for the receiver; when `start` is set, start an instance beside.
    Wait {
        handover: oneshot::Receiver<Handover>,
        start: bool,
    },
    Throttled(&'static str),
    /// The pool is going away; look the function up again.
    Retired,
}

impl Pool {
    pub fn new(function: Arc<FunctionVersion>, total: Arc<AtomicUsize>, bounds: Bounds) -> Pool {
        Pool { function, state: Mutex::default(), total, bounds }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock; a poisoned one is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load(&self, state: &State) -> Load {
        let reserved = self.function.concurrency_max;
        Load {
            idle: state.idle.len(),
            busy: state.busy,
            starting: state.starting,
            waiting: state.waiters.len(),
            limits: Limits {
                concurrency: reserved.unwrap_or(limits::FUNCTION_CONCURRENCY_MAX),
                is_reserved: reserved.is_some(),
                starting: self.bounds.starting_max,
                waiting: limits::PLACEMENT_QUEUE_MAX,
            },
            machine_free: self.bounds.instances_max.saturating_sub(self.total.load(Ordering::Relaxed)),
        }
    }

    pub fn admit(&self) -> Admitted {
        let mut state = self.lock();
        if state.is_retired {
            return Admitted::Retired;
        }
        // Callers that went away while they waited hold no place in the queue.
        while state.waiters.front().is_some_and(oneshot::Sender::is_closed) {
            state.waiters.pop_front();
        }
        let decision = placement::decide(&self.load(&state));
        match decision {
            Decision::Reuse => match state.idle.pop() {
                Some((ready, _)) => {
                    state.busy += 1;
                    Admitted::Ready(Box::new(ready))
                }
                None => Admitted::Retired,
            },
            Decision::Throttle(reason) => Admitted::Throttled(reason),
            Decision::Start | Decision::Wait => {
                let (sender, handover) = oneshot::channel();
                state.waiters.push_back(sender);
                let start = decision == Decision::Start;
                state.starting += usize::from(start);
                Admitted::Wait { handover, start }
            }
        }
    }

    /// A start has ended, well or badly. The first in the queue gets what came of it.
    /// Returns what nobody can use any more.
    pub fn started(self: &Arc<Self>, result: Handover) -> Option<Ready> {
        let mut state = self.lock();
        state.starting -= 1;
        match result {
            Ok(ready) => self.offer(&mut state, ready),
            Err(mut reason) => {
                while let Some(waiter) = state.waiters.pop_front() {
                    match waiter.send(Err(reason)) {
                        Ok(()) | Err(Ok(_)) => break,
                        Err(Err(back)) => reason = back,
                    }
                }
                None
            }
        }
    }

    /// An invocation is over and its instance can take the next.
    pub fn release(self: &Arc<Self>, ready: Ready) -> Option<Ready> {
        let mut state = self.lock();
        state.busy -= 1;
        // Renewed long before its credentials end.
        if ready.born.elapsed() > self.bounds.age {
            return Some(ready);
        }
        self.offer(&mut state, ready)
    }

    /// An invocation is over and its instance is gone.
    pub fn lost(&self) {
        self.lock().busy -= 1;
    }

    /// Whether another instance should be started for those who wait; counts it as starting.
    pub fn claim_start(&self) -> bool {
        let mut state = self.lock();
        let wanted = placement::wants_start(&self.load(&state), state.waiters.len());
        state.starting += usize::from(wanted);
        wanted
    }

    fn offer(self: &Arc<Self>, state: &mut State, mut ready: Ready) -> Option<Ready> {
        while let Some(waiter) = state.waiters.pop_front() {
            match waiter.send(Ok(ready)) {
                Ok(()) => {
                    state.busy += 1;
                    return None;
                }
                Err(Ok(back)) => ready = back,
                Err(Err(_)) => return None,
            }
        }
        if state.is_retired {
            return Some(ready);
        }
        state.idle.push((ready, Instant::now()));
        if !state.has_reaper {
            state.has_reaper = true;
            tokio::spawn(self.clone().reap());
        }
        None
    }

    /// Ends instances that were idle for too long; sleeps until the next one is due, and ends with the last.
    async fn reap(self: Arc<Self>) {
        loop {
            let (due, next) = {
                let mut state = self.lock();
                let oldest = Instant::now().checked_sub(self.bounds.idle);
                let keep = state.idle.partition_point(|(_, since)| oldest.is_some_and(|oldest| *since <= oldest));
                let due: Vec<_> = state.idle.drain(..keep).collect();
                let next = state.idle.first().map(|(_, since)| *since + self.bounds.idle);
                state.has_reaper = next.is_some();
                (due, next)
            };
            for (ready, _) in due {
                tracing::debug!(function = %self.function.name, instance = %ready.instance_id, "idle instance ends");
                ready.instance.stop().await;
            }
            match next {
                Some(next) => tokio::time::sleep_until(next).await,
                None => return,
            }
        }
    }

    /// The instance that has been idle for longest, and since when, without taking it.
    pub fn idle_since(&self) -> Option<Instant> {
        self.lock().idle.first().map(|(_, since)| *since)
    }

    /// Gives up the instance that has been idle for longest.
    pub fn evict(&self) -> Option<Ready> {
        let mut state = self.lock();
        (!state.idle.is_empty()).then(|| state.idle.remove(0).0)
    }

    /// Takes nothing more; hands out the idle instances to be stopped.
    pub fn retire(&self) -> Vec<Ready> {
        let mut state = self.lock();
        state.is_retired = true;
        state.idle.drain(..).map(|(ready, _)| ready).collect()
    }

    /// Idle, busy and starting instances.
    pub fn counts(&self) -> (usize, usize, usize) {
        let state = self.lock();
        (state.idle.len(), state.busy, state.starting)
    }
}
