//! Secrets as they are stored. The bytes are fixed in `docs/formats/secretsmanager.md`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Version of the stored form.
pub const FORMAT: u8 = 1;

pub const CURRENT: &str = "AWSCURRENT";
pub const PREVIOUS: &str = "AWSPREVIOUS";

/// Whose secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub account: String,
    pub region: String,
    pub name: String,
}

impl Place {
    /// What the text of a version is bound to when it is sealed.
    pub fn binding(&self, version: &str) -> String {
        format!("{}\n{}\n{}\n{version}", self.account, self.region, self.name)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    pub v: u8,
    pub name: String,
    /// Six characters that tell it from an earlier one of the same name.
    pub suffix: String,
    pub description: Option<String>,
    pub key: Option<String>,
    pub tags: BTreeMap<String, String>,
    pub created_ms: u64,
    pub changed_ms: u64,
    /// To the day.
    pub accessed_ms: Option<u64>,
    /// It is gone after this.
    pub gone_ms: Option<u64>,
    /// When that was asked for.
    pub deleted_ms: Option<u64>,
    pub policy: Option<String>,
    /// By their ids.
    pub versions: BTreeMap<String, Version>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    pub created_ms: u64,
    pub stages: BTreeSet<String>,
    /// Told by a digest, so that a request that comes twice is known.
    pub digest: String,
}

/// What a version holds: sealed, as it lies in a row of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    pub is_binary: bool,
    pub text: String,
}

/// Seconds since 1970, as JSON protocols write times.
pub fn seconds(ms: u64) -> Value {
    (ms as f64 / 1000.0).into()
}

impl Secret {
    pub fn arn(&self, place: &Place) -> String {
        format!("arn:aws:secretsmanager:{}:{}:secret:{}-{}", place.region, place.account, self.name, self.suffix)
    }

    pub fn with_stage(&self, stage: &str) -> Option<&str> {
        self.versions.iter().find(|(_, version)| version.stages.contains(stage)).map(|(id, _)| id.as_str())
    }

    /// Takes a label from whichever version has it, and gives it to this one. Who was current is now the one before.
    pub fn move_stage(&mut self, stage: &str, to: Option<&str>) {
        let from = self.with_stage(stage).map(str::to_owned);
        if from.as_deref() == to {
            return;
        }
        for version in self.versions.values_mut() {
            version.stages.remove(stage);
        }
        if let Some(version) = to.and_then(|to| self.versions.get_mut(to)) {
            version.stages.insert(stage.to_owned());
        }
        if let (CURRENT, Some(from)) = (stage, from) {
            self.move_stage(PREVIOUS, Some(&from));
        }
    }

    fn stages(&self) -> Value {
        let kept = self.versions.iter().filter(|(_, version)| !version.stages.is_empty());
        kept.map(|(id, version)| (id.clone(), json!(version.stages))).collect::<serde_json::Map<_, _>>().into()
    }

    /// AWS's `DescribeSecretResponse`, and with another name for the stages its `SecretListEntry`.
    pub fn shape(&self, place: &Place, stages: &str) -> Value {
        let tags: Vec<Value> = self.tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
        let mut shape = json!({
            "ARN": self.arn(place),
            "Name": self.name,
            "CreatedDate": seconds(self.created_ms),
            "LastChangedDate": seconds(self.changed_ms),
            "Tags": tags,
        });
        shape[stages] = self.stages();
        let texts = [("Description", &self.description), ("KmsKeyId", &self.key)];
        for (member, value) in texts.into_iter().filter_map(|(member, value)| Some((member, value.as_ref()?))) {
            shape[member] = json!(value);
        }
        let times = [("LastAccessedDate", self.accessed_ms), ("DeletedDate", self.deleted_ms)];
        for (member, ms) in times.into_iter().filter_map(|(member, ms)| Some((member, ms?))) {
            shape[member] = seconds(ms);
        }
        shape
    }
}
