//! The MD5s that clients check
//! (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html>).

use std::collections::BTreeMap;

use md5::{Digest, Md5};
use sha2::Sha256;

use crate::model::Attribute;

pub fn of_body(body: &str) -> String {
    hex::encode(Md5::digest(body.as_bytes()))
}

/// The deduplication id of a body, where the queue makes them of the content.
pub fn sha256(body: &str) -> String {
    hex::encode(Sha256::digest(body.as_bytes()))
}

/// The trace header is the one system attribute that is sent.
pub fn of_trace(header: &str) -> Option<String> {
    let attribute =
        Attribute { data_type: "String".to_owned(), string_value: Some(header.to_owned()), binary_value: None };
    of_attributes(&BTreeMap::from([("AWSTraceHeader".to_owned(), attribute)]))
}

/// Name, type, kind and value of each attribute in the order of the names, each with its length before it.
pub fn of_attributes(attributes: &BTreeMap<String, Attribute>) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    let mut digest = Md5::new();
    let mut part = |kind: Option<u8>, bytes: &[u8]| {
        if let Some(kind) = kind {
            digest.update([kind]);
        }
        digest.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        digest.update(bytes);
    };
    for (name, attribute) in attributes {
        part(None, name.as_bytes());
        part(None, attribute.data_type.as_bytes());
        match attribute.bytes() {
            Some(bytes) => part(Some(2), &bytes),
            None => part(Some(1), attribute.string_value.as_deref().unwrap_or_default().as_bytes()),
        }
    }
    Some(hex::encode(digest.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_and_attributes() {
        assert_eq!(of_body("hello"), "5d41402abc4b2a76b9719d911017c592");
        assert_eq!(of_attributes(&BTreeMap::new()), None);
        let text = |value: &str| Attribute {
            data_type: "String".to_owned(),
            string_value: Some(value.to_owned()),
            binary_value: None,
        };
        let one = BTreeMap::from([("a".to_owned(), text("b"))]);
        // md5 of 00000001 61 00000006 "String" 01 00000001 62.
        let mut by_hand = Vec::new();
        by_hand.extend([0, 0, 0, 1, b'a', 0, 0, 0, 6]);
        by_hand.extend(b"String");
        by_hand.extend([1, 0, 0, 0, 1, b'b']);
        assert_eq!(of_attributes(&one), Some(hex::encode(Md5::digest(&by_hand))));
    }
}
