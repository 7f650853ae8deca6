//! Which bucket a host name means: `BUCKET.s3.ANYTHING`, and `BUCKET.localhost`, which clients make of an endpoint on localhost.

use cumulet_wire::data_plane::host_name;
use s3s::S3Result;
use s3s::host::{S3Host, VirtualHost};

pub struct Hosts;

impl S3Host for Hosts {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        Ok(match bucket(&host_name(host)) {
            Some(bucket) => VirtualHost::new(host).with_bucket(bucket),
            None => VirtualHost::new(host),
        })
    }
}

fn bucket(name: &str) -> Option<String> {
    if name.starts_with("s3.") {
        return None;
    }
    let found = name.find(".s3.").map(|at| &name[..at]).or_else(|| name.strip_suffix(".localhost"));
    found.filter(|bucket| *bucket != "s3" && !bucket.is_empty()).map(str::to_owned)
}

/// The bucket of a website's host, `BUCKET.s3-website-REGION.ANYTHING` or `BUCKET.s3-website.ANYTHING`.
pub fn website(name: &str) -> Option<&str> {
    let at = name.find(".s3-website.").or_else(|| name.find(".s3-website-"))?;
    Some(&name[..at]).filter(|bucket| !bucket.is_empty())
}

/// The bucket that a request means, by its host or its path.
pub fn bucket_of(host: &str, path: &str) -> Option<String> {
    let of_path = || path.strip_prefix('/')?.split('/').next().filter(|name| !name.is_empty()).map(str::to_owned);
    bucket(host).or_else(of_path)
}

/// Whether a path's beginning can be a bucket's name, and is not one of the dates that other services' paths begin with.
pub fn is_bucket_path(path: &str) -> bool {
    let Some(name) = path.strip_prefix('/').and_then(|path| path.split('/').next()) else { return false };
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    let is_date = name.len() == 10 && name.bytes().filter(u8::is_ascii_digit).count() == 8;
    (3..=63).contains(&name.len()) && name.bytes().all(is_letter) && !is_date
}

/// Whether unsigned requests to this host are S3's.
pub fn is_s3(name: &str) -> bool {
    name.starts_with("s3.") || name.contains(".s3.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn websites_and_paths() {
        for (name, bucket) in [
            ("b.s3-website-us-east-1.localhost", Some("b")),
            ("www.example.com.s3-website.eu-west-1.localhost", Some("www.example.com")),
            (".s3-website.x", None),
            ("b.s3.localhost", None),
        ] {
            assert_eq!(website(name), bucket, "{name}");
        }
        for (path, is) in [
            ("/photos/a.jpg", true),
            ("/a/b", false),
            ("/2015-03-31/functions", false),
            ("/", false),
            ("/Upper", false),
        ] {
            assert_eq!(is_bucket_path(path), is, "{path}");
        }
        assert_eq!(bucket_of("b.s3.localhost", "/k").as_deref(), Some("b"));
        assert_eq!(bucket_of("localhost", "/b/k").as_deref(), Some("b"));
    }

    #[test]
    fn buckets_of_hosts() {
        let cases = [
            ("b.s3.localhost", Some("b")),
            ("a.b.s3.localhost", Some("a.b")),
            ("b.s3.eu-west-1.example.com", Some("b")),
            ("b.localhost", Some("b")),
            ("s3.localhost", None),
            ("localhost", None),
            ("127.0.0.1", None),
        ];
        for (name, expected) in cases {
            assert_eq!(bucket(name).as_deref(), expected, "{name}");
        }
    }
}
