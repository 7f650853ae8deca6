//! Identifiers, all drawn from the kernel's random source.

use std::cell::RefCell;

/// Random bytes.
///
/// # Panics
/// When the kernel has no random source, without which no identifier or secret could be trusted.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the kernel provides random bytes");
    bytes
}

/// The kernel is asked for so many bytes at a time where every request needs some.
const STOCK_BYTES: usize = 512;

/// Random bytes that were drawn before they were wanted; none is given out twice.
struct Stock {
    bytes: [u8; STOCK_BYTES],
    used: usize,
}

thread_local! {
    static STOCK: RefCell<Stock> = const { RefCell::new(Stock { bytes: [0; STOCK_BYTES], used: STOCK_BYTES }) };
}

/// Random bytes for names that need not be secret.
fn stocked<const N: usize>() -> [u8; N] {
    const { assert!(N <= STOCK_BYTES) };
    STOCK.with_borrow_mut(|stock| {
        if stock.used + N > STOCK_BYTES {
            *stock = Stock { bytes: random(), used: 0 };
        }
        let given = &mut stock.bytes[stock.used..stock.used + N];
        stock.used += N;
        let mut bytes = [0; N];
        bytes.swap_with_slice(given);
        bytes
    })
}

/// A random UUID (version 4) in its usual form: request ids, revision ids, client tokens.
pub fn uuid() -> String {
    let mut b = stocked::<16>();
    b[6] = (b[6] & 0x0f) | 0x40;
    b[8] = (b[8] & 0x3f) | 0x80;
    let mut text = String::with_capacity(36);
    for (i, byte) in b.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        push_hex(&mut text, *byte);
    }
    text
}

fn push_hex(text: &mut String, byte: u8) {
    text.push(HEX[usize::from(byte >> 4)] as char);
    text.push(HEX[usize::from(byte & 15)] as char);
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// `len` characters of `a-z0-9`: API ids, URL ids, suffixes of generated names.
pub fn short(len: usize) -> String {
    pick(len, b"abcdefghijklmnopqrstuvwxyz0123456789")
}

/// `len` characters of `A-Z0-9`: the suffix CloudFormation puts on physical names.
pub fn upper(len: usize) -> String {
    pick(len, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
}

/// `len` hexadecimal characters.
pub fn hex(len: usize) -> String {
    pick(len, HEX)
}

fn pick(len: usize, alphabet: &[u8]) -> String {
    // Bytes beyond the largest multiple are drawn again, so that every character is equally likely.
    let limit = 256 - 256 % alphabet.len();
    let mut text = String::with_capacity(len);
    while text.len() < len {
        for byte in random::<32>() {
            if usize::from(byte) < limit && text.len() < len {
                text.push(alphabet[usize::from(byte) % alphabet.len()] as char);
            }
        }
    }
    text
}

/// An X-Ray trace header, `Root=1-…;Parent=…;Sampled=0`.
pub fn trace_header(now_ms: u64) -> String {
    let (root, parent) = (stocked::<12>(), stocked::<8>());
    let mut text = String::with_capacity(80);
    text.push_str("Root=1-");
    let seconds = u32::try_from(now_ms / 1000).unwrap_or(u32::MAX);
    seconds.to_be_bytes().iter().for_each(|byte| push_hex(&mut text, *byte));
    text.push('-');
    root.iter().for_each(|byte| push_hex(&mut text, *byte));
    text.push_str(";Parent=");
    parent.iter().for_each(|byte| push_hex(&mut text, *byte));
    text.push_str(";Sampled=0");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_given_out_twice() {
        let drawn = || (0..100).map(|_| uuid()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(drawn)).collect();
        let all: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        let different: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(different.len(), 400);
    }

    #[test]
    fn shapes() {
        let u = uuid();
        assert_eq!(u.len(), 36);
        assert_eq!(&u[14..15], "4");
        assert_ne!(uuid(), u);
        assert_eq!(short(10).len(), 10);
        assert!(short(200).bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
        assert!(trace_header(1_000_000_000_000).starts_with("Root=1-3b9aca00-"));
        assert_eq!(trace_header(0).len(), "Root=1-00000000-".len() + 24 + ";Parent=".len() + 16 + ";Sampled=0".len());
    }
}
