//! What policies of roles may say, and whom a trust policy lets in. What they decide is `cumulet_wire::policy`.
//! Boundaries and session policies are absent.

use cumulet_wire::auth::Caller;
use cumulet_wire::error::ApiError;
use cumulet_wire::policy::condition::{Truth, holds};
use cumulet_wire::policy::{Document, Statement, circumstances};

use crate::errors;

/// Whom a document is attached to decides what its statements must and must not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Identity,
    Trust,
}

/// # Errors
/// `MalformedPolicyDocument`.
pub fn check(document: &str, kind: Kind) -> Result<(), ApiError> {
    let parsed = Document::parse(document).ok_or_else(|| errors::malformed_policy("Syntax errors in policy."))?;
    if !matches!(parsed.version.as_deref(), None | Some("2012-10-17" | "2008-10-17")) {
        return Err(errors::malformed_policy("The policy must contain a valid version string"));
    }
    for statement in parsed.statements() {
        if statement.effect != "Allow" && statement.effect != "Deny" {
            return Err(errors::malformed_policy("Policy statement must have the Effect Allow or Deny."));
        }
        if statement.action.is_some() == statement.not_action.is_some() {
            return Err(errors::malformed_policy("Policy statement must contain actions."));
        }
        let has_resource = statement.resource.is_some() || statement.not_resource.is_some();
        let has_principal = statement.principal.is_some() || statement.not_principal.is_some();
        match kind {
            Kind::Identity if has_principal => {
                return Err(errors::malformed_policy("Policy document should not specify a principal."));
            }
            Kind::Identity if !has_resource => {
                return Err(errors::malformed_policy("Policy statement must contain resources."));
            }
            Kind::Trust if has_resource => {
                return Err(errors::malformed_policy("Has prohibited field Resource"));
            }
            Kind::Trust if !has_principal => {
                return Err(errors::malformed_policy("Missing required field Principal"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether a trust policy lets a caller assume the role.
pub fn trusts(document: &str, caller: &Caller) -> bool {
    let Some(parsed) = Document::parse(document) else {
        return false;
    };
    let known = circumstances(caller);
    let mut is_trusted = false;
    let meant = |s: &&Statement| s.has_action("sts:AssumeRole") && s.has_principal(caller);
    for statement in parsed.statements().iter().filter(meant) {
        match (statement.effect.as_str(), holds(statement.condition.as_ref(), &known)) {
            ("Deny", Truth::Yes | Truth::Unknown) => return false,
            ("Allow", Truth::Yes) => is_trusted = true,
            _ => {}
        }
    }
    is_trusted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doc(statement: &str) -> String {
        format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#)
    }

    #[test]
    fn shapes() {
        let allow = |rest: &str| doc(&format!(r#"{{"Effect":"Allow","Action":"a:b"{rest}}}"#));
        assert!(check(&allow(r#","Resource":"*""#), Kind::Identity).is_ok());
        assert!(check(&allow(r#","Principal":"*""#), Kind::Trust).is_ok());
        for (document, kind) in [
            ("{", Kind::Identity),
            ("{}", Kind::Identity),
            (allow("").as_str(), Kind::Identity),
            (allow("").as_str(), Kind::Trust),
            (allow(r#","Resource":"*","Principal":"*""#).as_str(), Kind::Identity),
            (doc(r#"{"Effect":"Maybe","Action":"a","Resource":"*"}"#).as_str(), Kind::Identity),
            (r#"{"Version":"2020-01-01","Statement":[]}"#, Kind::Identity),
        ] {
            assert!(check(document, kind).is_err(), "{document}");
        }
    }

    #[test]
    fn trust() {
        let service =
            doc(r#"{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}"#);
        let account =
            doc(r#"{"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::0:root"]},"Action":"sts:AssumeRole"}"#);
        assert!(!trusts(&service, &Caller::owner("0")));
        assert!(trusts(&service, &Caller::service("0", "lambda.amazonaws.com", "arn:aws:lambda:r:0:function:f")));
        assert!(trusts(&account, &Caller::owner("0")));
        assert!(!trusts(&account, &Caller::owner("1")));
    }
}
