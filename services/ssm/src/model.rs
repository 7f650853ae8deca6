//! Parameters as they are stored, and the shapes they answer with. The bytes are fixed in `docs/formats/ssm.md`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Version of the stored form.
pub const FORMAT: u8 = 1;

pub const SECURE: &str = "SecureString";
pub const KEY: &str = "alias/aws/ssm";

/// Whose parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub account: String,
    pub region: String,
    pub name: String,
}

impl Place {
    pub fn arn(&self) -> String {
        let name = self.name.trim_start_matches('/');
        format!("arn:aws:ssm:{}:{}:parameter/{name}", self.region, self.account)
    }

    /// What a secure string is bound to.
    pub fn binding(&self, version: u64) -> String {
        format!("{}\n{}\n{}\n{version}", self.account, self.region, self.name)
    }
}

/// A parameter: which versions there are, and the last of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    pub v: u8,
    pub name: String,
    /// The number of the oldest version that is kept.
    pub oldest: u64,
    pub last: Version,
    /// Which version has which label.
    pub labels: BTreeMap<String, u64>,
    pub tags: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    pub number: u64,
    pub kind: String,
    /// Of secure strings the sealed text.
    pub value: String,
    pub modified_ms: u64,
    pub user: String,
    pub description: Option<String>,
    pub allowed_pattern: Option<String>,
    pub tier: String,
    pub data_type: String,
    /// The key a secure string was given, where it is another than the account's own: its name, as all are sealed with the
    /// installation's secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl Parameter {
    pub fn labels_of(&self, version: u64) -> BTreeSet<&str> {
        self.labels.iter().filter(|(_, of)| **of == version).map(|(label, _)| label.as_str()).collect()
    }
}

/// Seconds since 1970, as JSON protocols write times.
pub fn seconds(ms: u64) -> Value {
    #[allow(clippy::cast_precision_loss)]
    let seconds = ms as f64 / 1000.0;
    seconds.into()
}

impl Version {
    /// AWS's `Parameter`, with the value as it is to be seen.
    pub fn shape(&self, place: &Place, value: &str, selector: Option<&str>) -> Value {
        let mut shape = json!({
            "Name": place.name,
            "Type": self.kind,
            "Value": value,
            "Version": self.number,
            "LastModifiedDate": seconds(self.modified_ms),
            "ARN": place.arn(),
            "DataType": self.data_type,
        });
        if let Some(selector) = selector {
            shape["Selector"] = format!(":{selector}").into();
        }
        shape
    }

    /// The members that `ParameterMetadata` and `ParameterHistory` share.
    pub fn metadata(&self, place: &Place) -> Value {
        let mut shape = json!({
            "Name": place.name,
            "Type": self.kind,
            "LastModifiedDate": seconds(self.modified_ms),
            "LastModifiedUser": self.user,
            "Version": self.number,
            "Tier": self.tier,
            "Policies": [],
            "DataType": self.data_type,
        });
        let more = [("Description", &self.description), ("AllowedPattern", &self.allowed_pattern)];
        for (member, value) in more {
            if let Some(value) = value {
                shape[member] = value.clone().into();
            }
        }
        if self.kind == SECURE {
            shape["KeyId"] = self.key.as_deref().unwrap_or(KEY).into();
        }
        shape
    }
}
