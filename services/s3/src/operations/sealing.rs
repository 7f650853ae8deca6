//! Encryption as clients ask for it and see it. What lies on the disk is encrypted where the disk is; a key of KMS is kept by its
//! name, as other services here keep it.

use s3s::S3Result;
use s3s::dto::ServerSideEncryption;

use super::objects::unbuilt;
use crate::errors;
use crate::model::Encryption;

const WITH_KMS: [&str; 2] = ["aws:kms", "aws:kms:dsse"];

/// What is to be kept of what a request asks for.
pub fn asked(algorithm: Option<&ServerSideEncryption>, key: Option<String>) -> S3Result<Option<Encryption>> {
    match algorithm.map(ServerSideEncryption::as_str) {
        Some(kind) if WITH_KMS.contains(&kind) => Ok(Some(Encryption { algorithm: kind.to_owned(), key })),
        _ if key.is_some() => Err(errors::custom(
            "InvalidArgument",
            400,
            "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms",
        )),
        None | Some(ServerSideEncryption::AES256) => Ok(None),
        Some(kind) if kind.starts_with("aws:fsx") => unbuilt(&[(true, "ServerSideEncryption")]).map(|()| None),
        Some(_) => Err(errors::custom(
            "InvalidEncryptionAlgorithmError",
            400,
            "The encryption request you specified is not valid. The valid value is AES256.",
        )),
    }
}

/// The headers of an answer: an object without a key of its own is said to be encrypted as S3 says of everything.
pub fn shown(kept: Option<&Encryption>) -> (Option<ServerSideEncryption>, Option<String>) {
    match kept {
        Some(kept) => (Some(ServerSideEncryption::from(kept.algorithm.clone())), kept.key.clone()),
        None => (Some(ServerSideEncryption::from_static(ServerSideEncryption::AES256)), None),
    }
}

/// Of a bucket's default.
pub fn is_known(algorithm: &str) -> bool {
    algorithm == ServerSideEncryption::AES256 || WITH_KMS.contains(&algorithm)
}
