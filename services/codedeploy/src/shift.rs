//! What is next in a deployment, from what it is and the time: pure.

use cumulet_base::limits;

use crate::model::{Deployment, Hook, Lifecycle, Phase, Routing};

const MINUTE_MS: u64 = 60_000;

/// What a failure is, and which event of an automatic rollback it counts as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub code: &'static str,
    pub message: String,
    pub event: &'static str,
}

impl Failure {
    pub fn of(code: &'static str, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into(), event: "DEPLOYMENT_FAILURE" }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Is the alias what the AppSpec says?
    Check,
    Ask(Hook),
    /// So many percent to the new version.
    Shift(u8),
    /// Nothing but to go on.
    GoOn,
    Fail(Failure),
    Wait {
        until_ms: u64,
    },
    Nothing,
}

/// The new version's share at a time after the beginning, and when it is another.
pub fn share(routing: Routing, elapsed_ms: u64) -> (u8, Option<u64>) {
    match routing {
        Routing::AllAtOnce => (100, None),
        Routing::Canary { percentage, interval } => {
            let end_ms = interval * MINUTE_MS;
            if elapsed_ms >= end_ms { (100, None) } else { (percentage, Some(end_ms)) }
        }
        Routing::Linear { percentage, interval } => {
            let steps = elapsed_ms / (interval * MINUTE_MS).max(1) + 1;
            let percent = steps.saturating_mul(u64::from(percentage)).min(100);
            let percent = u8::try_from(percent).unwrap_or(100);
            (percent, (percent < 100).then_some(steps * interval * MINUTE_MS))
        }
    }
}

pub fn decide(deployment: &Deployment, now_ms: u64) -> Action {
    if deployment.is_over() {
        return Action::Nothing;
    }
    if deployment.stop.is_some() {
        return Action::Fail(Failure {
            code: "MANUAL_STOP",
            message: "The deployment was stopped.".to_owned(),
            event: "DEPLOYMENT_STOP_ON_REQUEST",
        });
    }
    match &deployment.phase {
        Phase::Created => Action::Check,
        Phase::Before(hook) => of_hook(hook, "BeforeAllowTraffic", now_ms),
        Phase::After(hook) => of_hook(hook, "AfterAllowTraffic", now_ms),
        Phase::Shifting { since_ms, percent } => {
            let (wanted, next_ms) = share(deployment.routing, now_ms.saturating_sub(*since_ms));
            match next_ms {
                _ if wanted > *percent => Action::Shift(wanted),
                Some(next_ms) => Action::Wait { until_ms: since_ms + next_ms },
                None => Action::GoOn,
            }
        }
        Phase::Over => Action::Nothing,
    }
}

fn of_hook(hook: &Hook, name: &str, now_ms: u64) -> Action {
    let end_ms = hook.since_ms + limits::DEPLOYMENT_HOOK_MS_MAX;
    match hook.has_succeeded {
        Some(true) => Action::GoOn,
        Some(false) => {
            let message = format!("The deployment failed because a lifecycle event hook failed: {name}");
            Action::Fail(Failure::of("HOOK_EXECUTION_FAILURE", message))
        }
        None if !hook.is_invoked => Action::Ask(hook.clone()),
        None if now_ms >= end_ms => {
            let message = format!("The deployment timed out while waiting for the status callback of {name}");
            Action::Fail(Failure::of("TIMEOUT", message))
        }
        None => Action::Wait { until_ms: end_ms },
    }
}

/// The deployment in its next phase. `execution_id` is for the hook that it may come to.
pub fn advance(deployment: &mut Deployment, now_ms: u64, execution_id: String) {
    let hook = |function: &String| Hook {
        function: function.clone(),
        execution_id,
        since_ms: now_ms,
        is_invoked: false,
        has_succeeded: None,
    };
    deployment.started_ms.get_or_insert(now_ms);
    deployment.status = "InProgress".to_owned();
    end(deployment, now_ms, "Succeeded");
    let shifting = Phase::Shifting { since_ms: now_ms, percent: 0 };
    let target = &deployment.target;
    deployment.phase = match &deployment.phase {
        Phase::Created => target.before_hook.as_ref().map_or(shifting, |function| Phase::Before(hook(function))),
        Phase::Before(_) => shifting,
        Phase::Shifting { .. } => target.after_hook.as_ref().map_or(Phase::Over, |f| Phase::After(hook(f))),
        Phase::After(_) | Phase::Over => Phase::Over,
    };
    let name = match &deployment.phase {
        Phase::Before(_) => "BeforeAllowTraffic",
        Phase::Shifting { .. } => "AllowTraffic",
        Phase::After(_) => "AfterAllowTraffic",
        Phase::Created => return,
        Phase::Over => {
            deployment.status = "Succeeded".to_owned();
            deployment.completed_ms = Some(now_ms);
            return;
        }
    };
    let begun =
        Lifecycle { name: name.to_owned(), started_ms: now_ms, ended_ms: None, status: "InProgress".to_owned() };
    deployment.lifecycle.push(begun);
}

/// The part that is under way is over.
fn end(deployment: &mut Deployment, now_ms: u64, status: &str) {
    if let Some(last) = deployment.lifecycle.last_mut().filter(|last| last.ended_ms.is_none()) {
        last.ended_ms = Some(now_ms);
        last.status = status.to_owned();
    }
}

pub fn fail(deployment: &mut Deployment, now_ms: u64, failure: &Failure) {
    end(deployment, now_ms, "Failed");
    deployment.status = if failure.code == "MANUAL_STOP" { "Stopped" } else { "Failed" }.to_owned();
    deployment.error = Some((failure.code.to_owned(), failure.message.clone()));
    deployment.completed_ms = Some(now_ms);
    deployment.phase = Phase::Over;
}

/// Whether the traffic goes back.
pub fn goes_back(deployment: &Deployment, failure: &Failure) -> bool {
    let asked = deployment.stop.unwrap_or_default() && failure.event == "DEPLOYMENT_STOP_ON_REQUEST";
    let rollback = &deployment.rollback;
    asked || (rollback.enabled && rollback.events.iter().any(|event| event == failure.event))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares() {
        let canary = Routing::Canary { percentage: 10, interval: 5 };
        let linear = Routing::Linear { percentage: 10, interval: 1 };
        let thirds = Routing::Linear { percentage: 33, interval: 2 };
        for (routing, minutes, expect) in [
            (Routing::AllAtOnce, 0, (100, None)),
            (canary, 0, (10, Some(5))),
            (canary, 4, (10, Some(5))),
            (canary, 5, (100, None)),
            (linear, 0, (10, Some(1))),
            (linear, 1, (20, Some(2))),
            (linear, 8, (90, Some(9))),
            (linear, 9, (100, None)),
            (linear, 1000, (100, None)),
            (thirds, 4, (99, Some(6))),
            (thirds, 6, (100, None)),
        ] {
            let (percent, next_ms) = share(routing, minutes * MINUTE_MS);
            assert_eq!((percent, next_ms.map(|ms| ms / MINUTE_MS)), expect, "{routing:?} after {minutes}");
        }
    }
}
