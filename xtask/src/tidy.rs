//! The order of the house: dependency edges, opening lines of files, where `unsafe` may be, the map, and words that do
//! not belong into the project.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Who may depend on whom, of the project's own crates. What is not listed is an error.
const EDGES: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("store/api", &["base"]),
    ("store/embedded", &["base", "store/api"]),
    ("store/memory", &["base", "store/api"]),
    ("store/conformance", &["base", "store/api"]),
    ("blobs", &["base"]),
    ("engine", &["base", "store/api", "blobs"]),
    ("sandbox", &["base", "engine"]),
    ("runtimes", &["base"]),
    ("wire", &["base"]),
    ("delivery", &["base", "store/api", "wire"]),
    ("services/*", &["base", "wire", "store/api", "blobs", "engine", "delivery"]),
    ("bin/cumulet", &["*"]),
    ("xtask", &["*"]),
    ("tests", &[]),
    ("bench", &["base", "engine", "sandbox", "runtimes"]),
    ("sim", &["base", "engine"]),
    ("fuzz", &["*"]),
    ("tests/clients/rust", &[]),
    ("tests/clients/rust-sdk", &[]),
];

/// The only files that may hold `unsafe`, by folder.
const UNSAFE: &[&str] = &["sandbox/src/"];

/// Files beyond this hold two things, usually.
const LINES_MAX: usize = 800;

pub fn check(root: &Path) -> Vec<String> {
    let mut problems = crate::coverage::check(root);
    let crates = members(root);
    problems.extend(edges(root, &crates));
    problems.extend(map(root, &crates));
    for path in files(root) {
        let Ok(text) = std::fs::read_to_string(root.join(&path)) else { continue };
        problems.extend(content(&path, &text));
    }
    problems
}

/// Folder of each workspace member, by the name of its crate.
fn members(root: &Path) -> BTreeMap<String, String> {
    let mut crates = BTreeMap::new();
    let manifest = manifest(&root.join("Cargo.toml"));
    let folders = manifest
        .get("workspace")
        .and_then(|w| w.get("members"))
        .and_then(toml::Value::as_array)
        .cloned()
        .unwrap_or_default();
    for folder in folders.iter().filter_map(toml::Value::as_str) {
        let manifest = self::manifest(&root.join(folder).join("Cargo.toml"));
        if let Some(name) = manifest.get("package").and_then(|p| p.get("name")).and_then(toml::Value::as_str) {
            crates.insert(name.to_owned(), folder.to_owned());
        }
    }
    crates
}

fn manifest(path: &Path) -> toml::Table {
    std::fs::read_to_string(path).ok().and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn edges(root: &Path, crates: &BTreeMap<String, String>) -> Vec<String> {
    let mut problems = Vec::new();
    for folder in crates.values() {
        let rule = EDGES.iter().find(|(from, _)| {
            from == folder || from.strip_suffix('*').is_some_and(|prefix| folder.starts_with(prefix))
        });
        let Some((_, allowed)) = rule else {
            problems.push(format!("{folder}: no edges are written down for it in xtask/src/tidy.rs"));
            continue;
        };
        let manifest = manifest(&root.join(folder).join("Cargo.toml"));
        let Some(dependencies) = manifest.get("dependencies").and_then(toml::Value::as_table) else { continue };
        for to in dependencies.keys().filter_map(|name| crates.get(name)) {
            if !allowed.contains(&"*") && !allowed.contains(&to.as_str()) {
                problems.push(format!("{folder} may not depend on {to}"));
            }
        }
    }
    problems
}

/// ARCHITECTURE.md is the map: every folder with a crate is on it.
fn map(root: &Path, crates: &BTreeMap<String, String>) -> Vec<String> {
    let map = std::fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap_or_default();
    let missing = crates.values().filter(|folder| !map.contains(&format!("`{folder}`")));
    missing.map(|folder| format!("ARCHITECTURE.md does not name `{folder}`")).collect()
}

/// Files under version control.
fn files(root: &Path) -> Vec<PathBuf> {
    let ran = std::process::Command::new("git").args(["ls-files"]).current_dir(root).output();
    let text = ran.map(|ran| String::from_utf8_lossy(&ran.stdout).into_owned()).unwrap_or_default();
    text.lines().map(PathBuf::from).filter(|path| root.join(path).is_file()).collect()
}

fn content(path: &Path, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let name = path.display().to_string();
    let mut say = |problem: &str| problems.push(format!("{name}: {problem}"));
    if name != "xtask/src/tidy.rs" && !name.ends_with(".lock") {
        for word in ["/work/", "/root/.", "TODO", "FIXME"] {
            if text.contains(word) {
                say(&format!("holds `{word}`"));
            }
        }
    }
    if !name.ends_with(".rs") {
        return problems;
    }
    if !text.starts_with("//!") {
        say("does not open by saying what it is (`//! …`)");
    }
    let is_unsafe = text.lines().any(|line| {
        let code = line.split("//").next().unwrap_or_default();
        code.contains("unsafe {") || code.contains("unsafe fn") || code.contains("unsafe impl")
    });
    if is_unsafe && name != "xtask/src/tidy.rs" && !UNSAFE.iter().any(|folder| name.starts_with(folder)) {
        say("holds `unsafe`, which belongs into the sandbox crate");
    }
    if text.lines().count() > LINES_MAX {
        say(&format!("has more than {LINES_MAX} lines: find the seam"));
    }
    problems
}
