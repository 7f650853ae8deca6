//! Container images: where an `ImageUri` leads, and what is read of the image. It is looked for in the operator's folder of
//! images, as an OCI layout (a folder) or an archive that `docker save` or a builder has written; its layers are copied to the
//! blob store, so that a function's image stays when the archive goes. Registries are absent.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use cumulet_base::limits;
use cumulet_wire::error::ApiError;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use crate::{Lambda, errors};

/// An image as it is stored with a function.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Image {
    pub uri: String,
    /// SHA-256 of its manifest, or where it has none of its configuration; hexadecimal.
    pub digest: String,
    /// Digests of the layers' archives in the blob store.
    pub layers: Vec<String>,
    #[serde(default)]
    pub entry_point: Vec<String>,
    #[serde(default)]
    pub command: Vec<String>,
    #[serde(default)]
    pub working_dir: String,
    #[serde(default)]
    pub environment: Vec<String>,
}

/// What a function says instead of its image.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry_point: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_directory: Option<String>,
}

impl Image {
    /// The URI without its tag.
    pub fn name(&self) -> &str {
        let after_host = self.uri.find('/').map_or(0, |at| at + 1);
        let end = self.uri[after_host..].find([':', '@']).map_or(self.uri.len(), |at| after_host + at);
        &self.uri[..end]
    }

    /// Program and arguments.
    pub fn argv(&self, config: &ImageConfig) -> Vec<String> {
        let given = |own: &Option<Vec<String>>| own.clone().filter(|words| !words.is_empty());
        let entry_point = given(&config.entry_point);
        // As everywhere with images, another entry point comes without the old one's command.
        let command = match (&entry_point, given(&config.command)) {
            (_, Some(command)) => command,
            (Some(_), None) => Vec::new(),
            (None, None) => self.command.clone(),
        };
        [entry_point.unwrap_or_else(|| self.entry_point.clone()), command].concat()
    }

    pub fn working_dir(&self, config: &ImageConfig) -> String {
        let own = config.working_directory.clone().filter(|own| !own.is_empty());
        own.unwrap_or_else(|| if self.working_dir.is_empty() { "/".to_owned() } else { self.working_dir.clone() })
    }

    /// Its variables as names and values.
    pub fn variables(&self) -> Vec<(String, String)> {
        let pair = |text: &String| text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        self.environment.iter().filter_map(pair).collect()
    }
}

/// Name and tag of a URI, the registry's host left out: `host/team/app:v1` is the image `team/app`, tag `v1`.
fn name_of(uri: &str) -> Option<(PathBuf, Option<&str>)> {
    let (first, rest) = uri.split_once('/').unwrap_or(("", uri));
    let is_host = first == "localhost" || (first.contains(['.', ':']) && !first.starts_with('.'));
    let name = if is_host || first.is_empty() { rest } else { uri };
    let name = name.split('@').next().unwrap_or(name);
    let (name, tag) = match name.rsplit_once(':') {
        Some((name, tag)) => (name, Some(tag)),
        None => (name, None),
    };
    let path = PathBuf::from(name);
    let is_plain = !name.is_empty() && path.components().all(|part| matches!(part, Component::Normal(_)));
    is_plain.then_some((path, tag))
}

/// Files of a layout or an archive by their names.
enum Files {
    Folder(PathBuf),
    Archive { file: File, entries: std::collections::HashMap<String, (u64, u64)> },
}

impl Files {
    fn open(folder: &Path, name: &Path) -> io::Result<Files> {
        let layout = folder.join(name);
        if layout.is_dir() {
            return Ok(Files::Folder(layout));
        }
        let mut path = layout.into_os_string();
        path.push(".tar");
        let file = File::open(path)?;
        let mut archive = tar::Archive::new(&file);
        let mut entries = std::collections::HashMap::new();
        let mut links = Vec::new();
        for entry in archive.entries_with_seek()? {
            let entry = entry?;
            let path = entry.path()?.to_string_lossy().trim_start_matches("./").to_owned();
            match entry.link_name()? {
                // Older archives name a layer that two images share by a link.
                Some(target) => links.push((path, target.to_string_lossy().into_owned())),
                None => drop(entries.insert(path, (entry.raw_file_position(), entry.size()))),
            }
        }
        for (path, target) in links {
            let full = Path::new(&path).parent().unwrap_or(Path::new("")).join(&target);
            let mut clean = PathBuf::new();
            for part in full.components() {
                match part {
                    Component::Normal(part) => clean.push(part),
                    Component::ParentDir => drop(clean.pop()),
                    _ => {}
                }
            }
            if let Some(found) = entries.get(&*clean.to_string_lossy()).copied() {
                entries.insert(path, found);
            }
        }
        Ok(Files::Archive { file, entries })
    }

