//! What IAM keeps, as it is stored: one row for each thing, so that every change of it is atomic; and the shapes they
//! answer with. The bytes are fixed in `docs/formats/iam.md`.

use std::collections::{BTreeMap, BTreeSet};

use cumulet_wire::error::ApiError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::errors;
use crate::model::{Role, encode, iso_s, tag_list};

/// Something with a name in an account.
pub trait Entity: Serialize + DeserializeOwned + Send + Sync {
    /// First part of its key.
    const KIND: &'static str;
    /// In AWS's sentences.
    const NOUN: &'static str;
    fn format(&self) -> u8;
    fn account(&self) -> &str;
    fn name(&self) -> &str;
    fn path(&self) -> &str;
    fn shape(&self) -> Value;

    fn not_found(name: &str) -> ApiError {
        errors::no_such_entity(format!("The {} with name {name} cannot be found.", Self::NOUN))
    }

    fn exists(name: &str) -> ApiError {
        let noun = Self::NOUN;
        let first = noun[..1].to_ascii_uppercase();
        errors::already_exists(format!("{first}{} with name {name} already exists.", &noun[1..]))
    }
}

/// Something that policies are given to.
pub trait Holder: Entity {
    /// In the names of members: `RoleName`.
    const MEMBER: &'static str;
    /// Bytes of all inline policies together, white space not counted.
    const INLINE_CHARACTERS_MAX: usize;
    fn inline(&mut self) -> &mut BTreeMap<String, String>;
    fn attached(&mut self) -> &mut Vec<String>;
    fn policies(&self) -> (&BTreeMap<String, String>, &[String]);
}

/// Something with tags.
pub trait Tagged: Entity {
    fn tags(&mut self) -> &mut BTreeMap<String, String>;
}

macro_rules! entity {
    ($kind:ty, $key:literal, $noun:literal) => {
        const KIND: &'static str = $key;
        const NOUN: &'static str = $noun;

        fn format(&self) -> u8 {
            self.v
        }

        fn account(&self) -> &str {
            &self.account
        }

        fn name(&self) -> &str {
            &self.name
        }

        fn path(&self) -> &str {
            &self.path
        }
    };
}

macro_rules! holder {
    ($member:literal, $max:literal) => {
        const MEMBER: &'static str = $member;
        const INLINE_CHARACTERS_MAX: usize = $max;

        fn inline(&mut self) -> &mut BTreeMap<String, String> {
            &mut self.inline
        }

        fn attached(&mut self) -> &mut Vec<String> {
            &mut self.attached
        }

        fn policies(&self) -> (&BTreeMap<String, String>, &[String]) {
            (&self.inline, &self.attached)
        }
    };
}

impl Entity for Role {
    entity!(Role, "role", "role");

    fn shape(&self) -> Value {
        Role::shape(self, false)
    }
}

impl Holder for Role {
    holder!("RoleName", 10_240);
}

impl Tagged for Role {
    fn tags(&mut self) -> &mut BTreeMap<String, String> {
        &mut self.tags
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub v: u8,
    pub account: String,
    pub name: String,
    pub path: String,
    /// `AIDA…`
    pub id: String,
    pub created_ms: u64,
    pub tags: BTreeMap<String, String>,
    pub inline: BTreeMap<String, String>,
    pub attached: Vec<String>,
    pub boundary: Option<String>,
    /// Names of the groups it is in.
    pub groups: BTreeSet<String>,
    /// Ids of its access keys.
    pub keys: BTreeSet<String>,
}

impl User {
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::{}:user{}{}", self.account, self.path, self.name)
    }
}

impl Entity for User {
    entity!(User, "user", "user");

    fn shape(&self) -> Value {
        let mut shape = json!({
            "Path": self.path,
            "UserName": self.name,
            "UserId": self.id,
            "Arn": self.arn(),
            "CreateDate": iso_s(self.created_ms),
        });
        if !self.tags.is_empty() {
            shape["Tags"] = tag_list(&self.tags);
        }
        if let Some(arn) = &self.boundary {
            shape["PermissionsBoundary"] = boundary(arn);
        }
        shape
    }
}

impl Holder for User {
    holder!("UserName", 2048);
}

impl Tagged for User {
    fn tags(&mut self) -> &mut BTreeMap<String, String> {
        &mut self.tags
    }
}

