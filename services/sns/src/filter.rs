//! Filter policies: which messages a subscription wants
//! (<https://docs.aws.amazon.com/sns/latest/dg/sns-subscription-filter-policies.html>). The language is that of event
//! patterns; attributes are laid out as an event of one level.

use cumulet_base::limits::{TOPIC_FILTER_BYTES_MAX, TOPIC_FILTER_COMBINATIONS_MAX, TOPIC_FILTER_KEYS_MAX};
use cumulet_wire::error::ApiError;
use cumulet_wire::event_pattern::Pattern;
use serde_json::{Map, Value};

use crate::errors;
use crate::model::{Attribute, Message, Subscription};

/// Refuses what is no filter policy, or too much of one.
pub fn check(policy: &str, is_body: bool) -> Result<(), ApiError> {
    let refuse = |why: &str| Err(errors::invalid(format!("FilterPolicy: {why}")));
    if policy.len() > TOPIC_FILTER_BYTES_MAX {
        return refuse("Filter policy is too large");
    }
    let value: Value = match serde_json::from_str(policy) {
        Ok(value) => value,
        Err(_) => return refuse("failed to parse JSON."),
    };
    // An empty one wants everything.
    if value.as_object().is_some_and(Map::is_empty) {
        return Ok(());
    }
    if let Err(error) = Pattern::new(&value) {
        return refuse(&error.to_string());
    }
    let mut size = Size { keys: 0, combinations: 1 };
    let Some(members) = value.as_object() else { return refuse("Filter policy must be an object") };
    if !is_body && members.iter().any(|(name, value)| name != "$or" && value.is_object()) {
        return refuse("Filter policy scope MessageAttributes does not support nested filter policy");
    }
    size.count(members, 1);
    if size.keys > TOPIC_FILTER_KEYS_MAX {
        return refuse("Filter policy can not have more than 5 keys");
    }
    if size.combinations > TOPIC_FILTER_COMBINATIONS_MAX {
        return refuse("Filter policy is too complex");
    }
    Ok(())
}

struct Size {
    keys: usize,
    combinations: u64,
}

impl Size {
    /// Values of all keys multiplied, each as often as it is deep.
    fn count(&mut self, members: &Map<String, Value>, depth: u64) {
        for (name, value) in members {
            match value {
                Value::Object(nested) => self.count(nested, depth + 1),
                Value::Array(list) if name == "$or" && list.iter().all(Value::is_object) && list.len() > 1 => {
                    list.iter().filter_map(Value::as_object).for_each(|one| self.count(one, depth));
                }
                Value::Array(list) => {
                    self.keys += 1;
                    self.combinations = self.combinations.saturating_mul((list.len() as u64).saturating_mul(depth));
                }
                _ => {}
            }
        }
    }
}

/// Whether the subscription wants the message. A policy that cannot be read wants nothing: none such was ever accepted.
pub fn wants(subscription: &Subscription, message: &Message) -> bool {
    let Some(policy) = subscription.attributes.get("FilterPolicy").filter(|policy| !policy.is_empty()) else {
        return true;
    };
    let Ok(value) = serde_json::from_str::<Value>(policy) else { return false };
    if value.as_object().is_some_and(Map::is_empty) {
        return true;
    }
    let Ok(pattern) = Pattern::new(&value) else { return false };
    if subscription.attributes.get("FilterPolicyScope").is_some_and(|scope| scope == "MessageBody") {
        // A body that is no JSON has no properties to be asked for.
        return serde_json::from_str(message.text_for(subscription.protocol)).is_ok_and(|body| pattern.matches(&body));
    }
    pattern.matches(&message.attributes.iter().filter_map(laid_out).collect())
}

