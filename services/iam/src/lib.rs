//! AWS IAM's roles, their inline and attached policies, and who may do what: credentials, sessions and authorisation
//! for the whole cloud. Deliberately absent: users, groups, customer managed policies, instance profiles, conditions,
//! permission boundaries.

mod absent;
mod errors;
#[doc(hidden)]
pub mod fuzz;
mod managed;
mod model;
mod operations;
mod policy;
mod sessions;
mod storage;

use std::sync::Arc;

use async_trait::async_trait;
use cumulet_store::Store;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::operation::{Operation, Protocol, Service, ServiceModel};

pub use sessions::{Access, Assumed, Owner};
use storage::Storage;

#[rustfmt::skip]
const OPERATIONS: &[Operation] = &[
    Operation::rpc("CreateRole"),
    Operation::rpc("GetRole"),
    Operation::rpc("DeleteRole"),
    Operation::rpc("ListRoles"),
    Operation::rpc("UpdateAssumeRolePolicy"),
    Operation::rpc("PutRolePolicy"),
    Operation::rpc("GetRolePolicy"),
    Operation::rpc("DeleteRolePolicy"),
    Operation::rpc("ListRolePolicies"),
    Operation::rpc("AttachRolePolicy"),
    Operation::rpc("DetachRolePolicy"),
    Operation::rpc("ListAttachedRolePolicies"),
    Operation::rpc("ListInstanceProfilesForRole"),
    Operation::rpc("TagRole"),
    Operation::rpc("UntagRole"),
    Operation::rpc("ListRoleTags"),
    Operation::rpc("GetPolicy"),
    Operation::rpc("GetPolicyVersion"),
];

pub const MODEL: ServiceModel = ServiceModel {
    name: "iam",
    protocol: Protocol::Query,
    target: "",
    xmlns: "https://iam.amazonaws.com/doc/2010-05-08/",
    operations: OPERATIONS,
    absent: absent::ABSENT,
};

pub struct Iam {
    storage: Storage,
}

impl Iam {
    pub fn new(store: Arc<dyn Store>) -> Iam {
        Iam { storage: Storage::new(store) }
    }
}

#[async_trait]
impl Service for Iam {
    fn model(&self) -> &'static ServiceModel {
        &MODEL
    }

    /// A role by its name alone: its path is not known before it is read.
    fn resource(&self, call: &Call) -> String {
        let text = |member: &str| call.input.get(member).and_then(|value| value.as_str());
        match (text("RoleName"), text("PolicyArn")) {
            (Some(role), _) => format!("arn:aws:iam::{}:role/{role}", call.context.account()),
            (None, Some(policy)) => policy.to_owned(),
            (None, None) => "*".to_owned(),
        }
    }

    async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        use operations as op;
        match call.operation.name {
            "CreateRole" => op::create_role::run(self, call).await,
            "GetRole" => op::get_role::run(self, call).await,
            "DeleteRole" => op::delete_role::run(self, call).await,
            "ListRoles" => op::list_roles::run(self, call).await,
            "UpdateAssumeRolePolicy" => op::update_assume_role_policy::run(self, call).await,
            "PutRolePolicy" => op::put_role_policy::run(self, call).await,
            "GetRolePolicy" => op::get_role_policy::run(self, call).await,
            "DeleteRolePolicy" => op::delete_role_policy::run(self, call).await,
            "ListRolePolicies" => op::list_role_policies::run(self, call).await,
            "AttachRolePolicy" => op::attach_role_policy::run(self, call).await,
            "DetachRolePolicy" => op::detach_role_policy::run(self, call).await,
            "ListAttachedRolePolicies" => op::list_attached_role_policies::run(self, call).await,
            "ListInstanceProfilesForRole" => op::list_instance_profiles_for_role::run(self, call).await,
            "TagRole" => op::tag_role::run(self, call).await,
            "UntagRole" => op::untag_role::run(self, call).await,
            "ListRoleTags" => op::list_role_tags::run(self, call).await,
            "GetPolicy" => op::get_policy::run(&call),
            "GetPolicyVersion" => op::get_policy_version::run(&call),
            other => Err(ApiError::not_implemented("iam", other)),
        }
    }
}

#[cfg(test)]
mod tests;