    fn read(&mut self, name: &str, bytes_max: u64) -> io::Result<Vec<u8>> {
        let too_large = |size: u64| io::Error::other(format!("`{name}` has {size} bytes, more than {bytes_max}"));
        let mut bytes = Vec::new();
        match self {
            Files::Folder(folder) => {
                let is_plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
                if !is_plain {
                    return Err(io::Error::other(format!("`{name}` is no name of a file")));
                }
                let file = File::open(folder.join(name))?;
                let size = file.metadata()?.len();
                if size > bytes_max {
                    return Err(too_large(size));
                }
                file.take(bytes_max).read_to_end(&mut bytes)?;
            }
            Files::Archive { file, entries } => {
                let missing = || io::Error::new(io::ErrorKind::NotFound, format!("`{name}` is not in the archive"));
                let (position, size) = *entries.get(name).ok_or_else(missing)?;
                if size > bytes_max {
                    return Err(too_large(size));
                }
                file.seek(SeekFrom::Start(position))?;
                file.take(size).read_to_end(&mut bytes)?;
            }
        }
        Ok(bytes)
    }

    fn document<T: serde::de::DeserializeOwned>(&mut self, name: &str) -> io::Result<T> {
        let bytes = self.read(name, limits::IMAGE_DOCUMENT_BYTES_MAX)?;
        serde_json::from_slice(&bytes).map_err(|e| io::Error::other(format!("`{name}`: {e}")))
    }

    /// A blob by its digest, which it is held against.
    fn blob(&mut self, descriptor: &Descriptor, bytes_max: u64) -> io::Result<Vec<u8>> {
        let bad = || io::Error::other(format!("`{}` is no digest", descriptor.digest));
        let hexadecimal = descriptor.digest.strip_prefix("sha256:").ok_or_else(bad)?;
        if hexadecimal.len() != 64 || !hexadecimal.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(bad());
        }
        let bytes = self.read(&format!("blobs/sha256/{hexadecimal}"), bytes_max)?;
        if hex::encode(sha2::Sha256::digest(&bytes)) != hexadecimal {
            return Err(io::Error::other(format!("the blob {} is damaged", descriptor.digest)));
        }
        Ok(bytes)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
    platform: Option<Platform>,
}

