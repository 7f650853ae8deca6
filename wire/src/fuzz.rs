//! This crate's parsers of outside bytes, for the fuzz room.

use bytes::Bytes;
use cumulet_base::fuzz::Target;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::auth::sigv4;
use crate::event_pattern::Pattern;
use crate::operation::{Operation, Protocol, ServiceModel};
use crate::schedule::{self, Schedule, Zone};
use crate::{cbor, data_plane, http_event, patterns, protocol, query};

static MODEL: ServiceModel = ServiceModel {
    name: "x",
    protocol: Protocol::RestJson,
    target: "",
    xmlns: "urn:x",
    operations: &[
        Operation::rest("A", "GET", "/a/{Name}/b/{Rest+}", 200)
            .query(&[("q", "Q"), ("l", "L[]")])
            .headers(&[("h", "H")]),
        Operation::rest("B", "GET", "/a/{Name}?b", 200),
    ],
    absent: &[],
};

pub const TARGETS: &[Target] = &[
    Target {
        name: "wire-signature",
        seeds: &[
            b"/?a=b\nauthorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host;x-amz-date, Signature=0a\nx-amz-date: 20260101T000000Z\n",
            b"/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=test%2F20260101%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20260101T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=00\n",
        ],
        run: signature,
    },
    Target {
        name: "wire-query-protocol",
        seeds: &[b"Action=A&Version=1&List.member.1=a&List.member.2.Key=k&Map.entry.1.key=a&Map.entry.1.value=b&N=%20+"],
        run: |bytes| {
            let _either = query::input(bytes);
        },
    },
    Target {
        name: "wire-cbor",
        seeds: &[b"\xbf\x61\x61\x01\x61\x62\x9f\x02\x03\xff\xff", b"\xa2\x61\x61\xc1\xfb\x3f\xf1\x99\x99\x99\x99\x99\x9a\x61\x62\x44\x01\x02\x03\x04"],
        run: |bytes| {
            let _either = cbor::decode(bytes);
        },
    },
    Target {
        name: "wire-rest-protocol",
        seeds: &[b"/a/x%20y/b/c/d?q=1&l=2&l=3&l=4\n{\"Q\":[1,2.5,null,true,\"x\"],\"Name\":{}}", b"/a/x?b\n{}"],
        run: rest,
    },
    Target {
        name: "wire-reply",
        seeds: &[
            br#"{"statusCode":200,"headers":{"a":"b","c":1},"multiValueHeaders":{"d":["e","f"]},"cookies":["g=h"],"body":"aGVsbG8=","isBase64Encoded":true}"#,
            br#""text""#,
        ],
        run: |bytes| {
            let _either = http_event::reply_v1(bytes);
            let _either = http_event::reply_v2(bytes);
        },
    },
    Target {
        name: "wire-event",
        seeds: &[b"/a%20b/c?x=1&x=2&y=%zz&=&\ncookie: a=b; c\nx-forwarded-for: 1.2.3.4\nhost: api.execute-api.localhost:4566\ncontent-type: text/plain\nbody"],
        run: event,
    },
    Target {
        name: "wire-event-pattern",
        seeds: &[
            b"{\"a\":[\"x\",null,{\"prefix\":\"y\"},{\"wildcard\":\"a*b\"},{\"numeric\":[\">\",0,\"<=\",5]}],\"$or\":[{\"b\":[{\"cidr\":\"::/3\"}]},{\"c\":[{\"exists\":false}]}]}\n{\"a\":[\"xy\",2],\"b\":\"::1\"}",
            b"{\"d\":{\"e\":[{\"anything-but\":{\"suffix\":[\"a\"]}},{\"prefix\":{\"equals-ignore-case\":\"B\"}}]}}\n{\"d\":[{\"e\":\"ba\"}]}",
        ],
        run: event_pattern,
    },
    Target {
        name: "wire-schedule",
        seeds: &[
            b"cron(0/15 8-17 ? JAN-MAR,12 MON#2 2026-2030)\nEurope/Berlin",
            b"cron(5,10 1 L,15W * ? *)\nUTC",
            b"rate(5 minutes)\nUTC",
            b"at(2026-11-23T10:15:30)\nAmerica/New_York",
        ],
        run: schedule,
    },
    Target { name: "wire-pattern", seeds: &[b"arn:aws:s3:::b?c*d*\narn:aws:s3:::bxcyyd", b"***a*b\naab"], run: pattern },
];

