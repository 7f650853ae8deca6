//! What registries are told of who asks: a file as `docker login` keeps it. Deliberately absent: credential helpers, which are
//! programs.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Entry {
    /// Name and password in Base64.
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
}

/// Deliberately not `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Name and password, as the header has them.
    Basic(String),
    /// For the server that gives out tokens.
    Identity(String),
}

/// The credentials for a registry; read every time, as they are replaced while the cloud runs.
///
/// # Errors
/// When the file is not there or not one; what it holds is not told.
pub fn of(path: &Path, host: &str) -> Result<Option<Credentials>, String> {
    let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
    let file: File = serde_json::from_slice(&bytes).map_err(|_| "it is not a configuration of Docker's".to_owned())?;
    let found = file.auths.into_iter().find(|(key, _)| server_of(key) == server_of(host));
    let Some((_, entry)) = found else { return Ok(None) };
    Ok(if !entry.identitytoken.is_empty() {
        Some(Credentials::Identity(entry.identitytoken))
    } else if !entry.auth.is_empty() {
        Some(Credentials::Basic(entry.auth))
    } else if !entry.username.is_empty() {
        Some(Credentials::Basic(STANDARD.encode(format!("{}:{}", entry.username, entry.password))))
    } else {
        None
    })
}

/// Keys are hosts, or addresses as older versions wrote them.
fn server_of(key: &str) -> String {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let host = key.split('/').next().unwrap_or(key).to_ascii_lowercase();
    if super::registry::is_docker_hub(&host) { super::registry::DOCKER_HUB.to_owned() } else { host }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn by_the_registrys_host() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(
            &path,
            r#"{"auths": {"https://index.docker.io/v1/": {"auth": "aHViOng="}, "r.example:5000": {"username": "a", "password": "b"},
                "t.example": {"identitytoken": "t"}, "empty.example": {}}, "credsStore": "desktop"}"#,
        )
        .unwrap();
        for (host, expect) in [
            ("docker.io", Some(Credentials::Basic("aHViOng=".to_owned()))),
            ("r.example:5000", Some(Credentials::Basic("YTpi".to_owned()))),
            ("r.example", None),
            ("t.example", Some(Credentials::Identity("t".to_owned()))),
            ("empty.example", None),
        ] {
            assert!(of(&path, host).unwrap() == expect, "{host}");
        }
        std::fs::write(&path, "secret").unwrap();
        assert!(!of(&path, "t.example").err().unwrap().contains("secret"));
        assert!(of(&folder.path().join("none"), "t.example").is_err());
    }
}
