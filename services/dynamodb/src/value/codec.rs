//! Items as stored bytes; `docs/formats/dynamodb-values.md` fixes them.

use std::collections::BTreeSet;

use bytes::Bytes;
use cumulet_base::limits;

use super::{Corrupt, Item, Number, Value};

/// The first byte of everything that is written here.
const VERSION: u8 = 1;

#[rustfmt::skip]
mod tag {
    pub const S: u8 = 1; pub const N: u8 = 2; pub const B: u8 = 3; pub const FALSE: u8 = 4; pub const TRUE: u8 = 5;
    pub const NULL: u8 = 6; pub const SS: u8 = 7; pub const NS: u8 = 8; pub const BS: u8 = 9; pub const L: u8 = 10;
    pub const M: u8 = 11;
}

pub fn encode_item(item: &Item, out: &mut Vec<u8>) {
    out.push(VERSION);
    put_item(item, out);
}

/// The whole of `bytes` is one item.
pub fn decode_item(bytes: &[u8]) -> Result<Item, Corrupt> {
    let mut input = bytes;
    if byte(&mut input)? != VERSION {
        return Err(Corrupt("an unknown version"));
    }
    let item = item(&mut input, 1)?;
    if input.is_empty() { Ok(item) } else { Err(Corrupt("bytes behind the end")) }
}

fn put_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::S(text) => {
            out.push(tag::S);
            put_bytes(text.as_bytes(), out);
        }
        Value::N(number) => {
            out.push(tag::N);
            number.encode_ordered(out);
        }
        Value::B(bytes) => {
            out.push(tag::B);
            put_bytes(bytes, out);
        }
        Value::Bool(truth) => out.push(if *truth { tag::TRUE } else { tag::FALSE }),
        Value::Null => out.push(tag::NULL),
        Value::Ss(set) => {
            out.push(tag::SS);
            put_length(set.len(), out);
            set.iter().for_each(|text| put_bytes(text.as_bytes(), out));
        }
        Value::Ns(set) => {
            out.push(tag::NS);
            put_length(set.len(), out);
            set.iter().for_each(|number| number.encode_ordered(out));
        }
        Value::Bs(set) => {
            out.push(tag::BS);
            put_length(set.len(), out);
            set.iter().for_each(|bytes| put_bytes(bytes, out));
        }
        Value::L(list) => {
            out.push(tag::L);
            put_length(list.len(), out);
            list.iter().for_each(|value| put_value(value, out));
        }
        Value::M(map) => {
            out.push(tag::M);
            put_item(map, out);
        }
    }
}

fn put_item(item: &Item, out: &mut Vec<u8>) {
    put_length(item.len(), out);
    for (name, value) in item {
        put_bytes(name.as_bytes(), out);
        put_value(value, out);
    }
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_length(bytes.len(), out);
    out.extend_from_slice(bytes);
}

/// Seven bits a byte, the lowest first; the high bit says that more follow.
fn put_length(mut length: usize, out: &mut Vec<u8>) {
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

fn value(input: &mut &[u8], level: usize) -> Result<Value, Corrupt> {
    if level > limits::DYNAMODB_NESTING_MAX {
        return Err(Corrupt("nested too deep"));
    }
    match byte(input)? {
        tag::S => Ok(Value::S(text(input)?)),
        tag::N => Ok(Value::N(Number::decode_ordered(input)?)),
        tag::B => Ok(Value::B(blob(input)?)),
        tag::FALSE => Ok(Value::Bool(false)),
        tag::TRUE => Ok(Value::Bool(true)),
        tag::NULL => Ok(Value::Null),
        tag::SS => Ok(Value::Ss(set(input, text)?)),
        tag::NS => Ok(Value::Ns(set(input, Number::decode_ordered)?)),
        tag::BS => Ok(Value::Bs(set(input, blob)?)),
        tag::L => {
            let count = length(input)?;
            (0..count).map(|_| value(input, level + 1)).collect::<Result<_, _>>().map(Value::L)
        }
        tag::M => Ok(Value::M(item(input, level + 1)?)),
        _ => Err(Corrupt("an unknown type")),
    }
}

fn item(input: &mut &[u8], level: usize) -> Result<Item, Corrupt> {
    let count = length(input)?;
    let mut item = Item::new();
    for _ in 0..count {
        let name = text(input)?;
        // Written in order: one that is not greater than the last is not ours.
        if item.last_key_value().is_some_and(|(last, _)| *last >= name) {
            return Err(Corrupt("names out of order"));
        }
        let value = value(input, level)?;
        item.insert(name, value);
    }
    Ok(item)
}

fn set<T: Ord>(input: &mut &[u8], read: fn(&mut &[u8]) -> Result<T, Corrupt>) -> Result<BTreeSet<T>, Corrupt> {
    let count = length(input)?;
    let mut set = BTreeSet::new();
    for _ in 0..count {
        let element = read(input)?;
        if set.last().is_some_and(|last| *last >= element) {
            return Err(Corrupt("a set out of order"));
        }
        set.insert(element);
    }
    Ok(set)
}

fn text(input: &mut &[u8]) -> Result<String, Corrupt> {
    let bytes = slice(input)?;
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| Corrupt("text is not UTF-8"))
}

fn blob(input: &mut &[u8]) -> Result<Bytes, Corrupt> {
    slice(input).map(Bytes::copy_from_slice)
}

fn slice<'a>(input: &mut &'a [u8]) -> Result<&'a [u8], Corrupt> {
    let length = length(input)?;
    let (bytes, rest) = input.split_at_checked(length).ok_or(Corrupt("bytes end early"))?;
    *input = rest;
    Ok(bytes)
}

/// A length or a count. Each counted thing takes a byte at least, so that one beyond the rest is refused before
/// anything is made for it.
fn length(input: &mut &[u8]) -> Result<usize, Corrupt> {
    let mut length = 0usize;
    for place in 0..5 {
        let byte = byte(input)?;
        length |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            let shortest = byte != 0 || place == 0;
            return if shortest && length <= input.len() { Ok(length) } else { Err(Corrupt("a wrong length")) };
        }
    }
    Err(Corrupt("a length too long"))
}

fn byte(input: &mut &[u8]) -> Result<u8, Corrupt> {
    let (first, rest) = input.split_first().ok_or(Corrupt("bytes end early"))?;
    *input = rest;
    Ok(*first)
}
