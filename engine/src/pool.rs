//! The instances of one function version: who is idle, who is busy, who waits. Effects of [`crate::policy::function`]'s
//! decisions. Its lock is held for moments only, never while something is awaited; functions do not share it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::account::Account;
use crate::function::FunctionVersion;
use crate::machine::Place;
use crate::output::LogEvent;
use crate::policy::function::{Arrival, Function, InstanceId, Next, Settings, Ticket, Used};
use crate::policy::machine::Share;
use crate::policy::{Birth, Micros, reason};
use crate::sandbox::{Failure, Instance, StartError, Usage};

/// An initialised instance between two invocations, or one of its seats where it takes several at a time.
pub struct Ready {
    /// As the policy names it; its own once it is started.
    pub id: InstanceId,
    pub instance: Box<dyn Instance>,
    pub instance_id: String,
    pub log_stream: String,
    /// Of the initialisation, until the first invocation takes it into its log and its bill.
    pub init: Option<Init>,
    pub common: Arc<Common>,
}

/// What an instance had spent when it was last measured, and how long the events took that were over since.
#[derive(Default)]
struct Measured {
    cpu_us: u64,
    events_us: u64,
}

/// What an instance has spent since it was last measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    pub cpu_us: u64,
    /// How long the events took that were over meanwhile; 0 where it has not been measured again, which is not done
    /// for each of many short ones.
    pub within_us: u64,
}

impl Spent {
    pub fn and(self, more: Spent) -> Spent {
        Spent { cpu_us: self.cpu_us + more.cpu_us, within_us: self.within_us + more.within_us }
    }
}

/// What the seats of an instance have together.
pub struct Common {
    last: Mutex<Measured>,
    /// Given back when the instance is gone.
    _place: Place,
}

impl Common {
    pub fn new(place: Place) -> Arc<Common> {
        Arc::new(Common { last: Mutex::default(), _place: place })
    }

    /// An event was over after this long.
    pub fn spent(&self, usage: Usage, event_us: u64) -> Spent {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let events_us = last.events_us + event_us;
        let cpu_us = usage.cpu_us.saturating_sub(last.cpu_us);
        if cpu_us == 0 {
            last.events_us = events_us;
            return Spent::default();
        }
        *last = Measured { cpu_us: usage.cpu_us, events_us: 0 };
        Spent { cpu_us, within_us: events_us }
    }
}

impl Ready {
    /// As many seats as it has been told to have; the first has the initialisation.
    ///
    /// # Errors
    /// When the instance cannot be divided; it has been stopped then.
    pub async fn seats(self, count: usize) -> Result<Vec<Ready>, NotReady> {
        let Ready { id, instance, instance_id, log_stream, mut init, common } = self;
        let divided = if count == 1 { Ok(vec![instance]) } else { instance.seats(count).await };
        let instances = divided.map_err(NotReady::Start)?;
        let seat = |instance| Ready {
            id,
            instance,
            instance_id: instance_id.clone(),
            log_stream: log_stream.clone(),
            init: init.take(),
            common: common.clone(),
        };
        Ok(instances.into_iter().map(seat).collect())
    }
}

#[derive(Debug)]
pub struct Init {
    pub us: u64,
    pub log: Vec<LogEvent>,
}

/// No instance for this invocation.
#[derive(Debug)]
pub enum NotReady {
    Start(StartError),
    Code(String),
    Failed {
        failure: Option<Failure>,
        init: Init,
        instance_id: String,
        log_stream: String,
        usage: Usage,
    },
    /// It waited too long.
    Throttled(&'static str),
}

type Handover = Result<Ready, NotReady>;
/// All seats of a newborn.
pub type Started = Result<Vec<Ready>, NotReady>;

struct State {
    policy: Function,
    /// Those that nobody sits on, of each instance; forgotten with it.
    free: HashMap<InstanceId, Vec<Ready>>,
    waiters: HashMap<Ticket, oneshot::Sender<Handover>>,
    serial: u64,
    /// The next look at the clock that is arranged for.
    tick_at: Option<Micros>,
    born: Born,
}

/// How instances came to be so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Born {
    pub cloned: u64,
    pub started: u64,
}

