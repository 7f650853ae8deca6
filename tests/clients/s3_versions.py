"""boto3 against S3's versions: markers, null versions, listings, locks, tags, attributes, parts by number."""
import datetime
import random

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

s3 = boto3.client("s3", config=Config(signature_version="s3v4", s3={"addressing_style": "path"}))


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, (code, error.response)
        return error.response
    raise AssertionError(f"{code} was expected")


def versioning(bucket, status):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == status


B = "versions-of-things"
s3.create_bucket(Bucket=B)
assert "Status" not in s3.get_bucket_versioning(Bucket=B)
refused("IllegalVersioningConfigurationException", s3.put_bucket_versioning, Bucket=B, VersioningConfiguration={})
# From before there were versions: the null version, with its bytes in the store and in a blob.
assert "VersionId" not in s3.put_object(Bucket=B, Key="k", Body=b"before")
s3.put_object(Bucket=B, Key="large", Body=b"b" * 100_000)
versioning(B, "Enabled")
one = s3.put_object(Bucket=B, Key="k", Body=b"one")["VersionId"]
two = s3.put_object(Bucket=B, Key="k", Body=b"two" * 30_000)["VersionId"]
s3.put_object(Bucket=B, Key="large", Body=b"l")
read = lambda key, **of: s3.get_object(Bucket=B, Key=key, **of)["Body"].read()
assert read("k") == b"two" * 30_000 and read("k", VersionId=one) == b"one" and read("k", VersionId="null") == b"before"
assert read("large", VersionId="null") == b"b" * 100_000
assert s3.head_object(Bucket=B, Key="k", VersionId=one)["VersionId"] == one
refused("NoSuchVersion", s3.get_object, Bucket=B, Key="k", VersionId="0" * 32)
refused("InvalidArgument", s3.get_object, Bucket=B, Key="k", VersionId="nonsense")

marker = s3.delete_object(Bucket=B, Key="k")
assert marker["DeleteMarker"] and marker["VersionId"]
hidden = refused("NoSuchKey", s3.get_object, Bucket=B, Key="k")
assert hidden["ResponseMetadata"]["HTTPHeaders"]["x-amz-delete-marker"] == "true", hidden
refused("405", s3.head_object, Bucket=B, Key="k", VersionId=marker["VersionId"])
refused("MethodNotAllowed", s3.get_object, Bucket=B, Key="k", VersionId=marker["VersionId"])
assert [o["Key"] for o in s3.list_objects_v2(Bucket=B)["Contents"]] == ["large"]
listed = s3.list_object_versions(Bucket=B, Prefix="k")
assert [(v["VersionId"], v["IsLatest"]) for v in listed["Versions"]] == [(two, False), (one, False), ("null", False)]
assert [(m["VersionId"], m["IsLatest"]) for m in listed["DeleteMarkers"]] == [(marker["VersionId"], True)]
# Taking the marker off brings back what it hid.
gone = s3.delete_object(Bucket=B, Key="k", VersionId=marker["VersionId"])
assert gone["DeleteMarker"] and gone["VersionId"] == marker["VersionId"] and read("k") == b"two" * 30_000
s3.delete_object(Bucket=B, Key="k", VersionId=two)
assert read("k") == b"one"
copied = s3.copy_object(Bucket=B, Key="copy", CopySource={"Bucket": B, "Key": "k", "VersionId": "null"})
assert copied["CopySourceVersionId"] == "null" and read("copy") == b"before"

versioning(B, "Suspended")
assert s3.put_object(Bucket=B, Key="k", Body=b"null again")["VersionId"] == "null"
assert read("k", VersionId="null") == b"null again" and read("k", VersionId=one) == b"one"
assert len(s3.list_object_versions(Bucket=B, Prefix="k")["Versions"]) == 2
marker = s3.delete_object(Bucket=B, Key="k")
assert marker["VersionId"] == "null" and marker["DeleteMarker"]
s3.delete_object(Bucket=B, Key="k", VersionId="null")
assert read("k") == b"one"
versioning(B, "Enabled")

# A page is where the last one ended, in the middle of a key too.
for n in range(7):
    for key in ("p/a", "p/b", "p/c/d"):
        s3.put_object(Bucket=B, Key=key, Body=str(n).encode())
s3.delete_object(Bucket=B, Key="p/b")
whole = s3.list_object_versions(Bucket=B, Prefix="p/")
order = [(v["Key"], v["VersionId"]) for v in whole["Versions"]]
assert len(order) == 21 and [k for k, _ in order] == ["p/a"] * 7 + ["p/b"] * 7 + ["p/c/d"] * 7
assert [v["IsLatest"] for v in whole["Versions"]] == [True] + [False] * 6 + [False] * 7 + [True] + [False] * 6
for size in (1, 2, 5, 7):
    pages = list(s3.get_paginator("list_object_versions").paginate(Bucket=B, Prefix="p/", PaginationConfig={"PageSize": size}))
    assert [(v["Key"], v["VersionId"]) for p in pages for v in p.get("Versions", [])] == order, size
    assert sum(len(p.get("DeleteMarkers", [])) for p in pages) == 1
