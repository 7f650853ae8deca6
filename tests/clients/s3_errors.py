"""The errors that S3's reference names for the operations that are here, each with its code and status, as boto3 sees them."""
import datetime
import http.client
import json
import os
import urllib.parse
import urllib.request
from urllib.error import HTTPError

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

PATHS = Config(signature_version="s3v4", s3={"addressing_style": "path"}, parameter_validation=False)
s3 = boto3.client("s3", config=PATHS)
B, V, L = "errors-bucket", "errors-versions", "errors-locks"
NONE = "errors-no-such-bucket"
s3.create_bucket(Bucket=B)
s3.create_bucket(Bucket=V)
s3.put_bucket_versioning(Bucket=V, VersioningConfiguration={"Status": "Enabled"})
s3.create_bucket(Bucket=L, ObjectLockEnabledForBucket=True)
TAG = s3.put_object(Bucket=B, Key="k", Body=b"0123456789")["ETag"]
VERSION = s3.put_object(Bucket=V, Key="k", Body=b"x")["VersionId"]
s3.put_object(Bucket=V, Key="gone", Body=b"x")
MARKER = s3.delete_object(Bucket=V, Key="gone")["VersionId"]
UPLOAD = s3.create_multipart_upload(Bucket=B, Key="parts")["UploadId"]
PART = s3.upload_part(Bucket=B, Key="parts", UploadId=UPLOAD, PartNumber=1, Body=b"x")["ETag"]
LATER = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
EARLIER = LATER - datetime.timedelta(days=9)
failures = []


def check(code, status, call, *arguments, client=s3, **parameters):
    where = f"{call} {arguments} {str(parameters)[:150]}"
    try:
        getattr(client, call)(**parameters)
    except ClientError as error:
        seen = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        if seen != (code, status):
            failures.append(f"{where}: wanted {code} {status}, got {seen}: {error.response['Error'].get('Message')}")
    except Exception as error:
        failures.append(f"{where}: {error!r}")
    else:
        failures.append(f"{where}: wanted {code} {status}, and it was done")


