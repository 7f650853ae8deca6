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

/// Whether unsigned requests to this host are S3's.
pub fn is_s3(name: &str) -> bool {
    name.starts_with("s3.") || name.contains(".s3.")
}

#[cfg(test)]
mod tests {
    use super::*;

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