pages = s3.get_paginator("list_object_versions").paginate(Bucket=B, Prefix="p/", Delimiter="/", PaginationConfig={"PageSize": 3})
assert [c["Prefix"] for p in pages for c in p.get("CommonPrefixes", [])] == ["p/c/"]

# Many at once, until there is nothing.
everything = [v for p in s3.get_paginator("list_object_versions").paginate(Bucket=B) for v in p.get("Versions", []) + p.get("DeleteMarkers", [])]
refused("BucketNotEmpty", s3.delete_bucket, Bucket=B)
deleted = s3.delete_objects(Bucket=B, Delete={"Objects": [{"Key": v["Key"], "VersionId": v["VersionId"]} for v in everything]})
assert len(deleted["Deleted"]) == len(everything) and "Errors" not in deleted, deleted
assert "Versions" not in s3.list_object_versions(Bucket=B)
assert s3.delete_objects(Bucket=B, Delete={"Objects": [{"Key": "never"}]})["Deleted"][0]["DeleteMarker"]
s3.delete_object(Bucket=B, Key="never", VersionId=s3.list_object_versions(Bucket=B)["DeleteMarkers"][0]["VersionId"])
s3.delete_bucket(Bucket=B)

# What is there after any order of writes is what a list of versions says.
R = "random-versions"
s3.create_bucket(Bucket=R)
versioning(R, "Enabled")
chance, model = random.Random(5), []
for step in range(120):
    is_enabled = step % 40 < 25
    if step % 40 in (0, 25) and step:
        versioning(R, "Enabled" if is_enabled else "Suspended")
    what = chance.choice("pppddxx")
    if what == "x":
        if model:
            version = chance.choice(model)
            model.remove(version)
            s3.delete_object(Bucket=R, Key="k", VersionId=version[0])
    else:
        body = f"{step}".encode() * chance.choice((1, 9000))
        done = s3.put_object(Bucket=R, Key="k", Body=body) if what == "p" else s3.delete_object(Bucket=R, Key="k")
        if not is_enabled:
            assert done["VersionId"] == "null", (step, done)
            model = [v for v in model if v[0] != "null"]
        model.insert(0, (done["VersionId"], body if what == "p" else None))
    listed = s3.list_object_versions(Bucket=R)
    assert [v["VersionId"] for v in listed.get("Versions", [])] == [i for i, b in model if b is not None], step
    assert [v["VersionId"] for v in listed.get("DeleteMarkers", [])] == [i for i, b in model if b is None], step
    latest = [v["VersionId"] for v in listed.get("Versions", []) + listed.get("DeleteMarkers", []) if v["IsLatest"]]
    assert latest == [i for i, _ in model[:1]], step
    if model and model[0][1] is not None:
        assert s3.get_object(Bucket=R, Key="k")["Body"].read() == model[0][1]
    else:
        refused("NoSuchKey", s3.get_object, Bucket=R, Key="k")
for version, body in model:
    if body is not None:
        assert s3.get_object(Bucket=R, Key="k", VersionId=version)["Body"].read() == body

# Tags.
T = "tags-and-attributes"
s3.create_bucket(Bucket=T)
refused("NoSuchTagSet", s3.get_bucket_tagging, Bucket=T)
s3.put_bucket_tagging(Bucket=T, Tagging={"TagSet": [{"Key": "team", "Value": "a"}]})
assert s3.get_bucket_tagging(Bucket=T)["TagSet"] == [{"Key": "team", "Value": "a"}]
s3.delete_bucket_tagging(Bucket=T)
refused("NoSuchTagSet", s3.get_bucket_tagging, Bucket=T)
s3.put_object(Bucket=T, Key="k", Body=b"x", Tagging="a=1&b=zwei%20drei", StorageClass="STANDARD_IA")
assert s3.get_object(Bucket=T, Key="k")["TagCount"] == 2
assert s3.get_object_tagging(Bucket=T, Key="k")["TagSet"] == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "zwei drei"}]
s3.copy_object(Bucket=T, Key="copied", CopySource=f"{T}/k")
assert len(s3.get_object_tagging(Bucket=T, Key="copied")["TagSet"]) == 2
s3.put_object_tagging(Bucket=T, Key="k", Tagging={"TagSet": [{"Key": "c", "Value": ""}]})
assert s3.get_object_tagging(Bucket=T, Key="k")["TagSet"] == [{"Key": "c", "Value": ""}]
s3.delete_object_tagging(Bucket=T, Key="k")
assert s3.get_object_tagging(Bucket=T, Key="k")["TagSet"] == []
many = [{"Key": str(n), "Value": ""} for n in range(11)]
refused("BadRequest", s3.put_object_tagging, Bucket=T, Key="k", Tagging={"TagSet": many})
refused("InvalidTag", s3.put_object_tagging, Bucket=T, Key="k", Tagging={"TagSet": [{"Key": "a", "Value": ""}, {"Key": "a", "Value": ""}]})
refused("NoSuchKey", s3.get_object_tagging, Bucket=T, Key="missing")

