//! What is stored of buckets, objects and uploads; `docs/formats/s3.md` fixes it. Members that came later have defaults,
//! which mean what was so before them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::notify::Notifications;

/// What every request needs of a bucket; its larger documents are rows of their own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bucket {
    pub account: String,
    pub region: String,
    pub created_ms: u64,
    #[serde(default)]
    pub versioning: Versioning,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<Lock>,
    /// As new buckets of AWS have been since 2023: nothing public, no ACLs.
    #[serde(default)]
    pub block: Block,
    #[serde(default)]
    pub ownership: Ownership,
    /// The canned ACL, where it is another than `private`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acl: Option<String>,
    #[serde(default, skip_serializing_if = "Notifications::is_empty")]
    pub notifications: Notifications,
}

impl Bucket {
    pub fn new(account: String, region: String, created_ms: u64) -> Bucket {
        Bucket {
            account,
            region,
            created_ms,
            versioning: Versioning::Never,
            lock: None,
            block: Block::default(),
            ownership: Ownership::default(),
            acl: None,
            notifications: Notifications::default(),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Versioning {
    #[default]
    Never,
    Enabled,
    Suspended,
}

/// Object lock: it is on, and what new objects get.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    pub mode: Option<Mode>,
    pub days: u64,
    /// Said in years, and so shown.
    pub is_years: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    Governance,
    Compliance,
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Mode::Governance => "GOVERNANCE",
            Mode::Compliance => "COMPLIANCE",
        }
    }

    pub fn parse(name: &str) -> Option<Mode> {
        [Mode::Governance, Mode::Compliance].into_iter().find(|mode| mode.name() == name)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    pub mode: Mode,
    pub until_ms: u64,
}

/// The public access block; `is_set` says whether there is one at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools)]
pub struct Block {
    pub is_set: bool,
    pub acls: bool,
    pub ignores_acls: bool,
    pub policy: bool,
    pub restricts: bool,
}

impl Default for Block {
    fn default() -> Block {
        Block { is_set: true, acls: true, ignores_acls: true, policy: true, restricts: true }
    }
}

impl Block {
    pub const NONE: Block = Block { is_set: false, acls: false, ignores_acls: false, policy: false, restricts: false };
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ownership {
    /// No ACLs at all.
    #[default]
    BucketOwnerEnforced,
    BucketOwnerPreferred,
    ObjectWriter,
    /// The controls were deleted: ACLs count, as with `ObjectWriter`.
    Unset,
}

/// What a client said about an object and gets back with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    pub content_type: Option<String>,
    pub cache_control: Option<String>,
    pub content_disposition: Option<String>,
    pub content_encoding: Option<String>,
    pub content_language: Option<String>,
    pub expires_s: Option<i64>,
    pub metadata: BTreeMap<String, String>,
    /// Where a website sends those who ask for the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<String>,
    /// As asked for, where it is another than `STANDARD`; all are kept alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    /// Encryption with a key of KMS, where the client asked for it: a name, as the disk's keys are the installation's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encryption {
    /// `aws:kms` or `aws:kms:dsse`.
    pub algorithm: String,
    pub key: Option<String>,
}

/// What is said of an object beside its bytes and may change after it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<(String, String)>,
    /// The canned ACL, where it is another than `private`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acl: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_held: bool,
    /// It was said at one time whether there is a hold: only then can it be asked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_hold: bool,
    /// The storage class that a lifecycle rule has moved it to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_to: Option<String>,
}

impl Marks {
    fn is_empty(&self) -> bool {
        *self == Marks::default()
    }
}

/// A checksum in base64, by AWS's name of its algorithm; composite ones are made of the parts' and end in `-N`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    pub algorithm: String,
    pub value: String,
    pub is_composite: bool,
}

/// Where an object's bytes are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// In the store, in a row beside the record.
    Inline,
    /// In the store, in a row of the version's own.
    InlineOf(String),
    Blob(String),
    /// In the blobs of the parts of this upload, whose rows are kept.
    Parts(String),
}

/// Which of a key's versions a record is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Newer ones are smaller.
    pub id: String,
    /// Shown as `null`: written while versions were not kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_null: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_marker: bool,
}

impl Default for Version {
    /// That of objects from before there were versions: the oldest of all.
    fn default() -> Version {
        Version { id: "f".repeat(32), is_null: true, is_marker: false }
    }
}

impl Version {
    /// The one that a change gets which read the shard at a revision: whatever changes the key later reads a later one.
    pub fn following(rev: u64) -> Version {
        Version {
            id: format!("{:016x}{}", u64::MAX - rev, cumulet_base::id::hex(16)),
            is_null: false,
            is_marker: false,
        }
    }

    pub fn is_first(&self) -> bool {
        self.id.bytes().all(|byte| byte == b'f') && self.is_null && !self.is_marker
    }

    /// Whether a text can be the id of a version at all.
    pub fn is_id(text: &str) -> bool {
        text == "null"
            || text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Object {
    pub size: u64,
    pub etag: String,
    pub modified_ms: u64,
    pub attributes: Attributes,
    pub sum: Option<Sum>,
    pub place: Place,
    #[serde(default, skip_serializing_if = "Version::is_first")]
    pub version: Version,
    #[serde(default, skip_serializing_if = "Marks::is_empty")]
    pub marks: Marks,
}

impl Object {
    /// The version as clients see it.
    pub fn version_id(&self) -> &str {
        if self.version.is_null { "null" } else { &self.version.id }
    }

    /// Its storage class, where that is another than `STANDARD`.
    pub fn storage_class(&self) -> Option<&str> {
        self.marks.moved_to.as_deref().or(self.attributes.storage_class.as_deref())
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Upload {
    pub initiated_ms: u64,
    pub attributes: Attributes,
    pub algorithm: String,
    pub is_composite: bool,
    /// The client named no algorithm: its parts may bring any.
    pub is_implied: bool,
    #[serde(default, skip_serializing_if = "Marks::is_empty")]
    pub marks: Marks,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Part {
    pub blob: String,
    pub size: u64,
    pub etag: String,
    pub modified_ms: u64,
    pub sum: Option<Sum>,
}
