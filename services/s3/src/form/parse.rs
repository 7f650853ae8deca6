//! `multipart/form-data` as it comes in: the fields that stand before the file, held and bounded, and the file, streamed.

use std::ops::ControlFlow;

use bytes::{Bytes, BytesMut};
use cumulet_base::limits;
use memchr::memmem;
use s3s::{S3Error, S3Result, s3_error};

/// The fields in front of the file, by their names in lower case.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Fields {
    pairs: Vec<(String, String)>,
    /// What the browser calls the file.
    pub file_name: String,
}

impl Fields {
    /// The first of the name, as S3 takes it.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(one, _)| one == name).map(|(_, value)| value.as_str())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    #[cfg(test)]
    pub fn of(pairs: &[(&str, &str)]) -> Fields {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Fields { pairs: pairs.iter().map(owned).collect(), file_name: String::new() }
    }
}

pub fn malformed() -> S3Error {
    s3_error!(MalformedPOSTRequest, "The body of your POST request is not well-formed multipart/form-data.")
}

/// The boundary that a content type names.
pub fn boundary(content_type: &str) -> S3Result<Vec<u8>> {
    let named = content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"').to_owned())
    });
    named.filter(|name| (1..=70).contains(&name.len())).map(String::into_bytes).ok_or_else(malformed)
}

/// Reads fields until the file begins; fed piece by piece.
pub struct Head {
    /// The line break before a boundary belongs to it; the first one has none.
    delimiter: Vec<u8>,
    seen: BytesMut,
}

impl Head {
    pub fn new(boundary: &[u8]) -> Head {
        Head { delimiter: [b"\r\n--", boundary].concat(), seen: BytesMut::from(&b"\r\n"[..]) }
    }

    /// Takes a piece; breaks with the fields, and the file which may have begun in what was read.
    pub fn feed(&mut self, piece: &[u8]) -> S3Result<ControlFlow<(Fields, File)>> {
        // More than the bound at a time may come when the file has begun.
        let fitting = (limits::OBJECT_FORM_FIELDS_BYTES_MAX + 1).saturating_sub(self.seen.len()).min(piece.len());
        self.seen.extend_from_slice(&piece[..fitting]);
        let Some((fields, at)) = self.parse()? else {
            if self.seen.len() > limits::OBJECT_FORM_FIELDS_BYTES_MAX {
                let message = "Your POST request fields preceding the upload file were too large.";
                return Err(s3_error!(MaxPostPreDataLengthExceededError, "{message}"));
            }
            return Ok(ControlFlow::Continue(()));
        };
        let mut begun = self.seen.split_off(at);
        begun.extend_from_slice(&piece[fitting..]);
        let file = File { delimiter: self.delimiter.clone(), held: begun, has_ended: false };
        Ok(ControlFlow::Break((fields, file)))
    }

    /// What there is, from the start: it is short, and comes in few pieces.
    fn parse(&self) -> S3Result<Option<(Fields, usize)>> {
        let mut fields = Fields::default();
        let mut at = match memmem::find(&self.seen, &self.delimiter) {
            Some(at) => at + self.delimiter.len(),
            None => return Ok(None),
        };
        loop {
            let rest = &self.seen[at..];
            if rest.starts_with(b"--") {
                let message = "POST requires exactly one file upload per request.";
                return Err(s3_error!(IncorrectNumberOfFilesInPostRequest, "{message}"));
            }
            let Some(end) = memmem::find(rest, b"\r\n\r\n") else { return Ok(None) };
            let (name, file_name) = disposition(&rest[..end]).ok_or_else(malformed)?;
            let begin = at + end + 4;
            if name.eq_ignore_ascii_case("file") {
                fields.file_name = file_name.unwrap_or_default();
                return Ok(Some((fields, begin)));
            }
            // The value may be empty: then the line break before the boundary is the one that ends the headers.
            let Some(length) = memmem::find(&self.seen[begin - 2..], &self.delimiter) else { return Ok(None) };
            let value = &self.seen[begin..(begin - 2 + length).max(begin)];
            let value = String::from_utf8(value.to_vec()).map_err(|_| malformed())?;
            fields.pairs.push((name.to_ascii_lowercase(), value));
            at = begin - 2 + length + self.delimiter.len();
        }
    }
}