fn schedule(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (expression, zone) = text.split_once('\n').unwrap_or((&text, "UTC"));
    let _is_strict = schedule::is_strict_rate(expression);
    if let (Some(schedule), Some(zone)) = (Schedule::parse(expression), Zone::parse(zone)) {
        let now_ms = 1_795_428_930_123;
        let next = schedule.next(&zone, 0, now_ms);
        assert!(next.is_none_or(|next| next > now_ms));
    }
}

fn event_pattern(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (pattern, event) = text.split_once('\n').unwrap_or((&text, ""));
    if let (Ok(pattern), Ok(event)) = (Pattern::parse(pattern), serde_json::from_str(event)) {
        let _either = pattern.matches(&event);
    }
}

/// Lines of `name: value`, as far as they can be headers.
fn headers(text: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in text.lines().filter_map(|line| line.split_once(": ")) {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            headers.append(name, value);
        }
    }
    headers
}

fn parts(bytes: &[u8]) -> (String, String, String) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let (path, query) = first.split_once('?').unwrap_or((first, ""));
    (path.to_owned(), query.to_owned(), rest.to_owned())
}

fn signature(bytes: &[u8]) {
    let (path, query, rest) = parts(bytes);
    let headers = headers(&rest);
    if let Ok(Some(claim)) = sigv4::claim(&headers, &query) {
        let request =
            sigv4::Signed { method: "GET", path: &path, query: &query, headers: &headers, host: "h", body: b"" };
        // Nobody guesses a signature.
        assert!(sigv4::verify(&claim, &request, "secret", 1_767_225_600_000).is_err(), "a forged signature was taken");
    }
}

fn rest(bytes: &[u8]) {
    let (path, query, body) = parts(bytes);
    if let Some(matched) = protocol::match_rest(&MODEL, "GET", &path, &query) {
        let _either = protocol::rest_input(matched, &query, &HeaderMap::new(), &Bytes::from(body));
    }
}

fn event(bytes: &[u8]) {
    let (path, query, rest) = parts(bytes);
    let headers = headers(&rest);
    let request = data_plane::HttpRequest {
        method: http::Method::POST,
        path,
        query,
        headers,
        body: Bytes::copy_from_slice(bytes),
        host: "api.execute-api.localhost:4566".to_owned(),
        protocol: "HTTP/1.1",
        source_ip: "127.0.0.1".to_owned(),
        request_id: "r".to_owned(),
        now_ms: 1_767_225_600_000,
    };
    let parts = http_event::EventParts {
        request: &request,
        account: "000000000000",
        api_id: "a",
        domain_name: "d",
        domain_prefix: "p",
        route_key: "$default",
        stage: "$default",
        path_parameters: None,
        stage_variables: None,
        raw_path: &request.path,
        authorizer: None,
        resource: "$default",
    };
    for event in [http_event::event_v1(&parts), http_event::event_v2(&parts)] {
        assert!(serde_json::from_slice::<serde_json::Value>(&event).is_ok(), "an event that is no JSON");
    }
}

fn pattern(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (pattern, text) = text.split_once('\n').unwrap_or((&text, ""));
    let literal: String = text.chars().filter(|c| !matches!(c, '*' | '?')).collect();
    assert!(patterns::matches("*", text) && patterns::matches(&literal, &literal));
    let _either = patterns::matches(pattern, text);
    let _either = patterns::arn_matches(pattern, text);
}
