//! Finds the interpreters of managed runtimes on the host. Each candidate is asked for its version once. Installs
//! nothing.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use cumulet_engine::function::Runtime;

/// An interpreter as found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interpreter {
    pub executable: PathBuf,
    pub version: Vec<u16>,
    /// Its own directory, where that is outside what every instance sees.
    pub prefix: Option<PathBuf>,
}

impl Interpreter {
    pub(crate) fn version_text(&self) -> String {
        let parts: Vec<String> = self.version.iter().map(u16::to_string).collect();
        parts.join(".")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Language {
    Node,
    Python,
    Ruby,
}

pub(crate) struct Interpreters {
    configured: Vec<PathBuf>,
    lenient: bool,
    /// By candidate; `None` where it is none after all.
    known: Mutex<HashMap<(Language, PathBuf), Option<Interpreter>>>,
}

const SYSTEM_DIRECTORIES: &[&str] = &["/usr/local/bin", "/usr/bin"];

impl Interpreters {
    pub(crate) fn new(configured: Vec<PathBuf>, lenient: bool) -> Interpreters {
        Interpreters { configured, lenient, known: Mutex::default() }
    }

    /// The interpreter for a managed runtime. Blocks while candidates are asked for the first time.
    ///
    /// # Errors
    /// A sentence for the user when there is none.
    pub(crate) fn find(&self, runtime: &Runtime) -> Result<Interpreter, String> {
        let (language, name, wanted) = match runtime {
            Runtime::Node { major } => (Language::Node, "Node.js", vec![*major]),
            Runtime::Python { minor } => (Language::Python, "Python", vec![3, *minor]),
            Runtime::Ruby { major, minor } => (Language::Ruby, "Ruby", vec![*major, *minor]),
            Runtime::Provided { .. } | Runtime::Image => {
                return Err("a custom runtime has no interpreter".to_owned());
            }
        };
        let names = match language {
            Language::Node => vec!["node".to_owned(), format!("node{}", wanted[0])],
            Language::Python => vec![format!("python3.{}", wanted[1]), "python3".to_owned()],
            Language::Ruby => vec![format!("ruby{}.{}", wanted[0], wanted[1]), "ruby".to_owned()],
        };
        let mut found = Vec::new();
        for candidate in self.candidates(&names) {
            let Some(interpreter) = self.ask(language, candidate) else {
                continue;
            };
            if interpreter.version.starts_with(&wanted) {
                return Ok(interpreter);
            }
            found.push(interpreter);
        }
        let wanted_text: Vec<String> = wanted.iter().map(u16::to_string).collect();
        let wanted_text = wanted_text.join(".");
        if self.lenient
            && let Some(nearest) = nearest(&found, &wanted)
        {
            tracing::warn!(
                "runtime {runtime} runs on {name} {} at {}, as {name} {wanted_text} is not here",
                nearest.version_text(),
                nearest.executable.display()
            );
            return Ok(nearest.clone());
        }
        Err(missing(runtime, name, &wanted_text, &found))
    }

    /// All that can be found without knowing a version, for reports.
    pub(crate) fn all(&self, language: Language) -> Vec<Interpreter> {
        let names: Vec<String> = match language {
            Language::Node => ["node", "nodejs"].map(str::to_owned).to_vec(),
            Language::Python => {
                std::iter::once("python3".to_owned()).chain((8..=16).map(|minor| format!("python3.{minor}"))).collect()
            }
            Language::Ruby => vec!["ruby".to_owned()],
        };
        let mut found: Vec<Interpreter> = Vec::new();
        for candidate in self.candidates(&names) {
            if let Some(interpreter) = self.ask(language, candidate)
                && !found.contains(&interpreter)
            {
                found.push(interpreter);
            }
        }
        found
    }

    fn candidates(&self, names: &[String]) -> Vec<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let directories = std::env::split_paths(&path)
            .chain(SYSTEM_DIRECTORIES.iter().map(PathBuf::from))
            .filter(|directory| directory.is_absolute());
        let mut candidates: Vec<PathBuf> = Vec::new();
        for place in self.configured.iter().cloned().chain(directories) {
            if place.is_file() {
                candidates.push(place);
            } else {
                candidates.extend(names.iter().map(|name| place.join(name)));
            }
        }
        candidates.retain(|candidate| candidate.is_file());
        candidates.dedup();
        candidates
    }

    fn ask(&self, language: Language, candidate: PathBuf) -> Option<Interpreter> {
        let mut known = self.known.lock().ok()?;
        let key = (language, candidate);
        if let Some(answer) = known.get(&key) {
            return answer.clone();
        }
        let answer = identify(language, &key.1);
        known.insert(key, answer.clone());
        answer
    }
}

fn missing(runtime: &Runtime, name: &str, wanted: &str, found: &[Interpreter]) -> String {
    let found: Vec<String> =
        found.iter().map(|i| format!("{} at {}", i.version_text(), i.executable.display())).collect();
    let found = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
    format!(
        "runtime {runtime} needs {name} {wanted}; found {found}. Install it, or name its directory in the configuration of interpreters"
    )
}

fn nearest<'a>(found: &'a [Interpreter], wanted: &[u16]) -> Option<&'a Interpreter> {
    let at = wanted.len() - 1;
    found
        .iter()
        .filter(|i| i.version.len() > at && i.version[..at] == wanted[..at])
        .min_by_key(|i| i.version[at].abs_diff(wanted[at]))
}

