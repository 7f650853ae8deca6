//! This crate's parsers of outside bytes, for the fuzz room.

use cumulet_base::fuzz::Target;

use crate::universal::Universal;

pub const TARGETS: &[Target] = &[Target {
    name: "scheduler-universal",
    seeds: &[b"arn:aws:scheduler:::aws-sdk:lambda:invoke\n{\"FunctionName\":\"f\",\"Payload\":{\"a\":1}}"],
    run: |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let (arn, input) = text.split_once('\n').unwrap_or((&text, "{}"));
        let _is_reading = Universal::is_reading(arn);
        if let Some(universal) = Universal::parse(arn) {
            let _either = universal.input(input);
        }
    },
}];
