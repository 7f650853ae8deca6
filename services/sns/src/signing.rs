//! What messages are signed with: a key of this installation, made when it is first needed, and a certificate that it signed
//! itself, for whoever checks
//! (<https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html>).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cumulet_wire::error::ApiError;
use rsa::pkcs1v15::Pkcs1v15Sign;
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey};
use rsa::traits::PublicKeyParts;
use rsa::{RsaPrivateKey, rand_core};
use sha1::{Digest, Sha1};
use sha2::Sha256;
use tokio::sync::OnceCell;

use crate::model::FORMAT;
use crate::storage::{Storage, StoredKey};

const KEY_BITS: usize = 2048;
/// As clients expect of the certificate's address.
const NAME: &str = "SimpleNotificationService";

/// The key, read or made at its first use.
#[derive(Default)]
pub struct Signer(OnceCell<Key>);

struct Key {
    private: RsaPrivateKey,
    certificate: String,
    /// Tells this certificate from another installation's.
    id: String,
}

impl Signer {
    async fn key(&self, storage: &Storage) -> Result<&Key, ApiError> {
        let made = self.0.get_or_try_init(|| async {
            if let Some(stored) = storage.key().await? {
                return read(&stored);
            }
            let made = tokio::task::spawn_blocking(make).await;
            storage.put_key(&made.map_err(|e| ApiError::internal(format!("making a key: {e}")))??).await?;
            // Another's, if it was faster.
            let stored = storage.key().await?.ok_or_else(|| ApiError::internal("the key of messages is gone"))?;
            read(&stored)
        });
        made.await
    }

    /// Base64 of the signature over the text, by the version that the topic is set to.
    pub async fn sign(&self, storage: &Storage, version: u8, text: &str) -> Result<String, ApiError> {
        let key = self.key(storage).await?;
        let signed = match version {
            2 => key.private.sign(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(text)),
            _ => key.private.sign(Pkcs1v15Sign::new::<Sha1>(), &Sha1::digest(text)),
        };
        let signed = signed.map_err(|e| ApiError::internal(format!("signing a message: {e}")))?;
        Ok(BASE64_STANDARD.encode(signed))
    }

    /// The name of the certificate's file.
    pub async fn name(&self, storage: &Storage) -> Result<String, ApiError> {
        Ok(format!("{NAME}-{}.pem", self.key(storage).await?.id))
    }

    /// The certificate of a name, in PEM.
    pub async fn certificate(&self, storage: &Storage, name: &str) -> Result<Option<String>, ApiError> {
        let key = self.key(storage).await?;
        Ok((name == format!("{NAME}-{}.pem", key.id)).then(|| key.certificate.clone()))
    }
}

pub fn is_certificate(name: &str) -> bool {
    name.strip_prefix(NAME).is_some_and(|rest| rest.ends_with(".pem"))
}

fn read(stored: &StoredKey) -> Result<Key, ApiError> {
    let damaged = |e: &dyn std::fmt::Display| ApiError::internal(format!("reading the key of messages: {e}"));
    let private = BASE64_STANDARD.decode(&stored.private).map_err(|e| damaged(&e))?;
    let private = RsaPrivateKey::from_pkcs8_der(&private).map_err(|e| damaged(&e))?;
    let id = hex::encode(&Sha256::digest(private.n().to_bytes_be())[..16]);
    Ok(Key { private, certificate: stored.certificate.clone(), id })
}

/// The kernel's random source, as this crate's key generation takes it.
struct Kernel;

impl rand_core::CryptoRng for Kernel {}

impl rand_core::RngCore for Kernel {
    fn next_u32(&mut self) -> u32 {
        u32::from_le_bytes(cumulet_base::id::random())
    }

    fn next_u64(&mut self) -> u64 {
        u64::from_le_bytes(cumulet_base::id::random())
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            chunk.copy_from_slice(&cumulet_base::id::random::<32>()[..chunk.len()]);
        }
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

fn make() -> Result<StoredKey, ApiError> {
    let failed = |e: &dyn std::fmt::Display| ApiError::internal(format!("making a key: {e}"));
    let private = RsaPrivateKey::new(&mut Kernel, KEY_BITS).map_err(|e| failed(&e))?;
    let der = private.to_pkcs8_der().map_err(|e| failed(&e))?;
    let certificate = certificate(&private).map_err(|e| failed(&e))?;
    Ok(StoredKey { v: FORMAT, private: BASE64_STANDARD.encode(der.as_bytes()), certificate })
}

/// An X.509 certificate of version 1: a name, a long time, the public key.
fn certificate(private: &RsaPrivateKey) -> Result<String, Box<dyn std::error::Error>> {
    let public = private.to_public_key().to_public_key_der()?;
    // sha256WithRSAEncryption, no parameters.
    let algorithm = der(0x30, &[&[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11, 5, 0][..]]);
    let common_name = der(0x30, &[&[6, 3, 0x55, 4, 3][..], &der(0x0c, &[b"sns.amazonaws.com"])]);
    let name = der(0x30, &[&der(0x31, &[&common_name])]);
    let validity = der(0x30, &[&der(0x17, &[b"200101000000Z"]), &der(0x18, &[b"99991231235959Z"])]);
    let mut serial = cumulet_base::id::random::<16>();
    // Positive, and not shorter than it is written.
    serial[0] = serial[0] & 0x7f | 0x40;
    let to_be_signed = der(0x30, &[&der(2, &[&serial]), &algorithm, &name, &validity, &name, public.as_bytes()]);
    let signature = private.sign(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(&to_be_signed))?;
    let whole = der(0x30, &[&to_be_signed, &algorithm, &der(3, &[&[0], &signature])]);
    let text = BASE64_STANDARD.encode(whole);
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    Ok(format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n")))
}

/// One value of ASN.1: its tag, its length, its parts.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut out = vec![tag];
    match content.len() {
        short @ 0..128 => out.push(short as u8),
        long => {
            let bytes = long.to_be_bytes();
            let bytes = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
            out.push(0x80 | bytes.len() as u8);
            out.extend_from_slice(bytes);
        }
    }
    out.extend(content);
    out
}
