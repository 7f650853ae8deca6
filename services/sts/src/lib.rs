//! AWS STS: who the caller is, and sessions of roles through a port to whoever knows the roles.
//! Deliberately absent: federation, session policies, MFA.

mod absent;
mod operations;

use std::sync::Arc;

use async_trait::async_trait;
use cumulet_wire::auth::Caller;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::operation::{Operation, Protocol, Service, ServiceModel};

/// A session of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: String,
    /// Milliseconds since 1970.
    pub expires_ms: u64,
    pub arn: String,
    pub user_id: String,
}

/// Who knows the roles.
#[async_trait]
pub trait Roles: Send + Sync + 'static {
    /// Opens a session if the role is there and trusts the caller; otherwise `AccessDenied`.
    async fn assume(
        &self,
        caller: &Caller,
        role_arn: &str,
        session_name: &str,
        duration_s: u64,
    ) -> Result<Session, ApiError>;
}

const OPERATIONS: &[Operation] = &[Operation::rpc("GetCallerIdentity"), Operation::rpc("AssumeRole")];

pub const MODEL: ServiceModel = ServiceModel {
    name: "sts",
    protocol: Protocol::Query,
    target: "",
    xmlns: "https://sts.amazonaws.com/doc/2011-06-15/",
    operations: OPERATIONS,
    absent: absent::ABSENT,
};

pub struct Sts {
    roles: Arc<dyn Roles>,
}

impl Sts {
    pub fn new(roles: Arc<dyn Roles>) -> Sts {
        Sts { roles }
    }
}

#[async_trait]
impl Service for Sts {
    fn model(&self) -> &'static ServiceModel {
        &MODEL
    }

    fn resource(&self, call: &Call) -> String {
        let role = call.input.get("RoleArn").and_then(|arn| arn.as_str());
        role.unwrap_or("*").to_owned()
    }

    async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        match call.operation.name {
            "GetCallerIdentity" => operations::get_caller_identity::run(&call),
            "AssumeRole" => operations::assume_role::run(self, &call).await,
            other => Err(ApiError::not_implemented("sts", other)),
        }
    }
}
