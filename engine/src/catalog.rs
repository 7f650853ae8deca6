//! Ports to what others own: which functions exist and who may call them, and the credentials a function runs with.

use std::sync::Arc;

use async_trait::async_trait;

use crate::function::FunctionVersion;
use crate::invocation::{Invocation, InvokeError, Outcome};
use crate::stream::{self, Streaming};

/// A function as a caller names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    pub account: String,
    pub region: String,
    pub name: String,
    /// Version or alias; `None` is `$LATEST`.
    pub qualifier: Option<String>,
}

impl Target {
    /// From `arn:aws:lambda:REGION:ACCOUNT:function:NAME[:QUALIFIER]`.
    pub fn from_arn(arn: &str) -> Option<Target> {
        let arn: cumulet_base::arn::Arn = arn.parse().ok()?;
        let mut parts = arn.resource.strip_prefix("function:")?.splitn(2, ':');
        let name = parts.next().filter(|name| !name.is_empty() && arn.service == "lambda")?.to_owned();
        Some(Target { account: arn.account, region: arn.region, name, qualifier: parts.next().map(str::to_owned) })
    }

    pub fn arn(&self) -> String {
        let Target { account, region, name, qualifier } = self;
        let tail = qualifier.as_ref().map(|q| format!(":{q}")).unwrap_or_default();
        format!("arn:aws:lambda:{region}:{account}:function:{name}{tail}")
    }
}

/// On whose behalf the function is to run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// The caller's own permissions have been checked already.
    Authorised,
    /// A service calls because of one of its resources; the function's resource policy decides.
    Service { principal: String, source_arn: String, source_account: String },
}

#[async_trait]
pub trait Catalog: Send + Sync + 'static {
    /// Finds the version to run and checks the function's resource policy. On the hot path: answers from memory where it can.
    async fn resolve(&self, target: &Target, access: &Access) -> Result<Arc<FunctionVersion>, InvokeError>;

    /// The sum of the account's reservations.
    async fn reserved(&self, account: &str, region: &str) -> usize {
        let _ = (account, region);
        0
    }
}

/// How services run functions; implemented by the engine.
#[async_trait]
pub trait Invoker: Send + Sync + 'static {
    /// Runs the function on the event and waits for the outcome. Functions that fail are an `Ok` outcome.
    async fn invoke(&self, target: &Target, access: &Access, invocation: Invocation) -> Result<Outcome, InvokeError>;

    /// The same, and returns when the answer has begun: it comes as the function writes it.
    async fn invoke_streaming(
        &self,
        target: &Target,
        access: &Access,
        invocation: Invocation,
    ) -> Result<Streaming, InvokeError> {
        self.invoke(target, access, invocation).await.map(stream::whole)
    }

    /// The function was changed or deleted: instances of the version (`None`: of all versions) end as soon as they are
    /// idle, but for those of the revision `keep`.
    fn retire(&self, account: &str, region: &str, name: &str, version: Option<&str>, keep: Option<&str>);

    /// What functions of the account have reserved has changed.
    fn reserve(&self, account: &str, region: &str) {
        let _ = (account, region);
    }

    /// The function was deployed, or instances of it are to be ready: what can be done beforehand is. Returns at once.
    fn prepare(&self, target: &Target) {
        let _ = target;
    }

    /// Whether that is still under way for a version whose initialisation may be cloned.
    async fn is_preparing(&self, target: &Target) -> bool {
        let _ = target;
        false
    }

    /// Instances of a revision that can take events or do.
    fn instances(&self, revision: &str) -> usize {
        let _ = revision;
        0
    }
}

/// Temporary credentials of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionCredentials {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: String,
}

/// Who hands out credentials to functions.
#[async_trait]
pub trait Sessions: Send + Sync + 'static {
    /// Credentials for a function that runs under a role; `session_name` is the function's name.
    async fn issue(&self, role_arn: &str, session_name: &str) -> Result<SessionCredentials, String>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_from_arns() {
        let arn = "arn:aws:lambda:us-east-1:000000000000:function:hello:PROD";
        let target = Target::from_arn(arn).unwrap();
        assert_eq!((target.name.as_str(), target.qualifier.as_deref()), ("hello", Some("PROD")));
        assert_eq!(target.arn(), arn);
        assert!(Target::from_arn("arn:aws:s3:::bucket").is_none());
        assert!(Target::from_arn("arn:aws:lambda:r:a:function:").is_none());
    }
}
