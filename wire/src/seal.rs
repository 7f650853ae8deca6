//! What services keep and nobody else is to read: encrypted with a key that follows from the installation's secret and from
//! what it is for, and bound to the thing it belongs to (XChaCha20-Poly1305). Whoever has the store's file but not the secret
//! cannot read it, nor put something else in its place. Keys of KMS are deliberately absent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use cumulet_base::id;
use hmac::{Hmac, Mac};
use sha2::Sha256;

const NONCE_BYTES: usize = 24;

pub struct Seal(XChaCha20Poly1305);

impl Seal {
    /// `purpose` is fixed for ever: with another one, nothing can be opened.
    pub fn new(secret: &[u8; 32], purpose: &str) -> Seal {
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(secret).expect("HMAC takes keys of any length");
        mac.update(purpose.as_bytes());
        Seal(XChaCha20Poly1305::new(&Key::from(<[u8; 32]>::from(mac.finalize().into_bytes()))))
    }

    /// Base64 of a nonce and what follows from it. `belongs_to` has to be the same when it is opened. `None`: too long.
    pub fn close(&self, plain: &[u8], belongs_to: &str) -> Option<String> {
        let nonce = id::random::<NONCE_BYTES>();
        let payload = Payload { msg: plain, aad: belongs_to.as_bytes() };
        let sealed = self.0.encrypt(&XNonce::from(nonce), payload).ok()?;
        Some(STANDARD.encode([&nonce[..], &sealed].concat()))
    }

    /// `None`: it was closed with another secret, for something else, or was altered.
    pub fn open(&self, sealed: &str, belongs_to: &str) -> Option<Vec<u8>> {
        let bytes = STANDARD.decode(sealed).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>()?;
        self.0.decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: belongs_to.as_bytes() }).ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_the_same_secret_purpose_and_place_open() {
        let seal = Seal::new(&[7; 32], "test");
        let sealed = seal.close(b"hush", "a 1").unwrap();
        assert!(!sealed.contains("hush"));
        assert_ne!(sealed, seal.close(b"hush", "a 1").unwrap());
        assert_eq!(seal.open(&sealed, "a 1").unwrap(), b"hush");
        assert!(seal.open(&sealed, "a 2").is_none());
        assert!(Seal::new(&[8; 32], "test").open(&sealed, "a 1").is_none());
        assert!(Seal::new(&[7; 32], "other").open(&sealed, "a 1").is_none());
        assert!(seal.open("AAAA", "a 1").is_none());
    }
}
