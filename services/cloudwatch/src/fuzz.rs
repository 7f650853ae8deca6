//! This crate's parsers of outside bytes, for the fuzz room.

use cumulet_base::fuzz::Target;

use crate::alarms::rule::Rule;
use crate::metrics::aggregate::Aggregate;
use crate::metrics::math;

pub const TARGETS: &[Target] = &[
    Target {
        name: "cloudwatch-math",
        seeds: &[b"IF(m1 > 3 && SUM([m1,FILL(m2,REPEAT)]) / 2 ^ -1 <= 4, m1, 0) * METRICS(\"e\")"],
        run: |bytes| {
            if let Ok(text) = std::str::from_utf8(bytes) {
                let _either = math::parse(text);
            }
        },
    },
    Target {
        name: "cloudwatch-rule",
        seeds: &[b"ALARM(\"a b\") AND NOT (OK(c) OR INSUFFICIENT_DATA(arn:aws:cloudwatch:us-east-1:0:alarm:d))"],
        run: |bytes| {
            if let Ok(text) = std::str::from_utf8(bytes) {
                let _either = Rule::parse(text);
            }
        },
    },
    Target {
        name: "cloudwatch-aggregate",
        seeds: &[&[1; 66]],
        run: |bytes| {
            let _either = Aggregate::decode(bytes);
        },
    },
];
