//! What is stored of a table, an index, a stream and a backup (`docs/formats/dynamodb.md`). Items are not here: `value`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::expression::KeyNames;
use crate::value::key::KeyType;

/// Where a table is found: its name within an account and region.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    pub account: String,
    pub region: String,
    pub name: String,
}

impl Place {
    pub fn arn(&self) -> String {
        format!("arn:aws:dynamodb:{}:{}:table/{}", self.region, self.account, self.name)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyAttribute {
    pub name: String,
    pub kind: KeyType,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySchema {
    pub hash: KeyAttribute,
    pub range: Option<KeyAttribute>,
}

impl KeySchema {
    pub fn attributes(&self) -> impl Iterator<Item = &KeyAttribute> {
        std::iter::once(&self.hash).chain(&self.range)
    }

    pub fn has(&self, name: &str) -> bool {
        self.attributes().any(|attribute| attribute.name == name)
    }

    pub fn names(&self) -> KeyNames<'_> {
        KeyNames { hash: &self.hash.name, range: self.range.as_ref().map(|range| range.name.as_str()) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// Being filled from a backup; not to be read or written yet.
    Creating,
    Active,
    /// Gone for everybody; its rows are being deleted.
    Deleting,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Projection {
    All,
    KeysOnly,
    Include(Vec<String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IndexStatus {
    /// Kept up by every write, and being filled with what was there before; not to be read.
    Creating,
    Active,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// Part of the keys of its entries; never used again in this table.
    pub id: u16,
    pub name: String,
    pub is_global: bool,
    pub key: KeySchema,
    pub projection: Projection,
    pub status: IndexStatus,
    pub throughput: Option<Throughput>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throughput {
    pub read: u64,
    pub write: u64,
    pub increased_ms: Option<u64>,
    pub decreased_ms: Option<u64>,
    pub decreases: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum View {
    KeysOnly,
    NewImage,
    OldImage,
    NewAndOldImages,
}

impl View {
    pub const ALL: [(&'static str, View); 4] = [
        ("KEYS_ONLY", View::KeysOnly),
        ("NEW_IMAGE", View::NewImage),
        ("OLD_IMAGE", View::OldImage),
        ("NEW_AND_OLD_IMAGES", View::NewAndOldImages),
    ];

    pub fn parse(text: &str) -> Option<View> {
        View::ALL.iter().find(|(name, _)| *name == text).map(|(_, view)| *view)
    }

    pub fn name(self) -> &'static str {
        View::ALL.iter().find(|(_, view)| *view == self).map_or("", |(name, _)| name)
    }

    pub fn has_new(self) -> bool {
        matches!(self, View::NewImage | View::NewAndOldImages)
    }

    pub fn has_old(self) -> bool {
        matches!(self, View::OldImage | View::NewAndOldImages)
    }
}

/// A stream outlives its table and its own end by a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    pub v: u8,
    pub place: Place,
    /// When it began, as part of its ARN: `2026-11-23T10:15:30.123`.
    pub label: String,
    pub view: View,
    pub key: KeySchema,
    /// The rows of its records, which lie in the shard of the table.
    pub rows: u64,
    pub table_rows: u64,
    pub created_ms: u64,
    pub ended_ms: Option<u64>,
    /// Records before this sequence are forgotten.
    pub trimmed: u64,
}

impl Stream {
    pub fn arn(&self) -> String {
        format!("{}/stream/{}", self.place.arn(), self.label)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    pub since_ms: u64,
    pub days: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    pub document: String,
    pub revision: String,
}

/// Where a table is being or was restored from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restore {
    pub source: Place,
    pub backup_arn: Option<String>,
    /// Rows of the backup, or of the table that is taken back to a point in time.
    pub source_rows: u64,
    /// The point in time: for a backup, when it was made.
    pub at_ms: u64,
    pub is_running: bool,
}

/// A table at a point in time being written into a bucket, or that was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    pub v: u8,
    pub arn: String,
    pub place: Place,
    pub table_id: String,
    /// Where the items are put together as they were.
    pub rows: u64,
    pub source_rows: u64,
    pub at_ms: u64,
    pub started_ms: u64,
    pub ended_ms: Option<u64>,
    /// Code and message of what stopped it.
    pub failure: Option<(String, String)>,
    pub bucket: String,
    pub prefix: Option<String>,
    pub bucket_owner: Option<String>,
    pub sse: Option<(String, Option<String>)>,
    pub token: Option<String>,
    /// Whose permissions it writes with: a role, or the account's owner.
    pub role_arn: Option<String>,
    pub items: u64,
    pub bytes: u64,
    #[serde(default)]
    pub is_ion: bool,
    /// Of an export of changes: those from here on, and before `at_ms`.
    #[serde(default)]
    pub window: Option<Window>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    pub from_ms: u64,
    /// What changed items were before is written, too.
    pub with_old: bool,
    /// The names of the key's attributes.
    pub keys: Vec<String>,
}

impl Window {
    pub fn view(&self) -> &'static str {
        if self.with_old { "NEW_AND_OLD_IMAGES" } else { "NEW_IMAGE" }
    }
}

impl Export {
    /// The last part of the ARN.
    pub fn id(&self) -> &str {
        self.arn.rsplit('/').next().unwrap_or_default()
    }

    /// Where in the bucket its files are.
    pub fn folder(&self) -> String {
        format!("{}/{}", self.top(), self.id())
    }

    fn top(&self) -> String {
        let prefix = self.prefix.as_deref().map(|prefix| format!("{prefix}/")).unwrap_or_default();
        format!("{prefix}AWSDynamoDB")
    }

    /// Where its items are: those of changes lie together, so that one table can be made of all of them.
    pub fn data_folder(&self) -> String {
        let folder = if self.window.is_some() { self.top() } else { self.folder() };
        format!("{folder}/data")
    }

    pub fn format(&self) -> &'static str {
        if self.is_ion { "ION" } else { "DYNAMODB_JSON" }
    }

    pub fn kind(&self) -> &'static str {
        if self.window.is_some() { "INCREMENTAL_EXPORT" } else { "FULL_EXPORT" }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    pub v: u8,
    pub place: Place,
    pub id: String,
    /// What all of its rows begin with, and what decides its shard.
    pub rows: u64,
    pub created_ms: u64,
    pub status: Status,
    pub key: KeySchema,
    pub indexes: Vec<Index>,
    pub next_index: u16,
    /// Otherwise on demand.
    pub is_provisioned: bool,
    pub on_demand_since_ms: Option<u64>,
    pub throughput: Throughput,
    pub class: Option<String>,
    pub class_since_ms: Option<u64>,
    pub is_protected: bool,
    pub kms_key: Option<String>,
    pub tags: BTreeMap<String, String>,
    pub stream: Option<Stream>,
    pub last_stream: Option<String>,
    pub ttl: Option<String>,
    pub recovery: Option<Recovery>,
    pub policy: Option<Policy>,
    pub restore: Option<Restore>,
}

impl Table {
    pub fn index(&self, name: &str) -> Option<&Index> {
        self.indexes.iter().find(|index| index.name == name)
    }

    /// Whether entries of an index have this attribute, where their item has it.
    pub fn is_in_index(&self, index: &Index, name: &str) -> bool {
        let is_projected = match &index.projection {
            Projection::All => true,
            Projection::KeysOnly => false,
            Projection::Include(names) => names.iter().any(|included| included == name),
        };
        is_projected || self.key.has(name) || index.key.has(name)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    pub v: u8,
    pub name: String,
    pub arn: String,
    pub rows: u64,
    pub created_ms: u64,
    pub is_ready: bool,
    pub items: u64,
    pub bytes: u64,
    /// The table as it was.
    pub table: Table,
}
