//! Messages of AWS's event streams, in which services answer piece by piece: a prelude with both lengths, headers, the
//! payload, and checksums of each (<https://docs.aws.amazon.com/lambda/latest/api/API_InvokeWithResponseStream.html>,
//! `application/vnd.amazon.eventstream`). Only written; reading them is the clients'.

use bytes::{BufMut, Bytes, BytesMut};

pub const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

const PRELUDE_BYTES: usize = 12;
const CHECKSUM_BYTES: usize = 4;
/// The type of header values that are text.
const TEXT: u8 = 7;

/// An event of the name given.
pub fn event(name: &str, content_type: &str, payload: &[u8]) -> Bytes {
    message(&[(":event-type", name), (":content-type", content_type), (":message-type", "event")], payload)
}

/// What ends a stream early: an error of the service's model.
pub fn exception(name: &str, payload: &[u8]) -> Bytes {
    message(
        &[(":exception-type", name), (":content-type", "application/json"), (":message-type", "exception")],
        payload,
    )
}

fn message(headers: &[(&str, &str)], payload: &[u8]) -> Bytes {
    let headers_bytes: usize = headers.iter().map(|(name, value)| 1 + name.len() + 1 + 2 + value.len()).sum();
    let total = PRELUDE_BYTES + headers_bytes + payload.len() + CHECKSUM_BYTES;
    let mut bytes = BytesMut::with_capacity(total);
    bytes.put_u32(u32::try_from(total).expect("pieces of an answer have far less than 4 GiB"));
    bytes.put_u32(u32::try_from(headers_bytes).expect("headers are few and short"));
    bytes.put_u32(crc32fast::hash(&bytes));
    for (name, value) in headers {
        bytes.put_u8(u8::try_from(name.len()).expect("names of headers are short"));
        bytes.put_slice(name.as_bytes());
        bytes.put_u8(TEXT);
        bytes.put_u16(u16::try_from(value.len()).expect("values of headers are short"));
        bytes.put_slice(value.as_bytes());
    }
    bytes.put_slice(payload);
    bytes.put_u32(crc32fast::hash(&bytes));
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_checksums() {
        let bytes = event("PayloadChunk", "application/octet-stream", b"hello");
        let number = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        assert_eq!(number(0) as usize, bytes.len());
        assert_eq!(number(8), crc32fast::hash(&bytes[..8]));
        let payload_at = PRELUDE_BYTES + number(4) as usize;
        assert_eq!(&bytes[payload_at..payload_at + 5], b"hello");
        assert_eq!(number(bytes.len() - 4), crc32fast::hash(&bytes[..bytes.len() - 4]));
        assert_eq!(&bytes[12..24], b"\x0b:event-type");
    }
}
