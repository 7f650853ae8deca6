//! Secure strings, as they are stored: encrypted and authenticated, bound to the parameter and version they belong to.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use cumulet_base::id;
use cumulet_wire::error::ApiError;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::errors;

const NONCE_BYTES: usize = 24;

pub struct Secrets {
    cipher: XChaCha20Poly1305,
}

impl Secrets {
    pub fn new(secret: &[u8; 32]) -> Secrets {
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(secret).expect("HMAC takes keys of any length");
        mac.update(b"ssm secure strings\n");
        Secrets { cipher: XChaCha20Poly1305::new(&Key::from(<[u8; 32]>::from(mac.finalize().into_bytes()))) }
    }

    /// Base64 of a nonce and what follows from it. `belongs_to` has to be the same when it is opened.
    pub fn seal(&self, text: &str, belongs_to: &str) -> Result<String, ApiError> {
        let nonce = id::random::<NONCE_BYTES>();
        let payload = Payload { msg: text.as_bytes(), aad: belongs_to.as_bytes() };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload);
        let sealed = sealed.map_err(|_| errors::storage("Encrypting", &"the text is too long"))?;
        Ok(STANDARD.encode([&nonce[..], &sealed].concat()))
    }

    pub fn open(&self, sealed: &str, belongs_to: &str) -> Result<String, ApiError> {
        let failed = || errors::storage("Decrypting", &"it was encrypted with another secret, or is damaged");
        let bytes = STANDARD.decode(sealed).map_err(|_| failed())?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or_else(failed)?;
        let payload = Payload { msg: sealed, aad: belongs_to.as_bytes() };
        let text = self.cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| failed())?;
        String::from_utf8(text).map_err(|_| failed())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn only_the_same_secret_and_place_open() {
        let secrets = Secrets::new(&[7; 32]);
        let sealed = secrets.seal("hush", "a 1").unwrap();
        assert!(!sealed.contains("hush"));
        assert_ne!(sealed, secrets.seal("hush", "a 1").unwrap());
        assert_eq!(secrets.open(&sealed, "a 1").unwrap(), "hush");
        assert!(secrets.open(&sealed, "a 2").is_err());
        assert!(Secrets::new(&[8; 32]).open(&sealed, "a 1").is_err());
        assert!(secrets.open("AAAA", "a 1").is_err());
    }
}
