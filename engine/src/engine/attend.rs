//! Invocations that are not over with their answer, and instances whose end takes a while: those with extensions.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Ending, Flight, Inner, micros};
use crate::account::Admission;
use crate::events;
use crate::function::FunctionVersion;
use crate::invocation::Outcome;
use crate::outcome::{self, Finish, Verdict};
use crate::output::InvocationLog;
use crate::policy::function::Used;
use crate::pool::{Pool, Ready};
use crate::sandbox::Deadline;

impl Inner {
    /// An instance that can take the next event.
    pub(super) fn give_back(self: &Arc<Self>, pool: &Arc<Pool>, ready: Ready, ending: &Ending<'_>) {
        let used = Used {
            service_us: ending.duration_us,
            cpu_us: ending.spent.cpu_us,
            within_us: ending.spent.within_us,
            memory_peak_bytes: ending.usage.memory_peak_bytes,
        };
        let is_beyond_share = self.places.is_beyond_share(pool.key);
        self.settle(pool, pool.release(ready, used, is_beyond_share));
    }

    /// Answers at once, and sees the invocation to its end when the extensions are done with it, too: what they take is the
    /// function's to pay, and nobody's to wait for.
    #[expect(clippy::too_many_arguments, reason = "all that is known of an invocation goes on")]
    pub(super) fn attend(
        self: &Arc<Self>,
        pool: &Arc<Pool>,
        mut ready: Ready,
        ending: Ending<'_>,
        mut verdict: Verdict,
        mut log: InvocationLog,
        (began, deadline): (Instant, Deadline),
        admission: Admission,
    ) -> Outcome {
        let function = ending.function.clone();
        let invocation = ending.invocation.clone();
        let report = self.report(&ending, &verdict);
        let before = ending.init.as_ref().map(|init| init.log.clone()).unwrap_or_default();
        let printed = (log.events().to_vec(), 0);
        let lines = outcome::log_lines(&function, &invocation.request_id, before, printed, &verdict, &report);
        let answered = Outcome {
            payload: verdict.payload.clone(),
            function_error: verdict.function_error,
            executed_version: function.version.clone(),
            log_tail: outcome::tail(&lines),
            duration_us: ending.duration_us,
        };
        let Ending { instance_id, log_stream, started_ms, init, spent, duration_us: answered_us, response_us, .. } =
            ending;
        self.in_flight.send_modify(|count| *count += 1);
        let (inner, pool, flight) = (self.clone(), pool.clone(), Flight(self.clone()));
        tokio::spawn(async move {
            let settled = tokio::time::timeout_at(deadline.at, ready.instance.settle(&mut log)).await;
            let duration_us = micros(began).min(function.timeout_ms * 1000);
            let usage = ready.instance.usage();
            let more = ready.common.spent(usage, duration_us.saturating_sub(answered_us));
            let (function, invocation) = (&function, &invocation);
            let ending = Ending {
                function,
                invocation,
                instance_id,
                log_stream,
                started_ms,
                duration_us,
                response_us,
                extensions_us: Some(duration_us.saturating_sub(answered_us)),
                init,
                usage,
                spent: spent.and(more),
            };
            let broken = match settled {
                Ok(Ok(())) => None,
                Ok(Err(failure)) => Some(Finish::Failed(failure)),
                Err(_) => Some(Finish::TimedOut),
            };
            let is_usable = broken.is_none();
            if let Some(finish) = broken {
                verdict = outcome::verdict(finish, &invocation.request_id, function.timeout_ms, false);
            }
            inner.tell_report(&mut ready, &ending, &verdict);
            if is_usable {
                inner.give_back(&pool, ready, &ending);
            } else {
                inner.lost(&pool, ready).await;
            }
            drop(admission);
            inner.conclude(ending, verdict, log).await;
            drop(flight);
        });
        answered
    }

    /// Tells the extensions that want to know that the runtime is done.
    pub(super) fn tell_done(&self, ready: &mut Ready, ending: &Ending<'_>, verdict: &Verdict) {
        if ready.instance.is_told() {
            let report = self.report(ending, verdict);
            let record = events::done_record(&ending.invocation.request_id, verdict, &report);
            let record = events::traced(record, &ending.invocation.trace);
            ready.instance.tell(report.ended_ms, "platform.runtimeDone", record);
        }
    }

    /// And that the invocation is over.
    pub(super) fn tell_report(&self, ready: &mut Ready, ending: &Ending<'_>, verdict: &Verdict) {
        if ready.instance.is_told() {
            let (report, id) = (self.report(ending, verdict), &ending.invocation.request_id);
            if let Some(fault) = events::fault(verdict) {
                ready.instance.tell(report.ended_ms, "platform.fault", fault.into());
            }
            ready.instance.tell(report.ended_ms, "platform.end", serde_json::json!({ "requestId": id }));
            let record = events::report_record(ending.function, id, verdict, &report);
            let record = events::traced(record, &ending.invocation.trace);
            ready.instance.tell(report.ended_ms, "platform.report", record);
        }
    }

    /// Ends an instance, or with its last seat the one it belongs to; its place is free when that is over.
    pub(super) async fn end(self: Arc<Self>, function: Arc<FunctionVersion>, ready: Ready) {
        let Ready { mut instance, log_stream, common, .. } = ready;
        if instance.is_attended() {
            let mut log = InvocationLog::new();
            instance.shut_down(&mut log).await;
            let lines = log.take().0;
            if !lines.is_empty() {
                let FunctionVersion { account, region, log_group, .. } = &*function;
                self.ports.logs.append(account, region, log_group, &log_stream, lines).await;
            }
        }
        instance.stop().await;
        drop(common);
    }

    /// The same, without waiting for it.
    pub(super) fn end_later(self: &Arc<Self>, pool: &Pool, ready: Ready) {
        tokio::spawn(self.clone().end(pool.function.clone(), ready));
    }
}
