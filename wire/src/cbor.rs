//! CBOR as the protocol `smithy-rpc-v2-cbor` writes it
//! (<https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html>, RFC 8949), into the values that services read
//! and back. Deliberately absent: bignums, decimal fractions, and keys of maps that are not text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value};

use crate::error::ApiError;

const DEPTH_MAX: usize = 32;
/// Seconds since 1970.
const TAG_TIME: u8 = 0xc1;

/// Bytes become base64, times become seconds, and what JSON has no number for becomes a text, as in AWS's JSON.
pub fn decode(bytes: &[u8]) -> Result<Value, ApiError> {
    let mut reader = Reader { rest: bytes };
    let value = reader.value(0).ok_or_else(|| ApiError::serialization("The body is not CBOR of the protocol"))?;
    match reader.rest.is_empty() {
        true => Ok(value),
        false => Err(ApiError::serialization("Something comes after the body's CBOR")),
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

/// How long a text, an array or a map is.
enum Length {
    Known(u64),
    UntilBreak,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(usize::try_from(count).ok()?)?;
        self.rest = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|byte| byte[0])
    }

    fn uint(&mut self, bytes: u64) -> Option<u64> {
        Some(self.take(bytes)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn argument(&mut self, info: u8) -> Option<u64> {
        match info {
            0..=23 => Some(info.into()),
            24..=27 => self.uint(1 << (info - 24)),
            _ => None,
        }
    }

    fn length(&mut self, info: u8) -> Option<Length> {
        if info == 31 { Some(Length::UntilBreak) } else { self.argument(info).map(Length::Known) }
    }

    fn is_break(&mut self) -> bool {
        let is = self.rest.first() == Some(&0xff);
        if is {
            self.rest = &self.rest[1..];
        }
        is
    }

    /// Whether another entry follows.
    fn more(&mut self, length: &mut Length) -> bool {
        match length {
            Length::UntilBreak => !self.is_break(),
            Length::Known(0) => false,
            Length::Known(left) => {
                *left -= 1;
                true
            }
        }
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > DEPTH_MAX {
            return None;
        }
        let head = self.byte()?;
        let (major, info) = (head >> 5, head & 31);
        match major {
            0 => Some(self.argument(info)?.into()),
            1 => {
                let below = self.argument(info)?;
                let number = i64::try_from(below).ok().map(|n| Value::from(-1 - n));
                Some(number.unwrap_or_else(|| number_of(-1.0 - below as f64)))
            }
            2 | 3 => {
                let bytes = self.string(major, info)?;
                match major {
                    2 => Some(STANDARD.encode(bytes).into()),
                    _ => Some(String::from_utf8(bytes).ok()?.into()),
                }
            }
            4 => {
                let mut length = self.length(info)?;
                let mut items = Vec::new();
                while self.more(&mut length) {
                    items.push(self.value(depth + 1)?);
                }
                Some(items.into())
            }
            5 => {
                let mut length = self.length(info)?;
                let mut members = Map::new();
                while self.more(&mut length) {
                    let Value::String(name) = self.value(depth + 1)? else { return None };
                    members.insert(name, self.value(depth + 1)?);
                }
                Some(members.into())
            }
            6 => {
                self.argument(info)?;
                self.value(depth + 1)
            }
            _ => self.simple(info),
        }
    }

    fn string(&mut self, major: u8, info: u8) -> Option<Vec<u8>> {
        if let Length::Known(count) = self.length(info)? {
            return self.take(count).map(<[u8]>::to_vec);
        }
        let mut all = Vec::new();
        while !self.is_break() {
            let head = self.byte()?;
            if head >> 5 != major {
                return None;
            }
            let count = self.argument(head & 31)?;
            all.extend(self.take(count)?);
        }
        Some(all)
    }

    fn simple(&mut self, info: u8) -> Option<Value> {
        match info {
            20 => Some(false.into()),
            21 => Some(true.into()),
            22 | 23 => Some(Value::Null),
            25 => Some(number_of(half(self.uint(2)? as u16))),
            26 => Some(number_of(f32::from_bits(self.uint(4)? as u32).into())),
            27 => Some(number_of(f64::from_bits(self.uint(8)?))),
            _ => None,
        }
    }
}

/// IEEE 754's binary16.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    sign * match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    }
}

fn number_of(number: f64) -> Value {
    let other = match number {
        n if n.is_nan() => "NaN",
        n if n > 0.0 => "Infinity",
        _ => "-Infinity",
    };
    Number::from_f64(number).map_or_else(|| other.into(), Value::Number)
}

/// The numbers of members named in `times` are written as times.
pub fn encode(value: &Value, times: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    push(&mut out, value, times, false);
    out
}

fn push_head(out: &mut Vec<u8>, major: u8, argument: u64) {
    let (info, bytes) = match argument {
        0..=23 => (argument as u8, 0),
        24..=0xff => (24, 1),
        0x100..=0xffff => (25, 2),
        0x1_0000..=0xffff_ffff => (26, 4),
        _ => (27, 8),
    };
    out.push(major << 5 | info);
    out.extend(&argument.to_be_bytes()[8 - bytes..]);
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    push_head(out, 3, text.len() as u64);
    out.extend(text.as_bytes());
}

fn push(out: &mut Vec<u8>, value: &Value, times: &[&str], is_time: bool) {
    match value {
        Value::Null => out.push(0xf6),
        Value::Bool(is) => out.push(if *is { 0xf5 } else { 0xf4 }),
        Value::Number(number) => {
            if is_time {
                out.push(TAG_TIME);
            }
            match (number.as_u64(), number.as_i64()) {
                (Some(n), _) => push_head(out, 0, n),
                (None, Some(n)) => push_head(out, 1, n.unsigned_abs() - 1),
                (None, None) => {
                    out.push(0xfb);
                    out.extend(number.as_f64().unwrap_or_default().to_be_bytes());
                }
            }
        }
        Value::String(text) => push_text(out, text),
        Value::Array(items) => {
            push_head(out, 4, items.len() as u64);
            items.iter().for_each(|item| push(out, item, times, is_time));
        }
        Value::Object(members) => {
            // Members that are not there are not written as null: clients would take them for values.
            let there = members.iter().filter(|(_, value)| !value.is_null());
            push_head(out, 5, there.clone().count() as u64);
            for (name, value) in there {
                push_text(out, name);
                push(out, value, times, times.contains(&name.as_str()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    /// RFC 8949, appendix A.
    #[test]
    fn the_standards_examples() {
        for (bytes, value) in [
            ("00", json!(0)),
            ("1864", json!(100)),
            ("1b000000e8d4a51000", json!(1_000_000_000_000u64)),
            ("3903e7", json!(-1000)),
            ("f93c00", json!(1.0)),
            ("f90001", json!(5.960_464_477_539_063e-8)),
            ("fa47c35000", json!(100_000.0)),
            ("fb3ff199999999999a", json!(1.1)),
            ("f97e00", json!("NaN")),
            ("f9fc00", json!("-Infinity")),
            ("f5", json!(true)),
            ("c11a514b67b0", json!(1_363_896_240)),
            ("4401020304", json!("AQIDBA==")),
            ("6449455446", json!("IETF")),
            ("826161a161626163", json!(["a", {"b": "c"}])),
            ("9f018202039f0405ffff", json!([1, [2, 3], [4, 5]])),
            ("bf61610161629f0203ffff", json!({"a": 1, "b": [2, 3]})),
            ("7f657374726561646d696e67ff", json!("streaming")),
        ] {
            assert_eq!(decode(&hex(bytes)).unwrap(), value, "{bytes}");
        }
        for bad in ["", "18", "a10102", "62", "ff", "0000", "9f01", "fc", "61ff", "7f4161ff"] {
            assert!(decode(&hex(bad)).is_err(), "{bad}");
        }
        let deep = vec![0x81; 100];
        assert!(decode(&deep).is_err());
        // A length that nothing has does not take the memory for it.
        assert!(decode(&hex("9bffffffffffffffff")).is_err());
    }

    #[test]
    fn times_are_tagged() {
        let answer = json!({"At": 1.5, "Times": [2.0], "N": 1.5, "None": null});
        let bytes = encode(&answer, &["At", "Times"]);
        assert_eq!(bytes.iter().filter(|byte| **byte == TAG_TIME).count(), 2);
        assert_eq!(decode(&bytes).unwrap(), json!({"At": 1.5, "Times": [2.0], "N": 1.5}));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(number in any::<i64>(), float in any::<f64>(), text in "\\PC*") {
            prop_assume!(float.is_finite());
            let value = json!({"n": number, "list": [float, text], "is": true, "map": {}});
            prop_assert_eq!(decode(&encode(&value, &[])).unwrap(), value);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _either = decode(&bytes);
        }
    }
}
