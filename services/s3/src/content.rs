//! An object's bytes on their way in: counted, hashed, compared with what the client said, and put down once.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::{Bytes, BytesMut};
use cumulet_base::limits;
use futures_util::StreamExt;
use s3s::checksum::ChecksumHasher;
use s3s::dto::{Checksum, StreamingBlob};
use s3s::{S3Request, S3Result, TrailingHeaders, s3_error};

use crate::model::Sum;
use crate::storage::Storage;
use crate::sums::Sums;
use crate::{errors, form};

pub const ALGORITHMS: [&str; 5] = ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"];
/// How many bytes each of them makes.
const WIDTHS: [usize; 5] = [4, 4, 8, 20, 32];

/// What a client said about the bytes it sends.
#[derive(Default)]
pub struct Expected {
    pub md5: Option<String>,
    pub sum: Option<Sum>,
    algorithm: Option<String>,
    trailers: Option<TrailingHeaders>,
    /// What the chunks of a body sent in such come to.
    decoded_bytes: Option<u64>,
}

impl Expected {
    /// Reads headers; those of the trailer follow after the body.
    pub fn of<T>(request: &S3Request<T>) -> S3Result<Expected> {
        let header = |name: &str| request.headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let mut expected = Expected { md5: header("content-md5"), ..Expected::default() };
        for (algorithm, width) in ALGORITHMS.into_iter().zip(WIDTHS) {
            let name = format!("x-amz-checksum-{}", algorithm.to_lowercase());
            if let Some(value) = header(&name) {
                if !is_sum(&value, width) {
                    let message = format!("Value for {name} header is invalid.");
                    return Err(s3s::S3Error::with_message(s3s::S3ErrorCode::InvalidRequest, message));
                }
                expected.sum = Some(Sum { algorithm: algorithm.to_owned(), value, is_composite: false });
            } else if header("x-amz-trailer").is_some_and(|trailer| trailer.trim().eq_ignore_ascii_case(&name)) {
                expected.algorithm = Some(algorithm.to_owned());
            }
        }
        let named = header("x-amz-sdk-checksum-algorithm").or_else(|| header("x-amz-checksum-algorithm"));
        if let Some(named) = named {
            if !ALGORITHMS.contains(&named.as_str()) {
                return Err(s3_error!(
                    InvalidRequest,
                    "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]"
                ));
            }
            expected.algorithm.get_or_insert(named);
        }
        expected.trailers.clone_from(&request.trailing_headers);
        if header("x-amz-content-sha256").is_some_and(|sha| sha.starts_with("STREAMING-")) {
            expected.decoded_bytes = header("x-amz-decoded-content-length").and_then(|length| length.parse().ok());
        }
        Ok(expected)
    }

    /// The algorithm that the client named, by a value or by name.
    pub fn algorithm(&self) -> Option<&str> {
        self.sum.as_ref().map(|sum| sum.algorithm.as_str()).or(self.algorithm.as_deref())
    }
}

/// A sum of so many bytes; that of an upload in parts may say how many parts there are.
fn is_sum(value: &str, width: usize) -> bool {
    let value = value.rsplit_once('-').map_or(value, |(sum, _parts)| sum);
    BASE64_STANDARD.decode(value).is_ok_and(|sum| sum.len() == width)
}

/// Bytes that are put down, durable, and have no record yet.
pub struct Content {
    pub size: u64,
    pub md5: [u8; 16],
    pub sum: Sum,
    /// Either these are all the bytes, or they are in the blob.
    pub inline: Option<Bytes>,
    pub blob: Option<String>,
}

