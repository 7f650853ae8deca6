//! Events: which of a bucket's destinations hear of a change, and in what words. Their tasks are part of the commit that
//! makes the change; what becomes of them is in [`Courier`].

use bytes::Bytes;
use cumulet_base::{clock, limits};
use cumulet_delivery::target::{self, Parcel};
use cumulet_delivery::{Handler, NewTask, Next, Task};
use cumulet_wire::auth::Caller;
use cumulet_wire::client::Client;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::model::{Bucket, Object};

pub const OWNER: &str = "s3";
pub const SERVICE: &str = "s3.amazonaws.com";

/// What a bucket's changes are told to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notifications {
    pub rules: Vec<Rule>,
    /// Everything, to the account's default bus.
    pub has_bus: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    pub id: String,
    pub arn: String,
    /// As the client wrote them, `s3:ObjectCreated:*`.
    pub events: Vec<String>,
    /// Name (`prefix`, `suffix`, as written) and value.
    pub filters: Vec<(String, String)>,
}

impl Notifications {
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && !self.has_bus
    }
}

impl Rule {
    fn hears(&self, event: &str, key: &str) -> bool {
        let named = self.events.iter().any(|wanted| {
            let wanted = wanted.strip_prefix("s3:").unwrap_or(wanted);
            match wanted.strip_suffix('*') {
                Some(family) => event.starts_with(family),
                None => event == wanted,
            }
        });
        named
            && self.filters.iter().all(|(name, value)| match name.to_ascii_lowercase().as_str() {
                "prefix" => key.starts_with(value),
                _ => key.ends_with(value),
            })
    }
}

/// What a change came from.
#[derive(Clone, Debug)]
pub struct Cause {
    /// Such as `ObjectCreated:Put`; a deletion that leaves a marker is told of as that.
    pub event: &'static str,
    pub principal: String,
    pub source_ip: String,
    pub request_id: String,
    pub now_ms: u64,
    /// `X-Amzn-Trace-Id` of the request.
    pub trace: Option<String>,
}

/// The tasks of a change that is the `order`th of its shard.
pub fn tasks(bucket: &Bucket, name: &str, key: &str, told: Option<&Object>, order: u64, cause: &Cause) -> Vec<NewTask> {
    let Some(object) = told.filter(|_| !bucket.notifications.is_empty() && !cause.event.is_empty()) else {
        return Vec::new();
    };
    let event = match cause.event {
        "ObjectRemoved:Delete" if object.version.is_marker => "ObjectRemoved:DeleteMarkerCreated",
        "LifecycleExpiration:Delete" if object.version.is_marker => "LifecycleExpiration:DeleteMarkerCreated",
        event => event,
    };
    let change = Change { bucket, name, key, object, order, event, cause };
    let mut made = Vec::new();
    for rule in bucket.notifications.rules.iter().filter(|rule| rule.hears(event, key)) {
        made.push(change.task(&rule.arn, &json!({"Records": [change.record(&rule.id)]}), None));
    }
    if let Some((kind, detail)) = change.detail().filter(|_| bucket.notifications.has_bus) {
        made.push(change.task(&bus(bucket), &detail, Some(kind)));
    }
    made
}

fn bus(bucket: &Bucket) -> String {
    format!("arn:aws:events:{}:{}:event-bus/default", bucket.region, bucket.account)
}

/// What is kept of a message until it has arrived.
#[derive(Serialize, Deserialize)]
struct Message {
    account: String,
    bucket: String,
    arn: String,
    text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
}

struct Change<'a> {
    bucket: &'a Bucket,
    name: &'a str,
    key: &'a str,
    object: &'a Object,
    order: u64,
    event: &'static str,
    cause: &'a Cause,
}

