//! ACLs, as far as they are the canned ones: what AWS advises against and old tools send. Lists of grants are taken where
//! they say what a canned ACL says.

use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::malformed;
use super::objects::unbuilt;
use crate::model::{Block, Bucket, Marks, Ownership};
use crate::{Objects, access, errors};

const ALL_USERS: &str = "http://acs.amazonaws.com/groups/global/AllUsers";
const AUTHENTICATED: &str = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers";

/// The canned ACL that is kept, `None` for `private`; refused where the bucket has no ACLs or lets nobody else in.
fn admit(bucket: &Bucket, acl: &str) -> S3Result<Option<String>> {
    let is_owners = matches!(acl, "private" | "bucket-owner-full-control" | "bucket-owner-read");
    let is_shared = matches!(acl, "public-read" | "public-read-write" | "authenticated-read");
    if !is_owners && !is_shared {
        unbuilt(&[(acl == "aws-exec-read" || acl == "log-delivery-write", "ACL")])?;
        return Err(s3_error!(InvalidArgument, "The canned ACL is not valid"));
    }
    if bucket.ownership == Ownership::BucketOwnerEnforced && acl != "bucket-owner-full-control" && is_shared {
        return Err(s3_error!(AccessControlListNotSupported, "The bucket does not allow ACLs"));
    }
    if bucket.block.acls && is_shared {
        return Err(s3_error!(
            AccessDenied,
            "User is not authorized to set a public ACL because public ACLs are blocked by the BlockPublicAcls block public access setting."
        ));
    }
    Ok(is_shared.then(|| acl.to_owned()))
}

pub fn of_object(bucket: &Bucket, acl: Option<&ObjectCannedACL>) -> S3Result<Option<String>> {
    acl.map_or(Ok(None), |acl| admit(bucket, acl.as_str()))
}

/// Of a bucket that is being made: its block comes after it, so that a shared ACL is refused.
pub fn of_bucket(bucket: &Bucket, acl: Option<&BucketCannedACL>) -> S3Result<Option<String>> {
    match acl.map(BucketCannedACL::as_str) {
        None => Ok(None),
        Some(acl) if acl != "private" && bucket.ownership == Ownership::BucketOwnerEnforced => Err(s3_error!(
            InvalidBucketAclWithObjectOwnership,
            "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"
        )),
        Some(acl) => admit(bucket, acl),
    }
}

pub fn ownership(asked: &ObjectOwnership) -> S3Result<Ownership> {
    match asked.as_str() {
        "BucketOwnerEnforced" => Ok(Ownership::BucketOwnerEnforced),
        "BucketOwnerPreferred" => Ok(Ownership::BucketOwnerPreferred),
        "ObjectWriter" => Ok(Ownership::ObjectWriter),
        _ => Err(malformed()),
    }
}

/// What a list of grants is called.
fn canned(policy: &AccessControlPolicy, owner: &str) -> S3Result<String> {
    let mut named = "private";
    for grant in policy.grants.iter().flatten() {
        let grantee = grant.grantee.as_ref().ok_or_else(malformed)?;
        let permission = grant.permission.as_ref().ok_or_else(malformed)?.as_str();
        named = match (grantee.id.as_deref(), grantee.uri.as_deref(), permission) {
            (Some(id), _, "FULL_CONTROL") if id == owner => named,
            (_, Some(ALL_USERS), "READ") if named != "public-read-write" => "public-read",
            (_, Some(ALL_USERS), "WRITE") => "public-read-write",
            (_, Some(AUTHENTICATED), "READ") if named == "private" => "authenticated-read",
            _ => {
                unbuilt(&[(true, "a list of grants that is no canned ACL")])?;
                named
            }
        };
    }
    Ok(named.to_owned())
}