pub struct Pool {
    /// Names it to the machine.
    pub key: u64,
    pub function: Arc<FunctionVersion>,
    pub account: Arc<Account>,
    /// Where the policy's time begins.
    epoch: Instant,
    state: Mutex<State>,
}

/// What an invocation has to do after it came to the pool.
pub enum Admitted {
    Ready(Box<Ready>),
    Wait(oneshot::Receiver<Handover>),
    Throttled(&'static str),
    /// The pool is going away; look the function up again.
    Retired,
}

/// What is to be done after an instance was handed to the pool.
pub struct After {
    /// To be stopped.
    pub unused: Vec<Ready>,
    /// When to look at the clock.
    pub look_at: Option<Instant>,
}

impl Pool {
    pub fn new(
        key: u64,
        function: Arc<FunctionVersion>,
        account: Arc<Account>,
        settings: Settings,
        epoch: Instant,
    ) -> Pool {
        let state = State {
            policy: Function::new(settings),
            free: HashMap::new(),
            waiters: HashMap::new(),
            serial: 0,
            tick_at: None,
            born: Born::default(),
        };
        Pool { key, function, account, epoch, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What runs under the lock leaves it whole; a panic there is a mistake that the next invocation may survive.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn now(&self) -> Micros {
        self.epoch.elapsed().as_micros() as Micros
    }

    pub fn admit(&self) -> Admitted {
        let now = self.now();
        let mut state = self.lock();
        if state.policy.is_retired() {
            return Admitted::Retired;
        }
        state.serial += 1;
        let ticket = state.serial;
        match state.policy.arrive(ticket, now) {
            Arrival::Reuse(id) => match state.take(id) {
                Some(ready) => Admitted::Ready(Box::new(ready)),
                None => Admitted::Retired,
            },
            Arrival::Queue => {
                let (sender, handover) = oneshot::channel();
                state.waiters.insert(ticket, sender);
                Admitted::Wait(handover)
            }
            Arrival::Refuse(reason) => Admitted::Throttled(reason),
        }
    }

    /// How many instances to ask the machine for, each of the share.
    pub fn wants(&self, birth: Birth) -> (usize, Share) {
        let now = self.now();
        let mut state = self.lock();
        state.policy.set_birth(birth);
        (state.policy.wants(now), state.policy.share())
    }

    /// The machine grants an instance; whether it is still wanted.
    pub fn granted(&self) -> bool {
        let now = self.now();
        self.lock().policy.granted(now)
    }

    /// A start is over.
    pub fn started(&self, result: Started, birth: Birth) -> After {
        let now = self.now();
        let mut state = self.lock();
        match result {
            Ok(seats) => {
                state.serial += 1;
                let id = state.serial;
                match birth {
                    Birth::Clone => state.born.cloned += 1,
                    Birth::Start => state.born.started += 1,
                }
                let took_us = seats.iter().find_map(|ready| Some(ready.init.as_ref()?.us)).unwrap_or(0);
                let mut next = state.policy.started(id, birth, took_us, now);
                let mut unused = Vec::new();
                for mut ready in seats {
                    ready.id = id;
                    let again = |state: &mut State, id| state.policy.completed(id, Used::default(), now, false);
                    unused.extend(state.go_on(ready, next, again));
                    next = state.policy.offered(id);
                }
                After { unused, look_at: self.arrange(&mut state, now) }
            }
            Err(reason) => {
                let told = state.policy.start_failed().and_then(|ticket| state.waiters.remove(&ticket));
                if let Some(waiter) = told {
                    // A caller that went away need not know.
                    drop(waiter.send(Err(reason)));
                }
                After { unused: Vec::new(), look_at: self.arrange(&mut state, now) }
            }
        }
    }

    /// An invocation is over and its instance can take the next.
    pub fn release(&self, ready: Ready, used: Used, is_beyond_share: bool) -> After {
        let now = self.now();
        let mut state = self.lock();
        let next = state.policy.completed(ready.id, used, now, is_beyond_share);
        let unused =
            state.go_on(ready, next, |state, id| state.policy.completed(id, Used::default(), now, is_beyond_share));
        After { unused, look_at: self.arrange(&mut state, now) }
    }

    /// How many instances are to be kept ready.
    pub fn set_provisioned(&self, count: usize) {
        self.lock().policy.set_provisioned(count);
    }

    /// An invocation is over that leaves its seat of no further use. The instance takes nothing new, and ends when what
    /// its other seats do is over.
    pub fn forsake(&self, ready: Ready) -> After {
        let now = self.now();
        let mut state = self.lock();
        let next = state.policy.forsaken(ready.id);
        let unused = state.go_on(ready, next, |_, _| Next::Stop);
        After { unused, look_at: self.arrange(&mut state, now) }
    }

    /// The instance is gone. What was free of it is to be stopped.
    pub fn lost(&self, id: InstanceId) -> Vec<Ready> {
        let mut state = self.lock();
        state.policy.died(id);
        state.take_all(id)
    }

    /// Looks at the clock: refuses those who have waited too long, and hands out instances that were idle for too long.
    pub fn tick(&self) -> Vec<Ready> {
        let now = self.now();
        let mut state = self.lock();
        if state.tick_at.is_some_and(|at| now >= at) {
            state.tick_at = None;
        }
        let due = state.policy.tick(now);
        for ticket in due.expired {
            if let Some(waiter) = state.waiters.remove(&ticket) {
                drop(waiter.send(Err(NotReady::Throttled(reason::CONCURRENCY))));
            }
        }
        due.stop.into_iter().flat_map(|id| state.take_all(id)).collect()
    }

    /// When to look at the clock, where no look is arranged for that is early enough.
    pub fn look_at(&self) -> Option<Instant> {
        let now = self.now();
        self.arrange(&mut self.lock(), now)
    }

    fn arrange(&self, state: &mut State, now: Micros) -> Option<Instant> {
        let at = state.policy.next_tick(now)?;
        if state.tick_at.is_some_and(|known| known <= at) {
            return None;
        }
        state.tick_at = Some(at);
        Some(self.epoch + Duration::from_micros(at))
    }

    /// Since when the oldest idle instance is idle.
    pub fn idle_since(&self) -> Option<Micros> {
        self.lock().policy.idle_since()
    }

    /// Gives up the instance that has been idle for longest.
    pub fn evict(&self) -> Vec<Ready> {
        let mut state = self.lock();
        state.policy.evict().map(|id| state.take_all(id)).unwrap_or_default()
    }

    /// Takes nothing more; hands out the idle instances to be stopped.
    pub fn retire(&self) -> Vec<Ready> {
        let mut state = self.lock();
        let idle = state.policy.retire();
        idle.into_iter().flat_map(|id| state.take_all(id)).collect()
    }

    /// Idle, busy and starting instances.
    pub fn counts(&self) -> (usize, usize, usize) {
        self.lock().policy.counts()
    }

    pub fn born(&self) -> Born {
        self.lock().born
    }

    pub fn waiting(&self) -> usize {
        self.lock().policy.waiting()
    }
}

impl State {
    /// A free seat of the instance.
    fn take(&mut self, id: InstanceId) -> Option<Ready> {
        self.free.get_mut(&id)?.pop()
    }

    fn take_all(&mut self, id: InstanceId) -> Vec<Ready> {
        self.free.remove(&id).unwrap_or_default()
    }

    /// Does with a seat what was decided; what is to be stopped comes back. Where the one it is for has gone away, `again`
    /// decides anew.
    fn go_on(
        &mut self,
        mut ready: Ready,
        mut next: Next,
        again: impl Fn(&mut State, InstanceId) -> Next,
    ) -> Vec<Ready> {
        loop {
            match next {
                Next::Stop => {
                    let mut unused = self.take_all(ready.id);
                    unused.push(ready);
                    return unused;
                }
                Next::Keep => {
                    self.free.entry(ready.id).or_default().push(ready);
                    return Vec::new();
                }
                Next::Serve(ticket) => {
                    let Some(waiter) = self.waiters.remove(&ticket) else {
                        next = again(self, ready.id);
                        continue;
                    };
                    match waiter.send(Ok(ready)) {
                        Ok(()) => return Vec::new(),
                        Err(Ok(back)) => {
                            ready = back;
                            next = again(self, ready.id);
                        }
                        Err(Err(_)) => return Vec::new(),
                    }
                }
            }
        }
    }
}