/// How a permissions boundary is answered.
pub fn boundary(arn: &str) -> Value {
    json!({ "PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn })
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub v: u8,
    pub account: String,
    pub name: String,
    pub path: String,
    /// `AGPA…`
    pub id: String,
    pub created_ms: u64,
    pub inline: BTreeMap<String, String>,
    pub attached: Vec<String>,
}

impl Entity for Group {
    entity!(Group, "group", "group");

    fn shape(&self) -> Value {
        json!({
            "Path": self.path,
            "GroupName": self.name,
            "GroupId": self.id,
            "Arn": format!("arn:aws:iam::{}:group{}{}", self.account, self.path, self.name),
            "CreateDate": iso_s(self.created_ms),
        })
    }
}

impl Holder for Group {
    holder!("GroupName", 5120);
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyVersion {
    /// `v1`, `v2`, …
    pub id: String,
    /// Byte for byte as it was given.
    pub document: String,
    pub created_ms: u64,
}

/// A policy of the account's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    pub v: u8,
    pub account: String,
    pub name: String,
    pub path: String,
    /// `ANPA…`
    pub id: String,
    pub description: Option<String>,
    pub created_ms: u64,
    pub updated_ms: u64,
    pub tags: BTreeMap<String, String>,
    pub versions: Vec<PolicyVersion>,
    pub default: String,
    pub next_version: u32,
}

impl Policy {
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::{}:policy{}{}", self.account, self.path, self.name)
    }

    pub fn document(&self) -> Option<&str> {
        self.versions.iter().find(|version| version.id == self.default).map(|version| version.document.as_str())
    }

    pub fn version_shape(&self, version: &PolicyVersion, has_document: bool) -> Value {
        let mut shape = json!({
            "VersionId": version.id,
            "IsDefaultVersion": version.id == self.default,
            "CreateDate": iso_s(version.created_ms),
        });
        if has_document {
            shape["Document"] = encode(&version.document).into();
        }
        shape
    }
}

impl Entity for Policy {
    entity!(Policy, "policy", "policy");

    fn shape(&self) -> Value {
        let mut shape = json!({
            "PolicyName": self.name,
            "PolicyId": self.id,
            "Arn": self.arn(),
            "Path": self.path,
            "DefaultVersionId": self.default,
            "PermissionsBoundaryUsageCount": 0,
            "IsAttachable": true,
            "CreateDate": iso_s(self.created_ms),
            "UpdateDate": iso_s(self.updated_ms),
        });
        if let Some(description) = &self.description {
            shape["Description"] = description.clone().into();
        }
        if !self.tags.is_empty() {
            shape["Tags"] = tag_list(&self.tags);
        }
        shape
    }

    fn not_found(name: &str) -> ApiError {
        errors::no_such_entity(format!("Policy {name} was not found."))
    }

    fn exists(name: &str) -> ApiError {
        errors::already_exists(format!("A policy called {name} already exists. Duplicate names are not allowed."))
    }
}

impl Tagged for Policy {
    fn tags(&mut self) -> &mut BTreeMap<String, String> {
        &mut self.tags
    }
}

/// A name for a role; there are no machines here that could have one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    pub v: u8,
    pub account: String,
    pub name: String,
    pub path: String,
    /// `AIPA…`
    pub id: String,
    pub created_ms: u64,
    pub tags: BTreeMap<String, String>,
    /// At most one, as on AWS.
    pub role: Option<String>,
}

impl Entity for Profile {
    entity!(Profile, "profile", "instance profile");

    fn shape(&self) -> Value {
        let mut shape = json!({
            "Path": self.path,
            "InstanceProfileName": self.name,
            "InstanceProfileId": self.id,
            "Arn": format!("arn:aws:iam::{}:instance-profile{}{}", self.account, self.path, self.name),
            "CreateDate": iso_s(self.created_ms),
            "Roles": [],
        });
        if !self.tags.is_empty() {
            shape["Tags"] = tag_list(&self.tags);
        }
        shape
    }

    fn not_found(name: &str) -> ApiError {
        errors::no_such_entity(format!("Instance Profile {name} cannot be found."))
    }

    fn exists(name: &str) -> ApiError {
        errors::already_exists(format!("Instance Profile {name} already exists."))
    }
}

impl Tagged for Profile {
    fn tags(&mut self) -> &mut BTreeMap<String, String> {
        &mut self.tags
    }
}

/// An access key, by its id. Its secret is not stored: it follows from the id and the secret of sessions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKey {
    pub v: u8,
    pub account: String,
    /// `AKIA…`
    pub name: String,
    pub path: String,
    pub user: String,
    pub is_active: bool,
    pub created_ms: u64,
}

impl Entity for AccessKey {
    entity!(AccessKey, "key", "Access Key");

    fn shape(&self) -> Value {
        json!({
            "UserName": self.user,
            "AccessKeyId": self.name,
            "Status": if self.is_active { "Active" } else { "Inactive" },
            "CreateDate": iso_s(self.created_ms),
        })
    }

    fn not_found(name: &str) -> ApiError {
        errors::no_such_entity(format!("The Access Key with id {name} cannot be found."))
    }
}
