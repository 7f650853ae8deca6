//! Functions, their published versions and aliases as they are stored, and the shapes they answer with. A row holds all
//! of one, so that every change of it is atomic. The bytes are fixed in `docs/formats/lambda.md`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cumulet_base::{clock, id};
use cumulet_engine::function::{FunctionVersion, Logs, Runtime};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Digest as _;

use crate::images::{Image, ImageConfig};
use crate::names::{LATEST, PUBLISHED};

/// Version of the stored form. Rows of the first one lack what was added with the second.
pub const FORMAT: u8 = 2;

/// A function, which is its version `$LATEST`, or a published version: the same without what belongs to the function.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Function {
    pub v: u8,
    pub account: String,
    pub region: String,
    pub name: String,
    #[serde(default = "latest")]
    pub version: String,
    pub runtime: String,
    pub handler: String,
    pub role: String,
    pub description: String,
    pub timeout_s: u32,
    pub memory_mb: u32,
    pub ephemeral_mb: u32,
    pub environment: Option<BTreeMap<String, String>>,
    /// In their place where it is stored: encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed_environment: Option<String>,
    pub architecture: String,
    pub tracing_mode: String,
    pub snap_start: String,
    pub logging: Logging,
    /// SHA-256 of the zip, hexadecimal.
    pub code_digest: String,
    pub code_bytes: u64,
    #[serde(default)]
    pub code_unzipped_bytes: u64,
    #[serde(default)]
    pub layers: Vec<Layer>,
    #[serde(default)]
    pub dead_letter: Option<String>,
    /// `VpcConfig` as it was given: accepted and shown, functions are on no VPC.
    #[serde(default)]
    pub vpc: Option<Value>,
    /// `PER_TENANT`, where instances are not shared between tenants.
    #[serde(default)]
    pub tenant_isolation: Option<String>,
    /// Instead of a zip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_config: Option<ImageConfig>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_system: Option<FileSystem>,
    #[serde(default)]
    pub runtime_management: RuntimeManagement,
    pub modified_ms: u64,
    /// AWS's `RevisionId`: new at every change, of the policy too.
    pub revision_id: String,
    /// New when code or configuration change: instances live and die by it.
    pub instance_revision: String,
    /// Of a published version: the description that `$LATEST` had.
    #[serde(default)]
    pub description_before: String,
    /// Of the function: the number of the version published last.
    #[serde(default)]
    pub last_version: u64,
    /// Of the function: `Allow` or `Terminate`.
    #[serde(default)]
    pub recursion: Option<String>,
    pub concurrency_max: Option<u32>,
    pub tags: BTreeMap<String, String>,
    #[serde(flatten)]
    pub attached: Attached,
}

/// A directory that is shared, by its access point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct FileSystem {
    pub arn: String,
    pub local_mount_path: String,
}

fn latest() -> String {
    LATEST.to_owned()
}

/// What each version and alias has of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attached {
    /// Statements of the resource policy as AWS writes them.
    pub policy: Vec<Value>,
    pub url: Option<Url>,
    pub event_invoke: Option<EventInvoke>,
    pub provisioned: Option<Provisioned>,
    /// Of a published version only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaling: Option<Scaling>,
}

impl Attached {
    /// Whether instances are to be made ready when the platform starts.
    pub fn is_kept_ready(&self) -> bool {
        self.provisioned.is_some() || self.scaling.as_ref().is_some_and(|scaling| scaling.min > Some(0))
    }
}

/// How few and how many instances a version has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    pub min: Option<u32>,
    pub max: Option<u32>,
}

/// What becomes of asynchronous invocations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EventInvoke {
    pub retries_max: Option<u32>,
    pub age_s_max: Option<u32>,
    pub on_success: Option<String>,
    pub on_failure: Option<String>,
    pub modified_ms: u64,
}

/// Instances that are kept ready.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provisioned {
    pub count: u32,
    pub modified_ms: u64,
}

/// A layer version as a function uses it: it stays so when the layer version is deleted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    pub arn: String,
    /// SHA-256 of the zip, hexadecimal.
    pub digest: String,
    pub bytes: u64,
    pub unzipped_bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuntimeManagement {
    /// `Auto`, `FunctionUpdate` or `Manual`.
    pub update_on: String,
    pub version_arn: Option<String>,
}