fn grants(owner: &str, acl: Option<&str>) -> Vec<Grant> {
    let grant = |id: Option<&str>, uri: Option<&str>, permission: &'static str| Grant {
        grantee: Some(Grantee {
            display_name: None,
            email_address: None,
            id: id.map(str::to_owned),
            type_: Type::from_static(if id.is_some() { Type::CANONICAL_USER } else { Type::GROUP }),
            uri: uri.map(str::to_owned),
        }),
        permission: Some(Permission::from_static(permission)),
    };
    let mut grants = vec![grant(Some(owner), None, "FULL_CONTROL")];
    match acl {
        Some("public-read") => grants.push(grant(None, Some(ALL_USERS), "READ")),
        Some("public-read-write") => {
            grants.extend([grant(None, Some(ALL_USERS), "READ"), grant(None, Some(ALL_USERS), "WRITE")]);
        }
        Some("authenticated-read") => grants.push(grant(None, Some(AUTHENTICATED), "READ")),
        _ => {}
    }
    grants
}

pub fn owner(account: &str) -> Owner {
    Owner { id: Some(account.to_owned()), display_name: None }
}

fn asked(
    bucket: &Bucket,
    acl: Option<&str>,
    policy: Option<&AccessControlPolicy>,
    has_grants: bool,
) -> S3Result<Option<String>> {
    unbuilt(&[(has_grants, "x-amz-grant headers")])?;
    let acl = match (acl, policy) {
        (Some(acl), _) => acl.to_owned(),
        (None, Some(policy)) => canned(policy, &bucket.account)?,
        (None, None) => return Err(s3_error!(MissingSecurityHeader, "Your request was missing a required header")),
    };
    admit(bucket, &acl)
}

pub async fn put_bucket(
    s3: &Objects,
    request: S3Request<PutBucketAclInput>,
) -> S3Result<S3Response<PutBucketAclOutput>> {
    let input = request.input;
    let has_grants = input.grant_read.is_some() || input.grant_write.is_some() || input.grant_full_control.is_some();
    let amend = |bucket: &mut Bucket| {
        let acl = input.acl.as_ref().map(BucketCannedACL::as_str);
        bucket.acl = asked(bucket, acl, input.access_control_policy.as_ref(), has_grants)?;
        Ok(())
    };
    s3.storage.amend_bucket(&input.bucket, None, amend).await?;
    Ok(S3Response::new(PutBucketAclOutput::default()))
}

pub async fn get_bucket(
    s3: &Objects,
    request: S3Request<GetBucketAclInput>,
) -> S3Result<S3Response<GetBucketAclOutput>> {
    let bucket = s3.storage.bucket(&request.input.bucket).await?;
    let grants = grants(&bucket.account, bucket.acl.as_deref());
    Ok(S3Response::new(GetBucketAclOutput { grants: Some(grants), owner: Some(owner(&bucket.account)) }))
}

pub async fn put_object(
    s3: &Objects,
    request: S3Request<PutObjectAclInput>,
) -> S3Result<S3Response<PutObjectAclOutput>> {
    let input = request.input;
    let has_grants = input.grant_read.is_some() || input.grant_full_control.is_some();
    let amend = |bucket: &Bucket, marks: &mut Marks| {
        let acl = input.acl.as_ref().map(ObjectCannedACL::as_str);
        marks.acl = asked(bucket, acl, input.access_control_policy.as_ref(), has_grants)?;
        Ok(())
    };
    let cause = access::cause("ObjectAcl:Put", s3.clock.now_ms())?;
    s3.storage.amend(&input.bucket, &input.key, input.version_id.as_deref(), &cause, amend).await?;
    Ok(S3Response::new(PutObjectAclOutput::default()))
}

pub async fn get_object(
    s3: &Objects,
    request: S3Request<GetObjectAclInput>,
) -> S3Result<S3Response<GetObjectAclOutput>> {
    let input = request.input;
    let found = s3.storage.described(&input.bucket, &input.key, input.version_id.as_deref()).await?;
    let grants = grants(&found.bucket.account, found.object.marks.acl.as_deref());
    let owner = Some(owner(&found.bucket.account));
    Ok(S3Response::new(GetObjectAclOutput { grants: Some(grants), owner, ..Default::default() }))
}

