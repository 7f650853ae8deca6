"""boto3 against S3: buckets, objects, conditions, listings, uploads in parts, presigned requests, checksums, errors."""
import hashlib
import io
import os
import random
import urllib.request

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

s3 = boto3.client("s3", config=Config(signature_version="s3v4", s3={"addressing_style": "path"}))


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, (code, error.response)
        return
    raise AssertionError(f"{code} was expected")


B = "first-bucket"
s3.create_bucket(Bucket=B)
s3.create_bucket(Bucket=B)
s3.head_bucket(Bucket=B)
assert [b["Name"] for b in s3.list_buckets()["Buckets"]] == [B]
assert s3.get_bucket_location(Bucket=B)["LocationConstraint"] is None
refused("404", s3.head_bucket, Bucket="nowhere-to-be-found")
refused("NoSuchBucket", s3.put_object, Bucket="nowhere-to-be-found", Key="k", Body=b"x")
refused("NoSuchKey", s3.get_object, Bucket=B, Key="missing")
refused("404", s3.head_object, Bucket=B, Key="missing")

randomness = random.Random(7)
for size in (0, 1, 16 * 1024, 16 * 1024 + 1, 200_000, 7 * 1024 * 1024 + 3):
    body = randomness.randbytes(size)
    put = s3.put_object(Bucket=B, Key="one", Body=body, ContentType="text/x", Metadata={"a": "b"}, CacheControl="no-cache")
    assert put["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    got = s3.get_object(Bucket=B, Key="one")
    assert got["Body"].read() == body and got["ContentType"] == "text/x" and got["Metadata"] == {"a": "b"}, got
    assert got["CacheControl"] == "no-cache" and got["ContentLength"] == size
    if size > 10:
        part = s3.get_object(Bucket=B, Key="one", Range="bytes=3-9")
        assert part["Body"].read() == body[3:10] and part["ContentRange"] == f"bytes 3-9/{size}"
        assert part["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert s3.get_object(Bucket=B, Key="one", Range="bytes=-4")["Body"].read() == body[-4:]
    refused("InvalidRange", s3.get_object, Bucket=B, Key="one", Range=f"bytes={size}-")

for algorithm in ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"):
    if algorithm in ("CRC32C", "CRC64NVME"):
        continue  # boto3 computes these with a native library only.
    put = s3.put_object(Bucket=B, Key="sum", Body=b"sum" * 9000, ChecksumAlgorithm=algorithm)
    head = s3.head_object(Bucket=B, Key="sum", ChecksumMode="ENABLED")
    assert head[f"Checksum{algorithm}"] == put[f"Checksum{algorithm}"] and head["ChecksumType"] == "FULL_OBJECT"
s3.put_object(Bucket=B, Key="sum", Body=b"123456789", ChecksumCRC64NVME="rosUhgp5mIg=")
s3.put_object(Bucket=B, Key="sum", Body=b"123456789", ChecksumCRC32C="4waSgw==")
refused("BadDigest", s3.put_object, Bucket=B, Key="bad", Body=b"x", ChecksumCRC32C="4waSgw==")
refused("BadDigest", s3.put_object, Bucket=B, Key="bad", Body=b"x" * 50_000, ContentMD5="1B2M2Y8AsgTpgAmY7PhCfg==")
refused("InvalidDigest", s3.put_object, Bucket=B, Key="bad", Body=b"x", ContentMD5="nonsense")
refused("404", s3.head_object, Bucket=B, Key="bad")

# Conditions.
s3.put_object(Bucket=B, Key="new", Body=b"1", IfNoneMatch="*")
refused("PreconditionFailed", s3.put_object, Bucket=B, Key="new", Body=b"2", IfNoneMatch="*")
tag = s3.head_object(Bucket=B, Key="new")["ETag"]
s3.put_object(Bucket=B, Key="new", Body=b"3", IfMatch=tag)
refused("PreconditionFailed", s3.put_object, Bucket=B, Key="new", Body=b"4", IfMatch=tag)
refused("PreconditionFailed", s3.get_object, Bucket=B, Key="new", IfMatch=tag)
current = s3.head_object(Bucket=B, Key="new")
refused("304", s3.get_object, Bucket=B, Key="new", IfNoneMatch=current["ETag"])
refused("304", s3.get_object, Bucket=B, Key="new", IfModifiedSince=current["LastModified"])

# Copies.
s3.copy_object(Bucket=B, Key="copied", CopySource={"Bucket": B, "Key": "one"})
assert s3.get_object(Bucket=B, Key="copied")["Metadata"] == {"a": "b"}
s3.copy_object(Bucket=B, Key="one", CopySource=f"{B}/one", MetadataDirective="REPLACE", Metadata={"c": "d"})
assert s3.head_object(Bucket=B, Key="one")["Metadata"] == {"c": "d"}
refused("InvalidRequest", s3.copy_object, Bucket=B, Key="one", CopySource=f"{B}/one")
refused("NoSuchKey", s3.copy_object, Bucket=B, Key="x", CopySource=f"{B}/missing")

# Awkward keys come back as they went, in order.
A = "awkward-keys"
s3.create_bucket(Bucket=A)
awkward = ["a b", "a+b", "a%2Fb", "//", "a//b", "ä/ö", "日本", "a&b<c>'\"", "x" * 1024, "a\nb", "..", "a?b=c", "a#b", "tail/", "🦀", "~*!()"]
for key in awkward:
    s3.put_object(Bucket=A, Key=key, Body=key.encode())
for key in awkward:
    assert s3.get_object(Bucket=A, Key=key)["Body"].read() == key.encode(), key
for paged in ("list_objects_v2", "list_objects"):
    pages = s3.get_paginator(paged).paginate(Bucket=A, PaginationConfig={"PageSize": 3})
    assert [o["Key"] for p in pages for o in p["Contents"]] == sorted(awkward, key=str.encode)
refused("KeyTooLongError", s3.put_object, Bucket=A, Key="x" * 1025, Body=b"")
refused("BucketNotEmpty", s3.delete_bucket, Bucket=A)
gone = s3.delete_objects(Bucket=A, Delete={"Objects": [{"Key": k} for k in awkward if k != "a\nb"]})
assert len(gone["Deleted"]) == len(awkward) - 1 and "Errors" not in gone
s3.delete_object(Bucket=A, Key="a\nb")
s3.delete_object(Bucket=A, Key="never-was")
s3.delete_bucket(Bucket=A)
refused("NoSuchBucket", s3.delete_bucket, Bucket=A)

# Prefixes and delimiters.
for n in range(25):
    s3.put_object(Bucket=B, Key=f"tree/{n % 5}/{n:02}", Body=b"")
found, pages = [], 0
for page in s3.get_paginator("list_objects_v2").paginate(Bucket=B, Prefix="tree/", Delimiter="/", PaginationConfig={"PageSize": 2}):
    found += [p["Prefix"] for p in page.get("CommonPrefixes", [])]
    pages += 1
assert found == [f"tree/{n}/" for n in range(5)] and pages == 3, (found, pages)
listed = s3.list_objects_v2(Bucket=B, Prefix="tree/1/", StartAfter="tree/1/06", MaxKeys=2)
assert [o["Key"] for o in listed["Contents"]] == ["tree/1/11", "tree/1/16"] and listed["IsTruncated"]
assert s3.list_objects_v2(Bucket=B, Prefix="none")["KeyCount"] == 0

# Uploads in parts.
body = randomness.randbytes(18 * 1024 * 1024 + 11)
config = TransferConfig(multipart_threshold=5 * 1024 * 1024, multipart_chunksize=5 * 1024 * 1024, max_concurrency=4)
s3.upload_fileobj(io.BytesIO(body), B, "large", Config=config)
head = s3.head_object(Bucket=B, Key="large")
assert head["ContentLength"] == len(body) and head["ETag"].endswith('-4"'), head
got = io.BytesIO()
s3.download_fileobj(B, "large", got, Config=config)
assert got.getvalue() == body
edge = 5 * 1024 * 1024
assert s3.get_object(Bucket=B, Key="large", Range=f"bytes={edge - 2}-{edge + 1}")["Body"].read() == body[edge - 2 : edge + 2]
s3.copy({"Bucket": B, "Key": "large"}, B, "large-copy", Config=config)
assert s3.get_object(Bucket=B, Key="large-copy")["Body"].read() == body

upload = s3.create_multipart_upload(Bucket=B, Key="parts")["UploadId"]
assert [u["UploadId"] for u in s3.list_multipart_uploads(Bucket=B)["Uploads"]] == [upload]
tags = {}
for number in (1, 2, 3):
    tags[number] = s3.upload_part(Bucket=B, Key="parts", UploadId=upload, PartNumber=number, Body=b"s" * number)["ETag"]
assert [p["Size"] for p in s3.list_parts(Bucket=B, Key="parts", UploadId=upload)["Parts"]] == [1, 2, 3]


def complete(code, *parts):
    chosen = {"Parts": [{"PartNumber": n, "ETag": t} for n, t in parts]}
    refused(code, s3.complete_multipart_upload, Bucket=B, Key="parts", UploadId=upload, MultipartUpload=chosen)


complete("EntityTooSmall", (1, tags[1]), (2, tags[2]))
complete("InvalidPart", (1, tags[2]))
complete("InvalidPart", (9, tags[1]))
complete("InvalidPartOrder", (2, tags[2]), (1, tags[1]))
s3.complete_multipart_upload(Bucket=B, Key="parts", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 2, "ETag": tags[2]}]})
assert s3.get_object(Bucket=B, Key="parts")["Body"].read() == b"ss"
complete("NoSuchUpload", (1, tags[1]))
upload = s3.create_multipart_upload(Bucket=B, Key="parts")["UploadId"]
s3.upload_part(Bucket=B, Key="parts", UploadId=upload, PartNumber=1, Body=b"x")
s3.abort_multipart_upload(Bucket=B, Key="parts", UploadId=upload)
refused("NoSuchUpload", s3.upload_part, Bucket=B, Key="parts", UploadId=upload, PartNumber=1, Body=b"x")
assert s3.get_object(Bucket=B, Key="parts")["Body"].read() == b"ss"

