//! The operations on roles from beginning to end, sessions, and what they may do, over the memory store.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicU64, Ordering};

use cumulet_base::clock::Clock;
use cumulet_engine::catalog::Sessions;
use cumulet_store_memory::MemoryStore;
use cumulet_wire::auth::{Authorizer, Caller, Credentials};
use cumulet_wire::call::Context;
use serde_json::{Value, json};

use super::*;

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
const INVOKE: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"lambda:InvokeFunction","Resource":"*"}]}"#;
const BASIC: &str = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole";
const ROLE: &str = "arn:aws:iam::000000000000:role/r";

struct Now(AtomicU64);

impl Clock for Now {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

struct Fixture {
    iam: Iam,
    access: Access,
    now: Arc<Now>,
}

impl Fixture {
    fn new() -> Fixture {
        let store = Arc::new(MemoryStore::new());
        let now = Arc::new(Now(AtomicU64::new(1_000_000)));
        let owner = Owner {
            account: "000000000000".to_owned(),
            access_key_id: "test".to_owned(),
            secret_access_key: "test".to_owned(),
        };
        Fixture { iam: Iam::new(store.clone()), access: Access::new(store, owner, now.clone()), now }
    }

    async fn call(&self, operation: &str, input: Value) -> Result<Value, ApiError> {
        let operation = MODEL.operations.iter().find(|o| o.name == operation).unwrap();
        let Value::Object(input) = input else { panic!("the input is an object") };
        let context = Context {
            caller: Caller::owner("000000000000"),
            region: "us-east-1".to_owned(),
            request_id: "r".to_owned(),
            host: "localhost".to_owned(),
            now_ms: 1_795_428_930_123,
            trace: None,
        };
        let call = Call { operation, input, payload: bytes::Bytes::new(), context };
        self.iam.call(call).await.map(|answer| answer.output)
    }

    async fn role(&self) {
        let input = json!({"RoleName": "r", "AssumeRolePolicyDocument": TRUST, "Tags": [{"Key": "a", "Value": "1"}]});
        self.call("CreateRole", input).await.unwrap();
    }