/// Takes the body in. `name` is where it goes where it is too large to live in the store, or anyway where `always_blob`.
/// A refused body leaves nothing.
pub async fn receive(
    storage: &Storage,
    body: Option<StreamingBlob>,
    expected: &Expected,
    default_algorithm: &str,
    name: &str,
    always_blob: bool,
) -> S3Result<Content> {
    let algorithm = expected.algorithm().unwrap_or(default_algorithm).to_owned();
    let mut sums = Sums::new(&algorithm);
    let mut size = 0_u64;
    let mut small = BytesMut::new();
    let mut writer = always_blob.then(|| storage.blobs.create(name));
    let mut body = body;
    let idle = Duration::from_millis(limits::REQUEST_BODY_IDLE_TIMEOUT_MS);
    while let Some(stream) = &mut body {
        let Ok(next) = tokio::time::timeout(idle, stream.next()).await else {
            return Err(s3_error!(
                RequestTimeout,
                "Your socket connection to the server was not read from or written to within the timeout period."
            ));
        };
        let Some(piece) = next else { break };
        let piece = piece.map_err(broken)?;
        size += piece.len() as u64;
        if expected.decoded_bytes.is_some_and(|said| size > said) {
            return Err(incomplete());
        }
        if size > limits::OBJECT_PUT_BYTES_MAX {
            return Err(s3_error!(EntityTooLarge, "Your proposed upload exceeds the maximum allowed size"));
        }
        sums.update(piece.clone()).await?;
        match &mut writer {
            Some(writer) => writer.write(piece).await.map_err(errors::blobs)?,
            None if small.len() + piece.len() <= limits::OBJECT_INLINE_BYTES_MAX => small.extend_from_slice(&piece),
            None => {
                let mut begun = storage.blobs.create(name);
                begun.write(small.split().freeze()).await.map_err(errors::blobs)?;
                begun.write(piece).await.map_err(errors::blobs)?;
                writer = Some(begun);
            }
        }
    }
    if expected.decoded_bytes.is_some_and(|said| size != said) {
        return Err(incomplete());
    }
    let finish = async {
        let Some(writer) = writer else { return Ok::<_, s3s::S3Error>(None) };
        writer.finish().await.map_err(errors::blobs)?;
        Ok(Some(name.to_owned()))
    };
    // The last of it is hashed while the disk takes it.
    let (summed, blob) = tokio::join!(sums.finish(), finish);
    let compared = summed.and_then(|(md5, sums)| {
        let value = value_of(&algorithm, &sums).unwrap_or_default();
        compare(expected, &algorithm, &md5, &value)?;
        Ok((md5, Sum { algorithm, value, is_composite: false }))
    });
    let (md5, sum) = match (compared, &blob) {
        (Ok(compared), _) => compared,
        (Err(e), Ok(Some(blob))) => {
            storage.discard(std::slice::from_ref(blob)).await;
            return Err(e);
        }
        (Err(e), _) => return Err(e),
    };
    let blob = blob?;
    let inline = blob.is_none().then(|| small.freeze());
    Ok(Content { size, md5, sum, inline, blob })
}

fn compare(expected: &Expected, algorithm: &str, md5: &[u8; 16], value: &str) -> S3Result<()> {
    if let Some(said) = &expected.md5 {
        let said = BASE64_STANDARD.decode(said).ok().filter(|said| said.len() == 16);
        let said = said.ok_or_else(|| s3_error!(InvalidDigest, "The Content-MD5 you specified was invalid."))?;
        if said != md5 {
            return Err(s3_error!(BadDigest, "The Content-MD5 you specified did not match what we received."));
        }
    }
    let name = format!("x-amz-checksum-{}", algorithm.to_lowercase());
    let trailer = expected.trailers.as_ref().and_then(|trailers| {
        trailers.read(|headers| headers.get(&name).and_then(|v| v.to_str().ok()).map(str::to_owned)).flatten()
    });
    for said in expected.sum.as_ref().map(|sum| &sum.value).into_iter().chain(&trailer) {
        if said != value {
            let message = format!("The {algorithm} you specified did not match the calculated checksum.");
            return Err(s3s::S3Error::with_message(s3s::S3ErrorCode::BadDigest, message));
        }
    }
    Ok(())
}

/// The body broke off or was not what its signature says: the client's affair in both cases.
fn broken(e: s3s::StdError) -> s3s::S3Error {
    if let Some(e) = form::failure(&e) {
        return e;
    }
    tracing::debug!(error = %e, "a body was not received whole");
    let text = e.to_string().to_lowercase();
    if text.contains("sha256") || text.contains("checksum") || text.contains("hash") {
        let code = s3s::S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into());
        let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
        let mut error = s3s::S3Error::with_message(code, message);
        error.set_status_code(http::StatusCode::BAD_REQUEST);
        return error;
    }
    if text.contains("signature") {
        return s3_error!(SignatureDoesNotMatch, "The signature of a chunk does not match.");
    }
    incomplete()
}

fn incomplete() -> s3s::S3Error {
    s3_error!(IncompleteBody, "You did not provide the number of bytes specified by the Content-Length HTTP header")
}

