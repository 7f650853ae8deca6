//! Images in the operator's folder: OCI layouts (folders) and archives that `docker save` or a builder has written.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use cumulet_base::limits;
use serde::Deserialize;

use super::Fault;
use super::documents::{self, Descriptor, Document, Found, Kind, Layer};
use super::reference::Reference;

/// Files of a layout or an archive by their names.
pub enum Files {
    Folder(PathBuf),
    Archive { file: File, entries: HashMap<String, (u64, u64)> },
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

const LAYER: &str = ".tar";
const INDEXES_DEPTH_MAX: usize = 4;
/// A reference is a tag, or a whole name that ends in one.
const REFERENCE: &str = "org.opencontainers.image.ref.name";

/// Looks an image up.
///
/// # Errors
/// [`Fault::Missing`] also when the folder has nothing of the name.
pub fn find(folder: &Path, wanted: &Reference, architecture: &str) -> Result<(Files, Found), Fault> {
    let mut files = Files::open(folder, &wanted.path()).map_err(missing_or_broken)?;
    let found = match files.read("index.json", limits::IMAGE_DOCUMENT_BYTES_MAX) {
        Ok(bytes) => read_layout(&mut files, documents::read("index.json", &bytes)?, wanted, architecture)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => read_saved(&mut files, wanted)?,
        Err(error) => return Err(Fault::Broken(error.to_string())),
    };
    Ok((files, found))
}

fn missing_or_broken(error: io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::NotFound => Fault::Missing("It is not in the folder of images.".to_owned()),
        _ => Fault::Broken(error.to_string()),
    }
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
        let mut entries = HashMap::new();
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

    fn has_blob(&self, digits: &str) -> bool {
        let name = format!("blobs/sha256/{digits}");
        match self {
            Files::Folder(folder) => folder.join(name).is_file(),
            Files::Archive { entries, .. } => entries.contains_key(&name),
        }
    }

    /// A part of an image that has to be there.
    fn part(&mut self, name: &str, bytes_max: u64) -> Result<Vec<u8>, Fault> {
        self.read(name, bytes_max).map_err(|e| Fault::Broken(format!("`{name}`: {e}")))
    }

    /// A blob, held against its digest.
    fn blob(&mut self, descriptor: &Descriptor, bytes_max: u64) -> Result<Vec<u8>, Fault> {
        let bytes = self.part(&format!("blobs/sha256/{}", descriptor.digits()?), bytes_max)?;
        descriptor.check(&bytes).map(|()| bytes)
    }

    pub fn layer(&mut self, layer: &Layer) -> Result<Vec<u8>, Fault> {
        match layer {
            Layer::Blob(descriptor) => self.blob(descriptor, limits::IMAGE_LAYER_BYTES_MAX),
            Layer::File(name) if name.ends_with(LAYER) || name.starts_with("blobs/") => {
                self.part(name, limits::IMAGE_LAYER_BYTES_MAX)
            }
            Layer::File(name) => Err(Fault::Broken(format!("`{name}` is no layer"))),
        }
    }
}

fn read_layout(files: &mut Files, index: Document, wanted: &Reference, architecture: &str) -> Result<Found, Fault> {
    let Kind::Index(all) = index.kind()? else { return Err(Fault::Broken("`index.json` is no index".to_owned())) };
    let mut chosen = match &wanted.digest {
        // It need not be in the index: it may be one of several machines' in an index of its own.
        Some(digest) if files.has_blob(digest) => Descriptor::of(digest),
        Some(_) => return Err(Fault::Missing("There is no image with this digest.".to_owned())),
        None => choose(&all, wanted.tag.as_deref(), architecture)?,
    };
    for _ in 0..INDEXES_DEPTH_MAX {
        let bytes = files.blob(&chosen, limits::IMAGE_DOCUMENT_BYTES_MAX)?;
        match documents::read::<Document>(&chosen.digest, &bytes)?.kind()? {
            Kind::Index(all) => chosen = documents::for_machine(&all, architecture)?,
            Kind::Manifest { config, layers } => {
                let configuration = files.blob(&config, limits::IMAGE_DOCUMENT_BYTES_MAX)?;
                return Ok(Found {
                    digest: documents::sha256(&bytes),
                    configuration: documents::read(&config.digest, &configuration)?,
                    layers: layers.into_iter().map(Layer::Blob).collect(),
                });
            }
        }
    }
    Err(Fault::Broken("indexes within indexes".to_owned()))
}

/// By tag where there are tags, else by the machine.
fn choose(all: &[Descriptor], tag: Option<&str>, architecture: &str) -> Result<Descriptor, Fault> {
    let has_tags = all.iter().any(|d| d.annotations.contains_key(REFERENCE));
    let Some(tag) = tag.filter(|_| has_tags) else {
        return documents::for_machine(all, architecture);
    };
    let is_tagged = |d: &&Descriptor| d.annotations.get(REFERENCE).is_some_and(|name| tag_of(name) == tag);
    let found = all.iter().find(|d| is_tagged(d) && d.is_for(architecture)).or_else(|| all.iter().find(is_tagged));
    found.cloned().ok_or_else(|| Fault::Missing(format!("There is no image with the tag `{tag}`.")))
}

fn tag_of(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or(name)
}

fn read_saved(files: &mut Files, wanted: &Reference) -> Result<Found, Fault> {
    let list = files.read("manifest.json", limits::IMAGE_DOCUMENT_BYTES_MAX).map_err(missing_or_broken)?;
    let all: Vec<Saved> = documents::read("manifest.json", &list)?;
    let has_tags = all.iter().any(|saved| saved.repo_tags.as_ref().is_some_and(|tags| !tags.is_empty()));
    let tag = wanted.tag.as_deref().filter(|_| has_tags);
    let is_tagged = |saved: &&Saved| saved.repo_tags.iter().flatten().any(|known| Some(tag_of(known)) == tag);
    for saved in all.iter().filter(|saved| tag.is_none() || is_tagged(saved)) {
        let configuration = files.part(&saved.config, limits::IMAGE_DOCUMENT_BYTES_MAX)?;
        let digest = documents::sha256(&configuration);
        if wanted.digest.as_ref().is_some_and(|wanted| *wanted != digest) {
            continue;
        }
        return Ok(Found {
            digest,
            configuration: documents::read(&saved.config, &configuration)?,
            layers: saved.layers.iter().cloned().map(Layer::File).collect(),
        });
    }
    Err(Fault::Missing("There is no image with this tag or digest.".to_owned()))
}

/// For the fuzz room: the index of a layout.
pub fn fuzz(bytes: &[u8], wanted: &Reference) {
    if let Ok(index) = serde_json::from_slice(bytes) {
        let mut files = Files::Folder(std::env::temp_dir().join("cumulet-fuzz-no-layout"));
        let _either = read_layout(&mut files, index, wanted, "x86_64");
    }
}