fn identify(language: Language, candidate: &Path) -> Option<Interpreter> {
    let mut command = Command::new(candidate);
    match language {
        Language::Node => command.args([
            "-p",
            "[process.versions.node, require('fs').realpathSync(process.execPath), ''].join('\\n')",
        ]),
        Language::Ruby => {
            command.args(["--disable-gems", "-e", "puts RUBY_VERSION, File.realpath(RbConfig.ruby), RbConfig::CONFIG['prefix']"])
        }
        Language::Python => command.args([
            "-I",
            "-c",
            "import sys,os;print('%d.%d.%d'%sys.version_info[:3]);print(os.path.realpath(sys.executable));print(os.path.realpath(sys.base_prefix))",
        ]),
    };
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut lines = text.lines();
    let version: Vec<u16> = lines.next()?.split('.').map_while(|part| part.parse().ok()).collect();
    let executable = PathBuf::from(lines.next()?);
    let claimed = lines.next().map(PathBuf::from);
    if !output.status.success() || version.len() < 2 || !executable.is_absolute() {
        return None;
    }
    let prefix = prefix(&executable, claimed.as_deref());
    Some(Interpreter { executable, version, prefix })
}

/// The directory to show inside: the installation's, if that is one of its own, else the executable's.
fn prefix(executable: &Path, claimed: Option<&Path>) -> Option<PathBuf> {
    const SHOWN: &[&str] = &["/usr", "/bin", "/lib", "/nix/store"];
    if SHOWN.iter().any(|shown| executable.starts_with(shown)) {
        return None;
    }
    let bin = executable.parent()?;
    let installation = match claimed {
        Some(claimed) if claimed.is_absolute() => claimed,
        _ if bin.ends_with("bin") => bin.parent()?,
        _ => bin,
    };
    let own = executable.starts_with(installation) && !is_wide(installation);
    Some(if own { installation } else { bin }.to_owned())
}

/// Directories that hold other things than one installation: the root's children and people's homes.
fn is_wide(path: &Path) -> bool {
    let depth = path.components().filter(|part| matches!(part, Component::Normal(_))).count();
    depth < if path.starts_with("/home") { 3 } else { 2 }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(path: &str, version: &[u16]) -> Interpreter {
        Interpreter { executable: path.into(), version: version.to_vec(), prefix: None }
    }

    #[test]
    fn prefixes() {
        for (executable, claimed, expect) in [
            ("/usr/bin/node", None, None),
            ("/opt/node20/bin/node", None, Some("/opt/node20")),
            ("/home/u/bin/node", None, Some("/home/u/bin")),
            ("/home/u/.nvm/v20/bin/node", None, Some("/home/u/.nvm/v20")),
            ("/root/py/3.11/bin/python3.11", Some("/root/py/3.11"), Some("/root/py/3.11")),
            ("/root/bin/node", None, Some("/root/bin")),
            ("/srv/x/python3", Some("/"), Some("/srv/x")),
        ] {
            let got = prefix(Path::new(executable), claimed.map(Path::new));
            assert_eq!(got.as_deref(), expect.map(Path::new), "{executable}");
        }
    }

    #[test]
    fn the_message_says_what_was_found() {
        let found = [at("/usr/bin/node", &[20, 20, 2])];
        let runtime = Runtime::Node { major: 22 };
        assert!(
            missing(&runtime, "Node.js", "22", &found)
                .starts_with("runtime nodejs22.x needs Node.js 22; found 20.20.2 at /usr/bin/node.")
        );
    }

    #[test]
    fn nearest_version() {
        let found = [at("/a", &[3, 9, 1]), at("/b", &[3, 12, 0]), at("/c", &[2, 11])];
        assert_eq!(nearest(&found, &[3, 11]).unwrap().executable, Path::new("/b"));
        assert_eq!(nearest(&[], &[20]), None);
    }
}
