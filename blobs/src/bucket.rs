//! Blobs in a bucket of S3 or what speaks its protocol, of Google Cloud Storage or of Azure: by an address and the options
//! of `object_store`. A bucket's folder belongs to one cloud; a marker in it says to which.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use cumulet_base::limits;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, RetryConfig};
use tokio_rustls::rustls::ClientConfig;

use crate::client::Connector;
use crate::crypto::Crypto;
use crate::{Blobs, Error, Result};

/// Which cloud a bucket's blobs belong to.
const MARKER: &str = "owner";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    S3,
    Google,
    Azure,
}

/// `s3://BUCKET/FOLDER`, `gs://BUCKET/FOLDER` or `az://CONTAINER/FOLDER`; the folder may be left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    kind: Kind,
    bucket: String,
    folder: Path,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is none of s3://BUCKET/FOLDER, gs://BUCKET/FOLDER, az://CONTAINER/FOLDER")]
pub struct NotAnAddress(String);

impl FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> std::result::Result<Address, NotAnAddress> {
        let bad = || NotAnAddress(text.to_owned());
        let (scheme, rest) = text.split_once("://").ok_or_else(bad)?;
        let kind = match scheme {
            "s3" => Kind::S3,
            "gs" => Kind::Google,
            "az" => Kind::Azure,
            _ => return Err(bad()),
        };
        let (bucket, folder) = rest.split_once('/').unwrap_or((rest, ""));
        let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        if bucket.is_empty() || !bucket.bytes().all(is_name) {
            return Err(bad());
        }
        Ok(Address { kind, bucket: bucket.to_owned(), folder: Path::parse(folder).map_err(|_| bad())? })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            Kind::S3 => "s3",
            Kind::Google => "gs",
            Kind::Azure => "az",
        };
        write!(f, "{scheme}://{}/{}", self.bucket, self.folder)
    }
}

/// How a bucket is reached.
pub struct Access {
    /// Names and values as in `object_store`'s configuration; one that is not known is refused.
    pub options: Vec<(String, String)>,
    /// The provider's own variables (`AWS_…`, `GOOGLE_…`, `AZURE_…`), such as credentials. The options go first.
    pub environment: Vec<(String, String)>,
    pub tls: Arc<ClientConfig>,
}

/// Where clients on this machine find this cloud, and not where its own bytes are.
const NOT_OF_THE_ENVIRONMENT: [&str; 4] =
    ["aws_endpoint", "aws_endpoint_url", "aws_endpoint_url_s3", "azure_storage_endpoint"];

/// The three builders have the same methods and no trait in common.
macro_rules! build {
    ($builder:expr, $key:ty, $variables:literal, $access:expr) => {{
        let mut builder = $builder
            .with_http_connector(Connector::new($access.tls.clone()))
            .with_crypto_provider(Arc::new(Crypto))
            .with_retry(retries());
        for (name, value) in &$access.environment {
            let key = name.to_ascii_lowercase();
            if let (true, Ok(key)) =
                (name.starts_with($variables) && !NOT_OF_THE_ENVIRONMENT.contains(&key.as_str()), key.parse::<$key>())
            {
                builder = builder.with_config(key, value);
            }
        }
        for (name, value) in &$access.options {
            let key = name.parse::<$key>().map_err(|_| Error::Option(name.clone()))?;
            builder = builder.with_config(key, value);
        }
        builder.build().map(|store| Arc::new(store) as Arc<dyn ObjectStore>)
    }};
}

fn retries() -> RetryConfig {
    RetryConfig {
        max_retries: limits::BLOB_BUCKET_RETRIES_MAX,
        retry_timeout: Duration::from_millis(limits::BLOB_BUCKET_RETRY_TIMEOUT_MS),
        ..RetryConfig::default()
    }
}

