//! Code as CreateFunction and UpdateFunctionCode take it: a zip in the request, or one uploaded before.
//! Buckets other than the platform's own, and container images, are absent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cumulet_base::limits;
use cumulet_engine::code::check_zip;
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;
use serde::Deserialize;

use crate::{Lambda, errors};

/// The one bucket there is: what was uploaded to the platform, by the SHA-256 of its content.
pub const ARTIFACTS_BUCKET: &str = "cumulet-artifacts";

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Source {
    pub zip_file: Option<String>,
    #[serde(rename = "S3Bucket")]
    pub s3_bucket: Option<String>,
    #[serde(rename = "S3Key")]
    pub s3_key: Option<String>,
    #[serde(rename = "S3ObjectVersion")]
    pub s3_object_version: Option<String>,
    pub image_uri: Option<String>,
    #[serde(rename = "SourceKMSKeyArn")]
    pub source_kms_key_arn: Option<String>,
}

/// A checked zip in the blob store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCode {
    /// SHA-256, hexadecimal.
    pub digest: String,
    pub bytes: u64,
}

/// The one architecture a function may name.
pub fn architecture(list: Option<Vec<String>>) -> Result<Option<String>, ApiError> {
    let Some(list) = list else { return Ok(None) };
    if list.len() != 1 {
        return Err(errors::invalid_parameter("Architectures must name exactly one architecture."));
    }
    let one = list.into_iter().next();
    let mut checks = Validation::new();
    checks.one_of("architectures", one.as_deref(), &["x86_64", "arm64"]);
    checks.finish("ValidationException")?;
    Ok(one)
}

impl Lambda {
    /// Checks the zip and keeps it; durable when it returns.
    pub async fn take_code(&self, source: Source, operation: &str) -> Result<StoredCode, ApiError> {
        let zip = self.read_source(source, operation).await?;
        let bytes = zip.len() as u64;
        if zip.len() > limits::CODE_ZIP_BYTES_MAX {
            return Err(errors::zip_too_large(operation));
        }
        let checked = zip.clone();
        // Unpacking a whole archive takes long enough to hold up other requests.
        tokio::task::spawn_blocking(move || check_zip(&checked))
            .await
            .map_err(|e| ApiError::internal(format!("checking a zip: {e}")))?
            .map_err(|reason| {
                tracing::debug!(%reason, "refused a zip");
                errors::bad_zip(&reason)
            })?;
        let digest = self.code.put(zip).await.map_err(|e| errors::blobs("Storing the code", &e))?;
        Ok(StoredCode { digest, bytes })
    }

    async fn read_source(&self, source: Source, operation: &str) -> Result<Bytes, ApiError> {
        if source.image_uri.is_some() {
            return Err(errors::not_built("ImageUri (container images)"));
        }
        if source.source_kms_key_arn.is_some() {
            return Err(errors::not_built("SourceKMSKeyArn"));
        }
        match (source.zip_file, source.s3_bucket, source.s3_key) {
            (Some(text), None, None) => {
                if text.len() / 4 * 3 > limits::CODE_ZIP_BYTES_MAX + 3 {
                    return Err(errors::zip_too_large(operation));
                }
                STANDARD
                    .decode(text.as_bytes())
                    .map(Bytes::from)
                    .map_err(|_| ApiError::serialization("ZipFile is not valid Base64"))
            }
            (None, Some(bucket), Some(key)) => self.read_artifact(&bucket, &key).await,
            _ => Err(errors::invalid_parameter("Please provide a source for function code.")),
        }
    }

    async fn read_artifact(&self, bucket: &str, key: &str) -> Result<Bytes, ApiError> {
        if bucket != ARTIFACTS_BUCKET {
            return Err(errors::invalid_parameter(format!(
                "Error occurred while GetObject. There is no bucket `{bucket}`: S3 is not built yet. Code comes as ZipFile, \
                 or from the bucket `{ARTIFACTS_BUCKET}` by its SHA-256."
            )));
        }
        let is_digest = key.len() == 64 && key.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let found =
            if is_digest { self.code.get(key).await.map_err(|e| errors::blobs("Reading the code", &e))? } else { None };
        found.ok_or_else(|| {
            errors::invalid_parameter(
                "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not exist.",
            )
        })
    }
}