    async fn code(&self, operation: &str, input: Value) -> String {
        self.call(operation, input).await.unwrap_err().code
    }
}

#[tokio::test]
async fn a_role_comes_and_goes() {
    let f = Fixture::new();
    let name = json!({"RoleName": "r"});
    assert_eq!(f.code("GetRole", name.clone()).await, "NoSuchEntity");
    f.role().await;
    let got = f.call("GetRole", name.clone()).await.unwrap();
    assert_eq!(
        (&got["Role"]["Arn"], &got["Role"]["CreateDate"], &got["Role"]["MaxSessionDuration"]),
        (&json!(ROLE), &json!("2026-11-23T10:15:30Z"), &json!(3600))
    );
    assert!(got["Role"]["AssumeRolePolicyDocument"].as_str().unwrap().starts_with("%7B%22Version%22%3A"));
    let again = json!({"RoleName": "r", "AssumeRolePolicyDocument": TRUST});
    assert_eq!(f.code("CreateRole", again).await, "EntityAlreadyExists");

    let inline = json!({"RoleName": "r", "PolicyName": "p", "PolicyDocument": INVOKE});
    f.call("PutRolePolicy", inline.clone()).await.unwrap();
    assert_eq!(f.call("ListRolePolicies", name.clone()).await.unwrap()["PolicyNames"], json!(["p"]));
    assert_eq!(f.call("GetRolePolicy", inline.clone()).await.unwrap()["PolicyName"], "p");
    let attach = json!({"RoleName": "r", "PolicyArn": BASIC});
    f.call("AttachRolePolicy", attach.clone()).await.unwrap();
    assert_eq!(
        f.call("ListAttachedRolePolicies", name.clone()).await.unwrap()["AttachedPolicies"][0]["PolicyName"],
        "AWSLambdaBasicExecutionRole"
    );
    assert_eq!(f.code("DeleteRole", name.clone()).await, "DeleteConflict");
    f.call("DetachRolePolicy", attach.clone()).await.unwrap();
    assert_eq!(f.code("DetachRolePolicy", attach).await, "NoSuchEntity");
    assert_eq!(f.code("DeleteRole", name.clone()).await, "DeleteConflict");
    f.call("DeleteRolePolicy", inline.clone()).await.unwrap();
    assert_eq!(f.code("GetRolePolicy", inline.clone()).await, "NoSuchEntity");
    assert_eq!(f.code("DeleteRolePolicy", inline).await, "NoSuchEntity");

    let tags = json!({"RoleName": "r", "Tags": [{"Key": "b", "Value": "2"}]});
    f.call("TagRole", tags).await.unwrap();
    let untag = json!({"RoleName": "r", "TagKeys": ["a"]});
    f.call("UntagRole", untag).await.unwrap();
    assert_eq!(f.call("ListRoleTags", name.clone()).await.unwrap()["Tags"], json!([{"Key": "b", "Value": "2"}]));
    assert_eq!(f.call("ListInstanceProfilesForRole", name.clone()).await.unwrap()["InstanceProfiles"], json!([]));
    f.call("DeleteRole", name.clone()).await.unwrap();
    assert_eq!(f.code("DeleteRole", name).await, "NoSuchEntity");
}

#[tokio::test]
async fn refusals() {
    let f = Fixture::new();
    f.role().await;
    for (operation, input, code) in [
        ("CreateRole", json!({"AssumeRolePolicyDocument": TRUST}), "ValidationError"),
        ("CreateRole", json!({"RoleName": "a b", "AssumeRolePolicyDocument": TRUST}), "ValidationError"),
        ("CreateRole", json!({"RoleName": "x", "AssumeRolePolicyDocument": "{"}), "MalformedPolicyDocument"),
        ("CreateRole", json!({"RoleName": "x", "AssumeRolePolicyDocument": INVOKE}), "MalformedPolicyDocument"),
        (
            "CreateRole",
            json!({"RoleName": "x", "AssumeRolePolicyDocument": TRUST, "MaxSessionDuration": "60"}),
            "ValidationError",
        ),
        ("CreateRole", json!({"RoleName": "x", "AssumeRolePolicyDocument": TRUST, "Path": "x"}), "ValidationError"),
        (
            "CreateRole",
            json!({"RoleName": "x", "AssumeRolePolicyDocument": TRUST, "PermissionsBoundary": "arn"}),
            "NoSuchEntity",
        ),
        (
            "PutRolePolicy",
            json!({"RoleName": "r", "PolicyName": "p", "PolicyDocument": TRUST}),
            "MalformedPolicyDocument",
        ),
        (
            "PutRolePolicy",
            json!({"RoleName": "r", "PolicyName": "p", "PolicyDocument": INVOKE.replace("lambda:", &"x".repeat(10_240))}),
            "LimitExceeded",
        ),
        ("PutRolePolicy", json!({"RoleName": "x", "PolicyName": "p", "PolicyDocument": INVOKE}), "NoSuchEntity"),
        ("UpdateAssumeRolePolicy", json!({"RoleName": "r", "PolicyDocument": "1"}), "MalformedPolicyDocument"),
        ("AttachRolePolicy", json!({"RoleName": "r", "PolicyArn": "arn:aws:iam::aws:policy/Nothing"}), "NoSuchEntity"),
        ("TagRole", json!({"RoleName": "r", "Tags": [{"Key": "aws:x", "Value": ""}]}), "InvalidInput"),
        ("GetPolicy", json!({"PolicyArn": "arn:aws:iam::aws:policy/Nothing"}), "NoSuchEntity"),
        ("GetPolicyVersion", json!({"PolicyArn": BASIC, "VersionId": "v9"}), "NoSuchEntity"),
        ("ListRoles", json!({"MaxItems": "0"}), "ValidationError"),
    ] {
        assert_eq!(f.code(operation, input.clone()).await, code, "{operation} {input}");
    }
    assert_eq!(f.call("GetPolicy", json!({"PolicyArn": BASIC})).await.unwrap()["Policy"]["Path"], "/service-role/");
}

#[tokio::test]
async fn roles_are_listed_by_page() {
    let f = Fixture::new();
    for name in ["c", "a", "b"] {
        let input = json!({"RoleName": name, "AssumeRolePolicyDocument": TRUST, "Path": "/x/"});
        f.call("CreateRole", input).await.unwrap();
    }
    let first = f.call("ListRoles", json!({"MaxItems": "2"})).await.unwrap();
    assert_eq!(
        (&first["Roles"][1]["RoleName"], &first["Marker"], &first["IsTruncated"]),
        (&json!("b"), &json!("b"), &json!(true))
    );
    let next = json!({"MaxItems": "2", "Marker": "b"});
    let second = f.call("ListRoles", next).await.unwrap();
    assert_eq!((&second["Roles"][0]["RoleName"], &second["IsTruncated"]), (&json!("c"), &json!(false)));
    let other = json!({"PathPrefix": "/y/"});
    assert_eq!(f.call("ListRoles", other).await.unwrap()["Roles"], json!([]));
}

#[tokio::test]
async fn keys_and_sessions() {
    let f = Fixture::new();
    f.role().await;
    let owner = f.access.find("test", None).await.unwrap().unwrap();
    assert_eq!(owner.caller, Caller::owner("000000000000"));
    assert!(f.access.find("other", None).await.unwrap().is_none());

    let issued = f.access.issue(ROLE, "hello").await.unwrap();
    let token = issued.session_token.as_str();
    let found = f.access.find(&issued.access_key_id, Some(token)).await.unwrap().unwrap();
    assert_eq!(found.secret_access_key, issued.secret_access_key);
    assert_eq!(found.caller.arn, "arn:aws:sts::000000000000:assumed-role/r/hello");
    assert!(found.caller.user_id.starts_with("AROA") && found.caller.user_id.ends_with(":hello"));
    let mut altered = token.to_owned();
    let last = altered.pop().unwrap();
    altered.push(if last == 'A' { 'E' } else { 'A' });
    for (key, token) in [
        (issued.access_key_id.as_str(), Some(altered.as_str())),
        ("ASIAOTHER", Some(token)),
        ("test", Some(token)),
        (issued.access_key_id.as_str(), None),
        (issued.access_key_id.as_str(), Some("")),
    ] {
        assert!(f.access.find(key, token).await.unwrap().is_none(), "{key}");
    }
    f.now.0.fetch_add(12 * 3_600_000, Ordering::Relaxed);
    let expired = f.access.find(&issued.access_key_id, Some(token)).await.err().unwrap();
    assert_eq!((expired.status, expired.code.as_str()), (403, "ExpiredTokenException"));
}

#[tokio::test]
async fn policies_of_the_role_decide() {
    let f = Fixture::new();
    f.role().await;
    let issued = f.access.issue(ROLE, "hello").await.unwrap();
    let caller = f.access.find(&issued.access_key_id, Some(&issued.session_token)).await.unwrap().unwrap().caller;
    let may = |action: &'static str| f.access.authorize(&caller, action, "*");
    assert!(may("sts:GetCallerIdentity").await.is_ok());
    let denied = may("lambda:InvokeFunction").await.unwrap_err();
    assert_eq!(
        (denied.status, denied.message.as_str()),
        (
            403,
            "User: arn:aws:sts::000000000000:assumed-role/r/hello is not authorized to perform: lambda:InvokeFunction on \
             resource: * because no identity-based policy allows the lambda:InvokeFunction action"
        )
    );
    let inline = json!({"RoleName": "r", "PolicyName": "p", "PolicyDocument": INVOKE});
    f.call("PutRolePolicy", inline).await.unwrap();
    assert!(may("lambda:InvokeFunction").await.is_ok());
    assert!(may("logs:PutLogEvents").await.is_err());
    let attach = json!({"RoleName": "r", "PolicyArn": BASIC});
    f.call("AttachRolePolicy", attach).await.unwrap();
    assert!(may("logs:PutLogEvents").await.is_ok());

    let ghost = f.access.issue("arn:aws:iam::000000000000:role/ghost", "x").await.unwrap();
    let ghost = f.access.find(&ghost.access_key_id, Some(&ghost.session_token)).await.unwrap().unwrap().caller;
    assert!(f.access.authorize(&ghost, "logs:PutLogEvents", "*").await.is_err());
    assert!(f.access.authorize(&Caller::owner("000000000000"), "any:Thing", "*").await.is_ok());
}

#[tokio::test]
async fn a_role_is_assumed_only_by_whom_it_trusts() {
    let f = Fixture::new();
    f.role().await;
    let owner = Caller::owner("000000000000");
    let error = f.access.assume_role(&owner, ROLE, "s", 3600).await.unwrap_err();
    assert_eq!(error.code, "AccessDenied");
    let trust = TRUST.replace(r#""Service":"lambda.amazonaws.com""#, r#""AWS":"000000000000""#);
    let update = json!({"RoleName": "r", "PolicyDocument": trust});
    f.call("UpdateAssumeRolePolicy", update).await.unwrap();
    let assumed = f.access.assume_role(&owner, ROLE, "s", 3600).await.unwrap();
    assert_eq!(assumed.arn, "arn:aws:sts::000000000000:assumed-role/r/s");
    assert_eq!(f.access.assume_role(&owner, ROLE, "s", 7200).await.unwrap_err().code, "ValidationError");
}

#[tokio::test]
async fn policies_of_the_accounts_own() {
    let f = Fixture::new();
    f.role().await;
    let document = INVOKE;
    let created = f.call("CreatePolicy", json!({"PolicyName": "p", "PolicyDocument": document})).await.unwrap();
    let arn = created["Policy"]["Arn"].as_str().unwrap().to_owned();
    assert_eq!(arn, "arn:aws:iam::000000000000:policy/p");
    assert_eq!(
        f.code("CreatePolicy", json!({"PolicyName": "p", "PolicyDocument": document})).await,
        "EntityAlreadyExists"
    );
    f.call("AttachRolePolicy", json!({"RoleName": "r", "PolicyArn": arn})).await.unwrap();
    let issued = f.access.issue(ROLE, "hello").await.unwrap();
    let caller = f.access.find(&issued.access_key_id, Some(&issued.session_token)).await.unwrap().unwrap().caller;
    assert!(f.access.authorize(&caller, "lambda:InvokeFunction", "*").await.is_ok());
    // Another default version takes effect at once.
    let other = INVOKE.replace("lambda:InvokeFunction", "sqs:SendMessage");
    let version = json!({"PolicyArn": arn, "PolicyDocument": other, "SetAsDefault": "true"});
    let made = f.call("CreatePolicyVersion", version.clone()).await.unwrap();
    assert_eq!(
        (&made["PolicyVersion"]["VersionId"], &made["PolicyVersion"]["IsDefaultVersion"]),
        (&json!("v2"), &json!(true))
    );
    assert!(f.access.authorize(&caller, "lambda:InvokeFunction", "*").await.is_err());
    assert!(f.access.authorize(&caller, "sqs:SendMessage", "*").await.is_ok());
    for _ in 0..3 {
        f.call("CreatePolicyVersion", version.clone()).await.unwrap();
    }
    assert_eq!(f.code("CreatePolicyVersion", version).await, "LimitExceeded");
    let at = |version: &str| json!({"PolicyArn": arn, "VersionId": version});
    f.call("SetDefaultPolicyVersion", at("v1")).await.unwrap();
    assert_eq!(f.code("DeletePolicyVersion", at("v1")).await, "DeleteConflict");
    assert_eq!(f.code("DeletePolicy", json!({"PolicyArn": arn})).await, "DeleteConflict");
    let entities = f.call("ListEntitiesForPolicy", json!({"PolicyArn": arn})).await.unwrap();
    assert_eq!(entities["PolicyRoles"][0]["RoleName"], "r");
    f.call("DetachRolePolicy", json!({"RoleName": "r", "PolicyArn": arn})).await.unwrap();
    for version in ["v2", "v3", "v4", "v5"] {
        f.call("DeletePolicyVersion", at(version)).await.unwrap();
    }
    let listed = f.call("ListPolicies", json!({"Scope": "Local"})).await.unwrap();
    assert_eq!((&listed["Policies"][0]["Arn"], &listed["Policies"][0]["AttachmentCount"]), (&json!(arn), &json!(0)));
    f.call("DeletePolicy", json!({"PolicyArn": arn})).await.unwrap();
    assert_eq!(f.code("GetPolicy", json!({"PolicyArn": arn})).await, "NoSuchEntity");
    assert_eq!(f.code("AttachRolePolicy", json!({"RoleName": "r", "PolicyArn": arn})).await, "NoSuchEntity");
}

#[tokio::test]
async fn a_boundary_bounds() {
    let f = Fixture::new();
    f.role().await;
    f.call("PutRolePolicy", json!({"RoleName": "r", "PolicyName": "p", "PolicyDocument": INVOKE})).await.unwrap();
    let narrow = INVOKE.replace("lambda:InvokeFunction", "sqs:SendMessage");
    let arn =
        f.call("CreatePolicy", json!({"PolicyName": "b", "PolicyDocument": narrow})).await.unwrap()["Policy"]["Arn"]
            .clone();
    let issued = f.access.issue(ROLE, "hello").await.unwrap();
    let caller = f.access.find(&issued.access_key_id, Some(&issued.session_token)).await.unwrap().unwrap().caller;
    assert!(f.access.authorize(&caller, "lambda:InvokeFunction", "*").await.is_ok());
    f.call("PutRolePermissionsBoundary", json!({"RoleName": "r", "PermissionsBoundary": arn})).await.unwrap();
    assert!(f.access.authorize(&caller, "lambda:InvokeFunction", "*").await.is_err());
    assert!(f.access.authorize(&caller, "sqs:SendMessage", "*").await.is_err());
    f.call("DeleteRolePermissionsBoundary", json!({"RoleName": "r"})).await.unwrap();
    assert!(f.access.authorize(&caller, "lambda:InvokeFunction", "*").await.is_ok());
}

#[tokio::test]
async fn users_sign_with_their_keys() {
    let f = Fixture::new();
    f.call("CreateUser", json!({"UserName": "u", "Path": "/team/"})).await.unwrap();
    let made = f.call("CreateAccessKey", json!({"UserName": "u"})).await.unwrap()["AccessKey"].clone();
    let id = made["AccessKeyId"].as_str().unwrap();
    let found = f.access.find(id, None).await.unwrap().unwrap();
    assert_eq!(found.secret_access_key, made["SecretAccessKey"].as_str().unwrap());
    assert_eq!(found.caller.arn, "arn:aws:iam::000000000000:user/team/u");
    assert!(f.access.authorize(&found.caller, "sts:GetCallerIdentity", "*").await.is_ok());
    assert!(f.access.authorize(&found.caller, "lambda:InvokeFunction", "*").await.is_err());
    // What a group may, its members may.
    f.call("CreateGroup", json!({"GroupName": "g"})).await.unwrap();
    f.call("PutGroupPolicy", json!({"GroupName": "g", "PolicyName": "p", "PolicyDocument": INVOKE})).await.unwrap();
    f.call("AddUserToGroup", json!({"GroupName": "g", "UserName": "u"})).await.unwrap();
    assert!(f.access.authorize(&found.caller, "lambda:InvokeFunction", "*").await.is_ok());
    assert_eq!(f.call("GetGroup", json!({"GroupName": "g"})).await.unwrap()["Users"][0]["UserName"], "u");
    assert_eq!(f.code("DeleteGroup", json!({"GroupName": "g"})).await, "DeleteConflict");
    f.call("RemoveUserFromGroup", json!({"GroupName": "g", "UserName": "u"})).await.unwrap();
    assert!(f.access.authorize(&found.caller, "lambda:InvokeFunction", "*").await.is_err());
    f.call("CreateAccessKey", json!({"UserName": "u"})).await.unwrap();
    assert_eq!(f.code("CreateAccessKey", json!({"UserName": "u"})).await, "LimitExceeded");
    assert_eq!(f.code("DeleteUser", json!({"UserName": "u"})).await, "DeleteConflict");
    let status = json!({"UserName": "u", "AccessKeyId": id, "Status": "Inactive"});
    f.call("UpdateAccessKey", status).await.unwrap();
    assert!(f.access.find(id, None).await.unwrap().is_none());
    let keys = f.call("ListAccessKeys", json!({"UserName": "u"})).await.unwrap();
    for key in keys["AccessKeyMetadata"].as_array().unwrap() {
        f.call("DeleteAccessKey", json!({"UserName": "u", "AccessKeyId": key["AccessKeyId"]})).await.unwrap();
    }
    f.call("DeleteUser", json!({"UserName": "u"})).await.unwrap();
    assert_eq!(f.code("GetUser", json!({"UserName": "u"})).await, "NoSuchEntity");
}

#[tokio::test]
async fn profiles_name_roles() {
    let f = Fixture::new();
    f.role().await;
    let name = json!({"InstanceProfileName": "i"});
    let both = json!({"InstanceProfileName": "i", "RoleName": "r"});
    f.call("CreateInstanceProfile", name.clone()).await.unwrap();
    f.call("AddRoleToInstanceProfile", both.clone()).await.unwrap();
    assert_eq!(f.code("AddRoleToInstanceProfile", both.clone()).await, "LimitExceeded");
    let got = f.call("GetInstanceProfile", name.clone()).await.unwrap();
    assert_eq!(got["InstanceProfile"]["Roles"][0]["Arn"], ROLE);
    assert_eq!(f.code("DeleteInstanceProfile", name.clone()).await, "DeleteConflict");
    assert_eq!(f.code("DeleteRole", json!({"RoleName": "r"})).await, "DeleteConflict");
    f.call("RemoveRoleFromInstanceProfile", both).await.unwrap();
    f.call("DeleteInstanceProfile", name).await.unwrap();
    f.call("DeleteRole", json!({"RoleName": "r"})).await.unwrap();
}
