//! What a function prints during one invocation, bounded.

use std::fmt;
use std::sync::Arc;

use cumulet_base::limits;

/// One log event; the message has no line end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEvent {
    pub timestamp_ms: u64,
    pub message: String,
}

/// What an event counts beyond its message, as CloudWatch Logs counts it; so that empty lines are bounded, too.
const EVENT_BYTES: usize = 26;

/// Is called with each message as it comes, and the time.
#[derive(Clone)]
pub struct Tap(pub Arc<Seen>);

type Seen = dyn Fn(u64, &str) + Send + Sync;

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tap")
    }
}

/// Collects the events of one invocation up to [`limits::LOG_INVOCATION_BYTES_MAX`].
#[derive(Debug, Default)]
pub struct InvocationLog {
    events: Vec<LogEvent>,
    bytes: usize,
    dropped_bytes: usize,
    tap: Option<Tap>,
}

impl InvocationLog {
    pub fn new() -> InvocationLog {
        InvocationLog::default()
    }

    /// Lets `tap` see what comes from now on, but for what is pushed quietly.
    pub fn set_tap(&mut self, tap: Tap) {
        self.tap = Some(tap);
    }

    /// Adds a message; trailing line ends are cut off, longer ones than an event may have become several.
    pub fn push(&mut self, timestamp_ms: u64, message: &str) {
        if let Some(tap) = &self.tap {
            tap.0(timestamp_ms, message.trim_end_matches(['\n', '\r']));
        }
        self.push_quietly(timestamp_ms, message);
    }

    /// The same, for messages that are no output of the function.
    pub fn push_quietly(&mut self, timestamp_ms: u64, message: &str) {
        let message = message.trim_end_matches(['\n', '\r']);
        if self.bytes + message.len() + EVENT_BYTES > limits::LOG_INVOCATION_BYTES_MAX {
            self.dropped_bytes += message.len();
            return;
        }
        self.bytes += message.len() + EVENT_BYTES;
        let mut rest = message;
        while rest.len() > limits::LOG_EVENT_BYTES_MAX {
            let cut = rest.floor_char_boundary(limits::LOG_EVENT_BYTES_MAX);
            self.events.push(LogEvent { timestamp_ms, message: rest[..cut].to_owned() });
            rest = &rest[cut..];
        }
        self.events.push(LogEvent { timestamp_ms, message: rest.to_owned() });
    }

    /// The events so far.
    pub fn events(&self) -> &[LogEvent] {
        &self.events
    }

    /// Moves what `other` has to the end of this.
    pub fn append(&mut self, other: &mut InvocationLog) {
        let (events, dropped_bytes) = other.take();
        self.dropped_bytes += dropped_bytes;
        for event in events {
            self.push(event.timestamp_ms, &event.message);
        }
    }

    /// The events, and how many bytes were dropped because the invocation printed too much.
    pub fn take(&mut self) -> (Vec<LogEvent>, usize) {
        self.bytes = 0;
        (std::mem::take(&mut self.events), std::mem::take(&mut self.dropped_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_messages_are_cut_and_floods_dropped() {
        let mut log = InvocationLog::new();
        log.push(1, "line\r\n");
        log.push(2, &"é".repeat(limits::LOG_EVENT_BYTES_MAX));
        for _ in 0..100 {
            log.push(3, &"x".repeat(limits::LOG_EVENT_BYTES_MAX));
        }
        let (events, dropped) = log.take();
        assert_eq!(events[0].message, "line");
        assert!(events.iter().all(|e| e.message.len() <= limits::LOG_EVENT_BYTES_MAX));
        assert!(dropped > 0);
        assert_eq!(log.take(), (vec![], 0));
    }
}
