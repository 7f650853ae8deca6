//! The end of an invocation: its log, its record, and what the caller gets.

use std::sync::Arc;

use super::Inner;
use crate::function::FunctionVersion;
use crate::invocation::{Invocation, InvokeError, Outcome};
use crate::outcome::{self, Finish, Report, Verdict};
use crate::output::InvocationLog;
use crate::pool::{Init, NotReady, Spent};
use crate::record::Record;
use crate::sandbox::{StartError, Usage};
use crate::stream::Sink;

/// What is known when an invocation is over.
pub(super) struct Ending<'a> {
    pub(super) function: &'a Arc<FunctionVersion>,
    pub(super) invocation: &'a Invocation,
    pub(super) instance_id: String,
    pub(super) log_stream: String,
    pub(super) started_ms: u64,
    pub(super) duration_us: u64,
    /// Of it, since the first of a streamed answer came.
    pub(super) response_us: u64,
    /// Of it, what extensions took after the answer; none where there are none.
    pub(super) extensions_us: Option<u64>,
    pub(super) init: Option<Init>,
    pub(super) usage: Usage,
    pub(super) spent: Spent,
}

impl Inner {
    pub(super) async fn not_ready(
        &self,
        function: &Arc<FunctionVersion>,
        reason: NotReady,
        invocation: &Invocation,
    ) -> Result<Outcome, InvokeError> {
        match reason {
            NotReady::Start(StartError::RuntimeMissing(message) | StartError::Unfit { message, .. }) => {
                Err(InvokeError::InvalidRuntime { message })
            }
            NotReady::Start(StartError::Platform(message)) => {
                tracing::error!(function = %function.name, reason = %message, "an instance could not be started");
                Err(InvokeError::Internal { message: "the function's instance could not be started".into() })
            }
            NotReady::Code(message) => Err(InvokeError::InvalidCode { message }),
            NotReady::Throttled(reason) => Err(InvokeError::Throttled { reason }),
            NotReady::Failed { failure, init, instance_id, log_stream, usage } => {
                let now = self.ports.clock.now_ms();
                let finish = failure.map_or(Finish::TimedOut, Finish::Failed);
                let verdict = outcome::verdict(finish, &invocation.request_id, function.timeout_ms, true);
                let ending = Ending {
                    function,
                    invocation,
                    instance_id,
                    log_stream,
                    started_ms: now,
                    duration_us: 0,
                    response_us: 0,
                    extensions_us: None,
                    init: Some(init),
                    usage,
                    spent: Spent { cpu_us: usage.cpu_us, within_us: 0 },
                };
                Ok(self.conclude(ending, verdict, InvocationLog::new()).await)
            }
        }
    }

    pub(super) fn report(&self, ending: &Ending<'_>, verdict: &Verdict) -> Report {
        let init_us = ending.init.as_ref().map(|init| init.us);
        let streamed = ending.invocation.sink.as_ref().map_or(0, Sink::bytes);
        Report {
            started_ms: ending.started_ms,
            ended_ms: self.ports.clock.now_ms(),
            duration_us: ending.duration_us,
            response_us: ending.response_us,
            extensions_us: ending.extensions_us,
            produced_bytes: streamed + verdict.payload.len() as u64,
            billed_ms: outcome::billed_ms(ending.duration_us, init_us),
            init_us,
            memory_peak_bytes: ending.usage.memory_peak_bytes,
        }
    }

    /// Log, record and the caller's outcome.
    pub(super) async fn conclude(&self, ending: Ending<'_>, verdict: Verdict, mut log: InvocationLog) -> Outcome {
        let report = self.report(&ending, &verdict);
        let Report { billed_ms, init_us, .. } = report;
        let Ending {
            function, invocation, instance_id, log_stream, started_ms, duration_us, init, usage, spent, ..
        } = ending;
        let printed_before = init.map(|init| init.log).unwrap_or_default();
        let lines = outcome::log_lines(function, &invocation.request_id, printed_before, log.take(), &verdict, &report);
        let log_tail = outcome::tail(&lines);
        let record = Record {
            account: function.account.clone(),
            region: function.region.clone(),
            function: function.name.clone(),
            version: function.version.clone(),
            request_id: invocation.request_id.clone(),
            instance_id,
            started_ms,
            duration_us,
            billed_ms,
            init_us,
            memory_mb: function.memory_mb,
            memory_peak_bytes: usage.memory_peak_bytes,
            cpu_us: spent.cpu_us,
            ending: verdict.ending,
        };
        self.ports.logs.append(&function.account, &function.region, &function.log_group, &log_stream, lines).await;
        self.ports.meter.record(record).await;
        Outcome {
            payload: verdict.payload,
            function_error: verdict.function_error,
            executed_version: function.version.clone(),
            log_tail,
            duration_us,
        }
    }
}
