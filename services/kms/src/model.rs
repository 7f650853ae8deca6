//! Keys, aliases and grants as they are stored (`docs/formats/kms.md`).

use std::collections::BTreeMap;

use cumulet_wire::call::seconds;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub const FORMAT: u32 = 1;

/// Whose keys, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub account: String,
    pub region: String,
}

impl Place {
    pub fn arn(&self, resource: &str) -> String {
        format!("arn:aws:kms:{}:{}:{resource}", self.region, self.account)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Spec {
    #[serde(rename = "SYMMETRIC_DEFAULT")]
    Symmetric,
    #[serde(rename = "HMAC_256")]
    Hmac256,
    #[serde(rename = "HMAC_384")]
    Hmac384,
    #[serde(rename = "HMAC_512")]
    Hmac512,
}

impl Spec {
    pub fn name(self) -> &'static str {
        match self {
            Spec::Symmetric => "SYMMETRIC_DEFAULT",
            Spec::Hmac256 => "HMAC_256",
            Spec::Hmac384 => "HMAC_384",
            Spec::Hmac512 => "HMAC_512",
        }
    }

    pub fn usage(self) -> &'static str {
        match self {
            Spec::Symmetric => "ENCRYPT_DECRYPT",
            _ => "GENERATE_VERIFY_MAC",
        }
    }

    /// Bytes of the material.
    pub fn bytes(self) -> usize {
        match self {
            Spec::Symmetric | Spec::Hmac256 => 32,
            Spec::Hmac384 => 48,
            Spec::Hmac512 => 64,
        }
    }

    /// What it authenticates with, where it does.
    pub fn mac(self) -> Option<&'static str> {
        match self {
            Spec::Symmetric => None,
            Spec::Hmac256 => Some("HMAC_SHA_256"),
            Spec::Hmac384 => Some("HMAC_SHA_384"),
            Spec::Hmac512 => Some("HMAC_SHA_512"),
        }
    }
}

/// One generation of a key; earlier ones still decrypt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Material {
    /// Sealed with the installation's secret, bound to the key and its place among the generations.
    pub sealed: String,
    pub since_ms: u64,
    /// `AUTOMATIC` or `ON_DEMAND`; the first has come by neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Grant {
    pub id: String,
    pub token: String,
    pub grantee: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retiring: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub operations: Vec<String>,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub constraints: Value,
    pub issuer: String,
    pub created_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Key {
    pub v: u32,
    pub id: String,
    pub description: String,
    pub spec: Spec,
    pub is_enabled: bool,
    pub created_ms: u64,
    /// When it is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone_ms: Option<u64>,
    pub policy: String,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Days between two rotations, while they are on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation_days: Option<u32>,
    pub materials: Vec<Material>,
    #[serde(default)]
    pub grants: Vec<Grant>,
}

const DAY_MS: u64 = 86_400_000;

impl Key {
    pub fn arn(&self, place: &Place) -> String {
        place.arn(&format!("key/{}", self.id))
    }

    pub fn state(&self) -> &'static str {
        match (self.gone_ms, self.is_enabled) {
            (Some(_), _) => "PendingDeletion",
            (None, true) => "Enabled",
            (None, false) => "Disabled",
        }
    }

    /// When it is rotated next, while it is.
    pub fn rotates_ms(&self) -> Option<u64> {
        let last = self.materials.last()?.since_ms;
        self.rotation_days.map(|days| last + u64::from(days) * DAY_MS)
    }

    pub fn metadata(&self, place: &Place) -> Value {
        let mut shown = json!({
            "AWSAccountId": place.account,
            "KeyId": self.id,
            "Arn": self.arn(place),
            "CreationDate": seconds(self.created_ms),
            "Enabled": self.is_enabled && self.gone_ms.is_none(),
            "Description": self.description,
            "KeyUsage": self.spec.usage(),
            "KeyState": self.state(),
            "Origin": "AWS_KMS",
            "KeyManager": "CUSTOMER",
            "CustomerMasterKeySpec": self.spec.name(),
            "KeySpec": self.spec.name(),
            "MultiRegion": false,
        });
        match self.spec.mac() {
            Some(algorithm) => shown["MacAlgorithms"] = json!([algorithm]),
            None => shown["EncryptionAlgorithms"] = json!(["SYMMETRIC_DEFAULT"]),
        }
        if let Some(gone_ms) = self.gone_ms {
            shown["DeletionDate"] = seconds(gone_ms);
        }
        shown
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alias {
    pub v: u32,
    /// With `alias/`.
    pub name: String,
    pub key: String,
    pub created_ms: u64,
    pub updated_ms: u64,
}
