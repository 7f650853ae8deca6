//! The engine's policy over a trace: [`cumulet_engine::policy`] as production runs it, with pretended instances.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use cumulet_engine::policy::function::{self, Arrival, InstanceId, Next, Used};
use cumulet_engine::policy::machine::{Answer, Bounds, Machine, Share};
use cumulet_engine::policy::templates::Cache;
use cumulet_engine::policy::{Birth, Micros};

use crate::report::Tally;
use crate::trace::{Function, PERCENTILES, Trace};
use crate::{Dice, MINUTE};

const MEGABYTE: f64 = 1048576.0;

/// What is assumed of the platform.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub start_ms: f64,
    pub clone_ms: f64,
    /// Memory that a clone has for itself, as a share of the function's.
    pub clone_memory: f64,
    /// Memory of all templates together; 0: no clones.
    pub templates_mb: f64,
    /// Of all instances together.
    pub memory_mb: f64,
    pub idle_max_s: u64,
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            start_ms: 150.0,
            clone_ms: 3.0,
            clone_memory: 0.25,
            templates_mb: 0.0,
            memory_mb: 1e9,
            idle_max_s: 3600,
            seed: 1,
        }
    }
}

/// The arrivals of one function, one after the other.
pub(crate) struct Arrivals<'a> {
    function: &'a Function,
    at: usize,
    within: u32,
    dice: Dice,
}

impl<'a> Arrivals<'a> {
    pub(crate) fn new(function: &'a Function, index: usize, seed: u64) -> Arrivals<'a> {
        Arrivals { function, at: 0, within: 0, dice: Dice::new(seed ^ ((index as u64) << 32)) }
    }

    /// When the next event comes and how long it takes; the events of a minute are spread over it.
    pub(crate) fn next(&mut self) -> Option<(Micros, Micros)> {
        let (minute, count) = *self.function.invocations.get(self.at)?;
        let part = (f64::from(self.within) + self.dice.share()) / f64::from(count);
        let when = u64::from(minute) * MINUTE + (part * MINUTE as f64) as u64;
        self.within += 1;
        if self.within == count {
            (self.at, self.within) = (self.at + 1, 0);
        }
        Some((when, self.duration()))
    }

    /// Drawn from the percentiles, with straight lines between them.
    fn duration(&mut self) -> Micros {
        let drawn = self.dice.share();
        let values = &self.function.durations_ms;
        let above = PERCENTILES.iter().position(|p| *p > drawn).unwrap_or(PERCENTILES.len() - 1).max(1);
        let (low, high) = (PERCENTILES[above - 1], PERCENTILES[above]);
        let part = (drawn - low) / (high - low);
        let ms = values[above - 1] + part * (values[above] - values[above - 1]);
        (ms.max(0.01) * 1000.0) as Micros
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Born { instance: InstanceId },
    Over { instance: InstanceId, took: Micros },
    Arrival { took: Micros },
    Tick,
}

struct One<'a> {
    policy: function::Function,
    arrivals: Arrivals<'a>,
    memory_mb: f64,
    /// Who waits: since when, and how long the event takes.
    waiting: HashMap<function::Ticket, (Micros, Micros)>,
    /// Idle instances: since when, and how they were born.
    idle: HashMap<InstanceId, (Micros, Birth)>,
    births: HashMap<InstanceId, (Share, Micros)>,
    serial: u64,
    tick_at: Option<Micros>,
}

struct World<'a> {
    settings: Settings,
    functions: Vec<One<'a>>,
    machine: Machine<usize>,
    events: BinaryHeap<Reverse<(Micros, u64, usize, Event)>>,
    serial: u64,
    templates: Templates,
    tally: Tally,
}

/// As the sandbox keeps them: made at a function's first start, where they are worth it.
struct Templates {
    cache: Cache<usize>,
    /// Since when each is held.
    live: HashMap<usize, Micros>,
}

