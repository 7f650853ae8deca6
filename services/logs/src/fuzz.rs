//! This crate's parsers of outside bytes, for the fuzz room.

use cumulet_base::fuzz::Target;

use crate::pattern::Pattern;

pub const TARGETS: &[Target] = &[Target {
    name: "logs-pattern",
    seeds: &[
        b"ERROR -debug \"a \\\"phrase\\\"\" %x{2}%\na message",
        b"{ ($.a['b'][0].c = 4* || $.d > 1e3) && $.e NOT EXISTS }\n{\"a\":{\"b\":[{\"c\":404}]}}",
        b"[ip = %1.*%, ..., status = 4* || status = 5*, bytes > 1000]\n127.0.0.1 [x y] \"GET /\" 404 1534",
    ],
    run: |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let (pattern, message) = text.split_once('\n').unwrap_or((&text, ""));
        if let Ok(pattern) = Pattern::parse(pattern) {
            assert_eq!(pattern.matches(message), pattern.extract(message).is_some());
        }
    },
}];
