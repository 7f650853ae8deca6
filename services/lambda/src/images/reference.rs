//! What an `ImageUri` names: `HOST/NAME:TAG`, `HOST/NAME@sha256:DIGEST`, or both; a host may be missing.

use std::path::{Component, PathBuf};

/// A URI taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// With its port; empty where none is named.
    pub host: String,
    pub name: String,
    pub tag: Option<String>,
    /// Of the manifest or index; hexadecimal.
    pub digest: Option<String>,
}

pub const DIGEST: &str = "sha256:";
/// Of the distribution specification.
const TAG_CHARS_MAX: usize = 128;
const NAME_CHARS_MAX: usize = 255;

impl Reference {
    /// None for what names no image.
    pub fn parse(uri: &str) -> Option<Reference> {
        let (first, rest) = uri.split_once('/').unwrap_or(("", uri));
        let is_host = first == "localhost" || (first.contains(['.', ':']) && !first.starts_with('.'));
        let (host, rest) = if is_host { (first, rest) } else { ("", uri) };
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => (rest, Some(hexadecimal(digest)?.to_owned())),
            None => (rest, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if is_tag(tag) => (name, Some(tag.to_owned())),
            Some(_) => return None,
            None => (rest, None),
        };
        let is_name = name.len() <= NAME_CHARS_MAX && name.split('/').all(is_part);
        is_name.then(|| Reference { host: host.to_ascii_lowercase(), name: name.to_owned(), tag, digest })
    }

    /// Where it is in a folder of images.
    pub fn path(&self) -> PathBuf {
        let path = PathBuf::from(&self.name);
        debug_assert!(path.components().all(|part| matches!(part, Component::Normal(_))), "names are plain");
        path
    }
}

/// A part of a name between slashes. Registries know only small letters; a folder may have others.
fn is_part(part: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    part.bytes().all(is_plain) && part.bytes().any(|b| b.is_ascii_alphanumeric()) && !part.starts_with('.')
}

fn is_tag(tag: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=TAG_CHARS_MAX).contains(&tag.len()) && tag.bytes().all(is_plain) && !tag.starts_with(['.', '-'])
}

/// The digits of a SHA-256.
pub fn hexadecimal(digest: &str) -> Option<&str> {
    let digits = digest.strip_prefix(DIGEST)?;
    let is_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    (digits.len() == 64 && digits.bytes().all(is_digit)).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_uri_leads() {
        let digest = "0123456789abcdef".repeat(4);
        let check = |uri: &str, expect: Option<(&str, &str, Option<&str>, Option<&str>)>| {
            let seen = Reference::parse(uri);
            let seen = seen.as_ref().map(|r| (&*r.host, &*r.name, r.tag.as_deref(), r.digest.as_deref()));
            assert_eq!(seen, expect, "{uri}");
        };
        check("app", Some(("", "app", None, None)));
        check("app:v1", Some(("", "app", Some("v1"), None)));
        check("team/app:v1", Some(("", "team/app", Some("v1"), None)));
        let ecr = "000000000000.dkr.ecr.us-east-1.amazonaws.com";
        check(&format!("{ecr}/team/app:v1"), Some((ecr, "team/app", Some("v1"), None)));
        check("LocalHost:5000/a/b", Some(("localhost:5000", "a/b", None, None)));
        check("[::1]:5000/a", Some(("[::1]:5000", "a", None, None)));
        check(&format!("localhost/app@sha256:{digest}"), Some(("localhost", "app", None, Some(&digest))));
        check(&format!("app:v1@sha256:{digest}"), Some(("", "app", Some("v1"), Some(&digest))));
        let long = "n".repeat(256);
        for bad in [
            "",
            "/etc/passwd",
            "../secret",
            "a/../../b",
            "host.x/",
            "a//b",
            "a:",
            "a:b:c",
            "a: b",
            "a b",
            "a@sha256:0123",
            "app@md5:0",
            "a/.hidden",
            "a/..",
            "a?b",
            "h.x/a#b",
            &long,
            &format!("a:{}", "t".repeat(129)),
        ] {
            check(bad, None);
        }
    }
}