# Attributes, and parts by their numbers.
asked = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
shown = s3.get_object_attributes(Bucket=T, Key="k", ObjectAttributes=asked)
assert shown["ObjectSize"] == 1 and shown["StorageClass"] == "STANDARD_IA" and "ObjectParts" not in shown
upload = s3.create_multipart_upload(Bucket=T, Key="parts", ChecksumAlgorithm="SHA256")["UploadId"]
parts = []
for number, body in ((1, b"a" * 5 * 1024 * 1024), (2, b"b" * 10)):
    done = s3.upload_part(Bucket=T, Key="parts", UploadId=upload, PartNumber=number, Body=body, ChecksumAlgorithm="SHA256")
    parts.append({"PartNumber": number, "ETag": done["ETag"], "ChecksumSHA256": done["ChecksumSHA256"]})
s3.complete_multipart_upload(Bucket=T, Key="parts", UploadId=upload, MultipartUpload={"Parts": parts})
shown = s3.get_object_attributes(Bucket=T, Key="parts", ObjectAttributes=asked)
assert shown["ObjectParts"]["TotalPartsCount"] == 2 and [p["Size"] for p in shown["ObjectParts"]["Parts"]] == [5 * 1024 * 1024, 10]
second = s3.get_object(Bucket=T, Key="parts", PartNumber=2)
assert second["Body"].read() == b"b" * 10 and second["PartsCount"] == 2
assert s3.head_object(Bucket=T, Key="parts", PartNumber=1)["ContentLength"] == 5 * 1024 * 1024
refused("416", s3.head_object, Bucket=T, Key="parts", PartNumber=3)
assert s3.get_object(Bucket=T, Key="parts")["ServerSideEncryption"] == "AES256"

# Locks.
refused("ObjectLockConfigurationNotFoundError", s3.get_object_lock_configuration, Bucket=T)
refused("InvalidRequest", s3.put_object_legal_hold, Bucket=T, Key="k", LegalHold={"Status": "ON"})
L = "locked-things"
s3.create_bucket(Bucket=L, ObjectLockEnabledForBucket=True)
assert s3.get_bucket_versioning(Bucket=L)["Status"] == "Enabled"
refused("InvalidBucketState", s3.put_bucket_versioning, Bucket=L, VersioningConfiguration={"Status": "Suspended"})
later = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=2)
held = s3.put_object(Bucket=L, Key="held", Body=b"x", ObjectLockLegalHoldStatus="ON")["VersionId"]
assert s3.get_object_legal_hold(Bucket=L, Key="held")["LegalHold"]["Status"] == "ON"
refused("AccessDenied", s3.delete_object, Bucket=L, Key="held", VersionId=held)
refused("AccessDenied", s3.delete_object, Bucket=L, Key="held", VersionId=held, BypassGovernanceRetention=True)
s3.put_object_legal_hold(Bucket=L, Key="held", LegalHold={"Status": "OFF"})
s3.delete_object(Bucket=L, Key="held", VersionId=held)
kept = s3.put_object(Bucket=L, Key="kept", Body=b"x", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=later)["VersionId"]
assert s3.head_object(Bucket=L, Key="kept")["ObjectLockMode"] == "GOVERNANCE"
failed = s3.delete_objects(Bucket=L, Delete={"Objects": [{"Key": "kept", "VersionId": kept}]})
assert failed["Errors"][0]["Code"] == "AccessDenied" and failed["Errors"][0]["VersionId"] == kept
assert s3.delete_object(Bucket=L, Key="kept")["DeleteMarker"], "a marker is always taken"
s3.delete_object(Bucket=L, Key="kept", VersionId=kept, BypassGovernanceRetention=True)
s3.put_object_lock_configuration(Bucket=L, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}})
assert s3.get_object_lock_configuration(Bucket=L)["ObjectLockConfiguration"]["Rule"]["DefaultRetention"] == {"Mode": "COMPLIANCE", "Days": 1}
bound = s3.put_object(Bucket=L, Key="bound", Body=b"x")["VersionId"]
assert s3.get_object_retention(Bucket=L, Key="bound")["Retention"]["Mode"] == "COMPLIANCE"
refused("AccessDenied", s3.delete_object, Bucket=L, Key="bound", VersionId=bound, BypassGovernanceRetention=True)
s3.put_object_retention(Bucket=L, Key="bound", Retention={"Mode": "COMPLIANCE", "RetainUntilDate": later})
sooner = later - datetime.timedelta(days=1, hours=12)
refused("AccessDenied", s3.put_object_retention, Bucket=L, Key="bound", Retention={"Mode": "COMPLIANCE", "RetainUntilDate": sooner})
refused("InvalidArgument", s3.put_object, Bucket=L, Key="half", Body=b"", ObjectLockMode="GOVERNANCE")
