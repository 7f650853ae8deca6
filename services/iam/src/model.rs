//! A role as it is stored, and the shapes it answers with. One row holds all of a role, so that every change of it is
//! atomic. The bytes are fixed in `docs/formats/iam.md`.

use std::collections::BTreeMap;

use cumulet_base::clock;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Version of the stored form.
pub const FORMAT: u8 = 1;

/// What RFC 3986 leaves as it is: policy documents are answered so.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    pub v: u8,
    pub account: String,
    pub name: String,
    pub path: String,
    /// `AROA…`
    pub id: String,
    pub description: Option<String>,
    pub max_session_s: u32,
    /// The trust policy, byte for byte as it was given.
    pub trust: String,
    pub created_ms: u64,
    pub tags: BTreeMap<String, String>,
    /// Documents of inline policies by name, byte for byte.
    pub inline: BTreeMap<String, String>,
    /// ARNs of attached policies.
    pub attached: Vec<String>,
    /// ARN of the policy that bounds what the others give.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boundary: Option<String>,
}

impl Role {
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::{}:role{}{}", self.account, self.path, self.name)
    }

    /// AWS's `Role`; lists of roles leave the tags out.
    pub fn shape(&self, has_tags: bool) -> Value {
        let mut shape = json!({
            "Path": self.path,
            "RoleName": self.name,
            "RoleId": self.id,
            "Arn": self.arn(),
            "CreateDate": iso_s(self.created_ms),
            "AssumeRolePolicyDocument": encode(&self.trust),
            "MaxSessionDuration": self.max_session_s,
        });
        if let Some(description) = &self.description {
            shape["Description"] = json!(description);
        }
        if let Some(arn) = &self.boundary {
            shape["PermissionsBoundary"] = crate::entities::boundary(arn);
        }
        if has_tags && !self.tags.is_empty() {
            shape["Tags"] = tag_list(&self.tags);
        }
        shape
    }
}

pub fn tag_list(tags: &BTreeMap<String, String>) -> Value {
    tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect()
}

/// A policy document as IAM answers it.
pub fn encode(document: &str) -> String {
    utf8_percent_encode(document, RESERVED).to_string()
}

/// `2026-11-23T10:15:30Z`
pub fn iso_s(ms: u64) -> String {
    let mut text = clock::iso_ms(ms);
    text.truncate("2026-11-23T10:15:30".len());
    text.push('Z');
    text
}
