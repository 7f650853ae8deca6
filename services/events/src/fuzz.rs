//! This crate's parsers of outside bytes, for the fuzz room.

use bytes::Bytes;
use cumulet_base::fuzz::Target;

use crate::envelope::Event;
use crate::path::Path;
use crate::transform;

pub const TARGETS: &[Target] = &[
    Target {
        name: "events-path",
        seeds: &[b"$.detail['a b'].list[*].x[3]\n{\"detail\":{\"a b\":{\"list\":[{\"x\":[1,2,3,4]}]}}}"],
        run: |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let (path, event) = text.split_once('\n').unwrap_or((&text, "{}"));
            if let (Some(path), Ok(event)) = (Path::parse(path), serde_json::from_str(event)) {
                let _found = path.find(&event);
            }
        },
    },
    Target {
        name: "events-template",
        seeds: &[b"{\"a\": <x>, \"b\": \"<y> \\\"<aws.events.rule-arn>\\\" < \"}"],
        run: |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let pieces = transform::cut(&text);
            let back: String = pieces
                .iter()
                .map(|piece| match piece {
                    transform::Piece::Text(text) => text.clone(),
                    transform::Piece::Value { name, .. } => format!("<{name}>"),
                })
                .collect();
            assert_eq!(back, text);
        },
    },
    Target {
        name: "events-body",
        seeds: &[b"\x01\x00\0\0\0\0\0\0\0\x01{\"id\":\"x\"}"],
        run: |bytes| {
            if let Some(event) = Event::from_body(&Bytes::copy_from_slice(bytes)) {
                assert_eq!(event.write(), bytes);
            }
        },
    },
];
