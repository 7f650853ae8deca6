//! This crate's parsers of outside bytes, for the fuzz room.

use cumulet_base::fuzz::Target;

use crate::pattern::Pattern;

pub const TARGETS: &[Target] = &[Target {
    name: "logs-pattern",
    seeds: &[b"ERROR ?warn -debug \"a \\\"phrase\\\"\"\na message"],
    run: |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let (pattern, message) = text.split_once('\n').unwrap_or((&text, ""));
        if let Ok(pattern) = Pattern::parse(pattern) {
            let _either = pattern.matches(message);
        }
    },
}];
