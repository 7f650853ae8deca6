//! Code as CreateFunction and UpdateFunctionCode take it: a zip in the request, or one uploaded before.
//! Container images are `images`'.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cumulet_base::limits;
use cumulet_engine::code::check_zip;
use cumulet_wire::call::Context;
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;
use serde::Deserialize;
use serde_json::json;

use crate::images::{Image, ImageConfig};
use crate::settings::Settings;
use crate::{Lambda, errors};

/// Not a bucket of S3: what was uploaded to the platform, by the SHA-256 of its content.
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
    pub unzipped_bytes: u64,
}

/// The one architecture a function may name. `takes_other`: the other one too, whose code this machine's interpreter runs.
pub fn architecture(list: Option<Vec<String>>, takes_other: bool) -> Result<Option<String>, ApiError> {
    let Some(list) = list else { return Ok(None) };
    if list.len() != 1 {
        return Err(errors::invalid_parameter("Architectures must name exactly one architecture."));
    }
    let one = list.into_iter().next();
    let mut checks = Validation::new();
    checks.one_of("architectures", one.as_deref(), &["x86_64", "arm64"]);
    checks.finish("ValidationException")?;
    match one {
        Some(other) if other != own_architecture() && !takes_other => Err(errors::invalid_parameter(format!(
            "This machine is {}; it cannot run functions for {other}. Those of Node.js, Python and Ruby it takes when it is started with --lenient-versions.",
            own_architecture()
        ))),
        one => Ok(one),
    }
}

/// Whether functions of a runtime are code for an interpreter, which is mostly the same for all architectures.
pub fn is_interpreted(runtime: &str) -> bool {
    ["nodejs", "python", "ruby"].iter().any(|name| runtime.starts_with(name))
}

/// This machine's, in AWS's word.
pub fn own_architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" }
}

/// What is said of a zip may not be said of an image, and the other way round.
pub fn check_kind(settings: &Settings, is_image: bool) -> Result<(), ApiError> {
    let of_zip = [
        ("Handler", settings.handler.is_some()),
        ("Runtime", settings.runtime.is_some()),
        ("Layers", settings.layers.as_ref().is_some_and(|layers| !layers.is_empty())),
    ];
    let wrong = of_zip.into_iter().find(|(_, is_said)| is_image && *is_said);
    if let Some((name, _)) = wrong {
        return Err(errors::invalid_parameter(format!(
            "Please don't provide {name} when the intended function PackageType is Image."
        )));
    }
    if !is_image && settings.image_config.as_ref().is_some_and(|config| *config != ImageConfig::default()) {
        return Err(errors::invalid_parameter(
            "Please don't provide ImageConfig when the intended function PackageType is Zip.",
        ));
    }
    Ok(())
}

impl Lambda {
    /// Code of either kind.
    pub async fn take_source(
        &self,
        context: &Context,
        source: Source,
        is_image: bool,
        architecture: &str,
        operation: &str,
    ) -> Result<(StoredCode, Option<Image>), ApiError> {
        if !is_image {
            return Ok((self.take_code(context, source, operation).await?, None));
        }
        let Source { zip_file, s3_bucket, s3_key, image_uri, .. } = source;
        let is_zip = zip_file.is_some() || s3_bucket.is_some() || s3_key.is_some();
        let uri = image_uri.filter(|_| !is_zip).ok_or_else(|| {
            errors::invalid_parameter("Please provide ImageUri when the intended function PackageType is Image.")
        })?;
        let image = self.take_image(&uri, architecture).await?;
        let stored = StoredCode { digest: String::new(), bytes: 0, unzipped_bytes: 0 };
        Ok((stored, Some(image)))
    }

    /// Checks the zip and keeps it; durable when it returns.
    pub async fn take_code(&self, context: &Context, source: Source, operation: &str) -> Result<StoredCode, ApiError> {
        let zip = self.read_source(context, source, operation).await?;
        let bytes = zip.len() as u64;
        if zip.len() > limits::CODE_ZIP_BYTES_MAX {
            return Err(errors::zip_too_large(operation));
        }
        let checked = zip.clone();
        // Unpacking a whole archive takes long enough to hold up other requests.
        let unzipped_bytes = tokio::task::spawn_blocking(move || check_zip(&checked))
            .await
            .map_err(|e| ApiError::internal(format!("checking a zip: {e}")))?
            .map_err(|reason| {
                tracing::debug!(%reason, "refused a zip");
                errors::bad_zip(&reason)
            })?;
        let digest = self.code.put(zip).await.map_err(|e| errors::blobs("Storing the code", &e))?;
        Ok(StoredCode { digest, bytes, unzipped_bytes })
    }

    async fn read_source(&self, context: &Context, source: Source, operation: &str) -> Result<Bytes, ApiError> {
        if source.image_uri.is_some() {
            return Err(errors::invalid_parameter(
                "Please don't provide ImageUri when the intended function PackageType is Zip.",
            ));
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
            (None, Some(bucket), Some(key)) if bucket == ARTIFACTS_BUCKET => self.read_artifact(&key).await,
            (None, Some(bucket), Some(key)) => {
                self.read_object(context, &bucket, &key, source.s3_object_version.as_deref()).await
            }
            _ => Err(errors::invalid_parameter("Please provide a source for function code.")),
        }
    }

    /// As the caller: who may not read the object cannot make a function of it.
    async fn read_object(
        &self,
        context: &Context,
        bucket: &str,
        key: &str,
        version: Option<&str>,
    ) -> Result<Bytes, ApiError> {
        let mut input = json!({"Bucket": bucket, "Key": key});
        if let Some(version) = version {
            input["VersionId"] = json!(version);
        }
        let answer = self.client.call(&context.caller, &context.region, "s3", "GetObject", input, Bytes::new()).await;
        match answer {
            Ok(answer) => Ok(answer.payload.unwrap_or_default()),
            Err(error) if error.status == 501 => Err(errors::not_built("S3Bucket (code from a bucket)")),
            Err(error) => Err(errors::invalid_parameter(format!(
                "Error occurred while GetObject. S3 Error Code: {}. S3 Error Message: {}",
                error.code, error.message
            ))),
        }
    }

    async fn read_artifact(&self, key: &str) -> Result<Bytes, ApiError> {
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
