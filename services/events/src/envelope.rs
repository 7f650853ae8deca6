//! Events as targets get them (<https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html>), and in
//! the bodies of tasks.

use bytes::{BufMut, Bytes, BytesMut};
use cumulet_base::clock;
use serde_json::{Value, json};

use crate::model::{FORMAT, Place};

const HEAD_BYTES: usize = 10;

/// An event on a bus.
#[derive(Clone, Debug)]
pub struct Event {
    pub id: String,
    /// As it is sent.
    pub text: Bytes,
    pub value: Value,
    pub ingested_ms: u64,
    /// Buses it came through before.
    pub hops: u32,
}

/// What an event is made of. `detail` is the text of an object.
pub struct Parts<'a> {
    pub detail_type: &'a str,
    pub source: &'a str,
    pub time_ms: u64,
    pub resources: &'a [String],
    pub detail: &'a str,
}

/// Without fractions of a second.
pub fn iso_s(ms: u64) -> String {
    let mut text = clock::iso_ms(ms);
    text.truncate(19);
    text.push('Z');
    text
}

impl Event {
    /// `None`: the detail is no object.
    pub fn new(place: &Place, parts: &Parts<'_>, id: String, now_ms: u64) -> Option<Event> {
        let q = |text: &str| json!(text).to_string();
        let text = format!(
            "{{\"version\":\"0\",\"id\":{},\"detail-type\":{},\"source\":{},\"account\":{},\"time\":{},\"region\":{},\
             \"resources\":{},\"detail\":{}}}",
            q(&id),
            q(parts.detail_type),
            q(parts.source),
            q(&place.account),
            q(&iso_s(parts.time_ms)),
            q(&place.region),
            json!(parts.resources),
            parts.detail.trim(),
        );
        let value: Value = serde_json::from_str(&text).ok()?;
        // A detail that closes the envelope would make it another.
        let is_object = parts.detail.trim_start().starts_with('{')
            && serde_json::from_str::<serde_json::Map<String, Value>>(parts.detail).is_ok();
        is_object.then(|| Event { id, text: text.into(), value, ingested_ms: now_ms, hops: 0 })
    }

    /// One that was kept as a text.
    pub fn read(text: Bytes, ingested_ms: u64, hops: u32) -> Option<Event> {
        let value: Value = serde_json::from_slice(&text).ok()?;
        let id = value["id"].as_str()?.to_owned();
        Some(Event { id, text, value, ingested_ms, hops })
    }

    /// The same event, sent again by a replay.
    #[must_use]
    pub fn replayed(mut self, replay: &str) -> Event {
        self.value["replay-name"] = replay.into();
        self.text = self.value.to_string().into();
        self
    }

    /// The body of a task.
    pub fn write(&self) -> Bytes {
        let mut body = BytesMut::with_capacity(HEAD_BYTES + self.text.len());
        body.put_u8(FORMAT);
        body.put_u8(u8::try_from(self.hops).unwrap_or(u8::MAX));
        body.put_u64(self.ingested_ms);
        body.extend_from_slice(&self.text);
        body.freeze()
    }

    /// `None`: another version's.
    pub fn from_body(body: &Bytes) -> Option<Event> {
        let (head, _) = body.split_first_chunk::<HEAD_BYTES>()?;
        let ingested_ms = u64::from_be_bytes(head[2..].try_into().ok()?);
        Event::read(body.slice(HEAD_BYTES..), ingested_ms, head[1].into()).filter(|_| head[0] == FORMAT)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn as_aws_writes_it() {
        let place = Place { account: "000000000000".to_owned(), region: "eu-west-1".to_owned() };
        let resources = ["arn:x".to_owned()];
        let mut parts = Parts {
            detail_type: "a \"b\"",
            source: "my.app",
            time_ms: 1_795_428_930_123,
            resources: &resources,
            detail: " {\"n\": 1.50}",
        };
        let event = Event::new(&place, &parts, "i".to_owned(), 5).unwrap();
        assert_eq!(
            event.text,
            "{\"version\":\"0\",\"id\":\"i\",\"detail-type\":\"a \\\"b\\\"\",\"source\":\"my.app\",\
             \"account\":\"000000000000\",\"time\":\"2026-11-23T10:15:30Z\",\"region\":\"eu-west-1\",\
             \"resources\":[\"arn:x\"],\"detail\":{\"n\": 1.50}}"
        );
        let back = Event::from_body(&event.write()).unwrap();
        assert_eq!((back.text, back.ingested_ms, back.hops), (event.text.clone(), 5, 0));
        assert_eq!(event.replayed("r").value["replay-name"], "r");
        for bad in ["", "1", "[]", "{", "{},\"x\":{}", "null"] {
            parts.detail = bad;
            assert!(Event::new(&place, &parts, String::new(), 0).is_none(), "{bad}");
        }
    }
}
