//! A folder of code into a zip, the same bytes for the same folder, so that what did not change is not deployed again.

use std::io::{Cursor, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use zip::write::SimpleFileOptions;

use crate::output::Failure;

/// Left out of every package: what belongs to tools and not to the function.
pub const LEFT_OUT: [&str; 6] = [".git", ".aws-sam", ".DS_Store", "__pycache__", ".venv", ".cumulet"];

/// Zips a folder, or passes a ready zip on. `skip` are files of the folder that are not code.
pub fn package(code: &Path, skip: &[PathBuf]) -> Result<Vec<u8>, Failure> {
    let failed = |path: &Path, e: &dyn std::fmt::Display| Failure::new(format!("packaging {}: {e}", path.display()));
    if code.is_file() {
        if code.extension().is_some_and(|e| e == "zip") {
            return std::fs::read(code).map_err(|e| failed(code, &e));
        }
        let name = code.file_name().unwrap_or_default();
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        add(&mut zip, code, Path::new(name))?;
        return zip.finish().map(Cursor::into_inner).map_err(|e| failed(code, &e));
    }
    let mut files = Vec::new();
    walk(code, code, skip, &mut files)?;
    if files.is_empty() {
        return Err(Failure::usage(format!("{} has no files to deploy", code.display())));
    }
    files.sort();
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for relative in files {
        add(&mut zip, &code.join(&relative), &relative)?;
    }
    zip.finish().map(Cursor::into_inner).map_err(|e| failed(code, &e))
}

fn walk(root: &Path, folder: &Path, skip: &[PathBuf], files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::new(format!("reading {}: {e}", folder.display()));
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        if LEFT_OUT.iter().any(|name| entry.file_name() == *name) || skip.contains(&path) {
            continue;
        }
        // Links are followed, as the AWS tools do: what they point to may lie outside of the package.
        if path.is_dir() {
            walk(root, &path, skip, files)?;
        } else if let Ok(relative) = path.strip_prefix(root) {
            files.push(relative.to_owned());
        }
    }
    Ok(())
}

fn add(zip: &mut zip::ZipWriter<Cursor<Vec<u8>>>, path: &Path, relative: &Path) -> Result<(), Failure> {
    let failed = |e: &dyn std::fmt::Display| Failure::new(format!("packaging {}: {e}", path.display()));
    let mode = std::fs::metadata(path).map_err(|e| failed(&e))?.permissions().mode() & 0o777;
    let options = SimpleFileOptions::default().unix_permissions(mode).last_modified_time(zip::DateTime::default());
    let data = std::fs::read(path).map_err(|e| failed(&e))?;
    zip.start_file(relative.to_string_lossy(), options).map_err(|e| failed(&e))?;
    zip.write_all(&data).map_err(|e| failed(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_folder_makes_the_same_bytes() {
        let folder = std::env::temp_dir().join(format!("cumulet-package-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("lib/__pycache__")).unwrap();
        for name in ["b.js", "a.js", "lib/c.js", "lib/__pycache__/x.pyc", "template.yaml"] {
            std::fs::write(folder.join(name), name).unwrap();
        }
        let skip = [folder.join("template.yaml")];
        let first = package(&folder, &skip).unwrap();
        assert_eq!(first, package(&folder, &skip).unwrap());
        let archive = zip::ZipArchive::new(Cursor::new(first)).unwrap();
        let mut names: Vec<_> = archive.file_names().map(str::to_owned).collect();
        names.sort();
        assert_eq!(names, ["a.js", "b.js", "lib/c.js"]);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
