//! The decisions for one function version: which instance an event goes to, when another instance is worth its start,
//! who waits and for how long, and when idle instances go. Pure; what it needs from the machine it asks for
//! ([`Function::wants`]) and is granted ([`Function::granted`]).
//!
//! Another instance is wanted where those who wait would still wait after a birth's time, in numbers that a newborn can
//! serve meanwhile; not where the function's instances have all processors already. Whoever has waited for much longer
//! than a birth takes gets an instance whatever was expected, so that functions which wait for one another go on.

use std::collections::{HashMap, VecDeque};

use super::history::History;
use super::machine::Share;
use super::{Birth, Micros, reason};

/// Names an invocation that waits.
pub type Ticket = u64;
/// Names an instance of this function version.
pub type InstanceId = u64;

/// What is allowed to the function version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Invocations at a time, by its own reservation where that is set, else by the account's limit.
    pub concurrency_max: usize,
    pub is_reserved: bool,
    /// Instances that are kept whether or not they are used.
    pub provisioned: usize,
    /// Instances at a time.
    pub instances_max: usize,
    /// Invocations that one instance takes at a time.
    pub per_instance: usize,
    /// Invocations that may wait, and for how long.
    pub queue_max: usize,
    pub queue_us_max: Micros,
    pub idle_us_max: Micros,
    /// An instance takes no more invocations after this, however busy.
    pub age_us_max: Micros,
    /// New instances at once, and again after each such time.
    pub burst_max: usize,
    pub burst_us: Micros,
    pub processors: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    Reuse(InstanceId),
    /// It waits; [`Function::wants`] tells whether for a new instance.
    Queue,
    Refuse(&'static str),
}

/// What an instance does that has become ready, or has a place free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Serve(Ticket),
    /// It waits for events, perhaps serving others meanwhile.
    Keep,
    /// It is to end: as soon as it serves nothing any more.
    Stop,
}

/// What is due at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Due {
    pub stop: Vec<InstanceId>,
    /// They have waited too long, and are refused.
    pub expired: Vec<Ticket>,
}

#[derive(Clone, Copy, Debug)]
struct Instance {
    busy: usize,
    born: Micros,
    birth: Birth,
    is_closing: bool,
    idle_since: Micros,
}

pub struct Function {
    settings: Settings,
    history: History,
    /// How the next instance would come to be.
    birth: Birth,
    instances: HashMap<InstanceId, Instance>,
    /// Instances with a free place; the last one used is the first to be used again, so that the others can go.
    open: Vec<InstanceId>,
    serving: usize,
    queue: VecDeque<(Ticket, Micros)>,
    asked: usize,
    starting: usize,
    burst: (usize, Micros),
    /// How long an instance may be idle; judged anew with every tick and birth.
    keep_us: Micros,
    is_retired: bool,
}

/// Whoever has waited for so many births gets an instance.
const PATIENCE_BIRTHS: f64 = 2.0;
const PATIENCE_US_MIN: Micros = 2_000;
/// The same, where the function has all processors already.
const PATIENCE_US_SATURATED: Micros = 1_000_000;
/// An instance gives way to other functions no sooner than after so many times its birth, or births were all there is.
const QUANTUM_BIRTHS: f64 = 8.0;

impl Function {
    pub fn new(settings: Settings) -> Function {
        let history = History::default();
        Function {
            settings,
            keep_us: history.keep_alive(Birth::Start, settings.idle_us_max),
            history,
            birth: Birth::Start,
            instances: HashMap::new(),
            open: Vec::new(),
            serving: 0,
            queue: VecDeque::new(),
            asked: 0,
            starting: 0,
            burst: (settings.burst_max, 0),
            is_retired: false,
        }
    }

    /// Of the birth that is possible now.
    pub fn set_birth(&mut self, birth: Birth) {
        if self.birth != birth {
            self.birth = birth;
            self.judge_keeping();
        }
    }

    pub fn set_provisioned(&mut self, count: usize) {
        self.settings.provisioned = count;
    }

    /// What to set aside for the next instance.
    pub fn share(&self) -> Share {
        Share { birth: self.birth, bytes: self.history.bytes(self.birth) }
    }

