//! Where an invocation goes: to a warm instance, to a new one, into the queue, or back with a throttle. Pure.

/// What is known of a function version and of the machine at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    pub idle: usize,
    pub busy: usize,
    pub starting: usize,
    /// Invocations waiting for an instance, this one not counted.
    pub waiting: usize,
    pub limits: Limits,
    /// Instances the machine may still start.
    pub machine_free: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Invocations of the function at a time.
    pub concurrency: usize,
    /// Whether that is the function's own reservation, which decides the throttle's reason.
    pub is_reserved: bool,
    /// Instances that may be starting at a time; more would only make one another slower.
    pub starting: usize,
    /// Invocations that may wait.
    pub waiting: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Reuse,
    /// Wait, and start an instance for it; whichever is free first takes it.
    Start,
    Wait,
    Throttle(&'static str),
}

/// The machine holds no more instances, and this function has none it could wait for.
pub const MACHINE_FULL: &str = "ConcurrentInvocationLimitExceeded";

pub fn decide(load: &Load) -> Decision {
    let in_flight = load.busy + load.waiting;
    if in_flight >= load.limits.concurrency {
        return Decision::Throttle(if load.limits.is_reserved {
            "ReservedFunctionConcurrentInvocationLimitExceeded"
        } else {
            "ConcurrentInvocationLimitExceeded"
        });
    }
    if load.idle > 0 {
        return Decision::Reuse;
    }
    if load.machine_free == 0 && load.busy + load.starting == 0 {
        return Decision::Throttle(MACHINE_FULL);
    }
    if load.waiting >= load.limits.waiting {
        return Decision::Throttle("ConcurrentInvocationLimitExceeded");
    }
    if wants_start(load, load.waiting + 1) { Decision::Start } else { Decision::Wait }
}

/// Whether another instance should be started for the invocations waiting.
pub fn wants_start(load: &Load, waiting: usize) -> bool {
    load.starting < waiting
        && load.starting < load.limits.starting
        && load.machine_free > 0
        && load.idle + load.busy + load.starting < load.limits.concurrency
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { concurrency: 10, is_reserved: false, starting: 2, waiting: 5 };
    const LOAD: Load = Load { idle: 0, busy: 0, starting: 0, waiting: 0, limits: LIMITS, machine_free: 100 };

    #[test]
    fn decisions() {
        let check = |load: Load, expect: Decision| assert_eq!(decide(&load), expect, "{load:?}");
        check(LOAD, Decision::Start);
        check(Load { idle: 1, ..LOAD }, Decision::Reuse);
        check(Load { starting: 1, waiting: 1, ..LOAD }, Decision::Start);
        check(Load { starting: 2, waiting: 2, ..LOAD }, Decision::Wait);
        check(Load { starting: 1, ..LOAD }, Decision::Wait);
        check(Load { machine_free: 0, busy: 1, ..LOAD }, Decision::Wait);
        check(Load { machine_free: 0, ..LOAD }, Decision::Throttle(MACHINE_FULL));
        check(Load { busy: 10, idle: 1, ..LOAD }, Decision::Throttle("ConcurrentInvocationLimitExceeded"));
        check(Load { busy: 2, waiting: 5, ..LOAD }, Decision::Throttle("ConcurrentInvocationLimitExceeded"));
        let reserved = Limits { concurrency: 0, is_reserved: true, ..LIMITS };
        check(
            Load { limits: reserved, ..LOAD },
            Decision::Throttle("ReservedFunctionConcurrentInvocationLimitExceeded"),
        );
    }
}