impl Default for RuntimeManagement {
    fn default() -> RuntimeManagement {
        RuntimeManagement { update_on: "Auto".to_owned(), version_arn: None }
    }
}

/// A name for a version, or for two with a share of the invocations each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alias {
    pub v: u8,
    pub account: String,
    pub region: String,
    /// The function's.
    pub name: String,
    pub alias: String,
    pub version: String,
    pub description: String,
    /// Shares of other versions; what is left is the version's.
    pub weights: BTreeMap<String, f64>,
    pub revision_id: String,
    #[serde(flatten)]
    pub attached: Attached,
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
    /// `BUFFERED` or `RESPONSE_STREAM`.
    #[serde(default = "buffered")]
    pub invoke_mode: String,
    pub cors: Option<Cors>,
    pub created_ms: u64,
    pub modified_ms: u64,
}

fn buffered() -> String {
    "BUFFERED".to_owned()
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
    /// The alias; `None` is the function itself.
    #[serde(default)]
    pub qualifier: Option<String>,
}

/// A digest as AWS gives it.
/// What tells configurations apart, whatever version has one, in the form of `CodeSha256`.
fn config_sha256(shape: &Value) -> String {
    const OF_THE_VERSION: &[&str] = &[
        "CodeSha256",
        "CodeSize",
        "FunctionArn",
        "LastModified",
        "LastUpdateStatus",
        "RevisionId",
        "State",
        "Version",
    ];
    let members = shape.as_object().into_iter().flatten();
    let config: BTreeMap<&String, &Value> =
        members.filter(|(name, _)| !OF_THE_VERSION.contains(&name.as_str())).collect();
    let text = serde_json::to_vec(&config).unwrap_or_default();
    STANDARD.encode(sha2::Sha256::digest(text))
}

pub fn sha256_base64(hexadecimal: &str) -> String {
    hex::decode(hexadecimal).map(|bytes| STANDARD.encode(bytes)).unwrap_or_default()
}

/// A version's number as it is stored: `$LATEST.PUBLISHED` comes before all others.
pub fn version_number(version: &str) -> Option<u64> {
    if version == PUBLISHED { Some(0) } else { version.parse().ok() }
}

impl Function {
    /// The ARN without a qualifier.
    pub fn arn(&self) -> String {
        format!("arn:aws:lambda:{}:{}:function:{}", self.region, self.account, self.name)
    }

    pub fn is_latest(&self) -> bool {
        self.version == LATEST
    }

    /// What PublishVersion makes of `$LATEST`.
    pub fn snapshot(&self, version: String, description: Option<String>, now_ms: u64) -> Function {
        let mut snapshot = Function {
            version,
            description_before: self.description.clone(),
            last_version: 0,
            recursion: None,
            concurrency_max: None,
            tags: BTreeMap::new(),
            attached: Attached::default(),
            ..self.clone()
        };
        if let Some(description) = description {
            snapshot.description = description;
        }
        snapshot.revise(now_ms);
        snapshot
    }