    pub fn arrive(&mut self, ticket: Ticket, now: Micros) -> Arrival {
        let Settings { concurrency_max, is_reserved, queue_max, queue_us_max, .. } = self.settings;
        if self.serving + self.queue.len() >= concurrency_max {
            return Arrival::Refuse(if is_reserved { reason::RESERVED } else { reason::CONCURRENCY });
        }
        if let Some(id) = self.open.last().copied() {
            let instance = self.instances.get_mut(&id).expect("open instances are known");
            if instance.busy == 0 {
                self.history.reused(now.saturating_sub(instance.idle_since));
            }
            instance.busy += 1;
            if instance.busy >= self.settings.per_instance {
                self.open.pop();
            }
            self.serving += 1;
            return Arrival::Reuse(id);
        }
        if self.queue.len() >= queue_max {
            return Arrival::Refuse(reason::CONCURRENCY);
        }
        // Nothing new is to be had: who would be refused later is refused now.
        let is_stuck = self.asked > 0 || !self.has_burst(now);
        let wait = self.history.service_us().unwrap_or(0.0) * self.queue.len() as f64 / self.places().max(1) as f64;
        if is_stuck && wait > queue_us_max as f64 {
            return Arrival::Refuse(if self.asked > 0 { reason::CONCURRENCY } else { reason::BURST });
        }
        self.history.missed(now);
        self.queue.push_back((ticket, now));
        Arrival::Queue
    }

    /// How many more instances to ask the machine for; they count as asked for.
    pub fn wants(&mut self, now: Micros) -> usize {
        let wanted = self.needed(now).saturating_sub(self.starting + self.asked);
        let allowed = self.take_burst(wanted, now);
        self.asked += allowed;
        allowed
    }

    /// The machine grants one of those asked for. Whether it is still wanted; if so, it counts as starting.
    pub fn granted(&mut self, now: Micros) -> bool {
        self.asked = self.asked.saturating_sub(1);
        let is_wanted = !self.is_retired && self.needed(now) > self.starting;
        self.starting += usize::from(is_wanted);
        is_wanted
    }

    pub fn started(&mut self, id: InstanceId, birth: Birth, took_us: Micros, now: Micros) -> Next {
        self.starting = self.starting.saturating_sub(1);
        self.history.born(birth, took_us);
        self.judge_keeping();
        let instance = Instance { busy: 0, born: now, birth, is_closing: false, idle_since: now };
        self.instances.insert(id, instance);
        self.place_free(id, now, false)
    }

    /// A start failed; who waits longest is to be told.
    pub fn start_failed(&mut self) -> Option<Ticket> {
        self.starting = self.starting.saturating_sub(1);
        self.queue.pop_front().map(|(ticket, _)| ticket)
    }

    /// An event was answered. `is_beyond_share`: others want room, and this function has more than its part.
    pub fn completed(&mut self, id: InstanceId, used: Used, now: Micros, is_beyond_share: bool) -> Next {
        let is_alone = self.serving <= self.settings.processors;
        self.history.served(used, is_alone);
        let Some(instance) = self.instances.get_mut(&id) else { return Next::Stop };
        instance.busy -= 1;
        self.serving -= 1;
        self.history.held(instance.birth, used.memory_peak_bytes);
        self.place_free(id, now, is_beyond_share)
    }

    /// What a further seat of a newborn does, after [`Function::started`] has told it of the first.
    pub fn offered(&mut self, id: InstanceId) -> Next {
        let Some(instance) = self.instances.get_mut(&id) else { return Next::Stop };
        if instance.is_closing || instance.busy >= self.settings.per_instance {
            return Next::Keep;
        }
        let Some((ticket, _)) = self.queue.pop_front() else { return Next::Keep };
        instance.busy += 1;
        self.serving += 1;
        self.reopen(id);
        Next::Serve(ticket)
    }

    /// An event is over that leaves its instance in doubt: it takes no further ones.
    pub fn forsaken(&mut self, id: InstanceId) -> Next {
        self.open.retain(|open| *open != id);
        let Some(instance) = self.instances.get_mut(&id) else { return Next::Stop };
        instance.is_closing = true;
        instance.busy -= 1;
        self.serving -= 1;
        if instance.busy > 0 {
            return Next::Keep;
        }
        self.instances.remove(&id);
        Next::Stop
    }