impl Blobs {
    /// Blobs of a bucket that is there already. `owner` tells this cloud from others; the first one to come marks the folder
    /// as its own, because whoever removes what no record of theirs names would remove another's.
    ///
    /// # Errors
    /// [`Error::Option`], [`Error::Taken`], [`Error::Backend`] when the bucket does not answer or refuses.
    pub async fn bucket(address: &Address, access: &Access, owner: &str) -> Result<Blobs> {
        let name = &address.bucket;
        let built = match address.kind {
            Kind::S3 => build!(AmazonS3Builder::new().with_bucket_name(name), AmazonS3ConfigKey, "AWS_", access),
            Kind::Google => {
                build!(GoogleCloudStorageBuilder::new().with_bucket_name(name), GoogleConfigKey, "GOOGLE_", access)
            }
            Kind::Azure => {
                build!(MicrosoftAzureBuilder::new().with_container_name(name), AzureConfigKey, "AZURE_", access)
            }
        };
        let store = built.map_err(|source| Error::Backend { doing: "opening the bucket for blobs", source })?;
        let blobs = Blobs::new(Arc::new(PrefixStore::new(store, address.folder.clone())));
        blobs.claim(owner).await?;
        Ok(blobs)
    }

    async fn claim(&self, owner: &str) -> Result<()> {
        let marker = Path::from(MARKER);
        let failed = |source| Error::Backend { doing: "marking the bucket for blobs", source };
        match self.store.put_opts(&marker, owner.to_owned().into(), PutMode::Create.into()).await {
            Ok(_) => return Ok(()),
            Err(object_store::Error::AlreadyExists { .. }) => {}
            Err(source) => return Err(failed(source)),
        }
        let there = self.store.get(&marker).await.map_err(failed)?.bytes().await.map_err(failed)?;
        if there == owner.as_bytes() { Ok(()) } else { Err(Error::Taken) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use object_store::memory::InMemory;

    use super::*;

    #[test]
    fn addresses() {
        let check = |text: &str, expect: Option<(Kind, &str, &str)>| {
            let parsed = text.parse::<Address>().ok();
            let expect = expect.map(|(kind, bucket, folder)| Address {
                kind,
                bucket: bucket.to_owned(),
                folder: Path::from(folder),
            });
            assert_eq!(parsed, expect, "{text}");
            if let Some(address) = parsed {
                assert_eq!(address.to_string().parse(), Ok(address), "{text}");
            }
        };
        check("s3://a-bucket", Some((Kind::S3, "a-bucket", "")));
        check("s3://a-bucket/", Some((Kind::S3, "a-bucket", "")));
        check("gs://b.c_d/some/folder", Some((Kind::Google, "b.c_d", "some/folder")));
        check("az://container/x", Some((Kind::Azure, "container", "x")));
        for bad in ["", "/a/folder", "s3://", "s3:///x", "http://b/x", "s3://b?x/y", "s3://b/x//y", "s3://b/../y"] {
            check(bad, None);
        }
    }

    fn access(options: &[(&str, &str)]) -> Access {
        let roots = tokio_rustls::rustls::RootCertStore::empty();
        let tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Access { options: options.iter().map(owned).collect(), environment: Vec::new(), tls: Arc::new(tls) }
    }

    #[tokio::test]
    async fn options_are_the_providers() {
        for (address, other) in
            [("s3://b", "azure_storage_token"), ("gs://b", "aws_region"), ("az://b", "google_bucket")]
        {
            let refused = Blobs::bucket(&address.parse().unwrap(), &access(&[(other, "x")]), "me").await;
            assert!(matches!(refused, Err(Error::Option(name)) if name == other), "{address}");
        }
    }

    #[tokio::test]
    async fn a_bucket_that_does_not_answer_is_no_bucket() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let endpoint = format!("http://{silent}");
        let options = [("aws_endpoint", endpoint.as_str()), ("aws_access_key_id", "a"), ("aws_secret_access_key", "b")];
        let mut access = access(&options);
        // Of the environment, only what is the bucket's.
        access.environment = vec![("AWS_ENDPOINT_URL".to_owned(), "http://elsewhere".to_owned())];
        let refused = Blobs::bucket(&"s3://b".parse().unwrap(), &access, "me").await;
        assert!(matches!(refused, Err(Error::Backend { .. })), "{refused:?}");
    }

    #[tokio::test]
    async fn a_folder_belongs_to_one_cloud() {
        let blobs = Blobs::new(Arc::new(InMemory::new()));
        blobs.claim("one").await.unwrap();
        blobs.claim("one").await.unwrap();
        assert!(matches!(blobs.claim("other").await, Err(Error::Taken)));
    }
}
