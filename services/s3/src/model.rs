//! What is stored of buckets, objects and uploads; `docs/formats/s3.md` fixes it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bucket {
    pub account: String,
    pub region: String,
    pub created_ms: u64,
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
    Blob(String),
    /// In the blobs of the parts of this upload, whose rows are kept.
    Parts(String),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Object {
    pub size: u64,
    pub etag: String,
    pub modified_ms: u64,
    pub attributes: Attributes,
    pub sum: Option<Sum>,
    pub place: Place,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Upload {
    pub initiated_ms: u64,
    pub attributes: Attributes,
    pub algorithm: String,
    pub is_composite: bool,
    /// The client named no algorithm: its parts may bring any.
    pub is_implied: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Part {
    pub blob: String,
    pub size: u64,
    pub etag: String,
    pub modified_ms: u64,
    pub sum: Option<Sum>,
}