    /// An instance is gone, and the events that it served with it.
    pub fn died(&mut self, id: InstanceId) {
        if let Some(instance) = self.instances.remove(&id) {
            self.serving -= instance.busy;
            self.open.retain(|open| *open != id);
        }
    }

    fn place_free(&mut self, id: InstanceId, now: Micros, is_beyond_share: bool) -> Next {
        let Some(instance) = self.instances.get_mut(&id) else { return Next::Stop };
        let age = now.saturating_sub(instance.born);
        let quantum = self.history.birth_us(instance.birth) * QUANTUM_BIRTHS;
        let yields = is_beyond_share && age as f64 > quantum;
        instance.is_closing |= age > self.settings.age_us_max || yields || (self.is_retired && self.queue.is_empty());
        if instance.is_closing {
            let is_last = instance.busy == 0;
            self.open.retain(|open| *open != id);
            if is_last {
                self.instances.remove(&id);
                return Next::Stop;
            }
            return Next::Keep;
        }
        if let Some((ticket, _)) = self.queue.pop_front() {
            instance.busy += 1;
            self.serving += 1;
            self.reopen(id);
            return Next::Serve(ticket);
        }
        instance.idle_since = now;
        self.reopen(id);
        Next::Keep
    }

    fn reopen(&mut self, id: InstanceId) {
        if self.settings.per_instance > 1 {
            self.open.retain(|open| *open != id);
        }
        if self.instances.get(&id).is_some_and(|instance| instance.busy < self.settings.per_instance) {
            self.open.push(id);
        }
    }

    /// Looks at the clock.
    pub fn tick(&mut self, now: Micros) -> Due {
        let mut due = Due::default();
        self.judge_keeping();
        while let Some((id, since)) = self.oldest_idle() {
            let is_spare = self.instances.len() > self.settings.provisioned;
            if !is_spare || now < since.saturating_add(self.keep_us) {
                break;
            }
            self.remove_idle(id);
            due.stop.push(id);
        }
        while let Some((ticket, since)) = self.queue.front().copied() {
            if now < since + self.settings.queue_us_max || self.starting > 0 {
                break;
            }
            self.queue.pop_front();
            due.expired.push(ticket);
        }
        due
    }

    /// When to tick again; `None` when nothing can become due.
    pub fn next_tick(&self, now: Micros) -> Option<Micros> {
        let idle = self.oldest_idle().filter(|_| self.instances.len() > self.settings.provisioned);
        let idle = idle.map(|(_, since)| since.saturating_add(self.keep_us));
        let waiting = self.queue.front().map(|(_, since)| {
            let deadline = since + self.settings.queue_us_max;
            // Those that start or have been asked for come by themselves.
            let patience = since + self.patience_us();
            if self.starting + self.asked == 0 && patience > now { deadline.min(patience) } else { deadline }
        });
        // Something overdue that a tick could not do (a start is under way) is looked at again a little later.
        [idle, waiting].into_iter().flatten().min().map(|at| at.max(now + 1_000))
    }

    /// Gives up the instance that has been idle for longest.
    pub fn evict(&mut self) -> Option<InstanceId> {
        let (id, _) = self.oldest_idle()?;
        self.remove_idle(id);
        Some(id)
    }

    pub fn idle_since(&self) -> Option<Micros> {
        self.oldest_idle().map(|(_, since)| since)
    }

    /// Takes nothing new beyond what waits; the idle instances are to be stopped.
    pub fn retire(&mut self) -> Vec<InstanceId> {
        self.is_retired = true;
        std::iter::from_fn(|| self.evict()).collect()
    }

    pub fn is_retired(&self) -> bool {
        self.is_retired
    }

    /// Idle, busy and starting instances.
    pub fn counts(&self) -> (usize, usize, usize) {
        let idle = self.open.iter().filter(|id| self.instances[id].busy == 0).count();
        (idle, self.instances.len() - idle, self.starting)
    }

    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    fn oldest_idle(&self) -> Option<(InstanceId, Micros)> {
        let idle = self.open.iter().find(|id| self.instances[id].busy == 0)?;
        Some((*idle, self.instances[idle].idle_since))
    }

