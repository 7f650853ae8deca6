//! Who calls, and whether they may. Signatures are checked here; who exists and what they may do are ports.

pub mod sigv4;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::ApiError;

/// An authenticated caller. Its form as JSON is stored where something goes on after the request, as a stack does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    pub account: String,
    /// `arn:aws:iam::A:root`, `arn:aws:sts::A:assumed-role/NAME/SESSION`, `arn:aws:iam::A:user/NAME`.
    pub arn: String,
    /// `A` for the owner, `AROA…:SESSION` for a role's session: what GetCallerIdentity calls `UserId`.
    pub user_id: String,
    pub kind: Principal,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Principal {
    /// May do everything in the account.
    Owner,
    /// A session of a role, by the role's ARN: its policies decide.
    Role { role_arn: String },
    /// A user, by the caller's ARN: its policies decide.
    User,
    /// A service of this cloud acting on a resource's behalf.
    Service { name: String, source_arn: String },
    /// Nobody: unsigned.
    Anonymous,
}

impl Caller {
    pub fn owner(account: &str) -> Caller {
        Caller {
            account: account.to_owned(),
            arn: format!("arn:aws:iam::{account}:root"),
            user_id: account.to_owned(),
            kind: Principal::Owner,
        }
    }

    /// A service acting for one of its resources: `name` is such as `sns.amazonaws.com`.
    pub fn service(account: &str, name: &str, source_arn: &str) -> Caller {
        Caller {
            account: account.to_owned(),
            arn: name.to_owned(),
            user_id: name.to_owned(),
            kind: Principal::Service { name: name.to_owned(), source_arn: source_arn.to_owned() },
        }
    }

    /// A session of a role that a service has taken on; `None`: that is not a role's ARN.
    pub fn role(role_arn: &str, session: &str) -> Option<Caller> {
        let arn: cumulet_base::arn::Arn = role_arn.parse().ok()?;
        let name = arn.resource.strip_prefix("role/")?.rsplit('/').next()?;
        Some(Caller {
            arn: format!("arn:aws:sts::{}:assumed-role/{name}/{session}", arn.account),
            user_id: format!("{name}:{session}"),
            account: arn.account.clone(),
            kind: Principal::Role { role_arn: role_arn.to_owned() },
        })
    }

    /// The ARNs a policy may name the caller by; the last one stands for all of its sessions.
    pub fn names(&self) -> Vec<&str> {
        match &self.kind {
            Principal::Role { role_arn } => vec![&self.arn, role_arn],
            _ => vec![&self.arn],
        }
    }
}

/// A secret and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    pub secret_access_key: String,
    pub caller: Caller,
}

/// Where access keys are looked up.
#[async_trait]
pub trait Credentials: Send + Sync + 'static {
    /// `None`: no such key. A session key is only found together with its token, unexpired.
    async fn find(&self, access_key_id: &str, session_token: Option<&str>) -> Result<Option<Credential>, ApiError>;
}

/// Who decides whether a caller may do something.
#[async_trait]
pub trait Authorizer: Send + Sync + 'static {
    /// `action` is such as `lambda:InvokeFunction`; `Err` is the service-neutral AccessDenied with AWS's sentence.
    async fn authorize(&self, caller: &Caller, action: &str, resource: &str) -> Result<(), ApiError>;
}
