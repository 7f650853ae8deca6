//! Environment variables at rest: encrypted, and bound to the version they belong to.

use cumulet_wire::error::ApiError;
use cumulet_wire::seal;

use crate::model::Function;

pub struct Seal(seal::Seal);

impl Seal {
    pub fn new(secret: &[u8; 32]) -> Seal {
        Seal(seal::Seal::new(secret, "lambda environment variables, 1"))
    }

    /// The function as it is stored: its variables are not to be read.
    pub fn closed(&self, function: &Function) -> Result<Function, ApiError> {
        let mut closed = function.clone();
        if let Some(variables) = closed.environment.take() {
            let plain = serde_json::to_vec(&variables)
                .map_err(|e| ApiError::internal(format!("writing environment variables: {e}")))?;
            let sealed = self.0.close(&plain, &owner(function));
            closed.sealed_environment =
                Some(sealed.ok_or_else(|| ApiError::internal("encrypting environment variables"))?);
        }
        Ok(closed)
    }

    /// Reads them back.
    ///
    /// # Errors
    /// When they were stored with another secret, or altered.
    pub fn open(&self, function: &mut Function) -> Result<(), ApiError> {
        let Some(text) = function.sealed_environment.take() else { return Ok(()) };
        let plain = self.0.open(&text, &owner(function));
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