pub fn hasher(algorithm: &str) -> ChecksumHasher {
    let mut hasher = ChecksumHasher::default();
    match algorithm {
        "CRC32" => hasher.crc32 = Some(s3s::crypto::Crc32::default()),
        "CRC32C" => hasher.crc32c = Some(s3s::crypto::Crc32c::default()),
        "SHA1" => hasher.sha1 = Some(s3s::crypto::Sha1::default()),
        "SHA256" => hasher.sha256 = Some(s3s::crypto::Sha256::default()),
        _ => hasher.crc64nvme = Some(s3s::crypto::Crc64Nvme::default()),
    }
    hasher
}

fn value_of(algorithm: &str, sums: &Checksum) -> Option<String> {
    match algorithm {
        "CRC32" => sums.checksum_crc32.clone(),
        "CRC32C" => sums.checksum_crc32c.clone(),
        "SHA1" => sums.checksum_sha1.clone(),
        "SHA256" => sums.checksum_sha256.clone(),
        _ => sums.checksum_crc64nvme.clone(),
    }
}

/// The checksum of a whole made of parts: of the parts' checksums, or as if the bytes had come at once.
pub fn combine(algorithm: &str, is_composite: bool, parts: &[(u64, &Sum)]) -> Option<Sum> {
    let decode = |sum: &Sum| BASE64_STANDARD.decode(&sum.value).ok();
    let value = if is_composite {
        let mut hasher = hasher(algorithm);
        for (_, sum) in parts {
            hasher.update(&decode(sum)?);
        }
        format!("{}-{}", value_of(algorithm, &hasher.finalize())?, parts.len())
    } else {
        let (kind, width) = match algorithm {
            "CRC32" => (crc_fast::CrcAlgorithm::Crc32IsoHdlc, 4),
            "CRC32C" => (crc_fast::CrcAlgorithm::Crc32Iscsi, 4),
            "CRC64NVME" => (crc_fast::CrcAlgorithm::Crc64Nvme, 8),
            _ => return None,
        };
        let number = |sum: &Sum| Some(decode(sum)?.iter().fold(0_u64, |n, byte| n << 8 | u64::from(*byte)));
        let (first, rest) = parts.split_first()?;
        let mut all = number(first.1)?;
        for (size, sum) in rest {
            all = crc_fast::checksum_combine(kind, all, number(sum)?, *size);
        }
        BASE64_STANDARD.encode(&all.to_be_bytes()[8 - width..])
    };
    Some(Sum { algorithm: algorithm.to_owned(), value, is_composite })
}

/// The checksum as the members of an answer.
pub fn shown(sum: Option<&Sum>) -> Checksum {
    let mut shown = Checksum::default();
    let Some(sum) = sum else { return shown };
    let value = Some(sum.value.clone());
    match sum.algorithm.as_str() {
        "CRC32" => shown.checksum_crc32 = value,
        "CRC32C" => shown.checksum_crc32c = value,
        "SHA1" => shown.checksum_sha1 = value,
        "SHA256" => shown.checksum_sha256 = value,
        _ => shown.checksum_crc64nvme = value,
    }
    let kind = if sum.is_composite { "COMPOSITE" } else { "FULL_OBJECT" };
    shown.checksum_type = Some(s3s::dto::ChecksumType::from_static(kind));
    shown
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn parts_combine_into_the_whole() {
        let sum_of = |algorithm: &str, bytes: &[u8]| {
            let mut hasher = hasher(algorithm);
            hasher.update(bytes);
            let value = value_of(algorithm, &hasher.finalize()).unwrap();
            Sum { algorithm: algorithm.to_owned(), value, is_composite: false }
        };
        for algorithm in ["CRC32", "CRC32C", "CRC64NVME"] {
            let (a, b) = (sum_of(algorithm, b"hello "), sum_of(algorithm, b"world"));
            let whole = combine(algorithm, false, &[(6, &a), (5, &b)]).unwrap();
            assert_eq!(whole, sum_of(algorithm, b"hello world"));
            assert!(combine(algorithm, true, &[(6, &a), (5, &b)]).unwrap().value.ends_with("-2"));
        }
        assert_eq!(combine("SHA1", false, &[(6, &sum_of("SHA1", b"a"))]), None);
    }
}