#[derive(Clone, Deserialize)]
struct Platform {
    architecture: String,
    os: String,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

/// An entry of the archive's own `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

#[derive(Default, Deserialize)]
struct Configuration {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    config: Run,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Run {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    working_dir: Option<String>,
    env: Option<Vec<String>>,
}

/// An image read, but for its layers.
struct Found {
    digest: String,
    configuration: Configuration,
    layers: Vec<Layer>,
}

enum Layer {
    Blob(Descriptor),
    File(String),
}

const LAYER: &str = ".tar";

fn read(files: &mut Files, tag: Option<&str>, architecture: &str) -> io::Result<Found> {
    match files.document::<Index>("index.json") {
        Ok(index) => read_layout(files, index, tag, architecture, 0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => read_saved(files, tag),
        Err(error) => Err(error),
    }
}

fn read_layout(
    files: &mut Files,
    index: Index,
    tag: Option<&str>,
    architecture: &str,
    depth: usize,
) -> io::Result<Found> {
    const DEPTH_MAX: usize = 4;
    const REFERENCE: &str = "org.opencontainers.image.ref.name";
    let all = index.manifests;
    let is_tagged = |d: &&Descriptor| {
        // A reference is a tag, or a whole name that ends in one.
        let name = d.annotations.get(REFERENCE).map(|name| name.rsplit(':').next().unwrap_or(name));
        tag.is_some() && name == tag
    };
    let is_ours = |d: &&Descriptor| {
        d.platform.as_ref().is_none_or(|p| p.os == "linux" && oci_architecture(architecture) == p.architecture)
    };
    let has_tags = all.iter().any(|d| d.annotations.contains_key(REFERENCE));
    let chosen = match (tag, has_tags) {
        (Some(_), true) => all.iter().find(is_tagged),
        _ => all.iter().find(is_ours),
    };
    let chosen = chosen.cloned().ok_or_else(|| {
        let what = tag.map_or_else(|| format!("for {architecture}"), |tag| format!("with the tag `{tag}`"));
        io::Error::new(io::ErrorKind::NotFound, format!("there is no image {what}"))
    })?;
    let bytes = files.blob(&chosen, limits::IMAGE_DOCUMENT_BYTES_MAX)?;
    let wrong = |e: serde_json::Error| io::Error::other(format!("the manifest {}: {e}", chosen.digest));
    if chosen.media_type.contains("index") || chosen.media_type.contains("manifest.list") {
        if depth >= DEPTH_MAX {
            return Err(io::Error::other("indexes within indexes"));
        }
        return read_layout(files, serde_json::from_slice(&bytes).map_err(wrong)?, None, architecture, depth + 1);
    }
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(wrong)?;
    let configuration = files.blob(&manifest.config, limits::IMAGE_DOCUMENT_BYTES_MAX)?;
    Ok(Found {
        digest: hex::encode(sha2::Sha256::digest(&bytes)),
        configuration: serde_json::from_slice(&configuration).map_err(wrong)?,
        layers: manifest.layers.into_iter().map(Layer::Blob).collect(),
    })
}

fn read_saved(files: &mut Files, tag: Option<&str>) -> io::Result<Found> {
    let all: Vec<Saved> = files.document("manifest.json")?;
    let is_tagged = |saved: &&Saved| {
        let tags = saved.repo_tags.iter().flatten();
        tag.is_some() && tags.into_iter().any(|known| known.rsplit(':').next() == tag)
    };
    let has_tags = all.iter().any(|saved| saved.repo_tags.as_ref().is_some_and(|tags| !tags.is_empty()));
    let chosen = if tag.is_some() && has_tags { all.iter().find(is_tagged) } else { all.first() };
    let chosen = chosen.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no image with this tag"))?;
    let configuration = files.read(&chosen.config, limits::IMAGE_DOCUMENT_BYTES_MAX)?;
    let wrong = |e: serde_json::Error| io::Error::other(format!("`{}`: {e}", chosen.config));
    Ok(Found {
        digest: hex::encode(sha2::Sha256::digest(&configuration)),
        configuration: serde_json::from_slice(&configuration).map_err(wrong)?,
        layers: chosen.layers.iter().cloned().map(Layer::File).collect(),
    })
}

/// AWS's word for an architecture as images have it.
fn oci_architecture(architecture: &str) -> &str {
    if architecture == "x86_64" { "amd64" } else { architecture }
}

impl Lambda {
    /// The image that a URI leads to; durable when it returns.
    pub async fn take_image(&self, uri: &str, architecture: &str) -> Result<Image, ApiError> {
        let missing = |why: &str| errors::invalid_parameter(format!("Source image {uri} does not exist. {why}"));
        let Some(folder) = self.settings.images_dir.clone() else {
            return Err(missing("No folder of images is configured: start the cloud with --images-dir."));
        };
        let Some((name, tag)) = name_of(uri) else { return Err(missing("Provide a valid source image.")) };
        let (tag, wanted) = (tag.map(str::to_owned), architecture.to_owned());
        let opened = tokio::task::spawn_blocking(move || {
            let mut files = Files::open(&folder, &name)?;
            let found = read(&mut files, tag.as_deref(), &wanted)?;
            Ok::<_, io::Error>((files, found))
        });
        let lost = |e: tokio::task::JoinError| ApiError::internal(format!("reading an image: {e}"));
        let (mut files, found) = opened.await.map_err(lost)?.map_err(|e| missing(&e.to_string()))?;
        let of_image = &found.configuration.architecture;
        if !of_image.is_empty() && of_image != oci_architecture(architecture) {
            return Err(errors::invalid_parameter(format!(
                "The image {uri} is for {of_image}, the function for {architecture}."
            )));
        }
        if found.layers.len() > limits::IMAGE_LAYERS_MAX {
            let message = format!("The image has more than {} layers.", limits::IMAGE_LAYERS_MAX);
            return Err(errors::invalid_parameter(message));
        }
        let mut layers = Vec::with_capacity(found.layers.len());
        for layer in found.layers {
            let reading = tokio::task::spawn_blocking(move || {
                let bytes = read_layer(&mut files, &layer);
                (files, bytes)
            });
            let (back, bytes) = reading.await.map_err(lost)?;
            files = back;
            let bytes =
                bytes.map_err(|e| errors::invalid_parameter(format!("The image {uri} cannot be used: {e}.")))?;
            let digest = self.code.put(Bytes::from(bytes)).await.map_err(|e| errors::blobs("Storing an image", &e))?;
            layers.push(digest);
        }
        let Run { entrypoint, cmd, working_dir, env } = found.configuration.config;
        Ok(Image {
            uri: uri.to_owned(),
            digest: found.digest,
            layers,
            entry_point: entrypoint.unwrap_or_default(),
            command: cmd.unwrap_or_default(),
            working_dir: working_dir.unwrap_or_default(),
            environment: env.unwrap_or_default(),
        })
    }
}

fn read_layer(files: &mut Files, layer: &Layer) -> io::Result<Vec<u8>> {
    let bytes = match layer {
        Layer::Blob(descriptor) => files.blob(descriptor, limits::IMAGE_LAYER_BYTES_MAX)?,
        Layer::File(name) if name.ends_with(LAYER) || name.starts_with("blobs/") => {
            files.read(name, limits::IMAGE_LAYER_BYTES_MAX)?
        }
        Layer::File(name) => return Err(io::Error::other(format!("`{name}` is no layer"))),
    };
    const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
    if bytes.starts_with(ZSTD) {
        return Err(io::Error::other("a layer is packed with Zstandard, which is not built; pack it with gzip"));
    }
    Ok(bytes)
}

/// For the fuzz room: a URI, and the index of a layout.
pub fn fuzz(bytes: &[u8]) {
    if let Some((path, _)) = name_of(&String::from_utf8_lossy(bytes)) {
        assert!(path.is_relative() && path.components().all(|part| matches!(part, Component::Normal(_))));
    }
    if let Ok(index) = serde_json::from_slice::<Index>(bytes) {
        let mut files = Files::Folder(std::env::temp_dir().join("cumulet-fuzz-no-layout"));
        let _either = read_layout(&mut files, index, Some("v1"), "x86_64", 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_uri_leads() {
        let check = |uri: &str, expect: Option<(&str, Option<&str>)>| {
            assert_eq!(name_of(uri), expect.map(|(name, tag)| (PathBuf::from(name), tag)), "{uri}");
        };
        check("app", Some(("app", None)));
        check("app:v1", Some(("app", Some("v1"))));
        check("team/app:v1", Some(("team/app", Some("v1"))));
        check("000000000000.dkr.ecr.us-east-1.amazonaws.com/team/app:v1", Some(("team/app", Some("v1"))));
        check("localhost:5000/app@sha256:0123", Some(("app", None)));
        for bad in ["", "/etc/passwd", "../secret", "a/../../b", "host.x/"] {
            assert!(name_of(bad).is_none() || !name_of(bad).unwrap_or_default().0.starts_with(".."), "{bad}");
        }
        check("../secret", None);
        check("a/../../b", None);
        check("", None);
    }

    #[test]
    fn what_a_function_says_wins() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let image = Image {
            uri: String::new(),
            digest: String::new(),
            layers: Vec::new(),
            entry_point: words("a b"),
            command: words("c"),
            working_dir: "/w".to_owned(),
            environment: vec!["A=1=2".to_owned(), "broken".to_owned()],
        };
        let config = |entry_point: Option<&str>, command: Option<&str>| ImageConfig {
            entry_point: entry_point.map(words),
            command: command.map(words),
            working_directory: None,
        };
        for (entry_point, command, expect) in [
            (None, None, "a b c"),
            (None, Some("d"), "a b d"),
            (Some("e"), None, "e"),
            (Some("e"), Some("f g"), "e f g"),
        ] {
            assert_eq!(image.argv(&config(entry_point, command)).join(" "), expect);
        }
        assert_eq!(image.working_dir(&config(None, None)), "/w");
        assert_eq!(image.variables(), [("A".to_owned(), "1=2".to_owned())]);
    }
}
