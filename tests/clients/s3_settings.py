"""boto3 and plain HTTP against what is set of a bucket: policies, blocks, ACLs, CORS, websites, lifecycle, and the rest."""
import json
import os
import urllib.error
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

s3 = boto3.client("s3", config=Config(signature_version="s3v4", s3={"addressing_style": "path"}))
endpoint = os.environ["AWS_ENDPOINT_URL"]


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, (code, error.response)
        return
    raise AssertionError(f"{code} was expected")


class NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def ask(path, method="GET", host=None, body=None, **headers):
    """An unsigned request: status, headers, body."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    if host:
        headers["Host"] = host
    request = urllib.request.Request(endpoint + path, data=body, method=method, headers=headers)
    try:
        answer = urllib.request.build_opener(NoRedirects).open(request)
    except urllib.error.HTTPError as error:
        answer = error
    return answer.status, answer.headers, answer.read()


B = "settings-of-a-bucket"
s3.create_bucket(Bucket=B)
s3.put_object(Bucket=B, Key="open/a.txt", Body=b"for all", ContentType="text/plain")
s3.put_object(Bucket=B, Key="shut.txt", Body=b"for some")

# Policies, and the block that is there from the start.
public = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{B}/open/*"}]})
refused("NoSuchBucketPolicy", s3.get_bucket_policy, Bucket=B)
block = s3.get_public_access_block(Bucket=B)["PublicAccessBlockConfiguration"]
assert all(block.values()) and len(block) == 4
refused("AccessDenied", s3.put_bucket_policy, Bucket=B, Policy=public)
refused("MalformedPolicy", s3.put_bucket_policy, Bucket=B, Policy="{}")
refused("MalformedPolicy", s3.put_bucket_policy, Bucket=B, Policy=public.replace(B, "another"))
assert ask(f"/{B}/open/a.txt")[0] == 403
s3.delete_public_access_block(Bucket=B)
refused("NoSuchPublicAccessBlockConfiguration", s3.get_public_access_block, Bucket=B)
s3.put_bucket_policy(Bucket=B, Policy=public)
assert json.loads(s3.get_bucket_policy(Bucket=B)["Policy"]) == json.loads(public)
assert s3.get_bucket_policy_status(Bucket=B)["PolicyStatus"]["IsPublic"]
status, headers, body = ask(f"/{B}/open/a.txt")
assert (status, body, headers["content-type"]) == (200, b"for all", "text/plain"), (status, body)
assert ask("/open/a.txt", host=f"{B}.s3.localhost")[2] == b"for all"
assert ask(f"/{B}/shut.txt")[0] == 403 and b"AccessDenied" in ask(f"/{B}/shut.txt")[2]
assert ask(f"/{B}/open/a.txt", method="DELETE")[0] == 403 and ask(f"/{B}/open/b.txt", method="PUT", body=b"")[0] == 403
assert ask(f"/{B}?list-type=2")[0] == 403 and ask("/no-such-bucket-here/k")[0] == 404
s3.put_public_access_block(Bucket=B, PublicAccessBlockConfiguration={"RestrictPublicBuckets": True})
assert ask(f"/{B}/open/a.txt")[0] == 403, "a block holds a public policy back"
s3.put_public_access_block(Bucket=B, PublicAccessBlockConfiguration={})
denying = json.dumps({"Version": "2012-10-17", "Statement": json.loads(public)["Statement"] + [{"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": f"arn:aws:s3:::{B}/open/secret*"}]})
s3.put_bucket_policy(Bucket=B, Policy=denying)
s3.put_object(Bucket=B, Key="open/secret", Body=b"")
assert ask(f"/{B}/open/a.txt")[0] == 200 and ask(f"/{B}/open/secret")[0] == 403

# A role may what its policies or the bucket's allow.
iam, sts = boto3.client("iam"), boto3.client("sts")
trust = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]})
arn = iam.create_role(RoleName="reader", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
keys = sts.assume_role(RoleArn=arn, RoleSessionName="reading")["Credentials"]
role = boto3.client("s3", aws_access_key_id=keys["AccessKeyId"], aws_secret_access_key=keys["SecretAccessKey"], aws_session_token=keys["SessionToken"], config=Config(s3={"addressing_style": "path"}))
refused("AccessDenied", role.get_object, Bucket=B, Key="shut.txt")
statement = {"Effect": "Allow", "Principal": {"AWS": arn}, "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": [f"arn:aws:s3:::{B}", f"arn:aws:s3:::{B}/*"], "Condition": {"StringEqualsIfExists": {"s3:prefix": "open/"}}}
s3.put_bucket_policy(Bucket=B, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
assert role.get_object(Bucket=B, Key="shut.txt")["Body"].read() == b"for some"
assert role.list_objects_v2(Bucket=B, Prefix="open/")["KeyCount"] == 2
refused("AccessDenied", role.list_objects_v2, Bucket=B, Prefix="")
refused("AccessDenied", role.put_object, Bucket=B, Key="shut.txt", Body=b"")
assert not s3.get_bucket_policy_status(Bucket=B)["PolicyStatus"]["IsPublic"]
s3.delete_bucket_policy(Bucket=B)
refused("AccessDenied", role.get_object, Bucket=B, Key="shut.txt")

# ACLs: none, until the bucket's ownership has some.
assert [r["ObjectOwnership"] for r in s3.get_bucket_ownership_controls(Bucket=B)["OwnershipControls"]["Rules"]] == ["BucketOwnerEnforced"]
refused("AccessControlListNotSupported", s3.put_object_acl, Bucket=B, Key="shut.txt", ACL="public-read")
assert [g["Permission"] for g in s3.get_bucket_acl(Bucket=B)["Grants"]] == ["FULL_CONTROL"]
s3.put_object(Bucket=B, Key="mine", Body=b"", ACL="bucket-owner-full-control")
s3.put_bucket_ownership_controls(Bucket=B, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]})
s3.put_object_acl(Bucket=B, Key="shut.txt", ACL="public-read")
assert len(s3.get_object_acl(Bucket=B, Key="shut.txt")["Grants"]) == 2 and ask(f"/{B}/shut.txt")[0] == 200
granted = s3.get_object_acl(Bucket=B, Key="shut.txt")
s3.put_object_acl(Bucket=B, Key="mine", AccessControlPolicy={"Grants": granted["Grants"], "Owner": granted["Owner"]})
assert ask(f"/{B}/mine")[0] == 200 and ask(f"/{B}/open/a.txt")[0] == 403
s3.put_public_access_block(Bucket=B, PublicAccessBlockConfiguration={"IgnorePublicAcls": True, "BlockPublicAcls": True})
assert ask(f"/{B}/shut.txt")[0] == 403
refused("AccessDenied", s3.put_bucket_acl, Bucket=B, ACL="public-read")
s3.put_public_access_block(Bucket=B, PublicAccessBlockConfiguration={})
s3.put_bucket_acl(Bucket=B, ACL="public-read")
assert ask(f"/{B}?list-type=2")[0] == 200
s3.put_bucket_acl(Bucket=B, ACL="private")
s3.delete_bucket_ownership_controls(Bucket=B)
refused("OwnershipControlsNotFoundError", s3.get_bucket_ownership_controls, Bucket=B)

# CORS: the preflight a browser sends, and what it sees of answers.
refused("NoSuchCORSConfiguration", s3.get_bucket_cors, Bucket=B)
preflight = {"Origin": "https://app.example.com", "Access_Control_Request_Method": "PUT", "Access_Control_Request_Headers": "content-type,x-amz-date"}
assert ask(f"/{B}/k", method="OPTIONS", **preflight)[0] == 403
rules = [{"AllowedOrigins": ["https://*.example.com"], "AllowedMethods": ["PUT", "GET"], "AllowedHeaders": ["*"], "ExposeHeaders": ["ETag"], "MaxAgeSeconds": 60}]
s3.put_bucket_cors(Bucket=B, CORSConfiguration={"CORSRules": rules})
assert s3.get_bucket_cors(Bucket=B)["CORSRules"] == rules
status, headers, _ = ask(f"/{B}/k", method="OPTIONS", **preflight)
assert status == 200 and headers["access-control-allow-origin"] == "https://app.example.com", headers
assert headers["access-control-allow-methods"] == "PUT, GET" and headers["access-control-max-age"] == "60"
assert headers["access-control-allow-headers"] == "content-type, x-amz-date"
assert ask("/k", method="OPTIONS", host=f"{B}.s3.localhost", **preflight)[0] == 200
assert ask(f"/{B}/k", method="OPTIONS", **{**preflight, "Origin": "https://evil.test"})[0] == 403
url = s3.generate_presigned_url("get_object", Params={"Bucket": B, "Key": "shut.txt"})[len(endpoint):]
status, headers, _ = ask(url, Origin="https://app.example.com")
assert status == 200 and headers["access-control-expose-headers"] == "ETag"
assert "access-control-allow-origin" not in ask(url, Origin="https://evil.test")[1]
refused("InvalidRequest", s3.put_bucket_cors, Bucket=B, CORSConfiguration={"CORSRules": [{**rules[0], "AllowedMethods": ["PATCH"]}]})
s3.delete_bucket_cors(Bucket=B)
refused("NoSuchCORSConfiguration", s3.get_bucket_cors, Bucket=B)

# A website.
W = "www.example.test"
site = f"{W}.s3-website-us-east-1.localhost"
s3.create_bucket(Bucket=W)
refused("NoSuchWebsiteConfiguration", s3.get_bucket_website, Bucket=W)
assert ask("/", host=site)[0] == 404
configuration = {
    "IndexDocument": {"Suffix": "index.html"},
    "ErrorDocument": {"Key": "error.html"},
    "RoutingRules": [
        {"Condition": {"KeyPrefixEquals": "old/"}, "Redirect": {"ReplaceKeyPrefixWith": "new/"}},
        {"Condition": {"HttpErrorCodeReturnedEquals": "404", "KeyPrefixEquals": "lost/"}, "Redirect": {"HostName": "other.test", "HttpRedirectCode": "302", "Protocol": "https", "ReplaceKeyWith": "found"}},
    ],
}
s3.put_bucket_website(Bucket=W, WebsiteConfiguration=configuration)
shown = s3.get_bucket_website(Bucket=W)
assert shown["IndexDocument"] == {"Suffix": "index.html"} and len(shown["RoutingRules"]) == 2
for key, text in (("index.html", b"home"), ("docs/index.html", b"docs"), ("error.html", b"sorry"), ("a b.html", b"spaced")):
    s3.put_object(Bucket=W, Key=key, Body=text, ContentType="text/html")
s3.put_object(Bucket=W, Key="moved", Body=b"", WebsiteRedirectLocation="/docs/")
assert ask("/", host=site)[0] == 403, "nobody may read it yet"
s3.delete_public_access_block(Bucket=W)
everyone = {"Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": [f"arn:aws:s3:::{W}/*", f"arn:aws:s3:::{W}"]}
s3.put_bucket_policy(Bucket=W, Policy=json.dumps({"Version": "2012-10-17", "Statement": [everyone]}))
status, headers, body = ask("/", host=site)
assert (status, body, headers["content-type"]) == (200, b"home", "text/html"), (status, body)
assert ask("/docs/", host=site)[2] == b"docs" and ask("/a%20b.html", host=site)[2] == b"spaced"
assert ask("/", host=site.replace("-us-east-1", ".us-east-1"))[2] == b"home"
assert ask("/", method="HEAD", host=site)[2] == b"" and ask("/", method="POST", host=site, body=b"")[0] == 405
status, headers, _ = ask("/docs", host=site)
assert (status, headers["location"]) == (302, "/docs/")
assert ask("/missing", host=site)[::2] == (404, b"sorry")
assert ask("/moved", host=site)[1]["location"] == "/docs/"
status, headers, _ = ask("/old/page", host=site)
assert status == 301 and headers["location"] == f"http://{site}/new/page", headers["location"]
status, headers, _ = ask("/lost/page", host=site)
assert status == 302 and headers["location"] == "https://other.test/found"
etag = ask("/", host=site)[1]["etag"]
assert ask("/", host=site, If_None_Match=etag)[0] == 304
s3.put_bucket_website(Bucket=W, WebsiteConfiguration={"RedirectAllRequestsTo": {"HostName": "new.test", "Protocol": "https"}})
assert ask("/a?b=c", host=site)[1]["location"] == "https://new.test/a?b=c"
refused("InvalidArgument", s3.put_bucket_website, Bucket=W, WebsiteConfiguration={"IndexDocument": {"Suffix": "a/b"}})
s3.delete_bucket_website(Bucket=W)
assert ask("/", host=site)[0] == 404

# The rest of what is set.
kind = s3.get_bucket_encryption(Bucket=B)["ServerSideEncryptionConfiguration"]["Rules"][0]
assert kind["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
s3.put_bucket_encryption(Bucket=B, ServerSideEncryptionConfiguration={"Rules": [kind]})
kms = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]}
s3.put_bucket_encryption(Bucket=B, ServerSideEncryptionConfiguration=kms)
kept = s3.get_bucket_encryption(Bucket=B)["ServerSideEncryptionConfiguration"]["Rules"][0]
assert kept["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms", kept
s3.delete_bucket_encryption(Bucket=B)
refused("NoSuchLifecycleConfiguration", s3.get_bucket_lifecycle_configuration, Bucket=B)
rules = [
    {"ID": "tidy", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 1}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2}},
    {"ID": "old", "Status": "Disabled", "Filter": {"And": {"Prefix": "x", "Tags": [{"Key": "a", "Value": "b"}]}}, "NoncurrentVersionExpiration": {"NoncurrentDays": 3}},
]
s3.put_bucket_lifecycle_configuration(Bucket=B, LifecycleConfiguration={"Rules": rules})
assert s3.get_bucket_lifecycle_configuration(Bucket=B)["Rules"] == rules
refused("InvalidArgument", s3.put_bucket_lifecycle_configuration, Bucket=B, LifecycleConfiguration={"Rules": [rules[0], rules[0]]})
refused("InvalidRequest", s3.put_bucket_lifecycle_configuration, Bucket=B, LifecycleConfiguration={"Rules": [{"ID": "n", "Status": "Enabled", "Filter": {}}]})
refused("InvalidArgument", s3.put_bucket_lifecycle_configuration, Bucket=B, LifecycleConfiguration={"Rules": [{"Status": "Enabled", "Filter": {}, "Transitions": [{"Days": 1, "StorageClass": "STANDARD_IA"}]}]})
s3.delete_bucket_lifecycle(Bucket=B)
assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=B)
s3.put_bucket_logging(Bucket=B, BucketLoggingStatus={"LoggingEnabled": {"TargetBucket": W, "TargetPrefix": "logs/"}})
assert s3.get_bucket_logging(Bucket=B)["LoggingEnabled"]["TargetPrefix"] == "logs/"
assert s3.get_bucket_request_payment(Bucket=B)["Payer"] == "BucketOwner"
s3.put_bucket_request_payment(Bucket=B, RequestPaymentConfiguration={"Payer": "Requester"})
assert s3.get_bucket_request_payment(Bucket=B)["Payer"] == "Requester"
s3.put_bucket_accelerate_configuration(Bucket=B, AccelerateConfiguration={"Status": "Enabled"})
assert s3.get_bucket_accelerate_configuration(Bucket=B)["Status"] == "Enabled"
assert "QueueConfigurations" not in s3.get_bucket_notification_configuration(Bucket=B)

# Rights that no canned ACL says are refused, not passed over.
for call, more in (
    (s3.put_object, {"Key": "granted", "Body": b""}),
    (s3.create_multipart_upload, {"Key": "granted"}),
):
    refused("NotImplemented", call, Bucket=B, GrantRead='uri="http://acs.amazonaws.com/groups/global/AllUsers"', **more)
