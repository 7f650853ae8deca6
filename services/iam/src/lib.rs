//! AWS IAM: roles, users with access keys, groups, managed policies with versions, permissions boundaries, instance
//! profiles by name; and who may do what: credentials, sessions and authorisation for the whole cloud. Deliberately
//! absent: passwords, MFA, certificates, identity providers, service-linked roles, simulation.

mod absent;
mod entities;
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
use cumulet_wire::auth::Principal;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::operation::{Operation, Protocol, Service, ServiceModel};

use entities::{Group, Policy, Profile, User};
use model::Role;
pub use sessions::{Access, Assumed, Owner};
use storage::Storage;

#[rustfmt::skip]
const OPERATIONS: &[Operation] = &[
    Operation::rpc("CreateRole"),
    Operation::rpc("GetRole"),
    Operation::rpc("DeleteRole"),
    Operation::rpc("ListRoles"),
    Operation::rpc("UpdateRole"),
    Operation::rpc("UpdateRoleDescription"),
    Operation::rpc("UpdateAssumeRolePolicy"),
    Operation::rpc("PutRolePolicy"),
    Operation::rpc("GetRolePolicy"),
    Operation::rpc("DeleteRolePolicy"),
    Operation::rpc("ListRolePolicies"),
    Operation::rpc("AttachRolePolicy"),
    Operation::rpc("DetachRolePolicy"),
    Operation::rpc("ListAttachedRolePolicies"),
    Operation::rpc("PutRolePermissionsBoundary"),
    Operation::rpc("DeleteRolePermissionsBoundary"),
    Operation::rpc("TagRole"),
    Operation::rpc("UntagRole"),
    Operation::rpc("ListRoleTags"),
    Operation::rpc("CreatePolicy"),
    Operation::rpc("GetPolicy"),
    Operation::rpc("DeletePolicy"),
    Operation::rpc("ListPolicies"),
    Operation::rpc("CreatePolicyVersion"),
    Operation::rpc("GetPolicyVersion"),
    Operation::rpc("DeletePolicyVersion"),
    Operation::rpc("ListPolicyVersions"),
    Operation::rpc("SetDefaultPolicyVersion"),
    Operation::rpc("ListEntitiesForPolicy"),
    Operation::rpc("TagPolicy"),
    Operation::rpc("UntagPolicy"),
    Operation::rpc("ListPolicyTags"),
    Operation::rpc("CreateUser"),
    Operation::rpc("GetUser"),
    Operation::rpc("DeleteUser"),
    Operation::rpc("ListUsers"),
    Operation::rpc("PutUserPolicy"),
    Operation::rpc("GetUserPolicy"),
    Operation::rpc("DeleteUserPolicy"),
    Operation::rpc("ListUserPolicies"),
    Operation::rpc("AttachUserPolicy"),
    Operation::rpc("DetachUserPolicy"),
    Operation::rpc("ListAttachedUserPolicies"),
    Operation::rpc("PutUserPermissionsBoundary"),
    Operation::rpc("DeleteUserPermissionsBoundary"),
    Operation::rpc("TagUser"),
    Operation::rpc("UntagUser"),
    Operation::rpc("ListUserTags"),
    Operation::rpc("CreateAccessKey"),
    Operation::rpc("ListAccessKeys"),
    Operation::rpc("UpdateAccessKey"),
    Operation::rpc("DeleteAccessKey"),
    Operation::rpc("CreateGroup"),
    Operation::rpc("GetGroup"),
    Operation::rpc("DeleteGroup"),
    Operation::rpc("ListGroups"),
    Operation::rpc("ListGroupsForUser"),
    Operation::rpc("AddUserToGroup"),
    Operation::rpc("RemoveUserFromGroup"),
    Operation::rpc("PutGroupPolicy"),
    Operation::rpc("GetGroupPolicy"),
    Operation::rpc("DeleteGroupPolicy"),
    Operation::rpc("ListGroupPolicies"),
    Operation::rpc("AttachGroupPolicy"),
    Operation::rpc("DetachGroupPolicy"),
    Operation::rpc("ListAttachedGroupPolicies"),
    Operation::rpc("CreateInstanceProfile"),
    Operation::rpc("GetInstanceProfile"),
    Operation::rpc("DeleteInstanceProfile"),
    Operation::rpc("ListInstanceProfiles"),
    Operation::rpc("ListInstanceProfilesForRole"),
    Operation::rpc("AddRoleToInstanceProfile"),
    Operation::rpc("RemoveRoleFromInstanceProfile"),
    Operation::rpc("TagInstanceProfile"),
    Operation::rpc("UntagInstanceProfile"),
    Operation::rpc("ListInstanceProfileTags"),
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
        let account = call.context.account();
        let kinds = [
            ("RoleName", "role"),
            ("InstanceProfileName", "instance-profile"),
            ("UserName", "user"),
            ("GroupName", "group"),
        ];
        for (member, kind) in kinds {
            if let Some(name) = text(member) {
                return format!("arn:aws:iam::{account}:{kind}/{name}");
            }
        }
        match (text("PolicyArn"), text("PolicyName"), &call.context.caller.kind) {
            (Some(arn), _, _) => arn.to_owned(),
            (None, Some(name), _) => format!("arn:aws:iam::{account}:policy/{name}"),
            // Users ask about themselves without saying so.
            (None, None, Principal::User) => call.context.caller.arn.clone(),
            (None, None, _) => "*".to_owned(),
        }
    }

    async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        use operations as op;
        match call.operation.name {
            "CreateRole" => op::create_role::run(self, call).await,
            "GetRole" => op::roles::get(self, call).await,
            "DeleteRole" => op::roles::delete(self, call).await,
            "ListRoles" => op::roles::list(self, call).await,
            "UpdateRole" | "UpdateRoleDescription" => op::roles::update(self, call).await,
            "UpdateAssumeRolePolicy" => op::update_assume_role_policy::run(self, call).await,
            "PutRolePermissionsBoundary" | "DeleteRolePermissionsBoundary" => op::roles::bound(self, call).await,
            "CreatePolicy" => op::policies::create(self, call).await,
            "GetPolicy" => op::policies::get(self, call).await,
            "DeletePolicy" => op::policies::delete(self, call).await,
            "ListPolicies" => op::policies::list(self, call).await,
            "CreatePolicyVersion" => op::policies::create_version(self, call).await,
            "GetPolicyVersion" => op::policies::get_version(self, call).await,
            "DeletePolicyVersion" | "SetDefaultPolicyVersion" => op::policies::change_version(self, call).await,
            "ListPolicyVersions" => op::policies::list_versions(self, call).await,
            "ListEntitiesForPolicy" => op::policies::list_entities(self, call).await,
            "CreateUser" => op::users::create(self, call).await,
            "GetUser" => op::users::get(self, call).await,
            "DeleteUser" => op::users::delete(self, call).await,
            "ListUsers" => op::users::list(self, call).await,
            "PutUserPermissionsBoundary" | "DeleteUserPermissionsBoundary" => op::users::bound(self, call).await,
            "CreateAccessKey" => op::users::create_key(self, call).await,
            "ListAccessKeys" => op::users::list_keys(self, call).await,
            "UpdateAccessKey" => op::users::update_key(self, call).await,
            "DeleteAccessKey" => op::users::delete_key(self, call).await,
            "CreateGroup" => op::users::create_group(self, call).await,
            "GetGroup" => op::users::get_group(self, call).await,
            "DeleteGroup" => op::users::delete_group(self, call).await,
            "ListGroups" => op::users::list_groups(self, call).await,
            "ListGroupsForUser" => op::users::groups_of(self, call).await,
            "AddUserToGroup" => op::users::join(self, call).await,
            "RemoveUserFromGroup" => op::users::leave(self, call).await,
            "CreateInstanceProfile" => op::profiles::create(self, call).await,
            "GetInstanceProfile" => op::profiles::get(self, call).await,
            "DeleteInstanceProfile" => op::profiles::delete(self, call).await,
            "ListInstanceProfiles" | "ListInstanceProfilesForRole" => op::profiles::list(self, call).await,
            "AddRoleToInstanceProfile" => op::profiles::add_role(self, call).await,
            "RemoveRoleFromInstanceProfile" => op::profiles::remove_role(self, call).await,
            "PutRolePolicy" => op::policies_of::put::<Role>(self, call).await,
            "GetRolePolicy" => op::policies_of::get::<Role>(self, call).await,
            "DeleteRolePolicy" => op::policies_of::delete::<Role>(self, call).await,
            "ListRolePolicies" => op::policies_of::list::<Role>(self, call).await,
            "AttachRolePolicy" => op::policies_of::attach::<Role>(self, call).await,
            "DetachRolePolicy" => op::policies_of::detach::<Role>(self, call).await,
            "ListAttachedRolePolicies" => op::policies_of::attached::<Role>(self, call).await,
            "PutUserPolicy" => op::policies_of::put::<User>(self, call).await,
            "GetUserPolicy" => op::policies_of::get::<User>(self, call).await,
            "DeleteUserPolicy" => op::policies_of::delete::<User>(self, call).await,
            "ListUserPolicies" => op::policies_of::list::<User>(self, call).await,
            "AttachUserPolicy" => op::policies_of::attach::<User>(self, call).await,
            "DetachUserPolicy" => op::policies_of::detach::<User>(self, call).await,
            "ListAttachedUserPolicies" => op::policies_of::attached::<User>(self, call).await,
            "PutGroupPolicy" => op::policies_of::put::<Group>(self, call).await,
            "GetGroupPolicy" => op::policies_of::get::<Group>(self, call).await,
            "DeleteGroupPolicy" => op::policies_of::delete::<Group>(self, call).await,
            "ListGroupPolicies" => op::policies_of::list::<Group>(self, call).await,
            "AttachGroupPolicy" => op::policies_of::attach::<Group>(self, call).await,
            "DetachGroupPolicy" => op::policies_of::detach::<Group>(self, call).await,
            "ListAttachedGroupPolicies" => op::policies_of::attached::<Group>(self, call).await,
            "TagRole" => op::tags::tag::<Role>(self, call, "RoleName").await,
            "UntagRole" => op::tags::untag::<Role>(self, call, "RoleName").await,
            "ListRoleTags" => op::tags::list::<Role>(self, call, "RoleName").await,
            "TagUser" => op::tags::tag::<User>(self, call, "UserName").await,
            "UntagUser" => op::tags::untag::<User>(self, call, "UserName").await,
            "ListUserTags" => op::tags::list::<User>(self, call, "UserName").await,
            "TagPolicy" => op::tags::tag::<Policy>(self, call, "PolicyArn").await,
            "UntagPolicy" => op::tags::untag::<Policy>(self, call, "PolicyArn").await,
            "ListPolicyTags" => op::tags::list::<Policy>(self, call, "PolicyArn").await,
            "TagInstanceProfile" => op::tags::tag::<Profile>(self, call, "InstanceProfileName").await,
            "UntagInstanceProfile" => op::tags::untag::<Profile>(self, call, "InstanceProfileName").await,
            "ListInstanceProfileTags" => op::tags::list::<Profile>(self, call, "InstanceProfileName").await,
            other => Err(ApiError::not_implemented("iam", other)),
        }
    }
}

#[cfg(test)]
mod tests;
