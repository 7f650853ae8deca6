//! A function as it is stored, and the shapes it answers with. One row holds all of a function, so that every change
//! of it is atomic. The bytes are fixed in `docs/formats/lambda.md`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cumulet_base::{clock, id};
use cumulet_engine::function::FunctionVersion;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::names::LATEST;

/// Version of the stored form.
pub const FORMAT: u8 = 1;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Function {
    pub v: u8,
    pub account: String,
    pub region: String,
    pub name: String,
    pub runtime: String,
    pub handler: String,
    pub role: String,
    pub description: String,
    pub timeout_s: u32,
    pub memory_mb: u32,
    pub ephemeral_mb: u32,
    pub environment: Option<BTreeMap<String, String>>,
    pub architecture: String,
    pub tracing_mode: String,
    pub snap_start: String,
    pub logging: Logging,
    /// SHA-256 of the zip, hexadecimal.
    pub code_digest: String,
    pub code_bytes: u64,
    pub modified_ms: u64,
    /// AWS's `RevisionId`: new at every change, of the policy too.
    pub revision_id: String,
    /// New when code or configuration change: instances live and die by it.
    pub instance_revision: String,
    pub concurrency_max: Option<u32>,
    pub tags: BTreeMap<String, String>,
    /// Statements of the resource policy as AWS writes them.
    pub policy: Vec<Value>,
    pub url: Option<Url>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Logging {
    pub format: String,
    pub group: String,
    pub application_level: Option<String>,
    pub system_level: Option<String>,
}

/// A function URL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Url {
    pub id: String,
    pub auth_type: String,
    pub cors: Option<Cors>,
    pub created_ms: u64,
    pub modified_ms: u64,
}

/// <https://docs.aws.amazon.com/lambda/latest/api/API_Cors.html>
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Cors {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_credentials: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_headers: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_methods: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_origins: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expose_headers: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u32>,
}

/// Which function a URL id belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UrlOwner {
    pub v: u8,
    pub account: String,
    pub region: String,
    pub name: String,
}

impl Function {
    pub fn arn(&self) -> String {
        format!("arn:aws:lambda:{}:{}:function:{}", self.region, self.account, self.name)
    }

    /// Marks a change that does not concern instances: policy, tags, URL.
    pub fn touch(&mut self) {
        self.revision_id = id::uuid();
    }

    /// Marks a change of code or configuration.
    pub fn revise(&mut self, now_ms: u64) {
        self.touch();
        self.instance_revision = id::uuid();
        self.modified_ms = now_ms;
    }

    /// `None` when the runtime is one that this version of the platform does not know.
    pub fn version(&self) -> Option<FunctionVersion> {
        Some(FunctionVersion {
            account: self.account.clone(),
            region: self.region.clone(),
            name: self.name.clone(),
            version: LATEST.to_owned(),
            revision: self.instance_revision.clone(),
            runtime: self.runtime.parse().ok()?,
            handler: self.handler.clone(),
            memory_mb: self.memory_mb,
            timeout_ms: u64::from(self.timeout_s) * 1000,
            ephemeral_mb: self.ephemeral_mb,
            environment: self.environment.clone().unwrap_or_default(),
            code_digest: self.code_digest.clone(),
            role_arn: self.role.clone(),
            log_group: self.logging.group.clone(),
            concurrency_max: self.concurrency_max.map(|n| n as usize),
            snap_start: self.snap_start != "None",
        })
    }

    /// The SHA-256 of the zip in base64, as AWS gives it.
    pub fn code_sha256(&self) -> String {
        hex::decode(&self.code_digest).map(|bytes| STANDARD.encode(bytes)).unwrap_or_default()
    }

    /// AWS's `FunctionConfiguration`. State is `Active` at once: nothing is left to be done when a change is durable.
    pub fn configuration(&self, is_qualified: bool) -> Value {
        let arn = if is_qualified { format!("{}:{LATEST}", self.arn()) } else { self.arn() };
        let mut logging = json!({"LogFormat": self.logging.format});
        if let Some(level) = &self.logging.application_level {
            logging["ApplicationLogLevel"] = json!(level);
        }
        if let Some(level) = &self.logging.system_level {
            logging["SystemLogLevel"] = json!(level);
        }
        logging["LogGroup"] = json!(self.logging.group);
        let mut shape = json!({
            "FunctionName": self.name,
            "FunctionArn": arn,
            "Runtime": self.runtime,
            "Role": self.role,
            "Handler": self.handler,
            "CodeSize": self.code_bytes,
            "Description": self.description,
            "Timeout": self.timeout_s,
            "MemorySize": self.memory_mb,
            "LastModified": clock::iso_ms_offset(self.modified_ms),
            "CodeSha256": self.code_sha256(),
            "Version": LATEST,
            "TracingConfig": {"Mode": self.tracing_mode},
            "RevisionId": self.revision_id,
            "State": "Active",
            "LastUpdateStatus": "Successful",
            "PackageType": "Zip",
            "Architectures": [self.architecture],
            "EphemeralStorage": {"Size": self.ephemeral_mb},
            "SnapStart": {"ApplyOn": self.snap_start, "OptimizationStatus": "Off"},
            "LoggingConfig": logging,
        });
        if let Some(variables) = &self.environment {
            shape["Environment"] = json!({"Variables": variables});
        }
        shape
    }

    /// AWS's `FunctionUrlConfig`; the host of the URL follows from the one the caller used.
    pub fn url_config(&self, url: &Url, host: &str) -> Value {
        let mut shape = json!({
            "FunctionUrl": format!("http://{}/", url_host(&url.id, &self.region, host)),
            "FunctionArn": self.arn(),
            "AuthType": url.auth_type,
            "CreationTime": clock::iso_ms(url.created_ms),
            "LastModifiedTime": clock::iso_ms(url.modified_ms),
            "InvokeMode": "BUFFERED",
        });
        if let Some(cors) = &url.cors {
            shape["Cors"] = json!(cors);
        }
        shape
    }
}

/// `<id>.lambda-url.<region>.<name>[:port]`. An address has no names beneath it: `localhost` stands in for it.
pub fn url_host(id: &str, region: &str, host: &str) -> String {
    let name = cumulet_wire::data_plane::host_name(host);
    let port = &host[name.len().min(host.len())..];
    let is_address = name.starts_with('[') || name.parse::<std::net::IpAddr>().is_ok();
    let base = if is_address || name.is_empty() { "localhost" } else { &name };
    format!("{id}.lambda-url.{region}.{base}{port}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_urls() {
        for (host, expect) in [
            ("127.0.0.1:4566", "x.lambda-url.us-east-1.localhost:4566"),
            ("[::1]:4566", "x.lambda-url.us-east-1.localhost:4566"),
            ("Localhost:80", "x.lambda-url.us-east-1.localhost:80"),
            ("cloud.example", "x.lambda-url.us-east-1.cloud.example"),
        ] {
            assert_eq!(url_host("x", "us-east-1", host), expect);
        }
    }
}