pub(crate) fn run(trace: &Trace, settings: Settings) -> Tally {
    let bounds = Bounds {
        instances_max: usize::MAX,
        memory_bytes_max: (settings.memory_mb * MEGABYTE) as u64,
        starting_max: usize::MAX,
        cloning_max: usize::MAX,
        processors: usize::MAX / 2,
    };
    let limits = function::Settings {
        concurrency_max: 1_000_000,
        is_reserved: false,
        provisioned: 0,
        instances_max: usize::MAX,
        per_instance: 1,
        queue_max: 1_000_000,
        queue_us_max: 60_000_000,
        idle_us_max: settings.idle_max_s * 1_000_000,
        age_us_max: 4 * 3_600_000_000,
        burst_max: 1000,
        burst_us: 10_000_000,
        processors: usize::MAX / 2,
    };
    let functions = trace.functions.iter().enumerate().map(|(index, f)| One {
        policy: function::Function::new(limits),
        arrivals: Arrivals::new(f, index, settings.seed),
        memory_mb: f.memory_mb,
        waiting: HashMap::new(),
        idle: HashMap::new(),
        births: HashMap::new(),
        serial: 0,
        tick_at: None,
    });
    let mut world = World {
        settings,
        functions: functions.collect(),
        machine: Machine::new(bounds),
        events: BinaryHeap::new(),
        serial: 0,
        templates: Templates {
            cache: Cache::new(usize::MAX, (settings.templates_mb * MEGABYTE) as u64, usize::MAX),
            live: HashMap::new(),
        },
        tally: Tally::default(),
    };
    for index in 0..world.functions.len() {
        world.next_arrival(index);
    }
    let end = trace.minutes as u64 * MINUTE;
    while let Some(Reverse((now, _, index, event))) = world.events.pop() {
        if now > end {
            break;
        }
        world.step(now, index, event);
    }
    world.finish(end);
    world.tally
}

