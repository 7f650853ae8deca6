//! This crate's parsers of outside bytes, for the fuzz room.

use cumulet_base::fuzz::Target;
use cumulet_wire::auth::Caller;
use cumulet_wire::call::Context;
use serde_json::Value;

use crate::links::Links;
use crate::policy::{self, Question};
use crate::{images, names, url_plane};

pub const TARGETS: &[Target] = &[
    Target {
        name: "lambda-image",
        seeds: &[br#"{"manifests":[{"digest":"sha256:00","annotations":{"org.opencontainers.image.ref.name":"v1"}}]}"#],
        run: images::fuzz,
    },
    Target {
        name: "lambda-name",
        seeds: &[
            b"arn:aws:lambda:us-east-1:000000000000:function:name:$LATEST",
            b"us-east-1:000000000000:function:name",
            b"name:prod",
        ],
        run: name,
    },
    Target {
        name: "lambda-url",
        seeds: &[b"abcdefghij.lambda-url.us-east-1.localhost\n/_cumulet/url/abcdefghij/a/b\nexpires=1&signature=00"],
        run: url,
    },
    Target {
        name: "lambda-policy",
        seeds: &[
            br#"[{"Action":"lambda:*","Principal":{"Service":"s3.amazonaws.com"},"Condition":{"ArnLike":{"AWS:SourceArn":"arn:aws:s3:::*"}}}]"#,
            br#"[{"Action":"lambda:InvokeFunction","Principal":"*","Condition":{"StringEquals":{"aws:SourceAccount":["1","2"]}}}]"#,
        ],
        run: policy,
    },
];

fn name(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let context = Context {
        caller: Caller::owner("000000000000"),
        region: "us-east-1".to_owned(),
        request_id: String::new(),
        host: String::new(),
        now_ms: 0,
        trace: None,
    };
    if let Ok(named) = names::read(&context, &text, None) {
        let again = names::read(&context, &named.qualified_arn(), None).expect("an ARN made here is one");
        assert_eq!(named.qualified_arn(), again.qualified_arn());
    }
    let _either = names::read_resource(&context, &text);
}

fn url(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines();
    let mut next = || lines.next().unwrap_or_default();
    let _either = url_plane::split(next(), next());
    assert!(!Links::new([7; 32]).is_good("digest", next(), 0), "a forged link was taken");
}

fn policy(bytes: &[u8]) {
    let Ok(Value::Array(statements)) = serde_json::from_slice(bytes) else { return };
    let question = Question::service("s3.amazonaws.com", "arn:aws:s3:::b", "000000000000");
    let _either = policy::allows(&statements, "lambda:InvokeFunction", &question);
    let _either = policy::allows(&statements, "lambda:InvokeFunctionUrl", &Question::public_url());
}