# Presigned requests, and those that are not signed or signed wrongly.
url = s3.generate_presigned_url("put_object", Params={"Bucket": B, "Key": "presigned"})
urllib.request.urlopen(urllib.request.Request(url, data=b"by url", method="PUT")).read()
url = s3.generate_presigned_url("get_object", Params={"Bucket": B, "Key": "presigned"})
assert urllib.request.urlopen(url).read() == b"by url"
try:
    urllib.request.urlopen(url[:-1] + ("0" if url[-1] != "0" else "1"))
    raise AssertionError("a wrong signature was taken")
except urllib.error.HTTPError as error:
    assert error.code == 403 and b"SignatureDoesNotMatch" in error.read()
post = s3.generate_presigned_post(B, "posted-${filename}")
form = b""
for name, value in post["fields"].items():
    form += f'--edge\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
form += b'--edge\r\nContent-Disposition: form-data; name="file"; filename="f.txt"\r\n\r\nfrom a form\r\n--edge--\r\n'
urllib.request.urlopen(urllib.request.Request(post["url"], data=form, headers={"Content-Type": "multipart/form-data; boundary=edge"})).read()
posted = [o["Key"] for o in s3.list_objects_v2(Bucket=B, Prefix="posted")["Contents"]]
assert s3.get_object(Bucket=B, Key=posted[0])["Body"].read() == b"from a form", posted
stranger = boto3.client("s3", aws_access_key_id="nobody", aws_secret_access_key="x", config=Config(s3={"addressing_style": "path"}))
refused("InvalidAccessKeyId", stranger.list_buckets)
refused("NotImplemented", s3.list_bucket_metrics_configurations, Bucket=B)
refused("AccessControlListNotSupported", s3.put_object, Bucket=B, Key="acl", Body=b"", ACL="public-read")
# A key of KMS is kept by its name.
sealed = s3.put_object(Bucket=B, Key="kms", Body=b"", ServerSideEncryption="aws:kms", SSEKMSKeyId="alias/mine")
shown = s3.head_object(Bucket=B, Key="kms")
assert [(x["ServerSideEncryption"], x["SSEKMSKeyId"]) for x in (sealed, shown)] == [("aws:kms", "alias/mine")] * 2, shown
s3.delete_object(Bucket=B, Key="kms")
refused("InvalidArgument", s3.put_object, Bucket=B, Key="kms", Body=b"", SSEKMSKeyId="alias/mine")
refused("NotImplemented", s3.put_object, Bucket=B, Key="kms", Body=b"", ServerSideEncryption="aws:fsx")
