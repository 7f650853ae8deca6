//! MD5 and checksum of a body as it comes in, taken beside the receiving and the writing: MD5 alone takes longer than either.

use bytes::Bytes;
use cumulet_base::limits;
use md5::{Digest, Md5};
use s3s::S3Result;
use s3s::checksum::ChecksumHasher;
use s3s::dto::Checksum;
use tokio::task::JoinHandle;

use crate::{content, errors};

/// Pieces that are handed over together at most: a client may send its body byte by byte.
const PIECES_MAX: usize = 64;

struct Hashers {
    md5: Md5,
    sum: ChecksumHasher,
}

impl Hashers {
    fn update(&mut self, pieces: &[Bytes]) {
        for piece in pieces {
            self.md5.update(piece);
            self.sum.update(piece);
        }
    }
}

pub struct Sums {
    /// Where they are while nothing is under way.
    hashers: Option<Hashers>,
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
    under_way: Option<JoinHandle<Hashers>>,
}

impl Sums {
    pub fn new(algorithm: &str) -> Sums {
        let hashers = Hashers { md5: Md5::new(), sum: content::hasher(algorithm) };
        Sums { hashers: Some(hashers), waiting: Vec::new(), waiting_bytes: 0, under_way: None }
    }

    /// Takes one piece; waits while the ones before it are being hashed, so that memory stays constant.
    pub async fn update(&mut self, piece: Bytes) -> S3Result<()> {
        self.waiting_bytes += piece.len();
        self.waiting.push(piece);
        if self.waiting_bytes >= limits::OBJECT_HASHED_BYTES || self.waiting.len() >= PIECES_MAX {
            self.hand_over().await?;
        }
        Ok(())
    }

    async fn hand_over(&mut self) -> S3Result<()> {
        let mut hashers = self.settled().await?;
        let pieces = std::mem::take(&mut self.waiting);
        // What is soon done is done here.
        if std::mem::take(&mut self.waiting_bytes) < limits::OBJECT_HASHED_BYTES / 4 {
            hashers.update(&pieces);
            self.hashers = Some(hashers);
            return Ok(());
        }
        self.under_way = Some(tokio::task::spawn_blocking(move || {
            hashers.update(&pieces);
            hashers
        }));
        Ok(())
    }

    async fn settled(&mut self) -> S3Result<Hashers> {
        if let Some(under_way) = self.under_way.take() {
            return under_way.await.map_err(errors::internal);
        }
        self.hashers.take().ok_or_else(|| errors::internal("a body is hashed by whoever failed before"))
    }

    pub async fn finish(mut self) -> S3Result<([u8; 16], Checksum)> {
        self.hand_over().await?;
        let Hashers { md5, sum } = self.settled().await?;
        Ok((md5.finalize().into(), sum.finalize()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn pieces_of_any_size_sum_up_the_same() {
        let bytes: Vec<u8> = (0..3 * limits::OBJECT_HASHED_BYTES + 7).map(|n| (n % 251) as u8).collect();
        let mut md5 = Md5::new();
        md5.update(&bytes);
        let expect: [u8; 16] = md5.finalize().into();
        let mut hasher = content::hasher("CRC32C");
        hasher.update(&bytes);
        let expect = (expect, hasher.finalize().checksum_crc32c);
        for size in [1000, 70_000, limits::OBJECT_HASHED_BYTES, bytes.len()] {
            let mut sums = Sums::new("CRC32C");
            for piece in bytes.chunks(size) {
                sums.update(Bytes::copy_from_slice(piece)).await.unwrap();
            }
            let (md5, sum) = sums.finish().await.unwrap();
            assert_eq!((md5, sum.checksum_crc32c), expect, "{size}");
        }
    }
}