pub async fn put_ownership(
    s3: &Objects,
    request: S3Request<PutBucketOwnershipControlsInput>,
) -> S3Result<S3Response<PutBucketOwnershipControlsOutput>> {
    let input = request.input;
    let [rule] = input.ownership_controls.rules.as_slice() else { return Err(malformed()) };
    let ownership = ownership(&rule.object_ownership)?;
    let amend = |bucket: &mut Bucket| {
        if ownership == Ownership::BucketOwnerEnforced && bucket.acl.is_some() {
            return Err(s3_error!(
                InvalidBucketAclWithObjectOwnership,
                "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"
            ));
        }
        bucket.ownership = ownership;
        Ok(())
    };
    s3.storage.amend_bucket(&input.bucket, None, amend).await?;
    Ok(S3Response::new(PutBucketOwnershipControlsOutput::default()))
}

pub async fn get_ownership(
    s3: &Objects,
    request: S3Request<GetBucketOwnershipControlsInput>,
) -> S3Result<S3Response<GetBucketOwnershipControlsOutput>> {
    let bucket = s3.storage.bucket(&request.input.bucket).await?;
    let name = match bucket.ownership {
        Ownership::BucketOwnerEnforced => "BucketOwnerEnforced",
        Ownership::BucketOwnerPreferred => "BucketOwnerPreferred",
        Ownership::ObjectWriter => "ObjectWriter",
        Ownership::Unset => {
            return Err(s3_error!(OwnershipControlsNotFoundError, "The bucket ownership controls were not found"));
        }
    };
    let rule = OwnershipControlsRule { object_ownership: ObjectOwnership::from_static(name) };
    let controls = OwnershipControls { rules: vec![rule] };
    Ok(S3Response::new(GetBucketOwnershipControlsOutput { ownership_controls: Some(controls) }))
}

pub async fn delete_ownership(
    s3: &Objects,
    request: S3Request<DeleteBucketOwnershipControlsInput>,
) -> S3Result<S3Response<DeleteBucketOwnershipControlsOutput>> {
    let amend = |bucket: &mut Bucket| {
        bucket.ownership = Ownership::Unset;
        Ok(())
    };
    s3.storage.amend_bucket(&request.input.bucket, None, amend).await?;
    let output = DeleteBucketOwnershipControlsOutput::default();
    Ok(S3Response::with_status(output, http::StatusCode::NO_CONTENT))
}

pub async fn put_block(
    s3: &Objects,
    request: S3Request<PutPublicAccessBlockInput>,
) -> S3Result<S3Response<PutPublicAccessBlockOutput>> {
    let input = request.input;
    let asked = input.public_access_block_configuration;
    let amend = |bucket: &mut Bucket| {
        bucket.block = Block {
            is_set: true,
            acls: asked.block_public_acls == Some(true),
            ignores_acls: asked.ignore_public_acls == Some(true),
            policy: asked.block_public_policy == Some(true),
            restricts: asked.restrict_public_buckets == Some(true),
        };
        Ok(())
    };
    s3.storage.amend_bucket(&input.bucket, None, amend).await?;
    Ok(S3Response::new(PutPublicAccessBlockOutput::default()))
}

pub async fn get_block(
    s3: &Objects,
    request: S3Request<GetPublicAccessBlockInput>,
) -> S3Result<S3Response<GetPublicAccessBlockOutput>> {
    let block = s3.storage.bucket(&request.input.bucket).await?.block;
    if !block.is_set {
        let message = "The public access block configuration was not found";
        return Err(errors::custom("NoSuchPublicAccessBlockConfiguration", 404, message));
    }
    let shown = PublicAccessBlockConfiguration {
        block_public_acls: Some(block.acls),
        ignore_public_acls: Some(block.ignores_acls),
        block_public_policy: Some(block.policy),
        restrict_public_buckets: Some(block.restricts),
    };
    Ok(S3Response::new(GetPublicAccessBlockOutput { public_access_block_configuration: Some(shown) }))
}

pub async fn delete_block(
    s3: &Objects,
    request: S3Request<DeletePublicAccessBlockInput>,
) -> S3Result<S3Response<DeletePublicAccessBlockOutput>> {
    let amend = |bucket: &mut Bucket| {
        bucket.block = Block::NONE;
        Ok(())
    };
    s3.storage.amend_bucket(&request.input.bucket, None, amend).await?;
    Ok(S3Response::with_status(DeletePublicAccessBlockOutput::default(), http::StatusCode::NO_CONTENT))
}
