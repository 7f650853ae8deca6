//! How layers of images are packed: with gzip, with Zstandard, or not at all; told by their first bytes, as media types are
//! not always there. Several members or frames in a row are one stream, as builders of lazily read images write them.

use std::io::{self, Read};

use cumulet_base::limits;
use flate2::read::MultiGzDecoder;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// Of frames that hold something for whoever knows it (RFC 8878, 3.1.2); the first byte's lower half is free.
const SKIPPABLE: &[u8] = &[0x2a, 0x4d, 0x18];
const SKIPPABLE_HEAD_BYTES: usize = 8;

/// What is packed in `bytes`, as it is read.
pub fn unpacked(bytes: &[u8]) -> Box<dyn Read + '_> {
    if bytes.starts_with(GZIP) {
        Box::new(MultiGzDecoder::new(bytes))
    } else if bytes.starts_with(ZSTD) || is_skippable(bytes) {
        Box::new(Frames { rest: bytes, frame: None })
    } else {
        Box::new(bytes)
    }
}

fn is_skippable(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| first & 0xf0 == 0x50) && bytes[1..].starts_with(SKIPPABLE)
}

/// Frames of Zstandard, one after the other.
struct Frames<'a> {
    rest: &'a [u8],
    frame: Option<StreamingDecoder<&'a [u8], FrameDecoder>>,
}

impl Frames<'_> {
    /// Goes on to the next frame; there may be none.
    fn advance(&mut self) -> io::Result<()> {
        while is_skippable(self.rest) {
            let length = self.rest.get(4..SKIPPABLE_HEAD_BYTES).and_then(|four| four.try_into().ok());
            let end = length.map_or(usize::MAX, |four| SKIPPABLE_HEAD_BYTES + u32::from_le_bytes(four) as usize);
            self.rest = self.rest.get(end..).ok_or(io::ErrorKind::UnexpectedEof)?;
        }
        if !self.rest.is_empty() {
            let frame = StreamingDecoder::new_with_max_window_size(self.rest, limits::IMAGE_WINDOW_BYTES_MAX);
            self.frame = Some(frame.map_err(io::Error::other)?);
        }
        Ok(())
    }
}

impl Read for Frames<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let Some(frame) = &mut self.frame else {
                self.advance()?;
                if self.frame.is_none() {
                    return Ok(0);
                }
                continue;
            };
            let read = frame.read(buffer)?;
            if read > 0 {
                return Ok(read);
            }
            self.rest = self.frame.take().map_or(&[], StreamingDecoder::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write;

    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        unpacked(bytes).read_to_end(&mut out).map(|_| out)
    }

    #[test]
    fn every_packing_is_told_by_its_bytes() {
        let gzip = |bytes: &[u8]| {
            let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            writer.write_all(bytes).unwrap();
            writer.finish().unwrap()
        };
        let zstd = |bytes: &[u8]| compress_to_vec(bytes, CompressionLevel::Fastest);
        let skipped = [&[0x5e][..], SKIPPABLE, &3u32.to_le_bytes(), b"abc"].concat();
        for (bytes, expect) in [
            (b"one".to_vec(), "one"),
            (gzip(b"one"), "one"),
            ([gzip(b"one"), gzip(b"two")].concat(), "onetwo"),
            (zstd(b"one"), "one"),
            ([zstd(b"one"), skipped.clone(), zstd(b""), zstd(b"two"), skipped.clone()].concat(), "onetwo"),
            ([skipped.clone(), zstd(b"one")].concat(), "one"),
            (skipped, ""),
        ] {
            assert_eq!(read(&bytes).unwrap(), expect.as_bytes());
        }
    }

    #[test]
    fn what_is_cut_off_is_no_end() {
        let whole = compress_to_vec(&[7u8; 1000][..], CompressionLevel::Uncompressed);
        for end in 5..whole.len() {
            assert!(read(&whole[..end]).is_err(), "{end}");
        }
        assert!(read(&[&[0x50][..], SKIPPABLE, &9u32.to_le_bytes(), b"abc"].concat()).is_err());
        // A window of a terabyte.
        assert!(read(&[ZSTD, &[0x00, 0xf8, 0, 0, 0]].concat()).is_err());
    }
}
