//! Keys built from parts so that their byte order is the order of the parts.
//! A text part ends with `00 01`, and a zero byte inside it is written `00 ff`: no part is a prefix of another by accident.

use crate::Key;

const END: [u8; 2] = [0, 1];
const ZERO: [u8; 2] = [0, 0xff];

#[derive(Clone, Debug, Default)]
pub struct KeyWriter(Vec<u8>);

impl KeyWriter {
    pub fn new() -> KeyWriter {
        KeyWriter::default()
    }

    #[must_use]
    pub fn text(mut self, part: &str) -> KeyWriter {
        for &byte in part.as_bytes() {
            if byte == 0 { self.0.extend(ZERO) } else { self.0.push(byte) }
        }
        self.0.extend(END);
        self
    }

    #[must_use]
    pub fn u64(mut self, part: u64) -> KeyWriter {
        self.0.extend(part.to_be_bytes());
        self
    }

    #[must_use]
    pub fn bytes(mut self, rest: &[u8]) -> KeyWriter {
        self.0.extend(rest);
        self
    }

    pub fn key(self) -> Key {
        self.0.into()
    }

    /// The half-open range of all keys that begin with this one.
    pub fn range(self) -> (Key, Key) {
        let hi = prefix_end(&self.0);
        (self.0.into(), hi)
    }
}

/// The first key after all that begin with `prefix`; a prefix of only `ff` bytes has none, and gets the longest key there is.
pub fn prefix_end(prefix: &[u8]) -> Key {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return end.into();
        }
    }
    vec![0xff; cumulet_base::limits::STORE_KEY_BYTES_MAX].into()
}

/// Takes the parts off again. `None` says that the key was not written so.
#[derive(Clone, Debug)]
pub struct KeyReader<'a>(&'a [u8]);

impl<'a> KeyReader<'a> {
    pub fn new(key: &'a [u8]) -> KeyReader<'a> {
        KeyReader(key)
    }

    pub fn text(&mut self) -> Option<String> {
        let mut part = Vec::new();
        let mut i = 0;
        loop {
            match (self.0.get(i)?, self.0.get(i + 1)) {
                (0, Some(1)) => break,
                (0, Some(0xff)) => {
                    part.push(0);
                    i += 2;
                }
                (0, _) => return None,
                (&byte, _) => {
                    part.push(byte);
                    i += 1;
                }
            }
        }
        self.0 = &self.0[i + 2..];
        String::from_utf8(part).ok()
    }

    pub fn u64(&mut self) -> Option<u64> {
        let (head, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*head))
    }

    pub fn rest(self) -> &'a [u8] {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_back_and_keep_their_order() {
        let key = KeyWriter::new().text("a\0b").u64(7).text("").bytes(b"x").key();
        let mut reader = KeyReader::new(&key);
        assert_eq!(reader.text().as_deref(), Some("a\0b"));
        assert_eq!(reader.u64(), Some(7));
        assert_eq!(reader.text().as_deref(), Some(""));
        assert_eq!(reader.rest(), b"x");
        let sorted = ["", "\0", "\0a", "a", "a\0", "aa", "b"];
        let keys: Vec<_> = sorted.iter().map(|s| KeyWriter::new().text(s).text("z").key()).collect();
        assert!(keys.windows(2).all(|w| w[0] < w[1]), "{keys:?}");
    }

    #[test]
    fn the_end_of_a_prefix() {
        assert_eq!(prefix_end(b"ab").as_ref(), b"ac");
        assert_eq!(prefix_end(b"a\xff").as_ref(), b"b");
        assert_eq!(prefix_end(b"\xff").len(), cumulet_base::limits::STORE_KEY_BYTES_MAX);
    }
}