impl Change<'_> {
    fn task(&self, arn: &str, text: &Value, kind: Option<&str>) -> NewTask {
        let message = Message {
            account: self.bucket.account.clone(),
            bucket: self.name.to_owned(),
            arn: arn.to_owned(),
            text: text.to_string(),
            kind: kind.map(str::to_owned),
            trace: self.cause.trace.clone(),
        };
        let body = serde_json::to_vec(&message).expect("a message is texts");
        NewTask { owner: OWNER, lane: arn.to_owned(), due_ms: self.cause.now_ms, body: body.into() }
    }

    /// Texts that are compared as texts: later ones of a key are greater.
    fn sequencer(&self) -> String {
        format!("{:018X}", self.order)
    }

    fn is_versioned(&self) -> bool {
        !self.object.version.is_first()
    }

    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>
    fn record(&self, rule: &str) -> Value {
        let is_created =
            self.event.starts_with("ObjectCreated") || self.event.starts_with("Object") && !self.is_removal();
        let mut object = json!({"key": encoded(self.key), "sequencer": self.sequencer()});
        if is_created {
            object["size"] = json!(self.object.size);
            object["eTag"] = json!(self.object.etag);
        } else if self.object.version.is_marker {
            object["eTag"] = json!("d41d8cd98f00b204e9800998ecf8427e");
        }
        if self.is_versioned() {
            object["versionId"] = json!(self.object.version_id());
        }
        json!({
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": self.bucket.region,
            "eventTime": clock::iso_ms(self.cause.now_ms),
            "eventName": self.event,
            "userIdentity": {"principalId": self.cause.principal},
            "requestParameters": {"sourceIPAddress": self.cause.source_ip},
            "responseElements": {"x-amz-request-id": self.cause.request_id, "x-amz-id-2": self.cause.request_id},
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": rule,
                "bucket": {
                    "name": self.name,
                    "ownerIdentity": {"principalId": self.bucket.account},
                    "arn": format!("arn:aws:s3:::{}", self.name),
                },
                "object": object,
            },
        })
    }

    fn is_removal(&self) -> bool {
        self.event.starts_with("ObjectRemoved") || self.event.starts_with("LifecycleExpiration")
    }

    /// Type and detail of the event on a bus; not all changes have one
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html>).
    fn detail(&self) -> Option<(&'static str, Value)> {
        let (family, what) = self.event.split_once(':')?;
        let is_expired = family == "LifecycleExpiration";
        let (kind, reason) = match (family, what) {
            ("ObjectCreated", "Put") => ("Object Created", "PutObject"),
            ("ObjectCreated", "Post") => ("Object Created", "POST Object"),
            ("ObjectCreated", "Copy") => ("Object Created", "CopyObject"),
            ("ObjectCreated", _) => ("Object Created", "CompleteMultipartUpload"),
            ("ObjectRemoved", _) => ("Object Deleted", "DeleteObject"),
            ("LifecycleExpiration", _) => ("Object Deleted", "Lifecycle Expiration"),
            ("ObjectTagging", "Put") => ("Object Tags Added", ""),
            ("ObjectTagging", _) => ("Object Tags Deleted", ""),
            ("ObjectAcl", _) => ("Object ACL Updated", ""),
            _ => return None,
        };
        // On a bus the key is as it is.
        let mut object = json!({"key": self.key, "sequencer": self.sequencer()});
        if !self.is_removal() {
            object["size"] = json!(self.object.size);
            object["etag"] = json!(self.object.etag);
        }
        if self.is_versioned() {
            object["version-id"] = json!(self.object.version_id());
        }
        let mut detail = json!({
            "version": "0",
            "bucket": {"name": self.name},
            "object": object,
            "request-id": self.cause.request_id,
            "requester": if is_expired { "s3.amazonaws.com" } else { &self.cause.principal },
        });
        if !is_expired {
            detail["source-ip-address"] = json!(self.cause.source_ip);
        }
        if !reason.is_empty() {
            detail["reason"] = json!(reason);
        }
        if self.is_removal() {
            let is_marker = self.object.version.is_marker;
            detail["deletion-type"] = json!(if is_marker { "Delete Marker Created" } else { "Permanently Deleted" });
        }
        Some((kind, detail))
    }
}