    /// Whether a published version is what `$LATEST` is now.
    pub fn is_published_as(&self, published: &Function) -> bool {
        let alike = Function {
            description: published.description.clone(),
            modified_ms: published.modified_ms,
            revision_id: published.revision_id.clone(),
            instance_revision: published.instance_revision.clone(),
            attached: published.attached.clone(),
            v: published.v,
            ..self.snapshot(published.version.clone(), None, 0)
        };
        alike == *published
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

    /// `None` when the runtime is one that this version of the platform does not know. `concurrency_max` is the function's
    /// for all of its versions, `provisioned` what this version and the aliases of it ask for.
    pub fn version(&self, concurrency_max: Option<u32>, provisioned: u32) -> Option<FunctionVersion> {
        Some(FunctionVersion {
            account: self.account.clone(),
            region: self.region.clone(),
            name: self.name.clone(),
            version: self.version.clone(),
            revision: self.instance_revision.clone(),
            runtime: if self.image.is_some() { Runtime::Image } else { self.runtime.parse().ok()? },
            handler: self.handler.clone(),
            memory_mb: self.memory_mb,
            timeout_ms: u64::from(self.timeout_s) * 1000,
            ephemeral_mb: self.ephemeral_mb,
            environment: self.environment.clone().unwrap_or_default(),
            code_digest: self.code_digest.clone(),
            layers: self.layers.iter().map(|layer| layer.digest.clone()).collect(),
            role_arn: self.role.clone(),
            log_group: self.logging.group.clone(),
            logs: Logs {
                is_json: self.logging.format == "JSON",
                application_level: self.logging.application_level.clone(),
                system_level: self.logging.system_level.clone(),
            },
            concurrency_max: concurrency_max.map(|n| n as usize),
            provisioned: provisioned as usize,
            snap_start: self.snap_start != "None",
            is_tenant_isolated: self.tenant_isolation.is_some(),
            image: self.image.as_ref().map(|image| {
                let config = self.image_config.clone().unwrap_or_default();
                cumulet_engine::function::Image {
                    layers: image.layers.clone(),
                    argv: image.argv(&config),
                    working_dir: image.working_dir(&config),
                    environment: image.variables(),
                }
            }),
            file_system: self.file_system.as_ref().map(|shared| cumulet_engine::function::FileSystem {
                arn: shared.arn.clone(),
                mount: shared.local_mount_path.clone(),
            }),
            instances_max: self.attached.scaling.as_ref().and_then(|scaling| scaling.max).map(|max| max as usize),
        })
    }

    /// The SHA-256 of the zip in base64, or of the image in hexadecimal, as AWS gives it.
    pub fn code_sha256(&self) -> String {
        if let Some(image) = &self.image {
            return image.digest.clone();
        }
        sha256_base64(&self.code_digest)
    }

    /// Whether it is a version whose instances come out of a snapshot of its initialisation.
    pub fn is_snap_started(&self) -> bool {
        self.snap_start == "PublishedVersions" && !self.is_latest()
    }

    /// AWS's `FunctionConfiguration`. State is `Active`: nothing is left to be done when a change is durable, but where
    /// [`crate::Lambda::shown`] says otherwise.
    /// `qualifier` is the one the caller used.
    pub fn configuration(&self, qualifier: Option<&str>) -> Value {
        let tail = qualifier.map(|q| format!(":{q}")).unwrap_or_default();
        let mut shape = json!({
            "FunctionName": self.name,
            "FunctionArn": format!("{}{tail}", self.arn()),
            "Runtime": self.runtime,
            "Role": self.role,
            "Handler": self.handler,
            "CodeSize": self.code_bytes,
            "Description": self.description,
            "Timeout": self.timeout_s,
            "MemorySize": self.memory_mb,
            "LastModified": clock::iso_ms_offset(self.modified_ms),
            "CodeSha256": self.code_sha256(),
            "Version": self.version,
            "TracingConfig": {"Mode": self.tracing_mode},
            "RevisionId": self.revision_id,
            "State": "Active",
            "LastUpdateStatus": "Successful",
            "PackageType": if self.image.is_some() { "Image" } else { "Zip" },
            "Architectures": [self.architecture],
            "EphemeralStorage": {"Size": self.ephemeral_mb},
            "SnapStart": {"ApplyOn": self.snap_start, "OptimizationStatus": if self.is_snap_started() { "On" } else { "Off" }},
            "LoggingConfig": self.logging.shape(),
            "RuntimeVersionConfig": {"RuntimeVersionArn": self.runtime_version_arn()},
        });
        if let Some(variables) = &self.environment {
            shape["Environment"] = json!({"Variables": variables});
        }
        if !self.layers.is_empty() {
            let layer = |layer: &Layer| json!({"Arn": layer.arn, "CodeSize": layer.bytes});
            shape["Layers"] = self.layers.iter().map(layer).collect();
        }
        if let (Some(_), Some(members)) = (&self.image, shape.as_object_mut()) {
            for name in ["Runtime", "Handler", "RuntimeVersionConfig"] {
                members.remove(name);
            }
        }
        if let Some(config) = &self.image_config {
            shape["ImageConfigResponse"] = json!({"ImageConfig": config});
        }
        if let Some(shared) = &self.file_system {
            shape["FileSystemConfigs"] = json!([shared]);
        }
        if let Some(target) = &self.dead_letter {
            shape["DeadLetterConfig"] = json!({"TargetArn": target});
        }
        if let Some(vpc) = &self.vpc {
            shape["VpcConfig"] = vpc.clone();
        }
        if let Some(mode) = &self.tenant_isolation {
            shape["TenancyConfig"] = json!({"TenantIsolationMode": mode});
        }
        shape["ConfigSha256"] = json!(config_sha256(&shape));
        shape
    }

    /// Names the runtime as Lambda does, by a digest: here of its identifier.
    pub fn runtime_version_arn(&self) -> String {
        if let Some(arn) = &self.runtime_management.version_arn {
            return arn.clone();
        }
        let digest = hex::encode(sha2::Sha256::digest(self.runtime.as_bytes()));
        format!("arn:aws:lambda:{}::runtime:{digest}", self.region)
    }
}

impl Logging {
    fn shape(&self) -> Value {
        let mut shape = json!({"LogFormat": self.format});
        if let Some(level) = &self.application_level {
            shape["ApplicationLogLevel"] = json!(level);
        }
        if let Some(level) = &self.system_level {
            shape["SystemLogLevel"] = json!(level);
        }
        shape["LogGroup"] = json!(self.group);
        shape
    }
}

impl Alias {
    pub fn arn(&self) -> String {
        format!("arn:aws:lambda:{}:{}:function:{}:{}", self.region, self.account, self.name, self.alias)
    }

