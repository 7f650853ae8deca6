//! This crate's parsers of outside bytes, for the fuzz room.

use std::collections::BTreeMap;

use cumulet_base::fuzz::Target;

use crate::attributes;
use crate::model::{Place, Receipt};

pub const TARGETS: &[Target] = &[
    Target {
        name: "sqs-receipt",
        seeds: &[b"cXVldWUgMTIgMw=="],
        run: |bytes| {
            let text = String::from_utf8_lossy(bytes);
            if let Some(receipt) = Receipt::read(&text) {
                assert_eq!(Receipt::read(&receipt.write()), Some(receipt));
            }
        },
    },
    Target {
        name: "sqs-attributes",
        seeds: &[
            b"RedrivePolicy\n{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:dead\",\"maxReceiveCount\":\"3\"}",
            b"VisibilityTimeout\n30",
        ],
        run: |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let (name, value) = text.split_once('\n').unwrap_or((&text, ""));
            let given = BTreeMap::from([(name.to_owned(), value.to_owned())]);
            let place = Place {
                account: "000000000000".to_owned(),
                region: "us-east-1".to_owned(),
                name: "queue".to_owned(),
            };
            let _either = attributes::check(&given, &place, false);
            let _either = attributes::check(&given, &place, true);
        },
    },
];
