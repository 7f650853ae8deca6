//! Secure strings, as they are stored: encrypted and authenticated, bound to the parameter and version they belong to.

use cumulet_wire::error::ApiError;
use cumulet_wire::seal::Seal;

use crate::errors;

pub struct Secrets(Seal);

impl Secrets {
    pub fn new(secret: &[u8; 32]) -> Secrets {
        Secrets(Seal::new(secret, "ssm secure strings\n"))
    }

    /// `belongs_to` has to be the same when it is opened.
    pub fn seal(&self, text: &str, belongs_to: &str) -> Result<String, ApiError> {
        let sealed = self.0.close(text.as_bytes(), belongs_to);
        sealed.ok_or_else(|| errors::storage("Encrypting", &"the text is too long"))
    }

    pub fn open(&self, sealed: &str, belongs_to: &str) -> Result<String, ApiError> {
        let text = self.0.open(sealed, belongs_to).and_then(|bytes| String::from_utf8(bytes).ok());
        text.ok_or_else(|| errors::storage("Decrypting", &"it was encrypted with another secret, or is damaged"))
    }
}