    /// AWS's `AliasConfiguration`.
    pub fn configuration(&self) -> Value {
        let mut shape = json!({
            "AliasArn": self.arn(),
            "Name": self.alias,
            "FunctionVersion": self.version,
            "Description": self.description,
            "RevisionId": self.revision_id,
        });
        if !self.weights.is_empty() {
            shape["RoutingConfig"] = json!({"AdditionalVersionWeights": self.weights});
        }
        shape
    }

    /// The version that takes an invocation; `drawn` is a number from 0 to below 1.
    pub fn choose(&self, drawn: f64) -> &str {
        let mut left = drawn;
        for (version, weight) in &self.weights {
            if left < *weight {
                return version;
            }
            left -= weight;
        }
        &self.version
    }
}

/// A row that may carry a policy, a URL and settings of its own.
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    /// The function or one of its versions.
    Function(Box<Function>),
    Alias(Box<Alias>),
}

impl Row {
    pub fn attached(&self) -> &Attached {
        match self {
            Row::Function(function) => &function.attached,
            Row::Alias(alias) => &alias.attached,
        }
    }

    pub fn attached_mut(&mut self) -> &mut Attached {
        match self {
            Row::Function(function) => &mut function.attached,
            Row::Alias(alias) => &mut alias.attached,
        }
    }

    pub fn revision_id(&self) -> &str {
        match self {
            Row::Function(function) => &function.revision_id,
            Row::Alias(alias) => &alias.revision_id,
        }
    }

    pub fn touch(&mut self) {
        match self {
            Row::Function(function) => function.touch(),
            Row::Alias(alias) => alias.revision_id = id::uuid(),
        }
    }

    /// With a qualifier, but for the function itself.
    pub fn arn(&self) -> String {
        match self {
            Row::Function(function) if function.is_latest() => function.arn(),
            Row::Function(function) => format!("{}:{}", function.arn(), function.version),
            Row::Alias(alias) => alias.arn(),
        }
    }

    pub fn region(&self) -> &str {
        match self {
            Row::Function(function) => &function.region,
            Row::Alias(alias) => &alias.region,
        }
    }

    /// AWS's `FunctionUrlConfig`; the host of the URL follows from the one the caller used.
    pub fn url_config(&self, url: &Url, host: &str) -> Value {
        let mut shape = json!({
            "FunctionUrl": format!("http://{}/", url_host(&url.id, self.region(), host)),
            "FunctionArn": self.arn(),
            "AuthType": url.auth_type,
            "CreationTime": clock::iso_ms(url.created_ms),
            "LastModifiedTime": clock::iso_ms(url.modified_ms),
            "InvokeMode": url.invoke_mode,
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
    fn shares_of_an_alias() {
        let alias = Alias {
            v: FORMAT,
            account: String::new(),
            region: String::new(),
            name: String::new(),
            alias: "live".to_owned(),
            version: "1".to_owned(),
            description: String::new(),
            weights: BTreeMap::from([("2".to_owned(), 0.1)]),
            revision_id: String::new(),
            attached: Attached::default(),
        };
        for (drawn, version) in [(0.0, "2"), (0.09, "2"), (0.1, "1"), (0.999, "1")] {
            assert_eq!(alias.choose(drawn), version, "{drawn}");
        }
    }

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
