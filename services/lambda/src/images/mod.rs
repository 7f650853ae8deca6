//! Container images: where an `ImageUri` leads, and what is read of the image. It is looked for in the operator's folder of
//! images, then in its registry where the operator has named it; its layers are copied to the blob store, so that a function's
//! image stays when the archive goes. Deliberately not used: the image's user, as an instance has one, and Lambda's is its own.

mod credentials;
mod documents;
mod folder;
mod reference;
mod registry;

use bytes::Bytes;
use cumulet_base::limits;
use cumulet_engine::image::{Left, check_layer};
use cumulet_wire::error::ApiError;
use serde::{Deserialize, Serialize};

use crate::{Lambda, errors};
use documents::{Found, Layer, Run, oci_architecture};
use reference::Reference;
use registry::Pull;
pub use registry::{Registries, gate};

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

/// Why there is no image.
#[derive(Debug)]
enum Fault {
    Missing(String),
    Denied(String),
    /// Documents or layers of a kind that is not known.
    Unsupported(String),
    Broken(String),
    /// What may be otherwise when it is tried again.
    Unreachable(String),
}

impl Fault {
    fn of(self, uri: &str) -> ApiError {
        match self {
            Fault::Missing(why) => errors::no_image(uri, &why),
            Fault::Denied(why) => errors::image_denied(&why),
            Fault::Unsupported(why) => errors::image_not_supported(uri, &why),
            Fault::Broken(why) => errors::bad_image(uri, &why),
            Fault::Unreachable(why) => errors::no_registry(&why),
        }
    }
}

/// Where the layers come from.
enum Source {
    Folder(folder::Files),
    Registry(Pull),
}

impl Lambda {
    /// The image that a URI leads to; durable when it returns.
    pub async fn take_image(&self, uri: &str, architecture: &str) -> Result<Image, ApiError> {
        let wanted = Reference::parse(uri).ok_or_else(|| errors::no_image_uri(uri))?;
        let _turn = self.pulls.acquire().await.map_err(|e| ApiError::internal(format!("fetching an image: {e}")))?;
        let (mut source, found) = self.find_image(&wanted, architecture).await.map_err(|fault| fault.of(uri))?;
        let of_image = &found.configuration.architecture;
        if !of_image.is_empty() && of_image != oci_architecture(architecture) {
            return Err(errors::image_of_another_machine(uri, of_image, architecture));
        }
        if found.layers.len() > limits::IMAGE_LAYERS_MAX {
            return Err(errors::bad_image(uri, &format!("it has more than {} layers", limits::IMAGE_LAYERS_MAX)));
        }
        let mut layers = Vec::with_capacity(found.layers.len());
        let mut left = Left::default();
        for layer in found.layers {
            if let Layer::Blob(descriptor) = &layer {
                // What is kept was looked through when it came: another tag mostly has the same layers.
                let digits = descriptor.digits().map_err(|fault| fault.of(uri))?;
                if self.code.has(digits).await.map_err(|e| errors::blobs("Storing an image", &e))? {
                    layers.push(digits.to_owned());
                    continue;
                }
            }
            let read = read_layer(source, layer, left).await;
            let bytes;
            (source, bytes, left) = read.map_err(|fault| fault.of(uri))?;
            layers.push(self.code.put(bytes).await.map_err(|e| errors::blobs("Storing an image", &e))?);
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

    /// In the folder of images, else in its registry.
    async fn find_image(&self, wanted: &Reference, architecture: &str) -> Result<(Source, Found), Fault> {
        let registries = &self.settings.registries;
        let mut why = match self.settings.images_dir.clone() {
            None => "No folder of images is configured: start the cloud with --images-dir.".to_owned(),
            Some(folder) => {
                let (wanted, architecture) = (wanted.clone(), architecture.to_owned());
                match blocking(move || folder::find(&folder, &wanted, &architecture)).await {
                    Ok((files, found)) => return Ok((Source::Folder(files), found)),
                    Err(Fault::Missing(why)) => why,
                    Err(other) => return Err(other),
                }
            }
        };
        if registries.knows(&wanted.host) {
            let mut pull = Pull::new(registries, wanted).await?;
            let found = pull.find(wanted, architecture).await?;
            return Ok((Source::Registry(pull), found));
        }
        if !wanted.host.is_empty() {
            why = format!("{why} The registry {} is not one of --registries.", wanted.host);
        }
        Err(Fault::Missing(why))
    }
}

/// Layers are held against their digests and looked through; what is unpacked of all of them together is bounded.
async fn read_layer(source: Source, layer: Layer, mut left: Left) -> Result<(Source, Bytes, Left), Fault> {
    let (source, bytes) = match (source, layer) {
        (Source::Folder(mut files), layer) => {
            blocking(move || files.layer(&layer).map(|bytes| (Source::Folder(files), Bytes::from(bytes)))).await?
        }
        (Source::Registry(mut pull), Layer::Blob(descriptor)) => {
            let bytes = pull.layer(&descriptor).await?;
            (Source::Registry(pull), bytes)
        }
        (Source::Registry(_), Layer::File(name)) => return Err(Fault::Broken(format!("`{name}` is no layer"))),
    };
    blocking(move || {
        check_layer(&bytes, &mut left).map_err(|e| Fault::Broken(e.to_string()))?;
        Ok((source, bytes, left))
    })
    .await
}

async fn blocking<T: Send + 'static>(job: impl FnOnce() -> Result<T, Fault> + Send + 'static) -> Result<T, Fault> {
    let done = tokio::task::spawn_blocking(job).await;
    done.unwrap_or_else(|e| Err(Fault::Unreachable(format!("reading an image: {e}"))))
}

/// For the fuzz room: a URI, what registries say, and the index of a layout.
pub fn fuzz(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Some(wanted) = Reference::parse(&text) {
        assert!(wanted.path().is_relative(), "a URI led to a file of the host");
    }
    registry::fuzz(&text);
    if let Some(wanted) = Reference::parse("app:v1") {
        folder::fuzz(bytes, &wanted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