fn laid_out((name, attribute): (&String, &Attribute)) -> Option<(String, Value)> {
    let text = attribute.string_value.as_ref()?;
    let value = match attribute.data_type.as_str() {
        "Number" => serde_json::from_str(text).ok()?,
        "String.Array" => serde_json::from_str(text).ok()?,
        _ => Value::String(text.clone()),
    };
    Some((name.clone(), value))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::Protocol;

    fn wanted(policy: &str, scope: &str, attributes: &[(&str, &str, &str)], body: &str) -> bool {
        let subscription = Subscription {
            v: 1,
            id: "s".into(),
            created_ms: 0,
            protocol: Protocol::Sqs,
            endpoint: String::new(),
            attributes: BTreeMap::from([
                ("FilterPolicy".to_owned(), policy.to_owned()),
                ("FilterPolicyScope".to_owned(), scope.to_owned()),
            ]),
            token: None,
            is_authenticated: false,
            host: String::new(),
        };
        let attribute = |(name, kind, value): &(&str, &str, &str)| {
            let value = Some((*value).to_owned());
            let binary = (*kind == "Binary").then(|| value.clone()).flatten();
            let string = (*kind != "Binary").then_some(value).flatten();
            ((*name).to_owned(), Attribute { data_type: (*kind).into(), string_value: string, binary_value: binary })
        };
        let message = Message {
            id: "m".into(),
            sent_ms: 0,
            subject: None,
            text: body.into(),
            by_protocol: BTreeMap::new(),
            attributes: attributes.iter().map(attribute).collect(),
            group: None,
            deduplication: None,
            sequence: None,
            signature_version: 1,
            trace: None,
        };
        check(policy, scope == "MessageBody").unwrap();
        wants(&subscription, &message)
    }

    #[test]
    fn by_attributes() {
        let by =
            |policy: &str, attributes: &[(&str, &str, &str)]| wanted(policy, "MessageAttributes", attributes, "{}");
        assert!(by(r#"{"store":["a"]}"#, &[("store", "String", "a")]));
        assert!(!by(r#"{"store":["a"]}"#, &[("store", "String", "b")]));
        assert!(!by(r#"{"store":["a"]}"#, &[]));
        assert!(by("{}", &[]));
        assert!(by(r#"{"price":[{"numeric":[">=",100]}]}"#, &[("price", "Number", "100.5")]));
        assert!(!by(r#"{"price":[{"numeric":[">=",100]}]}"#, &[("price", "String", "100.5")]));
        assert!(by(r#"{"tags":["x"]}"#, &[("tags", "String.Array", r#"["w","x"]"#)]));
        assert!(!by(r#"{"raw":[{"exists":true}]}"#, &[("raw", "Binary", "eA==")]));
        assert!(by(r#"{"gone":[{"exists":false}]}"#, &[]));
        assert!(by(r#"{"$or":[{"a":["1"]},{"b":[{"prefix":"x"}]}]}"#, &[("b", "String", "xy")]));
    }

    #[test]
    fn by_body() {
        let by = |policy: &str, body: &str| wanted(policy, "MessageBody", &[], body);
        assert!(by(r#"{"order":{"state":["paid"]}}"#, r#"{"order":{"state":"paid"}}"#));
        assert!(!by(r#"{"order":{"state":["paid"]}}"#, "no JSON"));
        assert!(!by(r#"{"order":{"state":["paid"]}}"#, r#"{"order":{}}"#));
    }

    #[test]
    fn what_is_no_policy() {
        for (policy, is_body) in [
            ("[]", false),
            ("{", false),
            (r#"{"a":"b"}"#, false),
            (r#"{"a":{"b":["c"]}}"#, false),
            (r#"{"a":[1],"b":[1],"c":[1],"d":[1],"e":[1],"f":[1]}"#, true),
            (r#"{"a":[1,2,3,4,5,6],"b":[1,2,3,4,5,6],"c":[1,2,3,4,5]}"#, false),
        ] {
            assert_eq!(check(policy, is_body).unwrap_err().code, "InvalidParameter", "{policy}");
        }
    }
}