/// The name of a part, and of its file.
fn disposition(headers: &[u8]) -> Option<(String, Option<String>)> {
    let headers = std::str::from_utf8(headers).ok()?;
    let line = headers.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
    })?;
    let of = |wanted: &str| {
        let mut rest = line;
        loop {
            let (_, after) = rest.split_once(';')?;
            let (name, value) = after.split_once('=')?;
            // Browsers write a quotation mark in a name as %22.
            let (text, after) = match value.trim_start().strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => value.split_at(value.find(';').unwrap_or(value.len())),
            };
            if name.trim().eq_ignore_ascii_case(wanted) {
                return Some(text.trim().to_owned());
            }
            rest = after;
        }
    };
    Some((of("name")?, of("filename")))
}

/// Takes the file out of what comes: everything up to the next boundary.
pub struct File {
    delimiter: Vec<u8>,
    held: BytesMut,
    pub has_ended: bool,
}

impl File {
    pub fn feed(&mut self, piece: &[u8]) {
        if !self.has_ended {
            self.held.extend_from_slice(piece);
        }
    }

    /// What of it is surely the file's; empty where more has to come first.
    pub fn take(&mut self) -> Bytes {
        if self.has_ended {
            return Bytes::new();
        }
        if let Some(at) = memmem::find(&self.held, &self.delimiter) {
            self.has_ended = true;
            return self.held.split_to(at).freeze();
        }
        // The boundary may have begun.
        let sure = self.held.len().saturating_sub(self.delimiter.len() - 1);
        self.held.split_to(sure).freeze()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// In pieces of every length, which may not matter.
    fn read(form: &[u8], piece: usize) -> S3Result<Option<(Fields, Vec<u8>)>> {
        let (mut head, mut pieces) = (Head::new(b"edge"), form.chunks(piece));
        let (fields, mut file) = loop {
            let Some(piece) = pieces.next() else { return Ok(None) };
            if let ControlFlow::Break(begun) = head.feed(piece)? {
                break begun;
            }
        };
        let mut content = file.take().to_vec();
        for piece in pieces {
            file.feed(piece);
            content.extend_from_slice(&file.take());
        }
        Ok(file.has_ended.then_some((fields, content)))
    }

    /// Fields, the file's name, and the file.
    type Expect<'a> = Option<(&'a [(&'a str, &'a str)], &'a str, &'a [u8])>;

    fn check(form: &[u8], expect: Expect<'_>) {
        for piece in 1..=form.len().min(70) {
            let seen = read(form, piece).unwrap();
            let expect = expect.map(|(pairs, file_name, content)| {
                (Fields { file_name: file_name.to_owned(), ..Fields::of(pairs) }, content.to_vec())
            });
            assert_eq!(seen, expect, "{piece}: {}", String::from_utf8_lossy(form));
        }
    }

    const FIELD: &str = "--edge\r\nContent-Disposition: form-data; name=\"Key\"\r\n\r\na/${filename}\r\n";
    const EMPTY: &str = "--edge\r\ncontent-disposition: form-data; name=x\r\nContent-Type: text/plain\r\n\r\n\r\n";
    const FILE: &str =
        "--edge\r\nContent-Type: a/b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f;=.txt\"\r\n\r\n";

    #[test]
    fn fields_and_a_file_come_in_any_pieces() {
        let form = format!("{FIELD}{EMPTY}{FILE}by\r\n--edgy\r\ntes\r\n--edge--\r\n");
        let fields: &[(&str, &str)] = &[("key", "a/${filename}"), ("x", "")];
        check(form.as_bytes(), Some((fields, "f;=.txt", b"by\r\n--edgy\r\ntes")));
        let later =
            format!("{FILE}\r\n--edge\r\nContent-Disposition: form-data; name=\"late\"\r\n\r\nx\r\n--edge--\r\n");
        check(later.as_bytes(), Some((&[], "f;=.txt", b"")));
        check(format!("{FIELD}{FILE}broken off").as_bytes(), None);
        check(FIELD.as_bytes(), None);
        check(b"", None);
    }

    #[test]
    fn what_is_no_form_is_refused() {
        let refused = |form: &str| read(form.as_bytes(), 64).unwrap_err().code().as_str().to_owned();
        assert_eq!(refused(&format!("{FIELD}--edge--\r\n")), "IncorrectNumberOfFilesInPostRequest");
        assert_eq!(refused("--edge\r\nContent-Type: a/b\r\n\r\nx\r\n--edge--"), "MalformedPOSTRequest");
        let long = format!("{FIELD}--edge\r\nContent-Disposition: form-data; name=y\r\n\r\n{}", "y".repeat(20_000));
        assert_eq!(refused(&long), "MaxPostPreDataLengthExceededError");
        assert_eq!(boundary("multipart/form-data; charset=x; boundary=\"a b\"").unwrap(), b"a b");
        assert!(boundary("multipart/form-data").is_err() && boundary("multipart/form-data; boundary=").is_err());
    }
}
