//! Identifiers, all drawn from the kernel's random source.

/// Random bytes.
///
/// # Panics
/// When the kernel has no random source, without which no identifier or secret could be trusted.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the kernel provides random bytes");
    bytes
}

/// A random UUID (version 4) in its usual form: request ids, revision ids, client tokens.
pub fn uuid() -> String {
    let mut b = random::<16>();
    b[6] = (b[6] & 0x0f) | 0x40;
    b[8] = (b[8] & 0x3f) | 0x80;
    let mut text = String::with_capacity(36);
    for (i, byte) in b.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push(HEX[usize::from(byte >> 4)] as char);
        text.push(HEX[usize::from(byte & 15)] as char);
    }
    text
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
    format!("Root=1-{:08x}-{};Parent={};Sampled=0", now_ms / 1000, hex(24), hex(16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        let u = uuid();
        assert_eq!(u.len(), 36);
        assert_eq!(&u[14..15], "4");
        assert_ne!(uuid(), u);
        assert_eq!(short(10).len(), 10);
        assert!(short(200).bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
        assert_eq!(trace_header(0).len(), "Root=1-00000000-".len() + 24 + ";Parent=".len() + 16 + ";Sampled=0".len());
    }
}
