//! Environment variables at rest: encrypted with a key drawn from the installation's secret, bound to the version they
//! belong to (XChaCha20-Poly1305). Whoever has the store's file but not the secret cannot read them, nor put other ones
//! in their place. Keys of KMS are absent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use cumulet_base::id;
use cumulet_wire::error::ApiError;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::model::Function;

const NONCE_BYTES: usize = 24;

pub struct Seal(XChaCha20Poly1305);

impl Seal {
    pub fn new(secret: &[u8; 32]) -> Seal {
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(secret).expect("HMAC takes keys of any length");
        mac.update(b"lambda environment variables, 1");
        Seal(XChaCha20Poly1305::new_from_slice(&mac.finalize().into_bytes()).expect("a digest of 32 bytes"))
    }

    /// The function as it is stored: its variables are not to be read.
    pub fn closed(&self, function: &Function) -> Result<Function, ApiError> {
        let mut closed = function.clone();
        if let Some(variables) = closed.environment.take() {
            let plain = serde_json::to_vec(&variables)
                .map_err(|e| ApiError::internal(format!("writing environment variables: {e}")))?;
            let nonce = id::random::<NONCE_BYTES>();
            let owner = owner(function);
            let payload = Payload { msg: &plain, aad: owner.as_bytes() };
            let sealed = self.0.encrypt(&XNonce::from(nonce), payload);
            let sealed = sealed.map_err(|_| ApiError::internal("encrypting environment variables"))?;
            closed.sealed_environment = Some(STANDARD.encode([&nonce[..], &sealed].concat()));
        }
        Ok(closed)
    }

    /// Reads them back.
    ///
    /// # Errors
    /// When they were stored with another secret, or altered.
    pub fn open(&self, function: &mut Function) -> Result<(), ApiError> {
        let Some(text) = function.sealed_environment.take() else { return Ok(()) };
        let plain = STANDARD.decode(text).ok().and_then(|bytes| {
            let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>()?;
            let owner = owner(function);
            self.0.decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: owner.as_bytes() }).ok()
        });
        let variables = plain.and_then(|plain| serde_json::from_slice(&plain).ok());
        function.environment = Some(variables.ok_or_else(|| {
            tracing::error!(function = function.name, "environment variables cannot be decrypted: another secret?");
            ApiError::internal("The function's environment variables cannot be decrypted.")
        })?);
        Ok(())
    }
}

fn owner(function: &Function) -> String {
    format!("{}:{}", function.arn(), function.version)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn only_the_secret_opens_and_only_in_its_place() {
        let variables = BTreeMap::from([("KEY".to_owned(), "hidden".to_owned())]);
        let function = Function { environment: Some(variables.clone()), ..crate::tests::function("f") };
        let seal = Seal::new(&[1; 32]);
        let closed = seal.closed(&function).unwrap();
        assert!(!serde_json::to_string(&closed).unwrap().contains("hidden"));
        let mut opened = closed.clone();
        seal.open(&mut opened).unwrap();
        assert_eq!(opened, function);
        assert!(Seal::new(&[2; 32]).open(&mut closed.clone()).is_err());
        let mut moved = Function { name: "g".to_owned(), ..closed };
        assert!(seal.open(&mut moved).is_err());
    }
}
