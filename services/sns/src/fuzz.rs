//! This crate's parsers of outside bytes, for the fuzz room.

use cumulet_base::fuzz::Target;

use crate::model::Place;
use crate::{filter, retry};

pub const TARGETS: &[Target] = &[
    Target {
        name: "sns-filter-policy",
        seeds: &[br#"{"a":["x",{"numeric":[">",0]}],"$or":[{"b":[{"prefix":"y"}]},{"c":[{"exists":false}]}]}"#],
        run: |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let _either = filter::check(&text, true);
            let _either = filter::check(&text, false);
        },
    },
    Target {
        name: "sns-delivery-policy",
        seeds: &[
            br#"{"healthyRetryPolicy":{"minDelayTarget":1,"maxDelayTarget":60,"numRetries":50,"numNoDelayRetries":3,"backoffFunction":"exponential"}}"#,
            br#"{"http":{"defaultHealthyRetryPolicy":{"numRetries":7},"disableSubscriptionOverrides":false}}"#,
        ],
        run: |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let _either = retry::check(&text, true);
            if retry::check(&text, false).is_ok() {
                let policy = retry::in_force(Some(&text), None);
                assert!((0..200).any(|attempts| attempts > 0 && policy.pause_ms(attempts).is_none()), "it never ends");
            }
        },
    },
    Target {
        name: "sns-arn",
        seeds: &[b"arn:aws:sns:us-east-1:000000000000:topic:0f0f0f0f"],
        run: |bytes| {
            let text = String::from_utf8_lossy(bytes);
            if let Some((topic, _)) = Place::of_subscription(&text) {
                assert_eq!(Place::from_arn(&topic.arn()), Some(topic));
            }
        },
    },
];