    fn remove_idle(&mut self, id: InstanceId) {
        self.open.retain(|open| *open != id);
        if let Some(instance) = self.instances.remove(&id) {
            self.history.ended(instance.idle_since);
        }
    }

    fn judge_keeping(&mut self) {
        self.keep_us = self.history.keep_alive(self.birth, self.settings.idle_us_max);
    }

    /// Invocations that the instances there are could serve at a time.
    fn places(&self) -> usize {
        self.instances.len() * self.settings.per_instance
    }

    fn patience_us(&self) -> Micros {
        let births = (self.history.birth_us(self.birth) * PATIENCE_BIRTHS) as Micros;
        let useful = self.history.useful_instances(self.settings.processors);
        let least = if self.instances.len() >= useful { PATIENCE_US_SATURATED } else { PATIENCE_US_MIN };
        births.max(least)
    }

    /// Instances to be born for those who wait, those that are under way included.
    fn needed(&self, now: Micros) -> usize {
        let alive = self.instances.len();
        let spare = self.settings.provisioned.saturating_sub(alive);
        let Some((_, oldest)) = self.queue.front() else { return if self.is_retired { 0 } else { spare } };
        let (waiting, per_instance) = (self.queue.len() as f64, self.settings.per_instance as f64);
        let birth_us = self.history.birth_us(self.birth);
        let mut wanted = match self.history.service_us() {
            None => (waiting / per_instance).ceil() as usize,
            Some(service_us) => {
                let served = self.places() as f64 * birth_us / service_us.max(1.0);
                let each = (per_instance * birth_us / service_us.max(1.0)).max(per_instance);
                let useful = self.history.useful_instances(self.settings.processors).saturating_sub(alive);
                (((waiting - served) / each).ceil().max(0.0) as usize).min(useful)
            }
        };
        if alive == 0 || now.saturating_sub(*oldest) >= self.patience_us() {
            wanted = wanted.max(1);
        }
        let Settings { concurrency_max, instances_max, per_instance, .. } = self.settings;
        let room = concurrency_max.div_ceil(per_instance).min(instances_max).saturating_sub(alive);
        wanted.max(spare).min(room)
    }

    fn has_burst(&self, now: Micros) -> bool {
        self.burst.0 > 0 || now >= self.burst.1 + self.settings.burst_us
    }

    fn take_burst(&mut self, wanted: usize, now: Micros) -> usize {
        if now >= self.burst.1 + self.settings.burst_us {
            self.burst = (self.settings.burst_max, now);
        }
        let taken = wanted.min(self.burst.0);
        self.burst.0 -= taken;
        taken
    }
}

