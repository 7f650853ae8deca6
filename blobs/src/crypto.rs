//! The cryptography that `object_store` signs requests with: SHA-256, its HMAC, and RSA for Google's service accounts.

use hmac::{Hmac, Mac};
use object_store::client::{CryptoProvider, DigestAlgorithm, DigestContext, HmacContext, Signer, SigningAlgorithm};
use object_store::{Error, Result};
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::DecodePrivateKey;
use rsa::{Pkcs1v15Sign, RsaPrivateKey};
use sha2::{Digest, Sha256};

#[derive(Debug)]
pub struct Crypto;

fn unknown(algorithm: &impl std::fmt::Debug) -> Error {
    Error::NotSupported { source: format!("the algorithm {algorithm:?}").into() }
}

impl CryptoProvider for Crypto {
    fn digest(&self, algorithm: DigestAlgorithm) -> Result<Box<dyn DigestContext>> {
        match algorithm {
            DigestAlgorithm::Sha256 => Ok(Box::new(Hashed { state: Sha256::new(), result: [0; 32] })),
            other => Err(unknown(&other)),
        }
    }

    fn hmac(&self, algorithm: DigestAlgorithm, secret: &[u8]) -> Result<Box<dyn HmacContext>> {
        let DigestAlgorithm::Sha256 = algorithm else { return Err(unknown(&algorithm)) };
        let state = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
        Ok(Box::new(Hashed { state, result: [0; 32] }))
    }

    fn sign(&self, algorithm: SigningAlgorithm, pem: &[u8]) -> Result<Box<dyn Signer>> {
        let SigningAlgorithm::RS256 = algorithm else { return Err(unknown(&algorithm)) };
        let bad = |source: String| Error::Generic { store: "the key of a service account", source: source.into() };
        let pem = std::str::from_utf8(pem).map_err(|e| bad(e.to_string()))?;
        let key = RsaPrivateKey::from_pkcs8_pem(pem).or_else(|_| RsaPrivateKey::from_pkcs1_pem(pem));
        Ok(Box::new(Key(key.map_err(|e| bad(e.to_string()))?)))
    }
}

struct Hashed<T> {
    state: T,
    result: [u8; 32],
}

impl DigestContext for Hashed<Sha256> {
    fn update(&mut self, data: &[u8]) {
        Digest::update(&mut self.state, data);
    }

    fn finish(&mut self) -> Result<&[u8]> {
        self.result = self.state.finalize_reset().into();
        Ok(&self.result)
    }
}

impl HmacContext for Hashed<Hmac<Sha256>> {
    fn update(&mut self, data: &[u8]) {
        Mac::update(&mut self.state, data);
    }

    fn finish(&mut self) -> Result<&[u8]> {
        self.result = self.state.clone().finalize().into_bytes().into();
        Ok(&self.result)
    }
}

struct Key(RsaPrivateKey);

impl Signer for Key {
    fn sign(&self, text: &[u8]) -> Result<Vec<u8>> {
        let signed = self.0.sign(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(text));
        signed.map_err(|e| Error::Generic { store: "the key of a service account", source: e.into() })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// RFC 4231, test case 2, and FIPS 180's `abc`.
    #[test]
    fn known_answers() {
        let mut digest = Crypto.digest(DigestAlgorithm::Sha256).unwrap();
        digest.update(b"a");
        digest.update(b"bc");
        let expect = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hex::encode(digest.finish().unwrap()), expect);
        let mut hmac = Crypto.hmac(DigestAlgorithm::Sha256, b"Jefe").unwrap();
        hmac.update(b"what do ya want for nothing?");
        let expect = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex::encode(hmac.finish().unwrap()), expect);
    }

    /// For a key that signs nothing but this test's text.
    struct Steps(u64);

    impl rsa::rand_core::RngCore for Steps {
        fn next_u32(&mut self) -> u32 {
            rsa::rand_core::impls::next_u32_via_fill(self)
        }

        fn next_u64(&mut self) -> u64 {
            rsa::rand_core::impls::next_u64_via_fill(self)
        }

        fn fill_bytes(&mut self, bytes: &mut [u8]) {
            for chunk in bytes.chunks_mut(32) {
                self.0 += 1;
                chunk.copy_from_slice(&Sha256::digest(self.0.to_le_bytes())[..chunk.len()]);
            }
        }

        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> std::result::Result<(), rsa::rand_core::Error> {
            self.fill_bytes(bytes);
            Ok(())
        }
    }

    impl rsa::rand_core::CryptoRng for Steps {}

    #[test]
    fn service_accounts_sign() {
        use rsa::pkcs8::EncodePrivateKey;
        let key = RsaPrivateKey::new(&mut Steps(0), 1024).unwrap();
        let pem = key.to_pkcs8_pem(rsa::pkcs8::LineEnding::LF).unwrap();
        let signed = Crypto.sign(SigningAlgorithm::RS256, pem.as_bytes()).unwrap().sign(b"text").unwrap();
        key.to_public_key().verify(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(b"text"), &signed).unwrap();
        assert!(Crypto.sign(SigningAlgorithm::RS256, b"no key").is_err());
    }
}