/// A key in a record: as in a form, with the slashes left.
pub fn encoded(key: &str) -> String {
    form_urlencoded::byte_serialize(key.as_bytes()).collect::<String>().replace("%2F", "/")
}

/// What a destination hears when it is set.
pub fn test_event(bucket: &str, request_id: &str, now_ms: u64) -> Bytes {
    let event = json!({
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": clock::iso_ms(now_ms),
        "Bucket": bucket,
        "RequestId": request_id,
        "HostId": request_id,
    });
    event.to_string().into()
}

/// Who calls the destinations on a bucket's behalf.
pub fn caller(account: &str, bucket: &str) -> Caller {
    Caller::service(account, SERVICE, &format!("arn:aws:s3:::{bucket}"))
}

/// Takes messages where they belong, and tries again for a day where that may help.
pub struct Courier {
    pub client: Client,
    pub clock: std::sync::Arc<dyn clock::Clock>,
}

#[async_trait::async_trait]
impl Handler for Courier {
    async fn handle(&self, task: Task) -> Next {
        let message: Message = match serde_json::from_slice(&task.body) {
            Ok(message) => message,
            Err(e) => {
                tracing::error!(error = %e, "a notification cannot be read");
                return Next::Done;
            }
        };
        let mut parcel = Parcel { trace: message.trace, ..Parcel::new(message.text) };
        if let Some(kind) = message.kind {
            parcel.event = Some(("aws.s3".to_owned(), kind));
            parcel.resources = vec![format!("arn:aws:s3:::{}", message.bucket)];
        }
        let caller = caller(&message.account, &message.bucket);
        let Err(error) = target::deliver(&self.client, &caller, &message.arn, &parcel).await else { return Next::Done };
        let now_ms = self.clock.now_ms();
        let is_late = now_ms.saturating_sub(task.created_ms) > limits::OBJECT_NOTIFICATION_RETRY_MS;
        if is_late || !target::is_worth_another(&error) {
            tracing::warn!(error = %error, bucket = message.bucket, target = message.arn, "a notification was not taken");
            return Next::Done;
        }
        let pause_ms = 1000_u64 << task.attempts.min(8);
        Next::Retry { due_ms: now_ms + pause_ms, body: None }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn who_hears_what() {
        let rule = |events: &[&str], filters: &[(&str, &str)]| Rule {
            id: String::new(),
            arn: String::new(),
            events: events.iter().map(|&e| e.to_owned()).collect(),
            filters: filters.iter().map(|&(n, v)| (n.to_owned(), v.to_owned())).collect(),
        };
        for (events, filters, event, key, hears) in [
            (&["s3:ObjectCreated:*"][..], &[][..], "ObjectCreated:Put", "a", true),
            (&["s3:ObjectCreated:Post"], &[], "ObjectCreated:Put", "a", false),
            (&["s3:ObjectCreated:Put", "s3:ObjectRemoved:*"], &[], "ObjectRemoved:Delete", "a", true),
            (&["s3:ObjectCreated:*"], &[("prefix", "in/"), ("suffix", ".jpg")], "ObjectCreated:Put", "in/a.jpg", true),
            (&["s3:ObjectCreated:*"], &[("Prefix", "in/")], "ObjectCreated:Put", "out/a.jpg", false),
            (&["s3:ObjectCreated:*"], &[("Suffix", ".png")], "ObjectCreated:Put", "in/a.jpg", false),
        ] {
            assert_eq!(rule(events, filters).hears(event, key), hears, "{events:?} {filters:?} {event} {key}");
        }
    }

    #[test]
    fn keys_are_encoded_as_in_forms() {
        for (key, shown) in [("a b/ü+", "a+b/%C3%BC%2B"), ("x=1&y", "x%3D1%26y"), ("plain.txt", "plain.txt")] {
            assert_eq!(encoded(key), shown);
        }
    }
}