/// What an event took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    pub service_us: Micros,
    /// What its instance has spent since it was last measured.
    pub cpu_us: Micros,
    /// How long the events took that were over meanwhile; 0 where nothing was measured.
    pub within_us: Micros,
    /// Of its instance, so far.
    pub memory_peak_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Settings = Settings {
        concurrency_max: 100,
        is_reserved: false,
        provisioned: 0,
        instances_max: usize::MAX,
        per_instance: 1,
        queue_max: 1000,
        queue_us_max: 10_000_000,
        idle_us_max: 300_000_000,
        age_us_max: 3_600_000_000,
        burst_max: 1000,
        burst_us: 10_000_000,
        processors: 2,
    };
    const MS: Micros = 1000;

    fn used(ms: u64, cpu_ms: u64) -> Used {
        Used { service_us: ms * MS, cpu_us: cpu_ms * MS, within_us: ms * MS, memory_peak_bytes: 1 << 20 }
    }

    /// With one idle instance, after some events of that kind.
    fn warm(settings: Settings, each: Used) -> Function {
        let mut function = Function::new(settings);
        assert_eq!(function.arrive(0, 0), Arrival::Queue);
        assert_eq!(function.wants(0), 1);
        assert!(function.granted(0));
        assert_eq!(function.started(1, Birth::Start, 60 * MS, 0), Next::Serve(0));
        assert_eq!(function.completed(1, each, 0, false), Next::Keep);
        for _ in 0..20 {
            assert_eq!(function.arrive(0, 0), Arrival::Reuse(1));
            function.completed(1, each, 0, false);
        }
        function
    }

    #[test]
    fn short_events_wait_rather_than_start_another() {
        let mut function = warm(SETTINGS, used(1, 1));
        assert_eq!(function.arrive(1, 0), Arrival::Reuse(1));
        for ticket in 2..17 {
            assert_eq!(function.arrive(ticket, 0), Arrival::Queue);
            assert_eq!(function.wants(0), 0, "{ticket}: fifteen milliseconds are less than a start");
        }
        assert_eq!(function.completed(1, used(1, 1), MS, false), Next::Serve(2));
    }

    #[test]
    fn long_events_get_an_instance_each() {
        let mut function = warm(SETTINGS, used(500, 1));
        assert_eq!(function.arrive(1, 0), Arrival::Reuse(1));
        let mut starts = 0;
        for ticket in 2..10 {
            assert_eq!(function.arrive(ticket, 0), Arrival::Queue);
            starts += function.wants(0);
        }
        assert_eq!(starts, 8);
    }

    #[test]
    fn processor_bound_events_get_as_many_as_there_are_processors() {
        let mut function = warm(SETTINGS, used(500, 500));
        assert_eq!(function.arrive(1, 0), Arrival::Reuse(1));
        let mut starts = 0;
        for ticket in 2..10 {
            function.arrive(ticket, 0);
            starts += function.wants(0);
        }
        assert_eq!(starts, 1, "two processors");
    }

    #[test]
    fn who_waits_too_long_gets_an_instance_whatever_was_expected() {
        let mut function = warm(SETTINGS, used(1, 0));
        // This one calls itself, and waits for the second.
        assert_eq!(function.arrive(1, 0), Arrival::Reuse(1));
        assert_eq!(function.arrive(2, 0), Arrival::Queue);
        assert_eq!(function.wants(0), 0);
        let at = function.next_tick(0).unwrap();
        assert!(at <= 200 * MS, "{at}");
        assert_eq!(function.tick(at), Due::default());
        assert_eq!(function.wants(at), 1);
        assert!(function.granted(at));
        assert_eq!(function.started(2, Birth::Start, 60 * MS, at), Next::Serve(2));
    }

    #[test]
    fn a_grant_that_came_too_late_is_given_back() {
        let mut function = warm(SETTINGS, used(500, 1));
        assert_eq!(function.arrive(1, 0), Arrival::Reuse(1));
        assert_eq!(function.arrive(2, 0), Arrival::Queue);
        assert_eq!(function.wants(0), 1);
        assert_eq!(function.completed(1, used(1, 1), MS, false), Next::Serve(2));
        assert!(!function.granted(MS));
    }

    #[test]
    fn limits_refuse_with_their_reason() {
        let reserved = Settings { concurrency_max: 1, is_reserved: true, ..SETTINGS };
        let mut function = warm(reserved, used(1, 1));
        assert_eq!(function.arrive(1, 0), Arrival::Reuse(1));
        assert_eq!(function.arrive(2, 0), Arrival::Refuse(reason::RESERVED));
        let mut none = Function::new(Settings { concurrency_max: 0, ..reserved });
        assert_eq!(none.arrive(1, 0), Arrival::Refuse(reason::RESERVED));
        let mut full = warm(Settings { queue_max: 1, ..SETTINGS }, used(1, 1));
        for expect in [Arrival::Reuse(1), Arrival::Queue, Arrival::Refuse(reason::CONCURRENCY)] {
            assert_eq!(full.arrive(1, 0), expect);
        }
    }

    #[test]
    fn growth_is_bounded_and_who_cannot_be_served_in_time_is_refused() {
        let settings = Settings { burst_max: 1, queue_us_max: 400 * MS, ..SETTINGS };
        let mut function = warm(settings, used(500, 1));
        assert_eq!(function.arrive(1, 0), Arrival::Reuse(1));
        assert_eq!(function.arrive(2, 0), Arrival::Queue);
        assert_eq!(function.wants(0), 0, "the one start of these ten seconds is used up");
        assert_eq!(function.arrive(3, 0), Arrival::Refuse(reason::BURST));
        assert_eq!(function.wants(11_000 * MS), 1);
    }

    #[test]
    fn waiting_ends_at_the_deadline() {
        let mut function = warm(SETTINGS, used(1, 1));
        function.arrive(1, 0);
        function.arrive(2, 0);
        assert_eq!(function.tick(SETTINGS.queue_us_max - 1).expired, [0; 0]);
        assert_eq!(function.tick(SETTINGS.queue_us_max).expired, [2]);
    }

    #[test]
    fn idle_instances_go_and_provisioned_ones_stay() {
        let mut function = warm(SETTINGS, used(1, 1));
        let at = function.next_tick(0).unwrap();
        assert!(at <= SETTINGS.idle_us_max);
        assert_eq!(function.tick(at).stop, [1]);
        assert_eq!(function.next_tick(at), None);
        let mut kept = warm(Settings { provisioned: 1, ..SETTINGS }, used(1, 1));
        assert_eq!(kept.next_tick(0), None);
        assert_eq!(kept.tick(Micros::MAX / 2), Due::default());
        kept.died(1);
        assert_eq!(kept.wants(0), 1);
    }

    #[test]
    fn a_function_beyond_its_share_gives_way() {
        let mut function = warm(SETTINGS, used(1, 1));
        assert_eq!(function.arrive(1, 0), Arrival::Reuse(1));
        assert_eq!(function.arrive(2, 0), Arrival::Queue);
        assert_eq!(function.completed(1, used(1, 1), MS, true), Next::Serve(2), "not at once");
        assert_eq!(function.completed(1, used(1, 1), 10_000 * MS, true), Next::Stop);
        assert_eq!(function.counts(), (0, 0, 0));
    }

    #[test]
    fn several_at_a_time_share_an_instance() {
        let mut function = warm(Settings { per_instance: 3, ..SETTINGS }, used(500, 1));
        for expect in [Arrival::Reuse(1), Arrival::Reuse(1), Arrival::Reuse(1), Arrival::Queue] {
            assert_eq!(function.arrive(9, 0), expect);
        }
        assert_eq!(function.counts(), (0, 1, 0));
        assert_eq!(function.completed(1, used(500, 1), MS, false), Next::Serve(9));
        for _ in 0..3 {
            assert_eq!(function.completed(1, used(500, 1), MS, false), Next::Keep);
        }
        assert_eq!(function.counts(), (1, 0, 0));
        function.died(1);
        assert_eq!(function.arrive(1, 0), Arrival::Queue);
    }

    #[test]
    fn a_newborn_with_seats_takes_all_who_wait() {
        let mut function = Function::new(Settings { per_instance: 3, ..SETTINGS });
        for ticket in 1..=4 {
            assert_eq!(function.arrive(ticket, 0), Arrival::Queue);
        }
        assert_eq!(function.wants(0), 2);
        assert!(function.granted(0));
        assert_eq!(function.started(1, Birth::Start, 1, MS), Next::Serve(1));
        assert_eq!((function.offered(1), function.offered(1)), (Next::Serve(2), Next::Serve(3)));
        assert_eq!(function.offered(1), Next::Keep);
        assert_eq!(function.waiting(), 1);
    }

    #[test]
    fn an_instance_in_doubt_ends_with_its_last_event() {
        let mut function = warm(Settings { per_instance: 3, ..SETTINGS }, used(500, 1));
        for _ in 0..2 {
            assert_eq!(function.arrive(9, 0), Arrival::Reuse(1));
        }
        assert_eq!(function.forsaken(1), Next::Keep);
        assert_eq!(function.arrive(9, 0), Arrival::Queue, "nothing new");
        assert_eq!(function.completed(1, used(500, 1), MS, false), Next::Stop);
        assert_eq!(function.counts(), (0, 0, 0));
    }

    #[test]
    fn retired_functions_serve_who_waits_and_end() {
        let mut function = warm(SETTINGS, used(1, 1));
        function.arrive(1, 0);
        function.arrive(2, 0);
        assert_eq!(function.retire(), [0; 0]);
        assert_eq!(function.completed(1, used(1, 1), 0, false), Next::Serve(2));
        assert_eq!(function.completed(1, used(1, 1), 0, false), Next::Stop);
    }
}
