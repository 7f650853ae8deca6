//! The documents of images: indexes, manifests, configurations, in the OCI's and in Docker's words, and what is chosen of them
//! (<https://github.com/opencontainers/image-spec>).

use std::collections::BTreeMap;

use serde::Deserialize;
use sha2::Digest as _;

use super::Fault;
use super::reference::hexadecimal;

/// An index of images, or one image's manifest.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    #[serde(default)]
    pub schema_version: u32,
    pub manifests: Option<Vec<Descriptor>>,
    pub config: Option<Descriptor>,
    pub layers: Option<Vec<Descriptor>>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    #[serde(default)]
    pub media_type: String,
    pub digest: String,
    pub size: Option<u64>,
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    pub platform: Option<Platform>,
}

#[derive(Clone, Deserialize)]
pub struct Platform {
    pub architecture: String,
    pub os: String,
}

#[derive(Default, Deserialize)]
pub struct Configuration {
    #[serde(default)]
    pub architecture: String,
    #[serde(default)]
    pub config: Run,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Run {
    pub entrypoint: Option<Vec<String>>,
    pub cmd: Option<Vec<String>>,
    pub working_dir: Option<String>,
    pub env: Option<Vec<String>>,
}

/// What a document turned out to be.
pub enum Kind {
    Index(Vec<Descriptor>),
    Manifest { config: Descriptor, layers: Vec<Descriptor> },
}

impl Document {
    pub fn kind(self) -> Result<Kind, Fault> {
        match self {
            Document { manifests: Some(manifests), .. } => Ok(Kind::Index(manifests)),
            Document { config: Some(config), layers: Some(layers), .. } => {
                let all = std::iter::once((&config, CONFIGURATIONS)).chain(layers.iter().map(|layer| (layer, LAYERS)));
                let wrong = all
                    .into_iter()
                    .find(|(d, known)| !d.media_type.is_empty() && !known.contains(&d.media_type.as_str()));
                match wrong {
                    Some((descriptor, _)) => Err(Fault::Unsupported(format!("It is `{}`.", descriptor.media_type))),
                    None => Ok(Kind::Manifest { config, layers }),
                }
            }
            other => Err(Fault::Unsupported(format!("It is a manifest of the version {}.", other.schema_version))),
        }
    }
}

const CONFIGURATIONS: &[&str] =
    &["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];
const LAYERS: &[&str] = &[
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
];

/// An image read, but for its layers.
pub struct Found {
    /// As `Image` has it.
    pub digest: String,
    pub configuration: Configuration,
    pub layers: Vec<Layer>,
}

pub enum Layer {
    Blob(Descriptor),
    /// Of an archive that `docker save` has written.
    File(String),
}

impl Descriptor {
    /// Of what is known by its digest alone.
    pub fn of(digits: &str) -> Descriptor {
        let digest = format!("{}{digits}", super::reference::DIGEST);
        Descriptor { media_type: String::new(), digest, size: None, annotations: BTreeMap::new(), platform: None }
    }

    /// Its digest's digits.
    pub fn digits(&self) -> Result<&str, Fault> {
        hexadecimal(&self.digest).ok_or_else(|| Fault::Broken(format!("`{}` is no digest", self.digest)))
    }

    /// Holds what was read against it.
    pub fn check(&self, bytes: &[u8]) -> Result<(), Fault> {
        if sha256(bytes) == self.digits()? {
            return Ok(());
        }
        Err(Fault::Broken(format!("the blob {} is damaged", self.digest)))
    }

    pub fn is_for(&self, architecture: &str) -> bool {
        self.platform.as_ref().is_none_or(|p| p.os == "linux" && oci_architecture(architecture) == p.architecture)
    }
}

/// Of several images that for a machine of this kind.
pub fn for_machine(all: &[Descriptor], architecture: &str) -> Result<Descriptor, Fault> {
    let chosen = all.iter().find(|d| d.is_for(architecture));
    chosen.cloned().ok_or_else(|| Fault::Missing(format!("There is no image for {architecture}.")))
}

pub fn read<T: serde::de::DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(bytes).map_err(|e| Fault::Broken(format!("`{what}`: {e}")))
}

pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(sha2::Sha256::digest(bytes))
}

/// AWS's word for an architecture as images have it.
pub fn oci_architecture(architecture: &str) -> &str {
    if architecture == "x86_64" { "amd64" } else { architecture }
}
