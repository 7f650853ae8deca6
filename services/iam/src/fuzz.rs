//! This crate's parsers of outside bytes, for the fuzz room.

use cumulet_base::fuzz::Target;

use crate::policy::{self, Kind};

pub const TARGETS: &[Target] = &[Target {
    name: "iam-policy",
    seeds: &[
        br#"{"Version":"2012-10-17","Statement":[{"Sid":"a","Effect":"Allow","Action":["s3:Get*","*"],"NotResource":"arn:aws:s3:::b/*"},{"Effect":"Deny","NotAction":"x","Resource":"*","Condition":{"StringLike":{"aws:username":"${a}"}}}]}"#,
        br#"{"Statement":{"Effect":"Allow","Principal":{"AWS":["*","000000000000"],"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}}"#,
    ],
    run: |bytes| {
        let text = String::from_utf8_lossy(bytes);
        for kind in [Kind::Identity, Kind::Trust] {
            let _either = policy::check(&text, kind);
        }
        let _either = cumulet_wire::policy::decide([text.as_ref()], "s3:GetObject", "arn:aws:s3:::b/k", &Default::default());
        let _either = policy::trusts(&text, &cumulet_wire::auth::Caller::owner("000000000000"));
    },
}];