# What is not there, for every operation on a bucket.
for call, more in {
    "list_objects": {}, "list_objects_v2": {}, "list_object_versions": {}, "list_multipart_uploads": {}, "delete_bucket": {},
    "get_bucket_location": {}, "get_bucket_versioning": {}, "get_bucket_acl": {}, "get_bucket_policy": {}, "get_bucket_policy_status": {},
    "get_bucket_cors": {}, "get_bucket_tagging": {}, "get_bucket_lifecycle_configuration": {}, "get_bucket_website": {},
    "get_bucket_encryption": {}, "get_bucket_logging": {}, "get_bucket_notification_configuration": {}, "get_public_access_block": {},
    "get_bucket_ownership_controls": {}, "get_bucket_request_payment": {}, "get_bucket_accelerate_configuration": {}, "get_object_lock_configuration": {},
    "delete_bucket_cors": {}, "delete_bucket_tagging": {}, "delete_bucket_policy": {}, "delete_bucket_lifecycle": {}, "delete_bucket_website": {},
    "delete_bucket_encryption": {}, "delete_public_access_block": {}, "delete_bucket_ownership_controls": {},
    "put_bucket_versioning": {"VersioningConfiguration": {"Status": "Enabled"}},
    "put_bucket_tagging": {"Tagging": {"TagSet": [{"Key": "a", "Value": "b"}]}},
    "put_bucket_policy": {"Policy": json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{NONE}/*"}]})},
    "put_bucket_cors": {"CORSConfiguration": {"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]}},
    "put_bucket_website": {"WebsiteConfiguration": {"IndexDocument": {"Suffix": "i"}}},
    "put_bucket_lifecycle_configuration": {"LifecycleConfiguration": {"Rules": [{"Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}]}},
    "put_bucket_logging": {"BucketLoggingStatus": {}},
    "put_bucket_notification_configuration": {"NotificationConfiguration": {}},
    "put_public_access_block": {"PublicAccessBlockConfiguration": {"BlockPublicAcls": True}},
    "put_bucket_ownership_controls": {"OwnershipControls": {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}},
    "put_bucket_request_payment": {"RequestPaymentConfiguration": {"Payer": "BucketOwner"}},
    "put_object_lock_configuration": {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled"}},
    "put_bucket_acl": {"ACL": "private"},
    "delete_objects": {"Delete": {"Objects": [{"Key": "k"}]}},
}.items():
    check("NoSuchBucket", 404, call, Bucket=NONE, **more)
check("404", 404, "head_bucket", Bucket=NONE)
source = {"Bucket": B, "Key": "k"}
for call, more in {
    "get_object": {}, "put_object": {"Body": b""}, "delete_object": {}, "get_object_tagging": {}, "delete_object_tagging": {}, "get_object_acl": {},
    "put_object_tagging": {"Tagging": {"TagSet": []}}, "get_object_attributes": {"ObjectAttributes": ["ETag"]}, "copy_object": {"CopySource": source},
    "create_multipart_upload": {}, "put_object_acl": {"ACL": "private"}, "get_object_retention": {}, "get_object_legal_hold": {},
}.items():
    check("NoSuchBucket", 404, call, Bucket=NONE, Key="k", **more)
for call, more in {
    "get_object": {}, "get_object_tagging": {}, "delete_object_tagging": {}, "get_object_acl": {}, "put_object_tagging": {"Tagging": {"TagSet": []}},
    "get_object_attributes": {"ObjectAttributes": ["ETag"]}, "put_object_acl": {"ACL": "private"},
}.items():
    check("NoSuchKey", 404, call, Bucket=B, Key="none", **more)
    check("NoSuchVersion", 404, call, Bucket=V, Key="k", VersionId="0" * 32, **more)
    check("MethodNotAllowed", 405, call, Bucket=V, Key="gone", VersionId=MARKER, **more)
check("404", 404, "head_object", Bucket=B, Key="none")
check("405", 405, "head_object", Bucket=V, Key="gone", VersionId=MARKER)
check("NoSuchKey", 404, "get_object", Bucket=V, Key="gone")
check("InvalidArgument", 400, "get_object", Bucket=V, Key="k", VersionId="no version's name")
check("InvalidArgument", 400, "delete_object", Bucket=V, Key="k", VersionId="no version's name")
check("NoSuchKey", 404, "copy_object", Bucket=B, Key="c", CopySource={"Bucket": B, "Key": "none"})
check("NoSuchBucket", 404, "copy_object", Bucket=B, Key="c", CopySource={"Bucket": NONE, "Key": "k"})
check("InvalidRequest", 400, "copy_object", Bucket=V, Key="c", CopySource={"Bucket": V, "Key": "gone", "VersionId": MARKER})
for call, code in {
    "get_bucket_policy": "NoSuchBucketPolicy", "get_bucket_policy_status": "NoSuchBucketPolicy", "get_bucket_cors": "NoSuchCORSConfiguration",
    "get_bucket_tagging": "NoSuchTagSet", "get_bucket_lifecycle_configuration": "NoSuchLifecycleConfiguration",
    "get_bucket_website": "NoSuchWebsiteConfiguration", "get_object_lock_configuration": "ObjectLockConfigurationNotFoundError",
}.items():
    check(code, 404, call, Bucket=B)
s3.delete_public_access_block(Bucket=B)
s3.delete_bucket_ownership_controls(Bucket=B)
check("NoSuchPublicAccessBlockConfiguration", 404, "get_public_access_block", Bucket=B)
check("OwnershipControlsNotFoundError", 404, "get_bucket_ownership_controls", Bucket=B)
check("NoSuchObjectLockConfiguration", 404, "get_object_retention", Bucket=L, Key=s3.put_object(Bucket=L, Key="free", Body=b"") and "free")

# Buckets.
for name in ("ab", "UPPER", "under_score", "a" * 64, "192.168.0.1", "-dash", "dash-", "two..dots", "xn--name", "name-s3alias"):
    check("InvalidBucketName", 400, "create_bucket", Bucket=name)
check("BucketAlreadyOwnedByYou", 409, "create_bucket", Bucket=B, client=boto3.client("s3", region_name="eu-west-1", config=PATHS), CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
check("InvalidLocationConstraint", 400, "create_bucket", Bucket="errors-elsewhere", CreateBucketConfiguration={"LocationConstraint": "nowhere"})
elsewhere = boto3.client("s3", region_name="eu-west-1", config=PATHS)
check("IllegalLocationConstraintException", 400, "create_bucket", Bucket="errors-elsewhere", client=elsewhere)
check("IllegalLocationConstraintException", 400, "create_bucket", Bucket="errors-elsewhere", client=elsewhere, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
check("BucketNotEmpty", 409, "delete_bucket", Bucket=B)
check("InvalidTargetBucketForLogging", 400, "put_bucket_logging", Bucket=B, BucketLoggingStatus={"LoggingEnabled": {"TargetBucket": NONE, "TargetPrefix": ""}})
check("MissingSecurityHeader", 400, "put_bucket_acl", Bucket=B)
check("MissingSecurityHeader", 400, "put_object_acl", Bucket=B, Key="k")

# Objects.
check("PreconditionFailed", 412, "get_object", Bucket=B, Key="k", IfMatch='"other"')
check("PreconditionFailed", 412, "get_object", Bucket=B, Key="k", IfUnmodifiedSince=EARLIER)
check("304", 304, "get_object", Bucket=B, Key="k", IfNoneMatch=TAG)
check("304", 304, "get_object", Bucket=B, Key="k", IfModifiedSince=LATER)
check("304", 304, "head_object", Bucket=B, Key="k", IfNoneMatch=TAG)
check("412", 412, "head_object", Bucket=B, Key="k", IfMatch='"other"')
check("InvalidRange", 416, "get_object", Bucket=B, Key="k", Range="bytes=10-")
check("416", 416, "head_object", Bucket=B, Key="k", Range="bytes=10-")
check("InvalidPartNumber", 416, "get_object", Bucket=B, Key="k", PartNumber=2)
check("InvalidRequest", 400, "get_object", Bucket=B, Key="k", PartNumber=1, Range="bytes=0-1")
check("PreconditionFailed", 412, "put_object", Bucket=B, Key="k", Body=b"", IfNoneMatch="*")
check("PreconditionFailed", 412, "put_object", Bucket=B, Key="k", Body=b"", IfMatch='"other"')
check("NoSuchKey", 404, "put_object", Bucket=B, Key="none", Body=b"", IfMatch=TAG)
check("NotImplemented", 501, "put_object", Bucket=B, Key="k", Body=b"", IfNoneMatch=TAG)
check("PreconditionFailed", 412, "delete_object", Bucket=B, Key="k", IfMatch='"other"')
check("MetadataTooLarge", 400, "put_object", Bucket=B, Key="k", Body=b"", Metadata={"a": "x" * 2100})
check("KeyTooLongError", 400, "put_object", Bucket=B, Key="x" * 1025, Body=b"")
check("InvalidStorageClass", 400, "put_object", Bucket=B, Key="k", Body=b"", StorageClass="LUKEWARM")
check("InvalidRedirectLocation", 400, "put_object", Bucket=B, Key="k", Body=b"", WebsiteRedirectLocation="elsewhere")
check("InvalidDigest", 400, "put_object", Bucket=B, Key="k", Body=b"", ContentMD5="x")
check("InvalidEncryptionAlgorithmError", 400, "put_object", Bucket=B, Key="k", Body=b"", ServerSideEncryption="AES512")
check("InvalidEncryptionAlgorithmError", 400, "copy_object", Bucket=B, Key="c", CopySource=source, ServerSideEncryption="AES512")
check("InvalidEncryptionAlgorithmError", 400, "create_multipart_upload", Bucket=B, Key="c", ServerSideEncryption="AES512")
check("BadDigest", 400, "put_object", Bucket=B, Key="k", Body=b"y", ContentMD5="1B2M2Y8AsgTpgAmY7PhCfg==")
check("BadDigest", 400, "put_object", Bucket=B, Key="k", Body=b"y", ChecksumSHA1="qUqP5cyxm6YcTAhz05Hph5gvu9A=")
check("BadRequest", 400, "put_object", Bucket=B, Key="k", Body=b"", Tagging="&".join(f"{n}=x" for n in range(11)))
check("InvalidArgument", 400, "put_object", Bucket=B, Key="k", Body=b"", ACL="for-nobody")
check("InvalidRequest", 400, "put_object", Bucket=B, Key="k", Body=b"", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=LATER)
check("InvalidArgument", 400, "put_object", Bucket=L, Key="k", Body=b"", ObjectLockMode="GOVERNANCE")
check("InvalidArgument", 400, "put_object", Bucket=L, Key="k", Body=b"", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=EARLIER)
check("InvalidRequest", 400, "copy_object", Bucket=B, Key="k", CopySource=source)
check("PreconditionFailed", 412, "copy_object", Bucket=B, Key="c", CopySource=source, CopySourceIfMatch='"other"')
check("PreconditionFailed", 412, "copy_object", Bucket=B, Key="c", CopySource=source, CopySourceIfNoneMatch=TAG)
check("InvalidArgument", 400, "copy_object", Bucket=B, Key="c", CopySource="no-slash")
check("MalformedXML", 400, "delete_objects", Bucket=B, Delete={"Objects": []})
check("MalformedXML", 400, "delete_objects", Bucket=B, Delete={"Objects": [{"Key": str(n)} for n in range(1001)]})
check("InvalidTag", 400, "put_object_tagging", Bucket=B, Key="k", Tagging={"TagSet": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]})
check("InvalidTag", 400, "put_object_tagging", Bucket=B, Key="k", Tagging={"TagSet": [{"Key": "x" * 129, "Value": "1"}]})
check("InvalidTag", 400, "put_object_tagging", Bucket=B, Key="k", Tagging={"TagSet": [{"Key": "a", "Value": "1" * 257}]})
check("BadRequest", 400, "put_object_tagging", Bucket=B, Key="k", Tagging={"TagSet": [{"Key": str(n), "Value": ""} for n in range(11)]})
check("InvalidArgument", 400, "get_object_attributes", Bucket=B, Key="k", ObjectAttributes=["Colour"])
check("InvalidArgument", 400, "list_objects_v2", Bucket=B, MaxKeys=-1)
check("InvalidArgument", 400, "list_objects_v2", Bucket=B, EncodingType="rot13")
check("InvalidArgument", 400, "list_objects_v2", Bucket=B, ContinuationToken="nonsense!")

# Uploads in parts.
at = {"Bucket": B, "Key": "parts", "UploadId": UPLOAD}
other = {**at, "UploadId": "0" * 32}
check("NoSuchUpload", 404, "upload_part", **other, PartNumber=1, Body=b"")
check("NoSuchUpload", 404, "upload_part_copy", **other, PartNumber=1, CopySource=source)
check("NoSuchUpload", 404, "list_parts", **other)
check("NoSuchUpload", 404, "abort_multipart_upload", **other)
check("NoSuchUpload", 404, "complete_multipart_upload", **other, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": PART}]})
check("NoSuchUpload", 404, "list_parts", **{**at, "Key": "another"})
check("InvalidArgument", 400, "upload_part", **at, PartNumber=0, Body=b"")
check("InvalidArgument", 400, "upload_part", **at, PartNumber=10001, Body=b"")
check("InvalidRange", 416, "upload_part_copy", **at, PartNumber=1, CopySource=source, CopySourceRange="bytes=5-10")
check("InvalidArgument", 400, "upload_part_copy", **at, PartNumber=1, CopySource=source, CopySourceRange="nonsense")
check("PreconditionFailed", 412, "upload_part_copy", **at, PartNumber=1, CopySource=source, CopySourceIfMatch='"other"')
check("InvalidPart", 400, "complete_multipart_upload", **at, MultipartUpload={"Parts": [{"PartNumber": 2, "ETag": PART}]})
check("InvalidPart", 400, "complete_multipart_upload", **at, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": '"other"'}]})
check("MalformedXML", 400, "complete_multipart_upload", **at, MultipartUpload={"Parts": []})
s3.upload_part(**at, PartNumber=2, Body=b"x")
both = [{"PartNumber": 1, "ETag": PART}, {"PartNumber": 2, "ETag": PART}]
check("EntityTooSmall", 400, "complete_multipart_upload", **at, MultipartUpload={"Parts": both})
check("InvalidPartOrder", 400, "complete_multipart_upload", **at, MultipartUpload={"Parts": both[::-1]})
s3.put_object(Bucket=B, Key="parts", Body=b"")
one = {"MultipartUpload": {"Parts": both[:1]}}
check("PreconditionFailed", 412, "complete_multipart_upload", **at, **one, IfNoneMatch="*")
check("PreconditionFailed", 412, "complete_multipart_upload", **at, **one, IfMatch='"other"')
check("InvalidRequest", 400, "complete_multipart_upload", **at, **one, MpuObjectSize=7)
check("InvalidStorageClass", 400, "create_multipart_upload", Bucket=B, Key="c", StorageClass="LUKEWARM")
check("InvalidRequest", 400, "create_multipart_upload", Bucket=B, Key="c", ChecksumAlgorithm="SUM")

# Locks.
check("InvalidBucketState", 409, "put_object_lock_configuration", Bucket=B, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"})
check("InvalidBucketState", 409, "put_bucket_versioning", Bucket=L, VersioningConfiguration={"Status": "Suspended"})
check("InvalidRequest", 400, "put_object_retention", Bucket=B, Key="k", Retention={"Mode": "GOVERNANCE", "RetainUntilDate": LATER})
check("InvalidRequest", 400, "get_object_retention", Bucket=B, Key="k")
check("InvalidRequest", 400, "get_object_legal_hold", Bucket=B, Key="k")
check("InvalidRequest", 400, "put_object_legal_hold", Bucket=B, Key="k", LegalHold={"Status": "ON"})
check("NoSuchObjectLockConfiguration", 404, "get_object_legal_hold", Bucket=L, Key="free")
check("MalformedXML", 400, "put_object_legal_hold", Bucket=L, Key="free", LegalHold={"Status": "MAYBE"})
check("InvalidArgument", 400, "put_object_retention", Bucket=L, Key="free", Retention={"Mode": "GOVERNANCE", "RetainUntilDate": EARLIER})
locked = s3.put_object(Bucket=L, Key="held", Body=b"", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=LATER)["VersionId"]
check("AccessDenied", 403, "delete_object", Bucket=L, Key="held", VersionId=locked)
check("AccessDenied", 403, "put_object_retention", Bucket=L, Key="held", VersionId=locked, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": LATER - datetime.timedelta(hours=1)})
check("MalformedXML", 400, "put_object_lock_configuration", Bucket=L, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1, "Years": 1}}})

# Settings.
check("MalformedPolicy", 400, "put_bucket_policy", Bucket=B, Policy="{}")
check("MalformedPolicy", 400, "put_bucket_policy", Bucket=B, Policy="nonsense")
check("MalformedXML", 400, "put_bucket_versioning", Bucket=B, VersioningConfiguration={"Status": "Perhaps"})
check("MalformedXML", 400, "put_bucket_cors", Bucket=B, CORSConfiguration={"CORSRules": []})
check("InvalidRequest", 400, "put_bucket_cors", Bucket=B, CORSConfiguration={"CORSRules": [{"AllowedMethods": ["FETCH"], "AllowedOrigins": ["*"]}]})
check("MalformedXML", 400, "put_bucket_lifecycle_configuration", Bucket=B, LifecycleConfiguration={"Rules": []})
check("InvalidArgument", 400, "put_bucket_lifecycle_configuration", Bucket=B, LifecycleConfiguration={"Rules": [{"Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 0}}]})
check("InvalidRequest", 400, "put_bucket_lifecycle_configuration", Bucket=B, LifecycleConfiguration={"Rules": [{"Status": "Enabled", "Filter": {"Prefix": ""}}]})
check("InvalidArgument", 400, "put_bucket_website", Bucket=B, WebsiteConfiguration={"IndexDocument": {"Suffix": "a/b"}})
check("InvalidTag", 400, "put_bucket_tagging", Bucket=B, Tagging={"TagSet": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]})
check("InvalidArgument", 400, "put_bucket_notification_configuration", Bucket=B, NotificationConfiguration={"QueueConfigurations": [{"QueueArn": "nonsense", "Events": ["s3:ObjectCreated:*"]}]})
check("InvalidArgument", 400, "put_bucket_notification_configuration", Bucket=B, NotificationConfiguration={"EventBridgeConfiguration": {}, "QueueConfigurations": [{"QueueArn": "arn:aws:sqs:us-east-1:000000000000:none", "Events": ["s3:ObjectPainted:*"]}]})
check("AccessControlListNotSupported", 400, "put_object_acl", Bucket=V, Key="k", ACL="public-read")
check("AccessControlListNotSupported", 400, "put_bucket_acl", Bucket=V, ACL="public-read")
check("InvalidBucketAclWithObjectOwnership", 400, "create_bucket", Bucket="errors-acl", ACL="public-read", ObjectOwnership="BucketOwnerEnforced")
check("AccessDenied", 403, "put_bucket_policy", Bucket=V, Policy=json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{V}/*"}]}))

# Callers.
stranger = boto3.client("s3", config=PATHS, aws_access_key_id="AKIANOBODY", aws_secret_access_key="x")
check("InvalidAccessKeyId", 403, "list_buckets", client=stranger)
check("SignatureDoesNotMatch", 403, "list_buckets", client=boto3.client("s3", config=PATHS, aws_secret_access_key="wrong", aws_access_key_id="test"))
iam = boto3.client("iam")
iam.create_user(UserName="errors")
key = iam.create_access_key(UserName="errors")["AccessKey"]
powerless = boto3.client("s3", config=PATHS, aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
for call, more in {
    "list_buckets": {}, "create_bucket": {"Bucket": "errors-mine"}, "delete_bucket": {"Bucket": B}, "list_objects_v2": {"Bucket": B},
    "get_object": {"Bucket": B, "Key": "k"}, "put_object": {"Bucket": B, "Key": "k", "Body": b""}, "delete_object": {"Bucket": B, "Key": "k"},
    "copy_object": {"Bucket": B, "Key": "c", "CopySource": source}, "create_multipart_upload": {"Bucket": B, "Key": "c"},
    "put_bucket_policy": {"Bucket": B, "Policy": "{}"}, "get_bucket_acl": {"Bucket": B}, "put_object_tagging": {"Bucket": B, "Key": "k", "Tagging": {"TagSet": []}},
}.items():
    check("AccessDenied", 403, call, client=powerless, **more)
check("403", 403, "head_object", client=powerless, Bucket=B, Key="k")
check("403", 403, "head_bucket", client=powerless, Bucket=B)


def fetch(expect, url, data=None, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        urllib.request.urlopen(urllib.request.Request(url, data=data, headers=headers, method="PUT" if data is not None else "GET"))
        seen = 200
    except HTTPError as error:
        seen = f"{error.code} " + error.read().decode().partition("<Code>")[2].partition("</Code>")[0]
    if seen != expect:
        failures.append(f"{url}: wanted {expect}, got {seen}")


endpoint = os.environ["AWS_ENDPOINT_URL"]
fetch("403 AccessDenied", f"{endpoint}/{B}/k")
address = s3.generate_presigned_url("get_object", {"Bucket": B, "Key": "k"}, ExpiresIn=60)
fetch(200, address)
fetch("403 SignatureDoesNotMatch", address.replace(f"/{B}/k", f"/{B}/parts"))
fetch("400 AuthorizationQueryParametersError", address.replace("X-Amz-Expires=60", "X-Amz-Expires=604801"))
# Requests as no client makes them: a header that says nothing, bytes that are not the signed ones, too long a document.
fetch("400 AuthorizationHeaderMalformed", f"{endpoint}/{B}/k", Authorization="AWS4-HMAC-SHA256 Credential=test/20261126/us-east-1/s3/aws4_request, SignedHeaders=host")
put = s3.generate_presigned_url("put_object", {"Bucket": B, "Key": "signed"}, ExpiresIn=60)
fetch("400 XAmzContentSHA256Mismatch", put, data=b"other", x_amz_content_sha256="0" * 64)
tagging = s3.generate_presigned_url("put_bucket_tagging", {"Bucket": B}, ExpiresIn=60)
fetch("400 MissingRequestBodyError", tagging, data=b"")
fetch("400 MalformedXML", tagging, data=b"<Tagging><TagSet>")
at = urllib.parse.urlparse(tagging)
long = http.client.HTTPConnection(at.netloc)
long.putrequest("PUT", f"{at.path}?{at.query}")
long.putheader("content-length", str(5 * 2**20))
long.endheaders()
answer = long.getresponse()
assert answer.status == 400 and b"MaxMessageLengthExceeded" in answer.read(), answer.status
# A session's key with another token, or without one.
other = boto3.client("sts").assume_role(RoleArn=iam.create_role(RoleName="errors-token", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}))["Role"]["Arn"], RoleSessionName="token")["Credentials"]
for token, code in {"nonsense": "InvalidToken", None: "InvalidAccessKeyId"}.items():
    torn = boto3.client("s3", config=PATHS, aws_access_key_id=other["AccessKeyId"], aws_secret_access_key=other["SecretAccessKey"], aws_session_token=token)
    check(code, 400 if token else 403, "list_buckets", client=torn)
# Not built, and said to be.
for call, more in {
    "list_bucket_analytics_configurations": {"Bucket": B}, "get_bucket_replication": {"Bucket": B}, "restore_object": {"Bucket": B, "Key": "k", "RestoreRequest": {"Days": 1}},
    "select_object_content": {"Bucket": B, "Key": "k", "Expression": "", "ExpressionType": "SQL", "InputSerialization": {"CSV": {}}, "OutputSerialization": {"CSV": {}}},
    "rename_object": {"Bucket": B, "Key": "k", "RenameSource": "x"}, "get_object_torrent": {"Bucket": B, "Key": "k"},
}.items():
    check("NotImplemented", 501, call, **more)

# A role's form names its session in a field, is judged on the object's key, and holds as long as its policy says.
trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}
role = iam.create_role(RoleName="errors", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{B}/form/*"}]}
iam.put_role_policy(RoleName="errors", PolicyName="put", PolicyDocument=json.dumps(allowed))
taken = boto3.client("sts").assume_role(RoleArn=role, RoleSessionName="form")["Credentials"]
poster = boto3.client("s3", config=PATHS, aws_access_key_id=taken["AccessKeyId"], aws_secret_access_key=taken["SecretAccessKey"], aws_session_token=taken["SessionToken"])


def post(expect, key, content=b"posted", change=lambda fields: fields, **options):
    form = poster.generate_presigned_post(B, key, **options)
    parts = [f'--edge\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in change(form["fields"]).items()]
    file = '--edge\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
    body = "".join([*parts, file]).encode() + content + b"\r\n--edge--\r\n"
    request = urllib.request.Request(form["url"], data=body, method="POST", headers={"content-type": "multipart/form-data; boundary=edge"})
    try:
        seen = str(urllib.request.urlopen(request).status)
    except HTTPError as error:
        seen = f"{error.code} " + error.read().decode().partition("<Code>")[2].partition("</Code>")[0]
    if seen != expect:
        failures.append(f"form for {key}: wanted {expect}, got {seen}")


post("204", "form/a")
assert s3.get_object(Bucket=B, Key="form/a")["Body"].read() == b"posted"
post("403 AccessDenied", "elsewhere/a")
post("403 InvalidAccessKeyId", "form/b", change=lambda fields: {name: value for name, value in fields.items() if name != "x-amz-security-token"})
post("403 AccessDenied", "form/b", change=lambda fields: {**fields, "key": "form/c"})
post("403 SignatureDoesNotMatch", "form/b", change=lambda fields: {**fields, "x-amz-signature": "0" * 64})
post("400 EntityTooLarge", "form/b", Conditions=[["content-length-range", 1, 3]])
post("400 EntityTooSmall", "form/b", Conditions=[["content-length-range", 10, 30]])
post("403 AccessDenied", "form/b", ExpiresIn=-1)
assert not failures, "\n" + "\n".join(failures)