impl World<'_> {
    fn push(&mut self, at: Micros, index: usize, event: Event) {
        self.serial += 1;
        self.events.push(Reverse((at, self.serial, index, event)));
    }

    fn next_arrival(&mut self, index: usize) {
        if let Some((at, took)) = self.functions[index].arrivals.next() {
            self.push(at, index, Event::Arrival { took });
        }
    }

    fn step(&mut self, now: Micros, index: usize, event: Event) {
        match event {
            Event::Arrival { took } => {
                self.next_arrival(index);
                self.arrive(now, index, took);
            }
            Event::Born { instance } => {
                let one = &mut self.functions[index];
                let (share, asked) = one.births[&instance];
                let next = one.policy.started(instance, share.birth, now - asked, now);
                self.machine.born(share.birth);
                self.made_template(now, index);
                self.tally.births += 1;
                self.tally.clones += u64::from(share.birth == Birth::Clone);
                let is_for_somebody = matches!(next, Next::Serve(_));
                self.tally.cold += u64::from(is_for_somebody);
                self.follow(now, index, instance, next);
                self.grants(now);
            }
            Event::Over { instance, took } => {
                let one = &mut self.functions[index];
                let birth = one.births[&instance].0.birth;
                let megabytes = one.memory_mb * self.settings.memory_of(birth);
                let used = Used {
                    service_us: took,
                    cpu_us: 0,
                    within_us: 0,
                    memory_peak_bytes: (megabytes * MEGABYTE) as u64,
                };
                let is_beyond_share = self.machine.crowd() > 0 && self.machine.is_beyond_share(index);
                let next = one.policy.completed(instance, used, now, is_beyond_share);
                self.follow(now, index, instance, next);
            }
            Event::Tick => {
                let one = &mut self.functions[index];
                if one.tick_at == Some(now) {
                    one.tick_at = None;
                }
                let due = one.policy.tick(now);
                for ticket in due.expired {
                    one.waiting.remove(&ticket);
                    self.tally.refused += 1;
                }
                for instance in due.stop {
                    self.stop(now, index, instance);
                }
            }
        }
        self.look_after(now, index);
    }

    fn arrive(&mut self, now: Micros, index: usize, took: Micros) {
        self.tally.invocations += 1;
        let one = &mut self.functions[index];
        one.serial += 1;
        let ticket = one.serial;
        match one.policy.arrive(ticket, now) {
            Arrival::Reuse(instance) => {
                self.end_of_idleness(now, index, instance);
                self.tally.wait(0);
                self.push(now + took, index, Event::Over { instance, took });
            }
            Arrival::Queue => {
                one.waiting.insert(ticket, (now, took));
            }
            Arrival::Refuse(_) => self.tally.refused += 1,
        }
    }

    fn follow(&mut self, now: Micros, index: usize, instance: InstanceId, next: Next) {
        let one = &mut self.functions[index];
        match next {
            Next::Serve(ticket) => {
                let (since, took) = one.waiting.remove(&ticket).expect("who waits is known");
                self.tally.wait(now - since);
                self.push(now + took, index, Event::Over { instance, took });
            }
            Next::Keep => {
                let birth = one.births[&instance].0.birth;
                one.idle.insert(instance, (now, birth));
            }
            Next::Stop => self.stop(now, index, instance),
        }
    }

    fn end_of_idleness(&mut self, now: Micros, index: usize, instance: InstanceId) {
        let one = &mut self.functions[index];
        if let Some((since, birth)) = one.idle.remove(&instance) {
            self.tally.wasted_mb_s += (now - since) as f64 / 1e6 * one.memory_mb * self.settings.memory_of(birth);
        }
    }

    fn stop(&mut self, now: Micros, index: usize, instance: InstanceId) {
        self.end_of_idleness(now, index, instance);
        if let Some((share, _)) = self.functions[index].births.remove(&instance) {
            self.machine.ended(index, &share);
            self.grants(now);
        }
    }

    fn look_after(&mut self, now: Micros, index: usize) {
        let birth = if self.templates.live.contains_key(&index) { Birth::Clone } else { Birth::Start };
        let one = &mut self.functions[index];
        one.policy.set_birth(birth);
        let (wanted, share) = (one.policy.wants(now), one.policy.share());
        for _ in 0..wanted {
            match self.machine.ask(index, share, now) {
                Answer::Granted => self.give_birth(now, index, share),
                Answer::NoRoom => self.make_room(now, index),
                Answer::Queued => {}
            }
        }
        let one = &mut self.functions[index];
        if let Some(at) = one.policy.next_tick(now).filter(|at| one.tick_at.is_none_or(|known| *at < known)) {
            one.tick_at = Some(at);
            self.push(at, index, Event::Tick);
        }
    }

    fn give_birth(&mut self, now: Micros, index: usize, share: Share) {
        let one = &mut self.functions[index];
        if !one.policy.granted(now) {
            self.machine.born(share.birth);
            self.machine.ended(index, &share);
            return;
        }
        one.serial += 1;
        let instance = one.serial;
        one.births.insert(instance, (share, now));
        let ms = match share.birth {
            Birth::Clone => self.settings.clone_ms,
            Birth::Start => self.settings.start_ms,
        };
        self.push(now + (ms * 1000.0) as Micros, index, Event::Born { instance });
    }

    fn grants(&mut self, now: Micros) {
        while let Some((index, share)) = self.machine.grant() {
            self.give_birth(now, index, share);
        }
    }

    fn make_room(&mut self, now: Micros, asker: usize) {
        let idle = self.functions.iter().enumerate().filter_map(|(index, one)| Some((index, one.policy.idle_since()?)));
        let Some(victim) = self.machine.victim(asker, idle) else { return };
        if let Some(instance) = self.functions[victim].policy.evict() {
            self.stop(now, victim, instance);
        }
    }

    /// An instance was born; a template is made beside where there is none, and it is worth it.
    fn made_template(&mut self, now: Micros, index: usize) {
        let bytes = (self.functions[index].memory_mb * MEGABYTE) as u64;
        if self.settings.templates_mb == 0.0
            || !self.templates.cache.used(&index, bytes)
            || self.templates.live.contains_key(&index)
        {
            return;
        }
        self.templates.live.insert(index, now);
        for gone in self.templates.cache.held(&index, bytes) {
            self.forget_template(now, gone);
        }
    }

    fn forget_template(&mut self, now: Micros, index: usize) {
        if let Some(since) = self.templates.live.remove(&index) {
            self.tally.wasted_mb_s += (now - since) as f64 / 1e6 * self.functions[index].memory_mb;
        }
    }

    fn finish(&mut self, end: Micros) {
        for index in 0..self.functions.len() {
            let idle: Vec<InstanceId> = self.functions[index].idle.keys().copied().collect();
            for instance in idle {
                self.end_of_idleness(end, index, instance);
            }
        }
        let live: Vec<usize> = self.templates.live.keys().copied().collect();
        for index in live {
            self.forget_template(end, index);
        }
    }
}

impl Settings {
    fn memory_of(&self, birth: Birth) -> f64 {
        match birth {
            Birth::Clone => self.clone_memory,
            Birth::Start => 1.0,
        }
    }
}
