//! What keys do to bytes: AES-256-GCM, with the encryption context as additional data, and HMAC. Pure, but for randomness.

use std::collections::BTreeMap;

use cumulet_base::id;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;

use crate::model::Spec;

pub type Context = BTreeMap<String, String>;

const VERSION: u8 = 1;
const ID_BYTES: usize = 16;
const HEAD_BYTES: usize = 1 + ID_BYTES + 4 + NONCE_LEN;

/// A ciphertext, taken apart (`docs/formats/kms.md`).
#[derive(Debug, PartialEq)]
pub struct Blob<'a> {
    pub key_id: String,
    pub generation: u32,
    nonce: [u8; NONCE_LEN],
    /// With the tag.
    sealed: &'a [u8],
}

fn id_bytes(key_id: &str) -> Option<[u8; ID_BYTES]> {
    hex::decode(key_id.replace('-', "")).ok()?.try_into().ok()
}

fn id_text(bytes: &[u8]) -> String {
    let text = hex::encode(bytes);
    let parts =
        [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)].map(|(from, to)| text.get(from..to).unwrap_or_default());
    parts.join("-")
}

impl<'a> Blob<'a> {
    /// `None`: that is no ciphertext of these keys.
    pub fn read(bytes: &'a [u8]) -> Option<Blob<'a>> {
        let (head, sealed) = bytes.split_at_checked(HEAD_BYTES)?;
        if head[0] != VERSION || sealed.len() < AES_256_GCM.tag_len() {
            return None;
        }
        let (id, rest) = head[1..].split_at(ID_BYTES);
        let (generation, nonce) = rest.split_at(4);
        Some(Blob {
            key_id: id_text(id),
            generation: u32::from_be_bytes(generation.try_into().ok()?),
            nonce: nonce.try_into().ok()?,
            sealed,
        })
    }
}

/// What is authenticated beside: the key, its generation, and the context in the order of its names, each with its length.
fn additional(key_id: &str, generation: u32, context: &Context) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut put = |part: &[u8]| {
        bytes.extend((part.len() as u64).to_be_bytes());
        bytes.extend(part);
    };
    put(key_id.as_bytes());
    put(&generation.to_be_bytes());
    for (name, value) in context {
        put(name.as_bytes());
        put(value.as_bytes());
    }
    bytes
}

fn aes(material: &[u8]) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, material).ok().map(LessSafeKey::new)
}

/// `None`: the material is no key, or the text too long.
pub fn encrypt(key_id: &str, generation: u32, material: &[u8], context: &Context, plain: &[u8]) -> Option<Vec<u8>> {
    let nonce = id::random::<NONCE_LEN>();
    let mut bytes = vec![VERSION];
    bytes.extend(id_bytes(key_id)?);
    bytes.extend(generation.to_be_bytes());
    bytes.extend(nonce);
    let mut sealed = plain.to_vec();
    let additional = Aad::from(additional(key_id, generation, context));
    aes(material)?.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), additional, &mut sealed).ok()?;
    bytes.extend(sealed);
    Some(bytes)
}

/// `None`: it was altered, or encrypted with another key or context.
pub fn decrypt(blob: &Blob<'_>, material: &[u8], context: &Context) -> Option<Vec<u8>> {
    let mut bytes = blob.sealed.to_vec();
    let additional = Aad::from(additional(&blob.key_id, blob.generation, context));
    let plain = aes(material)?.open_in_place(Nonce::assume_unique_for_key(blob.nonce), additional, &mut bytes).ok()?;
    Some(plain.to_vec())
}

fn hmac_key(spec: Spec, material: &[u8]) -> Option<hmac::Key> {
    let algorithm = match spec {
        Spec::Symmetric => return None,
        Spec::Hmac256 => hmac::HMAC_SHA256,
        Spec::Hmac384 => hmac::HMAC_SHA384,
        Spec::Hmac512 => hmac::HMAC_SHA512,
    };
    Some(hmac::Key::new(algorithm, material))
}

/// `None`: the key is not for it.
pub fn mac(spec: Spec, material: &[u8], message: &[u8]) -> Option<Vec<u8>> {
    Some(hmac::sign(&hmac_key(spec, material)?, message).as_ref().to_vec())
}

pub fn is_mac(spec: Spec, material: &[u8], message: &[u8], mac: &[u8]) -> bool {
    hmac_key(spec, material).is_some_and(|key| hmac::verify(&key, message, mac).is_ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "01234567-89ab-cdef-0123-456789abcdef";

    proptest! {
        #[test]
        fn only_the_same_key_generation_and_context_decrypt(plain: Vec<u8>, context: Context, at: usize, bit in 0u8..8) {
            let material = [7u8; 32];
            let mut bytes = encrypt(ID, 3, &material, &context, &plain).unwrap();
            let blob = Blob::read(&bytes).unwrap();
            prop_assert_eq!((blob.key_id.as_str(), blob.generation), (ID, 3));
            prop_assert_eq!(decrypt(&blob, &material, &context), Some(plain));
            prop_assert_eq!(decrypt(&blob, &[8u8; 32], &context), None);
            let mut other = context.clone();
            other.insert("another".into(), "one".into());
            prop_assert_eq!(decrypt(&blob, &material, &other), None);
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            let altered = Blob::read(&bytes).and_then(|blob| decrypt(&blob, &material, &context));
            prop_assert_eq!(altered, None);
        }

        #[test]
        fn anything_can_be_read(bytes: Vec<u8>) {
            let _either = Blob::read(&bytes);
        }
    }

    #[test]
    fn what_stands_side_by_side_is_not_the_same() {
        let of = |pairs: &[(&str, &str)]| -> Context {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        assert_ne!(additional(ID, 0, &of(&[("a", "bc")])), additional(ID, 0, &of(&[("ab", "c")])));
        assert_ne!(additional(ID, 0, &of(&[("a", "b"), ("c", "d")])), additional(ID, 0, &of(&[("a", "bcd")])));
    }

    #[test]
    fn macs() {
        let mac_of = mac(Spec::Hmac256, &[1; 32], b"text").unwrap();
        assert_eq!(mac_of.len(), 32);
        assert!(is_mac(Spec::Hmac256, &[1; 32], b"text", &mac_of));
        assert!(!is_mac(Spec::Hmac256, &[1; 32], b"texts", &mac_of));
        assert!(mac(Spec::Symmetric, &[1; 32], b"text").is_none());
    }
}
