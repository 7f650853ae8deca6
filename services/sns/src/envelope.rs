//! How a message is written for each kind of endpoint
//! (<https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html>).

use cumulet_base::clock::iso_ms;
use serde_json::{Map, Value, json};

use crate::model::{Attribute, Message, Place, Protocol, Subscription};

/// What was signed, and where its certificate is.
#[derive(Clone, Debug, Default)]
pub struct Signature {
    pub value: String,
    pub certificate_url: String,
}

/// Numbers of FIFO topics are of one length, so that they can be compared as text.
pub fn sequence_number(sequence: u64) -> String {
    format!("{sequence:020}")
}

/// What a notification's signature is over.
pub fn to_sign(topic: &Place, message: &Message, protocol: Protocol) -> String {
    let mut text = format!("Message\n{}\nMessageId\n{}\n", message.text_for(protocol), message.id);
    if let Some(subject) = &message.subject {
        text.push_str(&format!("Subject\n{subject}\n"));
    }
    let sent = iso_ms(message.sent_ms);
    text.push_str(&format!("Timestamp\n{sent}\nTopicArn\n{}\nType\nNotification\n", topic.arn()));
    text
}

fn attributes(message: &Message) -> Map<String, Value> {
    let shown = |(name, attribute): (&String, &Attribute)| {
        (name.clone(), json!({"Type": attribute.data_type, "Value": attribute.text()}))
    };
    message.attributes.iter().map(shown).collect()
}

pub fn unsubscribe_url(topic: &Place, subscription: &Subscription) -> String {
    let arn = subscription.arn(topic);
    format!("http://{}{}?Action=Unsubscribe&SubscriptionArn={arn}", subscription.host, crate::plane::PATH)
}

/// For queues and web endpoints.
pub fn notification(
    topic: &Place,
    subscription: &Subscription,
    message: &Message,
    signature: Option<&Signature>,
) -> String {
    let mut members: Vec<(&str, Value)> = vec![("Type", json!("Notification")), ("MessageId", json!(message.id))];
    if let Some(sequence) = message.sequence {
        members.push(("SequenceNumber", json!(sequence_number(sequence))));
    }
    members.push(("TopicArn", json!(topic.arn())));
    if let Some(subject) = &message.subject {
        members.push(("Subject", json!(subject)));
    }
    members.push(("Message", json!(message.text_for(subscription.protocol))));
    members.push(("Timestamp", json!(iso_ms(message.sent_ms))));
    if let Some(signature) = signature {
        members.push(("SignatureVersion", json!(message.signature_version.to_string())));
        members.push(("Signature", json!(signature.value)));
        members.push(("SigningCertURL", json!(signature.certificate_url)));
    }
    members.push(("UnsubscribeURL", json!(unsubscribe_url(topic, subscription))));
    if !message.attributes.is_empty() {
        members.push(("MessageAttributes", attributes(message).into()));
    }
    written(&members)
}

/// One member on each line, a space before and after the colon.
fn written(members: &[(&str, Value)]) -> String {
    let line = |(name, value): &(&str, Value)| match value {
        Value::Object(inner) => {
            let inner: Vec<String> = inner
                .iter()
                .map(|(name, value)| {
                    let (kind, text) = (&value["Type"], &value["Value"]);
                    format!("    {} : {{\"Type\":{kind},\"Value\":{text}}}", json!(name))
                })
                .collect();
            format!("  \"{name}\" : {{\n{}\n  }}", inner.join(",\n"))
        }
        value => format!("  \"{name}\" : {value}"),
    };
    format!("{{\n{}\n}}", members.iter().map(line).collect::<Vec<_>>().join(",\n"))
}

/// For functions.
pub fn records(topic: &Place, subscription: &Subscription, message: &Message, signature: Option<&Signature>) -> Value {
    let none = Signature::default();
    let signature = signature.unwrap_or(&none);
    let mut sns = json!({
        "SignatureVersion": message.signature_version.to_string(),
        "Timestamp": iso_ms(message.sent_ms),
        "Signature": signature.value,
        "SigningCertUrl": signature.certificate_url,
        "MessageId": message.id,
        "Message": message.text_for(subscription.protocol),
        "MessageAttributes": attributes(message),
        "Type": "Notification",
        "UnsubscribeUrl": unsubscribe_url(topic, subscription),
        "TopicArn": topic.arn(),
        "Subject": message.subject,
    });
    if let Some(sequence) = message.sequence {
        sns["SequenceNumber"] = json!(sequence_number(sequence));
    }
    json!({"Records": [{
        "EventSource": "aws:sns",
        "EventVersion": "1.0",
        "EventSubscriptionArn": subscription.arn(topic),
        "Sns": sns,
    }]})
}

/// The question to a web endpoint whether it wants what it was subscribed to.
pub struct Confirmation {
    pub id: String,
    pub sent_ms: u64,
    pub token: String,
    pub url: String,
}

const QUESTION: &str = "You have chosen to subscribe to the topic";

impl Confirmation {
    fn text(topic: &Place) -> String {
        format!(
            "{QUESTION} {}.\nTo confirm the subscription, visit the SubscribeURL included in this message.",
            topic.arn()
        )
    }

    pub fn to_sign(&self, topic: &Place) -> String {
        format!(
            "Message\n{}\nMessageId\n{}\nSubscribeURL\n{}\nTimestamp\n{}\nToken\n{}\nTopicArn\n{}\nType\n\
             SubscriptionConfirmation\n",
            Confirmation::text(topic),
            self.id,
            self.url,
            iso_ms(self.sent_ms),
            self.token,
            topic.arn()
        )
    }

    pub fn body(&self, topic: &Place, version: u8, signature: &Signature) -> String {
        written(&[
            ("Type", json!("SubscriptionConfirmation")),
            ("MessageId", json!(self.id)),
            ("Token", json!(self.token)),
            ("TopicArn", json!(topic.arn())),
            ("Message", json!(Confirmation::text(topic))),
            ("SubscribeURL", json!(self.url)),
            ("Timestamp", json!(iso_ms(self.sent_ms))),
            ("SignatureVersion", json!(version.to_string())),
            ("Signature", json!(signature.value)),
            ("SigningCertURL", json!(signature.certificate_url)),
        ])
    }
}
