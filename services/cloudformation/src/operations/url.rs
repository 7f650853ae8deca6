//! Addresses of templates in the forms that tools write them: in the path or the name of the host, at AWS or here. Pure.

use percent_encoding::percent_decode_str;

#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    pub bucket: String,
    pub key: String,
    pub version: Option<String>,
}

/// Where a template lies. `None`: that is not the address of an object.
pub fn parse(url: &str) -> Option<Place> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (host, path) = rest.split_once('/')?;
    let host = cumulet_wire::data_plane::host_name(host);
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned);
    let (bucket, key) = match bucket_of(&host) {
        Some(bucket) => (bucket.to_owned(), path),
        None => {
            let (bucket, key) = path.split_once('/')?;
            (decoded(bucket)?, key)
        }
    };
    let version = query.split('&').find_map(|pair| pair.strip_prefix("versionId=")).and_then(decoded);
    let key = decoded(key)?;
    (!bucket.is_empty() && !key.is_empty()).then_some(Place { bucket, key, version })
}

/// The bucket in a host's name: `BUCKET.s3.amazonaws.com`, `BUCKET.s3.REGION.amazonaws.com`, `BUCKET.s3-REGION…`,
/// `BUCKET.s3.localhost`, and `BUCKET.localhost`.
fn bucket_of(host: &str) -> Option<&str> {
    let is_s3 = |label: &str| label == "s3" || label.starts_with("s3-");
    // A bucket's own name may have dots: the last label that says S3 counts.
    let labels: Vec<&str> = host.split('.').collect();
    let at = labels.iter().rposition(|label| is_s3(label));
    match at {
        Some(0) => None,
        Some(at) => {
            let length = labels[..at].iter().map(|label| label.len() + 1).sum::<usize>();
            host.get(..length - 1)
        }
        None => host.strip_suffix(".localhost").filter(|bucket| !bucket.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (url, bucket, key) in [
            ("http://127.0.0.1:4566/b/k/t.json", "b", "k/t.json"),
            ("http://localhost:4566/b/t", "b", "t"),
            ("https://s3.amazonaws.com/b/serverless/t.json", "b", "serverless/t.json"),
            ("https://s3.eu-central-1.amazonaws.com/b/t", "b", "t"),
            ("https://s3-eu-west-1.amazonaws.com/b/t", "b", "t"),
            ("https://b.s3.amazonaws.com/t", "b", "t"),
            ("https://b.c.s3.us-east-1.amazonaws.com/a%20b", "b.c", "a b"),
            ("https://b.s3-us-west-2.amazonaws.com/t", "b", "t"),
            ("http://b.s3.localhost:4566/t", "b", "t"),
            ("http://b.localhost:4566/t", "b", "t"),
        ] {
            let expect = Place { bucket: bucket.into(), key: key.into(), version: None };
            assert_eq!(parse(url), Some(expect), "{url}");
        }
        let version = parse("https://s3.amazonaws.com/b/t?x=1&versionId=v7").and_then(|place| place.version);
        assert_eq!(version.as_deref(), Some("v7"));
        for url in ["ftp://b/k", "https://x", "https://s3.amazonaws.com/b", "http://b.s3.amazonaws.com/"] {
            assert_eq!(parse(url), None, "{url}");
        }
    }
}
